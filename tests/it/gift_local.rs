//! The local gift store: what survives what, and what it refuses.

use crate::gift_local_rig::{Rig, START_US, send};
use crate::gift_suite::{Backend, Setup, check_store};
use fanfare::gift::{Found, Period, Read, Store, TopQuery, Written};
use fanfare::store::{DataFolder, OpenError};
use jiff::tz::TimeZone;
use rusqlite::Connection;
use std::fs;
use std::sync::Arc;

const HOUR_US: i64 = 3_600_000_000;

fn id(written: &Written) -> (i64, bool) {
    match written {
        Written::Done { entry, replayed } => (entry.id, *replayed),
        other => panic!("nothing done: {other:?}"),
    }
}

/// A store under the suite: `between` runs on the closed folder at every restart.
struct UnderSuite {
    rig: Rig,
    between: fn(&Rig),
}

impl UnderSuite {
    fn new(setup: Setup, checkpoint_every: i64, between: fn(&Rig)) -> Self {
        let mut rig = Rig::closed();
        rig.options.clock = setup.clock;
        rig.options.zone = setup.zone;
        rig.options.keep = setup.keep;
        rig.options.checkpoint_every = checkpoint_every;
        rig.open();
        Self { rig, between }
    }
}

impl Backend for UnderSuite {
    fn store(&self) -> Arc<dyn Store> {
        Arc::clone(self.rig.gifts()) as Arc<dyn Store>
    }

    fn restart(&mut self) {
        self.rig.close();
        (self.between)(&self.rig);
        self.rig.open();
    }
}

#[test]
fn answers_as_the_model() {
    check_store(24, |setup| UnderSuite::new(setup, 1_000_000, |_| ()));
}

#[test]
fn answers_as_the_model_with_a_checkpoint_after_every_batch() {
    check_store(24, |setup| UnderSuite::new(setup, 1, |_| ()));
}

#[test]
fn answers_as_the_model_when_every_restart_finds_no_checkpoint() {
    let remove = |rig: &Rig| fs::remove_file(rig.file("gift-checkpoint.db")).expect("removed");
    check_store(24, |setup| UnderSuite::new(setup, 3, remove));
}

#[test]
fn what_was_acknowledged_is_there_after_a_restart() {
    let mut rig = Rig::opened();
    rig.give(1, 7, 5);
    rig.give(2, 8, 9);
    rig.give(2, 7, 4);
    for _ in 0..3 {
        assert_eq!(rig.top(Period::All), [(8, 9), (7, 9)]);
        assert_eq!(rig.top(Period::Hour), [(8, 9), (7, 9)]);
        assert_eq!((rig.worth(7), rig.worth(6)), (Some(9), None));
        let journal: Vec<_> = rig.journal(7).iter().map(|e| (e.id, e.worth)).collect();
        assert_eq!(journal, [(3, 4), (1, 5)]);
        assert_eq!(rig.fans(7, 10), [(1, 5), (2, 4)]);
        rig.reopen();
    }
}

#[test]
fn times_grow_strictly_even_when_the_clock_steps_back() {
    let mut rig = Rig::opened();
    let first = rig.give(1, 7, 1);
    rig.clock.set_us(START_US - HOUR_US);
    let second = rig.give(1, 7, 1);
    rig.reopen();
    let third = rig.give(1, 7, 1);
    assert!(first.time_us < second.time_us && second.time_us < third.time_us);
    assert_eq!(rig.top(Period::Hour), [(7, 3)], "the record's hour is the current one");
}

#[test]
fn a_key_is_replayed_across_a_restart_and_forgotten_after_its_time() {
    let mut rig = Rig::opened();
    assert_eq!(id(&rig.send((1, 7, 5), Some("k"))), (1, false));
    assert_eq!(id(&rig.send((1, 7, 5), Some("k"))), (1, true));
    rig.reopen();
    assert_eq!(id(&rig.send((1, 7, 5), Some("k"))), (1, true));
    assert_eq!(rig.send((1, 7, 6), Some("k")), Written::KeyConflict);
    assert_eq!(id(&rig.revoke(1, "spam", Some("k"))), (2, false), "another path, another key");
    rig.clock.set_us(START_US + 23 * HOUR_US);
    rig.reopen();
    assert_eq!(id(&rig.send((1, 7, 5), Some("k"))), (1, true));
    assert_eq!(id(&rig.revoke(1, "spam", Some("k"))), (2, true));
    assert_eq!(rig.revoke(1, "other", Some("k")), Written::KeyConflict);
    assert_eq!(id(&rig.revoke(1, "other", Some("k2"))), (2, true), "the first revoke answers");
    rig.clock.set_us(START_US + 48 * HOUR_US);
    rig.give(1, 8, 1);
    rig.reopen();
    assert_eq!(id(&rig.send((1, 7, 6), Some("k"))), (4, false));
    assert_eq!(rig.worth(7), Some(6));
}

