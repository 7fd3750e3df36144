//! What the parts of this process show of themselves in `/metrics`.

use crate::exec::Executor;
use crate::gift::local::LocalGifts;
use crate::log::DroppedLines;
use crate::ops::audit::Audits;
use crate::ops::{Kind, LastAudit, Metrics, Page};
use std::sync::Arc;

/// The gift store: its boards, journal, keys and commits, and the executors behind it.
pub(super) fn gift(metrics: &mut Metrics, gifts: &Arc<LocalGifts>) {
    let executors = Arc::clone(gifts);
    metrics.add_executors(move || executors.executors().into());
    let gifts = Arc::clone(gifts);
    metrics.add_source(move |page| write_gift(page, &gifts));
}

fn write_gift(page: &mut Page, gifts: &LocalGifts) {
    let figures = gifts.figures();
    let mut board = |name, help, value: usize| {
        page.family(name, Kind::Gauge, help).value(&[("board", "gift")], value);
    };
    let help = "Places on the board of all time.";
    board("fanfare_board_places", help, figures.listed);
    let help = "Boards of hours, days and weeks that are kept.";
    board("fanfare_board_spans", help, figures.span_boards);
    let (newest, folded) = (figures.journal_position, figures.checkpoint_position);
    let mut store = |name, help, value: i64| {
        page.family(name, Kind::Gauge, help).value(&[("store", "gift")], value);
    };
    store("fanfare_journal_position", "Number of the newest durable journal entry.", newest);
    let help = "Number of the newest journal entry in the checkpoint.";
    store("fanfare_checkpoint_position", help, folded);
    let help = "Journal entries that the checkpoint does not contain yet.";
    store("fanfare_checkpoint_lag_entries", help, (newest - folded).max(0));
    let help = "Request keys that a retry would be known by.";
    store("fanfare_idempotency_keys", help, i64::try_from(figures.keys_held).unwrap_or(i64::MAX));
    let help = "1 when the store takes no more writes, because its disk failed.";
    let stopped = gifts.health().stopped().is_some();
    store("fanfare_store_stopped", help, i64::from(stopped));
    let help = "From the first row of a commit until it is durable, or has failed.";
    page.family("fanfare_store_commit_duration_seconds", Kind::Histogram, help)
        .durations(&[("store", "gift")], &figures.commits);
}

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
