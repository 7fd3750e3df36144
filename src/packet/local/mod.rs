//! Red packets on one machine: what loops decide by in memory, the record in `SQLite`.
//!
//! A loop refuses from memory what it can (`shared`), draws a number of a reserved block (`draws`)
//! and answers an unlucky one itself. What may win goes to the one thread that writes
//! (`bookkeeper`: decide on a `draft`, commit, show, answer). A few threads look up what memory does
//! not hold (`reader`), one audits when asked (`audit`), and one tells the time (`ticker`).

mod audit;
mod bookkeeper;
mod draft;
mod draws;
mod journal;
mod load;
mod look_up;
mod manage;
mod reader;
mod shared;
mod ticker;

pub use self::audit::audit_files;
pub use self::journal::back_up;
pub use crate::store::{Step, StepHook};

use self::audit::Auditor;
use self::bookkeeper::{Bookkeeper, Command, Keep, Outcome};
use self::reader::Reader;
use self::shared::Shared;
use super::gate::GateOptions;
use super::{Found, Manage, Managed, Open, Opened, Read, Refusal, Snatch, Snatched, State, Sum};
use crate::exec::{self, Answer, BatchWorker, Executor, Job, Queue, Threads};
use crate::limits::{BATCH_JOBS_MAX, QUEUE_JOBS_MAX, RAIN_TICK, READ_BATCH_JOBS_MAX};
use crate::meter::Tally;
use crate::store::{Audit, Clock, DataFolder, Health, OpenError, StoreError, SystemClock};
use crossbeam_channel::Sender;
use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// The paths that request keys are scoped to.
const SNATCH: u8 = 0;
const OPEN: u8 = 1;
const MANAGE: u8 = 2;

/// An operator's key belongs to one of these instead of a user.
const CREATE: i64 = 0;
const CHANGE: i64 = 1;

/// A path and whose key it is.
type Scope = (u8, i64);

/// How to run the store.
#[derive(Clone)]
pub struct LocalOptions {
    /// How many snatches are let in.
    pub gate: GateOptions,
    /// How long a request key is remembered, at least.
    pub idempotency_keep: Duration,
    /// How long after the end of a rain its packets may be opened; `None` for ever.
    pub expire_after: Option<Duration>,
    /// Threads that look up what memory does not hold.
    pub readers: usize,
    /// Jobs that may wait for the bookkeeper, and for the readers.
    pub queue_jobs_max: usize,
    /// Jobs in one commit.
    pub batch_jobs_max: usize,
    /// How often time is told; `None` leaves it to [`LocalPackets::tick`].
    pub tick: Option<Duration>,
    /// The time of the record.
    pub clock: Arc<dyn Clock>,
    /// Called between steps, in simulations.
    pub step: Option<StepHook>,
}

impl LocalOptions {
    /// The defaults, behind these limits.
    pub fn new(gate: GateOptions) -> Self {
        Self {
            gate,
            idempotency_keep: Duration::from_secs(24 * 3_600),
            expire_after: None,
            readers: 2,
            queue_jobs_max: QUEUE_JOBS_MAX,
            batch_jobs_max: BATCH_JOBS_MAX,
            tick: Some(RAIN_TICK),
            clock: Arc::new(SystemClock),
            step: None,
        }
    }
}

/// The local packet store; shared by all loops.
pub struct LocalPackets {
    writes: Queue<Job<Command, Outcome>>,
    reads: Queue<Job<Read, Found>>,
    shared: Arc<Shared>,
    /// The ticker ends when this is dropped.
    _ticking: Option<Sender<Infallible>>,
}

