//! Times of a load: mean, median, the slow end.

use hdrhistogram::Histogram;
use std::time::Duration;

/// Longer times count as this long; nobody waits a minute.
const LONGEST_US: u64 = 60_000_000;

/// Digits that are kept: figures are off by at most 1 %, and a histogram takes some 20 kB.
const DIGITS: u8 = 2;

/// See the module documentation. In microseconds.
#[derive(Clone, Debug)]
pub(super) struct Latencies(Histogram<u64>);

impl Default for Latencies {
    fn default() -> Self {
        Self(Histogram::new_with_bounds(1, LONGEST_US, DIGITS).expect("the bounds are in order"))
    }
}

impl Latencies {
    /// Counts one.
    pub(super) fn record(&mut self, time: Duration) {
        let micros = u64::try_from(time.as_micros()).unwrap_or(LONGEST_US);
        self.0.saturating_record(micros);
    }

    /// Counts those of another.
    pub(super) fn add(&mut self, other: &Self) {
        self.0.add(&other.0).expect("all have the same bounds");
    }

    /// How many.
    pub(super) fn count(&self) -> u64 {
        self.0.len()
    }

    /// In milliseconds.
    pub(super) fn mean_ms(&self) -> f64 {
        self.0.mean() / 1_000.0
    }

    /// So many of a hundred were as fast or faster, in milliseconds.
    pub(super) fn percentile_ms(&self, percent: f64) -> f64 {
        milliseconds(self.0.value_at_percentile(percent))
    }

    /// The slowest, in milliseconds.
    pub(super) fn max_ms(&self) -> f64 {
        milliseconds(self.0.max())
    }
}

#[expect(clippy::cast_precision_loss, reason = "below a minute, far within 53 bits")]
fn milliseconds(micros: u64) -> f64 {
    micros as f64 / 1_000.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_within_a_hundredth() {
        let mut latencies = Latencies::default();
        let mut other = Latencies::default();
        for millis in 1..=100 {
            let half = if millis % 2 == 0 { &mut latencies } else { &mut other };
            half.record(Duration::from_millis(millis));
        }
        latencies.add(&other);
        assert_eq!(latencies.count(), 100);
        for (figure, expected) in [
            (latencies.mean_ms(), 50.5),
            (latencies.percentile_ms(50.0), 50.0),
            (latencies.percentile_ms(99.0), 99.0),
            (latencies.max_ms(), 100.0),
        ] {
            assert!((figure / expected - 1.0).abs() < 0.01, "{figure} is not {expected}");
        }
    }

    #[test]
    fn nothing_and_what_is_beyond_the_end_have_figures_too() {
        let mut latencies = Latencies::default();
        assert_eq!((latencies.count(), latencies.max_ms()), (0, 0.0));
        latencies.record(Duration::from_secs(3_600));
        assert!(latencies.max_ms() >= 60_000.0);
    }
}
