//! `fanfare audit`: the checks as a table, from the server or from the files.

use super::{operator_client, say};
use crate::app::{counter as counters, gift as gifts, trade as trades};
use crate::config::Config;
use crate::counter;
use crate::exec::Notifier;
use crate::gift::local::{self, JournalFile};
use crate::ops::audit::Report;
use crate::packet;
use crate::store::{BadId, DataFolder, OpenError};
use crate::trade::{self, Room};
use std::error::Error;
use std::fmt::Write;
use std::path::Path;
use std::sync::Arc;

/// Prints the table; fails when a check does.
pub(super) fn run(config: &Config) -> Result<(), Box<dyn Error>> {
    let data = Path::new(&config.data_dir);
    // Before the folder is locked, which would make it: an audit makes nothing.
    drop(JournalFile::open(data)?);
    let report = match DataFolder::open(data) {
        Ok(folder) => {
            let options = gifts::local_options(config, &Arc::new(Notifier::default()));
            let mut audit = local::audit_files(&folder, &options)?;
            let options = counters::local_options(config);
            audit
                .checks
                .extend(counter::local::audit_files(&folder, &options)?.unwrap_or_default());
            let (name, entry) = (data.display(), audit.folded);
            say(&format!("no server uses {name}; its checkpoint is of entry {entry}\n"))?;
            let packets = packet::local::audit_files(&folder)?;
            let options = trades::local_options(config, &Room::new());
            let room = trade::local::audit_files(&folder, &options)?;
            Report::new([audit.checks, packets, room].concat())
        }
        Err(OpenError::InUse { .. }) => return ask(config),
        Err(error) => return Err(error.into()),
    };
    show(&report)
}

/// The same, from the server at `admin.listen`.
pub(super) fn ask(config: &Config) -> Result<(), Box<dyn Error>> {
    show(&serde_json::from_slice(&operator_client::get(config, "/audit")?)?)
}

fn show(report: &Report) -> Result<(), Box<dyn Error>> {
    say(&table(report))?;
    let failed = report.checks.iter().filter(|check| !check.ok).count();
    if report.ok && failed == 0 {
        return Ok(());
    }
    Err(format!("the audit failed: {failed} of {} checks", report.checks.len()).into())
}

fn table(report: &Report) -> String {
    let head = ["check", "left", "right", "", "first bad"].map(str::to_owned);
    let rows = report.checks.iter().map(|check| {
        let verdict = if check.ok { "ok" } else { "DIFFERS" };
        let bad = check.first_bad.as_ref().map(BadId::to_string).unwrap_or_default();
        let (left, right) = (check.left.to_string(), check.right.to_string());
        [check.name.clone(), left, right, verdict.to_owned(), bad]
    });
    let rows: Vec<_> = std::iter::once(head).chain(rows).collect();
    let width = |column: usize| rows.iter().map(|row| row[column].len()).max().unwrap_or(0);
    let (name, left, right) = (width(0), width(1), width(2));
    let mut out = String::new();
    for row in &rows {
        let line = format!(
            "{:name$}  {:>left$}  {:>right$}  {:7}  {}",
            row[0], row[1], row[2], row[3], row[4]
        );
        writeln!(out, "{}", line.trim_end()).expect("a String takes all");
    }
    out
}
