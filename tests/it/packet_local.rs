//! The local packet store: the shared suite, and what is its own (limits of time, a paced rain,
//! figures, a record that was tampered with).

use crate::gift_model::TestClock;
use crate::packet_rig::terms;
use crate::packet_suite::{Backend, EXPIRE_S, check_store, find, snatch_now};
use fanfare::exec::Threads;
use fanfare::packet::gate::GateOptions;
use fanfare::packet::local::{LocalOptions, LocalPackets};
use fanfare::packet::{
    Author, Change, Found, Manage, Managed, Open, Opened, Read, Refusal, Snatch, Snatched, Store,
    Terms,
};
use fanfare::store::{Check, DataFolder, OpenError, RequestKey, StoreError};
use rusqlite::Connection;
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::channel;
use std::time::Duration;
use tempfile::TempDir;

/// A folder with an open store, unless it is closed. Time passes when the test says so.
pub(crate) struct Rig {
    pub(crate) dir: TempDir,
    pub(crate) clock: Arc<TestClock>,
    pub(crate) options: LocalOptions,
    open: Option<(Arc<LocalPackets>, Threads)>,
}

impl Rig {
    pub(crate) fn closed(clock: Arc<TestClock>) -> Self {
        let dir = tempfile::tempdir().expect("a temp folder");
        let no_limit = NonZeroU32::new(1_000_000_000).expect("above 0");
        let gate = GateOptions {
            user_rate: no_limit,
            user_burst: no_limit,
            global_rate: no_limit,
            global_burst: no_limit,
        };
        let mut options = LocalOptions::new(gate);
        options.clock = Arc::<TestClock>::clone(&clock);
        options.tick = None;
        Self { dir, clock, options, open: None }
    }

    /// Open, at second 1,500: within the rains of the rig's terms.
    pub(crate) fn opened() -> Self {
        let mut rig = Self::closed(TestClock::at(1_500));
        rig.open();
        rig
    }

    pub(crate) fn try_open(&mut self) -> Result<(), OpenError> {
        let folder = DataFolder::open(self.dir.path())?;
        self.open = Some(LocalPackets::open(&folder, &self.options)?);
        Ok(())
    }

    pub(crate) fn open(&mut self) {
        self.try_open().expect("the store opens");
    }

    pub(crate) fn close(&mut self) {
        if let Some((packets, threads)) = self.open.take() {
            assert_eq!(Arc::strong_count(&packets), 1, "a handle keeps the threads alive");
            drop(packets);
            threads.join();
        }
    }

    pub(crate) fn reopen(&mut self) {
        self.close();
        self.open();
    }

    pub(crate) fn file(&self) -> PathBuf {
        self.dir.path().join("packet.db")
    }

    pub(crate) fn packets(&self) -> &Arc<LocalPackets> {
        &self.open.as_ref().expect("open it first").0
    }

    pub(crate) fn begin(&self, id: i64, terms: &Terms) {
        let by = Author::Operator;
        let manage = Manage::Create { id, terms: *terms, by, reason: "a test".into(), key: None };
        assert_eq!(self.manage(manage), Ok(Managed::Done { replayed: false }));
    }

    pub(crate) fn change(&self, change: Change) {
        let manage = Manage::Change { change, reason: "a test".into(), key: None };
        assert_eq!(self.manage(manage), Ok(Managed::Done { replayed: false }));
    }

    pub(crate) fn manage(&self, manage: Manage) -> Result<Managed, StoreError> {
        let (sender, receiver) = channel();
        let then = move |managed| sender.send(managed).expect("the test waits for it");
        self.packets().manage(manage, Box::new(then));
        receiver.recv().expect("answered")
    }

    pub(crate) fn snatch(&self, uid: i64, key: Option<&str>) -> Result<Snatched, StoreError> {
        let (sender, receiver) = channel();
        let snatch = Snatch { uid, key: key.and_then(RequestKey::new) };
        let now = self.packets().snatch(snatch, &mut || {
            let sender = sender.clone();
            Box::new(move |snatched| sender.send(snatched).expect("the test waits for it"))
        });
        now.unwrap_or_else(|| receiver.recv().expect("answered"))
    }

    pub(crate) fn open_packet(&self, uid: i64, envelope_id: i64) -> Result<Opened, StoreError> {
        let (sender, receiver) = channel();
        let then = move |opened| sender.send(opened).expect("the test waits for it");
        self.packets().open(Open { uid, envelope_id, key: None }, Box::new(then));
        receiver.recv().expect("answered")
    }

    pub(crate) fn tick(&self) {
        let (sender, receiver) = channel();
        let then = move |ticked: Result<(), StoreError>| {
            sender.send(ticked).expect("the test waits for it");
        };
        self.packets().tick(Box::new(then));
        receiver.recv().expect("answered").expect("the store is well");
    }

