//! How a node stands, for those who run it, read beside it, or look after it.

use super::Node;
use crate::cluster::behind::Mode;
use crate::cluster::domain::JournalDraft;
use crate::cluster::freshness::Stamp;
use crate::cluster::record::Stream;
use crate::cluster::replay::Replay;
use crate::cluster::script::Generation;
use crate::cluster::writer::Writer;
use std::time::Duration;

impl<T: JournalDraft> Node<T> {
    /// How it acknowledges now.
    pub fn mode(&self) -> Mode {
        self.behind.mode()
    }

    /// The connection and generation to read boards from, if there are any.
    pub fn view(&self) -> Option<(u64, Generation)> {
        self.link.conn.zip(self.link.generation)
    }

    /// Its name.
    pub fn process(&self) -> u64 {
        self.process
    }

    /// Whether its writers may insert.
    pub fn is_alive(&self, now: Duration) -> bool {
        self.alive.is_some_and(|alive| now < alive + self.tuning.lapse)
    }

    /// Batches of its own that are not known to be in the view.
    pub fn lag(&self) -> u64 {
        self.replays.values().map(Replay::gap).sum()
    }

    /// How many batches a rebuild under way has read, and has to read.
    pub fn rebuilding(&self) -> Option<(u64, u64)> {
        self.recovery.rebuilding()
    }

    /// Rebuilds that were finished since this was last asked.
    pub fn take_rebuilt(&mut self) -> usize {
        self.recovery.take_rebuilt()
    }

    /// How far each of its streams goes, if nothing of them is under way: what a process that ends
    /// in peace writes down.
    pub fn finals(&self) -> Option<Vec<(Stream, u64)>> {
        let is_idle = self.queue.is_empty() && self.writers.iter().all(Writer::is_free);
        is_idle.then(|| self.replays.values().map(|r| (r.stream(), r.bound())).collect())
    }

    /// Until when a question may be asked whose answer is unmarked, as far as is known; the same as
    /// [`Self::stamp`], for those who ask on other threads.
    pub fn fresh_until(&self) -> Option<Duration> {
        self.view().and_then(|_| self.freshness.fresh_until(self.tuning.look_age_max))
    }

    /// For a board read that begins now: what its answer must come from to be unmarked.
    pub fn stamp(&self, now: Duration) -> Stamp {
        self.freshness.stamp(now, self.tuning.look_age_max)
    }
}
