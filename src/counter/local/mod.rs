//! Counters on one machine: in memory, with totals and a journal in `SQLite`.
//!
//! One thread writes (`bookkeeper`: decide on a `draft`, commit to the `journal`, show, answer), one
//! folds the journal into the `totals` (`folder`), one audits when asked (`audit`), and the loops
//! read the counters (`state`) behind one lock. Totals and the journal behind them are the record.

mod audit;
mod bookkeeper;
mod draft;
mod fold;
mod folder;
mod journal;
mod load;
mod shared;
mod state;
mod totals;

pub use self::audit::audit_files;
pub use crate::store::{Step, StepHook};

use self::audit::Auditor;
use self::bookkeeper::Bookkeeper;
use self::folder::Folder;
use self::shared::Shared;
use self::state::second;
use super::{Found, Id, Read, Types, Write, Written};
use crate::exec::{self, Answer, BatchWorker, Executor, Job, Notifier, Queue, Threads};
use crate::limits::{BATCH_JOBS_MAX, COUNTER_FOLD_EVERY_ENTRIES, COUNTERS_MAX, QUEUE_JOBS_MAX};
use crate::meter::Tally;
use crate::store::{Audit, Clock, DataFolder, Health, OpenError, StoreError, SystemClock};
use crossbeam_channel::bounded;
use jiff::tz::TimeZone;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::Builder;
use std::time::Duration;

/// How to run the store.
#[derive(Clone)]
pub struct LocalOptions {
    /// Where calendar hours, days and weeks begin.
    pub zone: TimeZone,
    /// How long a request key is remembered, at least.
    pub idempotency_keep: Duration,
    /// Types whose users an audit holds against their counts.
    pub types: Arc<Types>,
    /// Tells the loops that counters changed.
    pub notifier: Arc<Notifier>,
    /// Jobs that may wait for the bookkeeper.
    pub queue_jobs_max: usize,
    /// Jobs in one commit.
    pub batch_jobs_max: usize,
    /// Journal entries between two folds.
    pub fold_every: i64,
    /// Counters that there may be.
    pub counters_max: usize,
    /// The time of the record.
    pub clock: Arc<dyn Clock>,
    /// Called between steps, in simulations.
    pub step: Option<StepHook>,
}

impl Default for LocalOptions {
    fn default() -> Self {
        Self {
            zone: TimeZone::UTC,
            idempotency_keep: Duration::from_secs(24 * 3_600),
            types: Arc::default(),
            notifier: Arc::default(),
            queue_jobs_max: QUEUE_JOBS_MAX,
            batch_jobs_max: BATCH_JOBS_MAX,
            fold_every: COUNTER_FOLD_EVERY_ENTRIES,
            counters_max: COUNTERS_MAX,
            clock: Arc::new(SystemClock),
            step: None,
        }
    }
}

/// The local counter store; shared by all loops.
pub struct LocalCounters {
    writes: Queue<Job<Write, Written>>,
    shared: Arc<Shared>,
    types: Arc<Types>,
}

/// What the store holds and does; for metrics.
#[derive(Clone, Debug)]
pub struct Figures {
    /// Counters that were ever written.
    pub counters: usize,
    /// Users counted, by all counters together.
    pub users: usize,
    /// Counters of each type asked for.
    pub of_types: Vec<usize>,
    /// The newest entry that is durable.
    pub journal_position: i64,
    /// The newest entry that the totals contain.
    pub folded_position: i64,
    /// Request keys that a retry would be known by.
    pub keys_held: u64,
    /// How long commits took, in microseconds.
    pub commits: Tally,
}

impl LocalCounters {
    /// Opens or makes the files in `folder`, loads the counters, and starts the threads. They end
    /// when the last handle to the store is dropped.
    pub fn open(
        folder: &Arc<DataFolder>,
        options: &LocalOptions,
    ) -> Result<(Arc<Self>, Threads), OpenError> {
        let shared = Arc::new(Shared::new(folder, options));
        // The totals first: a journal without them is refused.
        let folder = Folder::open(&shared)?;
        let (bell, rung) = bounded(1);
        let (of_reopen, copy) = (Arc::clone(&shared), options.clone());
        let open = move || Bookkeeper::open(&of_reopen, &copy, bell.clone())?.load();
        let bookkeeper = open()?;
        let folder = folder.with_journal()?;

        let reopen = move || open().map_err(|error| unavailable(&error));
        let worker = BatchWorker::new("counter", bookkeeper, reopen);
        let (queued, batched) = (options.queue_jobs_max, options.batch_jobs_max);
        let (writes, mut threads) = exec::spawn("counter", vec![worker], queued, batched)?;
        let thread = Builder::new().name("counter-fold".into());
        threads.push(thread.spawn(move || folder.run(&rung))?);
        let counters = Self { writes, shared, types: Arc::clone(&options.types) };
        Ok((Arc::new(counters), Threads::new("counter", threads)))
    }

    /// Whether the store still takes writes.
    pub fn health(&self) -> &Health {
        &self.shared.condition.health
    }

    /// Holds the counters against their record, on a thread of its own.
    pub fn auditor(&self) -> Result<Box<dyn Audit>, OpenError> {
        Ok(Box::new(Auditor::open(&self.shared, &self.types)?))
    }

    /// What the store holds and does now; for metrics.
    pub fn figures(&self, types: &[Id]) -> Figures {
        let shared = &self.shared;
        let all = shared.counters();
        let of_type = |counter_type| all.types.get(counter_type).map_or(0, |t| t.all.sums().len());
        let of_types = types.iter().map(of_type).collect();
        let (counters, users) = (all.known, all.users);
        drop(all);
        Figures {
            counters,
            users,
            of_types,
            journal_position: shared.committed_id.load(Ordering::Relaxed),
            folded_position: shared.folded_id.load(Ordering::Relaxed),
            keys_held: shared.keys_held.load(Ordering::Relaxed),
            commits: shared.condition.commits.tally(),
        }
    }

    /// The executor behind the store; for metrics.
    pub fn executor(&self) -> Executor {
        Executor::of("counter", &self.writes)
    }
}

impl super::Store for LocalCounters {
    fn write(&self, write: Write, then: Answer<Written>) {
        Job::submit(&self.writes, write, then);
    }

    /// Memory knows all, so it is always answered at once.
    fn read(
        &self,
        read: &Read,
        _: &mut dyn FnMut() -> Answer<Found>,
    ) -> Option<Result<Found, StoreError>> {
        let counters = self.shared.counters();
        Some(Ok(match read {
            Read::Count(counter) => Found::Count(counters.count(counter)),
            Read::Counts(many) => Found::Counts(counters.counts(many)),
            Read::Hot { counter_type, period, num } => {
                let (calendar, at_s) =
                    (&self.shared.calendar, second(self.shared.now_us(&counters)));
                Found::Hot(counters.hot(calendar, counter_type, *period, *num, at_s))
            }
            Read::IsCounted { counter, user } => {
                Found::IsCounted(counters.is_counted(counter, user))
            }
        }))
    }
}

fn unavailable(error: &OpenError) -> StoreError {
    tracing::error!(%error, "the counter store cannot be opened again");
    StoreError::Unavailable
}
