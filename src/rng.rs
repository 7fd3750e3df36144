//! Numbers from a seed: the same ones every time, for what must be the same every time.

use std::ops::RangeInclusive;

/// `SplitMix64` (Steele, Lea, Flood: "Fast splittable pseudorandom number generators", 2014). Good for
/// made-up data; not for secrets.
#[derive(Clone, Debug)]
pub struct SplitMix(u64);

impl SplitMix {
    /// The sequence of that seed.
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next number.
    pub fn draw(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// A number of the range, all of them as likely but for a part in 2^64 divided by its length.
    ///
    /// # Panics
    /// When the range is empty.
    pub fn within(&mut self, range: RangeInclusive<i64>) -> i64 {
        let (start, end) = range.into_inner();
        assert!(start <= end, "a range to draw from");
        let length = u128::from(end.abs_diff(start)) + 1;
        let offset = (u128::from(self.draw()) * length) >> 64;
        let drawn = i128::from(start) + i128::try_from(offset).expect("below 2^64");
        i64::try_from(drawn).expect("within the range")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn draws_every_number_of_a_range_and_no_other() {
        let mut dice = SplitMix::new(7);
        let mut seen = [0; 6];
        for _ in 0..6_000 {
            seen[usize::try_from(dice.within(1..=6) - 1).expect("one to six")] += 1;
        }
        assert!(seen.iter().all(|count| (800..1_200).contains(count)), "{seen:?}");
        assert_eq!(dice.within(5..=5), 5);
        dice.within(i64::MIN..=i64::MAX);
    }
}
