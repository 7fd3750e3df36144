//! Gives copies of the journal away: export and backup.

use super::journal::{self, Line};
use crate::store::sqlite::{RecordError, RecordFile};
use rusqlite::Connection;
use std::path::Path;

/// Lines that an export reads at once: no snapshot lives longer than that.
const SLICE_LINES: i64 = 4096;

/// The journal of a folder, for reading only; a server may be writing it.
pub struct JournalFile(RecordFile);

impl JournalFile {
    /// Opens the journal in the folder `data`.
    pub fn open(data: &Path) -> Result<Self, RecordError> {
        Ok(Self(RecordFile::open(data.join(journal::FILE), &journal::FORMAT)?))
    }

    /// The id of the newest line; up to there the journal stays as it is.
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

    /// Copies the journal with holdings and prices; see [`RecordFile::back_up`]. Returns the id of
    /// the copy's newest line.
    pub fn back_up(&self, target: &Path, copied: impl FnMut(u64, u64)) -> Result<i64, RecordError> {
        self.0.back_up(target, newest, copied)
    }
}

fn newest(journal: &Connection) -> rusqlite::Result<i64> {
    Ok(journal::last(journal)?.0)
}
