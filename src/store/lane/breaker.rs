//! Lets no work through to a server that does not answer, but for one probe now and then.

use super::back_off;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Failures in a row after which a server counts as away. One alone may be a single cut
/// connection.
const FAILURES_MAX: u32 = 3;

/// The first pause before a probe.
const PAUSE_FIRST: Duration = Duration::from_millis(100);

/// The longest pause: a server that is back is found at most so much later.
const PAUSE_LONGEST: Duration = Duration::from_secs(2);

/// What becomes of a job that wants in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// In.
    Pass,
    /// In, as the one whose fate decides for all.
    Probe,
    /// Not now.
    Refuse,
}

/// Shared by those who submit and those who work. Its lock is held for a few comparisons.
///
/// Invariant: a probe is out only while the breaker is open.
#[derive(Debug)]
pub struct Breaker {
    state: Mutex<State>,
    probe_patience: Duration,
}

#[derive(Debug, Default)]
struct State {
    failures: u32,
    /// While open: when the next probe may go.
    probe_at: Option<Instant>,
    /// Since when a probe is out.
    probing: Option<Instant>,
}

impl Breaker {
    /// A closed one. A probe of which nothing was heard for `probe_patience` is given up.
    pub fn new(probe_patience: Duration) -> Self {
        Self { state: Mutex::default(), probe_patience }
    }

    /// Whether one more may go in.
    pub fn admit(&self, now: Instant) -> Verdict {
        let mut state = self.lock();
        let Some(probe_at) = state.probe_at else { return Verdict::Pass };
        let out = state.probing.is_some_and(|since| now < since + self.probe_patience);
        if out || now < probe_at {
            return Verdict::Refuse;
        }
        state.probing = Some(now);
        Verdict::Probe
    }

    /// The server answered, be it with a refusal.
    pub fn succeeded(&self) {
        *self.lock() = State::default();
    }

    /// The server did not answer, or said that it cannot work.
    pub fn failed(&self, now: Instant) {
        let mut state = self.lock();
        state.failures = state.failures.saturating_add(1);
        state.probing = None;
        if state.failures >= FAILURES_MAX {
            let pauses = state.failures - FAILURES_MAX + 1;
            state.probe_at = Some(now + back_off(pauses, PAUSE_FIRST, PAUSE_LONGEST));
        }
    }

    /// Whether the server counts as away.
    pub fn is_open(&self) -> bool {
        self.lock().probe_at.is_some()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        // A panic between two assignments leaves a state that the next success clears.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn opens_after_failures_in_a_row_and_closes_with_one_success() {
        let breaker = Breaker::new(Duration::from_secs(5));
        let start = Instant::now();
        breaker.failed(start);
        breaker.failed(start);
        breaker.succeeded();
        breaker.failed(start);
        breaker.failed(start);
        assert_eq!(breaker.admit(start), Verdict::Pass);
        breaker.failed(start);
        assert!(breaker.is_open());
        assert_eq!(breaker.admit(start), Verdict::Refuse);
        let later = start + PAUSE_LONGEST;
        assert_eq!(breaker.admit(later), Verdict::Probe);
        assert_eq!(breaker.admit(later), Verdict::Refuse);
        breaker.succeeded();
        assert_eq!(breaker.admit(later), Verdict::Pass);
    }

    #[test]
    fn a_failed_probe_waits_again_and_a_lost_one_is_given_up() {
        let patience = Duration::from_secs(5);
        let breaker = Breaker::new(patience);
        let mut now = Instant::now();
        (0..FAILURES_MAX).for_each(|_| breaker.failed(now));
        now += PAUSE_LONGEST;
        assert_eq!(breaker.admit(now), Verdict::Probe);
        breaker.failed(now);
        assert_eq!(breaker.admit(now), Verdict::Refuse);
        now += PAUSE_LONGEST;
        assert_eq!(breaker.admit(now), Verdict::Probe);
        assert_eq!(breaker.admit(now + patience / 2), Verdict::Refuse);
        assert_eq!(breaker.admit(now + patience), Verdict::Probe);
    }
}