#[test]
fn a_retry_in_the_same_batch_waits_for_the_first() {
    let rig = Rig::opened();
    let both: Vec<_> = (0..50).map(|_| rig.start(send((1, 7, 5), Some("k")))).collect();
    let ids: Vec<_> = both.iter().map(|one| one.recv().expect("answered")).collect();
    let ids: Vec<_> = ids.iter().map(|one| id(one.as_ref().expect("well"))).collect();
    assert_eq!(ids[0], (1, false));
    assert!(ids[1..].iter().all(|one| *one == (1, true)), "{ids:?}");
    assert_eq!(rig.worth(7), Some(5));
}

#[test]
fn a_total_that_would_overflow_is_refused_and_changes_nothing() {
    let mut rig = Rig::opened();
    rig.give(1, 7, 5);
    rig.close();
    let journal = Connection::open(rig.file("gift.db")).expect("ours");
    journal
        .execute(
            "INSERT INTO gift VALUES (2, 1, 7, ?1, ?2, NULL, NULL, NULL)",
            [i64::MAX - 10, START_US + 9],
        )
        .expect("a crafted gift");
    drop(journal);
    rig.open();
    assert_eq!(rig.send((1, 7, 6), Some("k")), Written::Overflow);
    assert_eq!(rig.worth(7), Some(i64::MAX - 5));
    assert_eq!(id(&rig.send((1, 7, 5), Some("k"))), (3, false), "a refusal is not remembered");
    assert_eq!(rig.worth(7), Some(i64::MAX));
    rig.reopen();
    assert_eq!(rig.fans(7, 1), [(1, i64::MAX)]);
}

#[test]
fn a_journal_that_sums_up_to_nonsense_is_refused() {
    let mut rig = Rig::opened();
    rig.give(1, 7, 5);
    rig.close();
    let journal = Connection::open(rig.file("gift.db")).expect("ours");
    let sql = "INSERT INTO gift VALUES (2, 1, 7, -9, ?1, NULL, NULL, NULL)";
    journal.execute(sql, [START_US + 9]).expect("a crafted entry");
    drop(journal);
    let error = rig.try_open().expect_err("a total below 0");
    assert!(matches!(error, OpenError::Damaged { .. }), "{error}");
}

/// Closes the store, spoils the journal, and expects a refusal that leaves every byte as it is.
fn check_refused(spoil: impl Fn(&Rig), expected: &str) {
    let mut rig = Rig::opened();
    for worth in 1..500 {
        rig.give(worth, worth % 9 + 1, worth);
    }
    rig.close();
    spoil(&rig);
    let before = fs::read(rig.file("gift.db")).expect("readable");
    let error = rig.try_open().expect_err("a spoiled journal").to_string();
    assert!(error.contains(expected), "{error}");
    assert!(before == fs::read(rig.file("gift.db")).expect("readable"), "{expected}: touched");
}

#[test]
fn refuses_a_journal_that_is_newer_damaged_or_not_ours_and_leaves_it_alone() {
    let set = |pragma: &'static str| {
        move |rig: &Rig| {
            let journal = Connection::open(rig.file("gift.db")).expect("ours");
            journal.execute_batch(pragma).expect("set");
        }
    };
    check_refused(|rig| fs::write(rig.file("gift.db"), b"").expect("written"), "it is empty");
    check_refused(set("PRAGMA user_version = 99"), "format 99");
    check_refused(set("PRAGMA application_id = 5"), "not a file that this program made");
    let write = |bytes: &'static [u8]| {
        move |rig: &Rig| fs::write(rig.file("gift.db"), bytes).expect("written")
    };
    check_refused(write(b"my diary"), "not a file that this program made");
    check_refused(write(b"SQLite format 3\0"), "damaged");
    let cut = |rig: &Rig| {
        let file = fs::File::options().write(true).open(rig.file("gift.db")).expect("ours");
        let length = file.metadata().expect("a length").len();
        file.set_len(length / 2).expect("cut");
    };
    check_refused(cut, "damaged");
    let scribble = |rig: &Rig| {
        let mut bytes = fs::read(rig.file("gift.db")).expect("ours");
        let middle = bytes.len() / 2;
        bytes[middle..middle + 4096].fill(0xAA);
        fs::write(rig.file("gift.db"), bytes).expect("written");
    };
    check_refused(scribble, "damaged");
}

