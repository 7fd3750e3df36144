//! Load generator for bench.sh: sends exactly so many keep-alive requests and prints rate and
//! latencies. One blocking thread a connection, so that every latency is measured where it is
//! waited for; wrk is faster where the exact number does not matter.
//!
//! `load --addr 127.0.0.1:8080 --connections 100 --requests 10000 --send-percent 10`

use clap::Parser;
use fanfare::client::http::{HttpConnection, request};
use std::io::{self, Error, Read, Write};
use std::net::SocketAddr;
use std::sync::{Arc, Barrier};
use std::thread;
use std::time::{Duration, Instant};

/// A server that says nothing for so long has failed; generous, because it may run under valgrind.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);

#[derive(Clone, Parser)]
struct Options {
    /// Where the server listens
    #[arg(long)]
    addr: SocketAddr,
    /// What to GET
    #[arg(long, default_value = "/gift/top")]
    path: String,
    /// How many of a hundred requests are POST /gift/send instead
    #[arg(long, default_value_t = 0, value_parser = clap::value_parser!(u8).range(0..=100))]
    send_percent: u8,
    /// Connections, each with one request under way
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=20_000))]
    connections: u32,
    /// Requests of all connections together
    #[arg(long, default_value_t = 1_000)]
    requests: u32,
    /// GET once on each connection, then keep all of them open until standard input ends
    #[arg(long)]
    hold: bool,
}

/// Latencies in microseconds, and answers that were not 2xx.
#[derive(Default)]
struct Tally {
    reads: Vec<u32>,
    sends: Vec<u32>,
    refused: u32,
}

fn main() -> io::Result<()> {
    let options = Options::parse();
    // A connection is a descriptor; the soft limit is often 1,024.
    rlimit::increase_nofile_limit(u64::MAX)?;
    if options.hold { hold(&options) } else { load(&options) }
}

fn load(options: &Options) -> io::Result<()> {
    let count = options.connections;
    // Everyone connects first, so that the clock measures requests only.
    let barrier = Arc::new(Barrier::new(count as usize + 1));
    let mut threads = Vec::with_capacity(count as usize);
    for index in 0..count {
        let (options, barrier) = (options.clone(), Arc::clone(&barrier));
        let thread = thread::Builder::new().stack_size(128 * 1024);
        threads.push(thread.spawn(move || {
            let connection = HttpConnection::open(options.addr, ANSWER_TIMEOUT);
            barrier.wait();
            run(connection?, &options, index)
        })?);
    }
    barrier.wait();
    let start = Instant::now();
    let mut sum = Tally::default();
    for thread in threads {
        let tally = thread.join().map_err(|_| Error::other("a client thread panicked"))??;
        sum.reads.extend(tally.reads);
        sum.sends.extend(tally.sends);
        sum.refused += tally.refused;
    }
    let elapsed = start.elapsed();
    let mut out = io::stdout().lock();
    report(&mut out, "read", &mut sum.reads, elapsed)?;
    report(&mut out, "send", &mut sum.sends, elapsed)?;
    if sum.refused > 0 {
        return Err(Error::other(format!("{} answers were not 2xx", sum.refused)));
    }
    Ok(())
}

fn report(
    out: &mut impl Write,
    kind: &str,
    latencies: &mut [u32],
    elapsed: Duration,
) -> io::Result<()> {
    if latencies.is_empty() {
        return Ok(());
    }
    latencies.sort_unstable();
    let count = latencies.len();
    let at = |percent: usize| latencies[(count * percent / 100).min(count - 1)];
    let rate = count as u128 * 1_000_000 / elapsed.as_micros().max(1);
    let (middle, high) = (at(50), at(99));
    writeln!(out, "{kind} requests={count} rate={rate}/s p50={middle}us p99={high}us")
}

/// For the memory of an idle connection: one that has been used once, and may be again.
fn hold(options: &Options) -> io::Result<()> {
    let mut connections = Vec::new();
    for _ in 0..options.connections {
        let mut connection = HttpConnection::open(options.addr, ANSWER_TIMEOUT)?;
        connection.exchange(&get(&options.path))?;
        // The socket alone stays: what this side keeps is of no interest.
        connections.push(connection.into_stream());
    }
    writeln!(io::stdout(), "holding connections={}", connections.len())?;
    io::stdin().read_to_end(&mut Vec::new())?;
    Ok(())
}

/// The requests of connection `index`: with 100 connections, every hundredth from there on.
fn run(mut connection: HttpConnection, options: &Options, index: u32) -> io::Result<Tally> {
    let mut tally = Tally::default();
    let read = get(&options.path);
    for number in (index..options.requests).step_by(options.connections as usize) {
        let is_send = is_send(number, options.send_percent);
        let start = Instant::now();
        let answer =
            if is_send { connection.exchange(&send(number)) } else { connection.exchange(&read) };
        let status = answer?.status;
        let micros = u32::try_from(start.elapsed().as_micros()).unwrap_or(u32::MAX);
        if is_send {
            tally.sends.push(micros);
        } else {
            tally.reads.push(micros);
        }
        tally.refused += u32::from(!(200..300).contains(&status));
    }
    Ok(tally)
}

/// Spreads the sends evenly, and the same ones in every run. Numbers are first scattered, because
/// a connection takes them at equal distances and could else get sends only, or none.
fn is_send(number: u32, percent: u8) -> bool {
    number.wrapping_mul(0x9e37_79b1) >> 16 < u32::from(percent) * 65_536 / 100
}

fn get(path: &str) -> Vec<u8> {
    request("GET", path, &[], "")
}

/// The gifts of the seeds' test data, in a fixed order instead of at random.
fn send(number: u32) -> Vec<u8> {
    let (audience, anchor, worth) = (1_000 + number % 1_000, 1 + number % 99, 1 + number % 9);
    let body = format!(r#"{{"audience_id":{audience},"anchor_id":{anchor},"worth":{worth}}}"#);
    request("POST", "/gift/send", &[], &body)
}
