//! Log lines to standard output that can be slow, full or blocked without anybody waiting for it.
//!
//! Lines go through a bounded queue to a thread of their own. What does not fit is dropped and
//! counted; a line that cannot be written is counted too. Panics are log lines as well, since
//! standard error may be as blocked as standard output.

mod printable;

use crate::config::{self, Format, Level};
use std::backtrace::{Backtrace, BacktraceStatus};
use std::fs::File;
use std::io::{self, IsTerminal, Write};
use std::net::SocketAddr;
use std::os::fd::AsFd;
use std::panic::{self, PanicHookInfo};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;
use tracing::level_filters::LevelFilter;
use tracing_appender::non_blocking::{ErrorCounter, NonBlocking, NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Registry, fmt, reload};

/// How long the end of the process waits for the last lines. A reader that takes none for so long
/// is not going to.
const FLUSH_MAX: Duration = Duration::from_millis(1_500);

/// The running log; dropping it writes what is queued, but never waits long for a blocked reader.
pub struct Log {
    queue: NonBlocking,
    worker: Option<WorkerGuard>,
    dropped: DroppedLines,
    announced: AtomicBool,
    level: LevelSwitch,
}

/// What is logged, to be changed while the process runs.
#[derive(Clone, Default)]
pub struct LevelSwitch(Option<reload::Handle<LevelFilter, Registry>>);

/// From rare to chatty.
const LEVELS: [(&str, LevelFilter); 5] = [
    ("error", LevelFilter::ERROR),
    ("warn", LevelFilter::WARN),
    ("info", LevelFilter::INFO),
    ("debug", LevelFilter::DEBUG),
    ("trace", LevelFilter::TRACE),
];

impl LevelSwitch {
    /// The least severe level that is written, as a word of the config.
    pub fn word(&self) -> &'static str {
        let level = self.0.as_ref().and_then(reload::Handle::clone_current);
        let found = LEVELS.iter().find(|(_, filter)| Some(*filter) == level);
        found.map_or("off", |(word, _)| word)
    }

    /// Writes this level and what is more severe; false for a word that is none, or without a log.
    pub fn set(&self, word: &str) -> bool {
        let found = LEVELS.iter().find(|(known, _)| *known == word);
        let (Some((_, filter)), Some(handle)) = (found, &self.0) else { return false };
        handle.reload(*filter).is_ok()
    }
}

/// How many lines never reached standard output; for metrics.
#[derive(Clone, Debug)]
pub struct DroppedLines {
    full: ErrorCounter,
    failed: Arc<AtomicU64>,
}

impl DroppedLines {
    /// Lines lost so far: the queue was full, or the write failed.
    pub fn count(&self) -> u64 {
        self.full.dropped_lines() as u64 + self.failed.load(Ordering::Relaxed)
    }
}

/// Sends all events and panics of the process to standard output. Once a process.
pub fn start(settings: &config::Log) -> io::Result<Log> {
    // A descriptor of our own: the lock of `io::stdout` would be held while a write blocks.
    let stdout = File::from(io::stdout().as_fd().try_clone_to_owned()?);
    let is_coloured = settings.format == Format::Text && io::stdout().is_terminal();
    let mut log = Log::to(stdout, settings.queue_lines, is_coloured);
    let (level, handle) = reload::Layer::new(LevelFilter::from_level(filter(settings.level)));
    let lines = fmt::layer().with_ansi(is_coloured).with_writer(log.queue.clone());
    let events = tracing_subscriber::registry().with(level);
    match settings.format {
        Format::Text => events.with(lines).try_init(),
        Format::Json => events.with(lines.json().flatten_event(true)).try_init(),
    }
    .map_err(io::Error::other)?;
    log.level = LevelSwitch(Some(handle));
    panic::set_hook(Box::new(report_panic));
    Ok(log)
}

impl Log {
    /// The readers of this log are programs as well as people: one line `fanfare ready
    /// http=127.0.0.1:8080 tlv=127.0.0.1:8999 admin=127.0.0.1:9464` with the addresses that were
    /// really bound, whatever the level and the format. It comes once, after the log line
    /// `listening` with the same fields, when connections are accepted.
    pub fn announce_ready(&self, http: SocketAddr, tlv: SocketAddr, admin: SocketAddr) {
        if self.announced.swap(true, Ordering::Relaxed) {
            return;
        }
        tracing::info!(%http, %tlv, %admin, "listening");
        self.line(&format!("fanfare ready http={http} tlv={tlv} admin={admin}\n"));
    }

    /// Tells a person who tries things out where there is something to see.
    pub fn invite(&self, http: SocketAddr) {
        self.line(&format!("open http://{http}/ in a browser; Ctrl-C ends it\n"));
    }

    /// What is logged, to be changed.
    pub fn level(&self) -> LevelSwitch {
        self.level.clone()
    }

    /// The counter of lines that were lost.
    pub fn dropped_lines(&self) -> DroppedLines {
        self.dropped.clone()
    }

