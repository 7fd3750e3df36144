//! The newest entries in SQL: what the totals do not contain yet, and what a retry is known by.
//!
//! Entries that the totals contain are taken out, so that the file does not grow with every view;
//! those with a request key stay until the key is forgotten, those with a reason for good.

use crate::counter::{Action, Counter, Id, Path, Write};
use crate::store::RequestKey;
use crate::store::sqlite::Format;
use rusqlite::types::{FromSql, FromSqlError, FromSqlResult, ToSql, ToSqlOutput, ValueRef};
use rusqlite::{Connection, OptionalExtension, Row, Transaction, params};

/// The file's name in the data folder.
pub(super) const FILE: &str = "counter-journal.db";

/// "Fcjo" in ASCII.
const APPLICATION_ID: i32 = 0x4663_6a6f;

/// How the file is made.
pub(super) const FORMAT: Format = Format {
    application_id: APPLICATION_ID,
    migrations: &["
CREATE TABLE entry (
    id           INTEGER PRIMARY KEY, -- grows with time; each is used once
    kind         INTEGER NOT NULL,    -- 0 added, 1 a user counted, 2 a user taken back, 3 recounted, 4 reset
    path         INTEGER NOT NULL,    -- the call: 0 increment, 1 users, 2 recount, 3 reset
    counter_type ANY NOT NULL,        -- ids are integers or texts
    resource_id  ANY NOT NULL,
    user_id      ANY,
    delta        INTEGER NOT NULL,    -- what it did to the count
    time_us      INTEGER NOT NULL,    -- microseconds since 1970, never falling
    request_id   TEXT,                -- the Idempotency-Key of the request, if it had one
    reason       TEXT                 -- of a recount or reset
) STRICT;
CREATE TABLE taken_out (
    position INTEGER NOT NULL         -- up to this id, entries may be missing: counter.db has them
) STRICT;
INSERT INTO taken_out VALUES (0);
"],
    checks: &[],
};

/// What an entry does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Added,
    Joined,
    Left,
    Recounted,
    Reset,
}

const KINDS: [Kind; 5] = [Kind::Added, Kind::Joined, Kind::Left, Kind::Recounted, Kind::Reset];
const PATHS: [Path; 4] = [Path::Increment, Path::Users, Path::Recount, Path::Reset];

/// One line of the journal: plain increments of one batch, summed, or a write of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) id: i64,
    pub(super) kind: Kind,
    pub(super) path: Path,
    pub(super) counter: Counter,
    pub(super) user: Option<Id>,
    pub(super) delta: i64,
    pub(super) time_us: i64,
    pub(super) key: Option<RequestKey>,
    pub(super) reason: Option<String>,
}

impl Entry {
    /// Whether this is what `write` makes, its key aside.
    pub(super) fn is_of(&self, write: &Write) -> bool {
        let same = match &write.action {
            Action::Add { delta, user } => {
                self.kind == Kind::Added && self.delta == *delta && self.user == *user
            }
            Action::Join { user } => self.kind == Kind::Joined && self.user.as_ref() == Some(user),
            Action::Leave { user } => self.kind == Kind::Left && self.user.as_ref() == Some(user),
            Action::Recount { reason } => {
                self.kind == Kind::Recounted && self.reason.as_ref() == Some(reason)
            }
            Action::Reset { reason } => {
                self.kind == Kind::Reset && self.reason.as_ref() == Some(reason)
            }
        };
        same && self.counter == write.counter
    }
}

/// The scope of a key in memory, and of a path in the file.
pub(super) fn number(path: Path) -> u8 {
    match path {
        Path::Increment => 0,
        Path::Users => 1,
        Path::Recount => 2,
        Path::Reset => 3,
    }
}

impl ToSql for Id {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(match self {
            Id::Number(number) => ToSqlOutput::from(*number),
            Id::Text(text) => ToSqlOutput::Borrowed(ValueRef::Text(text.as_bytes())),
        })
    }
}

impl FromSql for Id {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        let id = match value {
            ValueRef::Integer(number) => Id::from_number(number),
            text => Id::from_text(text.as_str()?),
        };
        id.ok_or(FromSqlError::InvalidType)
    }
}

const COLUMNS: &str =
    "id, kind, path, counter_type, resource_id, user_id, delta, time_us, request_id, reason";

fn entry(row: &Row<'_>) -> rusqlite::Result<Entry> {
    let of = |column| -> rusqlite::Result<usize> {
        let number = row.get::<_, i64>(column)?;
        usize::try_from(number)
            .map_err(|_| rusqlite::Error::IntegralValueOutOfRange(column, number))
    };
    let unknown = |column| rusqlite::Error::IntegralValueOutOfRange(column, -1);
    let key = row.get::<_, Option<String>>(8)?;
    Ok(Entry {
        id: row.get(0)?,
        kind: *KINDS.get(of(1)?).ok_or_else(|| unknown(1))?,
        path: *PATHS.get(of(2)?).ok_or_else(|| unknown(2))?,
        counter: Counter { counter_type: row.get(3)?, resource: row.get(4)? },
        user: row.get(5)?,
        delta: row.get(6)?,
        time_us: row.get(7)?,
        key: key.as_deref().and_then(RequestKey::new),
        reason: row.get(9)?,
    })
}

