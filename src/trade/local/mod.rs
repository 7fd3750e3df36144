//! Trades on one machine: the book in memory, the journal in `SQLite`.
//!
//! One thread writes (`bookkeeper`: decide on a `draft`, commit, show, tell, answer), a few look up
//! what memory does not hold (`reader`), one audits when asked (`audit`), and the loops read the book
//! behind one lock (`shared`). The journal is the record; holdings stand beside it in the same
//! commit, so that a start need not sum it up.

mod audit;
mod bookkeeper;
mod draft;
mod journal;
mod reader;
mod shared;
mod transfer;

pub use self::audit::audit_files;
pub use self::journal::Line;
pub use self::transfer::JournalFile;
pub use crate::store::{Step, StepHook};

use self::audit::Auditor;
use self::bookkeeper::Bookkeeper;
use self::reader::Reader;
use self::shared::Shared;
use super::{Found, Read, Watch, Write, Written};
use crate::exec::{self, Answer, BatchWorker, Executor, Job, Queue, Threads};
use crate::limits::{BATCH_JOBS_MAX, QUEUE_JOBS_MAX, READ_BATCH_JOBS_MAX};
use crate::meter::Tally;
use crate::store::{Audit, Clock, DataFolder, Health, OpenError, StoreError, SystemClock};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// How to run the store.
#[derive(Clone)]
pub struct LocalOptions {
    /// `trade.lot`: the opening positions are multiples of it.
    pub lot: i64,
    /// How long a request key is remembered, at least.
    pub idempotency_keep: Duration,
    /// Threads that look up what memory does not hold.
    pub readers: usize,
    /// Jobs that may wait for the bookkeeper, and for the readers.
    pub queue_jobs_max: usize,
    /// Jobs in one commit.
    pub batch_jobs_max: usize,
    /// The time of the record.
    pub clock: Arc<dyn Clock>,
    /// Learns of every line.
    pub watch: Arc<dyn Watch>,
    /// Called between steps, in simulations.
    pub step: Option<StepHook>,
}

impl LocalOptions {
    /// The defaults, with those who learn of every line.
    pub fn new(watch: Arc<dyn Watch>) -> Self {
        Self {
            lot: 1,
            idempotency_keep: Duration::from_secs(24 * 3_600),
            readers: 2,
            queue_jobs_max: QUEUE_JOBS_MAX,
            batch_jobs_max: BATCH_JOBS_MAX,
            clock: Arc::new(SystemClock),
            watch,
            step: None,
        }
    }
}

/// The local trade store; shared by all loops.
pub struct LocalTrades {
    writes: Queue<Job<Write, Written>>,
    reads: Queue<Job<Read, Found>>,
    shared: Arc<Shared>,
}

/// What the store holds and does; for metrics.
#[derive(Clone, Debug)]
pub struct Figures {
    /// Customers who ever traded.
    pub customers: usize,
    /// The newest line that is durable and shown.
    pub journal_position: i64,
    /// Request keys that a retry would be known by.
    pub keys_held: u64,
    /// How long commits took, in microseconds.
    pub commits: Tally,
}

impl LocalTrades {
    /// Opens or makes the file in `folder`, loads the book, and starts the threads. They end when the
    /// last handle to the store is dropped.
    pub fn open(
        folder: &Arc<DataFolder>,
        options: &LocalOptions,
    ) -> Result<(Arc<Self>, Threads), OpenError> {
        let shared = Arc::new(Shared::new(folder, options));
        let keep_us = i64::try_from(options.idempotency_keep.as_micros()).unwrap_or(i64::MAX);
        let bookkeeper = Bookkeeper::open(&shared, keep_us)?;
        let readers = (0..options.readers.max(1)).map(|_| Reader::open(&shared));
        let readers = readers.collect::<Result<Vec<_>, _>>()?;

        let reopen_shared = Arc::clone(&shared);
        let reopen = move || {
            let opened = Bookkeeper::open(&reopen_shared, keep_us);
            let opened = opened.map_err(|error| unavailable(&error))?;
            reopen_shared.watch.reopened();
            Ok(opened)
        };
        let worker = BatchWorker::new("trade", bookkeeper, reopen);
        let (queued, batched) = (options.queue_jobs_max, options.batch_jobs_max);
        let (writes, mut threads) = exec::spawn("trade", vec![worker], queued, batched)?;
        let workers = readers.into_iter().map(|reader| {
            let shared = Arc::clone(&shared);
            let reopen = move || Reader::open(&shared).map_err(|error| unavailable(&error));
            BatchWorker::new("trade-read", reader, reopen)
        });
        let workers = workers.collect();
        let (reads, more) = exec::spawn("trade-read", workers, queued, READ_BATCH_JOBS_MAX)?;
        threads.extend(more);
        Ok((Arc::new(Self { writes, reads, shared }), Threads::new("trade", threads)))
    }

    /// Whether the store still takes writes.
    pub fn health(&self) -> &Health {
        &self.shared.condition.health
    }

    /// Sums up the journal again, on a thread of its own.
    pub fn auditor(&self) -> Result<Box<dyn Audit>, OpenError> {
        Ok(Box::new(Auditor::open(&self.shared)?))
    }

    /// What the store holds and does now; for metrics.
    pub fn figures(&self) -> Figures {
        let book = self.shared.book();
        let (customers, journal_position) = (book.len(), book.position);
        drop(book);
        Figures {
            customers,
            journal_position,
            keys_held: self.shared.keys_held.load(Ordering::Relaxed),
            commits: self.shared.condition.commits.tally(),
        }
    }

    /// The executors behind the store: writes, then look-ups; for metrics.
    pub fn executors(&self) -> [Executor; 2] {
        [Executor::of("trade", &self.writes), Executor::of("trade-read", &self.reads)]
    }

    /// Answers from memory; `None` for what is in the file only.
    fn recall(&self, read: &Read) -> Option<Found> {
        let book = self.shared.book();
        match *read {
            Read::Account { customer } => Some(Found::Account(book.account(customer))),
            Read::Holdings { customer, offset, num } => Some(Found::Holdings {
                holdings: book.holdings(customer, offset, num),
                account: book.account(customer),
            }),
            Read::Stocks { offset, num } => Some(Found::Stocks(book.stocks(offset, num))),
            Read::History { .. } | Read::Pushes { .. } => None,
        }
    }
}

impl super::Store for LocalTrades {
    fn write(&self, write: Write, then: Answer<Written>) {
        Job::submit(&self.writes, write, then);
    }

    fn read(
        &self,
        read: Read,
        later: &mut dyn FnMut() -> Answer<Found>,
    ) -> Option<Result<Found, StoreError>> {
        if let Some(found) = self.recall(&read) {
            return Some(Ok(found));
        }
        Job::submit(&self.reads, read, later());
        None
    }
}

fn unavailable(error: &OpenError) -> StoreError {
    tracing::error!(%error, "the trade store cannot be opened again");
    StoreError::Unavailable
}
