//! Who repairs, so that not everybody does the same work.

use super::message::LeaseDoc;
use std::time::Duration;

/// A lease as one process sees it, by its own clock alone.
#[derive(Clone, Debug, Default)]
pub struct Lease {
    seen: LeaseDoc,
    /// When this term was first seen.
    since: Duration,
    /// Ours until then.
    held_until: Option<Duration>,
}

impl Lease {
    /// The record was read.
    pub fn looked(&mut self, seen: LeaseDoc, now: Duration) {
        if seen.term > self.seen.term {
            (self.seen, self.since) = (seen, now);
            self.held_until = None;
        }
    }

    /// The term to take over: nobody has it, its holder has not renewed it for `length`, or we hold
    /// it ourselves and half of our time is gone.
    pub fn to_take(&self, me: u64, now: Duration, length: Duration) -> Option<u64> {
        let free = self.seen.term == 0
            || now >= self.since + length
            || self.seen.holder == me && now >= self.since + length / 2;
        free.then_some(self.seen.term)
    }

    /// Taken by a command sent at `sent`. From there it counts: others count from later on.
    pub fn taken(&mut self, term: u64, me: u64, sent: Duration, length: Duration) {
        if term > self.seen.term {
            (self.seen, self.since) = (LeaseDoc { term, holder: me }, sent);
            self.held_until = Some(sent + length);
        }
    }

    /// Whether it is ours now.
    pub fn is_held(&self, now: Duration) -> bool {
        self.held_until.is_some_and(|until| now < until)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lease_is_taken_over_when_its_holder_was_silent_for_its_length() {
        let second = Duration::from_secs;
        let length = second(4);
        let mut lease = Lease::default();
        assert_eq!(lease.to_take(1, second(9), length), Some(0));
        lease.looked(LeaseDoc { term: 3, holder: 2 }, second(10));
        lease.looked(LeaseDoc { term: 3, holder: 2 }, second(12));
        assert_eq!(lease.to_take(1, second(13), length), None);
        assert_eq!(lease.to_take(1, second(14), length), Some(3));
        lease.taken(4, 1, second(14), length);
        assert!(lease.is_held(second(17)) && !lease.is_held(second(18)));
        assert_eq!(lease.to_take(1, second(15), length), None);
        assert_eq!(lease.to_take(1, second(16), length), Some(4), "renewed in time");
        lease.looked(LeaseDoc { term: 5, holder: 2 }, second(16));
        assert!(!lease.is_held(second(16)));
    }
}
