//! Makes the book from the record, exactly as it was, or refuses a record that contradicts itself.

use super::draft::Book;
use super::journal::{self, VERSION_COLUMNS};
use super::shared::Tally;
use super::{CHANGE, CREATE, MANAGE, OPEN, SNATCH, Scope};
use crate::packet::{Chunk, Digest, Journaled, Rain, Seed, Sum, Terms};
use crate::store::sqlite::refused;
use crate::store::{OpenError, Remembered};
use rusqlite::{Connection, OptionalExtension};
use std::path::Path;
use std::sync::Arc;

/// The book, and where draws begin.
pub(super) struct Loaded {
    pub(super) book: Book,
    pub(super) draws_reserved: i64,
}

/// The newest rain's row.
struct RainRow {
    id: i64,
    seed: Seed,
    commitment: Digest,
    first_envelope: i64,
    draws_reserved: i64,
    handed_out: Sum,
    has_ended: bool,
}

/// Reads the record; recent keys go into `remembered`.
pub(super) fn book(
    path: &Path,
    record: &Connection,
    keep_us: i64,
    remembered: &mut Remembered<Scope>,
) -> Result<Loaded, OpenError> {
    let loaded = read(record, keep_us, remembered).map_err(|error| refused(path, error))?;
    loaded.map_err(|detail| OpenError::Damaged { path: path.to_path_buf(), detail })
}

fn read(
    record: &Connection,
    keep_us: i64,
    remembered: &mut Remembered<Scope>,
) -> rusqlite::Result<Result<Loaded, String>> {
    let mut book = Book::default();
    let (packet_us, opening_us);
    (book.last_envelope, packet_us) = last(record, "packet", "envelope_id")?;
    (book.last_opening, opening_us) = last(record, "opening", "id")?;
    let newest = "SELECT coalesce(max(id), 0), coalesce(max(at), 0) FROM version";
    let (version, at) =
        record.query_row(newest, [], |row| Ok((row.get(0)?, row.get::<_, i64>(1)?)))?;
    book.last_version = version;
    let noted = "SELECT max(coalesce(max(ended_us), 0), coalesce(max(returned_us), 0)) FROM rain";
    let noted_us: i64 = record.query_row(noted, [], |row| row.get(0))?;
    let times = [packet_us, opening_us, noted_us, at.saturating_mul(1_000_000)];
    book.last_time_us = times.into_iter().max().unwrap_or(0);
    let since_us = book.last_time_us.saturating_sub(keep_us);
    keys(record, since_us, remembered)?;
    let sql = "SELECT id, ended_us FROM rain WHERE ended_us IS NOT NULL AND returned_us IS NULL
               ORDER BY number";
    let mut select = record.prepare(sql)?;
    let rows = select.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
    book.unreturned = rows.collect::<rusqlite::Result<_>>()?;
    let Some(row) = newest_rain(record)? else {
        return Ok(Ok(Loaded { book, draws_reserved: 1 }));
    };
    let draws_reserved = row.draws_reserved;
    let (id, expected) = (row.id, row.handed_out);
    let (rain, tally) = restore(record, &row)?;
    let found = tally.handed_out();
    if found != expected {
        let (count, fen) = (found.count, found.fen);
        let Sum { count: noted_count, fen: noted_fen } = expected;
        return Ok(Err(format!(
            "rain {id} has {count} packets of {fen} fen, but notes {noted_count} of {noted_fen}"
        )));
    }
    tracing::info!(rain = id, handed_out = found.count, "red packets: the newest rain");
    (book.rain, book.tally) = (Some(rain), tally);
    Ok(Ok(Loaded { book, draws_reserved }))
}

/// Id and time of the newest line of a table, or zeros.
fn last(record: &Connection, table: &str, id: &str) -> rusqlite::Result<(i64, i64)> {
    let sql = format!("SELECT {id}, time_us FROM {table} ORDER BY {id} DESC LIMIT 1");
    let last = record.query_row(&sql, [], |row| Ok((row.get(0)?, row.get(1)?))).optional()?;
    Ok(last.unwrap_or((0, 0)))
}

fn newest_rain(record: &Connection) -> rusqlite::Result<Option<RainRow>> {
    let sql = "SELECT id, seed, commitment, first_envelope, draws_reserved, handed_count,
               handed_fen, ended_us IS NOT NULL FROM rain ORDER BY number DESC LIMIT 1";
    let row = |row: &rusqlite::Row<'_>| {
        Ok(RainRow {
            id: row.get(0)?,
            seed: Seed::new(row.get(1)?),
            commitment: Digest::new(row.get(2)?),
            first_envelope: row.get(3)?,
            draws_reserved: row.get(4)?,
            handed_out: Sum { count: row.get(5)?, fen: row.get(6)? },
            has_ended: row.get(7)?,
        })
    };
    record.query_row(sql, [], row).optional()
}

