//! The thread that folds new journal entries into the totals.

use super::shared::Shared;
use super::{Step, journal, totals};
use crate::calendar::Calendar;
use crate::limits::{COUNTER_FOLD_CACHE_KIB, COUNTER_FOLD_ENTRIES_MAX};
use crate::store::sqlite::{self, Condition, Writer};
use crate::store::{OpenError, StoreError};
use crossbeam_channel::Receiver;
use rusqlite::Connection;
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// Owns the writing connection of the totals.
pub(super) struct Folder {
    shared: Arc<Shared>,
    totals: Writer,
    condition: Arc<Condition>,
    journal: Option<Connection>,
    calendar: Calendar,
}

impl Folder {
    /// Opens the totals, or makes them where there is no journal either.
    pub(super) fn open(shared: &Arc<Shared>) -> Result<Self, OpenError> {
        let path = shared.folder.file(totals::FILE);
        // The totals are made first, so a journal without them has lost them.
        if !path.exists() && shared.folder.file(journal::FILE).exists() {
            let detail = String::from("it is gone, but its journal is there");
            return Err(OpenError::Damaged { path, detail });
        }
        let condition = Arc::new(Condition::new("counter totals"));
        let totals = Writer::open(&path, &totals::FORMAT, &condition)?;
        let refuse = |error| sqlite::refused(&path, error);
        // Negative counts KiB, positive would count pages.
        totals
            .connection()
            .pragma_update(None, "cache_size", -COUNTER_FOLD_CACHE_KIB)
            .map_err(refuse)?;
        let (position, _) = totals::position(totals.connection()).map_err(refuse)?;
        let journal = shared.folder.file(journal::FILE);
        if position > 0 && !journal.exists() {
            let detail = String::from("it is gone, but its totals are there");
            return Err(OpenError::Damaged { path: journal, detail });
        }
        shared.folded_id.store(position, Ordering::Release);
        let calendar = shared.calendar.apart();
        Ok(Self { shared: Arc::clone(shared), totals, condition, journal: None, calendar })
    }

    /// Opens the journal for reading, once the bookkeeper has made it.
    pub(super) fn with_journal(mut self) -> Result<Self, OpenError> {
        self.journal = Some(sqlite::open_reader(&self.shared.folder.file(journal::FILE))?);
        Ok(self)
    }

    /// Folds whenever the bell rings, and once more when nobody is left to ring it.
    pub(super) fn run(mut self, bell: &Receiver<()>) {
        while bell.recv().is_ok() {
            self.catch_up();
        }
        self.catch_up();
        self.totals.close();
    }

    fn catch_up(&mut self) {
        // What passes is logged by the writer, and tried again when the bell rings next.
        if self.fold().is_err()
            && let Some(reason) = self.condition.health.stopped()
        {
            // The journal would grow for ever, and perhaps the same disk failed.
            self.shared.condition.health.stop("counter", reason);
        }
    }

    fn fold(&mut self) -> Result<(), StoreError> {
        let Some(journal) = &self.journal else { return Ok(()) };
        loop {
            let position = self.shared.folded_id.load(Ordering::Acquire);
            let newest = self.shared.committed_id.load(Ordering::Acquire);
            if newest <= position {
                return Ok(());
            }
            self.shared.step(Step::Folding);
            let until = newest.min(position + COUNTER_FOLD_ENTRIES_MAX);
            let calendar = &self.calendar;
            self.totals.commit(|totals| totals::fold(totals, journal, calendar, until))?;
            // Only now: entries up to here may be taken out of the journal.
            self.shared.folded_id.store(until, Ordering::Release);
            self.totals.tidy();
            self.shared.step(Step::Folded);
        }
    }
}
