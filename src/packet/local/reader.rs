//! Looks up in the record what memory does not hold: wallets, the history of terms, proofs.

use super::journal::{self, VERSION_COLUMNS};
use super::shared::Shared;
use crate::packet::proof::{Linked, Proof, Used};
use crate::packet::{
    Budget, Digest, Figures, Found, HISTORY_VERSIONS_MAX, Held, Read, Seed, Sum, wire,
};
use crate::store::{OpenError, Store, StoreError, sqlite};
use rusqlite::{Connection, OptionalExtension};
use std::sync::Arc;

/// One thread's read-only connection.
pub(super) struct Reader {
    shared: Arc<Shared>,
    record: Connection,
}

impl Reader {
    pub(super) fn open(shared: &Arc<Shared>) -> Result<Self, OpenError> {
        let record = sqlite::open_reader(&shared.folder.file(journal::FILE))?;
        Ok(Self { shared: Arc::clone(shared), record })
    }

    fn look_up(&self, read: &Read) -> rusqlite::Result<Found> {
        // One snapshot: a page and its sum, or a rain and its packets, must be of one moment.
        let record = self.record.unchecked_transaction()?;
        match *read {
            Read::Wallet { uid, limit, before } => wallet(&record, uid, limit, before),
            Read::Config => figures(&record),
            Read::Proof { id } => self.proof(&record, id),
            Read::Rain => unreachable!("memory answers this"),
        }
    }

    fn proof(&self, record: &Connection, id: Option<i64>) -> rusqlite::Result<Found> {
        let sql = "SELECT id, ended_us IS NOT NULL FROM rain WHERE ?1 IS NULL OR id = ?1
                   ORDER BY number DESC LIMIT 1";
        let row = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, row.get(1)?));
        let found: Option<(i64, bool)> = record.query_row(sql, [id], row).optional()?;
        let Some((id, has_ended)) = found else { return Ok(Found::NoRain) };
        if !has_ended {
            return Ok(Found::NotEnded);
        }
        if let Some(encoded) = self.shared.proof(id) {
            return Ok(Found::Proof(encoded));
        }
        let encoded = wire::proof(&proof(record, id)?).into();
        self.shared.keep_proof(id, &encoded);
        Ok(Found::Proof(encoded))
    }
}

fn wallet(
    record: &Connection,
    uid: i64,
    limit: i64,
    before: Option<i64>,
) -> rusqlite::Result<Found> {
    let sql = "SELECT amount_fen FROM wallet WHERE uid = ?1";
    let amount = record.prepare_cached(sql)?.query_row([uid], |row| row.get(0)).optional()?;
    let sql = "SELECT p.envelope_id, p.time_us, o.value_fen FROM packet p
               JOIN rain r ON r.id = p.rain
               LEFT JOIN opening o ON o.envelope_id = p.envelope_id
               WHERE p.uid = ?1 AND p.envelope_id < ?2
                 AND (r.returned_us IS NULL OR o.id IS NOT NULL)
               ORDER BY p.envelope_id DESC LIMIT ?3";
    let mut select = record.prepare_cached(sql)?;
    let held = |row: &rusqlite::Row<'_>| {
        let time_us: i64 = row.get(1)?;
        let snatched_at = time_us.div_euclid(1_000_000);
        Ok(Held { envelope_id: row.get(0)?, value_fen: row.get(2)?, snatched_at })
    };
    // One more than asked tells whether there is a next page.
    let rows = select.query_map([uid, before.unwrap_or(i64::MAX), limit + 1], held)?;
    let mut packets = rows.collect::<rusqlite::Result<Vec<_>>>()?;
    let asked = usize::try_from(limit).unwrap_or(usize::MAX);
    let more = packets.len() > asked;
    packets.truncate(asked);
    let next = packets.last().filter(|_| more).map(|held| held.envelope_id);
    Ok(Found::Wallet { amount_fen: amount.unwrap_or(0), packets, next })
}

