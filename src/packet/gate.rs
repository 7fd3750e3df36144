//! Token buckets in front of every snatch: one for all users together, one for each. Over-limit
//! requests cost a look into memory and nothing else.

use super::Refusal;
use crate::limits::RAIN_USER_SHARDS;
use dashmap::DashMap;
use governor::clock::DefaultClock;

use governor::state::{InMemoryState, NotKeyed};
use governor::{Quota, RateLimiter};
use std::num::NonZeroU32;

/// What the buckets hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GateOptions {
    /// Snatches a second of one user.
    pub user_rate: NonZeroU32,
    /// Snatches that one user may make at once.
    pub user_burst: NonZeroU32,
    /// Snatches a second of all users.
    pub global_rate: NonZeroU32,
    /// Snatches that all users may make at once.
    pub global_burst: NonZeroU32,
}

/// The buckets of one process.
pub struct Gate {
    all: RateLimiter<NotKeyed, InMemoryState, DefaultClock>,
    users: RateLimiter<i64, DashMap<i64, InMemoryState>, DefaultClock>,
}

impl Gate {
    /// Full buckets.
    pub fn new(options: &GateOptions) -> Self {
        let quota = |rate, burst| Quota::per_second(rate).allow_burst(burst);
        Self {
            all: RateLimiter::direct(quota(options.global_rate, options.global_burst)),
            users: RateLimiter::new(
                quota(options.user_rate, options.user_burst),
                DashMap::with_shard_amount(RAIN_USER_SHARDS),
                DefaultClock::default(),
            ),
        }
    }

    /// Takes a token from both buckets, or says which one is empty. A user's own comes first: who is
    /// too fast takes nothing from all the others.
    pub fn check(&self, uid: i64) -> Result<(), Refusal> {
        self.users.check_key(&uid).map_err(|_| Refusal::TooFast)?;
        self.all.check().map_err(|_| Refusal::Busy)
    }

    /// Forgets users whose buckets are full again: they are as if never seen. To be called about
    /// once a second, so that memory holds those of the last seconds only.
    pub fn forget(&self) {
        self.users.retain_recent();
        self.users.shrink_to_fit();
    }

    /// Users with a bucket that is not full.
    pub fn users(&self) -> usize {
        self.users.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gate(user_burst: u32, global_burst: u32) -> Gate {
        let number = |number| NonZeroU32::new(number).expect("above 0");
        Gate::new(&GateOptions {
            user_rate: number(1),
            user_burst: number(user_burst),
            global_rate: number(1),
            global_burst: number(global_burst),
        })
    }

    #[test]
    fn a_user_over_the_limit_is_too_fast_and_others_are_not() {
        let gate = gate(2, 1_000);
        let asked: Vec<_> = (0..4).map(|_| gate.check(1)).collect();
        assert_eq!(asked, [Ok(()), Ok(()), Err(Refusal::TooFast), Err(Refusal::TooFast)]);
        assert_eq!(gate.check(2), Ok(()));
        assert_eq!(gate.users(), 2);
    }

    #[test]
    fn who_is_too_fast_takes_nothing_from_others() {
        let gate = gate(1, 2);
        let asked: Vec<_> = (0..5).map(|_| gate.check(1)).collect();
        assert_eq!(asked.iter().filter(|outcome| outcome.is_ok()).count(), 1);
        assert_eq!(gate.check(2), Ok(()));
    }

    #[test]
    fn all_together_are_busy_beyond_their_limit() {
        let gate = gate(10, 2);
        let asked: Vec<_> = (0..4).map(|uid| gate.check(uid)).collect();
        assert_eq!(asked, [Ok(()), Ok(()), Err(Refusal::Busy), Err(Refusal::Busy)]);
    }
}
