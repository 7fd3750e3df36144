//! Crashes of the local packet store between any two steps, failed commits and panics: what was
//! answered is there once, no draw comes twice, and the rest of the budget is still spent to the fen.

use crate::crash_rig::Dice;
use crate::gift_model::TestClock;
use crate::packet_local::Rig;
use crate::packet_rig::terms;
use fanfare::packet::{Change, Managed, Opened, Refusal, Snatched, Sum, Terms};
use fanfare::store::StoreError;
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

const USERS: i64 = 6;

/// What clients were told.
#[derive(Clone, Default)]
struct Told {
    /// Packets with their owners, their draws and their keys.
    packets: BTreeMap<i64, (i64, i64, String)>,
    /// What was opened, and what was in it.
    values: BTreeMap<i64, i64>,
    /// The newest draw, won or lost.
    last_draw: i64,
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("a temp folder");
    for file in fs::read_dir(from).expect("readable") {
        let file = file.expect("readable");
        fs::copy(file.path(), to.join(file.file_name())).expect("copied");
    }
}

fn rain() -> Terms {
    Terms { win_ppm: 600_000, max_per_user: 40, ..terms(20_000, 150, 10, 900) }
}

/// Asks for something as the dice fall, and notes the answer.
fn ask(rig: &Rig, dice: &mut Dice, told: &Mutex<Told>, number: usize) {
    let uid = dice.pick(1..=USERS);
    match dice.below(10) {
        0 => {
            let more = dice.pick(20_000..=21_000);
            rig.change(Change { total_amount_fen: Some(more), ..Change::default() });
        }
        1 | 2 => {
            let known = told.lock().expect("no panic").packets.clone();
            let Some((&id, &(uid, ..))) =
                known.iter().nth(usize::try_from(dice.below(40)).expect("small"))
            else {
                return;
            };
            if let Ok(Opened::Paid { value_fen, .. }) = rig.open_packet(uid, id) {
                told.lock().expect("no panic").values.insert(id, value_fen);
            }
        }
        _ => {
            let key = format!("key-{number}");
            let snatched = rig.snatch(uid, Some(&key)).expect("the store is well");
            let mut told = told.lock().expect("no panic");
            match snatched {
                Snatched::Got { envelope_id, draw, .. } => {
                    told.packets.insert(envelope_id, (uid, draw, key));
                    told.last_draw = told.last_draw.max(draw);
                }
                Snatched::Unlucky { draw } => told.last_draw = told.last_draw.max(draw),
                Snatched::Refused(_) => {}
            }
        }
    }
}

/// Everything that was told still holds, a retry finds its packet, and the rest can be spent.
fn check(rig: &Rig, told: &Told, context: &str) {
    rig.check_audit(context);
    for (&id, (uid, draw, key)) in &told.packets {
        let again = rig.snatch(*uid, Some(key)).expect("well");
        let Snatched::Got { envelope_id, draw: same, replayed: true, .. } = again else {
            panic!("{context}: {again:?} for packet {id}");
        };
        assert_eq!((envelope_id, same), (id, *draw), "{context}");
        let opened = rig.open_packet(*uid, id).expect("well");
        match (told.values.get(&id), opened) {
            (Some(&value), Opened::Paid { value_fen, replayed: true }) => {
                assert_eq!(value, value_fen, "{context}");
            }
            (None, Opened::Paid { .. }) => {}
            other => panic!("{context}: {other:?} for packet {id}"),
        }
    }
    rig.change(Change { win_ppm: Some(1_000_000), max_per_user: Some(1_000), ..Change::default() });
    for uid in 1_000.. {
        match rig.snatch(uid, None).expect("well") {
            Snatched::Got { draw, .. } => assert!(draw > told.last_draw, "{context}: {draw}"),
            Snatched::Refused(Refusal::NoPackets) => break,
            other => panic!("{context}: {other:?}"),
        }
    }
    let figures = rig.packets().figures();
    assert_eq!((figures.left_count, figures.handed_out.count), (0, 150), "{context}");
    rig.check_audit(context);
}

