//! Tells all loops to stop: shared by the signal handler, the loops and whoever waits for them.

use mio::Waker;
use std::io;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// Where the process stands. Only ever moves forward.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum RunPhase {
    /// Serves.
    Running,
    /// Accepts nothing new, answers what is in flight.
    Draining,
    /// Closes what is left.
    Stopped,
}

/// The switch of all event loops of a process.
#[derive(Debug, Default)]
pub struct Control {
    phase: AtomicU8,
    /// Written once per loop at its start, read once per change of phase.
    wakers: Mutex<Vec<Arc<Waker>>>,
}

impl Control {
    /// A switch in [`RunPhase::Running`].
    pub fn new() -> Arc<Self> {
        Arc::default()
    }

    /// The current phase.
    pub fn phase(&self) -> RunPhase {
        match self.phase.load(Ordering::Acquire) {
            0 => RunPhase::Running,
            1 => RunPhase::Draining,
            _ => RunPhase::Stopped,
        }
    }

    /// Lets the loops finish what is in flight and return.
    pub fn drain(&self) {
        self.move_to(RunPhase::Draining);
    }

    /// Lets the loops close everything and return.
    pub fn stop(&self) {
        self.move_to(RunPhase::Stopped);
    }

    /// Phase first, then wake: a loop that joins meanwhile looks at the phase before it sleeps.
    fn move_to(&self, phase: RunPhase) {
        self.phase.fetch_max(phase as u8, Ordering::AcqRel);
        for waker in self.wakers.lock().unwrap_or_else(PoisonError::into_inner).iter() {
            wake(waker.wake());
        }
    }

    pub(super) fn join(&self, waker: &Arc<Waker>) {
        self.wakers.lock().unwrap_or_else(PoisonError::into_inner).push(Arc::clone(waker));
    }
}

/// A wake-up that fails leaves the loop asleep until its next event; there is no better place to
/// tell of it than the log.
pub(super) fn wake(result: io::Result<()>) {
    if let Err(error) = result {
        tracing::error!(%error, "cannot wake an event loop");
    }
}
