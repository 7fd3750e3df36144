//! The only writing connection of a record, with the duties that come with it: all or nothing, stop
//! at the first sign that the disk failed, and keep the write-ahead log short.

use super::{Format, Trouble, open_writer, refused, trouble};
use crate::limits::RECORD_LOG_PAGES_MAX;
use crate::meter::{Histogram, Stopwatch};
use crate::store::{Health, OpenError, StoreError};
use rusqlite::config::DbConfig;
use rusqlite::hooks::Wal;
use rusqlite::{Connection, Transaction, TransactionBehavior};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicI32, Ordering};

/// What others may know of a writer; shared by the threads of its store.
#[derive(Debug)]
pub struct Condition {
    /// The store's name, for the log.
    pub store: &'static str,
    /// Whether it still takes writes.
    pub health: Health,
    /// How long commits took, in microseconds.
    pub commits: Histogram,
}

impl Condition {
    /// All is well, and nothing was committed yet.
    pub fn new(store: &'static str) -> Self {
        Self { store, health: Health::default(), commits: Histogram::of_durations() }
    }
}

/// Owns the connection; lives on its store's thread.
#[derive(Debug)]
pub struct Writer {
    connection: Connection,
    condition: Arc<Condition>,
    /// Pages in the write-ahead log after the last commit.
    log_pages: Arc<AtomicI32>,
    log_pages_max: i32,
}

impl Writer {
    /// Opens the record, or makes it; see [`open_writer`].
    pub fn open(
        path: &Path,
        format: &Format,
        condition: &Arc<Condition>,
    ) -> Result<Self, OpenError> {
        let mut connection = open_writer(path, format)?;
        let log_pages = Arc::new(AtomicI32::new(0));
        let pages = Arc::clone(&log_pages);
        let count = move |_: &mut Wal, now| {
            pages.store(now, Ordering::Relaxed);
            Ok(())
        };
        connection.wal_hook(Some(count)).map_err(|error| refused(path, error))?;
        let condition = Arc::clone(condition);
        Ok(Self { connection, condition, log_pages, log_pages_max: RECORD_LOG_PAGES_MAX })
    }

    /// Moves the log into the file from so many pages on.
    #[must_use]
    pub fn with_log_pages_max(self, log_pages_max: i32) -> Self {
        Self { log_pages_max, ..self }
    }

    /// To look things up as of the last commit.
    pub fn connection(&self) -> &Connection {
        &self.connection
    }

    /// Runs `write` in a transaction of its own: when this returns `Ok`, all of it is durable, and
    /// otherwise nothing was written.
    pub fn commit(
        &mut self,
        write: impl FnOnce(&Transaction<'_>) -> rusqlite::Result<()>,
    ) -> Result<(), StoreError> {
        self.check()?;
        let watch = Stopwatch::start();
        let result = transact(&mut self.connection, write);
        self.condition.commits.record_duration(watch.elapsed());
        result.map_err(|error| self.failed(&error))
    }

    /// Refuses once the store is stopped.
    pub fn check(&self) -> Result<(), StoreError> {
        match self.condition.health.stopped() {
            Some(_) => Err(StoreError::Unavailable),
            None => Ok(()),
        }
    }

    /// What a failed statement means to those who wait: they may try again. The store is stopped
    /// where nobody knows any more what the file holds.
    pub fn failed(&self, error: &rusqlite::Error) -> StoreError {
        match trouble(error) {
            Trouble::Passing => {
                let store = self.condition.store;
                tracing::warn!(store, %error, "nothing can be written for now; nothing was changed");
            }
            Trouble::Fatal => self.stop(&error.to_string()),
        }
        StoreError::Unavailable
    }

    /// Takes no more writes, for good.
    pub fn stop(&self, reason: &str) {
        self.condition.health.stop(self.condition.store, reason);
        // Closing would sync once more and believe the answer.
        let kept = self.connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true);
        if let Err(error) = kept {
            tracing::warn!(%error, "the log may be moved at the end");
        }
    }

    /// What can wait until a batch is durable and shown: moves a log that has grown long into the
    /// file. True when it did, or tried to.
    pub fn tidy(&mut self) -> bool {
        let is_long = self.log_pages.load(Ordering::Relaxed) >= self.log_pages_max;
        if is_long {
            self.move_log("PRAGMA wal_checkpoint(PASSIVE)");
        }
        is_long
    }

    /// At the end: all of the log goes into the file.
    pub fn close(&mut self) {
        if self.condition.health.stopped().is_none() {
            self.move_log("PRAGMA wal_checkpoint(TRUNCATE)");
        }
    }

    fn move_log(&mut self, pragma: &str) {
        // Until the next commit counts anew; a failure is tried again after it.
        self.log_pages.store(0, Ordering::Relaxed);
        let Err(error) = self.connection.query_row(pragma, [], |_| Ok(())) else { return };
        match trouble(&error) {
            Trouble::Passing => {
                let store = self.condition.store;
                tracing::warn!(store, %error, "the log cannot be moved into the file for now");
            }
            Trouble::Fatal => self.stop(&error.to_string()),
        }
    }
}

fn transact(
    connection: &mut Connection,
    write: impl FnOnce(&Transaction<'_>) -> rusqlite::Result<()>,
) -> rusqlite::Result<()> {
    // Dropped without a commit, or with one that failed, it rolls back.
    let batch = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    write(&batch)?;
    batch.commit()
}
