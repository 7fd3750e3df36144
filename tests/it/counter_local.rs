//! The local counter store: batches, restarts, files and audits.

use crate::counter_local_rig::{Local, Rig, keyed};
use crate::counter_model::{counter, id, write};
use crate::counter_suite::check_store;
use fanfare::calendar::Period;
use fanfare::counter::local::Step;
use fanfare::counter::{Action, Written};
use fanfare::store::{BadId, OpenError, StoreError};
use rusqlite::Connection;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread;

fn add(delta: i64) -> Action {
    Action::Add { delta, user: None }
}

fn done(count: i64, replayed: bool) -> Written {
    Written::Done { count: Some(count), correction: 0, replayed }
}

/// A number from a file, read beside the store.
fn ask(rig: &Rig, file: &str, sql: &str) -> i64 {
    let file = Connection::open(rig.file(file)).expect("the file opens");
    file.query_row(sql, [], |row| row.get(0)).expect("a number")
}

fn tamper(rig: &Rig, file: &str, sql: &str) {
    let file = Connection::open(rig.file(file)).expect("the file opens");
    assert!(file.execute(sql, []).expect("good SQL") > 0, "{sql} changes something");
}

/// What became of a write that waits.
fn answer(waiting: &Receiver<Result<Written, StoreError>>) -> Written {
    waiting.recv().expect("answered").expect("the store is well")
}

/// Holds the bookkeeper at its first batch until all that a test submits waits behind it.
struct Gate {
    held: Receiver<()>,
    open: Sender<()>,
}

impl Gate {
    fn of(rig: &mut Rig) -> Self {
        let ((taken, held), (open, go_on)) = (channel(), channel());
        let (first, ends) = (AtomicBool::new(true), Mutex::new((taken, go_on)));
        rig.options.step = Some(Arc::new(move |step| {
            if step == Step::Decided && first.swap(false, Ordering::Relaxed) {
                let ends = ends.lock().expect("no panic within");
                ends.0.send(()).expect("the test waits for it");
                ends.1.recv().expect("the test lets it go on");
            }
        }));
        Self { held, open }
    }

    /// Waits until the bookkeeper has taken its first batch.
    fn hold(&self) {
        self.held.recv().expect("the store is open");
    }

    /// Lets it go on.
    fn open(&self) {
        self.open.send(()).expect("it waits");
    }
}

#[test]
fn it_answers_as_the_model_whatever_happens() {
    check_store(48, Local::new);
}

#[test]
fn increments_that_arrive_together_become_one_entry_and_those_with_a_key_stay_apart() {
    let mut rig = Rig::closed();
    let gate = Gate::of(&mut rig);
    rig.open();
    let first = rig.start(write(counter("1", "share"), add(1)));
    gate.hold();
    let view = || write(counter("7", "view"), add(2));
    let mut waiting: Vec<_> = (0..900).map(|_| rig.start(view())).collect();
    waiting.push(rig.start(keyed(view(), "k")));
    waiting.push(rig.start(keyed(view(), "k")));
    waiting.extend((0..50).map(|_| rig.start(write(counter("8", "view"), add(-1)))));
    gate.open();
    assert_eq!(answer(&first), done(1, false));
    let counts: Vec<_> = waiting.iter().map(answer).collect();
    let own: Vec<_> = (1..=901).map(|n| done(2 * n, false)).collect();
    assert_eq!(counts[..901], own, "each is told the count behind its own");
    assert_eq!(counts[901], done(1_802, true));
    assert_eq!(counts[951], done(-50, false));
    let rows = "SELECT count(*) FROM entry WHERE id > 1";
    assert_eq!(ask(&rig, "counter-journal.db", rows), 3, "one a counter, and the keyed one");
}

