//! The record in SQL: rains with their versions and chunks, packets, openings and wallets, in a file
//! that the `sqlite3` shell reads.

use crate::packet::{Author, Chunk, Digest, Rain, Sum, Terms, Version};
use crate::store::sqlite::{Format, RecordError, RecordFile};
use rusqlite::types::Type;
use rusqlite::{Connection, Row, Transaction, params};
use std::collections::BTreeMap;
use std::path::Path;

/// The file's name in the data folder.
pub(super) const FILE: &str = "packet.db";

/// "Fpkt" in ASCII.
const APPLICATION_ID: i32 = 0x4670_6B74;

/// How the file is made.
pub(super) const FORMAT: Format = Format {
    application_id: APPLICATION_ID,
    migrations: &["
CREATE TABLE rain (
    number         INTEGER PRIMARY KEY, -- 1, 2, 3 ... one after the other
    id             INTEGER NOT NULL UNIQUE,
    seed           BLOB NOT NULL,       -- 32 bytes; whoever reads it knows every draw
    commitment     BLOB NOT NULL,       -- sha256, published before the start
    first_envelope INTEGER NOT NULL,    -- packets from this id to that of the next rain are its own
    draws_reserved INTEGER NOT NULL,    -- draws below this number may be in use
    handed_count   INTEGER NOT NULL DEFAULT 0,
    handed_fen     INTEGER NOT NULL DEFAULT 0,
    opened_count   INTEGER NOT NULL DEFAULT 0,
    opened_fen     INTEGER NOT NULL DEFAULT 0,
    ended_us       INTEGER,             -- when its end was noted: from then on its seed is public
    returned_us    INTEGER              -- when what was not opened went back to the budget
) STRICT;
CREATE TABLE version (                  -- the terms, a hash chain
    id         INTEGER PRIMARY KEY,
    rain       INTEGER NOT NULL REFERENCES rain (id),
    version    INTEGER NOT NULL,        -- 1, 2, 3 ... within the rain
    at         INTEGER NOT NULL,        -- unix seconds
    author     TEXT NOT NULL,           -- file, operator or pacing
    reason     TEXT NOT NULL,
    first_draw INTEGER NOT NULL,        -- it decides draws from this one on
    hit_ppm    INTEGER NOT NULL,
    terms      TEXT NOT NULL,           -- JSON, as it is hashed
    hash       BLOB NOT NULL,
    request_id TEXT,                    -- the Idempotency-Key of the request, if it had one
    asked      TEXT,                    -- what that request asked for
    UNIQUE (rain, version)
) STRICT;
CREATE TABLE chunk (
    rain       INTEGER NOT NULL REFERENCES rain (id),
    number     INTEGER NOT NULL,        -- 1, 2, 3 ... within the rain
    version    INTEGER NOT NULL,
    left_count INTEGER NOT NULL,
    left_fen   INTEGER NOT NULL,
    PRIMARY KEY (rain, number)
) STRICT, WITHOUT ROWID;
CREATE TABLE packet (
    envelope_id INTEGER PRIMARY KEY,    -- 1, 2, 3 ... over all rains, in the order of time
    rain        INTEGER NOT NULL,
    draw        INTEGER NOT NULL,       -- the draw that won it
    uid         INTEGER NOT NULL,
    chunk       INTEGER NOT NULL,
    place       INTEGER NOT NULL,       -- within the chunk, from 0
    value_fen   INTEGER NOT NULL,
    time_us     INTEGER NOT NULL,       -- microseconds since 1970
    request_id  TEXT
) STRICT;
-- An entry of an index ends with the id: a user's packets are in their order.
CREATE INDEX packet_by_uid ON packet (uid);
CREATE TABLE opening (
    id          INTEGER PRIMARY KEY,    -- 1, 2, 3 ... in the order of time
    envelope_id INTEGER NOT NULL UNIQUE,
    uid         INTEGER NOT NULL,
    value_fen   INTEGER NOT NULL,
    time_us     INTEGER NOT NULL,
    request_id  TEXT
) STRICT;
CREATE TABLE wallet (
    uid        INTEGER PRIMARY KEY,
    amount_fen INTEGER NOT NULL         -- the sum of the user's openings
) STRICT;
"],
    checks: &["
SELECT t.packets = i.packets AND t.users IS i.users FROM
    (SELECT count(*) AS packets, sum(uid % 1000003) AS users FROM packet NOT INDEXED) AS t,
    (SELECT count(*) AS packets, sum(uid % 1000003) AS users
     FROM packet INDEXED BY packet_by_uid) AS i
"],
};

/// Copies the record in the folder `data`, beside a server too; see [`RecordFile::back_up`]. Returns
/// the id of the copy's newest packet, 0 before the first.
pub fn back_up(
    data: &Path,
    target: &Path,
    copied: impl FnMut(u64, u64),
) -> Result<i64, RecordError> {
    let sql = "SELECT coalesce(max(envelope_id), 0) FROM packet";
    let newest = |record: &Connection| record.query_row(sql, [], |row| row.get(0));
    RecordFile::open(data.join(FILE), &FORMAT)?.back_up(target, newest, copied)
}

/// A version with what only the journal needs to know.
#[derive(Clone, Debug)]
pub(super) struct VersionLine {
    pub(super) id: i64,
    pub(super) rain: i64,
    pub(super) version: Version,
    pub(super) hash: Digest,
    pub(super) request_id: Option<String>,
    pub(super) asked: Option<String>,
}

/// A packet that a user got.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct PacketLine {
    pub(super) envelope_id: i64,
    pub(super) rain: i64,
    pub(super) draw: i64,
    pub(super) uid: i64,
    pub(super) chunk: i64,
    pub(super) place: i64,
    pub(super) value_fen: i64,
    pub(super) time_us: i64,
    pub(super) request_id: Option<String>,
}

/// A packet that was opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct OpeningLine {
    pub(super) id: i64,
    pub(super) envelope_id: i64,
    pub(super) rain: i64,
    pub(super) uid: i64,
    pub(super) value_fen: i64,
    pub(super) time_us: i64,
    pub(super) request_id: Option<String>,
}

