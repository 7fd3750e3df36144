//! What the lanes to Redis and MongoDB share: who may go in, and how long one waits outside.

mod breaker;
mod threads;
mod watch;

pub use breaker::{Breaker, Verdict};
pub use threads::LaneThreads;
pub use watch::{Awaited, Late, Watch};

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::io;
use std::time::Duration;

/// Why a lane did not open; each says what to do. Nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum LaneError {
    /// An address or option that cannot be used. Never holds the address, which holds a password.
    #[error("{lane}: {reason}")]
    Options {
        /// Which lane.
        lane: &'static str,
        /// What is wrong with it.
        reason: String,
    },
    /// Nobody answers there, or not as one should.
    #[error("{lane} does not answer: {reason}; check that it runs and that the address is right")]
    Away {
        /// Which lane.
        lane: &'static str,
        /// What was seen.
        reason: String,
    },
    /// It answers, but must not be used as it is.
    #[error("{lane} cannot be used: {reason}")]
    Unfit {
        /// Which lane.
        lane: &'static str,
        /// What is wrong, with what to do.
        reason: String,
    },
    /// The system gave no thread.
    #[error("cannot start a thread: {0}")]
    Thread(#[from] io::Error),
}

/// A job that did not go in, handed back at once.
#[derive(Debug, PartialEq, Eq)]
pub struct Shed<J> {
    /// The job, unchanged.
    pub job: J,
    /// Why.
    pub reason: ShedReason,
}

/// Both are answered 503 with `Retry-After`; metrics tell them apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ShedReason {
    /// As many wait as may wait.
    Full,
    /// The other side has not answered for a while, so that waiting would be in vain.
    Away,
}

/// How long to wait after the `failures`-th failure in a row: doubles from `first` to `longest`,
/// and is anything between the half and the whole of that, lest all processes come back at once.
pub(crate) fn back_off(failures: u32, first: Duration, longest: Duration) -> Duration {
    let doublings = failures.saturating_sub(1).min(16);
    let whole = first.saturating_mul(1 << doublings).min(longest);
    // The standard library's hash keys are random; a generator of our own would be one more thing
    // to seed.
    let random = RandomState::new().hash_one(failures) % 1024;
    let share = u32::try_from(random).expect("a remainder of 1,024");
    whole / 2 + (whole / 2).saturating_mul(share) / 1024
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn back_off_doubles_up_to_its_bound_and_keeps_at_least_half() {
        let (first, longest) = (Duration::from_millis(50), Duration::from_secs(2));
        for (failures, whole) in [(1, 50), (2, 100), (3, 200), (6, 1_600), (7, 2_000), (90, 2_000)]
        {
            let wait = back_off(failures, first, longest);
            let whole = Duration::from_millis(whole);
            assert!(wait >= whole / 2 && wait <= whole, "{wait:?} after {failures}");
        }
    }
}
