//! Looks up in the file what memory does not hold: the history, and pushes of the past.

use super::journal;
use super::shared::Shared;
use crate::store::{OpenError, Store, StoreError, sqlite};
use crate::trade::{Found, Read};
use rusqlite::Connection;
use std::sync::Arc;

/// One thread's read-only connection.
pub(super) struct Reader {
    journal: Connection,
    /// Keeps the folder ours.
    _shared: Arc<Shared>,
}

impl Reader {
    pub(super) fn open(shared: &Arc<Shared>) -> Result<Self, OpenError> {
        let journal = sqlite::open_reader(&shared.folder.file(journal::FILE))?;
        Ok(Self { journal, _shared: Arc::clone(shared) })
    }

    fn look_up(&self, read: &Read) -> rusqlite::Result<Found> {
        match *read {
            Read::History { customer, before, num } => {
                let before = before.unwrap_or(i64::MAX);
                // One more than asked tells whether there is a next page.
                let ask = num.saturating_add(1);
                let mut trades = journal::history(&self.journal, customer, before, ask)?;
                let more = trades.len() > num;
                trades.truncate(num);
                Ok(Found::History { trades, more })
            }
            Read::Pushes { customer, after, num } => {
                Ok(Found::Pushes(journal::pushes(&self.journal, customer, after, num)?))
            }
            Read::Account { .. } | Read::Holdings { .. } | Read::Stocks { .. } => {
                unreachable!("memory answers these")
            }
        }
    }
}

impl Store for Reader {
    type Command = Read;
    type Outcome = Found;

    fn apply(&mut self, batch: Vec<Read>) -> Result<Vec<Found>, StoreError> {
        let found = batch.iter().map(|read| self.look_up(read)).collect::<rusqlite::Result<_>>();
        found.map_err(|error| {
            tracing::error!(%error, "the journal of trades cannot be read");
            match sqlite::trouble(&error) {
                sqlite::Trouble::Passing => StoreError::Unavailable,
                sqlite::Trouble::Fatal => StoreError::Broken,
            }
        })
    }
}
