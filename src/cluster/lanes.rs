//! The ways out of the process: one lane to Redis and one to `MongoDB`, shared by all domains.

use crate::store::lane::{LaneError, LaneThreads};
use crate::store::mongo::{Mongo, MongoLane, MongoOptions, MongoWorker};
use crate::store::redis::{Answer, Away, Command, RedisJob, RedisLane, RedisOptions};
use crossbeam_channel::bounded;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// What a thread of the lane to `MongoDB` is to do. Nobody hears of one that was dropped or panicked:
/// whoever waits keeps a deadline.
pub type MongoTask = Box<dyn FnOnce(&Mongo) + Send>;

/// Both ways in; cloned at will. The threads end when every clone is dropped.
#[derive(Clone)]
pub struct Lanes {
    /// To the record.
    pub mongo: MongoLane<MongoTask>,
    /// To the view.
    pub redis: RedisLane,
}

/// The threads of both lanes, for whoever ends the process.
pub struct LanesThreads([LaneThreads; 2]);

impl Lanes {
    /// Checks both servers, refusing those that must not be used or do not answer, and starts the
    /// threads.
    pub fn open(
        mongo: &MongoOptions,
        redis: &RedisOptions,
    ) -> Result<(Self, LanesThreads), LaneError> {
        redis.check()?;
        // One task at a time: batches are made before, by the writers.
        let mongo = MongoOptions { batch_jobs_max: 1, ..mongo.clone() };
        let (mongo, mongo_threads) = MongoLane::open(&mongo, |_| Errands)?;
        let (redis, redis_threads) = RedisLane::open(redis)?;
        Ok((Self { mongo, redis }, LanesThreads([mongo_threads, redis_threads])))
    }

    /// Has a task done and waits for it, `patience` long at most; for starts, ends and tools, never
    /// for a loop. `None` when it was not done in time.
    pub fn ask_mongo<T: Send + 'static>(
        &self,
        patience: Duration,
        task: impl FnOnce(&Mongo) -> T + Send + 'static,
    ) -> Option<T> {
        let (done, result) = bounded(1);
        let task: MongoTask = Box::new(move |mongo| {
            // Whoever asked may have given up.
            let _ = done.send(task(mongo));
        });
        self.mongo.submit(task).ok()?;
        result.recv_timeout(patience).ok()
    }
}

impl Lanes {
    /// Has a thread do something with `payload`, which comes back when the lane does not take it now.
    pub fn run<T: Send + 'static>(
        &self,
        payload: T,
        task: impl FnOnce(&Mongo, T) + Send + 'static,
    ) -> Result<(), T> {
        let place = Arc::new(Mutex::new(Some(payload)));
        let given = Arc::clone(&place);
        let task: MongoTask = Box::new(move |mongo| {
            if let Some(payload) = take(&given) {
                task(mongo, payload);
            }
        });
        match self.mongo.submit(task) {
            Ok(()) => Ok(()),
            Err(_) => take(&place).map_or(Ok(()), Err),
        }
    }

    /// Has Redis run a command and waits for it; for tools and audits, never for a loop.
    pub fn ask_redis(&self, command: Command) -> Answer {
        let (done, result) = bounded(1);
        let job = RedisJob::new(command, move |answer| {
            let _ = done.send(answer);
        });
        if let Err(shed) = self.redis.submit_apart(job) {
            shed.job.give_up();
        }
        // The lane answers every job, by its own time-outs.
        result.recv().unwrap_or(Answer::Away(Away::Unknown))
    }
}

impl LanesThreads {
    /// Waits for the threads once every clone of the lanes is dropped, `patience` long at most for
    /// each lane; how many were left behind in a client.
    pub fn join(self, patience: Duration) -> usize {
        self.0.into_iter().map(|threads| threads.join(patience)).sum()
    }
}

fn take<T>(place: &Mutex<Option<T>>) -> Option<T> {
    place.lock().unwrap_or_else(PoisonError::into_inner).take()
}

/// Does one task after the other.
struct Errands;

impl MongoWorker for Errands {
    type Job = MongoTask;

    fn run(&mut self, mongo: &Mongo, batch: &mut Vec<MongoTask>) {
        batch.drain(..).for_each(|task| task(mongo));
    }
}
