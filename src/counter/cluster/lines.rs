//! Writes in the order in which they came: of one counter one after the other, or together where
//! they can be decided together; of one request key never two at once.

use crate::counter::{Action, Counter, Path, Write};
use crate::limits::{COUNTER_GROUP_ADDS_MAX, COUNTER_GROUP_OTHERS_MAX};
use crate::store::RequestKey;
use std::collections::{HashMap, VecDeque};

/// A write that waits, with the right to answer it.
pub(super) struct Waiting<A> {
    pub(super) write: Write,
    pub(super) answer: A,
    /// How often somebody was faster.
    pub(super) tries: u32,
    number: u64,
}

/// Whether anybody still waits for an answer.
pub(super) trait Patience {
    /// True when nobody does.
    fn is_over(&self) -> bool;
}

/// What is to be done about a counter next.
pub(super) struct Group<A> {
    /// In order.
    pub(super) writes: Vec<Waiting<A>>,
    /// Nobody waits for these any more: their keys are to be released.
    pub(super) late: Vec<Waiting<A>>,
}

/// All counters that somebody writes now.
pub(super) struct Lines<A> {
    of: HashMap<Counter, Line<A>>,
    /// Who has a key, and who waits for it.
    keys: HashMap<(Path, RequestKey), VecDeque<(u64, Counter)>>,
    next: u64,
}

/// Invariant: a line that nobody works at and that has no writes is not kept.
struct Line<A> {
    queue: VecDeque<Waiting<A>>,
    is_busy: bool,
}

impl<A: Patience> Lines<A> {
    pub(super) fn new() -> Self {
        Self { of: HashMap::new(), keys: HashMap::new(), next: 0 }
    }

    /// At the end of its counter's line.
    pub(super) fn push(&mut self, write: Write, answer: A) {
        self.next += 1;
        let number = self.next;
        if let Some(key) = &write.key {
            let name = (write.path, key.clone());
            self.keys.entry(name).or_default().push_back((number, write.counter.clone()));
        }
        let empty = || Line { queue: VecDeque::new(), is_busy: false };
        let line = self.of.entry(write.counter.clone()).or_insert_with(empty);
        line.queue.push_back(Waiting { write, answer, tries: 0, number });
    }

    /// Begins to work at a line; `None` when somebody does.
    pub(super) fn begin(&mut self, counter: &Counter) -> Option<Group<A>> {
        let line = self.of.get_mut(counter).filter(|line| !line.is_busy)?;
        line.is_busy = true;
        Some(self.next(counter, false))
    }

    /// The next writes of a line that is worked at. Without any the work is over, unless something is
    /// still to be finished.
    pub(super) fn next(&mut self, counter: &Counter, finishing: bool) -> Group<A> {
        let mut group = Group { writes: Vec::new(), late: Vec::new() };
        let Some(line) = self.of.get_mut(counter) else { return group };
        let (mut adds, mut others) = (0, 0);
        while let Some(first) = line.queue.front() {
            let is_late = first.answer.is_over();
            let has_key = first.write.key.as_ref().is_none_or(|key| {
                let queue = self.keys.get(&(first.write.path, key.clone()));
                queue.and_then(VecDeque::front).is_some_and(|(number, _)| *number == first.number)
            });
            let is_plain =
                first.write.key.is_none() && matches!(first.write.action, Action::Add { .. });
            let (count, count_max) = if is_plain {
                (&mut adds, COUNTER_GROUP_ADDS_MAX)
            } else {
                (&mut others, COUNTER_GROUP_OTHERS_MAX)
            };
            let fits = *count < count_max;
            if !(is_late || has_key && fits) {
                break;
            }
            let Some(first) = line.queue.pop_front() else { break };
            if is_late {
                group.late.push(first);
            } else {
                *count += 1;
                group.writes.push(first);
            }
        }
        if group.writes.is_empty() && !finishing {
            line.is_busy = false;
            if line.queue.is_empty() {
                self.of.remove(counter);
            }
        }
        group
    }

