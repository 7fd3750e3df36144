//! Load generator for bench.sh: so many snatches a second by users drawn at random, whatever the
//! answers take. A latency begins when its request was due, so that a server that stands still does
//! not hide behind clients that wait for it.
//!
//! `pace --addr 127.0.0.1:8080 --rate 1000 --seconds 5 --connections 200`

use clap::Parser;
use std::io::{self, BufRead, BufReader, Error, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

#[derive(Clone, Parser)]
struct Options {
    /// Where the server listens
    #[arg(long)]
    addr: SocketAddr,
    /// Requests a second
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    rate: u64,
    /// For so long
    #[arg(long, default_value_t = 5)]
    seconds: u64,
    /// Connections, each with one request under way
    #[arg(long, default_value_t = 200)]
    connections: u64,
}

fn main() -> io::Result<()> {
    let options = Options::parse();
    let turn = AtomicU64::new(0);
    let start = Instant::now() + Duration::from_millis(200);
    let mut latencies = thread::scope(|scope| {
        let clients: Vec<_> =
            (0..options.connections).map(|_| scope.spawn(|| run(&options, start, &turn))).collect();
        let mut all = Vec::new();
        for client in clients {
            let client = client.join().map_err(|_| Error::other("a client thread panicked"))?;
            all.extend(client?);
        }
        Ok::<_, Error>(all)
    })?;
    let elapsed = start.elapsed();
    latencies.sort_unstable();
    let count = latencies.len();
    let at = |percent: usize| latencies[(count * percent / 100).min(count - 1)];
    let rate = count as u128 * 1_000_000 / elapsed.as_micros().max(1);
    writeln!(io::stdout(), "rate={rate} p50_us={} p99_us={}", at(50), at(99))
}

/// Takes the next request that is due, until the time is over.
fn run(options: &Options, start: Instant, turn: &AtomicU64) -> io::Result<Vec<u64>> {
    let stream = TcpStream::connect(options.addr)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(Duration::from_secs(30)))?;
    let mut reader = BufReader::new(stream);
    let mut latencies = Vec::new();
    loop {
        let number = turn.fetch_add(1, Ordering::Relaxed);
        if number >= options.rate * options.seconds {
            return Ok(latencies);
        }
        let due = start + Duration::from_nanos(number * 1_000_000_000 / options.rate);
        thread::sleep(due.saturating_duration_since(Instant::now()));
        snatch(&mut reader, number)?;
        latencies.push(u64::try_from(due.elapsed().as_micros()).unwrap_or(u64::MAX));
    }
}

fn snatch(reader: &mut BufReader<TcpStream>, number: u64) -> io::Result<()> {
    // Scattered, as by chance, and the same in every run.
    let body = format!("uid={}", 1 + number.wrapping_mul(0x9E37_79B9_7F4A_7C15) % 1_000_000);
    let length = body.len();
    let request = format!(
        "POST /snatch HTTP/1.1\r\nHost: bench\r\nContent-Type: application/x-www-form-urlencoded\r\n\
         Content-Length: {length}\r\n\r\n{body}"
    );
    reader.get_mut().write_all(request.as_bytes())?;
    let (mut line, mut length) = (String::new(), 0);
    loop {
        line.clear();
        if reader.read_line(&mut line)? == 0 {
            return Err(Error::other("the server closed the connection"));
        }
        let Some((name, value)) = line.split_once(':') else {
            if line.trim().is_empty() {
                break;
            }
            if !line.contains(" 200 ") {
                return Err(Error::other(format!("no success: {line:?}")));
            }
            continue;
        };
        if name.eq_ignore_ascii_case("content-length") {
            length = value.trim().parse().map_err(Error::other)?;
        }
    }
    io::copy(&mut reader.take(length), &mut io::sink()).map(drop)
}
