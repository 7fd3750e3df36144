//! The only writer of the journal: decides a batch, commits it, shows it.

use super::draft::{Before, Draft};
use super::journal::{self, Line};
use super::shared::Shared;
use super::{REVOKE, SEND, Step, load};
use crate::gift::{Period, Write, Written};
use crate::store::sqlite::{self, Writer};
use crate::store::{OpenError, Remembered, Store, StoreError};
use crossbeam_channel::Sender;
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// Owns the journal's writing connection, and what deciding needs beside the boards.
pub(super) struct Bookkeeper {
    shared: Arc<Shared>,
    journal: Writer,
    remembered: Remembered<u8>,
    idempotency_keep_us: i64,
    last_id: i64,
    last_time_us: i64,
    /// End of the current hour: then boards may be too old.
    forget_at_s: i64,
    checkpoint_every: i64,
    /// Wakes the checkpoint thread; it ends when this is dropped.
    bell: Sender<()>,
}

impl Bookkeeper {
    /// Opens the journal, or makes it; `load` comes next.
    pub(super) fn open(
        shared: &Arc<Shared>,
        idempotency_keep_us: i64,
        checkpoint_every: i64,
        bell: Sender<()>,
    ) -> Result<Self, OpenError> {
        let path = shared.folder.file(journal::FILE);
        let journal = Writer::open(&path, &journal::FORMAT, &shared.condition)?;
        Ok(Self {
            shared: Arc::clone(shared),
            journal,
            remembered: Remembered::new(idempotency_keep_us),
            idempotency_keep_us,
            last_id: 0,
            last_time_us: 0,
            forget_at_s: i64::MIN,
            checkpoint_every,
            bell,
        })
    }

    /// Puts the journal's boards into `shared`, and its recent keys into memory.
    pub(super) fn load(mut self) -> Result<Self, OpenError> {
        let boards = load::boards(&self.shared, self.journal.connection())?;
        self.load_keys()
            .map_err(|error| sqlite::refused(&self.shared.folder.file(journal::FILE), error))?;
        self.shared.committed_id.store(self.last_id, Ordering::Release);
        self.shared.replace(boards);
        self.count_keys();
        self.ring();
        Ok(self)
    }

    fn load_keys(&mut self) -> rusqlite::Result<()> {
        (self.last_id, self.last_time_us) = journal::last(self.journal.connection())?;
        let since_us = self.last_time_us.saturating_sub(self.idempotency_keep_us);
        journal::keys_since(self.journal.connection(), since_us, |key, id, time_us, revokes| {
            self.remembered.insert(if revokes { REVOKE } else { SEND }, key, id, time_us);
        })
    }

    fn decide(&self, batch: Vec<Write>) -> rusqlite::Result<(Draft, Vec<Written>)> {
        // A reader among readers: nobody else writes, so this makes no loop wait.
        let boards = self.shared.boards();
        let before = Before {
            journal: self.journal.connection(),
            boards: &boards,
            remembered: &self.remembered,
            last_id: self.last_id,
            last_time_us: self.last_time_us,
            now_us: self.shared.clock.now_us(),
        };
        let mut draft = Draft::default();
        let decide = |write| draft.decide(&before, write);
        let outcomes = batch.into_iter().map(decide).collect::<rusqlite::Result<_>>()?;
        Ok((draft, outcomes))
    }

    fn commit(&mut self, lines: &[Line]) -> Result<(), StoreError> {
        let shared = &self.shared;
        let inserted = || shared.step(Step::Inserted);
        self.journal.commit(|batch| journal::append(batch, lines, inserted))
    }

    /// Takes note of what is durable now, and shows it.
    fn publish(&mut self, draft: &Draft) {
        let last = &draft.lines.last().expect("a commit has lines").entry;
        (self.last_id, self.last_time_us) = (last.id, last.time_us);
        self.shared.committed_id.store(last.id, Ordering::Release);
        for line in &draft.lines {
            if let Some(key) = &line.request_id {
                let scope = if line.entry.revokes.is_some() { REVOKE } else { SEND };
                self.remembered.insert(scope, key, line.entry.id, line.entry.time_us);
            }
        }
        self.count_keys();
        self.shared.publish(&draft.changes);
        if self.last_time_us.div_euclid(1_000_000) >= self.forget_at_s {
            self.forget();
        }
    }

    fn count_keys(&self) {
        self.shared.keys_held.store(self.remembered.len() as u64, Ordering::Relaxed);
    }

    fn forget(&mut self) {
        self.shared.forget(self.last_time_us);
        let now_s = self.last_time_us.div_euclid(1_000_000);
        let hour = self.shared.rules.calendar.span(Period::Hour, now_s);
        self.forget_at_s = hour.map_or(i64::MAX, |hour| hour.until_s);
    }

    /// Wakes the checkpoint thread when the checkpoint lags too far behind.
    fn ring(&self) {
        let behind = self.last_id - self.shared.folded_id.load(Ordering::Relaxed);
        if behind >= self.checkpoint_every {
            // Full means that it is awake already.
            let _ = self.bell.try_send(());
        }
    }

