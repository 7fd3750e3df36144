//! What is to be done about the writes that wait for one counter, as it stands: pure.

use super::draft::{Change, Draft, Origin};
use super::reads::State;
use crate::counter::{Action, Counter, Id, Write};
use crate::limits::{COUNTER_DOCUMENT_MAX, COUNTER_EDGE};
use std::collections::HashSet;

/// What becomes of one write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// It is part of that draft, and adds so much to the count.
    Draft { at: usize, delta: i128 },
    /// There is nothing to change.
    Nothing,
    /// A sum would leave i64.
    Overflow,
    /// There is nothing to correct.
    UnknownCounter,
    /// Only the view could tell, and it is away.
    Unavailable,
}

/// The first few writes: they need not see of one another what only the journal can decide.
#[derive(Debug, Default)]
pub(super) struct Plan {
    /// What is to be in the journal.
    pub(super) drafts: Vec<Draft>,
    /// One for each write that is taken: the first, and those after it that can go with it.
    pub(super) steps: Vec<Step>,
}

/// Decides on the first of `writes`, at least one. `origins` gives ids and times, `None` when it has
/// none.
pub(super) fn decide<'a>(
    state: &State,
    counter: &Counter,
    writes: impl Iterator<Item = &'a Write>,
    origins: &mut dyn FnMut() -> Option<(i64, i64)>,
) -> Plan {
    let sums = state.sums;
    let plan = Plan::default();
    let mut planner =
        Planner { state, counter, origins, plan, sums, summed: None, moved: HashSet::new() };
    for write in writes {
        match planner.take(write) {
            Next::GoOn(step) => planner.plan.steps.push(step),
            Next::Last(step) => {
                planner.plan.steps.push(step);
                break;
            }
            Next::Wait => break,
        }
    }
    planner.plan
}

enum Next {
    /// Taken; the next one may go with it.
    GoOn(Step),
    /// Taken; whatever comes next must see it first.
    Last(Step),
    /// It must see first what was taken.
    Wait,
}

struct Planner<'a> {
    state: &'a State,
    counter: &'a Counter,
    origins: &'a mut dyn FnMut() -> Option<(i64, i64)>,
    plan: Plan,
    /// As they are after what was taken.
    sums: Option<[i128; 4]>,
    /// The draft that takes up plain increments, with what it adds.
    summed: Option<(usize, i64)>,
    moved: HashSet<Id>,
}

impl Planner<'_> {
    fn take(&mut self, write: &Write) -> Next {
        match &write.action {
            Action::Add { delta, user } => self.add(write, *delta, user.as_ref()),
            Action::Join { user } => self.step(write, user, true),
            Action::Leave { user } => self.step(write, user, false),
            Action::Recount { reason } => self.correct(write, reason, true),
            Action::Reset { reason } => self.correct(write, reason, false),
        }
    }

    fn add(&mut self, write: &Write, delta: i64, user: Option<&Id>) -> Next {
        if !self.fits(delta) {
            return Next::GoOn(Step::Overflow);
        }
        if self.is_large(delta) {
            if self.sums.is_none() {
                return Next::GoOn(Step::Unavailable);
            }
            let change = Change::Added { delta, user: user.cloned() };
            return self.alone(write, change, delta.into());
        }
        if write.key.is_some() {
            let change = Change::Added { delta, user: user.cloned() };
            return self.draft(write, change, None, delta.into());
        }
        let Some((at, sum)) = self.summed else {
            let change = Change::Added { delta, user: None };
            let next = self.draft(write, change, None, delta.into());
            if let Next::GoOn(Step::Draft { at, .. }) = next {
                self.summed = Some((at, delta));
            }
            return next;
        };
        let Some(sum) = sum.checked_add(delta).filter(|sum| sum.abs() <= COUNTER_DOCUMENT_MAX)
        else {
            return Next::Wait;
        };
        self.plan.drafts[at].change = Change::Added { delta: sum, user: None };
        self.summed = Some((at, sum));
        self.note(delta.into());
        Next::GoOn(Step::Draft { at, delta: delta.into() })
    }

    fn step(&mut self, write: &Write, user: &Id, joins: bool) -> Next {
        if self.moved.contains(user) {
            return Next::Wait;
        }
        let n = self.state.steps.get(user).copied().unwrap_or(0);
        if (n % 2 == 1) == joins {
            return Next::GoOn(Step::Nothing);
        }
        let delta = if joins { 1 } else { -1 };
        if !self.fits(delta) {
            return Next::GoOn(Step::Overflow);
        }
        self.moved.insert(user.clone());
        let change = Change::Moved { user: user.clone(), n: n + 1 };
        self.draft(write, change, None, delta.into())
    }

    fn correct(&mut self, write: &Write, reason: &str, recounts: bool) -> Next {
        if !self.plan.drafts.is_empty() {
            return Next::Wait;
        }
        let Some([count, ..]) = self.sums else { return Next::GoOn(Step::Unavailable) };
        if !self.state.is_known {
            return Next::GoOn(Step::UnknownCounter);
        }
        let after = if recounts { self.state.users } else { 0 };
        let Ok(delta) = i64::try_from(after - count) else { return Next::GoOn(Step::Overflow) };
        let reason = reason.to_owned();
        let change = if recounts {
            Change::Recounted { delta, reason }
        } else {
            Change::Reset { delta, reason }
        };
        self.alone(write, change, delta.into())
    }

    /// A change that cannot be made beside others: of all processes one gets the next turn.
    fn alone(&mut self, write: &Write, change: Change, delta: i128) -> Next {
        if !self.plan.drafts.is_empty() {
            return Next::Wait;
        }
        match self.draft(write, change, Some(self.state.turn + 1), delta) {
            Next::GoOn(step) => Next::Last(step),
            next => next,
        }
    }

    fn draft(&mut self, write: &Write, change: Change, turn: Option<u64>, delta: i128) -> Next {
        let Some((id, time_us)) = (self.origins)() else { return Next::GoOn(Step::Unavailable) };
        let (counter, epoch) = (self.counter.clone(), self.state.epoch);
        let (path, key) = (write.path, write.key.clone());
        let origin = Origin { id, time_us, counter, epoch, path, key };
        self.plan.drafts.push(Draft::new(origin, change, turn));
        self.note(delta);
        Next::GoOn(Step::Draft { at: self.plan.drafts.len() - 1, delta })
    }

    fn note(&mut self, delta: i128) {
        self.sums = self.sums.map(|sums| sums.map(|sum| sum + delta));
    }

    /// No sum would leave i64, as far as sums are known.
    fn fits(&self, delta: i64) -> bool {
        let fits = |sum: i128| i64::try_from(sum + i128::from(delta)).is_ok();
        self.sums.is_none_or(|sums| sums.into_iter().all(fits))
    }

    /// Others must not add at the same time: the sum of what all processes have under way is small,
    /// as long as each part of it is, and far from the end of the range.
    fn is_large(&self, delta: i64) -> bool {
        let far = |sum: i128| sum.unsigned_abs() + u128::from(delta.unsigned_abs()) <= COUNTER_EDGE;
        delta.unsigned_abs() > COUNTER_DOCUMENT_MAX.unsigned_abs()
            || !self.sums.is_none_or(|sums| sums.into_iter().all(far))
    }
}
