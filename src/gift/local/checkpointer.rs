//! The thread that folds new journal entries into the checkpoint.

use super::shared::Shared;
use super::sums::Fault;
use super::{Step, checkpoint, journal};
use crate::limits::GIFT_FOLD_ENTRIES_MAX;
use crate::store::OpenError;
use crate::store::sqlite::{self, Trouble};
use crossbeam_channel::Receiver;
use rusqlite::Connection;
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// Owns the checkpoint's writing connection.
pub(super) struct Checkpointer {
    shared: Arc<Shared>,
    checkpoint: Connection,
    journal: Connection,
}

impl Checkpointer {
    /// Opens both files; the checkpoint is made if need be, the journal must be there.
    pub(super) fn open(shared: &Arc<Shared>) -> Result<Self, OpenError> {
        let journal = sqlite::open_reader(&shared.folder.file(journal::FILE))?;
        let checkpoint = checkpoint::open(shared, &journal)?;
        Ok(Self { shared: Arc::clone(shared), checkpoint, journal })
    }

    /// Folds whenever the bell rings, and once more when nobody is left to ring it.
    pub(super) fn run(mut self, bell: &Receiver<()>) {
        while bell.recv().is_ok() {
            self.catch_up();
        }
        self.catch_up();
    }

    fn catch_up(&mut self) {
        if self.shared.checkpoint_lost.load(Ordering::Relaxed) {
            return;
        }
        match self.fold() {
            Ok(()) => {}
            Err(Fault::Sql(error)) if sqlite::trouble(&error) == Trouble::Passing => {
                tracing::warn!(%error, "the gift checkpoint waits for better times");
            }
            Err(fault) => {
                self.shared.checkpoint_lost.store(true, Ordering::Release);
                tracing::error!(%fault, "the gift checkpoint failed; the next start makes it anew");
                // Readers and the next start must not trust it.
                let file = self.shared.folder.file(checkpoint::FILE);
                if let Err(error) = sqlite::remove(&file) {
                    tracing::error!(%error, "the gift checkpoint cannot be removed");
                }
            }
        }
    }

    fn fold(&mut self) -> Result<(), Fault> {
        let mut position = checkpoint::position(&self.checkpoint)?;
        loop {
            self.shared.folded_id.store(position, Ordering::Release);
            let until = self.shared.committed_id.load(Ordering::Acquire);
            if until <= position {
                return Ok(());
            }
            self.shared.step(Step::Folding);
            position = until.min(position + GIFT_FOLD_ENTRIES_MAX);
            checkpoint::fold(&mut self.checkpoint, &self.journal, &self.shared.rules, position)?;
            self.shared.step(Step::Folded);
        }
    }
}
