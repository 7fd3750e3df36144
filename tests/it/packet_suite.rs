//! Random histories of rains against any `packet::Store`: whatever happens, it answers as the model,
//! and every rain can be proven when it is over.

use crate::gift_model::TestClock;
use crate::packet_model::{Expected, Model};
use fanfare::packet::proof::Proof;
use fanfare::packet::{
    Author, Change, Found, Manage, Managed, Open, Opened, Read, Snatch, Snatched, Store, Terms,
};
use fanfare::store::{RequestKey, StoreError};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

/// Far beyond what any answer takes; a store that never answers fails instead of hanging.
const ANSWER_WITHIN: Duration = Duration::from_secs(60);

/// How long after the end of a rain its packets may be opened.
pub(crate) const EXPIRE_S: i64 = 50;

const START_S: i64 = 1_793_536_200;

/// A store under test.
pub(crate) trait Backend {
    /// The store; asked for anew after each restart.
    fn store(&self) -> Arc<dyn Store>;
    /// Tells it that time has passed, and waits until it is done with what that brings.
    fn tick(&self);
    /// Closes the store and opens it again on the same data.
    fn restart(&mut self);
}

/// One step of a history. Numbers pick among what there is by then.
#[derive(Clone, Debug)]
enum Step {
    Snatch { uid: i64, key: Option<u8> },
    Burst(Vec<i64>),
    Open { pick: usize, stranger: bool, key: Option<u8> },
    OpenTwice { pick: usize },
    Create { id: i64, terms: Terms },
    Change(Change),
    Advance { seconds: i64 },
    Tick,
    Restart,
}

fn terms() -> impl Strategy<Value = Terms> {
    (1..40_i64, 1..4_i64, 3..9_i64, rate(), 1..4_i64, -5..20_i64, 20..200_i64).prop_map(
        |(total_count, min_fen, mean, win_ppm, max_per_user, starts_in, lasts)| Terms {
            total_amount_fen: total_count * mean,
            total_count,
            min_fen,
            max_fen: 20,
            win_ppm,
            max_per_user,
            starts_at: START_S + starts_in,
            ends_at: START_S + starts_in + lasts,
            paused: false,
            pacing: false,
        },
    )
}

fn rate() -> impl Strategy<Value = i64> {
    prop_oneof![1 => Just(0_i64), 4 => Just(1_000_000), 2 => Just(400_000)]
}

fn change() -> impl Strategy<Value = Change> {
    let figure = |range: std::ops::Range<i64>| proptest::option::weighted(0.3, range);
    let times = proptest::option::weighted(0.1, START_S..START_S + 300);
    (
        (figure(20..300), figure(5..45), figure(1..5), figure(4..21)),
        (proptest::option::weighted(0.3, rate()), figure(1..5)),
        (times.clone(), times, proptest::option::weighted(0.2, any::<bool>())),
    )
        .prop_map(
            |((amount, count, min, max), (win_ppm, max_per_user), (from, until, paused))| Change {
                total_amount_fen: amount,
                total_count: count,
                min_fen: min,
                max_fen: max,
                win_ppm,
                max_per_user,
                starts_at: from,
                ends_at: until,
                paused,
                pacing: None,
            },
        )
}

fn step() -> impl Strategy<Value = Step> {
    let key = || proptest::option::weighted(0.4, 0..3_u8);
    prop_oneof![
        8 => (1..6_i64, key()).prop_map(|(uid, key)| Step::Snatch { uid, key }),
        3 => proptest::collection::vec(1..8_i64, 1..12).prop_map(Step::Burst),
        5 => (any::<usize>(), proptest::bool::weighted(0.2), key())
            .prop_map(|(pick, stranger, key)| Step::Open { pick, stranger, key }),
        1 => any::<usize>().prop_map(|pick| Step::OpenTwice { pick }),
        3 => (1..4_i64, terms()).prop_map(|(id, terms)| Step::Create { id, terms }),
        2 => change().prop_map(Step::Change),
        3 => proptest::sample::select(vec![1, 5, 20, 60, 150])
            .prop_map(|seconds| Step::Advance { seconds }),
        2 => Just(Step::Tick),
        1 => Just(Step::Restart),
    ]
}

