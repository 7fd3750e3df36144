//! What the journal sums up to, as of one of its entries: boards for a quick start, fans for quick
//! answers. Derived, so a file that is missing, damaged or of other rules is made anew.
//!
//! It is folded forward from the journal's own new entries, in one transaction with the position:
//! no snapshot of memory is taken, so neither bookkeeper nor readers wait, and a crash leaves the
//! old checkpoint or the new one.

use super::journal;
use super::shared::Shared;
use super::state::Rules;
use super::sums::{Fault, Sum, Sums};
use crate::gift::Period;
use crate::limits::GIFT_FOLD_CACHE_KIB;
use crate::store::OpenError;
use crate::store::sqlite::{self, Format};
use rusqlite::{Connection, OptionalExtension, Transaction, params};
use std::collections::HashMap;

/// The file's name in the data folder.
pub(super) const FILE: &str = "gift-checkpoint.db";

/// "Fgck" in ASCII.
const APPLICATION_ID: i32 = 0x4667_636b;

const FORMAT: Format = Format {
    application_id: APPLICATION_ID,
    migrations: &["
CREATE TABLE checkpoint (
    position         INTEGER NOT NULL, -- the last journal entry contained
    position_time_us INTEGER NOT NULL, -- its time, to know the journal again
    zone             TEXT NOT NULL,    -- where calendar days begin
    keep_hour_s      INTEGER NOT NULL,
    keep_day_s       INTEGER NOT NULL,
    keep_week_s      INTEGER NOT NULL
) STRICT;
CREATE TABLE board (
    period     INTEGER NOT NULL, -- 0 all time, 1 hour, 2 day, 3 week
    from_s     INTEGER NOT NULL, -- first second of the span, 0 for all time
    anchor_id  INTEGER NOT NULL,
    total      INTEGER NOT NULL,
    reached_us INTEGER NOT NULL, -- time of the newest entry
    PRIMARY KEY (period, from_s, anchor_id)
) STRICT, WITHOUT ROWID;
CREATE TABLE fan (
    anchor_id   INTEGER NOT NULL,
    audience_id INTEGER NOT NULL,
    total       INTEGER NOT NULL,
    reached_us  INTEGER NOT NULL,
    PRIMARY KEY (anchor_id, audience_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX fan_by_total ON fan (anchor_id, total DESC, reached_us, audience_id) WHERE total > 0;
"],
    checks: &["
SELECT t.fans = i.fans AND t.ids IS i.ids AND t.totals IS i.totals FROM
    (SELECT count(*) AS fans, sum(audience_id % 1000003) AS ids, sum(total % 1000003) AS totals
     FROM fan NOT INDEXED WHERE total > 0) AS t,
    (SELECT count(*) AS fans, sum(audience_id % 1000003) AS ids, sum(total % 1000003) AS totals
     FROM fan INDEXED BY fan_by_total WHERE total > 0) AS i
"],
};

const fn number(period: Period) -> i64 {
    match period {
        Period::All => 0,
        Period::Hour => 1,
        Period::Day => 2,
        Period::Week => 3,
    }
}

fn period(number: i64) -> Option<Period> {
    [Period::All, Period::Hour, Period::Day, Period::Week]
        .into_iter()
        .find(|&period| self::number(period) == number)
}

/// Opens the file for folding; makes it anew when it is of no use.
pub(super) fn open(shared: &Shared, journal: &Connection) -> Result<Connection, OpenError> {
    let path = shared.folder.file(FILE);
    let missing = !path.exists();
    let reason = match sqlite::open_writer(&path, &FORMAT) {
        Ok(checkpoint) => match belongs(&checkpoint, shared, journal) {
            Ok(true) => return set_up(checkpoint).map_err(|e| sqlite::refused(&path, e)),
            Ok(false) => String::from("it is of another journal, time zone or keeping"),
            Err(error) => error.to_string(),
        },
        Err(error @ (OpenError::Folder { .. } | OpenError::ReadOnly { .. })) => return Err(error),
        Err(error) => error.to_string(),
    };
    if missing {
        // As in every new folder, and after an import or a restored backup.
        tracing::info!("the gift checkpoint is made from the journal");
    } else {
        tracing::warn!(reason, "the gift checkpoint is made anew from the journal");
    }
    let fail = |source| OpenError::Folder { path: path.clone(), source };
    sqlite::remove(&path).map_err(fail)?;
    let checkpoint = sqlite::open_writer(&path, &FORMAT)?;
    begin(&checkpoint, shared)
        .and_then(|()| set_up(checkpoint))
        .map_err(|e| sqlite::refused(&path, e))
}

fn set_up(checkpoint: Connection) -> rusqlite::Result<Connection> {
    // Without a sync per transaction a power cut may lose the newest of them, never a part of one:
    // then the start replays a longer tail.
    checkpoint.pragma_update(None, "synchronous", "NORMAL")?;
    checkpoint.pragma_update(None, "wal_autocheckpoint", 1000)?;
    // Negative counts KiB, positive would count pages.
    checkpoint.pragma_update(None, "cache_size", -GIFT_FOLD_CACHE_KIB)?;
    Ok(checkpoint)
}

fn begin(checkpoint: &Connection, shared: &Shared) -> rusqlite::Result<()> {
    let keep = &shared.rules.keep;
    checkpoint.execute(
        "INSERT INTO checkpoint VALUES (0, 0, ?1, ?2, ?3, ?4)",
        params![shared.zone, keep.hour_s, keep.day_s, keep.week_s],
    )?;
    Ok(())
}

/// Whether the checkpoint is one of this journal, under these rules.
fn belongs(
    checkpoint: &Connection,
    shared: &Shared,
    journal: &Connection,
) -> rusqlite::Result<bool> {
    let keep = &shared.rules.keep;
    let sql = "SELECT position, position_time_us FROM checkpoint
               WHERE zone = ?1 AND keep_hour_s = ?2 AND keep_day_s = ?3 AND keep_week_s = ?4";
    let rules = params![shared.zone, keep.hour_s, keep.day_s, keep.week_s];
    let position = |row: &rusqlite::Row<'_>| Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?));
    let Some((id, time_us)) = checkpoint.query_row(sql, rules, position).optional()? else {
        return Ok(false);
    };
    if id == 0 {
        return Ok(true);
    }
    Ok(journal::by_id(journal, id)?.is_some_and(|line| line.entry.time_us == time_us))
}

/// The last journal entry that the checkpoint contains.
pub(super) fn position(checkpoint: &Connection) -> rusqlite::Result<i64> {
    checkpoint.prepare_cached("SELECT position FROM checkpoint")?.query_row([], |row| row.get(0))
}

/// The sums of the checkpoint, and its position; nothing and 0 when it cannot be used.
pub(super) fn load(shared: &Shared, journal: &Connection, now_us: i64) -> (Sums, i64) {
    let read = || {
        let checkpoint =
            sqlite::open_reader(&shared.folder.file(FILE)).map_err(|error| error.to_string())?;
        let whole = checkpoint.unchecked_transaction().map_err(|error| error.to_string())?;
        match belongs(&whole, shared, journal) {
            Ok(true) => sums(&whole, &shared.rules, now_us).map_err(|fault| fault.to_string()),
            Ok(false) => Err(String::from("it does not belong to this journal")),
            Err(error) => Err(error.to_string()),
        }
    };
    read().unwrap_or_else(|reason: String| {
        tracing::warn!(reason, "the gift checkpoint is passed over");
        (Sums::default(), 0)
    })
}

fn sums(checkpoint: &Connection, rules: &Rules, now_us: i64) -> Result<(Sums, i64), Fault> {
    let mut sums = Sums::default();
    let sql = "SELECT period, from_s, anchor_id, total, reached_us FROM board
               ORDER BY period, from_s, anchor_id";
    let mut select = checkpoint.prepare(sql)?;
    let mut rows = select.query([])?;
    // Rows of one board follow each other, so the calendar is asked once a board.
    let mut board = (Period::All, 0, true);
    while let Some(row) = rows.next()? {
        let Some(period) = period(row.get(0)?) else { continue };
        let from_s = row.get(1)?;
        if (period, from_s) != (board.0, board.1) {
            board = (period, from_s, rules.knows(period, from_s, now_us));
        }
        if period == Period::All || board.2 {
            let sum = Sum { worth: row.get(3)?, reached_us: row.get(4)? };
            sums.put(period, from_s, row.get(2)?, sum)?;
        }
    }
    Ok((sums, position(checkpoint)?))
}

/// The first `num` fans of an anchor in the board's order: audience, total, time.
pub(super) fn fans(
    checkpoint: &Connection,
    anchor_id: i64,
    num: usize,
) -> rusqlite::Result<Vec<(i64, i64, i64)>> {
    let sql = "SELECT audience_id, total, reached_us FROM fan WHERE anchor_id = ?1 AND total > 0
               ORDER BY total DESC, reached_us, audience_id LIMIT ?2";
    let num = i64::try_from(num).unwrap_or(i64::MAX);
    let mut select = checkpoint.prepare_cached(sql)?;
    let rows =
        select.query_map([anchor_id, num], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
    rows.collect()
}

/// Total and time of one fan.
pub(super) fn fan(
    checkpoint: &Connection,
    anchor_id: i64,
    audience_id: i64,
) -> rusqlite::Result<Option<(i64, i64)>> {
    let sql = "SELECT total, reached_us FROM fan WHERE anchor_id = ?1 AND audience_id = ?2";
    let mut select = checkpoint.prepare_cached(sql)?;
    select.query_row([anchor_id, audience_id], |row| Ok((row.get(0)?, row.get(1)?))).optional()
}

/// Moves the checkpoint from its position to `until`, in one transaction.
pub(super) fn fold(
    checkpoint: &mut Connection,
    journal: &Connection,
    rules: &Rules,
    until: i64,
) -> Result<(), Fault> {
    let fold = checkpoint.transaction()?;
    let after = position(&fold)?;
    let Some(last) = journal::by_id(journal, until)? else { return Ok(()) };
    let now_us = last.entry.time_us;
    let mut sums = Sums::default();
    let mut fans = HashMap::new();
    journal::changes(journal, after, until, |change| {
        let (id, time_us) = ((change.anchor_id, change.audience_id), change.time_us);
        let sum = fans.entry(id).or_insert(Sum { worth: 0, reached_us: time_us });
        sum.worth += change.delta;
        sum.reached_us = time_us;
        sums.add(rules, &change, now_us)
    })?;
    write_boards(&fold, sums)?;
    write_fans(&fold, fans)?;
    forget(&fold, rules, now_us)?;
    fold.execute("UPDATE checkpoint SET position = ?1, position_time_us = ?2", [until, now_us])?;
    Ok(fold.commit()?)
}

fn write_boards(fold: &Transaction<'_>, sums: Sums) -> rusqlite::Result<()> {
    let sql = "INSERT INTO board VALUES (?1, ?2, ?3, ?4, ?5) ON CONFLICT DO UPDATE
               SET total = total + excluded.total, reached_us = max(reached_us, excluded.reached_us)";
    let mut add = fold.prepare_cached(sql)?;
    for (period, from_s, anchor_id, sum) in sums.sorted() {
        add.execute([number(period), from_s, anchor_id, sum.worth, sum.reached_us])?;
    }
    Ok(())
}

fn write_fans(fold: &Transaction<'_>, fans: HashMap<(i64, i64), Sum>) -> rusqlite::Result<()> {
    let sql = "INSERT INTO fan VALUES (?1, ?2, ?3, ?4) ON CONFLICT DO UPDATE
               SET total = total + excluded.total, reached_us = excluded.reached_us";
    let mut add = fold.prepare_cached(sql)?;
    let mut fans: Vec<_> = fans.into_iter().collect();
    fans.sort_unstable_by_key(|&(id, _)| id);
    for ((anchor_id, audience_id), sum) in fans {
        add.execute([anchor_id, audience_id, sum.worth, sum.reached_us])?;
    }
    Ok(())
}

/// Drops the boards of spans that are no longer kept.
fn forget(fold: &Transaction<'_>, rules: &Rules, now_us: i64) -> rusqlite::Result<()> {
    let mut spans = fold.prepare_cached("SELECT DISTINCT period, from_s FROM board")?;
    let spans: Vec<(i64, i64)> = spans
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect::<rusqlite::Result<_>>()?;
    for (number, from_s) in spans {
        let kept = match period(number) {
            Some(Period::All) => true,
            Some(period) => rules.knows(period, from_s, now_us),
            None => false,
        };
        if !kept {
            fold.execute("DELETE FROM board WHERE period = ?1 AND from_s = ?2", [number, from_s])?;
        }
    }
    Ok(())
}