/// One thing to write down.
#[derive(Clone)]
pub(super) enum Line {
    /// A new rain; its first version follows.
    Rain {
        rain: Box<Rain>,
        first_envelope: i64,
        draws_reserved: i64,
    },
    Version(Box<VersionLine>),
    Chunk {
        rain: i64,
        chunk: Chunk,
    },
    Packet(PacketLine),
    Opening(OpeningLine),
    Draws {
        rain: i64,
        reserved: i64,
    },
    Ended {
        rain: i64,
        at_us: i64,
    },
    Returned {
        rain: i64,
        at_us: i64,
    },
}

/// Writes all lines, and the sums that follow from them. `inserted` is called after each line.
pub(super) fn append(
    batch: &Transaction<'_>,
    lines: &[Line],
    mut inserted: impl FnMut(),
) -> rusqlite::Result<()> {
    let mut handed: BTreeMap<i64, Sum> = BTreeMap::new();
    let mut opened: BTreeMap<i64, Sum> = BTreeMap::new();
    let add = |sums: &mut BTreeMap<i64, Sum>, rain, fen| {
        let sum = sums.entry(rain).or_default();
        sum.count += 1;
        sum.fen += fen;
    };
    for line in lines {
        match line {
            Line::Packet(packet) => add(&mut handed, packet.rain, packet.value_fen),
            Line::Opening(opening) => add(&mut opened, opening.rain, opening.value_fen),
            _ => {}
        }
        write(batch, line)?;
        inserted();
    }
    let sql = "UPDATE rain SET handed_count = handed_count + ?2, handed_fen = handed_fen + ?3
               WHERE id = ?1";
    add_sums(batch, sql, &handed)?;
    let sql = "UPDATE rain SET opened_count = opened_count + ?2, opened_fen = opened_fen + ?3
               WHERE id = ?1";
    add_sums(batch, sql, &opened)
}

fn add_sums(batch: &Connection, sql: &str, sums: &BTreeMap<i64, Sum>) -> rusqlite::Result<()> {
    let mut update = batch.prepare_cached(sql)?;
    for (rain, sum) in sums {
        update.execute([*rain, sum.count, sum.fen])?;
    }
    Ok(())
}

