//! The journal in SQL: the only record of gifts, in a file that the `sqlite3` shell reads.

use crate::gift::Entry;
use crate::gift::ledger::Row as LedgerRow;
use crate::store::sqlite::Format;
use rusqlite::{Connection, OptionalExtension, Row, Transaction, params};
use std::borrow::Borrow;

/// The file's name in the data folder.
pub(super) const FILE: &str = "gift.db";

/// "Fgif" in ASCII.
const APPLICATION_ID: i32 = 0x4667_6966;

/// How the file is made.
pub(super) const FORMAT: Format = Format {
    application_id: APPLICATION_ID,
    migrations: &["
CREATE TABLE gift (
    id          INTEGER PRIMARY KEY, -- 1, 2, 3 ... without gaps, in the order of time
    audience_id INTEGER NOT NULL,
    anchor_id   INTEGER NOT NULL,
    worth       INTEGER NOT NULL,    -- negative in an entry that takes a gift back
    time_us     INTEGER NOT NULL,    -- microseconds since 1970, strictly growing
    request_id  TEXT,                -- the Idempotency-Key of the request, if it had one
    revokes     INTEGER,             -- the id of the gift that this entry takes back
    reason      TEXT                 -- why it was taken back
) STRICT;
-- An entry of an index ends with the id: an anchor's entries are in their order.
CREATE INDEX gift_by_anchor ON gift (anchor_id);
-- Holds revokes only, so that a gift pays nothing for it.
CREATE UNIQUE INDEX gift_by_revoked ON gift (revokes) WHERE revokes IS NOT NULL;
"],
    // Remainders, so that no sum overflows; a second for six million entries.
    checks: &["
SELECT t.entries = i.entries AND t.ids IS i.ids AND t.anchors IS i.anchors FROM
    (SELECT count(*) AS entries, sum(id % 1000003) AS ids, sum(anchor_id % 1000003) AS anchors
     FROM gift NOT INDEXED) AS t,
    (SELECT count(*) AS entries, sum(id % 1000003) AS ids, sum(anchor_id % 1000003) AS anchors
     FROM gift INDEXED BY gift_by_anchor) AS i
"],
};

/// An entry with what only the journal needs to know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// The entry.
    pub entry: Entry,
    /// The key of the request, if it had one.
    pub request_id: Option<String>,
    /// Why a gift was taken back.
    pub reason: Option<String>,
}

/// What an entry does to sums: the entry's own time, and that of the gift whose spans it changes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Change {
    pub(super) id: i64,
    pub(super) audience_id: i64,
    pub(super) anchor_id: i64,
    pub(super) delta: i64,
    pub(super) time_us: i64,
    /// A revoke changes the spans of the gift that it takes back.
    pub(super) gift_time_us: i64,
}

const COLUMNS: &str = "id, audience_id, anchor_id, worth, time_us, revokes, request_id, reason";

fn entry(row: &Row<'_>) -> rusqlite::Result<Entry> {
    Ok(Entry {
        id: row.get(0)?,
        audience_id: row.get(1)?,
        anchor_id: row.get(2)?,
        worth: row.get(3)?,
        time_us: row.get(4)?,
        revokes: row.get(5)?,
    })
}

fn line(row: &Row<'_>) -> rusqlite::Result<Line> {
    Ok(Line { entry: entry(row)?, request_id: row.get(6)?, reason: row.get(7)? })
}

/// The line of this id.
pub(super) fn by_id(journal: &Connection, id: i64) -> rusqlite::Result<Option<Line>> {
    let sql = format!("SELECT {COLUMNS} FROM gift WHERE id = ?1");
    journal.prepare_cached(&sql)?.query_row([id], line).optional()
}

/// The line that takes this gift back.
pub(super) fn revoke_of(journal: &Connection, id: i64) -> rusqlite::Result<Option<Line>> {
    let sql = format!("SELECT {COLUMNS} FROM gift WHERE revokes = ?1");
    journal.prepare_cached(&sql)?.query_row([id], line).optional()
}

/// Id and time of the newest line, or zeros.
pub(super) fn last(journal: &Connection) -> rusqlite::Result<(i64, i64)> {
    let sql = "SELECT id, time_us FROM gift ORDER BY id DESC LIMIT 1";
    let last = journal.query_row(sql, [], |row| Ok((row.get(0)?, row.get(1)?))).optional()?;
    Ok(last.unwrap_or((0, 0)))
}

/// Writes lines as a part of `batch`. `inserted` is called after each.
pub(super) fn append(
    batch: &Transaction<'_>,
    lines: impl IntoIterator<Item: Borrow<Line>>,
    mut inserted: impl FnMut(),
) -> rusqlite::Result<()> {
    let sql = format!("INSERT INTO gift ({COLUMNS}) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)");
    let mut insert = batch.prepare_cached(&sql)?;
    for line in lines {
        let Line { entry, request_id, reason } = line.borrow();
        insert.execute(params![
            entry.id,
            entry.audience_id,
            entry.anchor_id,
            entry.worth,
            entry.time_us,
            entry.revokes,
            request_id,
            reason,
        ])?;
        inserted();
    }
    Ok(())
}

/// At most `num` lines in (`after`, `until`], oldest first.
pub(super) fn lines(
    journal: &Connection,
    after: i64,
    until: i64,
    num: i64,
) -> rusqlite::Result<Vec<Line>> {
    let sql = format!("SELECT {COLUMNS} FROM gift WHERE id > ?1 AND id <= ?2 ORDER BY id LIMIT ?3");
    journal.prepare_cached(&sql)?.query_map([after, until, num], line)?.collect()
}

