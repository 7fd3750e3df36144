//! What `SQLite` alone can do, for bench.sh: commits rows of the gift journal, so many at a time,
//! and prints rows a second. The server's durable sends are measured against it.
//!
//! `sqlite_floor FOLDER [SECONDS [ROWS_PER_COMMIT [ANCHORS]]]`

use rusqlite::{Connection, params};
use std::error::Error;
use std::io::Write;
use std::path::PathBuf;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let folder = PathBuf::from(
        arguments.next().ok_or("usage: sqlite_floor FOLDER [SECONDS [ROWS [ANCHORS]]]")?,
    );
    let seconds = arguments.next().map_or(Ok(4), |text| text.parse())?;
    let rows_per_commit = arguments.next().map_or(Ok(100), |text| text.parse())?;
    let anchors = arguments.next().map_or(Ok(99), |text| text.parse())?;
    let mut journal = Connection::open(folder.join("floor.db"))?;
    journal.execute_batch(
        "PRAGMA journal_mode = WAL;
         PRAGMA synchronous = FULL;
         CREATE TABLE gift (
             id INTEGER PRIMARY KEY, audience_id INTEGER NOT NULL, anchor_id INTEGER NOT NULL,
             worth INTEGER NOT NULL, time_us INTEGER NOT NULL, request_id TEXT,
             revokes INTEGER, reason TEXT
         );
         CREATE INDEX gift_by_anchor ON gift (anchor_id);",
    )?;
    let start = Instant::now();
    let (mut rows, mut commits) = (0_i64, 0_u64);
    while start.elapsed() < Duration::from_secs(seconds) {
        commit(&mut journal, rows, rows_per_commit, anchors)?;
        rows += rows_per_commit;
        commits += 1;
    }
    let micros = i64::try_from(start.elapsed().as_micros())?;
    let rate = rows.saturating_mul(1_000_000) / micros.max(1);
    writeln!(std::io::stdout(), "floor rows={rows} commits={commits} rate={rate}/s")?;
    Ok(())
}

fn commit(
    journal: &mut Connection,
    first: i64,
    rows: i64,
    anchors: i64,
) -> Result<(), Box<dyn Error>> {
    let time = i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH)?.as_micros())?;
    let transaction = journal.transaction()?;
    {
        let mut insert = transaction.prepare_cached(
            "INSERT INTO gift (id, audience_id, anchor_id, worth, time_us) VALUES (?, ?, ?, ?, ?)",
        )?;
        for number in first..first + rows {
            // A prime step: the anchors of one commit are strewn over all, as gifts are.
            let anchor = 1 + number * 7_919 % anchors;
            let (audience, worth) = (1_000 + number % 1_000, 1 + number % 9);
            insert.execute(params![number + 1, audience, anchor, worth, time])?;
        }
    }
    transaction.commit()?;
    Ok(())
}
