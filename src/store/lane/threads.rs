//! The threads of a lane, and how to wait for their end without waiting for ever.

use crossbeam_channel::{Receiver, Sender, bounded};
use std::io;
use std::thread::{Builder, JoinHandle};
use std::time::Duration;

/// Held by whoever ends the process. Dropping it leaves the threads alone.
pub struct LaneThreads {
    name: &'static str,
    handles: Vec<JoinHandle<()>>,
    alive: Sender<()>,
    /// Nothing is ever sent: it closes when the last thread has ended.
    ended: Receiver<()>,
}

impl LaneThreads {
    pub(crate) fn new(name: &'static str) -> Self {
        let (alive, ended) = bounded(0);
        Self { name, handles: Vec::new(), alive, ended }
    }

    pub(crate) fn spawn(
        &mut self,
        index: usize,
        work: impl FnOnce() + Send + 'static,
    ) -> io::Result<()> {
        let alive = self.alive.clone();
        let builder = Builder::new().name(format!("{}-{index}", self.name));
        self.handles.push(builder.spawn(move || {
            work();
            drop(alive);
        })?);
        Ok(())
    }

    /// Waits for the threads, which end after the last clone of their lane is dropped and its
    /// queue is worked off; no longer than `patience`, since a client may hold one. Returns how
    /// many were left behind; they end with the process.
    pub fn join(self, patience: Duration) -> usize {
        drop(self.alive);
        let all_ended = self.ended.recv_timeout(patience).is_err_and(|error| !error.is_timeout());
        let mut stuck = 0;
        for handle in self.handles {
            if !all_ended && !handle.is_finished() {
                stuck += 1;
            } else if handle.join().is_err() {
                tracing::error!(lane = self.name, "a thread panicked at its end");
            }
        }
        stuck
    }
}
