//! Crashes of the local counter store between any two steps: what was acknowledged is there once.
//!
//! A crash is a copy of the folder as it is at a step. A seed picks the history, the steps that are
//! copied and how often the journal is folded; it is printed with every failure.

use crate::counter_local_rig::{Rig, keyed};
use crate::counter_model::{counter, id, write};
use crate::crash_rig::{Crashes, Dice, copy};
use fanfare::calendar::Period;
use fanfare::counter::local::Step;
use fanfare::counter::{Action, Read, Write, Written};
use fanfare::store::StoreError;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

const RESOURCES: u64 = 4;

/// Writes with a key that were answered as done.
type Acknowledged = Vec<Write>;

/// What a seed makes the clients ask, in order; some of it again, some at once. Every write has a
/// key of its own, so that it can be asked again after a crash.
fn history(dice: &mut Dice) -> Vec<Vec<Write>> {
    let mut asked: Vec<Write> = Vec::new();
    let mut rounds = Vec::new();
    for n in 0..14 {
        let mut round = Vec::new();
        for part in 0..if dice.below(4) == 0 { 5 } else { 1 } {
            let resource = (dice.below(RESOURCES) + 1).to_string();
            let user = id(&format!("u{}", dice.below(3)));
            let (of, action) = match dice.below(10) {
                0 | 1 if !asked.is_empty() => {
                    let at = dice.below(asked.len() as u64);
                    round.push(asked[usize::try_from(at).expect("small")].clone());
                    continue;
                }
                0..=3 => ("like", Action::Join { user }),
                4 => ("like", Action::Leave { user }),
                5 => ("like", Action::Reset { reason: "simulated".into() }),
                _ => ("view", Action::Add { delta: dice.pick(-2..=9), user: None }),
            };
            round.push(keyed(write(counter(&resource, of), action), &format!("key-{n}-{part}")));
        }
        asked.extend_from_slice(&round);
        rounds.push(round);
    }
    rounds
}

/// Runs the history of a seed; returns what the clients knew at each copy of the folder.
fn run(seed: u64, rounds: Vec<Vec<Write>>, copies: &Path) -> Vec<(Step, Acknowledged)> {
    let mut rig = Rig::closed();
    rig.options.fold_every = [1, 3, i64::MAX][usize::try_from(seed % 3).expect("small")];
    let crashes = Crashes::new();
    let (from, to) = (rig.dir.path().to_path_buf(), copies.to_path_buf());
    rig.options.step = Some(crashes.hook(seed, from, to));
    rig.open();
    for round in rounds {
        let answers: Vec<_> =
            round.into_iter().map(|write| (write.clone(), rig.start(write))).collect();
        for (write, answer) in answers {
            let written = answer.recv().expect("every write is answered").expect("well");
            if matches!(written, Written::Done { .. }) {
                crashes.note(|known: &mut Acknowledged| known.push(write));
            }
        }
    }
    rig.close();
    crashes.take()
}

/// Counts are those of the lists, likes those of the users, and files and memory agree.
fn check_sums(rig: &Rig, context: &str) {
    let failed = rig.failed_checks();
    assert!(failed.is_empty(), "{context}: {failed:#?}");
    for (of, resource) in
        ["view", "like"].iter().flat_map(|of| (1..=RESOURCES).map(move |r| (of, r)))
    {
        let count = rig.count(counter(&resource.to_string(), of));
        let listed: BTreeMap<_, _> = rig.hot(of, Period::Day).into_iter().collect();
        let expected = (count > 0).then_some(&count);
        assert_eq!(listed.get(&resource.to_string()), expected, "{context}: {of} of {resource}");
    }
}

/// Every acknowledged write took effect: its retry changes nothing.
fn check_acknowledged(rig: &Rig, acknowledged: &Acknowledged, context: &str) {
    for write in acknowledged {
        let read = Read::Count(write.counter.clone());
        let before = crate::counter_suite::find(&**rig.counters(), &read);
        // A join that changed nothing is not remembered, and asking for it again may change
        // something by now.
        let may_be_new = matches!(write.action, Action::Join { .. } | Action::Leave { .. });
        match rig.write(write.clone()).expect("the store is well") {
            Written::Done { replayed: true, .. } => {
                let after = crate::counter_suite::find(&**rig.counters(), &read);
                assert_eq!(before, after, "{context}: {write:?}");
            }
            other => assert!(may_be_new, "{context}: {write:?} gave {other:?}"),
        }
    }
}

/// Sends all again, as clients do that never got an answer: what adds up is what was asked, once.
fn check_retries(rig: &mut Rig, writes: &[Write], context: &str) {
    let mut expected: BTreeMap<_, i64> = BTreeMap::new();
    let mut keys = std::collections::BTreeSet::new();
    for write in writes {
        let key = write.key.as_ref().expect("each has one").as_str();
        if let (Action::Add { delta, .. }, true) = (&write.action, keys.insert(key)) {
            *expected.entry(write.counter.clone()).or_default() += delta;
        }
        rig.write(write.clone()).expect("the store is well");
    }
    for _ in 0..2 {
        for (counter, count) in &expected {
            assert_eq!(rig.count(counter.clone()), *count, "{context}: {counter:?}");
        }
        check_sums(rig, context);
        rig.reopen();
    }
}

#[test]
fn a_crash_between_any_two_steps_loses_and_doubles_nothing() {
    for seed in 0..6 {
        let copies = tempfile::tempdir().expect("a temp folder");
        let rounds = history(&mut Dice::new(seed));
        let writes = rounds.concat();
        for (number, (step, acknowledged)) in
            run(seed, rounds, copies.path()).into_iter().enumerate()
        {
            let context = format!("seed {seed}, crash {number} at {step:?}");
            let mut crashed = Rig::closed();
            copy(&copies.path().join(number.to_string()), crashed.dir.path());
            crashed.open();
            check_sums(&crashed, &context);
            check_acknowledged(&crashed, &acknowledged, &context);
            check_retries(&mut crashed, &writes, &context);
        }
    }
}

#[test]
fn a_bookkeeper_that_panics_at_any_step_is_made_anew_from_the_files() {
    // More steps than the history makes, so that the last rounds see no panic at all.
    for fatal in 0..30 {
        let mut rig = Rig::closed();
        rig.options.fold_every = 2;
        let steps = Arc::new(AtomicUsize::new(0));
        let passed = Arc::clone(&steps);
        rig.options.step = Some(Arc::new(move |step| {
            let folding = matches!(step, Step::Folding | Step::Folded);
            let now = passed.fetch_add(usize::from(!folding), Ordering::Relaxed);
            assert!(folding || now != fatal, "a panic on purpose");
        }));
        rig.open();
        let add = |n: i64| write(counter("7", "view"), Action::Add { delta: n, user: None });
        let writes: Vec<_> = (1..=5).map(|n| keyed(add(n), &format!("k{n}"))).collect();
        let mut acknowledged = Acknowledged::new();
        for write in &writes {
            match rig.write(write.clone()) {
                Ok(Written::Done { .. }) => acknowledged.push(write.clone()),
                Err(StoreError::Broken) => {}
                other => panic!("panic at {fatal}: {other:?}"),
            }
        }
        steps.store(1_000_000, Ordering::Relaxed); // The questions meet no panic.
        assert!(acknowledged.len() >= 4, "only one batch met the panic");
        let context = format!("panic at {fatal}");
        check_acknowledged(&rig, &acknowledged, &context);
        check_retries(&mut rig, &writes, &context);
    }
}