fn restore(record: &Connection, row: &RainRow) -> rusqlite::Result<(Rain, Arc<Tally>)> {
    let chunk = last_chunk(record, row.id)?;
    let number = chunk.map_or(0, |(chunk, _)| chunk.number);
    let (tally, mut taken) = (Arc::new(Tally::default()), 0);
    let sql = "SELECT uid, value_fen, time_us, chunk FROM packet
               WHERE envelope_id >= ?1 AND rain = ?2 ORDER BY envelope_id";
    let mut select = record.prepare(sql)?;
    let mut rows = select.query([row.first_envelope, row.id])?;
    while let Some(packet) = rows.next()? {
        let time_us: i64 = packet.get(2)?;
        tally.add(packet.get(0)?, packet.get(1)?, time_us.div_euclid(1_000_000));
        taken += usize::from(packet.get::<_, i64>(3)? == number);
    }
    let sql = format!(
        "SELECT {VERSION_COLUMNS} FROM version WHERE rain = ?1 ORDER BY version DESC LIMIT 1"
    );
    let (version, hash) = record.query_row(&sql, [row.id], journal::version)?;
    let rain = Rain::restored(Journaled {
        id: row.id,
        seed: row.seed,
        commitment: row.commitment,
        version,
        hash,
        chunk: chunk.map(|(chunk, terms)| (chunk, terms, taken)),
        handed_out: tally.handed_out(),
        has_ended: row.has_ended,
    });
    Ok((rain, tally))
}

/// The newest chunk, with the terms of its version.
fn last_chunk(record: &Connection, rain: i64) -> rusqlite::Result<Option<(Chunk, Terms)>> {
    let sql = "SELECT c.number, c.version, c.left_count, c.left_fen, v.terms
               FROM chunk c JOIN version v ON v.rain = c.rain AND v.version = c.version
               WHERE c.rain = ?1 ORDER BY c.number DESC LIMIT 1";
    let row = |row: &rusqlite::Row<'_>| Ok((journal::chunk(row)?, journal::terms(row, 4)?));
    record.query_row(sql, [rain], row).optional()
}

/// Remembers every key since `since_us`.
fn keys(
    record: &Connection,
    since_us: i64,
    remembered: &mut Remembered<Scope>,
) -> rusqlite::Result<()> {
    for (scope, table, id) in [(SNATCH, "packet", "envelope_id"), (OPEN, "opening", "id")] {
        let first = first_since(record, table, id, since_us)?;
        let sql = format!(
            "SELECT request_id, {id}, time_us, uid FROM {table}
             WHERE {id} >= ?1 AND request_id IS NOT NULL ORDER BY {id}"
        );
        let mut select = record.prepare(&sql)?;
        let mut rows = select.query([first])?;
        while let Some(row) = rows.next()? {
            let (key, uid): (String, i64) = (row.get(0)?, row.get(3)?);
            remembered.insert((scope, uid), &key, row.get(1)?, row.get(2)?);
        }
    }
    let sql = "SELECT request_id, id, at, version = 1 FROM version
               WHERE request_id IS NOT NULL AND at >= ?1 ORDER BY id";
    let mut select = record.prepare(sql)?;
    let mut rows = select.query([since_us.div_euclid(1_000_000)])?;
    while let Some(row) = rows.next()? {
        let (key, at): (String, i64) = (row.get(0)?, row.get(2)?);
        let path = if row.get(3)? { CREATE } else { CHANGE };
        remembered.insert((MANAGE, path), &key, row.get(1)?, at.saturating_mul(1_000_000));
    }
    Ok(())
}

/// The smallest id whose time is `since_us` or later, by halving: time does not fall while the id
/// grows, so it needs no index of its own.
fn first_since(record: &Connection, table: &str, id: &str, since_us: i64) -> rusqlite::Result<i64> {
    let sql = format!("SELECT time_us FROM {table} WHERE {id} >= ?1 ORDER BY {id} LIMIT 1");
    let mut time = record.prepare(&sql)?;
    let (mut low, mut high) = (1, last(record, table, id)?.0 + 1);
    while low < high {
        let middle = low + (high - low) / 2;
        if time.query_row([middle], |row| row.get::<_, i64>(0))? < since_us {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    Ok(low)
}
