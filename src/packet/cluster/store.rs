//! The packet store of a cluster: what loops decide at once, and the ways to the threads behind.

use super::audit::Auditor;
use super::care::{Care, Command, Outcome, sealed};
use super::documents::Collections;
use super::look_up;
use super::mongo_record::MongoRecord;
use super::record::Trouble;
use super::redis_view::RedisView;
use super::shared::Shared;
use super::worker::{SnatchJob, Snatcher, Ways};
use crate::cluster::Lanes;
use crate::exec::{self, Answer, BatchWorker, Executor, Job, Queue, Threads};
use crate::limits::{
    QUEUE_JOBS_MAX, RAIN_CLUSTER_BATCH, RAIN_CLUSTER_THREADS, RAIN_CLUSTER_TICK,
    RAIN_CLUSTER_WAITING_MAX,
};
use crate::packet::gate::GateOptions;
use crate::packet::{Found, Manage, Managed, Open, Opened, Read, Refusal, Snatch, Snatched, State};
use crate::store::lane::{Late, Watch};
use crate::store::mongo::{Mongo, MongoError};
use crate::store::{Audit, Clock, StoreError, SystemClock};
use crossbeam_channel::{RecvTimeoutError, Sender, bounded};
use std::convert::Infallible;
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::Builder;
use std::time::Duration;

/// How to run the store.
#[derive(Clone)]
pub struct ClusterOptions {
    /// How many snatches are let in, by this process.
    pub gate: GateOptions,
    /// How long after the end of a rain its packets may be opened; `None` for ever.
    pub expire_after: Option<Duration>,
    /// The hash tag of all keys in Redis.
    pub tag: String,
    /// The collection of the rains; others begin with its name and a point.
    pub rains: String,
    /// After that a request is answered, whatever becomes of it.
    pub deadline: Duration,
    /// After that a question to `MongoDB` has failed.
    pub op_patience: Duration,
    /// How often time is told; `None` leaves it to [`ClusterPackets::tick`].
    pub tick: Option<Duration>,
    /// The time of the record.
    pub clock: Arc<dyn Clock>,
}

impl ClusterOptions {
    /// The defaults, behind these limits.
    pub fn new(gate: GateOptions) -> Self {
        Self {
            gate,
            expire_after: None,
            tag: "fanfare:rain".to_owned(),
            rains: "rains".to_owned(),
            deadline: Duration::from_secs(5),
            op_patience: Duration::from_secs(10),
            tick: Some(RAIN_CLUSTER_TICK),
            clock: Arc::new(SystemClock),
        }
    }
}

