//! Crashes of the local trade store between any two steps: what was acknowledged is there once.
//!
//! A crash is a copy of the folder as it is at a step, or a panic of the bookkeeper at that step. A
//! seed picks the history and the step; it is printed with every failure.

use crate::crash_rig::Dice;
use crate::gift_model::TestClock;
use crate::trade_rig::{Rig, customer, trade};
use fanfare::store::StoreError;
use fanfare::trade::local::StepHook;
use fanfare::trade::{Entry, Write, Written};
use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

const CUSTOMERS: [i64; 3] = [900_000_000_001, 900_000_000_002, 900_000_000_003];

fn copy(from: &Path, to: &Path) {
    for file in fs::read_dir(from).expect("readable") {
        let file = file.expect("readable");
        fs::copy(file.path(), to.join(file.file_name())).expect("copied");
    }
}

/// Keyed trades of three customers, some of which have nothing to sell.
fn history(dice: &mut Dice) -> Vec<Write> {
    (0..40)
        .map(|n| {
            let who = CUSTOMERS[usize::try_from(dice.below(3)).expect("small")];
            let signed = dice.pick(1..=5) * if dice.below(3) == 0 { -1 } else { 1 };
            trade(
                who,
                usize::try_from(dice.below(2)).expect("small"),
                signed,
                Some(&format!("k{n}")),
            )
        })
        .collect()
}

/// Sends all again; what was acknowledged is answered as the first time, and nothing counts twice.
fn check_again(rig: &Rig, writes: &[Write], acknowledged: &[(usize, Entry)], context: &str) {
    for (index, entry) in acknowledged {
        match rig.write(writes[*index].clone()) {
            Ok(Written::Done { entry: again, replayed: true, .. }) => {
                assert_eq!(again, *entry, "{context}");
            }
            other => panic!("{context}: {entry:?} is lost: {other:?}"),
        }
    }
    for write in writes {
        rig.write(write.clone()).expect("the store is well");
    }
    for number in CUSTOMERS {
        let lines = rig.pushes(customer(number), 0);
        let seqs: Vec<i64> = lines.iter().map(|entry| entry.seq).collect();
        let expected: Vec<i64> =
            (0..lines.len()).map(|n| 2 * i64::try_from(n).expect("few") + 1).collect();
        assert_eq!(seqs, expected, "{context}: no gaps");
        let history = rig.history(customer(number), 1_000);
        assert_eq!(history.len(), lines.len(), "{context}");
    }
    rig.check_audit();
}

#[test]
fn a_process_that_dies_between_two_steps_loses_nothing_and_counts_nothing_twice() {
    for seed in 0..30 {
        let context = format!("seed {seed}");
        let mut dice = Dice::new(seed);
        let writes = history(&mut dice);
        let (dir, dead) = (tempfile::tempdir().expect("temp"), tempfile::tempdir().expect("temp"));
        let at = usize::try_from(dice.below(200)).expect("small");
        let (count, acknowledged) = (AtomicUsize::new(0), Arc::new(Mutex::new(Vec::new())));
        let survived = Arc::new(Mutex::new(None));
        let hook: StepHook = {
            let (from, to) = (dir.path().to_owned(), dead.path().to_owned());
            let (acknowledged, survived) = (Arc::clone(&acknowledged), Arc::clone(&survived));
            Arc::new(move |_| {
                if count.fetch_add(1, Ordering::SeqCst) == at {
                    copy(&from, &to);
                    // Who was answered before the crash.
                    let known: Vec<(usize, Entry)> = acknowledged.lock().expect("well").clone();
                    *survived.lock().expect("well") = Some(known);
                }
            })
        };
        let clock = TestClock::at(1_793_536_200);
        let rig = Rig::open(dir.path(), &clock, Some(hook));
        for (index, write) in writes.iter().enumerate() {
            if let Ok(Written::Done { entry, .. }) = rig.write(write.clone()) {
                acknowledged.lock().expect("well").push((index, entry));
            }
        }
        rig.close();
        let Some(known) = survived.lock().expect("well").take() else { continue };
        let rig = Rig::open(dead.path(), &clock, None);
        check_again(&rig, &writes, &known, &context);
        rig.close();
    }
}

#[test]
fn a_bookkeeper_that_panics_at_a_step_goes_on_from_what_is_durable() {
    for seed in 100..120 {
        let mut dice = Dice::new(seed);
        let writes = history(&mut dice);
        let dir = tempfile::tempdir().expect("a temp folder");
        let (count, at) = (AtomicUsize::new(0), usize::try_from(dice.below(150)).expect("small"));
        let hook: StepHook = Arc::new(move |step| {
            assert_ne!(count.fetch_add(1, Ordering::SeqCst), at, "a planned crash at {step:?}");
        });
        let rig = Rig::open(dir.path(), &TestClock::at(1_793_536_200), Some(hook));
        let mut acknowledged = Vec::new();
        for (index, write) in writes.iter().enumerate() {
            match rig.write(write.clone()) {
                Ok(Written::Done { entry, .. }) => acknowledged.push((index, entry)),
                Ok(_) | Err(StoreError::Broken) => {}
                Err(error) => panic!("seed {seed}: {error}"),
            }
        }
        check_again(&rig, &writes, &acknowledged, &format!("seed {seed}"));
        rig.close();
    }
}