#[test]
fn a_sum_of_increments_that_no_entry_could_hold_is_two() {
    let mut rig = Rig::closed();
    let gate = Gate::of(&mut rig);
    rig.open();
    let low = counter("7", "view");
    let first = rig.start(write(low.clone(), add(i64::MIN)));
    gate.hold();
    let up: Vec<_> = (0..3).map(|_| rig.start(write(low.clone(), add(i64::MAX)))).collect();
    gate.open();
    assert_eq!(answer(&first), done(i64::MIN, false));
    let up: Vec<_> = up.iter().map(answer).collect();
    // The third would pass the end.
    assert_eq!(up, [done(-1, false), done(i64::MAX - 1, false), Written::Overflow]);
    rig.reopen();
    assert_eq!(rig.count(low), i64::MAX - 1);
}

#[test]
fn entries_of_one_batch_add_up_in_their_order_where_another_would_leave_the_range() {
    // An increment that joined the first entry, past the keyed one that made room for it, once let
    // the sum leave its range when it was shown, after the commit.
    let mut rig = Rig::closed();
    let gate = Gate::of(&mut rig);
    rig.open();
    let full = counter("7", "view");
    let first = rig.start(write(full.clone(), add(i64::MAX - 1)));
    gate.hold();
    let user = || Action::Join { user: id("1") };
    let batch = [
        write(full.clone(), add(1)),
        keyed(write(full.clone(), add(-5)), "k"),
        write(full.clone(), add(4)),
        write(full.clone(), user()),
        write(full.clone(), Action::Leave { user: id("1") }),
        write(full.clone(), add(1)),
    ];
    let waiting: Vec<_> = batch.into_iter().map(|write| rig.start(write)).collect();
    gate.open();
    assert_eq!(answer(&first), done(i64::MAX - 1, false));
    let below = [0, 5, 1, 0, 1, 0];
    let expected = below.map(|below| done(i64::MAX - below, false));
    assert_eq!(waiting.iter().map(answer).collect::<Vec<_>>(), expected);
    rig.reopen();
    assert_eq!(rig.count(full), i64::MAX);
    assert_eq!(rig.failed_checks(), []);
}

#[test]
fn counts_windows_and_users_are_there_after_a_restart() {
    let mut rig = Rig::opened();
    for (resource, delta) in [("7", 5), ("a", 3), ("10", 3), ("low", -4)] {
        rig.add(counter(resource, "view"), delta);
    }
    rig.clock.advance_s(3_600);
    rig.add(counter("a", "view"), 4);
    for user in ["1", "2", "ann"] {
        rig.join("7", user);
    }
    let lists = |rig: &Rig| Period::NAMES.map(|(_, period)| rig.hot("view", period));
    let before = lists(&rig);
    let own = |places: &[(&str, i64)]| -> Vec<(String, i64)> {
        places.iter().map(|(resource, count)| ((*resource).to_owned(), *count)).collect()
    };
    assert_eq!(before[0], own(&[("a", 7), ("7", 5), ("10", 3)]));
    assert_eq!(before[1], own(&[("a", 4)]), "the hour before is over");
    for _ in 0..2 {
        rig.reopen();
        assert_eq!(lists(&rig), before);
        assert_eq!(rig.count(counter("low", "view")), -4);
        assert_eq!(rig.join("7", "ann"), 3, "she is counted already");
    }
    // A restart in the next hour must not take the old sums for the new hour's.
    rig.close();
    rig.clock.advance_s(3_600);
    rig.open();
    assert_eq!(rig.hot("view", Period::Hour), []);
    assert_eq!(rig.hot("view", Period::Day), before[2]);
}

