//! What the threads of the local trade store share: the book.

use super::{LocalOptions, Step, StepHook};
use crate::store::sqlite::Condition;
use crate::store::{Clock, DataFolder};
use crate::trade::Watch;
use crate::trade::book::Book;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

pub(super) struct Shared {
    /// Held so that the folder stays ours until the last thread is done.
    pub(super) folder: Arc<DataFolder>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) watch: Arc<dyn Watch>,
    pub(super) lot: i64,
    step: Option<StepHook>,
    /// Of the journal's writer.
    pub(super) condition: Arc<Condition>,
    /// Loops take it for one look-up, the bookkeeper to put a batch's portfolios in their places.
    book: RwLock<Book>,
    /// Request keys in memory.
    pub(super) keys_held: AtomicU64,
}

impl Shared {
    pub(super) fn new(folder: &Arc<DataFolder>, options: &LocalOptions) -> Self {
        Self {
            folder: Arc::clone(folder),
            clock: Arc::clone(&options.clock),
            watch: Arc::clone(&options.watch),
            lot: options.lot,
            step: options.step.clone(),
            condition: Arc::new(Condition::new("trade")),
            book: RwLock::default(),
            keys_held: AtomicU64::new(0),
        }
    }

    /// The book, for one look-up. A panic while it changed leaves it to the next bookkeeper, which
    /// puts another in its place before anything else.
    pub(super) fn book(&self) -> RwLockReadGuard<'_, Book> {
        self.book.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn book_mut(&self) -> RwLockWriteGuard<'_, Book> {
        self.book.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts a book made from the file in the place of what is there.
    pub(super) fn replace(&self, fresh: Book) {
        let stale = std::mem::replace(&mut *self.book_mut(), fresh);
        self.book.clear_poison();
        drop(stale);
    }

    pub(super) fn step(&self, step: Step) {
        if let Some(hook) = &self.step {
            hook(step);
        }
    }
}