    pub(crate) fn audit(&self) -> Vec<Check> {
        self.packets().auditor().expect("opens").audit().expect("readable")
    }

    #[track_caller]
    pub(crate) fn check_audit(&self, context: &str) {
        let checks = self.audit();
        assert!(checks.iter().all(|check| check.ok), "{context}: {checks:#?}");
    }
}

impl Drop for Rig {
    fn drop(&mut self) {
        self.close();
    }
}

impl Backend for Rig {
    fn store(&self) -> Arc<dyn Store> {
        Arc::<LocalPackets>::clone(self.packets())
    }

    fn tick(&self) {
        Rig::tick(self);
    }

    fn restart(&mut self) {
        self.reopen();
        self.check_audit("after a restart");
    }
}

#[test]
fn answers_as_the_model_does() {
    check_store(120, |clock| {
        let mut rig = Rig::closed(clock);
        rig.options.expire_after = Some(Duration::from_secs(EXPIRE_S.unsigned_abs()));
        rig.open();
        rig
    });
}

#[test]
fn unopened_packets_are_kept_or_returned_to_the_report_as_configured() {
    for expires in [false, true] {
        let mut rig = Rig::closed(TestClock::at(1_500));
        rig.options.expire_after = expires.then_some(Duration::from_secs(100));
        rig.open();
        rig.begin(1, &terms(1_000, 10, 1, 500));
        for uid in 1..=4 {
            rig.snatch(uid, None).expect("a packet");
        }
        assert!(matches!(rig.open_packet(1, 1), Ok(Opened::Paid { replayed: false, .. })));
        rig.clock.advance_s(550);
        rig.tick();
        assert!(matches!(rig.open_packet(2, 2), Ok(Opened::Paid { .. })), "not yet");
        rig.clock.advance_s(100);
        rig.tick();
        rig.reopen();
        let late = rig.open_packet(3, 3).expect("well");
        assert_eq!(late == Opened::NoSuchPacket, expires, "{late:?}");
        assert!(matches!(rig.open_packet(1, 1), Ok(Opened::Paid { replayed: true, .. })));
        let Found::Config(Some(figures)) = find(&**rig.packets(), Read::Config) else {
            panic!("there is a rain");
        };
        let budget = figures.budget;
        assert_eq!(budget.returned.count, if expires { 2 } else { 0 });
        assert_eq!(budget.handed_out.count, 4);
        assert_eq!(budget.opened.count, if expires { 2 } else { 3 });
        if expires {
            assert_eq!(budget.returned.fen + budget.opened.fen, budget.handed_out.fen);
        }
        rig.check_audit("at the end");
    }
}

#[test]
fn a_paced_rain_follows_its_line_and_every_rate_is_a_version() {
    let mut rig = Rig::closed(TestClock::at(1_000));
    rig.open();
    let paced = Terms { pacing: true, ends_at: 1_060, ..terms(60_000, 600, 1, 500) };
    rig.begin(1, &paced);
    let mut got = Vec::new();
    for second in 0..60 {
        for n in 0..100 {
            let snatched = rig.snatch(second * 100 + n + 1, None).expect("well");
            got.extend(matches!(snatched, Snatched::Got { .. }).then_some(second));
        }
        rig.clock.advance_s(1);
        rig.tick();
        // More ticks in one second change nothing.
        rig.tick();
    }
    assert_eq!(got.len(), 600, "the pool is empty at the end");
    let by_half = got.iter().filter(|second| **second < 30).count();
    assert!((200..=400).contains(&by_half), "{by_half} in the first half");
    assert!(got.iter().all(|second| *second > 0), "none in the first second");
    let Found::Config(Some(figures)) = find(&**rig.packets(), Read::Config) else {
        panic!("there is a rain");
    };
    let rates: Vec<_> = figures.history.iter().filter(|v| v.by == Author::Pacing).collect();
    assert!(rates.len() > 3, "{rates:?}");
    assert!(rates.windows(2).all(|pair| pair[0].at < pair[1].at), "at most one a second");
    let Found::Rain(Some(shown)) = find(&**rig.packets(), Read::Rain) else {
        panic!("there is a rain");
    };
    let last = shown.curve.last().expect("it has points");
    assert_eq!((last.at, last.planned, last.granted), (1_060, 600, Some(600)));
    assert_eq!(shown.curve[0].granted, Some(0));
    rig.reopen();
    let again = find(&**rig.packets(), Read::Rain);
    assert_eq!(again, Found::Rain(Some(shown)), "a start restores the curve");
    rig.check_audit("at the end");
}

