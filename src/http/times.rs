//! Where the time of one request went, as far as it was not answered at once.

use crate::exec::Stamps;
use std::time::{Duration, Instant};

/// The parts add up to `total`, but for the clock being read once a turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Times {
    /// When the answer was encoded.
    pub ended: Instant,
    /// From the complete request to its answer.
    pub total: Duration,
    /// From the start of the turn that brought its last byte until a job was handed in.
    pub parse: Duration,
    /// Until a worker took it.
    pub queue: Duration,
    /// Until the worker's batch was done.
    pub store: Duration,
    /// Until the loop had the answer and encoded it.
    pub encode: Duration,
}

impl Times {
    /// Of a request that came at `since` and is answered `now`. Without stamps nobody knows more
    /// than the whole, which counts as the store's.
    pub(super) fn new(since: Instant, now: Instant, stamps: Option<Stamps>) -> Self {
        let between = |from: Instant, to: Instant| to.saturating_duration_since(from);
        let total = between(since, now);
        let none = Duration::ZERO;
        let Some(Stamps { submitted, began, ended }) = stamps else {
            return Self {
                ended: now,
                total,
                parse: none,
                queue: none,
                store: total,
                encode: none,
            };
        };
        Self {
            ended: now,
            total,
            parse: between(since, submitted),
            queue: between(submitted, began),
            store: between(began, ended),
            encode: between(ended, now),
        }
    }

    /// Names and durations, for people.
    pub fn parts(&self) -> [(&'static str, Duration); 5] {
        let Self { total, parse, queue, store, encode, .. } = *self;
        [("total", total), ("parse", parse), ("queue", queue), ("store", store), ("encode", encode)]
    }

    /// The value of `Server-Timing`: durations in milliseconds.
    pub(super) fn server_timing(times: Option<&Self>) -> String {
        let Some(times) = times else { return "total;dur=0".to_owned() };
        let part = |(name, time): (_, Duration)| format!("{name};dur={:.3}", ms(time));
        times.parts().map(part).join(", ")
    }
}

/// Milliseconds, down to the microsecond.
pub fn ms(time: Duration) -> f64 {
    let us = u32::try_from(time.as_micros()).unwrap_or(u32::MAX);
    f64::from(us) / 1_000.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_parts_are_the_times_between_the_steps() {
        let since = Instant::now();
        let at = |ms| since + Duration::from_millis(ms);
        let stamps = Stamps { submitted: at(1), began: at(3), ended: at(7) };
        let times = Times::new(since, at(15), Some(stamps));
        let value = Times::server_timing(Some(&times));
        let expected = "total;dur=15.000, parse;dur=1.000, queue;dur=2.000, store;dur=4.000, \
                        encode;dur=8.000";
        assert_eq!(value, expected);
        let times = Times::new(since, at(15), None);
        assert_eq!((times.store, times.total), (times.total, Duration::from_millis(15)));
        assert_eq!(Times::server_timing(None), "total;dur=0");
    }
}
