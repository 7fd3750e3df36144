//! The name of a place on a board in Redis: sorted backwards as bytes, names are in board order.
//!
//! A score of a sorted set is a double and lies beyond 2^53, so all scores are 0 and the order is
//! in the name: total, inverted time, inverted id, 20 digits each.

/// One place; the derived order, backwards, is the board's.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct PlaceName(String);

impl PlaceName {
    /// Only what is above 0 has a place; times and ids are not negative either.
    pub fn new(total: i64, reached_at_us: i64, anchor_id: i64) -> Self {
        let (time, id) = (i64::MAX - reached_at_us.max(0), i64::MAX - anchor_id.max(0));
        Self(format!("{total:020}{time:020}{id:020}"))
    }

    /// Reads a member of the sorted set.
    pub fn parse(text: &str) -> Option<Self> {
        (text.len() == 60 && text.bytes().all(|byte| byte.is_ascii_digit()))
            .then(|| Self(text.to_owned()))
    }

    /// As it is in the sorted set.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Total, time and anchor again.
    pub fn parts(&self) -> Option<(i64, i64, i64)> {
        let number = |at: usize| self.0.get(at..at + 20)?.parse::<i64>().ok();
        Some((number(0)?, i64::MAX - number(20)?, i64::MAX - number(40)?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::cmp::Reverse;

    proptest! {
        #[test]
        fn names_sort_backwards_as_boards_do(
            mut places in proptest::collection::vec(
                (prop_oneof![1..9_i64, (1_i64 << 53)..=i64::MAX], 0..5_i64, 1..=i64::MAX), 0..40),
        ) {
            let mut names: Vec<_> =
                places.iter().map(|&(total, time, id)| PlaceName::new(total, time, id)).collect();
            names.sort_by(|left, right| right.cmp(left));
            places.sort_by_key(|&(total, time, id)| (Reverse(total), time, id));
            let parts: Vec<_> = names.iter().filter_map(PlaceName::parts).collect();
            prop_assert_eq!(parts, places);
            let read: Vec<_> =
                names.iter().filter_map(|name| PlaceName::parse(name.as_str())).collect();
            prop_assert_eq!(read, names);
        }
    }

    #[test]
    fn what_is_not_a_name_is_not_read_as_one() {
        for text in ["", "7", &"1".repeat(59), &"x".repeat(60), &"é".repeat(30)] {
            assert_eq!(PlaceName::parse(text), None, "{text}");
        }
        assert_eq!(PlaceName("9".repeat(60)).parts(), None, "beyond i64");
    }
}
