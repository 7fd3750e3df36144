//! What many entries do to one counter, summed up: for the totals, which take them in at once, and
//! for an audit, which adds them to what the totals say.

use super::journal::{Entry, Kind};
use super::state::{begin, second};
use crate::calendar::Calendar;
use crate::counter::sums::WINDOWS;
use crate::counter::{Counter, Id};
use std::collections::{BTreeMap, HashMap};

/// A counter's row in the totals: its count, and the sums of the newest windows in which it was
/// counted, with their first seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Total {
    pub(super) count: i64,
    pub(super) windows: [(i64, i64); 3],
}

impl Total {
    /// Of a counter that nobody ever wrote.
    pub(super) const ZERO: Self = Self { count: 0, windows: [(i64::MIN, 0); 3] };

    fn add(&mut self, delta: i64, begins: [i64; 3]) -> Option<()> {
        self.count = self.count.checked_add(delta)?;
        for ((from_s, sum), begin) in self.windows.iter_mut().zip(begins) {
            // Times never fall, so another window is a later one.
            if *from_s == begin {
                *sum = sum.checked_add(delta)?;
            } else {
                (*from_s, *sum) = (begin, delta);
            }
        }
        Some(())
    }
}

/// What became of one counter.
#[derive(Clone, Debug, Default)]
pub(super) struct Change {
    /// What was before counts no more.
    pub(super) is_reset: bool,
    /// What follows, in order: it may be that only the sum of two steps stays within its range.
    steps: Vec<Step>,
    /// Users whose state changed, with the new one.
    pub(super) users: BTreeMap<Id, bool>,
}

#[derive(Clone, Copy, Debug)]
enum Step {
    Add { delta: i64, begins: [i64; 3] },
    Recount { delta: i64 },
}

impl Change {
    /// The row after the change. `None` where no journal of ours leads: a sum left its range.
    pub(super) fn apply(&self, before: Total) -> Option<Total> {
        let mut total = if self.is_reset { Total::ZERO } else { before };
        for step in &self.steps {
            match *step {
                Step::Add { delta, begins } => total.add(delta, begins)?,
                Step::Recount { delta } => total.count = total.count.checked_add(delta)?,
            }
        }
        Some(total)
    }

    fn push(&mut self, delta: i64, begins: [i64; 3]) {
        // Most entries of a busy counter lie in the same windows: one step for all of them.
        if let Some(Step::Add { delta: sum, begins: same }) = self.steps.last_mut()
            && *same == begins
            && let Some(both) = sum.checked_add(delta)
        {
            *sum = both;
            return;
        }
        self.steps.push(Step::Add { delta, begins });
    }
}

/// The changes of many entries, by counter.
#[derive(Debug, Default)]
pub(super) struct Changes(pub(super) HashMap<Counter, Change>);

impl Changes {
    /// Adds an entry; they come in the order of the journal.
    pub(super) fn add(&mut self, calendar: &Calendar, entry: Entry) {
        let Entry { kind, counter, user, delta, time_us, .. } = entry;
        let begins = WINDOWS.map(|period| begin(calendar, period, second(time_us)));
        let change = self.0.entry(counter).or_default();
        match kind {
            Kind::Added => change.push(delta, begins),
            Kind::Joined | Kind::Left => {
                change.push(delta, begins);
                if let Some(user) = user {
                    change.users.insert(user, kind == Kind::Joined);
                }
            }
            Kind::Recounted => change.steps.push(Step::Recount { delta }),
            Kind::Reset => *change = Change { is_reset: true, ..Change::default() },
        }
    }
}
