//! `fanfare load rain`: many users snatch, open and list at once; then everything has to add up.

mod report;
mod verify;
mod visitor;
mod words;

use crate::cli::RainLoad;
use crate::client::http::HttpConnection;
use crate::load::verdict;
use crate::progress;
use std::error::Error;
use std::io::{self, Write};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use visitor::{Tally, Visitor};
use words::Rain;

/// A server that says nothing for so long has failed.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);

/// One thread a connection; its work needs little.
const STACK_BYTES: usize = 256 << 10;

/// How often the bar moves.
const BAR_INTERVAL: Duration = Duration::from_millis(100);

/// The users of a run: so many ids from the first.
#[derive(Clone, Copy, Debug)]
struct Users {
    first: i64,
    count: u32,
}

impl Users {
    /// Any of them.
    fn pick(self) -> i64 {
        self.first + i64::from(fastrand::u32(..self.count))
    }
}

/// Runs the load; fails when something does not add up.
pub fn run(options: &RainLoad) -> Result<(), Box<dyn Error>> {
    // A connection is a descriptor; the soft limit is often 1,024.
    let _ = rlimit::increase_nofile_limit(u64::MAX);
    let users =
        Users { first: options.first_user.unwrap_or_else(fresh_user), count: options.users };
    let before = running_rain(options.addr)?;
    let start = Instant::now();
    let tally = snatch(options, users)?;
    let elapsed = start.elapsed();
    let mut out = io::stdout().lock();
    writeln!(out, "{}", report::text(&tally, elapsed))?;
    out.flush()?;
    let checks = verify::checks(options, &before, &tally)?;
    writeln!(out, "{}", verdict::table(&checks))?;
    verdict::judge(&checks)
}

/// Users that no earlier run had, so that their wallets hold what this one put there: by the clock,
/// a million a second.
fn fresh_user() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(now.as_secs()).unwrap_or(1) * 1_000_000
}

fn running_rain(address: SocketAddr) -> Result<Rain, Box<dyn Error>> {
    let mut connection = HttpConnection::open(address, ANSWER_TIMEOUT)
        .map_err(|error| format!("{address} (--addr): {error}"))?;
    let rain = words::rain(&mut connection)?;
    match rain.state.as_str() {
        "running" => Ok(rain),
        state => Err(format!(
            "no rain is running at {address} (its state is {state}): start one with POST /rain on \
             the operator's listener, see README"
        )
        .into()),
    }
}

fn snatch(options: &RainLoad, users: Users) -> Result<Tally, Box<dyn Error>> {
    let (calls, stop) = (AtomicU64::new(0), AtomicBool::new(false));
    let (calls, stop) = (&calls, &stop);
    let visitors: Vec<Visitor> = (0..options.connections)
        .map(|_| Visitor::connect(options.addr, users))
        .collect::<io::Result<_>>()
        .map_err(|error| format!("{} connections: {error}", options.connections))?;
    thread::scope(|scope| {
        let mut threads = Vec::with_capacity(visitors.len());
        for visitor in visitors {
            let thread = thread::Builder::new().stack_size(STACK_BYTES);
            match thread.spawn_scoped(scope, move || visitor.run(calls, stop)) {
                Ok(thread) => threads.push(thread),
                Err(error) => {
                    stop.store(true, Ordering::Relaxed);
                    return Err(format!("a thread for each connection: {error}").into());
                }
            }
        }
        show_progress(options.duration, calls);
        stop.store(true, Ordering::Relaxed);
        let mut sum = Tally::default();
        for thread in threads {
            sum.add(thread.join().map_err(|_| "a visitor panicked")??);
        }
        Ok(sum)
    })
}

/// Until the time is over.
fn show_progress(duration: Duration, calls: &AtomicU64) {
    let bar = progress::seconds("snatching", duration.as_secs());
    let start = Instant::now();
    while start.elapsed() < duration {
        thread::sleep(BAR_INTERVAL.min(duration.saturating_sub(start.elapsed())));
        bar.set_position(start.elapsed().as_secs());
        bar.set_message(format!("{} calls", calls.load(Ordering::Relaxed)));
    }
    bar.finish_and_clear();
}
