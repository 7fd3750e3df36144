//! Figures for the operator that cost their writer no lock and no allocation: each has one writer
//! and is read from any thread, at a scrape.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// A counter with one writer: plain loads and stores, readable from everywhere.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// The value as of about now.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    /// Counts. Only for its one writer: another one's count may be lost.
    pub fn add(&self, count: usize) {
        self.0.store(self.get().wrapping_add(count as u64), Ordering::Relaxed);
    }

    /// Takes back, for what is open now.
    pub fn subtract(&self, count: usize) {
        self.0.store(self.get().wrapping_sub(count as u64), Ordering::Relaxed);
    }
}

/// Upper bounds of durations, in microseconds: from a look-up in memory to a client's patience.
pub const DURATION_BOUNDS_US: &[u64] = &[
    100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000,
    1_000_000, 2_500_000, 10_000_000,
];

/// Upper bounds of the jobs in one batch.
pub const BATCH_BOUNDS: &[u64] = &[1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1_024];

/// How often values fell between given bounds; one writer.
#[derive(Debug)]
pub struct Histogram {
    bounds: &'static [u64],
    /// One more than bounds: the last is for what is above all of them.
    counts: Box<[Counter]>,
    sum: Counter,
}

impl Histogram {
    /// An empty one; `bounds` grow strictly.
    pub fn new(bounds: &'static [u64]) -> Self {
        debug_assert!(bounds.is_sorted_by(|a, b| a < b), "bounds grow");
        let counts = bounds.iter().map(|_| Counter::default());
        let counts = counts.chain([Counter::default()]).collect();
        Self { bounds, counts, sum: Counter::default() }
    }

    /// Of durations, in microseconds.
    pub fn of_durations() -> Self {
        Self::new(DURATION_BOUNDS_US)
    }

    /// Counts a value.
    pub fn record(&self, value: u64) {
        self.counts[self.bounds.partition_point(|bound| *bound < value)].add(1);
        self.sum.add(usize::try_from(value).unwrap_or(usize::MAX));
    }

    /// Counts a duration.
    pub fn record_duration(&self, took: Duration) {
        self.record(u64::try_from(took.as_micros()).unwrap_or(u64::MAX));
    }

    /// What was counted so far.
    pub fn tally(&self) -> Tally {
        let counts = self.counts.iter().map(Counter::get).collect();
        Tally { bounds: self.bounds, counts, sum: self.sum.get() }
    }
}

/// What histograms counted: a copy to add up and to show.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tally {
    /// Upper bounds, each within its bucket.
    pub bounds: &'static [u64],
    /// A bucket for each bound and one for what is above; not cumulative.
    pub counts: Vec<u64>,
    /// All values together.
    pub sum: u64,
}

impl Tally {
    /// Nothing counted yet.
    pub fn empty(bounds: &'static [u64]) -> Self {
        Self { bounds, counts: vec![0; bounds.len() + 1], sum: 0 }
    }

    /// Adds what another writer counted.
    ///
    /// # Panics
    /// When the bounds differ.
    pub fn add(&mut self, other: &Tally) {
        assert_eq!(self.bounds, other.bounds, "only the same buckets can be added up");
        for (count, more) in self.counts.iter_mut().zip(&other.counts) {
            *count += more;
        }
        self.sum = self.sum.wrapping_add(other.sum);
    }

    /// How many values.
    pub fn count(&self) -> u64 {
        self.counts.iter().sum()
    }
}

/// Measures how long something takes, for a figure and never for a decision: those take their time
/// as a parameter.
#[derive(Clone, Copy, Debug)]
pub struct Stopwatch(Instant);

impl Stopwatch {
    /// Begins now.
    pub fn start() -> Self {
        Self(Instant::now())
    }

    /// Since the start.
    pub fn elapsed(self) -> Duration {
        self.0.elapsed()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_falls_into_the_first_bucket_that_holds_it() {
        let histogram = Histogram::new(&[1, 2, 4]);
        for value in [0, 1, 2, 3, 4, 5, 99] {
            histogram.record(value);
        }
        let tally = histogram.tally();
        assert_eq!((tally.counts.as_slice(), tally.sum), ([2, 1, 2, 2].as_slice(), 114));
        let mut twice = Tally::empty(&[1, 2, 4]);
        twice.add(&tally);
        twice.add(&tally);
        assert_eq!((twice.count(), twice.sum), (14, 228));
    }
}
