//! When the steps of a job were, for the operator: carried beside its answer, never part of it.

use std::cell::Cell;
use std::time::Instant;

/// The steps of one job on its worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamps {
    /// It was handed in.
    pub submitted: Instant,
    /// Its batch was taken.
    pub began: Instant,
    /// Its batch was done.
    pub ended: Instant,
}

thread_local! {
    static ANSWERED: Cell<Option<Stamps>> = const { Cell::new(None) };
}

impl Stamps {
    /// Those of the job that this thread is answering now.
    pub fn current() -> Option<Self> {
        ANSWERED.get()
    }

    /// Runs `answer`, the answer to the job that these belong to.
    pub(super) fn during(self, answer: impl FnOnce()) {
        ANSWERED.set(Some(self));
        answer();
        ANSWERED.set(None);
    }
}
