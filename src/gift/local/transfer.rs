//! Takes past gifts into the journal, and gives copies of it away: import, export and backup.

use super::journal::{self, Line};
use crate::gift::Entry;
use crate::gift::mongo_export::PastGift;
use crate::store::sqlite::{self, RecordError, RecordFile};
use crate::store::{DataFolder, OpenError};
use rusqlite::{Connection, TransactionBehavior};
use std::collections::HashMap;
use std::path::{Path, PathBuf};

/// Lines that an export reads at once: no snapshot lives longer than that.
const SLICE_LINES: i64 = 4096;

/// Why a transfer did not take place; nothing was changed then.
#[derive(Debug, thiserror::Error)]
pub enum TransferError {
    /// The journal cannot be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The journal has gifts and nobody said that more are wanted.
    #[error(
        "the journal has {entries} entries already, so nothing was imported; with --append, gifts \
         that are newer than all of them can be added"
    )]
    NotEmpty {
        /// How many.
        entries: i64,
    },
    /// Entries are in the order of time, and what is there stays as it is.
    #[error(
        "the oldest gift to import is of {oldest}, but the journal goes up to {newest}: gifts can \
         only be added behind it, so nothing was imported"
    )]
    NotNewer {
        /// Of the import.
        oldest: jiff::Timestamp,
        /// Of the journal.
        newest: jiff::Timestamp,
    },
    /// A total would leave its range.
    #[error(
        "the total of anchor {anchor_id} would leave the range of an i64: nothing was imported"
    )]
    Overflow {
        /// Whose.
        anchor_id: i64,
    },
    /// The journal cannot be written.
    #[error("{path}: {source}", path = path.display())]
    Sqlite {
        /// Which.
        path: PathBuf,
        /// What `SQLite` said.
        source: rusqlite::Error,
    },
}

/// Adds arranged gifts to the journal of a folder that nobody else uses: all of them or none.
pub fn import(
    folder: &DataFolder,
    gifts: &[PastGift],
    append: bool,
    mut added: impl FnMut(),
) -> Result<(), TransferError> {
    let path = folder.file(journal::FILE);
    let fail = |source| TransferError::Sqlite { path: path.clone(), source };
    let mut journal = sqlite::open_writer(&path, &journal::FORMAT)?;
    let (last_id, last_time_us) = journal::last(&journal).map_err(fail)?;
    if last_id > 0 && !append {
        return Err(TransferError::NotEmpty { entries: last_id });
    }
    if let Some(first) = gifts.first().filter(|first| last_id > 0 && first.time_us <= last_time_us)
    {
        let time = |time_us| jiff::Timestamp::from_microsecond(time_us).unwrap_or_default();
        return Err(TransferError::NotNewer {
            oldest: time(first.time_us),
            newest: time(last_time_us),
        });
    }
    let mut totals: HashMap<i64, i64> = journal::totals(&journal).map_err(fail)?;
    for PastGift { gift, .. } in gifts {
        let total = totals.entry(gift.anchor_id).or_default();
        *total = total
            .checked_add(gift.worth)
            .ok_or(TransferError::Overflow { anchor_id: gift.anchor_id })?;
    }
    let lines = gifts.iter().zip(last_id + 1..).map(|(&PastGift { gift, time_us }, id)| Line {
        entry: Entry {
            id,
            audience_id: gift.audience_id,
            anchor_id: gift.anchor_id,
            worth: gift.worth,
            time_us,
            revokes: None,
        },
        request_id: None,
        reason: None,
    });
    // The index of anchors is written in no order; in the usual 2 MB that would be all disk.
    journal.pragma_update(None, "cache_size", -262_144).map_err(fail)?;
    let batch = journal.transaction_with_behavior(TransactionBehavior::Immediate).map_err(fail)?;
    journal::append(&batch, lines, &mut added).and_then(|()| batch.commit()).map_err(fail)?;
    journal.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).map_err(fail)
}

/// The journal of a folder, for reading only; a server may be writing it.
pub struct JournalFile(RecordFile);

impl JournalFile {
    /// Opens the journal in the folder `data`.
    pub fn open(data: &Path) -> Result<Self, RecordError> {
        Ok(Self(RecordFile::open(data.join(journal::FILE), &journal::FORMAT)?))
    }

    /// The id of the newest entry; up to there the journal stays as it is.
    pub fn newest(&self) -> Result<i64, RecordError> {
        self.0.read(newest)
    }

    /// Hands every line up to the id `until` to `each`, oldest first.
    pub fn each<E: From<RecordError>>(
        &self,
        until: i64,
        mut each: impl FnMut(&Line) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut after = 0;
        loop {
            let slice = |journal: &_| journal::lines(journal, after, until, SLICE_LINES);
            let lines = self.0.read(slice)?;
            let Some(last) = lines.last() else { return Ok(()) };
            after = last.entry.id;
            lines.iter().try_for_each(&mut each)?;
        }
    }

    /// Copies the journal; see [`RecordFile::back_up`]. Returns the id of the copy's newest entry.
    pub fn back_up(&self, target: &Path, copied: impl FnMut(u64, u64)) -> Result<i64, RecordError> {
        self.0.back_up(target, newest, copied)
    }
}

fn newest(journal: &Connection) -> rusqlite::Result<i64> {
    Ok(journal::last(journal)?.0)
}
