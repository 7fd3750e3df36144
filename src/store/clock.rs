//! The wall clock as a parameter, so that a test owns it.

use std::time::{SystemTime, UNIX_EPOCH};

/// Tells the time of the record; not for measuring durations.
pub trait Clock: Send + Sync {
    /// Microseconds since the Unix epoch. May step back: who needs order must enforce it.
    fn now_us(&self) -> i64;
}

/// The machine's clock.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now_us(&self) -> i64 {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        i64::try_from(since.as_micros()).unwrap_or(i64::MAX)
    }
}
