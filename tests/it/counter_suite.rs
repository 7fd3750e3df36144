//! Random histories of counters against any `counter::Store`: whatever happens, it answers as the
//! model.

use crate::counter_model::{Model, ModelStore, counter, id, write};
use crate::gift_model::TestClock;
use fanfare::calendar::{Calendar, Period};
use fanfare::counter::{Action, Counter, Found, Id, Path, Read, Store, Write, Written};
use fanfare::store::{Clock, RequestKey};
use jiff::tz::TimeZone;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

const HOUR_S: i64 = 3_600;
const DAY_S: i64 = 24 * HOUR_S;

/// Keys are kept at least a day; before that is over the histories change to new ones.
const KEY_LIFE_S: i64 = 20 * HOUR_S;

/// Far beyond what any answer takes; a store that never answers fails instead of hanging.
const ANSWER_WITHIN: Duration = Duration::from_secs(60);

/// 2026-11-22T08:00:00Z, a Sunday: a week ends soon.
const START_S: i64 = 1_795_334_400;

/// Few, so that they meet; among them a number, and a text that looks like one.
const RESOURCES: [&str; 5] = ["7", "10", "a", "hot", "07"];
const TYPES: [&str; 3] = ["like", "view", "5"];
const USERS: [&str; 4] = ["1", "2", "ann", "01"];

/// What a store under test is to be made with.
pub(crate) struct Setup {
    pub(crate) clock: Arc<TestClock>,
    pub(crate) zone: TimeZone,
}

/// A store under test.
pub(crate) trait Backend {
    /// The store; asked for anew after each restart.
    fn store(&self) -> Arc<dyn Store>;
    /// Closes the store and opens it again on the same data.
    fn restart(&mut self);
    /// Called after each history, for what a backend can say of itself.
    fn finish(&mut self) {}
}

/// One write; numbers pick from the lists above.
#[derive(Clone, Debug)]
struct Asked {
    counter: Counter,
    action: Action,
    by_delete: bool,
    key: Option<u8>,
}

/// One step of a history.
#[derive(Clone, Debug)]
enum Step {
    Write(Asked),
    /// The same keyed write twice, the second before the first is answered.
    Twice(Asked, u8),
    /// Many at once.
    Burst(Vec<Asked>),
    Advance {
        seconds: i64,
    },
    Restart,
}

fn pick<T: Clone + std::fmt::Debug + 'static>(from: &[T]) -> impl Strategy<Value = T> + use<T> {
    proptest::sample::select(from.to_vec())
}

fn any_counter() -> impl Strategy<Value = Counter> {
    (pick(&RESOURCES), pick(&TYPES)).prop_map(|(resource, of)| counter(resource, of))
}

fn action() -> impl Strategy<Value = Action> {
    let user = || pick(&USERS).prop_map(id);
    let large = vec![i64::MAX, i64::MIN, i64::MAX - 1, -i64::MAX, i64::MAX / 2, i64::MIN / 2];
    let asker = || proptest::option::of(user());
    let reason = || pick(&["spam", "a test"]).prop_map(str::to_owned);
    prop_oneof![
        6 => (prop_oneof![1..4_i64, -3..0_i64], asker())
            .prop_map(|(delta, user)| Action::Add { delta, user }),
        1 => (pick(&large), asker()).prop_map(|(delta, user)| Action::Add { delta, user }),
        6 => user().prop_map(|user| Action::Join { user }),
        5 => user().prop_map(|user| Action::Leave { user }),
        1 => reason().prop_map(|reason| Action::Recount { reason }),
        1 => reason().prop_map(|reason| Action::Reset { reason }),
    ]
}

fn asked() -> impl Strategy<Value = Asked> {
    (any_counter(), action(), any::<bool>(), proptest::option::weighted(0.3, 0..3_u8))
        .prop_map(|(counter, action, by_delete, key)| Asked { counter, action, by_delete, key })
}

fn step() -> impl Strategy<Value = Step> {
    let jumps = [1, 60, 20 * 60, HOUR_S, 5 * HOUR_S, DAY_S, 3 * DAY_S];
    prop_oneof![
        8 => asked().prop_map(Step::Write),
        1 => (asked(), 0..3_u8).prop_map(|(asked, key)| Step::Twice(asked, key)),
        3 => proptest::collection::vec(asked(), 1..25).prop_map(Step::Burst),
        3 => pick(&jumps).prop_map(|seconds| Step::Advance { seconds }),
        1 => Just(Step::Restart),
    ]
}