/// Why the store did not open.
#[derive(Debug, thiserror::Error)]
pub enum ClusterError {
    /// `MongoDB` did not do what a start needs.
    #[error("MongoDB cannot be prepared: {0}; check that the user may create indexes and write")]
    Mongo(#[from] Trouble),
    /// The system gave no thread.
    #[error("cannot start a thread: {0}")]
    Thread(#[from] io::Error),
}

/// The packet store of a cluster; shared by all loops.
pub struct ClusterPackets {
    snatches: Queue<SnatchJob>,
    care: Queue<Job<Command, Outcome>>,
    ways: Ways,
    watch: Watch,
    /// The ticker ends when this is dropped.
    _ticking: Option<Sender<Infallible>>,
}

/// What the store holds and does; for metrics.
#[derive(Clone, Debug)]
pub struct Figures {
    /// Packets of the newest rain that users got, as of about now.
    pub handed_count: i64,
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
    /// Pools made anew because Redis had forgotten what they handed out.
    pub rebuilt: u64,
}

impl ClusterPackets {
    /// Prepares the collections and starts the threads. Waits for `MongoDB`, not for Redis.
    pub fn open(
        lanes: &Lanes,
        options: &ClusterOptions,
    ) -> Result<(Arc<Self>, Threads), ClusterError> {
        let shared = Arc::new(Shared::new(options));
        let names = Arc::new(Collections::of(&options.rains));
        let record = MongoRecord::new(lanes.clone(), names, options.op_patience);
        record.prepare()?;
        let view = RedisView::new(lanes.clone(), &options.tag);
        let ways = Ways { record, view, lanes: lanes.clone(), shared: Arc::clone(&shared) };
        let workers = (0..RAIN_CLUSTER_THREADS).map(|_| Snatcher::new(ways.clone())).collect();
        let (snatches, mut threads) =
            exec::spawn("packet", workers, QUEUE_JOBS_MAX, RAIN_CLUSTER_BATCH)?;
        let expire_us =
            options.expire_after.map(|it| i64::try_from(it.as_micros()).unwrap_or(i64::MAX));
        let again = ways.clone();
        let care = BatchWorker::new("packet-care", Care::new(ways.clone(), expire_us), move || {
            Ok(Care::new(again.clone(), expire_us))
        });
        let (care, more) = exec::spawn("packet-care", vec![care], QUEUE_JOBS_MAX, 1)?;
        threads.extend(more);
        let mut ticking = None;
        if let Some(every) = options.tick {
            let (until, thread) = tick_every(every, &care, &shared)?;
            ticking = Some(until);
            threads.push(thread);
        }
        let watch = Watch::start(options.deadline, RAIN_CLUSTER_WAITING_MAX)?;
        let packets = Arc::new(Self { snatches, care, ways, watch, _ticking: ticking });
        // Loops know the rain before they are asked for it; without a rain there is nothing to know.
        packets.look_and_wait();
        Ok((packets, Threads::new("packet", threads)))
    }

    /// Recomputes budgets and draws from the record, on a thread of its own.
    pub fn auditor(&self) -> Box<dyn Audit> {
        Box::new(Auditor::new(self.ways.clone()))
    }

    /// Whether this process has looked for the newest rain; for `/readyz`.
    pub fn is_known(&self) -> bool {
        self.ways.shared.is_known.load(Ordering::Relaxed)
    }

    /// The executors behind the store; for metrics.
    pub fn executors(&self) -> [Executor; 2] {
        [Executor::of("packet", &self.snatches), Executor::of("packet-care", &self.care)]
    }

    /// What the store holds and does now; for metrics.
    pub fn figures(&self) -> Figures {
        let shared = &self.ways.shared;
        let stage = shared.stage.get();
        let head = stage.head.as_ref();
        let handed_count = head.map_or(0, |head| shared.handed_count(head));
        Figures {
            handed_count,
            left_count: head.map_or(0, |head| head.terms().total_count - handed_count),
            hit_ppm: head.map_or(0, |head| head.version.hit_ppm),
            version: head.map_or(0, |head| head.version.version),
            snatches: shared.outcomes.all(),
            limited_users: shared.gate.users(),
            rebuilt: shared.rebuilt.load(Ordering::Relaxed),
        }
    }

    /// Tells the store that time has passed: rains end, hit rates change, packets are returned, and
    /// what dead processes left is finished.
    pub fn tick(&self, then: Answer<()>) {
        let then = Box::new(move |outcome: Result<Outcome, StoreError>| then(outcome.map(drop)));
        Job::submit(&self.care, Command::Tick, then);
    }

    fn look_and_wait(&self) {
        let (done, looked) = bounded(1);
        let then = Box::new(move |outcome: Result<Outcome, StoreError>| {
            // The other end waits below.
            let _ = done.send(outcome.map(drop));
        });
        Job::submit(&self.care, Command::Look, then);
        if let Ok(Err(error)) = looked.recv() {
            tracing::warn!(%error, "the newest rain is not known yet");
        }
    }

    /// What memory says to a snatch; `None` when Redis must be asked.
    fn decide(&self, snatch: &Snatch) -> Option<Snatched> {
        let closed = match self.ways.shared.state() {
            State::Running => None,
            State::Scheduled => Some(Refusal::NotStarted),
            State::Ended => Some(Refusal::Ended),
            State::Paused => Some(Refusal::Paused),
        };
        // A retry is answered as the first time, whatever became of the rain since.
        let closed = closed.filter(|_| snatch.key.is_none());
        let refusal = closed.or_else(|| self.ways.shared.gate.check(snatch.uid).err());
        refusal.map(Snatched::Refused)
    }

    /// Has a thread of the lane answer; the watch does when it does not in time.
    fn ask_mongo<T: Send + 'static>(
        &self,
        then: Answer<T>,
        task: impl FnOnce(&Mongo, &Collections) -> Result<T, MongoError> + Send + 'static,
    ) {
        let names = self.ways.record.names();
        let awaited = self.watch.expect(move |outcome: Result<Result<T, StoreError>, Late>| {
            then(outcome.unwrap_or(Err(StoreError::Unavailable)));
        });
        let (mongo, place) =
            (&self.ways.lanes.mongo, Arc::new(std::sync::Mutex::new(Some(awaited))));
        let given = Arc::clone(&place);
        let take = |place: &std::sync::Mutex<Option<_>>| {
            place.lock().unwrap_or_else(std::sync::PoisonError::into_inner).take()
        };
        let submitted = mongo.submit(Box::new(move |mongo: &Mongo| {
            let Some(awaited) = take(&given) else { return };
            awaited.send(task(mongo, &names).map_err(|error| {
                if error.is_away() {
                    StoreError::Unavailable
                } else {
                    tracing::error!(%error, "red packets cannot be looked up");
                    StoreError::Broken
                }
            }));
        }));
        if submitted.is_err()
            && let Some(awaited) = take(&place)
        {
            awaited.send(Err(StoreError::Unavailable));
        }
    }
}

impl crate::packet::Store for ClusterPackets {
    fn snatch(
        &self,
        snatch: Snatch,
        later: &mut dyn FnMut() -> Answer<Snatched>,
    ) -> Option<Result<Snatched, StoreError>> {
        if let Some(snatched) = self.decide(&snatch) {
            self.ways.shared.outcomes.count(&snatched);
            return Some(Ok(snatched));
        }
        if self.ways.lanes.mongo.is_away() {
            // Before Redis gives a packet away that nobody could write down.
            return Some(Err(StoreError::Unavailable));
        }
        let then = later();
        let awaited = self.watch.expect(move |outcome: Result<Result<Snatched, _>, Late>| {
            then(outcome.unwrap_or(Err(StoreError::Unavailable)));
        });
        if let Err(job) = self.snatches.submit(SnatchJob { snatch, awaited }) {
            job.awaited.send(Err(StoreError::Unavailable));
        }
        None
    }

