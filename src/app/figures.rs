//! What the process itself shows in `/metrics`, beside its domains.

use crate::exec::Executor;
use crate::log::DroppedLines;
use crate::ops::audit::Audits;
use crate::ops::{Kind, LastAudit, Metrics};
use std::sync::Arc;

/// What the last audit found, and the executor of audits.
pub(super) fn audit(metrics: &mut Metrics, audits: &Audits, last: Arc<LastAudit>) {
    metrics.add_source(move |page| last.write(page));
    let audits = audits.clone();
    metrics.add_executors(move || vec![Executor::of("audit", &audits)]);
}

/// Log lines that nobody will read.
pub(super) fn log(metrics: &mut Metrics, dropped: DroppedLines) {
    let help = "Log lines lost: the queue was full, or standard output failed.";
    metrics.add_source(move |page| {
        page.one("fanfare_log_lines_dropped_total", Kind::Counter, help, dropped.count());
    });
}
