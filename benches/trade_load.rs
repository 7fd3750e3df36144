//! TLV connections for bench.sh, all on one thread with mio, so that ten thousand cost little.
//!
//! - `trade_load echo --addr A --connections 100 --seconds 5`: heartbeats, one under way on each
//!   connection; prints the rate.
//! - `trade_load push --addr A --connections 10000 --rounds 9`: all log in as one customer, who then
//!   buys; prints how long it takes from the order until the last connection has both pushes. With
//!   `--pid`, also the memory of that process before and with the connections.
//! - `trade_load bare`: what `push` is held against: a loop that writes the same frames to the same
//!   number of sockets, and does nothing else.

#![expect(clippy::print_stdout, reason = "what it measured is its output")]

use clap::{Parser, Subcommand};
use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};
use std::fs;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::time::{Duration, Instant};

const LOGIN: &str = r#"{"customer_id":"900000000001"}"#;
const ORDER: &str = r#"{"exchange_type":"1","stock_code":"600000","quantity":1}"#;

/// A server that says nothing for so long has failed.
const PATIENCE: Duration = Duration::from_secs(60);

#[derive(Parser)]
struct Options {
    #[command(subcommand)]
    mode: Mode,
}

#[derive(Subcommand)]
enum Mode {
    /// Heartbeats, one under way on each connection
    Echo {
        #[arg(long)]
        addr: SocketAddr,
        #[arg(long, default_value_t = 100)]
        connections: usize,
        #[arg(long, default_value_t = 5)]
        seconds: u64,
    },
    /// One push to all connections
    Push {
        #[arg(long)]
        addr: SocketAddr,
        #[arg(long, default_value_t = 10_000)]
        connections: usize,
        #[arg(long, default_value_t = 9)]
        rounds: usize,
        /// The server's process, for its memory
        #[arg(long)]
        pid: Option<u32>,
    },
    /// Serves `push` with a bare loop of writes
    Bare,
}

fn main() -> io::Result<()> {
    rlimit::increase_nofile_limit(u64::MAX)?;
    match Options::parse().mode {
        Mode::Echo { addr, connections, seconds } => echo(addr, connections, seconds),
        Mode::Push { addr, connections, rounds, pid } => push(addr, connections, rounds, pid),
        Mode::Bare => bare(),
    }
}

fn frame(id: u32, data: &str) -> Vec<u8> {
    let length = u32::try_from(data.len()).expect("our frames are small");
    [&id.to_be_bytes(), &length.to_be_bytes(), data.as_bytes()].concat()
}

/// One connection with the rest of a frame that came in parts.
struct Client {
    stream: TcpStream,
    rest: Vec<u8>,
}

/// All connections of this process.
struct Crowd {
    poll: Poll,
    events: Events,
    clients: Vec<Client>,
    scratch: Vec<u8>,
}

impl Crowd {
    /// Connects, a few at a time so that no backlog overflows, and has each send `hello`.
    fn connect(addr: SocketAddr, count: usize, hello: &[u8]) -> io::Result<Self> {
        let poll = Poll::new()?;
        let mut clients = Vec::with_capacity(count);
        for index in 0..count {
            let mut stream = std::net::TcpStream::connect(addr)?;
            stream.set_nodelay(true)?;
            stream.write_all(hello)?;
            stream.set_nonblocking(true)?;
            let mut stream = TcpStream::from_std(stream);
            poll.registry().register(&mut stream, Token(index), Interest::READABLE)?;
            clients.push(Client { stream, rest: Vec::new() });
        }
        let events = Events::with_capacity(1_024);
        Ok(Self { poll, events, clients, scratch: vec![0; 65_536] })
    }

    /// Reads what has come; calls `got` with the connection and the id of each frame. False when
    /// nothing came in time.
    fn turn(&mut self, mut got: impl FnMut(&mut TcpStream, usize, u32)) -> io::Result<()> {
        self.poll.poll(&mut self.events, Some(PATIENCE))?;
        if self.events.is_empty() {
            return Err(io::Error::new(ErrorKind::TimedOut, "the server says nothing"));
        }
        for event in &self.events {
            let index = event.token().0;
            let Client { stream, rest } = &mut self.clients[index];
            loop {
                match stream.read(&mut self.scratch) {
                    Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
                    Ok(count) => rest.extend_from_slice(&self.scratch[..count]),
                    Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                    Err(error) => return Err(error),
                }
                // A short read has emptied the socket.
                if rest.len() < self.scratch.len() {
                    break;
                }
            }
            let mut used = 0;
            while let Some(header) = rest[used..].first_chunk::<8>() {
                let (words, _) = header.as_chunks();
                let length = u32::from_be_bytes(words[1]) as usize;
                if rest.len() < used + 8 + length {
                    break;
                }
                used += 8 + length;
                got(stream, index, u32::from_be_bytes(words[0]));
            }
            rest.drain(..used);
        }
        Ok(())
    }