#[test]
fn the_journal_is_folded_and_does_not_grow_with_every_view() {
    let mut rig = Rig::closed();
    rig.options.fold_every = 50;
    rig.open();
    let size = |rig: &Rig| ask(rig, "counter-journal.db", "SELECT count(*) FROM entry");
    let keyed_add = |n: i64| keyed(write(counter("7", "view"), add(1)), &format!("k{n}"));
    for n in 0..20 {
        rig.write(keyed_add(n)).expect("the store is well");
    }
    for _ in 0..2_000 {
        rig.add(counter("7", "view"), 1);
    }
    rig.reopen();
    rig.add(counter("7", "view"), 1);
    // What was folded at the end went with the next commit; the keys are still known.
    assert!(size(&rig) <= 25, "{} entries", size(&rig));
    assert_eq!(rig.write(keyed_add(7)), Ok(done(2_021, true)));
    assert_eq!(rig.failed_checks(), []);
    // Two days later nobody can retry any more.
    rig.clock.advance_s(2 * 86_400);
    rig.add(counter("7", "view"), 1);
    rig.reopen();
    rig.add(counter("7", "view"), 1);
    rig.add(counter("7", "view"), 1);
    assert!(size(&rig) <= 5, "{} entries", size(&rig));
    assert_eq!(rig.count(counter("7", "view")), 2_024);
}

#[test]
fn a_reset_forgets_everybody_and_a_recount_counts_them() {
    let mut rig = Rig::opened();
    for user in ["1", "2", "3"] {
        rig.join("7", user);
    }
    // From the time before the type was unique.
    rig.add(counter("7", "like"), 10);
    let failed = rig.failed_checks();
    assert_eq!(failed[0].name, "counter: likers = count");
    assert_eq!((failed[0].left, failed[0].right, failed.len()), (3, 13, 1));
    assert_eq!(failed[0].first_bad, Some(BadId::Text("7/like".to_owned())));
    let reason = "a test".to_owned();
    let recount = write(counter("7", "like"), Action::Recount { reason: reason.clone() });
    let corrected = |count, correction, replayed| {
        Ok(Written::Done { count: Some(count), correction, replayed })
    };
    assert_eq!(rig.write(keyed(recount.clone(), "r")), corrected(3, -10, false));
    assert_eq!(rig.failed_checks(), []);
    rig.join("7", "4");
    assert_eq!(rig.write(keyed(recount, "r")), corrected(4, -10, true));
    let reset = write(counter("7", "like"), Action::Reset { reason: reason.clone() });
    assert_eq!(rig.write(reset), corrected(0, -4, false));
    assert_eq!(rig.hot("like", Period::Week), []);
    rig.reopen();
    assert_eq!(rig.count(counter("7", "like")), 0);
    assert_eq!(rig.join("7", "4"), 1, "forgotten with the others");
    assert_eq!(rig.failed_checks(), []);
    let unknown = write(counter("9", "like"), Action::Reset { reason });
    assert_eq!(rig.write(unknown), Ok(Written::UnknownCounter));
    let rows = "SELECT count(*) FROM entry WHERE reason = 'a test'";
    assert_eq!(ask(&rig, "counter-journal.db", rows), 2, "both are in the journal for good");
}

#[test]
fn counters_are_bounded() {
    let mut rig = Rig::closed();
    rig.options.counters_max = 2;
    rig.open();
    rig.add(counter("1", "view"), 1);
    rig.add(counter("2", "view"), 1);
    assert_eq!(rig.write(write(counter("3", "view"), add(1))), Ok(Written::Full));
    assert_eq!(rig.add(counter("2", "view"), 1), 2, "those that are there go on");
    assert_eq!(rig.count(counter("3", "view")), 0);
}