    fn open(&self, open: Open, then: Answer<Opened>) {
        let now_us = self.ways.shared.clock.now_us();
        self.ask_mongo(then, move |mongo, names| look_up::open(mongo, names, &open, now_us));
    }

    fn manage(&self, manage: Manage, then: Answer<Managed>) {
        let then = move |outcome: Result<Outcome, StoreError>| {
            then(outcome.and_then(|outcome| match outcome {
                Outcome::Managed(managed) => Ok(managed),
                Outcome::Ticked => {
                    tracing::error!("the thread that cares answered another question");
                    Err(StoreError::Broken)
                }
            }));
        };
        Job::submit(&self.care, Command::Manage(manage), Box::new(then));
    }

    fn read(
        &self,
        read: Read,
        later: &mut dyn FnMut() -> Answer<Found>,
    ) -> Option<Result<Found, StoreError>> {
        if read == Read::Rain {
            return Some(Ok(Found::Rain(self.ways.shared.shown())));
        }
        let then = later();
        if matches!(read, Read::Proof { .. }) && self.ways.shared.state() == State::Ended {
            // The seed is told only once nothing can be handed out any more.
            let ways = self.ways.clone();
            let awaited = self.watch.expect(move |outcome: Result<Result<Found, _>, Late>| {
                then(outcome.unwrap_or(Err(StoreError::Unavailable)));
            });
            let then = Box::new(move |_: Result<Outcome, StoreError>| {
                let found = sealed(&ways).and_then(|()| {
                    ways.record.ask(move |mongo, names| look_up::read(mongo, names, read))
                });
                awaited.send(found.map_err(|trouble| super::worker::unavailable(&trouble)));
            });
            Job::submit(&self.care, Command::Tick, then);
        } else {
            self.ask_mongo(then, move |mongo, names| look_up::read(mongo, names, read));
        }
        None
    }
}

fn tick_every(
    every: Duration,
    care: &Queue<Job<Command, Outcome>>,
    shared: &Arc<Shared>,
) -> io::Result<(Sender<Infallible>, std::thread::JoinHandle<()>)> {
    let (until, ended) = bounded::<Infallible>(0);
    let (care, shared) = (care.clone(), Arc::clone(shared));
    let thread = Builder::new().name("packet-tick".into()).spawn(move || {
        while matches!(ended.recv_timeout(every), Err(RecvTimeoutError::Timeout)) {
            shared.gate.forget();
            // One that waits already will see what this one would.
            if care.depth() == 0 {
                Job::submit(&care, Command::Tick, Box::new(|_| {}));
            }
        }
    })?;
    Ok((until, thread))
}
