//! What all entries up to one of them add up to, in SQL. Together with the journal's entries behind
//! it this is the record: the entries before it are taken out of the journal.
//!
//! It is folded forward from the journal's own new entries, in one durable transaction with the
//! position: no snapshot of memory is taken, so neither bookkeeper nor readers wait, and a crash
//! leaves the old totals or the new ones, and the journal has what is between them.

use super::fold::{Change, Changes, Total};
use super::journal;
use crate::calendar::Calendar;
use crate::counter::{Counter, Id};
use crate::store::sqlite::Format;
use rusqlite::{Connection, OptionalExtension, Row, Transaction, params};

/// The file's name in the data folder.
pub(super) const FILE: &str = "counter.db";

/// "Fcou" in ASCII.
const APPLICATION_ID: i32 = 0x4663_6f75;

pub(super) const FORMAT: Format = Format {
    application_id: APPLICATION_ID,
    migrations: &["
CREATE TABLE folded (
    position INTEGER NOT NULL,  -- the last entry of the journal that is contained
    time_us  INTEGER NOT NULL   -- its time
) STRICT;
INSERT INTO folded VALUES (0, 0);
CREATE TABLE counter (
    counter_type ANY NOT NULL,  -- ids are integers or texts
    resource_id  ANY NOT NULL,
    count        INTEGER NOT NULL,
    hour_from_s  INTEGER NOT NULL, -- the first second of the newest hour in which it was counted,
    hour         INTEGER NOT NULL, -- and the sum of its increments within
    day_from_s   INTEGER NOT NULL,
    day          INTEGER NOT NULL,
    week_from_s  INTEGER NOT NULL,
    week         INTEGER NOT NULL,
    PRIMARY KEY (counter_type, resource_id)
) STRICT, WITHOUT ROWID;
CREATE TABLE counted_user (
    counter_type ANY NOT NULL,
    resource_id  ANY NOT NULL,
    user_id      ANY NOT NULL,
    PRIMARY KEY (counter_type, resource_id, user_id)
) STRICT, WITHOUT ROWID;
"],
    checks: &[],
};

/// Position and time of the last entry contained.
pub(super) fn position(totals: &Connection) -> rusqlite::Result<(i64, i64)> {
    let mut select = totals.prepare_cached("SELECT position, time_us FROM folded")?;
    select.query_row([], |row| Ok((row.get(0)?, row.get(1)?)))
}

const COLUMNS: &str = "count, hour_from_s, hour, day_from_s, day, week_from_s, week";

/// A total whose columns begin at `first`.
fn total(row: &Row<'_>, first: usize) -> rusqlite::Result<Total> {
    let window = |column: usize| Ok::<_, rusqlite::Error>((row.get(column)?, row.get(column + 1)?));
    Ok(Total {
        count: row.get(first)?,
        windows: [window(first + 1)?, window(first + 3)?, window(first + 5)?],
    })
}

/// The total of one counter.
pub(super) fn of(totals: &Connection, counter: &Counter) -> rusqlite::Result<Option<Total>> {
    let sql = format!("SELECT {COLUMNS} FROM counter WHERE counter_type = ?1 AND resource_id = ?2");
    let mut select = totals.prepare_cached(&sql)?;
    let of = params![counter.counter_type, counter.resource];
    select.query_row(of, |row| total(row, 0)).optional()
}

/// Hands every counter to `each`, type by type.
pub(super) fn counters(
    totals: &Connection,
    mut each: impl FnMut(Counter, Total),
) -> rusqlite::Result<()> {
    let sql = format!(
        "SELECT counter_type, resource_id, {COLUMNS} FROM counter ORDER BY counter_type, resource_id"
    );
    let mut select = totals.prepare(&sql)?;
    let mut rows = select.query([])?;
    while let Some(row) = rows.next()? {
        each(Counter { counter_type: row.get(0)?, resource: row.get(1)? }, total(row, 2)?);
    }
    Ok(())
}

/// Hands every counted user to `each`, counter by counter.
pub(super) fn users(
    totals: &Connection,
    mut each: impl FnMut(Counter, Id),
) -> rusqlite::Result<()> {
    let sql = "SELECT counter_type, resource_id, user_id FROM counted_user
               ORDER BY counter_type, resource_id";
    let mut select = totals.prepare(sql)?;
    let mut rows = select.query([])?;
    while let Some(row) = rows.next()? {
        let counter = Counter { counter_type: row.get(0)?, resource: row.get(1)? };
        each(counter, row.get(2)?);
    }
    Ok(())
}

/// How many users a counter has.
pub(super) fn user_count(totals: &Connection, counter: &Counter) -> rusqlite::Result<i64> {
    let sql = "SELECT count(*) FROM counted_user WHERE counter_type = ?1 AND resource_id = ?2";
    let mut select = totals.prepare_cached(sql)?;
    select.query_row(params![counter.counter_type, counter.resource], |row| row.get(0))
}

/// Whether a user is counted.
pub(super) fn is_counted(
    totals: &Connection,
    counter: &Counter,
    user: &Id,
) -> rusqlite::Result<bool> {
    let sql = "SELECT 1 FROM counted_user
               WHERE counter_type = ?1 AND resource_id = ?2 AND user_id = ?3";
    let mut select = totals.prepare_cached(sql)?;
    select.exists(params![counter.counter_type, counter.resource, user])
}

/// Moves the totals from their position to the entry `until`.
pub(super) fn fold(
    totals: &Transaction<'_>,
    journal: &Connection,
    calendar: &Calendar,
    until: i64,
) -> rusqlite::Result<()> {
    let (after, mut time_us) = position(totals)?;
    let mut changes = Changes::default();
    journal::entries(journal, after, until, |entry| {
        time_us = entry.time_us;
        changes.add(calendar, entry);
        Ok::<_, rusqlite::Error>(())
    })?;
    // In the order of the file: neighbours are written one after the other.
    let mut changes: Vec<_> = changes.0.into_iter().collect();
    changes.sort_unstable_by(|(a, _), (b, _)| a.cmp(b));
    for (counter, change) in &changes {
        write(totals, counter, change)?;
    }
    totals.execute("UPDATE folded SET position = ?1, time_us = ?2", [until, time_us])?;
    Ok(())
}

fn write(totals: &Transaction<'_>, counter: &Counter, change: &Change) -> rusqlite::Result<()> {
    let Counter { counter_type, resource } = counter;
    let before = of(totals, counter)?.unwrap_or(Total::ZERO);
    // A file that somebody else wrote: stop rather than wrap.
    let after =
        change.apply(before).ok_or(rusqlite::Error::IntegralValueOutOfRange(2, i64::MAX))?;
    let [hour, day, week] = after.windows;
    let sql = "INSERT OR REPLACE INTO counter VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)";
    totals.prepare_cached(sql)?.execute(params![
        counter_type,
        resource,
        after.count,
        hour.0,
        hour.1,
        day.0,
        day.1,
        week.0,
        week.1,
    ])?;
    if change.is_reset {
        let sql = "DELETE FROM counted_user WHERE counter_type = ?1 AND resource_id = ?2";
        totals.prepare_cached(sql)?.execute(params![counter_type, resource])?;
    }
    for (user, is_counted) in &change.users {
        let sql = if *is_counted {
            "INSERT OR IGNORE INTO counted_user VALUES (?1, ?2, ?3)"
        } else {
            "DELETE FROM counted_user WHERE counter_type = ?1 AND resource_id = ?2 AND user_id = ?3"
        };
        totals.prepare_cached(sql)?.execute(params![counter_type, resource, user])?;
    }
    Ok(())
}
