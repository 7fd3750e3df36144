//! What readers on any thread must know of Redis: which generation to ask, and whether an answer
//! may go out unmarked.

use super::script::Generation;
use crate::store::redis::RedisLane;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Written by the driver, read by whoever asks Redis; its lock is held for a copy.
pub struct Link {
    state: Mutex<LinkState>,
    redis: RedisLane,
}

/// As the driver last saw it.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct LinkState {
    /// [`RedisLane::changes`] and the generation, while both are known.
    pub(super) view: Option<(u64, Generation)>,
    /// Answers to questions asked until then are fresh; see [`Freshness`](super::Freshness).
    pub(super) fresh_until: Option<Instant>,
    /// When the driver last knew the view to be fresh.
    pub(super) was_fresh: Option<Instant>,
}

/// What a question to Redis is asked under; taken before it is sent.
#[derive(Clone, Copy, Debug)]
pub struct Pass {
    /// Which keys to read.
    pub generation: Generation,
    changes: u64,
    fresh: bool,
}

impl Link {
    /// Knows nothing yet.
    pub(super) fn new(redis: RedisLane) -> Self {
        Self { state: Mutex::default(), redis }
    }

    pub(super) fn set(&self, state: LinkState) {
        *self.state.lock().unwrap_or_else(PoisonError::into_inner) = state;
    }

    fn state(&self) -> LinkState {
        *self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// For a question that is asked now; `None` while Redis is away or empty.
    pub fn pass(&self) -> Option<Pass> {
        let state = self.state();
        let (changes, generation) = state.view?;
        let fresh = state.fresh_until.is_some_and(|until| Instant::now() <= until);
        Some(Pass { generation, changes, fresh })
    }

    /// Whether the answer to a question asked under `pass`, from the generation of the pass, holds
    /// all that was acknowledged before the question: no connection came or went since the view was
    /// last found complete. To be asked when the answer is there.
    pub fn is_fresh(&self, pass: Pass) -> bool {
        pass.fresh && self.redis.changes() == pass.changes
    }

    /// For how long nobody has known the view to be fresh; `None` when nobody ever has.
    pub fn age(&self) -> Option<Duration> {
        self.state().was_fresh.map(|at| at.elapsed())
    }

    /// Whether an answer can be fresh now; for `/readyz`.
    pub fn can_be_fresh(&self) -> bool {
        self.pass().is_some_and(|pass| self.is_fresh(pass))
    }
}
