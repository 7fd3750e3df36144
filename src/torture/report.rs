//! What is left of the promises, as a table.

use super::crew::Crew;
use crate::client::money::grouped;
use comfy_table::{CellAlignment, Table, presets};

/// Blows, and each domain's figures.
pub(super) fn text(crew: &Crew, blows: &[(&str, usize)], seed: u64) -> String {
    let blows: Vec<String> = blows.iter().map(|(name, count)| format!("{count} {name}")).collect();
    let mut table = Table::new();
    table.load_preset(presets::NOTHING).set_header([
        "domain",
        "acknowledged",
        "unanswered",
        "lost",
        "doubled",
        "drift",
    ]);
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    for (name, tally) in crew.tallies() {
        table.add_row([
            name.to_owned(),
            grouped(tally.acknowledged),
            grouped(tally.open),
            grouped(tally.lost),
            tally.doubled.to_string(),
            tally.drift.to_string(),
        ]);
    }
    let mut audit = "the audit found nothing".to_owned();
    if !crew.audit_failures.is_empty() {
        audit = format!("the audit failed: {}", crew.audit_failures.join(", "));
    }
    format!("{} (seed {seed})\n\n{}\n\n{audit}", blows.join(", "), table.trim_fmt())
}

/// An error when a promise broke.
pub(super) fn judge(crew: &Crew) -> Result<(), String> {
    let broken =
        crew.tallies().any(|(_, tally)| tally.lost > 0 || tally.doubled != 0 || tally.drift != 0);
    if broken || !crew.audit_failures.is_empty() {
        return Err("a promise broke".to_owned());
    }
    if crew.tallies().any(|(_, tally)| tally.acknowledged == 0) {
        return Err("nothing was written, so nothing was shown".to_owned());
    }
    Ok(())
}