/// What the store holds and does; for metrics.
#[derive(Clone, Debug)]
pub struct Figures {
    /// What is handed out of the newest rain.
    pub handed_out: Sum,
    /// Packets that are left of it.
    pub left_count: i64,
    /// Winning draws of a million.
    pub hit_ppm: i64,
    /// The newest version of its terms.
    pub version: i64,
    /// How snatches ended: names and counts.
    pub snatches: Vec<(&'static str, u64)>,
    /// Users with a bucket that is not full.
    pub limited_users: usize,
    /// Request keys that a retry would be known by.
    pub keys_held: u64,
    /// How long commits took, in microseconds.
    pub commits: Tally,
}

impl LocalPackets {
    /// Opens or makes the file in `folder`, puts the newest rain on stage, and starts the threads.
    pub fn open(
        folder: &Arc<DataFolder>,
        options: &LocalOptions,
    ) -> Result<(Arc<Self>, Threads), OpenError> {
        let shared = Arc::new(Shared::new(folder, options));
        let idempotency_us = options.idempotency_keep.as_micros();
        let idempotency_us = i64::try_from(idempotency_us).unwrap_or(i64::MAX);
        let keep = Keep { idempotency_us, expire: options.expire_after };
        let bookkeeper = Bookkeeper::open(&shared, keep)?;
        let readers = (0..options.readers.max(1)).map(|_| Reader::open(&shared));
        let readers = readers.collect::<Result<Vec<_>, _>>()?;

        let reopened = Arc::clone(&shared);
        let reopen = move || Bookkeeper::open(&reopened, keep).map_err(|error| unavailable(&error));
        let worker = BatchWorker::new("packet", bookkeeper, reopen);
        let (queued, batched) = (options.queue_jobs_max, options.batch_jobs_max);
        let (writes, mut threads) = exec::spawn("packet", vec![worker], queued, batched)?;
        let workers = readers.into_iter().map(|reader| {
            let shared = Arc::clone(&shared);
            let reopen = move || Reader::open(&shared).map_err(|error| unavailable(&error));
            BatchWorker::new("packet-read", reader, reopen)
        });
        let workers = workers.collect();
        let (reads, more) = exec::spawn("packet-read", workers, queued, READ_BATCH_JOBS_MAX)?;
        threads.extend(more);
        let mut ticking = None;
        if let Some(every) = options.tick {
            let (until, thread) = ticker::start(every, &writes, &shared)?;
            ticking = Some(until);
            threads.push(thread);
        }
        let packets = Self { writes, reads, shared, _ticking: ticking };
        Ok((Arc::new(packets), Threads::new("packet", threads)))
    }

    /// Whether the store still takes writes.
    pub fn health(&self) -> &Health {
        &self.shared.condition.health
    }

    /// Recomputes budgets, wallets and draws from the record, on a thread of its own.
    pub fn auditor(&self) -> Result<Box<dyn Audit>, OpenError> {
        Ok(Box::new(Auditor::open(&self.shared)?))
    }

    /// What the store holds and does now; for metrics.
    pub fn figures(&self) -> Figures {
        let shared = &self.shared;
        let stage = shared.stage.get();
        let rain = stage.rain.as_ref();
        Figures {
            handed_out: rain.map(|rain| rain.tally.handed_out()).unwrap_or_default(),
            left_count: rain.map_or(0, shared::OnStage::left_count),
            hit_ppm: rain.map_or(0, |rain| rain.version.hit_ppm),
            version: rain.map_or(0, |rain| rain.version.version),
            snatches: shared.outcomes.all(),
            limited_users: shared.gate.users(),
            keys_held: shared.keys_held.load(Ordering::Relaxed),
            commits: shared.condition.commits.tally(),
        }
    }

    /// The executors behind the store: writes, then look-ups; for metrics.
    pub fn executors(&self) -> [Executor; 2] {
        [Executor::of("packet", &self.writes), Executor::of("packet-read", &self.reads)]
    }

    /// Tells the store that time has passed: rains end, hit rates change, packets are returned.
    pub fn tick(&self, then: Answer<()>) {
        let then = Box::new(move |outcome: Result<Outcome, StoreError>| then(outcome.map(drop)));
        Job::submit(&self.writes, Command::Tick, then);
    }

    fn now_s(&self) -> i64 {
        self.shared.clock.now_us().div_euclid(1_000_000)
    }

