//! What deciding a batch has to look up in the record: packets, openings and keys of before.

use super::Scope;
use super::draft::Before;
use super::journal::{self, PacketLine};
use crate::store::RequestKey;
use rusqlite::{Connection, OptionalExtension};

/// A packet with what became of it.
pub(super) struct Found {
    pub(super) rain: i64,
    pub(super) uid: i64,
    pub(super) value_fen: i64,
    pub(super) is_opened: bool,
    /// Back in the budget's report: it can no longer be opened.
    pub(super) is_returned: bool,
}

impl Found {
    /// Of the batch itself.
    pub(super) fn fresh(packet: &PacketLine) -> Self {
        Self {
            rain: packet.rain,
            uid: packet.uid,
            value_fen: packet.value_fen,
            is_opened: false,
            is_returned: false,
        }
    }
}

/// A packet with what became of it.
pub(super) fn found(journal: &Connection, envelope_id: i64) -> rusqlite::Result<Option<Found>> {
    let sql = "SELECT p.rain, p.uid, p.value_fen, o.id IS NOT NULL, r.returned_us IS NOT NULL
               FROM packet p JOIN rain r ON r.id = p.rain
               LEFT JOIN opening o ON o.envelope_id = p.envelope_id WHERE p.envelope_id = ?1";
    let row = |row: &rusqlite::Row<'_>| {
        Ok(Found {
            rain: row.get(0)?,
            uid: row.get(1)?,
            value_fen: row.get(2)?,
            is_opened: row.get(3)?,
            is_returned: row.get(4)?,
        })
    };
    journal.prepare_cached(sql)?.query_row([envelope_id], row).optional()
}

/// The line of a packet.
pub(super) fn packet(
    journal: &Connection,
    envelope_id: i64,
) -> rusqlite::Result<Option<PacketLine>> {
    let sql = "SELECT rain, draw, uid, chunk, place, value_fen, time_us, request_id FROM packet
               WHERE envelope_id = ?1";
    let row = |row: &rusqlite::Row<'_>| {
        Ok(PacketLine {
            envelope_id,
            rain: row.get(0)?,
            draw: row.get(1)?,
            uid: row.get(2)?,
            chunk: row.get(3)?,
            place: row.get(4)?,
            value_fen: row.get(5)?,
            time_us: row.get(6)?,
            request_id: row.get(7)?,
        })
    };
    journal.prepare_cached(sql)?.query_row([envelope_id], row).optional()
}

/// Packets that a user may get, and has got, of a rain that is over.
pub(super) fn counts(journal: &Connection, rain: i64, uid: i64) -> rusqlite::Result<(i64, i64)> {
    let sql = "SELECT terms FROM version WHERE rain = ?1 ORDER BY version DESC LIMIT 1";
    let terms = journal.prepare_cached(sql)?.query_row([rain], |row| journal::terms(row, 0))?;
    let sql = "SELECT count(*) FROM packet WHERE uid = ?1 AND rain = ?2";
    let got = journal.prepare_cached(sql)?.query_row([uid, rain], |row| row.get(0))?;
    Ok((terms.max_per_user, got))
}

/// Whether there was a rain of this id.
pub(super) fn has_rain(journal: &Connection, id: i64) -> rusqlite::Result<bool> {
    journal.query_row("SELECT count(*) > 0 FROM rain WHERE id = ?1", [id], |row| row.get(0))
}

/// What was opened under a key: the packet, and what was in it.
pub(super) fn opening_of_key(
    before: &Before<'_>,
    scope: Scope,
    key: &RequestKey,
) -> rusqlite::Result<Option<(i64, i64)>> {
    let sql = "SELECT envelope_id, value_fen FROM opening
               WHERE id = ?1 AND uid = ?2 AND request_id = ?3";
    for id in before.remembered.find(scope, key) {
        let mut select = before.journal.prepare_cached(sql)?;
        let row = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, row.get(1)?));
        let opened = select.query_row((id, scope.1, key.as_str()), row).optional()?;
        if opened.is_some() {
            return Ok(opened);
        }
    }
    Ok(None)
}

/// What an operator asked for under a key.
pub(super) fn asked_under_key(
    before: &Before<'_>,
    scope: Scope,
    key: &RequestKey,
) -> rusqlite::Result<Option<String>> {
    let sql = "SELECT asked FROM version
               WHERE id = ?1 AND request_id = ?2 AND (version > 1) = ?3";
    for id in before.remembered.find(scope, key) {
        let mut select = before.journal.prepare_cached(sql)?;
        let asked = select.query_row((id, key.as_str(), scope.1), |row| row.get(0)).optional()?;
        if asked.is_some() {
            return Ok(asked);
        }
    }
    Ok(None)
}