#[test]
fn a_clock_that_is_set_back_after_the_end_opens_nothing_again() {
    let rig = Rig::opened();
    rig.begin(1, &terms(1_000, 10, 1, 500));
    rig.clock.advance_s(500);
    let store: &dyn Store = &**rig.packets();
    assert!(matches!(find(store, Read::Proof { id: None }), Found::Proof(_)));
    rig.clock.advance_s(-400);
    let late = snatch_now(store, Snatch { uid: 1, key: None });
    assert_eq!(late, Snatched::Refused(Refusal::Ended), "its seed is public");
}

#[test]
fn a_full_queue_refuses_at_once() {
    let mut rig = Rig::closed(TestClock::at(1_500));
    rig.options.queue_jobs_max = 1;
    let (go, wait) = crossbeam_channel::bounded::<()>(0);
    let (begun, begins) = crossbeam_channel::unbounded();
    rig.options.step = Some(Arc::new(move |step| {
        if step == fanfare::packet::local::Step::Decided {
            let _ = begun.send(());
            let _ = wait.recv();
        }
    }));
    rig.open();
    let go_on = || go.send(()).expect("it waits");
    let (sender, receiver) = channel();
    let by = Author::Operator;
    let terms = terms(1_000, 10, 1, 500);
    let manage = Manage::Create { id: 1, terms, by, reason: "a test".into(), key: None };
    rig.packets().manage(manage, Box::new(move |managed| sender.send(managed).expect("kept")));
    begins.recv().expect("a batch begins");
    let (full, told) = channel();
    for uid in 1..=3 {
        let full = full.clone();
        let then = move |opened| full.send((uid, opened)).expect("kept");
        rig.packets().open(Open { uid, envelope_id: 1, key: None }, Box::new(then));
    }
    for uid in [2, 3] {
        assert_eq!(told.recv(), Ok((uid, Err(StoreError::Unavailable))), "while the others wait");
    }
    go_on();
    assert_eq!(receiver.recv(), Ok(Ok(Managed::Done { replayed: false })));
    begins.recv().expect("the next batch");
    go_on();
    assert_eq!(told.recv(), Ok((1, Ok(Opened::NoSuchPacket))));
    drop(go);
}

/// Tampers with a record at rest, and looks what the audit says.
#[track_caller]
fn check_tampering(sql: &str, name: &str) {
    let mut rig = Rig::opened();
    rig.begin(7, &terms(10_000, 100, 1, 500));
    for uid in 1..=20 {
        rig.snatch(uid, None).expect("a packet");
    }
    for uid in 1..=5 {
        rig.open_packet(uid, uid).expect("well");
    }
    rig.check_audit("before");
    rig.close();
    Connection::open(rig.file()).and_then(|file| file.execute_batch(sql)).expect("nobody stops it");
    let folder = DataFolder::open(rig.dir.path()).expect("free");
    let checks = fanfare::packet::local::audit_files(&folder).expect("readable");
    let found = checks.iter().find(|check| !check.ok).map(|check| check.name.as_str());
    assert_eq!(found, Some(name), "{checks:#?}");
}

#[test]
fn an_audit_finds_what_was_tampered_with() {
    let budget = "packet: handed out + left = budget";
    check_tampering("UPDATE packet SET value_fen = value_fen + 1 WHERE envelope_id = 9", budget);
    check_tampering("DELETE FROM packet WHERE envelope_id = 20", budget);
    check_tampering(
        "UPDATE wallet SET amount_fen = amount_fen + 1 WHERE uid = 3",
        "packet: opened = wallets",
    );
    check_tampering(
        "UPDATE packet SET uid = 99 WHERE envelope_id = 2",
        "packet: openings = their packets",
    );
    let draws = "packet: packets = draws of the seed";
    check_tampering(
        "UPDATE packet SET value_fen = value_fen + 1 WHERE envelope_id = 8;
         UPDATE packet SET value_fen = value_fen - 1 WHERE envelope_id = 9",
        draws,
    );
    check_tampering("UPDATE version SET reason = 'another'", draws);
    check_tampering("UPDATE packet SET draw = draw + 1 WHERE envelope_id = 9", draws);
}

#[test]
fn a_record_that_contradicts_itself_is_refused() {
    let mut rig = Rig::opened();
    rig.begin(7, &terms(10_000, 100, 1, 500));
    for uid in 1..=20 {
        rig.snatch(uid, None).expect("a packet");
    }
    rig.close();
    let file = Connection::open(rig.file()).expect("ours");
    file.execute("DELETE FROM packet WHERE envelope_id = 20", []).expect("nobody stops it");
    drop(file);
    let error = rig.try_open().expect_err("a packet is missing").to_string();
    assert!(error.contains("rain 7 has 19 packets"), "{error}");
}