    fn to(writer: impl Write + Send + 'static, queue_lines: usize, is_coloured: bool) -> Self {
        let failed = Arc::new(AtomicU64::new(0));
        let counted = Lines { writer, failed: Arc::clone(&failed), is_coloured };
        let (queue, worker) = NonBlockingBuilder::default()
            .lossy(true)
            .buffered_lines_limit(queue_lines)
            .thread_name("log")
            .finish(counted);
        let dropped = DroppedLines { full: queue.error_counter(), failed };
        Self {
            queue,
            worker: Some(worker),
            dropped,
            announced: AtomicBool::new(false),
            level: LevelSwitch::default(),
        }
    }

    fn line(&self, line: &str) {
        self.queue.clone().write_all(line.as_bytes()).expect("a lossy queue takes or drops");
    }
}

impl Drop for Log {
    fn drop(&mut self) {
        let Some(worker) = self.worker.take() else { return };
        let (done, flushed) = mpsc::sync_channel(1);
        // The guard waits a bounded time for the lines, but then complains to standard output,
        // where it could wait for ever: let a thread do so that the process need not wait for.
        let flush = thread::Builder::new().name("log-flush".to_owned()).spawn(move || {
            drop(worker);
            // Nobody listens any more when the time was up.
            let _ = done.send(());
        });
        if flush.is_ok() {
            // Late or done, the process ends.
            let _ = flushed.recv_timeout(FLUSH_MAX);
        }
    }
}

/// Writes lines without control characters, and counts those that could not be written (a full
/// disk, a reader that has gone).
struct Lines<W> {
    writer: W,
    failed: Arc<AtomicU64>,
    /// Escape sequences are our own colours; the formatter keeps those of values out.
    is_coloured: bool,
}

impl<W: Write> Write for Lines<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let line = if self.is_coloured { bytes.into() } else { printable::printable(bytes) };
        if self.writer.write_all(&line).is_err() {
            self.failed.fetch_add(1, Ordering::Relaxed);
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.writer.flush()
    }
}

fn filter(level: Level) -> tracing::Level {
    match level {
        Level::Error => tracing::Level::ERROR,
        Level::Warn => tracing::Level::WARN,
        Level::Info => tracing::Level::INFO,
        Level::Debug => tracing::Level::DEBUG,
        Level::Trace => tracing::Level::TRACE,
    }
}

fn report_panic(info: &PanicHookInfo<'_>) {
    let payload = info.payload();
    let message = payload
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| payload.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("no message");
    let place = info.location().map(ToString::to_string).unwrap_or_default();
    let current = thread::current();
    let thread = current.name().unwrap_or("unnamed");
    // Only captured where RUST_BACKTRACE asks for it.
    let backtrace = Backtrace::capture();
    if backtrace.status() == BacktraceStatus::Captured {
        tracing::error!(thread, place, %backtrace, "panicked: {message}");
    } else {
        tracing::error!(thread, place, "panicked: {message}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc::{Receiver, Sender, channel};

    /// Tells when a write began and does not return from it before `release` is dropped.
    struct Stuck {
        began: Sender<()>,
        release: Receiver<()>,
    }

    impl Write for Stuck {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let _ = self.began.send(());
            let _ = self.release.recv();
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_reader_that_takes_nothing_costs_lines_and_no_time() {
        let (began, has_begun) = channel();
        let (keep_stuck, release) = channel::<()>();
        let log = Log::to(Stuck { began, release }, 4, false);
        log.line("taken by the thread\n");
        has_begun.recv().expect("the thread writes");
        for _ in 0..100 {
            log.line("four of these fit\n");
        }
        assert_eq!(log.dropped_lines().count(), 96);
        drop(log); // Returns although the thread is still stuck in its write.
        drop(keep_stuck);
    }

    #[test]
    fn a_line_that_cannot_be_written_is_counted() {
        struct Full(Sender<()>);
        impl Write for Full {
            fn write(&mut self, _: &[u8]) -> io::Result<usize> {
                let _ = self.0.send(());
                Err(io::ErrorKind::StorageFull.into())
            }

            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let (began, has_begun) = channel();
        let log = Log::to(Full(began), 16, false);
        let dropped = log.dropped_lines();
        for _ in 0..3 {
            log.line("lost\n");
            has_begun.recv().expect("the thread goes on after an error");
        }
        drop(log); // Waits for the thread, so that the last count is in.
        assert_eq!(dropped.count(), 3);
    }

    #[test]
    fn is_announced_once() {
        #[derive(Clone)]
        struct Taken(Sender<Vec<u8>>);
        impl Write for Taken {
            fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
                let _ = self.0.send(bytes.to_vec());
                Ok(bytes.len())
            }

            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let (sender, lines) = channel();
        let log = Log::to(Taken(sender), 16, false);
        let addr = |port| SocketAddr::from(([127, 0, 0, 1], port));
        log.announce_ready(addr(1), addr(2), addr(3));
        log.announce_ready(addr(4), addr(5), addr(6));
        drop(log);
        let lines: Vec<Vec<u8>> = lines.iter().collect();
        let expected = b"fanfare ready http=127.0.0.1:1 tlv=127.0.0.1:2 admin=127.0.0.1:3\n";
        assert_eq!(lines, [expected.to_vec()]);
    }
}
