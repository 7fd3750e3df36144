//! Makes the boards from the checkpoint and the entries after it.

use super::checkpoint;
use super::journal;
use super::shared::Shared;
use super::state::Boards;
use super::sums::Fault;
use crate::store::{OpenError, sqlite};
use rusqlite::Connection;
use std::sync::atomic::Ordering;

/// The boards as of the newest entry.
///
/// A checkpoint that does not belong to this journal is passed over; a journal that makes no sense
/// is refused, since there is nothing to make it anew from.
pub(super) fn boards(shared: &Shared, journal: &Connection) -> Result<Boards, OpenError> {
    let path = shared.folder.file(journal::FILE);
    from_files(shared, journal).map_err(|fault| match fault {
        Fault::Sql(error) => sqlite::refused(&path, error),
        Fault::Total { .. } => OpenError::Damaged { path, detail: fault.to_string() },
    })
}

fn from_files(shared: &Shared, journal: &Connection) -> Result<Boards, Fault> {
    // By the record's time, not the clock's: a machine that starts with a clock years ahead would
    // forget boards and miss them once its clock is set right.
    let (last_id, now_us) = journal::last(journal)?;
    let (mut sums, position) = checkpoint::load(shared, journal, now_us);
    shared.folded_id.store(position, Ordering::Release);
    journal::changes(journal, position, last_id, |change| {
        sums.add(&shared.rules, &change, now_us)
    })?;
    tracing::info!(position, entries = last_id - position, "gift boards: checkpoint and tail");
    sums.into_boards(last_id)
}
