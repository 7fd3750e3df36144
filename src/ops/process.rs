//! What the kernel knows of this process, under the names that every Prometheus client uses.

use super::page::{Kind, Page, seconds};
use std::fs;
use std::io;
use std::time::{SystemTime, UNIX_EPOCH};

/// Microseconds of a clock tick in `/proc`: `USER_HZ` is 100 on every Linux that we build for.
const TICK_US: u64 = 10_000;

/// The process since its start.
#[derive(Debug)]
pub(super) struct Process {
    started_us: u64,
}

impl Process {
    /// To be made when the process starts.
    pub(super) fn starting() -> Self {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self { started_us: u64::try_from(since.as_micros()).unwrap_or(0) }
    }

    /// Reads `/proc`; what cannot be read is left out. Not for a loop.
    pub(super) fn write(&self, page: &mut Page) {
        let start = seconds(self.started_us);
        page.one(
            "process_start_time_seconds",
            Kind::Gauge,
            "When the process started, as unix time.",
            start,
        );
        if let Ok(us) = cpu_us() {
            let help = "CPU time spent, user and system.";
            page.one("process_cpu_seconds_total", Kind::Counter, help, seconds(us));
        }
        if let Ok(status) = fs::read_to_string("/proc/self/status") {
            let of = |name: &str| field(&status, name);
            if let Some(kib) = of("VmRSS:") {
                let help = "Memory in RAM.";
                page.one("process_resident_memory_bytes", Kind::Gauge, help, kib * 1024);
            }
            if let Some(kib) = of("VmSize:") {
                let help = "Address space in use.";
                page.one("process_virtual_memory_bytes", Kind::Gauge, help, kib * 1024);
            }
            if let Some(threads) = of("Threads:") {
                page.one("process_threads", Kind::Gauge, "Threads.", threads);
            }
        }
        if let Ok(entries) = fs::read_dir("/proc/self/fd") {
            // One of them is the directory itself, while it is read.
            let open = entries.count().saturating_sub(1);
            page.one("process_open_fds", Kind::Gauge, "Open file descriptors.", open);
        }
        if let Ok((soft, _)) = rlimit::getrlimit(rlimit::Resource::NOFILE) {
            page.one("process_max_fds", Kind::Gauge, "Descriptors that may be open.", soft);
        }
    }
}

/// User and system time: the 14th and 15th field of `stat`, counted behind the program's name,
/// which may hold anything.
fn cpu_us() -> io::Result<u64> {
    let stat = fs::read_to_string("/proc/self/stat")?;
    let behind_name = stat.rsplit_once(") ").map_or("", |(_, rest)| rest);
    let ticks =
        behind_name.split(' ').skip(11).take(2).filter_map(|field| field.parse::<u64>().ok());
    Ok(ticks.sum::<u64>() * TICK_US)
}

fn field(status: &str, name: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_whitespace().next()?.parse().ok()
}
