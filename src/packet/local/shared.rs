//! What the threads of the local packet store share with the loops: the rain on stage, who has how
//! many packets, and the limits in front of it.

use super::draws::Draws;
use super::{LocalOptions, Step, StepHook};
use crate::exec::Published;
use crate::limits::{RAIN_PROOFS_BYTES_MAX, RAIN_USER_SHARDS};
use crate::packet::gate::Gate;
use crate::packet::outcomes::Outcomes;
use crate::packet::{
    Curve, Digest, Point, Rain, Shown, Source, State, Sum, Version, curve_points, state, wins,
};
use crate::store::sqlite::Condition;
use crate::store::{Clock, DataFolder};
use dashmap::DashMap;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

pub(super) struct Shared {
    /// Held so that the folder stays ours until the last thread is done.
    pub(super) folder: Arc<DataFolder>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) step: Option<StepHook>,
    pub(super) condition: Arc<Condition>,
    pub(super) stage: Published<Stage>,
    pub(super) gate: Gate,
    /// Request keys in memory.
    pub(super) keys_held: AtomicU64,
    pub(super) outcomes: Outcomes,
    /// Proofs that were asked for, encoded, newest last: a rain that is over never changes.
    proofs: Mutex<Vec<(i64, Arc<[u8]>)>>,
}

/// What loops decide by.
#[derive(Default)]
pub(super) struct Stage {
    /// The newest rain.
    pub(super) rain: Option<OnStage>,
}

/// A rain under one version of its terms.
pub(super) struct OnStage {
    pub(super) id: i64,
    source: Source,
    commitment: Digest,
    pub(super) version: Version,
    hash: Digest,
    pub(super) has_ended: bool,
    pub(super) draws: Arc<Draws>,
    pub(super) tally: Arc<Tally>,
}

/// What is handed out of one rain: all of it durable.
pub(super) struct Tally {
    handed_count: AtomicI64,
    handed_fen: AtomicI64,
    /// Packets by user. In shards, so that no loop waits for a large map to grow.
    users: DashMap<i64, i64>,
    curve: RwLock<Curve>,
}

impl Shared {
    pub(super) fn new(folder: &Arc<DataFolder>, options: &LocalOptions) -> Self {
        Self {
            folder: Arc::clone(folder),
            clock: Arc::clone(&options.clock),
            step: options.step.clone(),
            condition: Arc::new(Condition::new("packet")),
            stage: Published::default(),
            gate: Gate::new(&options.gate),
            keys_held: AtomicU64::new(0),
            outcomes: Outcomes::default(),
            proofs: Mutex::default(),
        }
    }

    pub(super) fn step(&self, step: Step) {
        if let Some(hook) = &self.step {
            hook(step);
        }
    }

    /// The encoded proof of a rain, if it was asked for before.
    pub(super) fn proof(&self, id: i64) -> Option<Arc<[u8]>> {
        let proofs = self.proofs.lock().unwrap_or_else(PoisonError::into_inner);
        proofs.iter().find(|(of, _)| *of == id).map(|(_, encoded)| Arc::clone(encoded))
    }

    /// Keeps a proof, and the latest others that fit beside it.
    pub(super) fn keep_proof(&self, id: i64, encoded: &Arc<[u8]>) {
        let dropped: Vec<_> = {
            let mut proofs = self.proofs.lock().unwrap_or_else(PoisonError::into_inner);
            proofs.push((id, Arc::clone(encoded)));
            let mut bytes = 0;
            let newest_first = proofs.iter().rev();
            let fit = newest_first.take_while(|(_, proof)| {
                bytes += proof.len();
                bytes <= RAIN_PROOFS_BYTES_MAX
            });
            let kept = fit.count().max(1);
            let old = proofs.len() - kept;
            proofs.drain(..old).collect()
        };
        drop(dropped); // Only here, without the lock: freeing a large one takes time.
    }
}

impl OnStage {
    pub(super) fn new(rain: &Rain, draws: Draws, tally: &Arc<Tally>) -> Self {
        Self {
            id: rain.id(),
            source: rain.source().clone(),
            commitment: rain.commitment(),
            version: rain.version().clone(),
            hash: rain.hash(),
            has_ended: rain.has_ended(),
            draws: Arc::new(draws),
            tally: Arc::clone(tally),
        }
    }

    /// Where the rain is at `now_s`.
    pub(super) fn state(&self, now_s: i64) -> State {
        state(&self.version.config, self.has_ended, now_s)
    }

    /// Packets that are left, as of the last commit.
    pub(super) fn left_count(&self) -> i64 {
        self.version.config.total_count - self.tally.handed_out().count
    }

    /// Whether a draw wins under this version.
    pub(super) fn wins(&self, draw: i64) -> bool {
        wins(&self.source, self.id, draw, self.version.hit_ppm)
    }

    pub(super) fn shown(&self, now_s: i64) -> Shown {
        Shown {
            id: self.id,
            state: self.state(now_s),
            terms: self.version.config,
            left_count: self.left_count(),
            commitment: self.commitment,
            version: self.version.version,
            hash: self.hash,
            curve: self.curve(now_s),
        }
    }

    fn curve(&self, now_s: i64) -> Vec<Point> {
        let curve = self.tally.curve.read().unwrap_or_else(PoisonError::into_inner);
        curve_points(&self.version.config, now_s, |at| curve.before(at))
    }
}

impl Default for Tally {
    fn default() -> Self {
        Self {
            handed_count: AtomicI64::new(0),
            handed_fen: AtomicI64::new(0),
            users: DashMap::with_shard_amount(RAIN_USER_SHARDS),
            curve: RwLock::default(),
        }
    }
}

impl Tally {
    pub(super) fn handed_out(&self) -> Sum {
        Sum {
            count: self.handed_count.load(Ordering::Acquire),
            fen: self.handed_fen.load(Ordering::Relaxed),
        }
    }

    /// Packets that a user has got.
    pub(super) fn of_user(&self, uid: i64) -> i64 {
        self.users.get(&uid).map_or(0, |count| *count)
    }

    /// Counts a packet that is durable. For the bookkeeper alone.
    pub(super) fn add(&self, uid: i64, value_fen: i64, at_s: i64) {
        *self.users.entry(uid).or_default() += 1;
        self.curve.write().unwrap_or_else(PoisonError::into_inner).add(at_s);
        self.handed_fen.fetch_add(value_fen, Ordering::Relaxed);
        self.handed_count.fetch_add(1, Ordering::Release);
    }
}
