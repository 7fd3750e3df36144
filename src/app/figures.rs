//! What the process itself shows in `/metrics`, and what every record on its disk does.

use crate::exec::Executor;
use crate::http::Method;
use crate::log::DroppedLines;
use crate::meter::Tally;
use crate::ops::audit::Audits;
use crate::ops::{Desk, Kind, LastAudit, Metrics, Page};
use crate::session::Topic;
use crate::store::{Health, SystemClock};
use crate::web::{self, Rates};
use std::sync::Arc;

/// What the last audit found, and the executor of audits.
pub(super) fn audit(metrics: &mut Metrics, audits: &Audits, last: Arc<LastAudit>) {
    metrics.add_source(move |page| last.write(page));
    let audits = audits.clone();
    metrics.add_executors(move || vec![Executor::of("audit", &audits)]);
}

/// What the public listener did in each second of the last minute, for the live page.
pub(super) fn rates(metrics: &Arc<Metrics>) -> Arc<dyn Topic> {
    let succeeded = |pattern: &'static str| {
        let metrics = Arc::clone(metrics);
        Box::new(move || metrics.succeeded("http", Method::Post, pattern)) as web::Total
    };
    let kinds = vec![
        ("gifts", succeeded("/gift/send")),
        ("counts", succeeded("/api/v1/counter/increment")),
        ("snatches", succeeded("/snatch")),
    ];
    Arc::new(Rates::new(Arc::new(SystemClock), kinds))
}

/// The executor of the operator's own calls.
pub(super) fn desk(metrics: &mut Metrics, desk: &Desk) {
    let desk = desk.clone();
    metrics.add_executors(move || vec![desk.executor()]);
}

/// Log lines that nobody will read.
pub(super) fn log(metrics: &mut Metrics, dropped: DroppedLines) {
    let help = "Log lines lost: the queue was full, or standard output failed.";
    metrics.add_source(move |page| {
        page.one("fanfare_log_lines_dropped_total", Kind::Counter, help, dropped.count());
    });
}

/// What a store with a journal in a file of its own shows.
pub(super) struct Record<'a> {
    /// Its name, a label.
    pub(super) store: &'static str,
    /// The newest durable entry.
    pub(super) newest: i64,
    /// The newest entry in what is folded from the journal.
    pub(super) folded: i64,
    /// Request keys in memory.
    pub(super) keys_held: u64,
    pub(super) health: &'a Health,
    pub(super) commits: &'a Tally,
}

impl Record<'_> {
    /// Adds its figures to the families that all such stores share.
    pub(super) fn write(&self, page: &mut Page) {
        let &Self { store, newest, folded, .. } = self;
        let mut gauge = |name, help, value: i64| {
            page.family(name, Kind::Gauge, help).value(&[("store", store)], value);
        };
        gauge("fanfare_journal_position", "Number of the newest durable journal entry.", newest);
        let help = "Number of the newest journal entry in the checkpoint.";
        gauge("fanfare_checkpoint_position", help, folded);
        let help = "Journal entries that the checkpoint does not contain yet.";
        gauge("fanfare_checkpoint_lag_entries", help, (newest - folded).max(0));
        let help = "Request keys that a retry would be known by.";
        let keys_held = i64::try_from(self.keys_held).unwrap_or(i64::MAX);
        gauge("fanfare_idempotency_keys", help, keys_held);
        let help = "1 when the store takes no more writes, because its disk failed.";
        gauge("fanfare_store_stopped", help, i64::from(self.health.stopped().is_some()));
        let help = "From the first row of a commit until it is durable, or has failed.";
        page.family("fanfare_store_commit_duration_seconds", Kind::Histogram, help)
            .durations(&[("store", store)], self.commits);
    }
}