/// The entry of this id.
pub(super) fn by_id(journal: &Connection, id: i64) -> rusqlite::Result<Option<Entry>> {
    let sql = format!("SELECT {COLUMNS} FROM entry WHERE id = ?1");
    journal.prepare_cached(&sql)?.query_row([id], entry).optional()
}

/// Id and time of the newest entry, or zeros.
pub(super) fn last(journal: &Connection) -> rusqlite::Result<(i64, i64)> {
    let sql = "SELECT id, time_us FROM entry ORDER BY id DESC LIMIT 1";
    let last = journal.query_row(sql, [], |row| Ok((row.get(0)?, row.get(1)?))).optional()?;
    Ok(last.unwrap_or((0, 0)))
}

/// Up to which id entries may be missing.
pub(super) fn taken_out(journal: &Connection) -> rusqlite::Result<i64> {
    journal.query_row("SELECT position FROM taken_out", [], |row| row.get(0))
}

/// Writes entries. `inserted` is called after each.
pub(super) fn append(
    batch: &Transaction<'_>,
    entries: &[Entry],
    mut inserted: impl FnMut(),
) -> rusqlite::Result<()> {
    let sql =
        format!("INSERT INTO entry ({COLUMNS}) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)");
    let mut insert = batch.prepare_cached(&sql)?;
    for entry in entries {
        insert.execute(params![
            entry.id,
            entry.kind as u8,
            number(entry.path),
            entry.counter.counter_type,
            entry.counter.resource,
            entry.user,
            entry.delta,
            entry.time_us,
            entry.key.as_ref().map(RequestKey::as_str),
            entry.reason,
        ])?;
        inserted();
    }
    Ok(())
}

/// Takes out the next few entries behind `after` that the totals contain, which reach to `folded`.
/// Returns up to where that is done.
pub(super) fn take_out(
    batch: &Transaction<'_>,
    after: i64,
    folded: i64,
    num: usize,
) -> rusqlite::Result<i64> {
    let end = nth(batch, after, folded, num)?;
    let sql = "DELETE FROM entry
               WHERE id > ?1 AND id <= ?2 AND request_id IS NULL AND reason IS NULL";
    batch.prepare_cached(sql)?.execute([after, end])?;
    batch.prepare_cached("UPDATE taken_out SET position = ?1")?.execute([end])?;
    Ok(end)
}

/// Takes out the next few entries behind `after` whose keys are forgotten: those up to `until`,
/// which the totals contain too. Returns up to where that is done.
pub(super) fn forget(
    batch: &Transaction<'_>,
    after: i64,
    until: i64,
    num: usize,
) -> rusqlite::Result<i64> {
    let end = nth(batch, after, until, num)?;
    let sql = "DELETE FROM entry WHERE id > ?1 AND id <= ?2 AND reason IS NULL";
    batch.prepare_cached(sql)?.execute([after, end])?;
    Ok(end)
}

/// The id of the `num`-th entry behind `after`, or `until` when there are fewer.
fn nth(journal: &Connection, after: i64, until: i64, num: usize) -> rusqlite::Result<i64> {
    let before = i64::try_from(num - 1).unwrap_or(i64::MAX);
    let sql = "SELECT id FROM entry WHERE id > ?1 AND id <= ?2 ORDER BY id LIMIT 1 OFFSET ?3";
    let mut select = journal.prepare_cached(sql)?;
    let found = select.query_row([after, until, before], |row| row.get(0)).optional()?;
    Ok(found.unwrap_or(until))
}

/// Hands every entry in (`after`, `until`] to `each`, in order.
pub(super) fn entries<E: From<rusqlite::Error>>(
    journal: &Connection,
    after: i64,
    until: i64,
    mut each: impl FnMut(Entry) -> Result<(), E>,
) -> Result<(), E> {
    let sql = format!("SELECT {COLUMNS} FROM entry WHERE id > ?1 AND id <= ?2 ORDER BY id");
    let mut select = journal.prepare_cached(&sql)?;
    let mut rows = select.query([after, until])?;
    while let Some(row) = rows.next()? {
        each(entry(row)?)?;
    }
    Ok(())
}

/// Hands every request key since `since_us` to `each`: path, key, id, time.
pub(super) fn keys_since(
    journal: &Connection,
    since_us: i64,
    mut each: impl FnMut(u8, &str, i64, i64),
) -> rusqlite::Result<()> {
    let first = first_since(journal, since_us)?;
    let sql = "SELECT path, request_id, id, time_us FROM entry
               WHERE id >= ?1 AND request_id IS NOT NULL ORDER BY id";
    let mut select = journal.prepare(sql)?;
    let mut rows = select.query([first])?;
    while let Some(row) = rows.next()? {
        let key = row.get_ref(1)?.as_str().map_err(|_| rusqlite::Error::InvalidQuery)?;
        each(row.get(0)?, key, row.get(2)?, row.get(3)?);
    }
    Ok(())
}

/// An id such that all entries before it are older than `since_us`, and none from it on, by
/// halving: time never falls with the id, so it needs no index of its own.
pub(super) fn first_since(journal: &Connection, since_us: i64) -> rusqlite::Result<i64> {
    let sql = "SELECT time_us FROM entry WHERE id >= ?1 ORDER BY id LIMIT 1";
    let mut time = journal.prepare_cached(sql)?;
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