#[test]
fn a_checkpoint_that_is_of_no_use_is_made_anew_from_the_journal() {
    type Spoil = fn(&Rig);
    let spoil: [(&str, Spoil); 5] = [
        ("gone", |rig| fs::remove_file(rig.file("gift-checkpoint.db")).expect("removed")),
        ("empty", |rig| fs::write(rig.file("gift-checkpoint.db"), b"").expect("written")),
        ("foreign", |rig| fs::write(rig.file("gift-checkpoint.db"), b"diary").expect("written")),
        ("newer", |rig| {
            let file = Connection::open(rig.file("gift-checkpoint.db")).expect("ours");
            file.execute_batch("PRAGMA user_version = 99").expect("set");
        }),
        ("of another journal", |rig| {
            let file = Connection::open(rig.file("gift-checkpoint.db")).expect("ours");
            let spoil = "UPDATE board SET total = 1; UPDATE fan SET total = 1;
                         UPDATE checkpoint SET position_time_us = 3";
            file.execute_batch(spoil).expect("set");
        }),
    ];
    for (name, spoil) in spoil {
        let mut rig = Rig::opened();
        rig.give(1, 7, 5);
        rig.give(2, 7, 6);
        rig.close();
        spoil(&rig);
        for _ in 0..2 {
            rig.open();
            assert_eq!(rig.top(Period::Week), [(7, 11)], "{name}");
            assert_eq!(rig.fans(7, 10), [(2, 6), (1, 5)], "{name}");
            rig.close();
        }
    }
}

#[test]
fn a_checkpoint_that_is_damaged_while_we_run_costs_time_but_no_truth() {
    let mut rig = Rig::closed();
    rig.options.checkpoint_every = 1;
    rig.open();
    for n in 0..200 {
        rig.give(n % 40 + 1, 7, n + 1);
    }
    let before = rig.fans(7, 40);
    rig.reopen();
    let file = rig.file("gift-checkpoint.db");
    let length = fs::metadata(&file).expect("there").len();
    fs::write(&file, vec![0xAA; usize::try_from(length).expect("small")]).expect("written");
    assert_eq!(rig.fans(7, 40), before);
    rig.give(50, 7, 1);
    assert_eq!(rig.fans(7, 40), before);
    rig.reopen();
    assert_eq!(rig.fans(7, 40), before);
    assert_eq!(rig.top(Period::Day), [(7, 20_101)]);
}

#[test]
fn boards_follow_a_new_time_zone_and_a_longer_keeping() {
    let mut rig = Rig::closed();
    rig.options.keep.hour_s = 3_600;
    rig.clock.set_us(START_US - HOUR_US / 3);
    rig.open();
    rig.give(1, 7, 1);
    rig.clock.set_us(START_US);
    rig.give(1, 7, 2);
    assert_eq!(rig.top(Period::Hour), [(7, 3)]);
    rig.close();
    rig.options.zone = TimeZone::get("Asia/Kolkata").expect("bundled");
    rig.open();
    assert_eq!(rig.top(Period::Hour), [(7, 2)], "there an hour begins at half past");
    rig.clock.set_us(START_US + 3 * HOUR_US);
    rig.give(1, 7, 4);
    let first =
        TopQuery { period: Period::Hour, at: Some(START_US / 1_000_000), offset: 0, num: 1 };
    assert_eq!(rig.read(Read::Top(first)), Ok(Found::NotKept));
    rig.close();
    rig.options.keep.hour_s = 10 * 3_600;
    rig.open();
    match rig.read(Read::Top(first)) {
        Ok(Found::Top { places, .. }) => assert_eq!(places[0].total_worth, 2),
        other => panic!("kept again: {other:?}"),
    }
}

#[test]
fn a_log_without_its_journal_is_refused() {
    let mut rig = Rig::opened();
    rig.give(1, 7, 5);
    let (journal, log) = (rig.file("gift.db"), rig.file("gift.db-wal"));
    let kept = fs::read(&log).expect("a log");
    rig.close();
    fs::remove_file(&journal).expect("removed");
    fs::write(&log, kept).expect("written");
    let error = rig.try_open().expect_err("a journal that is gone").to_string();
    assert!(error.contains("its log is there"), "{error}");
}

#[test]
fn a_clock_that_starts_years_ahead_forgets_nothing() {
    let mut rig = Rig::opened();
    rig.send((1, 7, 5), Some("k"));
    rig.clock.set_us(START_US + 9_000 * HOUR_US);
    rig.reopen();
    assert_eq!(rig.top(Period::Week), []);
    rig.clock.set_us(START_US + 1);
    assert_eq!(rig.top(Period::Hour), [(7, 5)]);
    assert_eq!(id(&rig.send((1, 7, 5), Some("k"))), (1, true));
}

#[test]
fn one_store_a_folder() {
    let rig = Rig::opened();
    let error = DataFolder::open(rig.dir.path()).expect_err("in use");
    assert!(matches!(error, OpenError::InUse { .. }), "{error}");
}
