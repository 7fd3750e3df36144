//! What is to be done about the writes that wait for one counter, as it stands: pure.

use super::draft::{Change, Draft, Origin};
use super::looks::State;
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
            return self.overflow();
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

    /// No, by the sums as they are. What was taken may turn out to be a conflict, and then it fits.
    fn overflow(&self) -> Next {
        if self.plan.drafts.is_empty() { Next::GoOn(Step::Overflow) } else { Next::Wait }
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
            return self.overflow();
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::counter::Path;
    use crate::store::RequestKey;

    fn id(text: &str) -> Id {
        Id::from_text(text).expect("an id")
    }

    fn counter() -> Counter {
        Counter { counter_type: id("like"), resource: id("post") }
    }

    fn add(delta: i64) -> Action {
        Action::Add { delta, user: None }
    }

    fn join(user: &str) -> Action {
        Action::Join { user: id(user) }
    }

    fn reset() -> Action {
        Action::Reset { reason: "a test".to_owned() }
    }

    /// A counter that stands at `count`, in all its windows too, and counts user 1.
    fn state(count: i128) -> State {
        State {
            is_known: true,
            epoch: 2,
            turn: 5,
            sums: Some([count; 4]),
            users: 1,
            steps: [(id("1"), 3)].into(),
        }
    }

    fn plan(state: &State, actions: &[Action]) -> Plan {
        let write = |action: &Action| {
            let key = matches!(action, Action::Add { delta: 7, .. }).then(|| RequestKey::new("k"));
            let (action, key) = (action.clone(), key.flatten());
            Write { counter: counter(), action, path: Path::Increment, key }
        };
        let writes: Vec<Write> = actions.iter().map(write).collect();
        let mut ids = 0;
        decide(state, &counter(), writes.iter(), &mut || {
            ids += 1;
            Some((ids, 1_000))
        })
    }

    #[track_caller]
    fn check(state: &State, actions: &[Action], steps: &[Step], names: &[&str]) {
        let plan = plan(state, actions);
        assert_eq!(plan.steps, steps);
        let found: Vec<&str> = plan.drafts.iter().map(|draft| draft.name.as_str()).collect();
        assert_eq!(found, names);
        assert!(plan.drafts.iter().all(|draft| draft.epoch == state.epoch));
    }

    const fn part(at: usize, delta: i128) -> Step {
        Step::Draft { at, delta }
    }

    #[test]
    fn plain_increments_are_one_draft_and_each_key_and_user_has_its_own() {
        let actions = [add(1), join("2"), add(-3), add(7), join("1"), add(4)];
        let steps = [part(0, 1), part(1, 1), part(0, -3), part(2, 7), Step::Nothing, part(0, 4)];
        let user = "counter/user/5:Tlike/5:Tpost/00000000000000000002/21:N00000000000000000002/\
                    00000000000000000001";
        check(&state(0), &actions, &steps, &["counter/id/1", user, "counter/key/increment/k"]);
        let summed = &plan(&state(0), &actions).drafts[0];
        assert_eq!(summed.change, Change::Added { delta: 2, user: None });
    }

    #[test]
    fn who_must_see_an_earlier_one_waits_for_it() {
        check(&state(0), &[add(1), reset()], &[part(0, 1)], &["counter/id/1"]);
        let turn = "counter/turn/5:Tlike/5:Tpost/00000000000000000006";
        check(&state(9), &[reset(), add(1)], &[part(0, -9)], &[turn]);
        let leave = Action::Leave { user: id("1") };
        let left = "counter/user/5:Tlike/5:Tpost/00000000000000000002/21:N00000000000000000001/\
                    00000000000000000004";
        check(&state(9), &[leave, join("1")], &[part(0, -1)], &[left]);
        let many = [add(COUNTER_DOCUMENT_MAX), add(1)];
        let most = part(0, COUNTER_DOCUMENT_MAX.into());
        check(&state(0), &many, &[most], &["counter/id/1"]);
    }

    #[test]
    fn an_increment_that_is_large_or_near_the_end_takes_a_turn() {
        let turn = "counter/turn/5:Tlike/5:Tpost/00000000000000000006";
        let large = COUNTER_DOCUMENT_MAX + 1;
        check(&state(0), &[add(large), add(1)], &[part(0, large.into())], &[turn]);
        let edge = i128::try_from(COUNTER_EDGE).expect("small");
        check(&state(edge), &[add(1)], &[part(0, 1)], &[turn]);
        check(&state(-edge), &[add(-1)], &[part(0, -1)], &[turn]);
        check(&state(edge - 1), &[add(1)], &[part(0, 1)], &["counter/id/1"]);
    }

    #[test]
    fn what_would_leave_64_bits_is_refused_and_the_next_one_goes_on() {
        let full = state(i64::MAX.into());
        let turn = "counter/turn/5:Tlike/5:Tpost/00000000000000000006";
        let steps = [Step::Overflow, Step::Overflow, part(0, -2)];
        check(&full, &[add(1), join("2"), add(-2)], &steps, &[turn]);
        check(&state(i64::MIN.into()), &[reset()], &[Step::Overflow], &[]);
        let window = State { sums: Some([0, i64::MAX.into(), 0, 0]), ..state(0) };
        check(&window, &[add(1)], &[Step::Overflow], &[]);
    }

    #[test]
    fn nothing_is_refused_for_what_may_be_a_conflict() {
        let user = "counter/user/5:Tlike/5:Tpost/00000000000000000002/21:N00000000000000000002/\
                    00000000000000000001";
        // Were the key of the first another's, the second would fit.
        check(&state(0), &[join("2"), add(i64::MAX)], &[part(0, 1)], &[user]);
    }

    #[test]
    fn without_the_view_only_what_needs_no_sum_goes_on() {
        let journal = State { sums: None, ..state(0) };
        let actions = [reset(), add(COUNTER_DOCUMENT_MAX + 1), join("1"), add(1)];
        let steps = [Step::Unavailable, Step::Unavailable, Step::Nothing, part(0, 1)];
        check(&journal, &actions, &steps, &["counter/id/1"]);
        check(&State::default(), &[reset()], &[Step::Unavailable], &[]);
        let unknown = State { sums: Some([0; 4]), ..State::default() };
        check(&unknown, &[reset()], &[Step::UnknownCounter], &[]);
    }
}
