//! Holds the budget, the wallets and the seed against the record's lines, on a thread of its own.
//!
//! All of it is computed in one snapshot of the file, so nothing has to stand still.

use super::journal;
use super::reader;
use super::shared::Shared;
use crate::store::sqlite;
use crate::store::{Audit, BadId, Check, DataFolder, OpenError, StoreError};
use rusqlite::Connection;
use std::collections::HashSet;
use std::sync::Arc;

/// Looks at the record through a connection of its own.
pub(super) struct Auditor {
    record: Connection,
    /// Rains that were over when their packets were found to be the seed's: they never change.
    proven: HashSet<i64>,
}

/// Audits a folder that nobody serves; one without rains has nothing to audit. Changes nothing.
pub fn audit_files(folder: &DataFolder) -> Result<Vec<Check>, OpenError> {
    let path = folder.file(journal::FILE);
    if !path.exists() {
        return Ok(Vec::new());
    }
    let record = sqlite::open_record(&path, &journal::FORMAT)?;
    let mut auditor = Auditor { record, proven: HashSet::new() };
    auditor.run().map_err(|error| sqlite::refused(&path, error))
}

impl Auditor {
    pub(super) fn open(shared: &Arc<Shared>) -> Result<Self, OpenError> {
        let record = sqlite::open_reader(&shared.folder.file(journal::FILE))?;
        Ok(Self { record, proven: HashSet::new() })
    }

    fn run(&mut self) -> rusqlite::Result<Vec<Check>> {
        let record = self.record.unchecked_transaction()?;
        let proven = &mut self.proven;
        Ok(vec![budgets(&record)?, wallets(&record)?, openings(&record)?, draws(&record, proven)?])
    }
}

/// Packets line by line, with what the rains note as left, against the budgets of their terms.
fn budgets(record: &Connection) -> rusqlite::Result<Check> {
    let sql = "SELECT r.id, r.handed_fen, r.handed_count,
                 (SELECT v.terms FROM version v WHERE v.rain = r.id ORDER BY version DESC LIMIT 1),
                 coalesce(p.fen, 0), coalesce(p.packets, 0)
               FROM rain r LEFT JOIN
                 (SELECT rain, sum(value_fen) AS fen, count(*) AS packets FROM packet GROUP BY rain) p
               ON p.rain = r.id ORDER BY r.number";
    let (mut left, mut right, mut bad) = (0, 0, None);
    let mut select = record.prepare(sql)?;
    let mut rows = select.query([])?;
    while let Some(row) = rows.next()? {
        let (noted_fen, noted_count): (i64, i64) = (row.get(1)?, row.get(2)?);
        let terms = journal::terms(row, 3)?;
        let (fen, count): (i64, i64) = (row.get(4)?, row.get(5)?);
        let noted_left = terms.total_amount_fen - noted_fen;
        left += i128::from(fen) + i128::from(noted_left);
        right += i128::from(terms.total_amount_fen);
        let is_kept = fen == noted_fen && count == noted_count && noted_left >= 0;
        if !is_kept || count > terms.total_count {
            bad.get_or_insert(row.get(0)?);
        }
    }
    Ok(check("packet: handed out + left = budget", left, right, bad))
}

/// Openings summed by user, against the wallets.
fn wallets(record: &Connection) -> rusqlite::Result<Check> {
    let sum = |sql: &str| record.query_row(sql, [], |row| row.get::<_, i64>(0));
    let left = sum("SELECT coalesce(sum(value_fen), 0) FROM opening")?;
    let right = sum("SELECT coalesce(sum(amount_fen), 0) FROM wallet")?;
    let sql = "SELECT min(uid) FROM (
                 SELECT uid, sum(fen) AS fen FROM (
                   SELECT uid, value_fen AS fen FROM opening
                   UNION ALL SELECT uid, -amount_fen FROM wallet)
                 GROUP BY uid) WHERE fen <> 0";
    let bad = record.query_row(sql, [], |row| row.get(0))?;
    Ok(check("packet: opened = wallets", left.into(), right.into(), bad))
}

/// Each opening against its packet: the owner, and what was in it.
fn openings(record: &Connection) -> rusqlite::Result<Check> {
    let sql = "SELECT count(*), count(p.envelope_id),
                 min(CASE WHEN p.envelope_id IS NULL THEN o.envelope_id END)
               FROM opening o LEFT JOIN packet p ON p.envelope_id = o.envelope_id
                 AND p.uid = o.uid AND p.value_fen = o.value_fen";
    let row = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, row.get(1)?, row.get(2)?));
    let (left, right, bad): (i64, i64, Option<i64>) = record.query_row(sql, [], row)?;
    Ok(check("packet: openings = their packets", left.into(), right.into(), bad))
}

/// Every amount and every win, computed again from the seed.
fn draws(record: &Connection, proven: &mut HashSet<i64>) -> rusqlite::Result<Check> {
    let sql = "SELECT id, ended_us IS NOT NULL,
                 (SELECT count(*) FROM packet p WHERE p.envelope_id >= r.first_envelope
                  AND p.rain = r.id)
               FROM rain r ORDER BY number";
    let mut select = record.prepare(sql)?;
    let rows = select.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
    let rains = rows.collect::<rusqlite::Result<Vec<(i64, bool, i64)>>>()?;
    let (mut left, mut right, mut bad) = (0, 0, None);
    for (id, has_ended, packets) in rains {
        left += i128::from(packets);
        if proven.contains(&id) {
            right += i128::from(packets);
            continue;
        }
        match reader::proof(record, id)?.verify() {
            Ok(shown) => {
                right += i128::from(shown.handed_out.count);
                if shown.handed_out.count != packets {
                    bad.get_or_insert(id);
                } else if has_ended {
                    proven.insert(id);
                }
            }
            Err(flaw) => {
                tracing::error!(rain = id, %flaw, "a rain is not what its seed says");
                bad.get_or_insert(id);
            }
        }
    }
    Ok(check("packet: packets = draws of the seed", left, right, bad))
}

fn check(name: &str, left: i128, right: i128, bad: Option<i64>) -> Check {
    let ok = left == right && bad.is_none();
    Check { name: name.to_owned(), left, right, ok, first_bad: bad.map(BadId::Number) }
}

impl Audit for Auditor {
    fn audit(&mut self) -> Result<Vec<Check>, StoreError> {
        self.run().map_err(|error| {
            tracing::error!(%error, "red packets cannot be audited");
            sqlite::read_failed(&error)
        })
    }
}
