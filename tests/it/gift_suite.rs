//! Random histories of gifts against any `gift::Store`: whatever happens, it answers as the model.

use crate::gift_model::{Model, TestClock, Verdict};
use fanfare::calendar::{Calendar, Keep};
use fanfare::gift::{Entry, Found, Gift, Period, Read, Store, TopQuery, Write, Written};
use fanfare::store::{Clock, RequestKey};
use jiff::tz::TimeZone;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use std::collections::HashSet;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

const HOUR_S: i64 = 3_600;
const DAY_S: i64 = 24 * HOUR_S;

/// Short, so that a history of some days outlives every kind of board.
const KEEP: Keep = Keep { hour_s: 3 * HOUR_S, day_s: 2 * DAY_S, week_s: 10 * DAY_S };

/// Keys are kept at least a day; before that is over the histories change to new ones.
const KEY_LIFE_S: i64 = 20 * HOUR_S;

/// Far beyond what any answer takes; a store that never answers fails instead of hanging.
const ANSWER_WITHIN: Duration = Duration::from_secs(60);

/// What a store under test is to be made with.
pub(crate) struct Setup {
    pub(crate) clock: Arc<TestClock>,
    pub(crate) zone: TimeZone,
    pub(crate) keep: Keep,
}

/// A store under test.
pub(crate) trait Backend {
    /// The store; asked for anew after each restart.
    fn store(&self) -> Arc<dyn Store>;
    /// Closes the store and opens it again on the same data.
    fn restart(&mut self);
}

/// One gift: who, to whom, how much. Few of each, so that totals tie.
type Given = (i64, i64, i64);

/// One step of a history. Numbers pick among what there is by then.
#[derive(Clone, Debug)]
enum Step {
    Send {
        given: Given,
        key: Option<u8>,
    },
    /// The same keyed gift twice, the second before the first is answered.
    Twice {
        given: Given,
        key: u8,
    },
    /// Many at once.
    Burst(Vec<Given>),
    Revoke {
        pick: usize,
        reason: u8,
        key: Option<u8>,
    },
    Advance {
        seconds: i64,
    },
    Restart,
}

/// One question after each step.
#[derive(Clone, Copy, Debug)]
enum Question {
    Top {
        period: Period,
        back_s: Option<i64>,
        offset: usize,
        num: usize,
    },
    Rank {
        anchor_id: i64,
        period: Period,
        around: usize,
    },
    Worth {
        anchor_id: i64,
    },
    /// Two pages of a journal, with a gift arriving in between.
    Pages {
        anchor_id: i64,
        num: usize,
        given: Given,
    },
    Fans {
        anchor_id: i64,
        num: usize,
    },
}

fn given() -> impl Strategy<Value = Given> {
    (1..6_i64, 1..7_i64, 1..4_i64)
}

fn period() -> impl Strategy<Value = Period> {
    proptest::sample::select(vec![Period::All, Period::Hour, Period::Day, Period::Week])
}

fn step() -> impl Strategy<Value = Step> {
    let key = || proptest::option::of(0..3_u8);
    let jumps = vec![1, 60, 20 * 60, HOUR_S, 5 * HOUR_S, DAY_S, 3 * DAY_S, 12 * DAY_S];
    prop_oneof![
        8 => (given(), key()).prop_map(|(given, key)| Step::Send { given, key }),
        1 => (given(), 0..3_u8).prop_map(|(given, key)| Step::Twice { given, key }),
        2 => proptest::collection::vec(given(), 1..20).prop_map(Step::Burst),
        4 => (any::<usize>(), 0..2_u8, key())
            .prop_map(|(pick, reason, key)| Step::Revoke { pick, reason, key }),
        3 => proptest::sample::select(jumps).prop_map(|seconds| Step::Advance { seconds }),
        1 => Just(Step::Restart),
    ]
}

fn question() -> impl Strategy<Value = Question> {
    let back_s = proptest::option::of(-HOUR_S..12 * DAY_S);
    prop_oneof![
        4 => (period(), back_s, 0..5_usize, 1..8_usize)
            .prop_map(|(period, back_s, offset, num)| Question::Top { period, back_s, offset, num }),
        2 => (1..8_i64, period(), 0..4_usize)
            .prop_map(|(anchor_id, period, around)| Question::Rank { anchor_id, period, around }),
        1 => (1..8_i64).prop_map(|anchor_id| Question::Worth { anchor_id }),
        1 => (1..8_i64, 1..5_usize, given())
            .prop_map(|(anchor_id, num, given)| Question::Pages { anchor_id, num, given }),
        1 => (1..8_i64, 1..5_usize).prop_map(|(anchor_id, num)| Question::Fans { anchor_id, num }),
    ]
}