    /// What can wait until a batch is durable and shown.
    fn tidy(&mut self) {
        self.ring();
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
        if !draft.lines.is_empty() {
            self.commit(&draft.lines)?;
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::calendar::Calendar;
    use crate::exec::Notifier;
    use crate::gift::Gift;
    use crate::gift::local::state::Rules;
    use crate::gift::local::{LocalOptions, zone_name};
    use crate::store::DataFolder;
    use rusqlite::Connection;

    fn open() -> (tempfile::TempDir, Bookkeeper) {
        let dir = tempfile::tempdir().expect("a temp folder");
        let folder = DataFolder::open(dir.path()).expect("writable");
        let options = LocalOptions::new(Arc::new(Notifier::default()));
        let calendar = Calendar::new(options.zone.clone());
        let rules = Rules { calendar, keep: options.keep };
        let shared = Shared::new(&folder, rules, zone_name(&options.zone), &options);
        let (bell, _) = crossbeam_channel::bounded(1);
        let opened = Bookkeeper::open(&Arc::new(shared), 1 << 40, 1 << 40, bell);
        (dir, opened.and_then(Bookkeeper::load).expect("a fresh journal"))
    }

    fn sends(num: i64) -> Vec<Write> {
        let gift = |n| Gift { audience_id: n, anchor_id: n % 7 + 1, worth: 1 };
        (0..num).map(|n| Write::Send { gift: gift(n), key: None }).collect()
    }

    fn count(bookkeeper: &Bookkeeper) -> (i64, i64) {
        let boards = bookkeeper.shared.boards();
        let shown = boards.all.board.scores().map(|(_, total, _)| total).sum();
        let count = "SELECT count(*) FROM gift";
        (
            shown,
            bookkeeper
                .journal
                .connection()
                .query_row(count, [], |row| row.get(0))
                .expect("readable"),
        )
    }

    #[test]
    fn a_gift_and_two_revokes_of_it_in_one_batch_take_it_back_once() {
        let (_dir, mut bookkeeper) = open();
        let revoke = |reason: &str| Write::Revoke { id: 1, reason: reason.into(), key: None };
        let batch = [sends(1), vec![revoke("spam"), revoke("again")]].concat();
        let written = bookkeeper.apply(batch).expect("all is well");
        let told = written.iter().map(|written| match written {
            Written::Done { entry, replayed } => (entry.id, entry.worth, *replayed),
            other => panic!("{other:?}"),
        });
        assert_eq!(told.collect::<Vec<_>>(), [(1, 1, false), (2, -1, false), (2, -1, true)]);
        assert_eq!(count(&bookkeeper), (0, 2));
    }

    #[test]
    fn a_full_disk_fails_the_batch_and_the_next_finds_all_as_it_was() {
        let (_dir, mut bookkeeper) = open();
        bookkeeper.apply(sends(10)).expect("there is space");
        let limit = |bookkeeper: &Bookkeeper, pages: i64| {
            let sql = format!("PRAGMA max_page_count = {pages}");
            bookkeeper.journal.connection().query_row(&sql, [], |_| Ok(())).expect("set");
        };
        let version = bookkeeper.shared.version();
        limit(&bookkeeper, 1);
        for _ in 0..3 {
            assert_eq!(bookkeeper.apply(sends(1_000)), Err(StoreError::Unavailable));
            assert_eq!(count(&bookkeeper), (10, 10), "memory is as the file");
            assert_eq!(bookkeeper.shared.version(), version);
        }
        assert_eq!(bookkeeper.shared.condition.health.stopped(), None, "it passes by itself");
        limit(&bookkeeper, 1 << 30);
        let written = bookkeeper.apply(sends(1_000)).expect("there is space again");
        assert!(matches!(&written[0], Written::Done { entry, .. } if entry.id == 11));
        assert_eq!(count(&bookkeeper), (1_010, 1_010));
    }

    #[test]
    fn a_disk_that_fails_stops_the_store_for_good() {
        let (_dir, mut bookkeeper) = open();
        bookkeeper.apply(sends(10)).expect("all is well");
        let failure = rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_IOERR_FSYNC);
        bookkeeper.journal.failed(&rusqlite::Error::SqliteFailure(failure, None));
        assert!(bookkeeper.shared.condition.health.stopped().is_some());
        assert_eq!(bookkeeper.apply(sends(1)), Err(StoreError::Unavailable));
        assert_eq!(count(&bookkeeper), (10, 10));
    }

    #[test]
    fn a_line_that_another_wrote_stops_the_store() {
        let (dir, mut bookkeeper) = open();
        let stranger = Connection::open(dir.path().join(journal::FILE)).expect("ours");
        let sql = "INSERT INTO gift VALUES (1, 1, 1, 1, 1, NULL, NULL, NULL)";
        stranger.execute(sql, []).expect("nobody stops an operator");
        assert_eq!(bookkeeper.apply(sends(1)), Err(StoreError::Unavailable));
        assert!(
            bookkeeper.shared.condition.health.stopped().is_some(),
            "memory no longer is the journal"
        );
    }

    #[test]
    fn the_log_is_moved_into_the_file_before_it_grows_for_ever() {
        let (dir, mut bookkeeper) = open();
        bookkeeper.journal = bookkeeper.journal.with_log_pages_max(30);
        for _ in 0..40 {
            bookkeeper.apply(sends(100)).expect("all is well");
        }
        let log = dir.path().join("gift.db-wal").metadata().expect("a log").len();
        assert!(log < 200_000, "{log} bytes");
    }
}
