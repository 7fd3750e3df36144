//! The only writer of the journal: decides a batch, commits it, shows it.

use super::draft::{Before, Draft};
use super::shared::Shared;
use super::{LocalOptions, Step, journal, load};
use crate::counter::{Period, Write, Written};
use crate::limits::{COUNTER_TAKE_OUT_ENTRIES, COUNTER_USERS_MAX};
use crate::store::sqlite::{self, Writer};
use crate::store::{OpenError, Remembered, Store, StoreError};
use crossbeam_channel::Sender;
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// Owns the journal's writing connection, and what deciding needs beside the counters.
pub(super) struct Bookkeeper {
    shared: Arc<Shared>,
    journal: Writer,
    remembered: Remembered<u8>,
    idempotency_keep_us: i64,
    counters_max: usize,
    last_id: i64,
    last_time_us: i64,
    /// Up to here, entries without a key were taken out.
    taken_out: i64,
    /// Up to here, entries with a forgotten key were taken out; they go up to `expired`, which is
    /// found anew at `forget_at_s`.
    forgotten: i64,
    expired: i64,
    forget_at_s: i64,
    fold_every: i64,
    /// Wakes the thread that folds; it ends when this is dropped.
    bell: Sender<()>,
}

impl Bookkeeper {
    /// Opens the journal, or makes it; `load` comes next.
    pub(super) fn open(
        shared: &Arc<Shared>,
        options: &LocalOptions,
        bell: Sender<()>,
    ) -> Result<Self, OpenError> {
        let path = shared.folder.file(journal::FILE);
        let journal = Writer::open(&path, &journal::FORMAT, &shared.condition)?;
        let keep_us = i64::try_from(options.idempotency_keep.as_micros()).unwrap_or(i64::MAX);
        Ok(Self {
            shared: Arc::clone(shared),
            journal,
            remembered: Remembered::new(keep_us),
            idempotency_keep_us: keep_us,
            counters_max: options.counters_max,
            last_id: 0,
            last_time_us: 0,
            taken_out: 0,
            forgotten: 0,
            expired: 0,
            forget_at_s: i64::MIN,
            fold_every: options.fold_every,
            bell,
        })
    }

    /// Puts the counters into `shared`, and the recent keys into memory.
    pub(super) fn load(mut self) -> Result<Self, OpenError> {
        let counters = load::counters(&self.shared, self.journal.connection())?;
        (self.last_id, self.last_time_us) = (counters.position, counters.last_time_us);
        self.load_keys()
            .map_err(|error| sqlite::refused(&self.shared.folder.file(journal::FILE), error))?;
        self.shared.committed_id.store(self.last_id, Ordering::Release);
        self.shared.replace(counters);
        self.count_keys();
        self.ring();
        Ok(self)
    }

    fn load_keys(&mut self) -> rusqlite::Result<()> {
        self.taken_out = journal::taken_out(self.journal.connection())?;
        let since_us = self.last_time_us.saturating_sub(self.idempotency_keep_us);
        journal::keys_since(self.journal.connection(), since_us, |path, key, id, time_us| {
            self.remembered.insert(path, key, id, time_us);
        })
    }

    fn decide(&self, batch: Vec<Write>) -> rusqlite::Result<(Draft, Vec<Written>)> {
        // A reader among readers: nobody else writes, so this makes no loop wait.
        let counters = self.shared.counters();
        let before = Before {
            journal: self.journal.connection(),
            counters: &counters,
            calendar: &self.shared.calendar,
            remembered: &self.remembered,
            last_id: self.last_id,
            now_us: self.shared.clock.now_us().max(self.last_time_us),
            counters_max: self.counters_max,
            users_max: COUNTER_USERS_MAX,
        };
        let mut draft = Draft::default();
        let decide = |write| draft.decide(&before, write);
        let outcomes = batch.into_iter().map(decide).collect::<rusqlite::Result<_>>()?;
        Ok((draft, outcomes))
    }

    /// Writes the entries, and takes out a slice of those that are not needed any more: about as
    /// much at a time as comes in, so that no batch waits long for it.
    fn commit(&mut self, draft: &Draft) -> Result<(), StoreError> {
        let shared = &self.shared;
        let folded = shared.folded_id.load(Ordering::Acquire);
        let dispensable = folded.min(shared.keep_after_id.load(Ordering::SeqCst));
        let num = COUNTER_TAKE_OUT_ENTRIES;
        let (mut taken_out, mut forgotten) = (self.taken_out, self.forgotten);
        let expired = self.expired.min(dispensable);
        self.journal.commit(|batch| {
            journal::append(batch, &draft.entries, || shared.step(Step::Inserted))?;
            if dispensable > taken_out {
                taken_out = journal::take_out(batch, taken_out, dispensable, num)?;
            }
            if expired > forgotten {
                forgotten = journal::forget(batch, forgotten, expired, num)?;
            }
            Ok(())
        })?;
        (self.taken_out, self.forgotten) = (taken_out, forgotten);
        Ok(())
    }

    /// Takes note of what is durable now, and shows it.
    fn publish(&mut self, draft: &Draft) {
        let last = draft.entries.last().expect("a commit has entries");
        (self.last_id, self.last_time_us) = (last.id, last.time_us);
        self.shared.committed_id.store(last.id, Ordering::Release);
        for entry in &draft.entries {
            if let Some(key) = &entry.key {
                let path = journal::number(entry.path);
                self.remembered.insert(path, key.as_str(), entry.id, entry.time_us);
            }
        }
        self.count_keys();
        self.shared.publish(&draft.entries);
    }

    fn count_keys(&self) {
        self.shared.keys_held.store(self.remembered.len() as u64, Ordering::Relaxed);
    }

    /// Wakes the thread that folds when the totals lag too far behind.
    fn ring(&self) {
        let behind = self.last_id - self.shared.folded_id.load(Ordering::Relaxed);
        if behind >= self.fold_every {
            // Full means that it is awake already.
            let _ = self.bell.try_send(());
        }
    }

    /// What can wait until a batch is durable and shown.
    fn tidy(&mut self) {
        self.ring();
        let now_s = self.last_time_us.div_euclid(1_000_000);
        if now_s >= self.forget_at_s {
            let hour = self.shared.calendar.span(Period::Hour, now_s);
            self.forget_at_s = hour.map_or(i64::MAX, |hour| hour.until_s);
            // Memory forgets a key an eighth of the time later than asked at most.
            let keep_us = self.idempotency_keep_us.saturating_add(self.idempotency_keep_us / 4);
            let since_us = self.last_time_us.saturating_sub(keep_us);
            match journal::first_since(self.journal.connection(), since_us) {
                Ok(first) => self.expired = first - 1,
                Err(error) => drop(self.journal.failed(&error)),
            }
        }
        if self.journal.tidy() {
            self.shared.step(Step::LogMoved);
        }
    }
}

impl Store for Bookkeeper {
    type Command = Write;
    type Outcome = Written;

    fn apply(&mut self, batch: Vec<Write>) -> Result<Vec<Written>, StoreError> {
        self.journal.check()?;
        let (draft, outcomes) = self.decide(batch).map_err(|error| self.journal.failed(&error))?;
        self.shared.step(Step::Decided);
        if !draft.entries.is_empty() {
            self.commit(&draft)?;
            self.shared.step(Step::Committed);
            self.publish(&draft);
            self.tidy();
        }
        self.shared.step(Step::Answering);
        Ok(outcomes)
    }

    fn close(&mut self) {
        self.journal.close();
    }
}