fn figures(record: &Connection) -> rusqlite::Result<Found> {
    let sql = "SELECT id, handed_count, handed_fen, opened_count, opened_fen,
               returned_us IS NOT NULL FROM rain ORDER BY number DESC LIMIT 1";
    let row = |row: &rusqlite::Row<'_>| {
        let sum = |at: usize| {
            Ok::<_, rusqlite::Error>(Sum { count: row.get(at)?, fen: row.get(at + 1)? })
        };
        Ok((row.get::<_, i64>(0)?, sum(1)?, sum(3)?, row.get(5)?))
    };
    let found: Option<(i64, Sum, Sum, bool)> = record.query_row(sql, [], row).optional()?;
    let Some((id, handed_out, opened, is_returned)) = found else {
        return Ok(Found::Config(None));
    };
    let sql = format!(
        "SELECT {VERSION_COLUMNS} FROM version WHERE rain = ?1 ORDER BY version DESC LIMIT ?2"
    );
    let num = i64::try_from(HISTORY_VERSIONS_MAX + 1).unwrap_or(i64::MAX);
    let mut select = record.prepare_cached(&sql)?;
    let rows = select.query_map([id, num], journal::version)?;
    let mut history = rows.map(|row| Ok(row?.0)).collect::<rusqlite::Result<Vec<_>>>()?;
    let before = (history.len() > HISTORY_VERSIONS_MAX).then(|| history.pop()).flatten();
    history.reverse();
    let terms = history.last().expect("a rain has a version").config;
    let unopened = Sum { count: handed_out.count - opened.count, fen: handed_out.fen - opened.fen };
    let returned = if is_returned { unopened } else { Sum::default() };
    let left = terms.left(handed_out);
    let budget = Budget { handed_out, left, opened, returned };
    let before = before.map(|version| version.config);
    Ok(Found::Config(Some(Figures { id, terms, budget, history, before })))
}

/// Everything that a rain was made of.
pub(super) fn proof(record: &Connection, id: i64) -> rusqlite::Result<Proof> {
    let sql = "SELECT seed, commitment, first_envelope FROM rain WHERE id = ?1";
    let row = |row: &rusqlite::Row<'_>| {
        Ok((Seed::new(row.get(0)?), Digest::new(row.get(1)?), row.get::<_, i64>(2)?))
    };
    let (seed, commitment, first_envelope) = record.query_row(sql, [id], row)?;
    let sql = format!("SELECT {VERSION_COLUMNS} FROM version WHERE rain = ?1 ORDER BY version");
    let mut select = record.prepare(&sql)?;
    let linked = |row: &rusqlite::Row<'_>| {
        journal::version(row).map(|(version, hash)| Linked { version, hash })
    };
    let versions = select.query_map([id], linked)?.collect::<rusqlite::Result<_>>()?;
    let sql = "SELECT number, version, left_count, left_fen FROM chunk WHERE rain = ?1
               ORDER BY number";
    let mut select = record.prepare(sql)?;
    let used = |row: &rusqlite::Row<'_>| Ok(Used::of(journal::chunk(row)?));
    let mut chunks = select.query_map([id], used)?.collect::<rusqlite::Result<Vec<Used>>>()?;
    let sql = "SELECT chunk, draw, value_fen FROM packet WHERE envelope_id >= ?1 AND rain = ?2
               ORDER BY envelope_id";
    let mut select = record.prepare(sql)?;
    let mut rows = select.query([first_envelope, id])?;
    while let Some(row) = rows.next()? {
        let number: i64 = row.get(0)?;
        // A packet without its chunk is left out: then the sums say so.
        let at = usize::try_from(number - 1).ok();
        if let Some(used) = at.and_then(|at| chunks.get_mut(at)) {
            used.draws.push(row.get(1)?);
            used.amounts.push(row.get(2)?);
        }
    }
    Ok(Proof { id, seed, commitment, versions, chunks })
}

impl Store for Reader {
    type Command = Read;
    type Outcome = Found;

    fn apply(&mut self, batch: Vec<Read>) -> Result<Vec<Found>, StoreError> {
        let found: rusqlite::Result<_> = batch.iter().map(|read| self.look_up(read)).collect();
        found.map_err(|error| {
            tracing::error!(%error, "red packets cannot be looked up");
            sqlite::read_failed(&error)
        })
    }
}