    /// What memory says to a snatch; `Err` with the draw that won, if there was one.
    fn decide(&self, snatch: &Snatch) -> Result<Snatched, Option<(i64, i64)>> {
        let stage = self.shared.stage.get();
        let refused = |refusal| Ok(Snatched::Refused(refusal));
        let rain = stage.rain.as_ref();
        let now_s = self.now_s();
        let closed = match rain.map_or(State::Scheduled, |rain| rain.state(now_s)) {
            State::Running => None,
            State::Scheduled => Some(Refusal::NotStarted),
            State::Ended => Some(Refusal::Ended),
            State::Paused => Some(Refusal::Paused),
        };
        // A retry is answered as the first time, whatever became of the rain since.
        if let Some(refusal) = closed.filter(|_| snatch.key.is_none()) {
            return refused(refusal);
        }
        if let Err(refusal) = self.shared.gate.check(snatch.uid) {
            return refused(refusal);
        }
        let Some(rain) = rain.filter(|_| snatch.key.is_none()) else { return Err(None) };
        if rain.tally.of_user(snatch.uid) >= rain.version.config.max_per_user {
            return refused(Refusal::NoSnatches);
        }
        if rain.left_count() <= 0 {
            return refused(Refusal::NoPackets);
        }
        match rain.draws.take() {
            Some(draw) if !rain.wins(draw) => Ok(Snatched::Unlucky { draw }),
            drawn => Err(drawn.map(|draw| (rain.id, draw))),
        }
    }

    fn shown(&self) -> Found {
        let stage = self.shared.stage.get();
        Found::Rain(stage.rain.as_ref().map(|rain| rain.shown(self.now_s())))
    }

    /// Whether the newest rain is over by the clock, and nobody has noted it yet.
    fn ends_now(&self) -> bool {
        let stage = self.shared.stage.get();
        let rain = stage.rain.as_ref();
        rain.is_some_and(|rain| !rain.has_ended && rain.state(self.now_s()) == State::Ended)
    }
}

impl super::Store for LocalPackets {
    fn snatch(
        &self,
        snatch: Snatch,
        later: &mut dyn FnMut() -> Answer<Snatched>,
    ) -> Option<Result<Snatched, StoreError>> {
        match self.decide(&snatch) {
            Ok(snatched) => {
                self.shared.outcomes.count(&snatched);
                Some(Ok(snatched))
            }
            Err(drawn) => {
                let then = later();
                let then = move |outcome: Result<Outcome, StoreError>| {
                    then(outcome.and_then(|outcome| match outcome {
                        Outcome::Snatched(snatched) => Ok(snatched),
                        other => Err(mixed_up(other)),
                    }));
                };
                Job::submit(&self.writes, Command::Snatch(snatch, drawn), Box::new(then));
                None
            }
        }
    }

    fn open(&self, open: Open, then: Answer<Opened>) {
        let then = move |outcome: Result<Outcome, StoreError>| {
            then(outcome.and_then(|outcome| match outcome {
                Outcome::Opened(opened) => Ok(opened),
                other => Err(mixed_up(other)),
            }));
        };
        Job::submit(&self.writes, Command::Open(open), Box::new(then));
    }

    fn manage(&self, manage: Manage, then: Answer<Managed>) {
        let then = move |outcome: Result<Outcome, StoreError>| {
            then(outcome.and_then(|outcome| match outcome {
                Outcome::Managed(managed) => Ok(managed),
                other => Err(mixed_up(other)),
            }));
        };
        Job::submit(&self.writes, Command::Manage(manage), Box::new(then));
    }

    fn read(
        &self,
        read: Read,
        later: &mut dyn FnMut() -> Answer<Found>,
    ) -> Option<Result<Found, StoreError>> {
        if read == Read::Rain {
            return Some(Ok(self.shown()));
        }
        let then = later();
        if matches!(read, Read::Proof { .. }) && self.ends_now() {
            // The seed is told only once the end is on disk: a clock may be set back.
            let reads = self.reads.clone();
            self.tick(Box::new(move |ticked| match ticked {
                Ok(()) => Job::submit(&reads, read, then),
                Err(error) => then(Err(error)),
            }));
        } else {
            Job::submit(&self.reads, read, then);
        }
        None
    }
}

fn unavailable(error: &OpenError) -> StoreError {
    tracing::error!(%error, "the packet store cannot be opened again");
    StoreError::Unavailable
}

/// The bookkeeper answers each command with its own outcome; anything else is our bug.
fn mixed_up(outcome: Outcome) -> StoreError {
    tracing::error!(?outcome, "the bookkeeper answered another question");
    StoreError::Broken
}