#[test]
fn a_crash_between_any_two_steps_loses_and_doubles_nothing() {
    for seed in 0..5 {
        let copies = tempfile::tempdir().expect("a temp folder");
        let (told, crashes) =
            (Arc::new(Mutex::new(Told::default())), Arc::new(Mutex::new(Vec::new())));
        let mut rig = Rig::closed(TestClock::at(1_500));
        let (from, to) = (rig.dir.path().to_path_buf(), copies.path().to_path_buf());
        let (known, made) = (Arc::clone(&told), Arc::clone(&crashes));
        let dice = Mutex::new(Dice::new(seed + 1_000_000));
        rig.options.step = Some(Arc::new(move |step| {
            if dice.lock().expect("no panic").below(16) > 0 {
                return;
            }
            // What is known before the copy must be in it.
            let known = known.lock().expect("no panic").clone();
            let mut made = made.lock().expect("no panic");
            copy(&from, &to.join(made.len().to_string()));
            made.push((step, known));
        }));
        rig.open();
        rig.begin(1, &rain());
        let mut dice = Dice::new(seed);
        for number in 0..60 {
            ask(&rig, &mut dice, &told, number);
        }
        rig.close();
        let crashes = std::mem::take(&mut *crashes.lock().expect("no panic"));
        assert!(crashes.len() > 3, "{} crashes", crashes.len());
        for (number, (step, told)) in crashes.into_iter().enumerate() {
            let context = format!("seed {seed}, crash {number} at {step:?}");
            let mut victim = Rig::closed(TestClock::at(1_500));
            copy(&copies.path().join(number.to_string()), victim.dir.path());
            victim.open();
            // Before its commit there was no rain yet, and nobody was told of one.
            if victim.packets().figures().version == 0 {
                assert!(told.packets.is_empty(), "{context}");
                continue;
            }
            check(&victim, &told, &context);
        }
    }
}

#[test]
fn a_bookkeeper_that_panics_at_any_step_is_made_anew_from_the_file() {
    for fatal in (0..60).step_by(3) {
        let mut rig = Rig::closed(TestClock::at(1_500));
        let steps = Arc::new(AtomicUsize::new(1_000_000));
        let counter = Arc::clone(&steps);
        rig.options.step = Some(Arc::new(move |_| {
            let now = counter.fetch_add(1, Ordering::Relaxed);
            assert!(now != fatal, "a panic on purpose");
        }));
        rig.open();
        rig.begin(1, &Terms { win_ppm: 1_000_000, ..rain() });
        steps.store(0, Ordering::Relaxed);
        let mut told = Told::default();
        let mut broken = 0;
        for number in 0..12 {
            let (uid, key) = (number % USERS + 1, format!("key-{number}"));
            match rig.snatch(uid, Some(&key)) {
                Ok(Snatched::Got { envelope_id, draw, .. }) => {
                    told.packets.insert(envelope_id, (uid, draw, key));
                    told.last_draw = told.last_draw.max(draw);
                }
                Err(StoreError::Broken) => broken += 1,
                other => panic!("panic at {fatal}: {other:?}"),
            }
        }
        steps.store(1_000_000, Ordering::Relaxed); // The questions meet no panic.
        assert_eq!(broken, 1, "one batch met the panic");
        check(&rig, &told, &format!("panic at {fatal}"));
        rig.reopen();
        rig.check_audit("after a restart");
    }
}

#[test]
fn a_commit_that_fails_leaves_everything_as_it_was() {
    let mut rig = Rig::closed(TestClock::at(1_500));
    rig.open();
    rig.begin(1, &Terms { win_ppm: 1_000_000, ..rain() });
    rig.snatch(1, None).expect("a packet");
    let before = rig.packets().figures();
    // A lock that an operator's shell holds longer than anybody waits.
    let shell = rusqlite::Connection::open(rig.file()).expect("ours");
    shell.execute_batch("BEGIN IMMEDIATE").expect("nobody else writes");
    for _ in 0..2 {
        assert_eq!(rig.snatch(2, None), Err(StoreError::Unavailable));
    }
    let change = Change { win_ppm: Some(0), ..Change::default() };
    let manage = fanfare::packet::Manage::Change { change, reason: "x".into(), key: None };
    assert_eq!(rig.manage(manage.clone()), Err(StoreError::Unavailable));
    let after = rig.packets().figures();
    assert_eq!((after.handed_out, after.version), (before.handed_out, before.version));
    shell.execute_batch("ROLLBACK").expect("it holds the lock");
    drop(shell);
    let got = rig.snatch(2, None).expect("well");
    assert!(matches!(got, Snatched::Got { envelope_id: 2, cur_count: 1, .. }), "{got:?}");
    assert_eq!(rig.manage(manage), Ok(Managed::Done { replayed: false }));
    assert!(matches!(rig.snatch(3, None), Ok(Snatched::Unlucky { .. })));
    rig.check_audit("after failures");
    rig.reopen();
    assert_eq!(rig.packets().figures().handed_out.count, 2);
    assert_ne!(rig.packets().figures().handed_out, Sum::default());
}