/// What every anchor has.
pub(super) fn totals<T: FromIterator<(i64, i64)>>(journal: &Connection) -> rusqlite::Result<T> {
    let mut select =
        journal.prepare("SELECT anchor_id, sum(worth) FROM gift GROUP BY anchor_id")?;
    select.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?.collect()
}

/// An anchor's entries, newest first, with ids below `before`.
pub(super) fn of_anchor(
    journal: &Connection,
    anchor_id: i64,
    before: i64,
    num: usize,
) -> rusqlite::Result<Vec<Entry>> {
    let sql = format!(
        "SELECT {COLUMNS} FROM gift WHERE anchor_id = ?1 AND id < ?2 ORDER BY id DESC LIMIT ?3"
    );
    let num = i64::try_from(num).unwrap_or(i64::MAX);
    let mut select = journal.prepare_cached(&sql)?;
    select.query_map([anchor_id, before, num], entry)?.collect()
}

/// What each audience gave an anchor in the entries after `position`: audience, sum, newest time.
pub(super) fn fans_since(
    journal: &Connection,
    anchor_id: i64,
    position: i64,
) -> rusqlite::Result<Vec<(i64, i64, i64)>> {
    let sql = "SELECT audience_id, sum(worth), max(time_us) FROM gift
               WHERE anchor_id = ?1 AND id > ?2 GROUP BY audience_id";
    let mut select = journal.prepare_cached(sql)?;
    let sums = select
        .query_map([anchor_id, position], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
    sums.collect()
}

/// Hands every change in (`after`, `until`] to `each`, in order.
pub(super) fn changes<E: From<rusqlite::Error>>(
    journal: &Connection,
    after: i64,
    until: i64,
    mut each: impl FnMut(Change) -> Result<(), E>,
) -> Result<(), E> {
    let sql = "SELECT g.id, g.audience_id, g.anchor_id, g.worth, g.time_us,
                      CASE WHEN g.revokes IS NULL THEN g.time_us
                      ELSE (SELECT o.time_us FROM gift o WHERE o.id = g.revokes) END
               FROM gift g WHERE g.id > ?1 AND g.id <= ?2 ORDER BY g.id";
    let mut select = journal.prepare_cached(sql)?;
    let mut rows = select.query([after, until])?;
    while let Some(row) = rows.next()? {
        each(Change {
            id: row.get(0)?,
            audience_id: row.get(1)?,
            anchor_id: row.get(2)?,
            delta: row.get(3)?,
            time_us: row.get(4)?,
            gift_time_us: row.get(5)?,
        })?;
    }
    Ok(())
}

/// Hands every line in (`after`, `until`], with the gift that it takes back, to `each`, in order.
pub(super) fn rows(
    journal: &Connection,
    after: i64,
    until: i64,
    mut each: impl FnMut(LedgerRow),
) -> rusqlite::Result<()> {
    let sql = "SELECT g.id, g.audience_id, g.anchor_id, g.worth, g.time_us, g.revokes,
                      o.id, o.audience_id, o.anchor_id, o.worth, o.time_us, o.revokes
               FROM gift g LEFT JOIN gift o ON o.id = g.revokes
               WHERE g.id > ?1 AND g.id <= ?2 ORDER BY g.id";
    let mut select = journal.prepare_cached(sql)?;
    let mut rows = select.query([after, until])?;
    while let Some(row) = rows.next()? {
        let target = match row.get::<_, Option<i64>>(6)? {
            Some(id) => Some(Entry {
                id,
                audience_id: row.get(7)?,
                anchor_id: row.get(8)?,
                worth: row.get(9)?,
                time_us: row.get(10)?,
                revokes: row.get(11)?,
            }),
            None => None,
        };
        each(LedgerRow { entry: entry(row)?, target });
    }
    Ok(())
}

/// An anchor's next `num` entries in (`after`, `until`]: id, audience, worth, time.
pub(super) fn gifts_to(
    journal: &Connection,
    anchor_id: i64,
    after: i64,
    until: i64,
    num: i64,
) -> rusqlite::Result<Vec<(i64, i64, i64, i64)>> {
    let sql = "SELECT id, audience_id, worth, time_us FROM gift
               WHERE anchor_id = ?1 AND id > ?2 AND id <= ?3 ORDER BY id LIMIT ?4";
    let mut select = journal.prepare_cached(sql)?;
    let gifts = select.query_map([anchor_id, after, until, num], |row| {
        Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?))
    })?;
    gifts.collect()
}

/// Hands every request key since `since_us` to `each`: key, id, time, whether it is of a revoke.
pub(super) fn keys_since(
    journal: &Connection,
    since_us: i64,
    mut each: impl FnMut(&str, i64, i64, bool),
) -> rusqlite::Result<()> {
    let first = first_since(journal, since_us)?;
    let sql = "SELECT request_id, id, time_us, revokes IS NOT NULL FROM gift
               WHERE id >= ?1 AND request_id IS NOT NULL ORDER BY id";
    let mut select = journal.prepare(sql)?;
    let mut rows = select.query([first])?;
    while let Some(row) = rows.next()? {
        let key = row.get_ref(0)?.as_str().map_err(|_| rusqlite::Error::InvalidQuery)?;
        each(key, row.get(1)?, row.get(2)?, row.get(3)?);
    }
    Ok(())
}

/// The smallest id whose time is `since_us` or later, by halving: time grows with the id, so it
/// needs no index of its own.
fn first_since(journal: &Connection, since_us: i64) -> rusqlite::Result<i64> {
    let mut time =
        journal.prepare("SELECT time_us FROM gift WHERE id >= ?1 ORDER BY id LIMIT 1")?;
    let (mut low, mut high) = (1, last(journal)?.0 + 1);
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