    /// At the front of a line that is worked at, in this order.
    pub(super) fn put_back(&mut self, counter: &Counter, writes: Vec<Waiting<A>>) {
        let Some(line) = self.of.get_mut(counter) else { return };
        for waiting in writes.into_iter().rev() {
            line.queue.push_front(waiting);
        }
    }

    /// Gives up the whole rest of a line that is worked at.
    pub(super) fn give_up(&mut self, counter: &Counter) -> Vec<Waiting<A>> {
        self.of.remove(counter).map(|line| line.queue.into()).unwrap_or_default()
    }

    /// A write is done with: whose line may have waited for its key.
    pub(super) fn release(&mut self, waiting: &Waiting<A>) -> Option<Counter> {
        let name = (waiting.write.path, waiting.write.key.clone()?);
        let queue = self.keys.get_mut(&name)?;
        queue.retain(|(number, _)| *number != waiting.number);
        if let Some((_, counter)) = queue.front() {
            return Some(counter.clone());
        }
        self.keys.remove(&name);
        None
    }

    /// Writes that are not begun; for metrics.
    pub(super) fn len(&self) -> usize {
        self.of.values().map(|line| line.queue.len()).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::counter::Id;

    impl Patience for bool {
        fn is_over(&self) -> bool {
            *self
        }
    }

    fn counter(name: &str) -> Counter {
        let id = |text| Id::from_text(text).expect("an id");
        Counter { counter_type: id("like"), resource: id(name) }
    }

    fn add(name: &str, delta: i64, key: Option<&str>) -> Write {
        let key = key.and_then(RequestKey::new);
        let action = Action::Add { delta, user: None };
        Write { counter: counter(name), action, path: Path::Increment, key }
    }

    fn deltas(group: &Group<bool>) -> Vec<i64> {
        let delta = |waiting: &Waiting<bool>| match waiting.write.action {
            Action::Add { delta, .. } => delta,
            _ => 0,
        };
        group.writes.iter().map(delta).collect()
    }

    #[test]
    fn one_works_at_a_line_until_it_is_empty() {
        let mut lines = Lines::new();
        lines.push(add("a", 1, None), false);
        let first = lines.begin(&counter("a")).expect("it is idle");
        assert_eq!(deltas(&first), [1]);
        lines.push(add("a", 2, None), false);
        lines.push(add("a", 3, None), true);
        lines.push(add("a", 4, None), false);
        assert!(lines.begin(&counter("a")).is_none(), "somebody works at it");
        lines.put_back(&counter("a"), first.writes);
        let next = lines.next(&counter("a"), false);
        assert_eq!((deltas(&next), next.late.len()), (vec![1, 2, 4], 1));
        assert!(lines.next(&counter("a"), false).writes.is_empty());
        assert_eq!((lines.len(), lines.of.len()), (0, 0));
    }

    #[test]
    fn a_key_goes_to_one_write_after_the_other_whatever_they_count() {
        let mut lines = Lines::new();
        lines.push(add("a", 1, Some("k")), false);
        lines.push(add("b", 2, None), false);
        lines.push(add("b", 3, Some("k")), false);
        lines.push(add("b", 4, None), false);
        let first = lines.begin(&counter("a")).expect("it is idle");
        let other = lines.begin(&counter("b")).expect("it is idle");
        assert_eq!((deltas(&first), deltas(&other)), (vec![1], vec![2]));
        assert!(lines.next(&counter("b"), false).writes.is_empty(), "the key is taken");
        assert_eq!(lines.release(&first.writes[0]), Some(counter("b")));
        let other = lines.begin(&counter("b")).expect("it waited");
        assert_eq!(deltas(&other), [3, 4]);
        assert_eq!(lines.release(&other.writes[0]), None);
        assert!(lines.keys.is_empty());
    }
}
