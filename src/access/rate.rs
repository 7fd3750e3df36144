//! So many requests a second, by key, in a table whose size is fixed at the start.

use governor::clock::{Clock, MonotonicClock};
use governor::middleware::NoOpMiddleware;
use governor::nanos::Nanos;
use governor::state::{InMemoryState, NotKeyed, StateStore};
use governor::{Quota, RateLimiter};
use std::num::NonZeroU32;
use std::time::Duration;

/// Limits the rate of every key (the generic cell rate algorithm). A look costs a clock and one
/// compare-and-swap, without a lock, so loops share it.
pub(super) struct Rate {
    limiter: RateLimiter<u64, Slots, MonotonicClock, NoOpMiddleware<std::time::Instant>>,
    clock: MonotonicClock,
}

impl Rate {
    /// `per_second` requests of one key, `burst` of them at once; `slots` keys at most have a rate
    /// of their own. `None` for a rate of 0, which is no limit.
    pub(super) fn new(per_second: usize, burst: usize, slots: usize) -> Option<Self> {
        let number = |number: usize| NonZeroU32::new(u32::try_from(number).unwrap_or(u32::MAX));
        let quota = Quota::per_second(number(per_second)?).allow_burst(number(burst)?);
        let clock = MonotonicClock;
        let limiter = RateLimiter::new(quota, Slots::new(slots), clock.clone());
        Some(Self { limiter, clock })
    }

    /// Counts a request of `key`, or says after how long one has a chance again.
    pub(super) fn check(&self, key: u64) -> Result<(), Duration> {
        let result = self.limiter.check_key(&key);
        result.map_err(|refused| refused.wait_time_from(self.clock.now()))
    }
}

/// A map of keys would grow with every address that an attacker has; this table cannot. Keys that
/// share a slot share its rate.
struct Slots(Box<[InMemoryState]>);

impl Slots {
    fn new(count: usize) -> Self {
        Self((0..count.max(1)).map(|_| InMemoryState::default()).collect())
    }
}

impl StateStore for Slots {
    type Key = u64;

    fn measure_and_replace<T, F, E>(&self, key: &u64, decide: F) -> Result<T, E>
    where
        F: Fn(Option<Nanos>) -> Result<(T, Nanos), E>,
    {
        let index = key % self.0.len() as u64;
        let index = usize::try_from(index).expect("an index of the table");
        self.0[index].measure_and_replace(&NotKeyed::NonKey, decide)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_has_its_burst_and_then_waits_while_others_go_on() {
        let rate = Rate::new(1, 3, 16).expect("a rate");
        for _ in 0..3 {
            assert_eq!(rate.check(7), Ok(()));
        }
        let wait = rate.check(7).expect_err("the burst is spent");
        assert!(wait > Duration::ZERO && wait <= Duration::from_secs(1), "{wait:?}");
        assert_eq!(rate.check(8), Ok(()));
        assert!(rate.check(7 + 16).is_err(), "it shares the slot");
        assert!(Rate::new(0, 3, 16).is_none(), "0 is no limit");
    }
}
