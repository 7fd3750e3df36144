//! The threads of the lane, the queue before them and the way out.

use super::client::Mongo;
use super::options::MongoOptions;
use crate::store::lane::{Breaker, LaneError, LaneThreads, Shed, ShedReason, Verdict};
use crossbeam_channel::{Receiver, Sender, TrySendError, bounded};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// What one thread does; owns what only that thread changes, such as its writer id.
pub trait MongoWorker: Send + 'static {
    /// What is asked.
    type Job: Send + 'static;

    /// Drains `batch`, answering each. May block as long as the driver does.
    fn run(&mut self, mongo: &Mongo, batch: &mut Vec<Self::Job>);

    /// The queue is closed and empty: finish what is open, then the thread ends.
    fn close(&mut self, _mongo: &Mongo) {}
}

/// The way in; cloned at will. The threads end when every clone is dropped.
pub struct MongoLane<J> {
    jobs: Sender<J>,
    shared: Arc<Shared>,
}

struct Shared {
    breaker: Arc<Breaker>,
    /// Since when each thread has its batch, in milliseconds after `start`; 0 for none.
    busy_since: Vec<AtomicU64>,
    start: Instant,
    /// A batch that takes longer is stuck in a driver that waits for a silent server.
    stuck_after: Duration,
}

impl<J: Send + 'static> MongoLane<J> {
    /// Checks the server and starts the threads, each with the worker that `make` gives it. A
    /// worker that panicked is made anew.
    pub fn open<W: MongoWorker<Job = J>>(
        options: &MongoOptions,
        make: impl Fn(usize) -> W + Send + Sync + 'static,
    ) -> Result<(Self, LaneThreads), LaneError> {
        // A probe waits for a server twice: until one is found, and for its answer.
        let patience = options.connect_timeout * 2 + options.operation_timeout;
        let breaker = Arc::new(Breaker::new(patience));
        let mongo = Mongo::new(options, Arc::clone(&breaker))?;
        mongo.check_version()?;
        let shared = Arc::new(Shared {
            breaker,
            busy_since: (0..options.threads).map(|_| AtomicU64::new(0)).collect(),
            start: Instant::now(),
            stuck_after: patience,
        });
        let (jobs, queue) = bounded(options.queue_jobs_max);
        let make = Arc::new(make);
        let mut threads = LaneThreads::new("mongo");
        for index in 0..options.threads {
            let make = Arc::clone(&make);
            let thread = Thread {
                index,
                mongo: mongo.clone(),
                queue: queue.clone(),
                batch_jobs_max: options.batch_jobs_max,
                shared: Arc::clone(&shared),
            };
            threads.spawn(index, move || thread.work(|| make(index)))?;
        }
        Ok((Self { jobs, shared }, threads))
    }

    /// Hands `job` to a thread, or hands it back. Never blocks.
    pub fn submit(&self, job: J) -> Result<(), Shed<J>> {
        let now = Instant::now();
        if self.shared.all_stuck(now) || self.shared.breaker.admit(now) == Verdict::Refuse {
            return Err(Shed { job, reason: ShedReason::Away });
        }
        self.submit_always(job)
    }

    /// The same past the breaker, for recovery that must find out for itself. Never blocks.
    pub fn submit_always(&self, job: J) -> Result<(), Shed<J>> {
        self.jobs.try_send(job).map_err(|error| match error {
            TrySendError::Full(job) | TrySendError::Disconnected(job) => {
                Shed { job, reason: ShedReason::Full }
            }
        })
    }
}

impl<J> MongoLane<J> {
    /// Jobs that wait; for metrics.
    pub fn depth(&self) -> usize {
        self.jobs.len()
    }

    /// Threads that are at work or stuck; for metrics.
    pub fn busy(&self) -> usize {
        let is_busy = |since: &&AtomicU64| since.load(Ordering::Relaxed) != 0;
        self.shared.busy_since.iter().filter(is_busy).count()
    }

    /// Threads in all.
    pub fn threads(&self) -> usize {
        self.shared.busy_since.len()
    }

    /// Whether MongoDB counts as away; for `/readyz`.
    pub fn is_away(&self) -> bool {
        self.shared.breaker.is_open() || self.shared.all_stuck(Instant::now())
    }
}

impl<J> Clone for MongoLane<J> {
    fn clone(&self) -> Self {
        Self { jobs: self.jobs.clone(), shared: Arc::clone(&self.shared) }
    }
}

impl Shared {
    /// True when no thread is left to find out whether the server is back.
    fn all_stuck(&self, now: Instant) -> bool {
        let before = self.millis(now).saturating_sub(millis(self.stuck_after));
        self.busy_since.iter().all(|since| (1..before).contains(&since.load(Ordering::Relaxed)))
    }

    fn begin(&self, thread: usize) {
        self.busy_since[thread].store(self.millis(Instant::now()), Ordering::Relaxed);
    }

    fn end(&self, thread: usize) {
        self.busy_since[thread].store(0, Ordering::Relaxed);
    }

    /// Never 0, which means idle.
    fn millis(&self, now: Instant) -> u64 {
        millis(now.saturating_duration_since(self.start)) + 1
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).expect("less than half a billion years")
}

struct Thread<J> {
    index: usize,
    mongo: Mongo,
    queue: Receiver<J>,
    batch_jobs_max: usize,
    shared: Arc<Shared>,
}

impl<J> Thread<J> {
    fn work<W: MongoWorker<Job = J>>(self, make: impl Fn() -> W) {
        let mut worker = make();
        let mut batch = Vec::with_capacity(self.batch_jobs_max);
        while let Ok(first) = self.queue.recv() {
            self.shared.begin(self.index);
            batch.push(first);
            batch.extend(self.queue.try_iter().take(self.batch_jobs_max - 1));
            // Unwind safety: a worker that panicked is dropped with all that it knew.
            let run = catch_unwind(AssertUnwindSafe(|| {
                worker.run(&self.mongo, &mut batch);
                assert!(batch.is_empty(), "every job of a batch must be answered");
            }));
            self.shared.end(self.index);
            if run.is_err() {
                tracing::error!("a MongoDB worker panicked; it is made anew");
                batch.clear();
                worker = make();
            }
        }
        worker.close(&self.mongo);
    }
}
