//! Takes past gifts into the journal, and gives copies of it away: import, export and backup.

use super::journal::{self, Line};
use crate::gift::Entry;
use crate::gift::mongo_export::PastGift;
use crate::limits::GIFT_COPY_PAGES;
use crate::store::{DataFolder, OpenError, sqlite};
use rusqlite::backup::{Backup, StepResult};
use rusqlite::{Connection, TransactionBehavior};
use std::collections::HashMap;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

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
    /// The copy is there already.
    #[error("{path} exists already; it is left as it is", path = path.display())]
    Exists {
        /// Which.
        path: PathBuf,
    },
    /// Reading or writing another file than the journal failed.
    #[error("{path}: {source}", path = path.display())]
    Io {
        /// Which.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The journal or its copy cannot be read or written.
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
pub struct JournalFile {
    path: PathBuf,
    journal: Connection,
}

impl JournalFile {
    /// Opens the journal in the folder `data`.
    pub fn open(data: &Path) -> Result<Self, TransferError> {
        let path = data.join(journal::FILE);
        let journal = sqlite::open_beside(&path, &journal::FORMAT)?;
        Ok(Self { path, journal })
    }

    /// The id of the newest entry; up to there the journal stays as it is.
    pub fn newest(&self) -> Result<i64, TransferError> {
        Ok(journal::last(&self.journal).map_err(|error| self.failed(error))?.0)
    }

    /// Hands every line up to the id `until` to `each`, oldest first.
    pub fn each<E: From<TransferError>>(
        &self,
        until: i64,
        mut each: impl FnMut(&Line) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut after = 0;
        loop {
            let lines = journal::lines(&self.journal, after, until, SLICE_LINES);
            let lines = lines.map_err(|error| self.failed(error))?;
            let Some(last) = lines.last() else { return Ok(()) };
            after = last.entry.id;
            lines.iter().try_for_each(&mut each)?;
        }
    }

    /// Copies the journal as it is at this moment, whatever is written meanwhile, and returns once
    /// the copy is on the disk. `copied` hears how many pages of how many there are.
    pub fn back_up(
        &self,
        target: &Path,
        copied: impl FnMut(u64, u64),
    ) -> Result<i64, TransferError> {
        let fail = |source| TransferError::Io { path: target.to_owned(), source };
        // A log without its file would be taken for the log of the copy.
        for path in [target.to_owned(), with_suffix(target, "-wal")] {
            if fs::symlink_metadata(&path).is_ok() {
                return Err(TransferError::Exists { path });
            }
        }
        // Under another name until it is whole: half a backup must not look like one.
        let partial = with_suffix(target, ".partial");
        sqlite::remove(&partial).map_err(fail)?;
        let result = self.copy(&partial, copied).and_then(|newest| {
            File::open(&partial).and_then(|copy| copy.sync_all()).map_err(fail)?;
            fs::rename(&partial, target).map_err(fail)?;
            let folder = target.parent().filter(|folder| !folder.as_os_str().is_empty());
            let folder = File::open(folder.unwrap_or(Path::new("."))).map_err(fail)?;
            folder.sync_all().map_err(fail)?;
            Ok(newest)
        });
        if result.is_err() {
            // The reason is told; what cannot be removed is told by its name.
            let _ = sqlite::remove(&partial);
        }
        result
    }

    fn copy(&self, partial: &Path, mut copied: impl FnMut(u64, u64)) -> Result<i64, TransferError> {
        let fail = |source| TransferError::Sqlite { path: partial.to_owned(), source };
        // One snapshot for all steps: otherwise each commit would make the copy begin anew.
        let snapshot = self.journal.unchecked_transaction().map_err(|error| self.failed(error))?;
        let (newest, _) = journal::last(&snapshot).map_err(|error| self.failed(error))?;
        let mut copy = Connection::open(partial).map_err(fail)?;
        let backup = Backup::new(&snapshot, &mut copy).map_err(fail)?;
        loop {
            match backup.step(GIFT_COPY_PAGES).map_err(fail)? {
                StepResult::Done => break,
                StepResult::More => {}
                // Somebody holds a lock on the copy; we do not give up a snapshot for that.
                _ => thread::sleep(Duration::from_millis(10)),
            }
            let progress = backup.progress();
            let pages = |count: i32| u64::try_from(count).unwrap_or(0);
            copied(pages(progress.pagecount - progress.remaining), pages(progress.pagecount));
        }
        drop(backup);
        copy.close().map_err(|(_, error)| fail(error))?;
        Ok(newest)
    }

    fn failed(&self, source: rusqlite::Error) -> TransferError {
        TransferError::Sqlite { path: self.path.clone(), source }
    }
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}
