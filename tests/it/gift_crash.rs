//! Crashes of the local gift store between any two steps: what was acknowledged is there once.
//!
//! A crash is a copy of the folder as it is at a step. A seed picks the history, the steps that are
//! copied and how often checkpoints are made; it is printed with every failure.

use crate::crash_rig::{Crashes, Dice, copy};
use crate::gift_local_rig::{Rig, send};
use fanfare::gift::local::Step;
use fanfare::gift::{Entry, Period, Write, Written};
use fanfare::store::{RequestKey, StoreError};
use rusqlite::Connection;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

const ANCHORS: i64 = 5;

/// Writes that were answered, with the entries that they were answered with.
type Acknowledged = Vec<(Write, Entry)>;

/// Boards, worth and fans are those of the journal.
fn check_sums(rig: &Rig, context: &str) {
    let mut totals = Vec::new();
    for anchor_id in 1..=ANCHORS {
        let journal = rig.journal(anchor_id);
        let total: i64 = journal.iter().map(|entry| entry.worth).sum();
        assert_eq!(rig.worth(anchor_id).unwrap_or(0), total, "{context}: anchor {anchor_id}");
        let fans: i64 = rig.fans(anchor_id, 100).iter().map(|fan| fan.1).sum();
        assert_eq!(fans, total, "{context}: fans of {anchor_id}");
        totals.extend((total > 0).then_some((anchor_id, total)));
    }
    for period in [Period::All, Period::Hour, Period::Day, Period::Week] {
        let mut top = rig.top(period);
        top.sort_unstable();
        assert_eq!(top, totals, "{context}: {period:?}");
    }
}

/// Every acknowledged write is in the journal as it was answered, and its retry says so.
fn check_acknowledged(rig: &Rig, acknowledged: &Acknowledged, context: &str) {
    for (write, entry) in acknowledged {
        let journal = rig.journal(entry.anchor_id);
        assert_eq!(journal.iter().filter(|line| *line == entry).count(), 1, "{context}: {entry:?}");
        let again = Written::Done { entry: entry.clone(), replayed: true };
        assert_eq!(rig.write(write.clone()), Ok(again), "{context}: {write:?}");
    }
}

/// Sends all again, as clients do that never got an answer; then no key may count twice.
fn check_retries(rig: &mut Rig, writes: &[Write], context: &str) {
    for write in writes {
        rig.write(write.clone()).expect("the store is well");
    }
    check_sums(rig, context);
    rig.close();
    let journal = Connection::open(rig.file("gift.db")).expect("ours");
    let sql = "SELECT count(*) - count(DISTINCT request_id || (revokes IS NULL)) FROM gift";
    let twice: i64 = journal.query_row(sql, [], |row| row.get(0)).expect("readable");
    assert_eq!(twice, 0, "{context}: counted twice");
}

/// What a seed makes the clients ask, in order; some of it again, some at once.
fn history(dice: &mut Dice) -> Vec<Vec<Write>> {
    let mut asked: Vec<Write> = Vec::new();
    let mut rounds = Vec::new();
    for n in 0..12 {
        let mut round = Vec::new();
        for part in 0..if dice.below(4) == 0 { 4 } else { 1 } {
            let key = format!("key-{n}-{part}");
            round.push(match dice.below(10) {
                0 | 1 if !asked.is_empty() => {
                    let at = dice.below(asked.len() as u64);
                    asked[usize::try_from(at).expect("small")].clone()
                }
                2 | 3 => Write::Revoke {
                    id: dice.pick(1..=12),
                    reason: "simulated".into(),
                    key: RequestKey::new(&key),
                },
                _ => send((dice.pick(1..=3), dice.pick(1..=ANCHORS), dice.pick(1..=9)), Some(&key)),
            });
        }
        asked.extend_from_slice(&round);
        rounds.push(round);
    }
    rounds
}

/// Runs the history of a seed; returns what the clients knew at each copy of the folder.
fn run(seed: u64, rounds: Vec<Vec<Write>>, copies: &Path) -> Vec<(Step, Acknowledged)> {
    let mut rig = Rig::closed();
    rig.options.checkpoint_every = [1, 3, i64::MAX][usize::try_from(seed % 3).expect("small")];
    let crashes = Crashes::new();
    let (from, to) = (rig.dir.path().to_path_buf(), copies.to_path_buf());
    rig.options.step = Some(crashes.hook(seed, from, to));
    rig.open();
    for round in rounds {
        let answers: Vec<_> =
            round.into_iter().map(|write| (write.clone(), rig.start(write))).collect();
        for (write, answer) in answers {
            let written = answer.recv().expect("every write is answered").expect("well");
            if let Written::Done { entry, .. } = written {
                crashes.note(|known: &mut Acknowledged| known.push((write, entry)));
            }
        }
    }
    rig.close();
    crashes.take()
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
fn a_bookkeeper_that_panics_at_any_step_is_made_anew_from_the_file() {
    // More steps than the history makes, so that the last rounds see no panic at all.
    for fatal in 0..30 {
        let mut rig = Rig::closed();
        rig.options.checkpoint_every = i64::MAX;
        let steps = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&steps);
        rig.options.step = Some(Arc::new(move |step| {
            let folding = matches!(step, Step::Folding | Step::Folded);
            let now = counter.fetch_add(usize::from(!folding), Ordering::Relaxed);
            assert!(folding || now != fatal, "a panic on purpose");
        }));
        rig.open();
        let gift = |n| (n % 3 + 1, n % ANCHORS + 1, n % 11 + 1);
        let writes: Vec<_> = (0..5).map(|n| send(gift(n), Some(&format!("k{n}")))).collect();
        let mut acknowledged = Acknowledged::new();
        for write in &writes {
            match rig.write(write.clone()) {
                Ok(Written::Done { entry, .. }) => acknowledged.push((write.clone(), entry)),
                Err(StoreError::Broken) => {}
                other => panic!("panic at {fatal}: {other:?}"),
            }
        }
        steps.store(1_000_000, Ordering::Relaxed); // The questions meet no panic.
        assert!(acknowledged.len() >= 4, "only one batch met the panic");
        let context = format!("panic at {fatal}");
        check_sums(&rig, &context);
        check_acknowledged(&rig, &acknowledged, &context);
        rig.reopen();
        check_acknowledged(&rig, &acknowledged, &context);
        check_retries(&mut rig, &writes, &context);
    }
}
