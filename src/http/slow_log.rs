//! The last slow requests, for the operator.

use super::times::Times;
use crate::limits::SLOW_REQUESTS_MAX;
use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// A request that took long.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SlowRequest {
    /// The route's pattern.
    pub route: Box<str>,
    /// The method.
    pub method: &'static str,
    /// The answer's status code.
    pub status: u16,
    /// Where its time went.
    pub times: Times,
}

/// Shared by all loops; bounded, the oldest go first.
#[derive(Debug)]
pub struct SlowLog {
    threshold: Duration,
    /// A loop holds it for one push, and only for a request that was slow.
    requests: Mutex<VecDeque<SlowRequest>>,
}

impl SlowLog {
    /// Keeps requests that take `threshold` or longer.
    pub fn new(threshold: Duration) -> Self {
        Self { threshold, requests: Mutex::default() }
    }

    /// The last slow requests, newest first.
    pub fn newest(&self) -> Vec<SlowRequest> {
        let requests = self.requests.lock().unwrap_or_else(PoisonError::into_inner);
        requests.iter().rev().cloned().collect()
    }

    pub(super) fn is_slow(&self, times: &Times) -> bool {
        times.total >= self.threshold
    }

    pub(super) fn push(&self, request: SlowRequest) {
        let mut requests = self.requests.lock().unwrap_or_else(PoisonError::into_inner);
        if requests.len() == SLOW_REQUESTS_MAX {
            requests.pop_front();
        }
        requests.push_back(request);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Instant;

    #[test]
    fn the_oldest_makes_room() {
        let log = SlowLog::new(Duration::ZERO);
        let since = Instant::now();
        for status in 0..u16::try_from(SLOW_REQUESTS_MAX + 5).expect("a small limit") {
            let times = Times::new(since, since, None);
            assert!(log.is_slow(&times));
            log.push(SlowRequest { route: "/a".into(), method: "GET", status, times });
        }
        let newest = log.newest();
        assert_eq!(newest.len(), SLOW_REQUESTS_MAX);
        assert_eq!(usize::from(newest[0].status), SLOW_REQUESTS_MAX + 4);
    }
}
