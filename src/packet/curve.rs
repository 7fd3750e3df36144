//! How many packets were handed out by when: a bounded record of a rain of any length.

use super::pacing::planned;
use super::{Point, Terms};

/// Slots of time at most. When they are full, two become one.
const SLOTS_MAX: usize = 1_024;

/// Counts per slot of time since the first packet; the same packets make the same curve, in whatever
/// portions they come.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Curve {
    from_s: i64,
    /// A power of two; 0 while empty.
    slot_s: i64,
    slots: Vec<i64>,
}

/// Spans of the curve that is shown.
const SPANS: i64 = 60;

/// What was planned and what was granted over the whole time of a rain; `granted` tells what was
/// handed out before a second.
pub fn points(terms: &Terms, now_s: i64, granted: impl Fn(i64) -> i64) -> Vec<Point> {
    let length_s = terms.ends_at - terms.starts_at;
    // Each moment once, however short the rain.
    let spans = SPANS.min(length_s).max(1);
    let moments = (0..=spans)
        .map(|span| terms.starts_at + length_s / spans * span + length_s % spans * span / spans);
    moments
        .map(|at| Point {
            at,
            planned: planned(terms, at),
            granted: (at <= now_s).then(|| granted(at)),
        })
        .collect()
}

impl Curve {
    /// Counts a packet of `at_s`. Times before the first packet count as its time.
    pub fn add(&mut self, at_s: i64) {
        if self.slots.is_empty() {
            (self.from_s, self.slot_s) = (at_s, 1);
        }
        let at = loop {
            let passed = (at_s - self.from_s).max(0) / self.slot_s;
            match usize::try_from(passed) {
                Ok(slot) if slot < SLOTS_MAX => break slot,
                _ => self.coarsen(),
            }
        };
        if self.slots.len() <= at {
            self.slots.resize(at + 1, 0);
        }
        self.slots[at] += 1;
    }

    /// Counts so many packets of `at_s`.
    pub fn add_many(&mut self, at_s: i64, count: i64) {
        if count > 0 {
            self.add(at_s);
            let at = (at_s - self.from_s).max(0) / self.slot_s;
            let at = usize::try_from(at).expect("`add` made a slot for it");
            self.slots[at] += count - 1;
        }
    }

    /// Packets handed out before `at_s`, as far as the slots can tell.
    pub fn before(&self, at_s: i64) -> i64 {
        if self.slots.is_empty() {
            return 0;
        }
        let whole = (at_s - self.from_s).max(0) / self.slot_s;
        let whole = usize::try_from(whole).unwrap_or(usize::MAX).min(self.slots.len());
        self.slots[..whole].iter().sum()
    }

    fn coarsen(&mut self) {
        self.slot_s *= 2;
        self.slots = self.slots.chunks(2).map(|pair| pair.iter().sum()).collect();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_what_came_before() {
        let mut curve = Curve::default();
        assert_eq!(curve.before(i64::MAX), 0);
        for at_s in [100, 100, 101, 105] {
            curve.add(at_s);
        }
        let before = [100, 101, 102, 105, 106, 1_000].map(|at_s| curve.before(at_s));
        assert_eq!(before, [0, 2, 3, 3, 4, 4]);
    }

    #[test]
    fn a_long_rain_takes_no_more_room_than_a_short_one() {
        let mut curve = Curve::default();
        for at_s in 0..100_000 {
            curve.add(at_s);
        }
        assert!(curve.slots.len() <= SLOTS_MAX);
        assert_eq!(curve.before(100_096), 100_000);
        let halfway = curve.before(50_000);
        assert!((50_000 - 128..=50_000).contains(&halfway), "{halfway}");
        curve.add(i64::MAX / 2);
        assert_eq!(curve.before(i64::MAX), 100_001);
    }
}
