//! What memory knows: every count, the hot lists of the current windows, and who is counted.

use super::journal::{Entry, Kind};
use crate::calendar::Calendar;
use crate::counter::sums::WINDOWS;
use crate::counter::{Counter, HotList, Id, Period, Place, Spread, Sums};

/// The users that one counter counts: 20 to 39 bytes each, and a text its own bytes besides.
pub(super) type Users = Spread<Id, ()>;

/// The whole second of a time of the record.
pub(super) fn second(time_us: i64) -> i64 {
    time_us.div_euclid(1_000_000)
}

/// The first second of a period's span around `at_s`. Beyond the calendar all time is one span.
pub(super) fn begin(calendar: &Calendar, period: Period, at_s: i64) -> i64 {
    calendar.span(period, at_s).map_or(i64::MIN, |span| span.from_s)
}

/// A hot list of one hour, day or week.
#[derive(Debug)]
pub(super) struct Window {
    /// The span's first second.
    pub(super) from_s: i64,
    pub(super) list: HotList,
}

impl Default for Window {
    fn default() -> Self {
        Self { from_s: i64::MIN, list: HotList::default() }
    }
}

/// All counters of one type.
#[derive(Debug, Default)]
pub(super) struct OfType {
    pub(super) all: HotList,
    /// As [`WINDOWS`]; each is the one of the newest entry of this type, so perhaps past.
    pub(super) windows: [Window; 3],
    pub(super) users: Spread<Id, Users>,
}

/// What an entry left without use, for the caller to drop once it holds no lock: freeing a large
/// list takes time.
#[derive(Debug, Default)]
pub(super) struct Discarded {
    windows: Vec<Window>,
    users: Option<Users>,
}

impl Discarded {
    /// Takes over what `other` holds.
    pub(super) fn join(&mut self, other: Discarded) {
        self.windows.extend(other.windows);
        // A second reset in one chunk frees the first one's users here: rare, and no more than slow.
        self.users = other.users.or(self.users.take());
    }
}

/// All counters; a function of totals and journal.
#[derive(Debug, Default)]
pub(super) struct Counters {
    pub(super) types: Spread<Id, OfType>,
    /// The newest entry contained, and so where an audit must stand to compare.
    pub(super) position: i64,
    /// Time of the newest entry: the record's clock never falls behind it.
    pub(super) last_time_us: i64,
    /// How many there are.
    pub(super) known: usize,
    /// Users counted, by all counters together.
    pub(super) users: usize,
}

impl Counters {
    /// What a counter adds up to at `at_s`; `None` when nobody ever wrote it.
    pub(super) fn sums(&self, calendar: &Calendar, counter: &Counter, at_s: i64) -> Option<Sums> {
        let of_type = self.types.get(&counter.counter_type)?;
        let count = of_type.all.sum(&counter.resource)?;
        let mut sums = Sums { count, windows: [0; 3] };
        for (index, period) in WINDOWS.into_iter().enumerate() {
            let window = &of_type.windows[index];
            if window.from_s == begin(calendar, period, at_s) {
                sums.windows[index] = window.list.sum(&counter.resource).unwrap_or(0);
            }
        }
        Some(sums)
    }

    /// Where a counter stands.
    pub(super) fn count(&self, counter: &Counter) -> i64 {
        let of_type = self.types.get(&counter.counter_type);
        of_type.and_then(|of_type| of_type.all.sum(&counter.resource)).unwrap_or(0)
    }

    /// The sums of many, in their order. A type is looked for once for those beside each other.
    pub(super) fn counts(&self, many: &[Counter]) -> Vec<i64> {
        let of_run = |run: &[Counter]| {
            let of_type = self.types.get(&run[0].counter_type);
            let count = |counter: &Counter| of_type?.all.sum(&counter.resource);
            run.iter().map(|counter| count(counter).unwrap_or(0)).collect::<Vec<_>>()
        };
        many.chunk_by(|left, right| left.counter_type == right.counter_type)
            .flat_map(of_run)
            .collect()
    }

    /// The users of a counter.
    pub(super) fn users(&self, counter: &Counter) -> Option<&Users> {
        self.types.get(&counter.counter_type)?.users.get(&counter.resource)
    }

    /// Whether a user is counted.
    pub(super) fn is_counted(&self, counter: &Counter, user: &Id) -> bool {
        self.users(counter).is_some_and(|users| users.get(user).is_some())
    }

    /// The first places of a hot list at `at_s`.
    pub(super) fn hot(
        &self,
        calendar: &Calendar,
        counter_type: &Id,
        period: Period,
        num: usize,
        at_s: i64,
    ) -> Vec<Place> {
        let Some(of_type) = self.types.get(counter_type) else { return Vec::new() };
        let list = match WINDOWS.iter().position(|&window| window == period) {
            None => Some(&of_type.all),
            Some(index) => {
                let window = &of_type.windows[index];
                (window.from_s == begin(calendar, period, at_s)).then_some(&window.list)
            }
        };
        list.map(|list| list.top(num)).unwrap_or_default()
    }

    /// Adds one entry of the journal.
    ///
    /// # Panics
    /// When a sum leaves i64: whoever decides on an entry checks that before it is durable.
    #[must_use]
    pub(super) fn apply(&mut self, calendar: &Calendar, entry: &Entry) -> Discarded {
        let Entry { counter, delta, .. } = entry;
        self.position = self.position.max(entry.id);
        self.last_time_us = self.last_time_us.max(entry.time_us);
        let of_type = self.types.get_or_default(&counter.counter_type);
        let mut discarded = Discarded::default();
        for (window, period) in of_type.windows.iter_mut().zip(WINDOWS) {
            let from_s = begin(calendar, period, second(entry.time_us));
            if window.from_s != from_s {
                let fresh = Window { from_s, list: HotList::default() };
                discarded.windows.push(std::mem::replace(window, fresh));
            }
        }
        let known = of_type.all.sum(&counter.resource);
        self.known += usize::from(known.is_none());
        let sums = Sums {
            count: known.unwrap_or(0),
            windows: of_type.windows.each_ref().map(|w| w.list.sum(&counter.resource).unwrap_or(0)),
        };
        let after = match entry.kind {
            Kind::Added | Kind::Joined | Kind::Left => sums.checked_add(*delta),
            Kind::Recounted => sums.count.checked_add(*delta).map(|count| Sums { count, ..sums }),
            Kind::Reset => Some(Sums::default()),
        };
        of_type.set(&counter.resource, sums, after.expect("checked before it was written"));
        match (entry.kind, &entry.user) {
            (Kind::Joined, Some(user)) => {
                let users = of_type.users.get_or_default(&counter.resource);
                self.users += usize::from(users.insert(user.clone(), ()).is_none());
            }
            (Kind::Left, Some(user)) => {
                let users = of_type.users.get_mut(&counter.resource);
                let gone = users.and_then(|users| users.remove(user));
                self.users -= usize::from(gone.is_some());
            }
            (Kind::Reset, _) => {
                discarded.users = of_type.users.remove(&counter.resource);
                self.users -= discarded.users.as_ref().map_or(0, Spread::len);
            }
            _ => {}
        }
        discarded
    }
}

impl OfType {
    /// Moves a resource to where `after` puts it. What stays as it is costs nothing, and a window
    /// in which a resource was not counted does not hold it.
    fn set(&mut self, resource: &Id, before: Sums, after: Sums) {
        self.all.set(resource, after.count);
        for (index, window) in self.windows.iter_mut().enumerate() {
            if before.windows[index] != after.windows[index] {
                window.list.set(resource, after.windows[index]);
            }
        }
    }
}
