//! Crashes of the local gift store between any two steps: what was acknowledged is there once.

use crate::gift_local_rig::{Rig, send};
use fanfare::gift::local::Step;
use fanfare::gift::{Period, Written};
use fanfare::store::StoreError;
use std::collections::HashMap;
use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

/// What must be found: by key, the entry's id. Keys not in it may be there or not.
type Acknowledged = HashMap<String, i64>;

const ANCHORS: i64 = 5;

fn gift(n: i64) -> (i64, i64, i64) {
    (n % 3 + 1, n % ANCHORS + 1, n % 11 + 1)
}

/// Holds the boards against the journal, and every acknowledged key against its entry.
fn check(rig: &Rig, acknowledged: &Acknowledged, context: &str) {
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
    for (key, id) in acknowledged {
        let n = key.strip_prefix('k').expect("a key of ours").parse().expect("a number");
        match rig.send(gift(n), Some(key)) {
            Written::Done { entry, replayed: true } => assert_eq!(entry.id, *id, "{context}"),
            other => panic!("{context}: {key} was acknowledged, now it is {other:?}"),
        }
    }
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("a temp folder");
    for file in fs::read_dir(from).expect("readable") {
        let file = file.expect("readable");
        fs::copy(file.path(), to.join(file.file_name())).expect("copied");
    }
}

/// Runs a small history, copying the folder at every step as a crash would leave it; then opens
/// every copy.
#[test]
fn a_crash_between_any_two_steps_loses_nothing_that_was_acknowledged() {
    let mut rig = Rig::closed();
    let copies = tempfile::tempdir().expect("a temp folder");
    let acknowledged = Arc::new(Mutex::new(Acknowledged::new()));
    // The checkpoint is folded at the close only, after the bookkeeper's last step: so nobody
    // writes while a copy is made.
    let seen: Arc<Mutex<Vec<(Step, Acknowledged)>>> = Arc::default();
    let hook = {
        let (from, to) = (rig.dir.path().to_path_buf(), copies.path().to_path_buf());
        let (seen, acknowledged) = (Arc::clone(&seen), Arc::clone(&acknowledged));
        move |step: Step| {
            let mut seen = seen.lock().expect("no panic");
            let known = acknowledged.lock().expect("no panic").clone();
            copy(&from, &to.join(seen.len().to_string()));
            seen.push((step, known));
        }
    };
    rig.options.step = Some(Arc::new(hook));
    rig.open();
    for n in 0..12 {
        let key = format!("k{n}");
        let Written::Done { entry, .. } = rig.send(gift(n), Some(&key)) else { panic!("refused") };
        acknowledged.lock().expect("no panic").insert(key, entry.id);
        if n % 4 == 3 {
            rig.revoke(entry.id, "simulated", None);
        }
    }
    rig.close();
    let seen = std::mem::take(&mut *seen.lock().expect("no panic"));
    assert!(seen.iter().any(|(step, _)| *step == Step::Folded), "the checkpoint is crashed too");
    for (number, (step, acknowledged)) in seen.into_iter().enumerate() {
        let mut crashed = Rig::closed();
        copy(&copies.path().join(number.to_string()), crashed.dir.path());
        crashed.open();
        let context = format!("after step {number}, {step:?}");
        check(&crashed, &acknowledged, &context);
        crashed.give(1, 1, 1);
        crashed.reopen();
        check(&crashed, &acknowledged, &context);
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
        let mut acknowledged = Acknowledged::new();
        for n in 0..5 {
            let key = format!("k{n}");
            match rig.write(send(gift(n), Some(&key))) {
                Ok(Written::Done { entry, .. }) => acknowledged.insert(key, entry.id),
                Err(StoreError::Broken) => None,
                other => panic!("panic at {fatal}: {other:?}"),
            };
        }
        steps.store(1_000_000, Ordering::Relaxed); // The questions meet no panic.
        assert!(acknowledged.len() >= 4, "only one batch met the panic");
        check(&rig, &acknowledged, &format!("panic at {fatal}"));
        rig.reopen();
        check(&rig, &acknowledged, &format!("panic at {fatal}, restarted"));
    }
}
