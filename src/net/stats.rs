//! Counters of one loop, and the count of connections that all loops share.

use crate::meter::Counter;
use std::sync::atomic::{AtomicUsize, Ordering};

/// What one loop has done.
#[derive(Debug, Default)]
pub struct LoopStats {
    /// Connections open now.
    pub open: Counter,
    /// Connections accepted and served.
    pub accepted: Counter,
    /// Connections turned away: over the limit, or no descriptor left.
    pub refused: Counter,
    /// Connections closed because their peer did not read.
    pub closed_slow: Counter,
    /// Connections closed because our code panicked.
    pub panicked: Counter,
    /// Bytes read.
    pub bytes_in: Counter,
    /// Bytes written.
    pub bytes_out: Counter,
    /// Turns of the loop.
    pub turns: Counter,
}

/// At most so many connections of one protocol, over all loops.
#[derive(Debug)]
pub struct ConnectionLimit {
    open: AtomicUsize,
    max: usize,
}

impl ConnectionLimit {
    /// Allows `max` connections.
    pub fn new(max: usize) -> Self {
        Self { open: AtomicUsize::new(0), max }
    }

    /// Connections open now.
    pub fn open(&self) -> usize {
        self.open.load(Ordering::Relaxed)
    }

    /// How many there may be.
    pub fn max(&self) -> usize {
        self.max
    }

    /// Takes a place, if there is one.
    pub(super) fn take(&self) -> bool {
        let taken = self.open.fetch_add(1, Ordering::Relaxed) < self.max;
        if !taken {
            self.give_back(1);
        }
        taken
    }

    pub(super) fn give_back(&self, count: usize) {
        let before = self.open.fetch_sub(count, Ordering::Relaxed);
        debug_assert!(before >= count, "only taken places are given back");
    }
}
