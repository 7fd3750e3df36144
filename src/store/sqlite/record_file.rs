//! A record beside whoever serves it: to be read, and copied as it is at one moment.

use super::{Format, beside, open_beside, remove};
use crate::limits::COPY_PAGES;
use crate::store::OpenError;
use rusqlite::Connection;
use rusqlite::backup::{Backup, StepResult};
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

/// Why a record gives nothing away.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// The record cannot be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The copy is there already.
    #[error("{path} exists already; it is left as it is", path = path.display())]
    Exists {
        /// Which.
        path: PathBuf,
    },
    /// The copy cannot be made.
    #[error("{path}: {source}", path = path.display())]
    Io {
        /// Where.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The record cannot be read, or the copy not be written.
    #[error("{path}: {source}", path = path.display())]
    Sqlite {
        /// Of the one or the other.
        path: PathBuf,
        /// What `SQLite` said.
        source: rusqlite::Error,
    },
}

/// A record, for reading only.
pub struct RecordFile {
    path: PathBuf,
    record: Connection,
}

impl RecordFile {
    /// Opens the record at `path`; a server may be writing it.
    pub fn open(path: PathBuf, format: &Format) -> Result<Self, RecordError> {
        let record = open_beside(&path, format)?;
        Ok(Self { path, record })
    }

    /// What `look` finds.
    pub fn read<T>(
        &self,
        look: impl FnOnce(&Connection) -> rusqlite::Result<T>,
    ) -> Result<T, RecordError> {
        let failed = |source| RecordError::Sqlite { path: self.path.clone(), source };
        look(&self.record).map_err(failed)
    }

    /// Copies the record as it is at this moment, whatever is written meanwhile, and returns once
    /// the copy is on the disk: what `newest` found in it. `copied` hears how many pages of how
    /// many there are.
    pub fn back_up<T>(
        &self,
        target: &Path,
        newest: impl FnOnce(&Connection) -> rusqlite::Result<T>,
        copied: impl FnMut(u64, u64),
    ) -> Result<T, RecordError> {
        let fail = |source| RecordError::Io { path: target.to_owned(), source };
        // A log without its file would be taken for the log of the copy.
        for path in [target.to_owned(), beside(target, "-wal")] {
            if fs::symlink_metadata(&path).is_ok() {
                return Err(RecordError::Exists { path });
            }
        }
        // Under another name until it is whole: half a backup must not look like one.
        let partial = beside(target, ".partial");
        remove(&partial).map_err(fail)?;
        let written = copy(&self.record, &partial, newest, copied);
        let written =
            written.map_err(|source| RecordError::Sqlite { path: target.to_owned(), source });
        let result = written.and_then(|newest| {
            File::open(&partial).and_then(|copy| copy.sync_all()).map_err(fail)?;
            fs::rename(&partial, target).map_err(fail)?;
            let folder = target.parent().filter(|folder| !folder.as_os_str().is_empty());
            let folder = File::open(folder.unwrap_or(Path::new("."))).map_err(fail)?;
            folder.sync_all().map_err(fail)?;
            Ok(newest)
        });
        if result.is_err() {
            // The reason is told; what cannot be removed is told by its name.
            let _ = remove(&partial);
        }
        result
    }
}

fn copy<T>(
    record: &Connection,
    partial: &Path,
    newest: impl FnOnce(&Connection) -> rusqlite::Result<T>,
    mut copied: impl FnMut(u64, u64),
) -> rusqlite::Result<T> {
    // One snapshot for all steps: otherwise each commit would make the copy begin anew.
    let snapshot = record.unchecked_transaction()?;
    let newest = newest(&snapshot)?;
    let mut copy = Connection::open(partial)?;
    let backup = Backup::new(&snapshot, &mut copy)?;
    loop {
        match backup.step(COPY_PAGES)? {
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
    copy.close().map_err(|(_, error)| error)?;
    Ok(newest)
}