    /// Waits until every connection has had a frame of that id.
    fn await_all(&mut self, id: u32) -> io::Result<()> {
        let mut missing = vec![true; self.clients.len()];
        let mut count = missing.len();
        while count > 0 {
            self.turn(|_, index, found| {
                if found == id && std::mem::replace(&mut missing[index], false) {
                    count -= 1;
                }
            })?;
        }
        Ok(())
    }
}

fn echo(addr: SocketAddr, connections: usize, seconds: u64) -> io::Result<()> {
    let beat = frame(99_999, "{}");
    let mut crowd = Crowd::connect(addr, connections, &beat)?;
    let (began, mut count) = (Instant::now(), 0_u64);
    while began.elapsed() < Duration::from_secs(seconds) {
        let mut failed = None;
        crowd.turn(|stream, _, id| {
            if id == 99_999 {
                count += 1;
                failed = failed.take().or(stream.write_all(&beat).err());
            }
        })?;
        failed.map_or(Ok(()), Err)?;
    }
    #[expect(clippy::cast_precision_loss, reason = "a rate")]
    let rate = count as f64 / began.elapsed().as_secs_f64();
    println!("rate={rate:.0}/s");
    Ok(())
}

fn resident_kib(pid: u32) -> io::Result<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|line| line.split_whitespace().next()?.parse().ok());
    kib.ok_or_else(|| io::Error::other("no resident size"))
}

fn push(addr: SocketAddr, connections: usize, rounds: usize, pid: Option<u32>) -> io::Result<()> {
    let login = frame(2, LOGIN);
    // What one customer costs at all exists before the first reading.
    let mut trader = Crowd::connect(addr, 1, &login)?;
    trader.await_all(2)?;
    let before = pid.map(resident_kib).transpose()?;
    let mut crowd = Crowd::connect(addr, connections, &login)?;
    crowd.await_all(2)?;
    if let (Some(pid), Some(before)) = (pid, before) {
        let bytes = (resident_kib(pid)?.saturating_sub(before)) * 1_024 / connections as u64;
        println!("bytes={bytes}");
    }
    let order = frame(4, ORDER);
    for _ in 0..rounds {
        let began = Instant::now();
        trader.clients[0].stream.write_all(&order)?;
        crowd.await_all(102)?;
        println!("push_ms={:.2}", began.elapsed().as_secs_f64() * 1e3);
        trader.await_all(102)?;
    }
    Ok(())
}

/// Accepts who comes, and answers the login of each; then, for each order of the first one, writes
/// its pushes to all.
fn bare() -> io::Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    println!("bare ready http={}", listener.local_addr()?);
    let greeting = [frame(1, r#"{"uid":1}"#), frame(2, LOGIN)].concat();
    let position = r#""exchange_type":"1","stock_code":"600000""#;
    let pushes = [
        frame(101, &format!(r#"{{"seq":1,"trade_id":5000,{position},"side":"1","quantity":1,"price_fen":1000,"time_ms":1795251600123}}"#)),
        frame(102, &format!(r#"{{"seq":2,{position},"quantity":1,"last_price_fen":1000,"market_value_fen":1000}}"#)),
    ]
    .concat();
    let (mut trader, _) = listener.accept()?;
    let hello = frame(2, LOGIN).len();
    trader.read_exact(&mut vec![0; hello])?;
    trader.write_all(&greeting)?;
    listener.set_nonblocking(true)?;
    trader.set_nonblocking(true)?;
    let (mut others, mut order) = (Vec::new(), vec![0; frame(4, ORDER).len()]);
    loop {
        match listener.accept() {
            Ok((mut stream, _)) => {
                stream.set_nonblocking(false)?;
                stream.set_nodelay(true)?;
                stream.read_exact(&mut vec![0; hello])?;
                stream.write_all(&greeting)?;
                others.push(stream);
                continue;
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
        match trader.read(&mut order) {
            Ok(0) => return Ok(()),
            Ok(_) => {
                trader.write_all(&pushes)?;
                for stream in &mut others {
                    stream.write_all(&pushes)?;
                }
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => std::thread::yield_now(),
            Err(error) => return Err(error),
        }
    }
}
