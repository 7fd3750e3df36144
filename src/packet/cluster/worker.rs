//! The threads that snatch: each takes what waits as one batch, has Redis decide it and `MongoDB`
//! keep it, and answers.

use super::desk::Desk;
use super::hands::Hands;
use super::mongo_record::MongoRecord;
use super::record::Trouble;
use super::redis_view::RedisView;
use super::shared::Shared;
use super::snatching::{Snatching, Turned};
use crate::cluster::Lanes;
use crate::exec::Worker;
use crate::limits::{RAIN_CLUSTER_DRAWS, RAIN_CLUSTER_HELP_AFTER_WAITS, RAIN_CLUSTER_WAIT};
use crate::packet::{Refusal, Snatch, Snatched};
use crate::store::StoreError;
use crate::store::lane::Awaited;
use std::hash::{BuildHasher, RandomState};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll, Waker};

/// A snatch and the right to answer it.
pub(super) struct SnatchJob {
    pub(super) snatch: Snatch,
    pub(super) awaited: Awaited<Result<Snatched, StoreError>>,
}

/// Both servers, and what a step needs of the world.
#[derive(Clone)]
pub(super) struct Ways {
    pub(super) record: MongoRecord,
    pub(super) view: RedisView,
    pub(super) lanes: Lanes,
    pub(super) shared: Arc<Shared>,
}

/// One thread's desk.
pub(super) struct Snatcher {
    ways: Ways,
    desk: Desk,
}

type Open = (Snatching, SnatchJob);

impl Ways {
    /// Runs a step to its end: whatever it asks is answered before it goes on.
    pub(super) fn run<T>(
        &self,
        step: impl AsyncFnOnce(&Hands<'_, MongoRecord, RedisView>) -> T,
    ) -> T {
        let now_us = || self.shared.clock.now_us();
        // Random keys of the standard library's hash: nobody else draws the same.
        let fresh = || RandomState::new().hash_one(self.shared.clock.now_us());
        let (record, view) = (&self.record, &self.view);
        let hands = Hands { record, view, now_us: &now_us, fresh: &fresh };
        let mut step = pin!(step(&hands));
        match step.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(result) => result,
            Poll::Pending => unreachable!("a question to a lane is answered when it returns"),
        }
    }

    /// What to answer when a server is away.
    fn away(&self) -> Result<Snatched, StoreError> {
        if self.lanes.redis.is_away() && !self.lanes.mongo.is_away() {
            Ok(Snatched::Refused(Refusal::Busy))
        } else {
            Err(StoreError::Unavailable)
        }
    }
}

impl Snatcher {
    pub(super) fn new(ways: Ways) -> Self {
        Self { ways, desk: Desk::default() }
    }

    /// Takes all one step further, and answers those that are done.
    fn turn(&mut self, open: Vec<Open>) -> Vec<Open> {
        let (mut snatches, jobs): (Vec<_>, Vec<_>) = open.into_iter().unzip();
        let desk = &mut self.desk;
        let turned =
            self.ways.run(async |hands| desk.turn(hands, &mut snatches, RAIN_CLUSTER_DRAWS).await);
        let turned = match turned {
            Ok(turned) => turned,
            Err(Trouble::Overtaken) => vec![Turned::Again; jobs.len()],
            Err(trouble) => {
                self.fail(jobs, &trouble);
                return Vec::new();
            }
        };
        self.show();
        if self.desk.is_broken() {
            self.ways.shared.rebuilt.fetch_add(1, Ordering::Relaxed);
        }
        let mut again = Vec::new();
        for ((snatching, job), turned) in snatches.into_iter().zip(jobs).zip(turned) {
            match turned {
                Turned::Again => again.push((snatching, job)),
                turned => self.answer(job, turned),
            }
        }
        let desk = &mut self.desk;
        match self.ways.run(async |hands| desk.tidy(hands).await) {
            Ok(true) => self.ways.shared.ring(),
            Ok(false) => {}
            Err(trouble) => {
                tracing::debug!(%trouble, "what was written down stays in the outbox for now");
            }
        }
        again
    }

