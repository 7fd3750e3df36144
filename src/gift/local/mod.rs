//! Gifts on one machine: boards in memory, the journal in `SQLite`.
//!
//! One thread writes (`bookkeeper`: decide on a `draft`, commit, show, answer), a few look up
//! what memory does not hold (`reader`), one folds the journal into a checkpoint (`checkpointer`),
//! one audits when asked (`audit`), and the loops read the boards (`state`) behind one lock. The journal is the only record.

mod audit;
mod bookkeeper;
mod checkpoint;
mod checkpointer;
mod draft;
mod fan_audit;
mod journal;
mod load;
mod proofreader;
mod reader;
mod shared;
mod state;
mod sums;
mod transfer;

pub use self::audit::{FilesAudit, audit_files};
pub use self::journal::Line;
pub use self::transfer::{JournalFile, TransferError, import};
pub use crate::store::{Step, StepHook};

use self::audit::Auditor;
use self::bookkeeper::Bookkeeper;
use self::checkpointer::Checkpointer;
use self::reader::Reader;
use self::shared::Shared;
use self::state::Rules;
use super::{Found, Read, Write, Written};
use crate::calendar::{Calendar, Keep};
use crate::exec::{self, Answer, BatchWorker, Executor, Job, Notifier, Queue, Threads};
use crate::limits::{
    BATCH_JOBS_MAX, GIFT_AUDIT_PAUSE, GIFT_CHECKPOINT_ENTRIES, QUEUE_JOBS_MAX, READ_BATCH_JOBS_MAX,
};
use crate::meter::Tally;
use crate::store::{Audit, Clock, DataFolder, Health, OpenError, StoreError, SystemClock};
use crossbeam_channel::bounded;
use jiff::tz::TimeZone;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::Builder;
use std::time::Duration;

/// The paths that request keys are scoped to.
const SEND: u8 = 0;
const REVOKE: u8 = 1;

/// How to run the store.
#[derive(Clone)]
pub struct LocalOptions {
    /// Where calendar hours, days and weeks begin.
    pub zone: TimeZone,
    /// How long the boards of ended periods are kept.
    pub keep: Keep,
    /// How long a request key is remembered, at least.
    pub idempotency_keep: Duration,
    /// Threads that look up what memory does not hold.
    pub readers: usize,
    /// Jobs that may wait for the bookkeeper, and for the readers.
    pub queue_jobs_max: usize,
    /// Jobs in one commit.
    pub batch_jobs_max: usize,
    /// Journal entries between two checkpoints.
    pub checkpoint_every: i64,
    /// The time of the record.
    pub clock: Arc<dyn Clock>,
    /// Learns of every change.
    pub notifier: Arc<Notifier>,
    /// Called between steps, in simulations.
    pub step: Option<StepHook>,
}

impl LocalOptions {
    /// The defaults, with those who learn of changes.
    pub fn new(notifier: Arc<Notifier>) -> Self {
        Self {
            zone: TimeZone::UTC,
            keep: Keep::default(),
            idempotency_keep: Duration::from_secs(24 * 3_600),
            readers: 2,
            queue_jobs_max: QUEUE_JOBS_MAX,
            batch_jobs_max: BATCH_JOBS_MAX,
            checkpoint_every: GIFT_CHECKPOINT_ENTRIES,
            clock: Arc::new(SystemClock),
            notifier,
            step: None,
        }
    }
}

/// The local gift store; shared by all loops.
pub struct LocalGifts {
    writes: Queue<Job<Write, Written>>,
    reads: Queue<Job<Read, Found>>,
    shared: Arc<Shared>,
}

/// What the store holds and does; for metrics.
#[derive(Clone, Debug)]
pub struct Figures {
    /// Anchors on the board of all time.
    pub listed: usize,
    /// Boards of hours, days and weeks that are kept.
    pub span_boards: usize,
    /// The newest entry that is durable.
    pub journal_position: i64,
    /// The newest entry that the checkpoint contains.
    pub checkpoint_position: i64,
    /// Request keys that a retry would be known by.
    pub keys_held: u64,
    /// How long commits took, in microseconds.
    pub commits: Tally,
}