#[test]
fn an_audit_is_silent_under_load_and_names_what_differs() {
    let mut rig = Rig::closed();
    rig.options.fold_every = 20;
    rig.open();
    let (stop, written) = (AtomicBool::new(false), AtomicUsize::new(0));
    thread::scope(|scope| {
        for thread in 0..3_i64 {
            let (rig, stop, written) = (&rig, &stop, &written);
            scope.spawn(move || {
                for n in 0.. {
                    if stop.load(Ordering::Relaxed) {
                        return;
                    }
                    rig.add(counter(&format!("r{}", n % 40), "view"), n % 5 - 1);
                    let user = id(&format!("u{}", n % 7));
                    let by = counter(&format!("{}", thread + 1), "like");
                    let action =
                        if n % 3 == 0 { Action::Leave { user } } else { Action::Join { user } };
                    rig.act(by, action);
                    written.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        let mut audits = 0;
        while audits < 15 || written.load(Ordering::Relaxed) < 300 {
            audits += 1;
            let failed = rig.failed_checks();
            if !failed.is_empty() {
                stop.store(true, Ordering::Relaxed);
                panic!("{failed:#?}");
            }
        }
        stop.store(true, Ordering::Relaxed);
    });
    // Totals take in what there is when the store closes; from then on they tell all.
    rig.reopen();
    tamper(&rig, "counter.db", "UPDATE counter SET count = count + 1 WHERE resource_id = 'r5'");
    tamper(&rig, "counter.db", "INSERT INTO counted_user VALUES ('like', 2, 'nobody')");
    tamper(&rig, "counter.db", "INSERT INTO counter VALUES ('lost', 1, 5, 0, 0, 0, 0, 0, 0)");
    let failed = rig.failed_checks();
    let names: Vec<_> = failed
        .iter()
        .map(|check| (check.name.as_str(), check.first_bad.clone().expect("one is named")))
        .collect();
    let bad = |text: &str| BadId::Text(text.to_owned());
    assert_eq!(
        names,
        [
            ("counter: journal = counters", bad("1/lost")),
            ("counter: journal = counted users", bad("2/like")),
        ]
    );
}

#[test]
fn a_file_without_the_other_is_refused() {
    let mut rig = Rig::opened();
    rig.add(counter("7", "view"), 1);
    rig.close();
    for lost in ["counter.db", "counter-journal.db"] {
        let kept = rig.file("kept");
        std::fs::rename(rig.file(lost), &kept).expect("movable");
        let error = rig.try_open().expect_err("half of the record is gone");
        assert!(
            matches!(&error, OpenError::Damaged { path, .. } if path.ends_with(lost)),
            "{error}"
        );
        std::fs::rename(&kept, rig.file(lost)).expect("movable");
    }
    rig.open();
    assert_eq!(rig.count(counter("7", "view")), 1);
}

#[test]
fn a_copy_of_the_journal_and_then_of_the_totals_is_whole_while_both_are_written() {
    let mut rig = Rig::closed();
    rig.options.fold_every = 7;
    rig.open();
    let mut copied = Rig::closed();
    let (stop, written) = (AtomicBool::new(false), AtomicUsize::new(0));
    let known = thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                rig.add(counter("7", "view"), 1);
                written.fetch_add(1, Ordering::Relaxed);
            }
        });
        while written.load(Ordering::Relaxed) < 50 {
            thread::yield_now();
        }
        let known = written.load(Ordering::Relaxed);
        // As an operator's shell would; in this order.
        for file in ["counter-journal.db", "counter.db"] {
            let from = Connection::open(rig.file(file)).expect("the file opens");
            let to = copied.file(file);
            from.execute("VACUUM INTO ?1", [to.to_str().expect("UTF-8")]).expect("copied");
        }
        stop.store(true, Ordering::Relaxed);
        known
    });
    copied.open();
    let count = usize::try_from(copied.count(counter("7", "view"))).expect("above 0");
    assert!((known..=written.load(Ordering::Relaxed)).contains(&count), "{known} {count}");
    assert_eq!(copied.add(counter("7", "view"), 1), i64::try_from(count).expect("small") + 1);
    assert_eq!(copied.failed_checks(), []);
}

#[test]
fn totals_of_an_earlier_day_are_refused() {
    let mut rig = Rig::opened();
    rig.add(counter("7", "view"), 1);
    rig.close();
    std::fs::copy(rig.file("counter.db"), rig.file("backup.db")).expect("copied");
    rig.open();
    rig.add(counter("7", "view"), 1);
    rig.reopen();
    // Takes out what the totals contain.
    rig.add(counter("7", "view"), 1);
    rig.close();
    std::fs::copy(rig.file("backup.db"), rig.file("counter.db")).expect("copied");
    let error = rig.try_open().expect_err("there is a gap").to_string();
    assert!(error.contains("belong to different times"), "{error}");
}