    fn answer(&self, job: SnatchJob, turned: Turned) {
        let outcome = match turned {
            Turned::Unlucky { draw } => Ok(Snatched::Unlucky { draw }),
            Turned::Refused(refusal) => Ok(Snatched::Refused(refusal)),
            Turned::Unknown | Turned::Again => Err(StoreError::Unavailable),
            Turned::Got { line, replayed: false } => Ok(Snatched::Got {
                envelope_id: line.envelope_id,
                draw: line.draw,
                max_count: self.max_count(),
                cur_count: line.nth,
                replayed: false,
            }),
            Turned::Got { line, replayed: true } => {
                let (rain, uid) = (line.rain, line.uid);
                let counts = self.ways.record.counts(rain, uid);
                counts.map_err(|error| unavailable(&error)).map(|(max_count, cur_count)| {
                    let (envelope_id, draw) = (line.envelope_id, line.draw);
                    Snatched::Got { envelope_id, draw, max_count, cur_count, replayed: true }
                })
            }
        };
        self.tell(job, outcome);
    }

    fn tell(&self, job: SnatchJob, outcome: Result<Snatched, StoreError>) {
        if let Ok(snatched) = &outcome {
            self.ways.shared.outcomes.count(snatched);
        }
        job.awaited.send(outcome);
    }

    fn fail(&self, jobs: Vec<SnatchJob>, trouble: &Trouble) {
        for job in jobs {
            let outcome = match trouble {
                Trouble::Broken(_) => Err(unavailable(trouble)),
                Trouble::Away | Trouble::Overtaken => self.ways.away(),
            };
            self.tell(job, outcome);
        }
    }

    fn max_count(&self) -> i64 {
        let head = self.desk.stage().head.as_ref();
        head.map_or(0, |head| head.terms().max_per_user)
    }

    /// Lets loops see what this thread has seen.
    fn show(&self) {
        let (shared, stage) = (&self.ways.shared, self.desk.stage());
        shared.show(stage);
        if let (Some(pool), Some((line, left))) = (&stage.pool, self.desk.left()) {
            shared.note(pool.rain, line, left, None);
        }
    }

    /// Nothing moves: somebody may have died with packets in hand, or while terms were changed.
    fn help(&mut self) {
        let desk = &mut self.desk;
        desk.thaw();
        if let Err(trouble) = self.ways.run(async |hands| desk.help(hands, |_| true).await) {
            tracing::debug!(%trouble, "the outbox cannot be worked off now");
        }
        self.ways.shared.ring();
    }
}

impl Worker<SnatchJob> for Snatcher {
    fn run(&mut self, batch: &mut Vec<SnatchJob>) {
        let open = batch.drain(..).map(|job| {
            let Snatch { uid, key } = job.snatch.clone();
            (Snatching::new(uid, key), job)
        });
        let mut open: Vec<Open> = open.collect();
        let mut waits = 0;
        loop {
            // Who was told that it takes too long begins nothing more.
            open.retain(|(_, job)| !job.awaited.is_late());
            if open.is_empty() {
                return;
            }
            let rings = self.ways.shared.rings();
            let before = open.len();
            open = self.turn(open);
            if open.len() < before {
                waits = 0;
                if !self.desk.is_dry() {
                    continue;
                }
            } else {
                waits += 1;
                if waits % RAIN_CLUSTER_HELP_AFTER_WAITS == 0 {
                    self.help();
                }
            }
            self.ways.shared.wait(rings, RAIN_CLUSTER_WAIT);
        }
    }
}

pub(super) fn unavailable(trouble: &Trouble) -> StoreError {
    match trouble {
        Trouble::Away | Trouble::Overtaken => StoreError::Unavailable,
        Trouble::Broken(_) => {
            tracing::error!(%trouble, "red packets");
            StoreError::Broken
        }
    }
}
