//! One board: a total per anchor, ordered by total, then by who reached it first, then by id.

use super::{Place, Standing};
use crate::order::Order;
use std::cmp::Reverse;
use std::collections::HashMap;

/// A position on the board; the derived order is the board's order, best first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Key {
    total: Reverse<i64>,
    reached_at_us: i64,
    id: i64,
}

/// What is known of an anchor, listed or not.
#[derive(Clone, Copy, Debug)]
struct Score {
    total: i64,
    reached_at_us: i64,
}

impl Score {
    fn key(self, id: i64) -> Key {
        Key { total: Reverse(self.total), reached_at_us: self.reached_at_us, id }
    }
}

/// Totals with their order; every operation is O(log n).
///
/// Invariant: `order` holds exactly the anchors of `scores` whose total is above 0.
#[derive(Debug, Default)]
pub struct Board {
    /// The default hasher is seeded at random: clients choose the ids, and must not be able to
    /// choose ones that collide.
    scores: HashMap<i64, Score>,
    order: Order<Key>,
}

impl Board {
    /// Adds `delta` to the total of `anchor_id` and moves its time to `time_us`, unless it has a
    /// later one.
    ///
    /// # Panics
    /// When the total leaves `0..=i64::MAX`: the caller checks that before anything is durable.
    pub fn add(&mut self, anchor_id: i64, delta: i64, time_us: i64) {
        let new = Score { total: 0, reached_at_us: i64::MIN };
        let score = self.scores.entry(anchor_id).or_insert(new);
        let before = *score;
        score.total = before.total.checked_add(delta).expect("the caller checks for overflow");
        score.reached_at_us = before.reached_at_us.max(time_us);
        assert!(score.total >= 0, "nothing is taken back that was not given");
        let after = *score;
        if before.total > 0 {
            self.order.remove(&before.key(anchor_id));
        }
        if after.total > 0 {
            self.order.insert(after.key(anchor_id));
        }
    }

    /// The total of an anchor: `Some(0)` when all was taken back, `None` when it never had a gift.
    pub fn total(&self, anchor_id: i64) -> Option<i64> {
        self.scores.get(&anchor_id).map(|score| score.total)
    }

    /// Listed anchors: those with a total above 0.
    pub fn len(&self) -> usize {
        self.order.len()
    }

    /// True when no anchor is listed.
    pub fn is_empty(&self) -> bool {
        self.order.is_empty()
    }

    /// The places `offset + 1` to `offset + num`, as far as there are any.
    pub fn top(&self, offset: usize, num: usize) -> Vec<Place> {
        let num = num.min(self.len().saturating_sub(offset));
        let mut places = Vec::with_capacity(num);
        places.extend(self.order.starting_at(offset).take(num).zip(offset + 1..).map(place));
        places
    }

    /// The place of an anchor; `None` when it is not listed.
    pub fn rank(&self, anchor_id: i64) -> Option<Place> {
        self.index(anchor_id).and_then(|index| self.place(index))
    }

    /// The place of an anchor with up to `around` neighbours on each side; `None` when it is not
    /// listed.
    pub fn standing(&self, anchor_id: i64, around: usize) -> Option<Standing> {
        let index = self.index(anchor_id)?;
        let first = index.saturating_sub(around);
        Some(Standing {
            place: self.place(index)?,
            ahead: index.checked_sub(1).and_then(|ahead| self.place(ahead)),
            behind: self.place(index + 1),
            around: self.top(first, index - first + around.saturating_add(1)),
        })
    }

    /// Every anchor that ever had a gift, with total and time, in no order: what a checkpoint
    /// needs, and what a board can be collected from.
    pub fn scores(&self) -> impl ExactSizeIterator<Item = (i64, i64, i64)> {
        self.scores.iter().map(|(&id, score)| (id, score.total, score.reached_at_us))
    }

    fn index(&self, anchor_id: i64) -> Option<usize> {
        let score = self.scores.get(&anchor_id).filter(|score| score.total > 0)?;
        Some(self.order.rank(&score.key(anchor_id)))
    }

    fn place(&self, index: usize) -> Option<Place> {
        self.order.starting_at(index).next().map(|key| place((key, index + 1)))
    }
}

fn place((key, rank): (&Key, usize)) -> Place {
    let Key { total, reached_at_us, id } = *key;
    Place { id, total_worth: total.0, rank, reached_at_us }
}