/// Runs `cases` random histories, each against a fresh store from `make`. A failing history is
/// made as short as it can be and printed.
pub(crate) fn check_store<B: Backend>(cases: u32, make: impl Fn(Arc<TestClock>) -> B) {
    let history = proptest::collection::vec(step(), 1..60);
    let mut runner =
        TestRunner::new(Config { cases, failure_persistence: None, ..Config::default() });
    let result = runner.run(&(terms(), history), |(terms, history)| {
        let clock = TestClock::at(START_S);
        let mut trial = Trial { backend: make(Arc::clone(&clock)), model: Model::default(), clock };
        trial.take(Step::Create { id: 9, terms });
        for step in history {
            trial.take(step);
            trial.check_view();
        }
        trial.finish();
        Ok(())
    });
    if let Err(failure) = result {
        panic!("{failure}");
    }
}

/// A store and its model on the way through one history.
struct Trial<B> {
    backend: B,
    model: Model,
    clock: Arc<TestClock>,
}

impl<B: Backend> Trial<B> {
    fn take(&mut self, step: Step) {
        let now_s = self.clock.now_s();
        match step {
            Step::Snatch { uid, key } => {
                let snatch = Snatch { uid, key: named(key) };
                let snatched = snatch_now(&*self.backend.store(), snatch);
                self.model.check_snatch(uid, key, now_s, snatched);
            }
            Step::Burst(uids) => self.burst(&uids),
            Step::Open { pick, stranger, key } => self.open(pick, stranger, key),
            Step::OpenTwice { pick } => {
                self.open(pick, false, None);
                self.open(pick, false, None);
            }
            Step::Create { id, terms } => {
                let by = Author::Operator;
                let manage = Manage::Create { id, terms, by, reason: "made".into(), key: None };
                let managed = self.manage(manage);
                self.model.check_create(id, &terms, now_s, managed);
            }
            Step::Change(change) => {
                let handed_fen = self.handed_fen();
                let manage = Manage::Change { change, reason: "changed".into(), key: None };
                let managed = self.manage(manage);
                self.model.check_change(&change, now_s, handed_fen, managed);
            }
            Step::Advance { seconds } => self.clock.advance_s(seconds),
            Step::Tick => {
                self.backend.tick();
                self.model.tick(now_s, EXPIRE_S);
            }
            Step::Restart => self.backend.restart(),
        }
    }

    /// Many at once: together they get what they would get one after the other.
    fn burst(&mut self, uids: &[i64]) {
        let store = self.backend.store();
        let now_s = self.clock.now_s();
        let asked: Vec<_> =
            uids.iter().map(|&uid| (uid, start(&*store, Snatch { uid, key: None }))).collect();
        let mut answers: Vec<_> =
            asked.into_iter().map(|(uid, asked)| (uid, asked.finish())).collect();
        // In the order of their packets; refusals came of what the packets left.
        answers.sort_by_key(|(_, snatched)| match snatched {
            Snatched::Unlucky { .. } => (0, 0),
            Snatched::Got { envelope_id, .. } => (1, *envelope_id),
            Snatched::Refused(_) => (2, 0),
        });
        for (uid, snatched) in answers {
            self.model.check_snatch(uid, None, now_s, snatched);
        }
    }

    fn open(&mut self, pick: usize, stranger: bool, key: Option<u8>) {
        // One beyond the end: a packet that does not exist.
        let picked = pick % (self.model.packets.len() + 1);
        let (envelope_id, owner) = match self.model.packets.get(picked) {
            Some(packet) => (packet.envelope_id, packet.uid),
            None => (1 << 52, 1),
        };
        let uid = owner + i64::from(stranger);
        let (sender, receiver) = channel();
        let open = Open { uid, envelope_id, key: named(key) };
        self.backend.store().open(open, Box::new(move |opened| send(&sender, opened)));
        let opened: Opened = answer(&receiver);
        self.model.check_open(uid, envelope_id, key, opened);
        self.check_wallet(uid);
    }

    fn manage(&self, manage: Manage) -> Managed {
        let (sender, receiver) = channel();
        self.backend.store().manage(manage, Box::new(move |managed| send(&sender, managed)));
        answer(&receiver)
    }

    fn handed_fen(&self) -> i64 {
        match find(&*self.backend.store(), Read::Config) {
            Found::Config(Some(figures)) => figures.budget.handed_out.fen,
            Found::Config(None) => 0,
            other => panic!("{other:?}"),
        }
    }

