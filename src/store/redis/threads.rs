//! The threads of the lane, a queue before each, and the way in.

use super::command::{Answer, Away, Command};
use super::options::RedisOptions;
use super::router::Router;
use crate::store::lane::{LaneError, LaneThreads, Shed, ShedReason};
use crossbeam_channel::{Receiver, Sender, TrySendError, bounded};
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

/// Commands and the right to answer whoever asked. Dropped unanswered, it answers nobody.
pub struct RedisJob {
    commands: Vec<Command>,
    answer: Box<dyn FnOnce(Vec<Answer>) + Send>,
}

impl RedisJob {
    /// `answer` runs on a thread of the lane and must not block.
    pub fn new(command: Command, answer: impl FnOnce(Answer) + Send + 'static) -> Self {
        Self::all(vec![command], |answers| {
            answer(answers.into_iter().next().expect("one answer for one command"));
        })
    }

    /// Several commands that go together, in this order; as many answers as commands.
    pub fn all(commands: Vec<Command>, answer: impl FnOnce(Vec<Answer>) + Send + 'static) -> Self {
        Self { commands, answer: Box::new(answer) }
    }

    /// For a job that came back from a full queue.
    pub fn give_up(self) {
        let answers = vec![Answer::Away(Away::NotRun); self.commands.len()];
        (self.answer)(answers);
    }
}

impl fmt::Debug for RedisJob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisJob").field("commands", &self.commands).finish_non_exhaustive()
    }
}

/// The way in; cloned at will. The threads end when every clone is dropped.
#[derive(Clone)]
pub struct RedisLane {
    queues: Arc<[Sender<RedisJob>]>,
    shared: Arc<Shared>,
}

struct Shared {
    next: AtomicUsize,
    changes: Arc<AtomicU64>,
    /// Whether each thread's last batch had a command that Redis was away for.
    away: Vec<AtomicBool>,
}

impl RedisLane {
    /// Starts the threads; each connects when it first has something to send. Whether the server
    /// may be used at all, [`RedisOptions::check`] finds out before.
    pub fn open(options: &RedisOptions) -> Result<(Self, LaneThreads), LaneError> {
        let shared = Arc::new(Shared {
            next: AtomicUsize::new(0),
            changes: Arc::default(),
            away: (0..options.threads).map(|_| AtomicBool::new(false)).collect(),
        });
        let mut threads = LaneThreads::new("redis");
        let mut queues = Vec::with_capacity(options.threads);
        for index in 0..options.threads {
            let (sender, queue) = bounded(options.queue_jobs_max);
            queues.push(sender);
            let router = Router::new(options.clone(), Arc::clone(&shared.changes))?;
            let batch_jobs_max = options.batch_jobs_max;
            let thread =
                Thread { index, queue, router, batch_jobs_max, shared: Arc::clone(&shared) };
            threads.spawn(index, move || thread.work())?;
        }
        Ok((Self { queues: queues.into(), shared }, threads))
    }

    /// Hands `job` to any thread, or hands it back. Never blocks.
    pub fn submit(&self, job: RedisJob) -> Result<(), Shed<RedisJob>> {
        let next = self.shared.next.fetch_add(1, Ordering::Relaxed);
        self.send(next % self.queues.len(), job)
    }

    /// The same, to any thread but that of pin 0, where there are others: reads beside what is
    /// pinned there.
    pub fn submit_apart(&self, job: RedisJob) -> Result<(), Shed<RedisJob>> {
        let next = self.shared.next.fetch_add(1, Ordering::Relaxed);
        let others = (self.queues.len() - 1).max(1);
        self.send((1 + next % others) % self.queues.len(), job)
    }

    /// The same, always to the same thread for the same `pin`, such as a writer's id: what is
    /// submitted in order is sent in order.
    pub fn submit_pinned(&self, pin: u64, job: RedisJob) -> Result<(), Shed<RedisJob>> {
        let threads = u64::try_from(self.queues.len()).expect("a few threads");
        self.send(usize::try_from(pin % threads).expect("below a few threads"), job)
    }

    /// Grows whenever a connection of any thread was made or lost, or a slot was found moved: what was
    /// known of the data before may be wrong since. Unchanged between two looks, nothing was.
    pub fn changes(&self) -> u64 {
        self.shared.changes.load(Ordering::Acquire)
    }

    /// Whether any thread found Redis away when it last had to do with it.
    pub fn is_away(&self) -> bool {
        self.shared.away.iter().any(|away| away.load(Ordering::Relaxed))
    }

    /// Threads in all; a job pinned to each of `0..threads` reaches all.
    pub fn threads(&self) -> usize {
        self.queues.len()
    }

    /// Jobs that wait; for metrics.
    pub fn depth(&self) -> usize {
        self.queues.iter().map(Sender::len).sum()
    }

    fn send(&self, thread: usize, job: RedisJob) -> Result<(), Shed<RedisJob>> {
        self.queues[thread].try_send(job).map_err(|error| match error {
            TrySendError::Full(job) | TrySendError::Disconnected(job) => {
                Shed { job, reason: ShedReason::Full }
            }
        })
    }
}

struct Thread {
    index: usize,
    queue: Receiver<RedisJob>,
    router: Router,
    batch_jobs_max: usize,
    shared: Arc<Shared>,
}

impl Thread {
    fn work(mut self) {
        let mut batch = Vec::with_capacity(self.batch_jobs_max);
        while let Ok(first) = self.queue.recv() {
            batch.push(first);
            batch.extend(self.queue.try_iter().take(self.batch_jobs_max - 1));
            let commands: Vec<&Command> = batch.iter().flat_map(|job| &job.commands).collect();
            let answers = self.run(&commands);
            let away = answers.iter().any(|answer| matches!(answer, Answer::Away(_)));
            self.shared.away[self.index].store(away, Ordering::Relaxed);
            let mut answers = answers.into_iter();
            for job in batch.drain(..) {
                let own = answers.by_ref().take(job.commands.len()).collect();
                // An answer that panics is its owner's loss, not that of the others.
                if catch_unwind(AssertUnwindSafe(|| (job.answer)(own))).is_err() {
                    tracing::error!("what was to be done with an answer of Redis panicked");
                }
            }
        }
    }

    fn run(&mut self, commands: &[&Command]) -> Vec<Answer> {
        // Unwind safety: a router that panicked is dropped, and its connections with it.
        catch_unwind(AssertUnwindSafe(|| self.router.run(commands))).unwrap_or_else(|_| {
            tracing::error!("the way to Redis panicked; it is made anew");
            self.router.reset();
            vec![Answer::Away(Away::Unknown); commands.len()]
        })
    }
}
