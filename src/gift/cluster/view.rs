//! What the Redis scripts do to gift boards, exactly.

use super::place_name::PlaceName;
use super::rules::{BoardId, Delta};
use crate::cluster::{PureBoards, PureKeys, PureView};
use std::collections::{BTreeMap, BTreeSet};

/// One board: a hash of all anchors that ever had a gift, a sorted set of those above 0.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Board {
    /// Total and newest time by anchor; never removed while the board is kept.
    pub scores: BTreeMap<i64, (i64, i64)>,
    /// Ascending, as the sorted set has them.
    pub places: BTreeSet<PlaceName>,
    /// When Redis forgets it.
    pub expires_s: Option<i64>,
}

impl Board {
    fn add(&mut self, delta: &Delta) {
        let score = self.scores.entry(delta.anchor_id).or_insert((0, i64::MIN));
        if score.0 > 0 {
            self.places.remove(&PlaceName::new(score.0, score.1, delta.anchor_id));
        }
        // Checked before the first write of the script.
        *score = (score.0 + delta.worth, score.1.max(delta.reached_at_us));
        if score.0 > 0 {
            self.places.insert(PlaceName::new(score.0, score.1, delta.anchor_id));
        }
        self.expires_s = delta.expires_s;
    }

    /// Total, time and anchor, best first.
    pub fn top(&self, num: usize) -> Vec<(i64, i64, i64)> {
        self.places.iter().rev().take(num).filter_map(PlaceName::parts).collect()
    }
}

/// All boards of a generation.
pub type Boards = BTreeMap<BoardId, Board>;

/// See [`PureKeys`].
pub type Keys = PureKeys<Boards>;

/// See [`PureView`].
pub type View = PureView<Boards>;

impl PureBoards for Boards {
    type Row = Delta;
    /// An anchor.
    type Subject = i64;

    fn fits(&self, delta: &Delta) -> bool {
        let total = self.get(&delta.board).and_then(|board| board.scores.get(&delta.anchor_id));
        // Below 0 is allowed on the way: a revoke may be applied before its gift, when they
        // were written by different writers.
        total.map_or(0, |score| score.0).checked_add(delta.worth).is_some()
    }

    fn add(&mut self, delta: &Delta) {
        self.entry(delta.board).or_default().add(delta);
    }

    fn full(&self, delta: &Delta, total_max: i64) -> Option<i64> {
        let score = self.get(&delta.board)?.scores.get(&delta.anchor_id)?;
        (score.0 >= total_max).then_some(delta.anchor_id)
    }

    fn expire(&mut self, now_s: i64) {
        self.retain(|_, board| board.expires_s.is_none_or(|end_s| now_s < end_s));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gift::Period;
    use crate::gift::cluster::{Apply, Load, ScriptAnswer, Stream, Switch};

    const STREAM: Stream = Stream { writer: 9, slot: 0 };
    const ALL: BoardId = BoardId { period: Period::All, from_s: 0 };

    fn delta(anchor_id: i64, worth: i64) -> Delta {
        Delta { board: ALL, expires_s: None, anchor_id, worth, reached_at_us: worth.max(1) }
    }

    fn apply(from: u64, to: u64, deltas: Vec<Delta>) -> Apply {
        Apply { generation: 1, stream: STREAM, from, to, deltas }
    }

    fn load(step: u64, anchor_id: i64) -> Load {
        let fences = vec![(STREAM, 1)];
        Load { generation: 2, step, rows: vec![delta(anchor_id, 5)], fences }
    }

    fn done() -> ScriptAnswer {
        ScriptAnswer::Done { full: Vec::new() }
    }

    fn view() -> View {
        let mut view = View::default();
        assert_eq!(view.switch(&Switch { from: None, to: 1, steps: 0 }), done());
        view
    }

    /// Runs a script that must change nothing.
    fn check(view: &mut View, script: impl Fn(&mut View) -> ScriptAnswer, answer: &ScriptAnswer) {
        let before = view.clone();
        assert_eq!(script(view), *answer);
        assert_eq!(*view, before);
    }

    #[test]
    fn applies_only_what_follows_the_fence() {
        let mut view = view();
        let first = apply(0, 2, vec![delta(7, 5)]);
        assert_eq!(view.apply(&first, 100), done());
        check(&mut view, |view| view.apply(&first, 100), &done());
        for gap in [apply(3, 4, vec![delta(7, 1)]), apply(1, 3, vec![delta(7, 1)])] {
            check(&mut view, |view| view.apply(&gap, 100), &ScriptAnswer::Missing(2));
        }
        assert_eq!(view.apply(&apply(2, 3, vec![delta(7, 1), delta(8, 2)]), 100), done());
        let keys = view.keys().expect("current");
        assert_eq!(keys.boards[&ALL].top(9), [(6, 5, 7), (2, 2, 8)]);
    }

    #[test]
    fn refuses_a_batch_whole_and_tells_of_full_anchors() {
        let mut view = view();
        let most = apply(0, 1, vec![delta(7, i64::MAX - 1)]);
        assert_eq!(view.apply(&most, i64::MAX / 2), ScriptAnswer::Done { full: vec![7] });
        let batch = apply(1, 2, vec![delta(6, 1), delta(7, 2)]);
        check(&mut view, |view| view.apply(&batch, 100), &ScriptAnswer::Refused);
    }

    #[test]
    fn a_revoke_may_come_before_its_gift() {
        let mut view = view();
        assert_eq!(view.apply(&apply(0, 1, vec![delta(7, -5)]), 100), done());
        assert!(view.keys().expect("current").boards[&ALL].top(9).is_empty());
        assert_eq!(view.apply(&apply(1, 2, vec![delta(7, 8)]), 100), done());
        assert_eq!(view.keys().expect("current").boards[&ALL].top(9), [(3, 8, 7)]);
    }

    #[test]
    fn a_generation_is_built_in_order_and_switched_once_complete() {
        let mut view = view();
        let switch = Switch { from: Some(1), to: 2, steps: 2 };
        check(&mut view, |view| view.load(&load(1, 8)), &ScriptAnswer::Missing(0));
        assert_eq!(view.load(&load(0, 7)), done());
        check(&mut view, |view| view.load(&load(0, 7)), &done());
        check(&mut view, |view| view.switch(&switch), &ScriptAnswer::Missing(1));
        assert_eq!(view.load(&load(1, 8)), done());
        let elsewhere = Switch { from: None, ..switch.clone() };
        let other = ScriptAnswer::OtherGeneration(Some(1));
        check(&mut view, |view| view.switch(&elsewhere), &other);
        assert_eq!(view.switch(&switch), done());
        check(&mut view, |view| view.switch(&switch), &done());
        // Scripts of the old generation and late steps of the new one.
        let other = ScriptAnswer::OtherGeneration(Some(2));
        check(&mut view, |view| view.apply(&apply(1, 2, vec![delta(7, 1)]), 100), &other);
        check(&mut view, |view| view.load(&load(2, 9)), &other);
        assert_eq!(view.keys().expect("current").fence(STREAM), 1);
    }
}