impl LocalGifts {
    /// Opens or makes the files in `folder`, loads the boards, and starts the threads. They end when
    /// the last handle to the store is dropped.
    pub fn open(
        folder: &Arc<DataFolder>,
        options: &LocalOptions,
    ) -> Result<(Arc<Self>, Threads), OpenError> {
        let shared = Arc::new(shared_of(folder, options));
        let keep_us = i64::try_from(options.idempotency_keep.as_micros()).unwrap_or(i64::MAX);
        let every = options.checkpoint_every;
        let (bell, rung) = bounded(1);
        let reopen_shared = Arc::clone(&shared);
        let open = move || Bookkeeper::open(&reopen_shared, keep_us, every, bell.clone());

        // The journal first: it tells whether the checkpoint is one of its own.
        let bookkeeper = open()?;
        let checkpointer = Checkpointer::open(&shared)?;
        let bookkeeper = bookkeeper.load()?;
        let readers = (0..options.readers.max(1)).map(|_| Reader::open(&shared));
        let readers = readers.collect::<Result<Vec<_>, _>>()?;

        let reopen = move || open().and_then(Bookkeeper::load).map_err(|error| unavailable(&error));
        let worker = BatchWorker::new("gift", bookkeeper, reopen);
        let (queued, batched) = (options.queue_jobs_max, options.batch_jobs_max);
        let (writes, mut threads) = exec::spawn("gift", vec![worker], queued, batched)?;
        let workers = readers.into_iter().map(|reader| {
            let shared = Arc::clone(&shared);
            let reopen = move || Reader::open(&shared).map_err(|error| unavailable(&error));
            BatchWorker::new("gift-read", reader, reopen)
        });
        let workers = workers.collect();
        let (reads, more) = exec::spawn("gift-read", workers, queued, READ_BATCH_JOBS_MAX)?;
        threads.extend(more);
        let thread = Builder::new().name("gift-checkpoint".into());
        threads.push(thread.spawn(move || checkpointer.run(&rung))?);
        Ok((Arc::new(Self { writes, reads, shared }), Threads::new("gift", threads)))
    }

    /// Whether the store still takes writes.
    pub fn health(&self) -> &Health {
        &self.shared.condition.health
    }

    /// Recomputes boards and fans from the journal, on a thread of its own.
    pub fn auditor(&self) -> Result<Box<dyn Audit>, OpenError> {
        Ok(Box::new(Auditor::open(&self.shared, GIFT_AUDIT_PAUSE)?))
    }

    /// What the store holds and does now; for metrics.
    pub fn figures(&self) -> Figures {
        let shared = &self.shared;
        let boards = shared.boards();
        let (listed, span_boards) = (boards.all.board.len(), boards.spans.len());
        drop(boards);
        Figures {
            listed,
            span_boards,
            journal_position: shared.committed_id.load(Ordering::Relaxed),
            checkpoint_position: shared.folded_id.load(Ordering::Relaxed),
            keys_held: shared.keys_held.load(Ordering::Relaxed),
            commits: shared.condition.commits.tally(),
        }
    }

    /// The executors behind the store: writes, then look-ups; for metrics.
    pub fn executors(&self) -> [Executor; 2] {
        [Executor::of("gift", &self.writes), Executor::of("gift-read", &self.reads)]
    }

    /// Answers from memory; `None` for what is in the files only.
    fn recall(&self, read: &Read) -> Option<Found> {
        let boards = self.shared.boards();
        let now_us = self.shared.now_us(&boards);
        let rules = &self.shared.rules;
        match *read {
            Read::Top(query) => Some(boards.top(rules, &query, now_us)),
            Read::Rank { anchor_id, period, around } => {
                let board = boards.current(rules, period, now_us);
                Some(Found::Rank(board.and_then(|board| board.standing(anchor_id, around))))
            }
            Read::Worth { anchor_id } => Some(Found::Worth(boards.all.board.total(anchor_id))),
            Read::Journal { .. } | Read::Fans { .. } => None,
        }
    }
}

impl super::Store for LocalGifts {
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

    fn version(&self) -> u64 {
        self.shared.version()
    }
}

fn shared_of(folder: &Arc<DataFolder>, options: &LocalOptions) -> Shared {
    let rules = Rules { calendar: Calendar::new(options.zone.clone()), keep: options.keep };
    Shared::new(folder, rules, zone_name(&options.zone), options)
}

fn unavailable(error: &OpenError) -> StoreError {
    tracing::error!(%error, "the gift store cannot be opened again");
    StoreError::Unavailable
}

/// Two zones of one name have the same calendar; a zone without a name is told by its rules.
fn zone_name(zone: &TimeZone) -> String {
    zone.iana_name().map_or_else(|| format!("{zone:?}"), str::to_owned)
}
