//! The counter rules once more, as naive as possible: a list of what happened, added up at every
//! question.

use crate::gift_model::TestClock;
use fanfare::calendar::{Calendar, Period};
use fanfare::counter::{Action, Counter, Found, Id, Path, Place, Read, Store, Write, Written};
use fanfare::exec::Answer;
use fanfare::store::{Clock, RequestKey, StoreError};
use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex};

/// The resource or type of that name.
pub(crate) fn id(text: &str) -> Id {
    Id::from_text(text).expect("an id")
}

/// The counter `resource/type`.
pub(crate) fn counter(resource: &str, counter_type: &str) -> Counter {
    Counter { resource: id(resource), counter_type: id(counter_type) }
}

/// A write without a key.
pub(crate) fn write(counter: Counter, action: Action) -> Write {
    let path = match action {
        Action::Recount { .. } => Path::Recount,
        Action::Reset { .. } => Path::Reset,
        Action::Add { .. } | Action::Join { .. } | Action::Leave { .. } => Path::Increment,
    };
    Write { counter, action, path, key: None }
}

/// A change that took place.
#[derive(Clone, Debug)]
struct Event {
    counter: Counter,
    action: Action,
    /// What it did to the count.
    delta: i128,
    at_s: i64,
}

/// What happened, the remembered keys, and nothing derived from them.
pub(crate) struct Model {
    events: Vec<Event>,
    /// With what the first request corrected.
    keys: HashMap<(Path, RequestKey), (Write, i64)>,
    calendar: Calendar,
}

impl Model {
    pub(crate) fn new(calendar: Calendar) -> Self {
        Self { events: Vec::new(), keys: HashMap::new(), calendar }
    }

    /// Decides on a write, and takes it over if it takes place.
    pub(crate) fn write(&mut self, write: &Write, now_us: i64) -> Written {
        let at_s = now_us.div_euclid(1_000_000);
        let name = write.key.clone().map(|key| (write.path, key));
        let count = self.sum(&write.counter, Period::All, at_s);
        let done = |count: i128, correction: i64, replayed: bool| Written::Done {
            count: Some(i64::try_from(count).expect("a count stays within i64")),
            correction,
            replayed,
        };
        if let Some((first, correction)) = name.as_ref().and_then(|name| self.keys.get(name)) {
            let same = (&first.counter, &first.action) == (&write.counter, &write.action);
            return if same { done(count, *correction, true) } else { Written::KeyConflict };
        }
        let users = self.users(&write.counter);
        let is_known = self.events.iter().any(|event| event.counter == write.counter);
        let delta = match &write.action {
            Action::Add { delta, .. } => i128::from(*delta),
            Action::Join { user } if users.contains(user) => return done(count, 0, false),
            Action::Join { .. } => 1,
            Action::Leave { user } if !users.contains(user) => return done(count, 0, false),
            Action::Leave { .. } => -1,
            _ if !is_known => return Written::UnknownCounter,
            Action::Recount { .. } => i128::try_from(users.len()).expect("few") - count,
            Action::Reset { .. } => -count,
        };
        let periods = match write.action {
            Action::Recount { .. } | Action::Reset { .. } => &Period::NAMES[..1],
            _ => &Period::NAMES[..],
        };
        let mut sums = periods.iter().map(|(_, period)| self.sum(&write.counter, *period, at_s));
        let fits = |sum: i128| i64::try_from(sum + delta).is_ok();
        let Ok(small) = i64::try_from(delta) else { return Written::Overflow };
        if !sums.all(fits) {
            return Written::Overflow;
        }
        let is_correction = matches!(write.path, Path::Recount | Path::Reset);
        let correction = if is_correction { small } else { 0 };
        if let Some(name) = name {
            self.keys.insert(name, (write.clone(), correction));
        }
        let (counter, action) = (write.counter.clone(), write.action.clone());
        self.events.push(Event { counter, action, delta, at_s });
        done(count + delta, correction, false)
    }

    pub(crate) fn read(&self, read: &Read, now_us: i64) -> Found {
        let at_s = now_us.div_euclid(1_000_000);
        let count = |counter: &Counter| {
            let sum = self.sum(counter, Period::All, at_s);
            i64::try_from(sum).expect("a count stays within i64")
        };
        match read {
            Read::Count(counter) => Found::Count(count(counter)),
            Read::Counts(many) => Found::Counts(many.iter().map(count).collect()),
            Read::Hot { counter_type, period, num } => {
                Found::Hot(self.hot(counter_type, *period, *num, at_s))
            }
            Read::IsCounted { counter, user } => {
                Found::IsCounted(self.users(counter).contains(user))
            }
        }
    }

    fn hot(&self, counter_type: &Id, period: Period, num: usize, at_s: i64) -> Vec<Place> {
        let of_type =
            self.events.iter().filter(|event| event.counter.counter_type == *counter_type);
        let counters: BTreeSet<_> = of_type.map(|event| &event.counter).collect();
        let mut places: Vec<_> = counters
            .into_iter()
            .map(|counter| (-self.sum(counter, period, at_s), counter.resource.clone()))
            .filter(|(sum, _)| *sum < 0)
            .collect();
        places.sort();
        let place = |(sum, resource): (i128, Id)| Place {
            resource,
            count: i64::try_from(-sum).expect("a sum stays within i64"),
        };
        places.into_iter().take(num).map(place).collect()
    }

    /// What a counter adds up to within the current span of a period.
    fn sum(&self, counter: &Counter, period: Period, at_s: i64) -> i128 {
        let span = self.calendar.span(period, at_s);
        let mut sum = 0;
        for event in self.events.iter().filter(|event| event.counter == *counter) {
            match event.action {
                Action::Reset { .. } => sum = 0,
                Action::Recount { .. } if period != Period::All => {}
                _ if self.calendar.span(period, event.at_s) == span => sum += event.delta,
                _ => {}
            }
        }
        sum
    }

    fn users(&self, counter: &Counter) -> BTreeSet<Id> {
        let mut users = BTreeSet::new();
        for event in self.events.iter().filter(|event| event.counter == *counter) {
            match &event.action {
                Action::Join { user } => drop(users.insert(user.clone())),
                Action::Leave { user } => drop(users.remove(user)),
                Action::Reset { .. } => users.clear(),
                _ => {}
            }
        }
        users
    }
}

/// The model as a store, for tests of what stands in front of one.
pub(crate) struct ModelStore {
    model: Mutex<Model>,
    clock: Arc<TestClock>,
}

impl ModelStore {
    pub(crate) fn new(model: Model, clock: Arc<TestClock>) -> Self {
        Self { model: Mutex::new(model), clock }
    }
}

impl Store for ModelStore {
    fn write(&self, write: Write, then: Answer<Written>) {
        let mut model = self.model.lock().expect("no test panics within");
        let written = model.write(&write, self.clock.now_us());
        drop(model);
        then(Ok(written));
    }

    /// Hot lists come later, so that both ways are tried.
    fn read(
        &self,
        read: &Read,
        later: &mut dyn FnMut() -> Answer<Found>,
    ) -> Option<Result<Found, StoreError>> {
        let model = self.model.lock().expect("no test panics within");
        let found = model.read(read, self.clock.now_us());
        if matches!(read, Read::Hot { .. }) {
            later()(Ok(found));
            return None;
        }
        Some(Ok(found))
    }
}
