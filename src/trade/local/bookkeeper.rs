//! The only writer of the journal: decides a batch, commits it, shows it.

use super::Step;
use super::draft::{Before, Draft, Scope};
use super::journal::{self, Batch, Line};
use super::shared::Shared;
use crate::store::sqlite::{self, Writer};
use crate::store::{OpenError, Remembered, Store, StoreError};
use crate::trade::market::Prices;
use crate::trade::{Entry, Write, Written, opening};
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// Owns the journal's writing connection, and what deciding needs beside the book.
pub(super) struct Bookkeeper {
    shared: Arc<Shared>,
    journal: Writer,
    remembered: Remembered<Scope>,
    last_id: i64,
    last_time_us: i64,
}

impl Bookkeeper {
    /// Opens the journal, or makes it with the opening trades, and loads the book.
    pub(super) fn open(shared: &Arc<Shared>, keep_us: i64) -> Result<Self, OpenError> {
        let path = shared.folder.file(journal::FILE);
        let journal = Writer::open(&path, &journal::FORMAT, &shared.condition)?;
        let remembered = Remembered::new(keep_us);
        let shared = Arc::clone(shared);
        let mut opened = Self { shared, journal, remembered, last_id: 0, last_time_us: 0 };
        opened.load(keep_us).map_err(|error| sqlite::refused(&path, error))?;
        Ok(opened)
    }

    fn load(&mut self, keep_us: i64) -> rusqlite::Result<()> {
        if journal::last(self.journal.connection())?.0 == 0 {
            self.make_opening()?;
        }
        let journal = self.journal.connection();
        (self.last_id, self.last_time_us) = journal::last(journal)?;
        let since_us = self.last_time_us.saturating_sub(keep_us);
        let remembered = &mut self.remembered;
        journal::keys_since(journal, since_us, |key, entry| {
            remembered.insert(Scope::of(entry), key, entry.id, entry.time_us);
        })?;
        self.shared.replace(journal::book(journal)?);
        self.count_keys();
        Ok(())
    }

    fn make_opening(&mut self) -> rusqlite::Result<()> {
        let now_us = self.shared.clock.now_us();
        let entries = opening::trades(&Prices::default(), self.shared.lot, now_us);
        let line = |entry| Line { entry, request_id: None };
        let lines: Vec<_> = entries.into_iter().map(line).collect();
        let batch = Batch { lines: &lines, prices: None };
        let transaction = self.journal.connection().unchecked_transaction()?;
        journal::append(&transaction, &batch, || ())?;
        transaction.commit()
    }

    fn decide(&self, batch: Vec<Write>) -> rusqlite::Result<(Draft, Vec<Written>)> {
        // A reader among readers: nobody else writes, so this makes no loop wait.
        let book = self.shared.book();
        let before = Before {
            journal: self.journal.connection(),
            book: &book,
            remembered: &self.remembered,
            last_id: self.last_id,
            last_time_us: self.last_time_us,
            now_us: self.shared.clock.now_us(),
        };
        let mut draft = Draft::new(&book);
        let decide = |write| draft.decide(&before, write);
        let outcomes = batch.into_iter().map(decide).collect::<rusqlite::Result<_>>()?;
        Ok((draft, outcomes))
    }

    fn commit(&mut self, draft: &Draft) -> Result<(), StoreError> {
        let shared = &self.shared;
        let inserted = || shared.step(Step::Inserted);
        let batch = Batch { lines: &draft.lines, prices: Some(&draft.overlay.moved) };
        self.journal.commit(|transaction| journal::append(transaction, &batch, inserted))
    }

    /// Takes note of what is durable now, shows it, and tells those who follow.
    fn publish(&mut self, draft: Draft) {
        let Draft { lines, overlay, .. } = draft;
        if let Some(last) = lines.last() {
            (self.last_id, self.last_time_us) = (last.entry.id, last.entry.time_us);
        }
        let mut entries: Vec<Entry> = Vec::with_capacity(lines.len());
        for Line { entry, request_id } in lines {
            if let Some(key) = request_id {
                self.remembered.insert(Scope::of(&entry), &key, entry.id, entry.time_us);
            }
            entries.push(entry);
        }
        self.count_keys();
        let mut book = self.shared.book_mut();
        overlay.apply_to(&mut book);
        book.position = self.last_id;
        drop(book);
        self.shared.step(Step::Published);
        self.shared.watch.written(&entries);
    }

    fn count_keys(&self) {
        self.shared.keys_held.store(self.remembered.len() as u64, Ordering::Relaxed);
    }
}

impl Store for Bookkeeper {
    type Command = Write;
    type Outcome = Written;

    fn apply(&mut self, batch: Vec<Write>) -> Result<Vec<Written>, StoreError> {
        self.journal.check()?;
        let (draft, outcomes) = self.decide(batch).map_err(|error| self.journal.failed(&error))?;
        self.shared.step(Step::Decided);
        if !draft.is_empty() {
            self.commit(&draft)?;
            self.shared.step(Step::Committed);
            self.publish(draft);
            if self.journal.tidy() {
                self.shared.step(Step::LogMoved);
            }
        }
        self.shared.step(Step::Answering);
        Ok(outcomes)
    }

    fn close(&mut self) {
        self.journal.close();
    }
}
