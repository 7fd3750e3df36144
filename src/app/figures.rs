//! What the process itself shows in `/metrics`, beside its domains.

use crate::exec::Executor;
use crate::http::Method;
use crate::log::DroppedLines;
use crate::ops::audit::Audits;
use crate::ops::{Kind, LastAudit, Metrics};
use crate::session::Topic;
use crate::store::SystemClock;
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
    let kinds = vec![("gifts", succeeded("/gift/send"))];
    Arc::new(Rates::new(Arc::new(SystemClock), kinds))
}

/// Log lines that nobody will read.
pub(super) fn log(metrics: &mut Metrics, dropped: DroppedLines) {
    let help = "Log lines lost: the queue was full, or standard output failed.";
    metrics.add_source(move |page| {
        page.one("fanfare_log_lines_dropped_total", Kind::Counter, help, dropped.count());
    });
}
