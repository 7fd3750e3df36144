//! Who has something to do next.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::{Duration, Instant};

/// Numbers of peers, by the time of their next deed.
#[derive(Debug, Default)]
pub(super) struct Schedule(BinaryHeap<Reverse<(Instant, usize)>>);

impl Schedule {
    /// Adds a deed.
    pub(super) fn add(&mut self, at: Instant, peer: usize) {
        self.0.push(Reverse((at, peer)));
    }

    /// Takes a deed whose time has come, with that time.
    pub(super) fn due(&mut self, now: Instant) -> Option<(Instant, usize)> {
        let Reverse((at, _)) = self.0.peek()?;
        if *at > now {
            return None;
        }
        self.0.pop().map(|Reverse(deed)| deed)
    }

    /// How long until the next deed, at most `longest`.
    pub(super) fn wait(&self, now: Instant, longest: Duration) -> Duration {
        let next = self.0.peek().map(|Reverse((at, _))| at.saturating_duration_since(now));
        next.map_or(longest, |wait| wait.min(longest))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn deeds_are_due_in_the_order_of_their_times() {
        let start = Instant::now();
        let after = |millis| start + Duration::from_millis(millis);
        let mut schedule = Schedule::default();
        for (millis, peer) in [(30, 1), (10, 2), (20, 3)] {
            schedule.add(after(millis), peer);
        }
        assert_eq!(schedule.wait(start, Duration::from_secs(1)), Duration::from_millis(10));
        assert_eq!(schedule.due(after(20)), Some((after(10), 2)));
        assert_eq!(schedule.due(after(20)), Some((after(20), 3)));
        assert_eq!(schedule.due(after(20)), None);
        assert_eq!(schedule.wait(after(20), Duration::from_millis(5)), Duration::from_millis(5));
    }
}