fn question() -> impl Strategy<Value = Read> {
    let period = pick(&Period::NAMES.map(|(_, period)| period));
    prop_oneof![
        2 => any_counter().prop_map(Read::Count),
        1 => proptest::collection::vec(any_counter(), 1..9).prop_map(Read::Counts),
        4 => (pick(&TYPES), period, 1..7_usize)
            .prop_map(|(of, period, num)| Read::Hot { counter_type: id(of), period, num }),
        1 => (any_counter(), pick(&USERS))
            .prop_map(|(counter, user)| Read::IsCounted { counter, user: id(user) }),
    ]
}

/// Runs `cases` random histories, each against a store that `make` opens.
pub(crate) fn check_store<B: Backend>(cases: u32, make: impl Fn(Setup) -> B) {
    let config = Config { cases, ..Config::default() };
    let steps = proptest::collection::vec((step(), question()), 1..60);
    let outcome = TestRunner::new(config).run(&steps, |steps| {
        // A zone whose days begin at another hour than UTC's.
        let zone = TimeZone::get("Asia/Shanghai").expect("the zone data is bundled");
        let clock = TestClock::at(START_S);
        let setup = Setup { clock: Arc::clone(&clock), zone: zone.clone() };
        let model = Model::new(Calendar::new(zone));
        let mut history = History { backend: make(setup), model, clock, keys_since_s: START_S };
        for (step, question) in steps {
            history.take(step);
            history.check(&question);
        }
        history.ask_all();
        history.backend.restart();
        history.ask_all();
        history.backend.finish();
        Ok(())
    });
    if let Err(error) = outcome {
        panic!("{error}");
    }
}

struct History<B> {
    backend: B,
    model: Model,
    clock: Arc<TestClock>,
    /// Since when the keys in use are.
    keys_since_s: i64,
}

impl<B: Backend> History<B> {
    fn take(&mut self, step: Step) {
        match step {
            Step::Write(asked) => self.write_all(&[self.write(asked)]),
            Step::Twice(asked, key) => {
                let once = self.write(Asked { key: Some(key), ..asked });
                self.write_all(&[once.clone(), once]);
            }
            Step::Burst(many) => {
                let writes: Vec<_> = many.into_iter().map(|asked| self.write(asked)).collect();
                self.write_all(&writes);
            }
            Step::Advance { seconds } => self.clock.advance_s(seconds),
            Step::Restart => self.backend.restart(),
        }
    }

    fn write(&self, asked: Asked) -> Write {
        let era = (self.clock.now_s() - self.keys_since_s) / KEY_LIFE_S;
        let key = asked.key.map(|key| format!("{era}-{key}"));
        let key = key.map(|key| RequestKey::new(&key).expect("a good key"));
        let leaves = matches!(asked.action, Action::Leave { .. });
        let write = write(asked.counter, asked.action);
        let path = if asked.by_delete && leaves { Path::Users } else { write.path };
        Write { path, key, ..write }
    }

    /// Submits all before it waits for any: they may become one batch, in this order.
    fn write_all(&mut self, writes: &[Write]) {
        let store = self.backend.store();
        let answers: Vec<_> = writes.iter().map(|write| submit(&*store, write.clone())).collect();
        for (write, answer) in writes.iter().zip(answers) {
            let written = answer.recv_timeout(ANSWER_WITHIN).expect("every write is answered");
            let expected = self.model.write(write, self.clock.now_us());
            assert_eq!(written, expected, "for {write:?}");
        }
    }

    fn ask_all(&self) {
        let all: Vec<Counter> = RESOURCES
            .iter()
            .flat_map(|resource| TYPES.iter().map(|of| counter(resource, of)))
            .collect();
        for counter in &all {
            for user in USERS.map(id) {
                self.check(&Read::IsCounted { counter: counter.clone(), user });
            }
        }
        self.check(&Read::Counts(all));
        for counter_type in TYPES.map(id) {
            for (_, period) in Period::NAMES {
                let counter_type: Id = counter_type.clone();
                self.check(&Read::Hot { counter_type, period, num: 1_000 });
            }
        }
    }

    fn check(&self, read: &Read) {
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

/// Asks, and waits if need be.
pub(crate) fn find(store: &dyn Store, read: &Read) -> Found {
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
impl Backend for Arc<ModelStore> {
    fn store(&self) -> Arc<dyn Store> {
        Arc::<ModelStore>::clone(self)
    }

    fn restart(&mut self) {}
}

#[test]
fn the_model_agrees_with_itself() {
    check_store(32, |setup| {
        let model = Model::new(Calendar::new(setup.zone));
        Arc::new(ModelStore::new(model, setup.clock))
    });
}
