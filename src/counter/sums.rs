//! What one counter adds up to: in all, and within the current hour, day and week.

use crate::calendar::Period;

/// The periods that end, in the order of [`Sums::windows`].
pub(super) const WINDOWS: [Period; 3] = [Period::Hour, Period::Day, Period::Week];

/// The count, and the sums of its increments within each window.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sums {
    /// Since the beginning, or the last reset.
    pub count: i64,
    /// Within the current hour, day and week.
    pub windows: [i64; 3],
}

impl Sums {
    /// All of them with `delta`; `None` when any would leave i64.
    pub fn checked_add(self, delta: i64) -> Option<Self> {
        let [hour, day, week] = self.windows.map(|window| window.checked_add(delta));
        Some(Self { count: self.count.checked_add(delta)?, windows: [hour?, day?, week?] })
    }

    /// The sum of a period.
    pub fn of(&self, period: Period) -> i64 {
        match WINDOWS.iter().position(|&window| window == period) {
            Some(index) => self.windows[index],
            None => self.count,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_increment_that_any_sum_cannot_hold_changes_none() {
        let low = Sums { count: i64::MIN, windows: [0; 3] };
        let middle = low.checked_add(i64::MAX).expect("all within i64");
        assert_eq!(middle, Sums { count: -1, windows: [i64::MAX; 3] });
        // The count could take it, the windows cannot.
        assert_eq!(middle.checked_add(1), None);
        assert_eq!(Sums { count: i64::MAX, windows: [0; 3] }.checked_add(1), None);
    }
}
