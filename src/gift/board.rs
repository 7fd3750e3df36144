//! One board: a total per anchor, ordered by total, then by who reached it first, then by id.

use super::{Place, Standing};
use indexset::BTreeSet;
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
    order: BTreeSet<Key>,
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
        self.order.len() == 0
    }

    /// The places `offset + 1` to `offset + num`, as far as there are any.
    pub fn top(&self, offset: usize, num: usize) -> Vec<Place> {
        let end = offset.saturating_add(num).min(self.len());
        (offset..end).map_while(|index| self.place(index)).collect()
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
        self.order.get_index(index).map(|key| Place {
            id: key.id,
            total_worth: key.total.0,
            rank: index + 1,
            reached_at_us: key.reached_at_us,
        })
    }
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
        board.order = keys.into_iter().collect();
        board
    }
}
