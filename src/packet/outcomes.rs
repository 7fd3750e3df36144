//! How snatches ended, counted for metrics whatever the backend.

use super::{Refusal, Snatched};
use std::sync::atomic::{AtomicU64, Ordering};

/// How snatches ended; for metrics. Loops and the bookkeeper count.
#[derive(Default)]
pub(super) struct Outcomes([AtomicU64; Outcomes::NAMES.len()]);

impl Outcomes {
    /// The outcomes by their names as labels.
    const NAMES: [&'static str; 9] = [
        "got",
        "unlucky",
        "not_started",
        "ended",
        "paused",
        "busy",
        "too_fast",
        "no_snatches",
        "no_packets",
    ];

    /// Counts one.
    pub(super) fn count(&self, snatched: &Snatched) {
        let at = match snatched {
            Snatched::Got { .. } => 0,
            Snatched::Unlucky { .. } => 1,
            Snatched::Refused(refusal) => match refusal {
                Refusal::NotStarted => 2,
                Refusal::Ended => 3,
                Refusal::Paused => 4,
                Refusal::Busy => 5,
                Refusal::TooFast => 6,
                Refusal::NoSnatches => 7,
                Refusal::NoPackets => 8,
            },
        };
        self.0[at].fetch_add(1, Ordering::Relaxed);
    }

    /// Names and counts.
    pub(super) fn all(&self) -> Vec<(&'static str, u64)> {
        let counts = self.0.iter().map(|count| count.load(Ordering::Relaxed));
        Self::NAMES.into_iter().zip(counts).collect()
    }
}