/// Builds a board from `(anchor_id, total, reached_at_us)`, as [`Board::scores`] gives them; no
/// anchor twice, no total below 0.
impl FromIterator<(i64, i64, i64)> for Board {
    fn from_iter<I: IntoIterator<Item = (i64, i64, i64)>>(scores: I) -> Self {
        let mut board = Self::default();
        let mut keys = Vec::new();
        for (id, total, reached_at_us) in scores {
            assert!(total >= 0, "a total is never below 0");
            let score = Score { total, reached_at_us };
            assert!(board.scores.insert(id, score).is_none(), "an anchor has one score");
            if total > 0 {
                keys.push(score.key(id));
            }
        }
        keys.sort_unstable();
        board.order = Order::from_sorted(&keys);
        board
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The same by sorting all anchors at every question.
    #[derive(Default)]
    struct Model(HashMap<i64, Score>);

    impl Model {
        fn places(&self) -> Vec<Place> {
            let listed = self.0.iter().filter(|(_, score)| score.total > 0);
            let mut keys: Vec<Key> = listed.map(|(&id, score)| score.key(id)).collect();
            keys.sort();
            keys.iter().zip(1..).map(place).collect()
        }
    }

    fn check(board: &Board, model: &Model) {
        let places = model.places();
        assert_eq!(board.len(), places.len());
        assert_eq!(board.is_empty(), places.is_empty());
        assert_eq!(board.top(0, usize::MAX), places);
        for (id, score) in &model.0 {
            assert_eq!(board.total(*id), Some(score.total));
            let listed = places.iter().find(|place| place.id == *id).copied();
            assert_eq!(board.rank(*id), listed);
        }
        for (index, place) in places.iter().enumerate() {
            let around = index % 4;
            let standing = board.standing(place.id, around).expect("it is listed");
            assert_eq!(standing.place, *place);
            assert_eq!(standing.ahead.as_ref(), index.checked_sub(1).map(|ahead| &places[ahead]));
            assert_eq!(standing.behind.as_ref(), places.get(index + 1));
            let end = (index + around + 1).min(places.len());
            assert_eq!(standing.around, places[index.saturating_sub(around)..end]);
            assert_eq!(board.top(index, around), places[index..(index + around).min(places.len())]);
        }
    }

    proptest! {
        #[test]
        fn a_board_is_what_sorting_all_totals_gives(
            gifts in proptest::collection::vec((1..12_i64, -4..6_i64, 0..9_i64), 0..120),
        ) {
            let (mut board, mut model) = (Board::default(), Model::default());
            for (id, delta, time_us) in gifts {
                let score =
                    model.0.entry(id).or_insert(Score { total: 0, reached_at_us: i64::MIN });
                let delta = delta.max(-score.total);
                score.total += delta;
                score.reached_at_us = score.reached_at_us.max(time_us);
                board.add(id, delta, time_us);
            }
            check(&board, &model);
            check(&board.scores().collect(), &model);
        }
    }

    #[test]
    fn an_anchor_whose_gifts_were_taken_back_is_known_but_not_listed() {
        let mut board = Board::default();
        board.add(7, 5, 1);
        board.add(7, -5, 2);
        assert_eq!((board.total(7), board.rank(7), board.len()), (Some(0), None, 0));
        assert_eq!((board.total(8), board.standing(8, 2)), (None, None));
    }

    #[test]
    fn totals_keep_every_unit_up_to_the_largest_number() {
        let mut board = Board::default();
        board.add(1, i64::MAX - 1, 1);
        board.add(2, i64::MAX, 2);
        board.add(1, 1, 3);
        let order: Vec<_> =
            board.top(0, 2).iter().map(|place| (place.id, place.total_worth)).collect();
        assert_eq!(order, [(2, i64::MAX), (1, i64::MAX)]);
    }

    #[test]
    fn a_million_anchors_are_built_at_once_and_ranked_one_by_one() {
        let count = 1_000_000;
        let mut board: Board = (1..=count).map(|id| (id, id, 0)).collect();
        board.add(1, count, 1);
        let ids = |offset| board.top(offset, 2).iter().map(|place| place.id).collect::<Vec<_>>();
        assert_eq!(ids(0), [1, count]);
        assert_eq!(ids(999_998), [3, 2]);
        assert_eq!(board.rank(2).map(|place| place.rank), Some(1_000_000));
    }
}