fn write(batch: &Connection, line: &Line) -> rusqlite::Result<()> {
    match line {
        Line::Rain { rain, first_envelope, draws_reserved } => {
            let sql = "INSERT INTO rain (id, seed, commitment, first_envelope, draws_reserved)
                       VALUES (?1, ?2, ?3, ?4, ?5)";
            let (seed, commitment) = (rain.seed().expose(), *rain.commitment().bytes());
            batch.execute(sql, params![rain.id(), seed, commitment, first_envelope, draws_reserved])
        }
        Line::Version(line) => write_version(batch, line),
        Line::Chunk { rain, chunk } => {
            let sql = "INSERT INTO chunk (rain, number, version, left_count, left_fen)
                       VALUES (?1, ?2, ?3, ?4, ?5)";
            let Chunk { number, version, left_count, left_fen } = *chunk;
            batch.prepare_cached(sql)?.execute([*rain, number, version, left_count, left_fen])
        }
        Line::Packet(line) => {
            let sql = "INSERT INTO packet (envelope_id, rain, draw, uid, chunk, place, value_fen,
                       time_us, request_id) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)";
            batch.prepare_cached(sql)?.execute(params![
                line.envelope_id,
                line.rain,
                line.draw,
                line.uid,
                line.chunk,
                line.place,
                line.value_fen,
                line.time_us,
                line.request_id,
            ])
        }
        Line::Opening(line) => write_opening(batch, line),
        Line::Draws { rain, reserved } => {
            let sql = "UPDATE rain SET draws_reserved = ?2 WHERE id = ?1";
            batch.prepare_cached(sql)?.execute([*rain, *reserved])
        }
        Line::Ended { rain, at_us } => {
            batch.execute("UPDATE rain SET ended_us = ?2 WHERE id = ?1", [*rain, *at_us])
        }
        Line::Returned { rain, at_us } => {
            batch.execute("UPDATE rain SET returned_us = ?2 WHERE id = ?1", [*rain, *at_us])
        }
    }
    .map(|_| ())
}

fn write_version(batch: &Connection, line: &VersionLine) -> rusqlite::Result<usize> {
    let sql = "INSERT INTO version (id, rain, version, at, author, reason, first_draw, hit_ppm,
               terms, hash, request_id, asked)
               VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)";
    let version = &line.version;
    batch.prepare_cached(sql)?.execute(params![
        line.id,
        line.rain,
        version.version,
        version.at,
        version.by.name(),
        version.reason,
        version.first_draw,
        version.hit_ppm,
        version.config.text(),
        line.hash.bytes(),
        line.request_id,
        line.asked,
    ])
}

fn write_opening(batch: &Connection, line: &OpeningLine) -> rusqlite::Result<usize> {
    let sql = "INSERT INTO opening (id, envelope_id, uid, value_fen, time_us, request_id)
               VALUES (?1, ?2, ?3, ?4, ?5, ?6)";
    let OpeningLine { id, envelope_id, uid, value_fen, time_us, request_id, .. } = line;
    batch.prepare_cached(sql)?.execute(params![
        id,
        envelope_id,
        uid,
        value_fen,
        time_us,
        request_id
    ])?;
    let sql = "INSERT INTO wallet (uid, amount_fen) VALUES (?1, ?2)
               ON CONFLICT (uid) DO UPDATE SET amount_fen = amount_fen + excluded.amount_fen";
    batch.prepare_cached(sql)?.execute([*uid, *value_fen])
}

/// The columns that [`version`] reads.
pub(super) const VERSION_COLUMNS: &str =
    "version, at, author, reason, first_draw, hit_ppm, terms, hash";

/// A version with its hash.
pub(super) fn version(row: &Row<'_>) -> rusqlite::Result<(Version, Digest)> {
    let author: String = row.get(2)?;
    let by = Author::from_name(&author);
    let version = Version {
        version: row.get(0)?,
        at: row.get(1)?,
        by: by.ok_or_else(|| unreadable(2, format!("{author} is no author")))?,
        reason: row.get(3)?,
        first_draw: row.get(4)?,
        hit_ppm: row.get(5)?,
        config: terms(row, 6)?,
    };
    Ok((version, Digest::new(row.get(7)?)))
}

/// A chunk from `number, version, left_count, left_fen`.
pub(super) fn chunk(row: &Row<'_>) -> rusqlite::Result<Chunk> {
    Ok(Chunk {
        number: row.get(0)?,
        version: row.get(1)?,
        left_count: row.get(2)?,
        left_fen: row.get(3)?,
    })
}

/// Terms from their text.
pub(super) fn terms(row: &Row<'_>, column: usize) -> rusqlite::Result<Terms> {
    let text: String = row.get(column)?;
    serde_json::from_str(&text).map_err(|error| unreadable(column, error.to_string()))
}

fn unreadable(column: usize, why: String) -> rusqlite::Error {
    rusqlite::Error::FromSqlConversionFailure(column, Type::Text, why.into())
}
