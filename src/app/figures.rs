//! What the process itself shows in `/metrics`, and what every domain's store does.

use crate::exec::Executor;
use crate::log::DroppedLines;
use crate::meter::Tally;
use crate::ops::audit::Audits;
use crate::ops::{Desk, Kind, LastAudit, Metrics, Page};
use std::sync::Arc;

/// What the last audit found, and the executor of audits.
pub(super) fn audit(metrics: &mut Metrics, audits: &Audits, last: Arc<LastAudit>) {
    metrics.add_source(move |page| last.write(page));
    let audits = audits.clone();
    metrics.add_executors(move || vec![Executor::of("audit", &audits)]);
}

/// The executor of the operator's own calls.
pub(super) fn desk(metrics: &mut Metrics, desk: &Desk) {
    let desk = desk.clone();
    metrics.add_executors(move || vec![desk.executor()]);
}

/// What a store with a journal and a checkpoint shows of itself.
pub(super) struct Journal<'a> {
    /// The newest entry that is durable.
    pub(super) position: i64,
    /// The newest entry that the checkpoint contains.
    pub(super) checkpoint_position: i64,
    /// Request keys that a retry would be known by.
    pub(super) keys_held: u64,
    /// It takes no more writes.
    pub(super) stopped: bool,
    /// How long commits took, in microseconds.
    pub(super) commits: &'a Tally,
}

impl Journal<'_> {
    /// Adds the figures of the store of this name; all stores share the families.
    pub(super) fn write(&self, page: &mut Page, store: &str) {
        let mut gauge = |name, help, value: i64| {
            page.family(name, Kind::Gauge, help).value(&[("store", store)], value);
        };
        let lag = (self.position - self.checkpoint_position).max(0);
        let help = "Number of the newest durable journal entry.";
        gauge("fanfare_journal_position", help, self.position);
        let help = "Number of the newest journal entry in the checkpoint.";
        gauge("fanfare_checkpoint_position", help, self.checkpoint_position);
        let help = "Journal entries that the checkpoint does not contain yet.";
        gauge("fanfare_checkpoint_lag_entries", help, lag);
        let help = "Request keys that a retry would be known by.";
        gauge("fanfare_idempotency_keys", help, i64::try_from(self.keys_held).unwrap_or(i64::MAX));
        let help = "1 when the store takes no more writes, because its disk failed.";
        gauge("fanfare_store_stopped", help, i64::from(self.stopped));
        let help = "From the first row of a commit until it is durable, or has failed.";
        page.family("fanfare_store_commit_duration_seconds", Kind::Histogram, help)
            .durations(&[("store", store)], self.commits);
    }
}

/// Log lines that nobody will read.
pub(super) fn log(metrics: &mut Metrics, dropped: DroppedLines) {
    let help = "Log lines lost: the queue was full, or standard output failed.";
    metrics.add_source(move |page| {
        page.one("fanfare_log_lines_dropped_total", Kind::Counter, help, dropped.count());
    });
}