/// Runs `cases` random histories, each against a fresh store from `make`. A failing history is
/// made as short as it can be and printed.
pub(crate) fn check_store<B: Backend>(cases: u32, make: impl Fn(Setup) -> B) {
    let zones = proptest::sample::select(vec!["UTC", "Asia/Kolkata", "Europe/Berlin"]);
    // The clocks of Berlin are set back on the second day.
    let start_s = 1_792_861_000..1_792_950_000_i64;
    let history = proptest::collection::vec((step(), question()), 1..40);
    let mut runner =
        TestRunner::new(Config { cases, failure_persistence: None, ..Config::default() });
    let result = runner.run(&(zones, start_s, history), |(zone, start_s, history)| {
        let zone = TimeZone::get(zone).expect("the zone data is bundled");
        let clock = TestClock::at(start_s);
        let setup = Setup { clock: Arc::clone(&clock), zone: zone.clone(), keep: KEEP };
        let mut trial = Trial {
            backend: make(setup),
            model: Model::new(Calendar::new(zone), KEEP),
            clock,
            keys_since_s: start_s,
            versions: HashSet::new(),
        };
        for (step, question) in history {
            trial.take(step);
            trial.ask(question);
        }
        trial.ask_all();
        trial.backend.restart();
        trial.ask_all();
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
    /// Part of the names of keys.
    keys_since_s: i64,
    /// Every version since the last restart.
    versions: HashSet<u64>,
}

impl<B: Backend> Trial<B> {
    fn take(&mut self, step: Step) {
        match step {
            Step::Send { given, key } => self.write(&self.send(given, key)),
            Step::Twice { given, key } => self.write_twice(&self.send(given, Some(key))),
            Step::Burst(burst) => self.burst(&burst),
            Step::Revoke { pick, reason, key } => {
                // One beyond the end: a gift that does not exist.
                let index = pick % (self.model.entries.len() + 1);
                let id = self.model.entries.get(index).map_or(1 << 52, |entry| entry.id);
                let reason = format!("reason {reason}");
                self.write(&Write::Revoke { id, reason, key: self.key(key) });
            }
            Step::Advance { seconds } => {
                self.clock.advance_s(seconds);
                if self.clock.now_s() - self.keys_since_s > KEY_LIFE_S {
                    self.keys_since_s = self.clock.now_s();
                }
            }
            Step::Restart => {
                self.backend.restart();
                self.versions.clear();
            }
        }
    }

    fn key(&self, key: Option<u8>) -> Option<RequestKey> {
        key.and_then(|key| RequestKey::new(&format!("key-{key}-{}", self.keys_since_s)))
    }

    fn send(&self, (audience_id, anchor_id, worth): Given, key: Option<u8>) -> Write {
        Write::Send { gift: Gift { audience_id, anchor_id, worth }, key: self.key(key) }
    }

    fn write(&mut self, write: &Write) {
        self.versions.insert(self.backend.store().version());
        let written = answer(&submit(&*self.backend.store(), write.clone()));
        self.settle(write, written);
    }

    fn write_twice(&mut self, write: &Write) {
        let store = self.backend.store();
        self.versions.insert(store.version());
        let answers = [submit(&*store, write.clone()), submit(&*store, write.clone())];
        let mut written = answers.map(|receiver| answer(&receiver));
        // Either may have come first.
        written.sort_by_key(|written| matches!(written, Written::Done { replayed: true, .. }));
        for written in written {
            self.settle(write, written);
        }
    }

    fn burst(&mut self, burst: &[Given]) {
        let store = self.backend.store();
        self.versions.insert(store.version());
        let writes: Vec<Write> = burst.iter().map(|&given| self.send(given, None)).collect();
        let answers: Vec<_> = writes.iter().map(|write| submit(&*store, write.clone())).collect();
        let written = answers.iter().map(answer);
        let mut settled: Vec<_> = writes.iter().zip(written).collect();
        settled.sort_by_key(|(_, written)| match written {
            Written::Done { entry, .. } => entry.id,
            other => panic!("a plain gift was refused: {other:?}"),
        });
        for (write, written) in settled {
            self.settle(write, written);
        }
    }

    /// Holds an answer against the model, and lets the model follow.
    fn settle(&mut self, write: &Write, written: Written) {
        match self.model.decide(write) {
            Verdict::Settled(expected) => assert_eq!(written, expected, "for {write:?}"),
            Verdict::New { gift, revokes } => {
                let Written::Done { entry, replayed: false } = written else {
                    panic!("{write:?} is new, but was answered {written:?}");
                };
                let made = Gift {
                    audience_id: entry.audience_id,
                    anchor_id: entry.anchor_id,
                    worth: entry.worth,
                };
                assert_eq!((made, entry.revokes), (gift, revokes), "for {write:?}");
                self.check_follows(&entry);
                self.model.accept(write, entry);
                let version = self.backend.store().version();
                assert!(!self.versions.contains(&version), "a board changed, its version did not");
            }
        }
    }

    fn check_follows(&self, entry: &Entry) {
        let now_us = self.clock.now_us();
        assert!((now_us..now_us + 1_000_000).contains(&entry.time_us), "{entry:?} at {now_us}");
        assert!((1..1 << 53).contains(&entry.id), "{entry:?}");
        if let Some(last) = self.model.entries.last() {
            assert!(last.id < entry.id && last.time_us < entry.time_us, "{last:?}, {entry:?}");
        }
    }

    fn ask(&mut self, question: Question) {
        match question {
            Question::Top { period, back_s, offset, num } => {
                let at = back_s.map(|back_s| self.clock.now_s() - back_s);
                self.check(Read::Top(TopQuery { period, at, offset, num }));
            }
            Question::Rank { anchor_id, period, around } => {
                self.check(Read::Rank { anchor_id, period, around });
            }
            Question::Worth { anchor_id } => self.check(Read::Worth { anchor_id }),
            Question::Fans { anchor_id, num } => self.check(Read::Fans { anchor_id, num }),
            Question::Pages { anchor_id, num, given } => {
                let first = Read::Journal { anchor_id, num, before: None };
                self.check(first);
                let found = find(&*self.backend.store(), first);
                self.write(&self.send(given, None));
                if let Found::Journal { next: before @ Some(_), .. } = found {
                    self.check(Read::Journal { anchor_id, num, before });
                }
            }
        }
    }

    fn ask_all(&mut self) {
        for period in [Period::All, Period::Hour, Period::Day, Period::Week] {
            self.check(Read::Top(TopQuery { period, at: None, offset: 0, num: 1_000 }));
            let ages_s = [0, HOUR_S, 2 * HOUR_S, DAY_S, 8 * DAY_S];
            for at in ages_s.map(|age_s| self.clock.now_s() - age_s) {
                self.check(Read::Top(TopQuery { period, at: Some(at), offset: 0, num: 1_000 }));
            }
        }
        for anchor_id in 1..8 {
            self.check(Read::Worth { anchor_id });
            self.check(Read::Fans { anchor_id, num: 100 });
            self.check(Read::Journal { anchor_id, num: 100, before: None });
            for period in [Period::All, Period::Hour, Period::Day, Period::Week] {
                self.check(Read::Rank { anchor_id, period, around: 2 });
            }
        }
    }

    fn check(&self, read: Read) {
        let expected = self.model.read(read, self.clock.now_us());
        assert_eq!(find(&*self.backend.store(), read), expected, "for {read:?}");
    }
}

fn submit(store: &dyn Store, write: Write) -> Receiver<Written> {
    let (sender, receiver) = channel();
    store.write(
        write,
        Box::new(move |written| {
            sender.send(written.expect("the store is well")).expect("the test waits for it");
        }),
    );
    receiver
}

fn answer(receiver: &Receiver<Written>) -> Written {
    receiver.recv_timeout(ANSWER_WITHIN).expect("every write is answered")
}

fn find(store: &dyn Store, read: Read) -> Found {
    let (sender, receiver) = channel();
    let now = store.read(read, &mut || {
        let sender = sender.clone();
        Box::new(move |found| sender.send(found).expect("the test waits for it"))
    });
    let found = now
        .unwrap_or_else(|| receiver.recv_timeout(ANSWER_WITHIN).expect("every read is answered"));
    found.expect("the store is well")
}

/// The model needs no restart: it tests the suite.
impl Backend for Arc<crate::gift_model::ModelStore> {
    fn store(&self) -> Arc<dyn Store> {
        Arc::<crate::gift_model::ModelStore>::clone(self)
    }

    fn restart(&mut self) {}
}

#[test]
fn the_model_agrees_with_itself() {
    check_store(64, |setup| {
        let model = Model::new(Calendar::new(setup.zone), setup.keep);
        Arc::new(crate::gift_model::ModelStore::new(model, setup.clock))
    });
}