    fn check_wallet(&self, uid: i64) {
        let mut before = None;
        let mut shown = Vec::new();
        let amount = loop {
            let read = Read::Wallet { uid, limit: 3, before };
            let Found::Wallet { amount_fen, packets, next } = find(&*self.backend.store(), read)
            else {
                panic!("a wallet is a wallet");
            };
            assert!(packets.len() <= 3);
            shown.extend(packets.iter().map(|held| (held.envelope_id, held.value_fen)));
            before = next;
            if next.is_none() {
                break amount_fen;
            }
        };
        assert_eq!((amount, shown), self.model.wallet(uid), "the wallet of {uid}");
    }

    fn check_view(&self) {
        let Found::Rain(shown) = find(&*self.backend.store(), Read::Rain) else {
            panic!("a rain is a rain");
        };
        let shown = shown.map(|shown| (shown.id, shown.state, shown.terms, shown.left_count));
        assert_eq!(shown, self.model.view(self.clock.now_s()));
    }

    /// After a restart all is as it was; then the last rain ends, and all of them are proven.
    fn finish(&mut self) {
        self.backend.restart();
        self.check_view();
        for uid in 1..=9 {
            self.check_wallet(uid);
        }
        let store = self.backend.store();
        let proof = Read::Proof { id: None };
        let now_s = self.clock.now_s();
        if let Some((_, state, terms, _)) = self.model.view(now_s)
            && state != fanfare::packet::State::Ended
        {
            assert_eq!(find(&*store, proof), Found::NotEnded);
            self.clock.advance_s(terms.ends_at - now_s);
        }
        for (id, counts) in self.model.handed_out() {
            let Found::Proof(encoded) = find(&*store, Read::Proof { id: Some(id) }) else {
                panic!("rain {id} has ended");
            };
            let mut answer: serde_json::Value = serde_json::from_slice(&encoded).expect("JSON");
            let proof: Proof = serde_json::from_value(answer["data"].take()).expect("a proof");
            let shown = proof.verify().expect("it holds");
            assert_eq!(shown.handed_out.count, counts, "rain {id}");
            self.model.check_draws(&proof);
        }
    }
}

fn named(key: Option<u8>) -> Option<RequestKey> {
    key.and_then(|key| RequestKey::new(&format!("key-{key}")))
}

/// A snatch that may be under way.
enum Asked {
    Now(Snatched),
    Later(Receiver<Result<Snatched, StoreError>>),
}

impl Asked {
    fn finish(self) -> Snatched {
        match self {
            Asked::Now(snatched) => snatched,
            Asked::Later(receiver) => answer(&receiver),
        }
    }
}

fn start(store: &dyn Store, snatch: Snatch) -> Asked {
    let (sender, receiver) = channel();
    let now = store.snatch(snatch, &mut || {
        let sender = sender.clone();
        Box::new(move |snatched| send(&sender, snatched))
    });
    match now {
        Some(snatched) => Asked::Now(snatched.expect("the store is well")),
        None => Asked::Later(receiver),
    }
}

/// One snatch from beginning to end.
pub(crate) fn snatch_now(store: &dyn Store, snatch: Snatch) -> Snatched {
    start(store, snatch).finish()
}

fn send<T>(sender: &std::sync::mpsc::Sender<T>, outcome: T) {
    sender.send(outcome).expect("the test waits for it");
}

fn answer<T>(receiver: &Receiver<Result<T, StoreError>>) -> T {
    let outcome = receiver.recv_timeout(ANSWER_WITHIN).expect("every question is answered");
    outcome.expect("the store is well")
}

/// What a store finds.
pub(crate) fn find(store: &dyn Store, read: Read) -> Found {
    let (sender, receiver) = channel();
    let now = store.read(read, &mut || {
        let sender = sender.clone();
        Box::new(move |found| send(&sender, found))
    });
    now.map_or_else(|| answer(&receiver), |found| found.expect("the store is well"))
}

/// What the model allows is what came.
#[track_caller]
pub(crate) fn check_expected(expected: Expected, snatched: Snatched) {
    let agrees = match (expected, snatched) {
        (Expected::Refused(refusal), Snatched::Refused(other)) => refusal == other,
        (Expected::Unlucky | Expected::Either(_), Snatched::Unlucky { .. }) => true,
        (
            Expected::Got(cur_count) | Expected::Either(cur_count),
            Snatched::Got { cur_count: other, replayed: false, .. },
        ) => cur_count == other,
        _ => false,
    };
    assert!(agrees, "{expected:?}, but {snatched:?}");
}
