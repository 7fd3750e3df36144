//! Tells all loops to stop: shared by the signal handler, the loops and whoever waits for them.

use super::stats::LoopStats;
use mio::Waker;
use std::io;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

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
    /// Written once per loop at its start, read now and then.
    loops: Mutex<Vec<(Arc<Waker>, Arc<LoopStats>)>>,
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
        self.wake();
    }

    /// Lets every loop turn once, whether it has work or not.
    pub fn wake(&self) {
        self.loops().iter().for_each(|(waker, _)| wake(waker.wake()));
    }

    /// How often each loop has turned.
    pub fn turns(&self) -> Vec<u64> {
        self.loops().iter().map(|(_, stats)| stats.turns.get()).collect()
    }

    pub(super) fn join(&self, waker: &Arc<Waker>, stats: &Arc<LoopStats>) {
        self.loops().push((Arc::clone(waker), Arc::clone(stats)));
    }

    fn loops(&self) -> MutexGuard<'_, Vec<(Arc<Waker>, Arc<LoopStats>)>> {
        self.loops.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A wake-up that fails leaves the loop asleep until its next event; there is no better place to
/// tell of it than the log.
pub(super) fn wake(result: io::Result<()>) {
    if let Err(error) = result {
        tracing::error!(%error, "cannot wake an event loop");
    }
}
