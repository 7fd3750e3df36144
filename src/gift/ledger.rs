//! What the journal adds up to, summed apart from the boards: an audit holds the two together.
//!
//! Nothing here is shared with the code that makes the boards. Sums are kept per board and anchor in
//! the order of ids, so that they can be compared slice by slice while the boards go on changing.

use super::{Entry, Period, Place, WORTH};
use crate::store::{BadId, Check};
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::ops::Bound::{Excluded, Unbounded};

/// A board: its kind, and its first second (0 for all time).
pub type BoardKey = (Period, i64);

/// A line of the journal with the gift that it takes back.
#[derive(Clone, Debug)]
pub struct Row {
    /// The line.
    pub entry: Entry,
    /// What its `revokes` leads to.
    pub target: Option<Entry>,
}

impl Row {
    /// The time whose spans the line changes.
    pub fn gift_time_us(&self) -> i64 {
        self.target.as_ref().map_or(self.entry.time_us, |target| target.time_us)
    }

    /// Whether the line keeps the journal's rules when it comes after the entry `id` of `time_us`.
    pub fn may_follow(&self, id: i64, time_us: i64) -> bool {
        let Entry { audience_id, anchor_id, worth, .. } = self.entry;
        let in_order = self.entry.id == id + 1 && self.entry.time_us > time_us;
        let is_sound = match (self.entry.revokes, &self.target) {
            (None, _) => WORTH.contains(&worth) && audience_id > 0 && anchor_id > 0,
            (Some(_), None) => false,
            (Some(_), Some(gift)) => {
                gift.revokes.is_none()
                    && gift.id < self.entry.id
                    && (gift.audience_id, gift.anchor_id) == (audience_id, anchor_id)
                    && gift.worth.checked_neg() == Some(worth)
            }
        };
        in_order && is_sound
    }

    /// Mixes the line into the fingerprint of the lines before it.
    pub fn fold(&self, fingerprint: u64) -> u64 {
        let Entry { id, audience_id, anchor_id, worth, time_us, revokes } = self.entry;
        // The same in every run of one process, and nobody else sees it.
        let mut hasher = DefaultHasher::new();
        (fingerprint, id, audience_id, anchor_id, worth, time_us, revokes).hash(&mut hasher);
        hasher.finish()
    }
}

#[derive(Clone, Copy, Debug)]
struct Sum {
    worth: i64,
    reached_us: i64,
    /// The comparison that has looked at it last.
    seen: u32,
}

/// What the comparison of a board found.
#[derive(Clone, Copy, Debug, Default)]
struct Verdict {
    /// What the board shows more than the journal adds up to.
    excess: i128,
    bad_total: Option<i64>,
    listed_excess: i128,
    bad_order: Option<i64>,
}

#[derive(Debug, Default)]
struct Account {
    sums: BTreeMap<i64, Sum>,
    total: i128,
    /// Anchors whose total is above 0.
    listed: i128,
    /// Since its last comparison, or that one found something.
    is_due: bool,
    verdict: Verdict,
}

/// The sums of every board.
#[derive(Debug, Default)]
pub struct Ledger {
    accounts: BTreeMap<BoardKey, Account>,
    comparisons: u32,
    /// The board that was compared last although it was not due.
    turn: Option<BoardKey>,
}

/// A comparison under way. Whatever is given to it was read as of the ledger's own position.
#[derive(Debug)]
pub struct Comparison {
    key: BoardKey,
    number: u32,
    verdict: Verdict,
    strangers: BTreeSet<i64>,
}

impl Ledger {
    /// Adds a line to the boards of `keys`. A journal that makes no sense saturates a sum, which
    /// then differs from any board.
    pub fn add(&mut self, keys: impl Iterator<Item = BoardKey>, entry: &Entry) {
        for key in keys {
            let account = self.accounts.entry(key).or_default();
            let new = Sum { worth: 0, reached_us: i64::MIN, seen: 0 };
            let sum = account.sums.entry(entry.anchor_id).or_insert(new);
            let before = sum.worth;
            sum.worth = before.saturating_add(entry.worth);
            sum.reached_us = sum.reached_us.max(entry.time_us);
            account.total += i128::from(sum.worth) - i128::from(before);
            account.listed += i128::from(sum.worth > 0) - i128::from(before > 0);
            account.is_due = true;
        }
    }

    /// Drops the boards that are no longer kept.
    pub fn retain(&mut self, keep: impl Fn(BoardKey) -> bool) {
        self.accounts.retain(|&key, _| keep(key));
    }

    /// The boards to compare now: `shown` ones that the journal does not know, those that changed
    /// since they were compared, and one more, in turn.
    pub fn due(&mut self, shown: impl Iterator<Item = BoardKey>) -> Vec<BoardKey> {
        for key in shown {
            let new = || Account { is_due: true, ..Account::default() };
            self.accounts.entry(key).or_insert_with(new);
        }
        let rests = |(&key, account): (&BoardKey, &Account)| (!account.is_due).then_some(key);
        let next = |turn: Option<BoardKey>| {
            self.accounts.iter().filter_map(rests).find(|&key| turn.is_none_or(|turn| key > turn))
        };
        self.turn = next(self.turn).or_else(|| next(None));
        let due = self.accounts.iter().filter(|(_, account)| account.is_due).map(|(&key, _)| key);
        due.chain(self.turn).collect()
    }

    /// Begins to compare a board.
    pub fn begin(&mut self, key: BoardKey) -> Comparison {
        self.comparisons = self.comparisons.wrapping_add(1).max(1);
        self.accounts.entry(key).or_default().is_due = false;
        let (number, verdict) = (self.comparisons, Verdict::default());
        Comparison { key, number, verdict, strangers: BTreeSet::new() }
    }

    /// Compares neighbours of the board's order; slices overlap by one place.
    pub fn walk(&mut self, comparison: &mut Comparison, places: &[Place]) {
        let account = self.accounts.entry(comparison.key).or_default();
        let order = |place: &Place| (Reverse(place.total_worth), place.reached_at_us, place.id);
        for pair in places.windows(2) {
            if order(&pair[0]) >= order(&pair[1]) || pair[0].rank + 1 != pair[1].rank {
                worst(&mut comparison.verdict.bad_order, pair[1].id);
            }
        }
        for place in places {
            let known = account.sums.get_mut(&place.id);
            let expected = known.as_ref().map(|sum| (sum.worth, sum.reached_us));
            if expected != Some((place.total_worth, place.reached_at_us)) {
                worst(&mut comparison.verdict.bad_total, place.id);
            }
            let is_first = match known {
                Some(sum) => std::mem::replace(&mut sum.seen, comparison.number) != sum.seen,
                None => comparison.strangers.insert(place.id),
            };
            if is_first {
                let expected = expected.map_or(0, |(worth, _)| worth);
                comparison.verdict.excess += i128::from(place.total_worth) - i128::from(expected);
            }
        }
    }

    /// Up to `num` anchors behind `after` that the walk has not met: those that are not listed, and
    /// those that moved meanwhile.
    pub fn missed(&self, comparison: &Comparison, after: i64, num: usize) -> Vec<i64> {
        let Some(account) = self.accounts.get(&comparison.key) else { return Vec::new() };
        let behind = account.sums.range((Excluded(after), Unbounded));
        let missed = behind.filter(|(_, sum)| sum.seen != comparison.number);
        missed.map(|(&anchor, _)| anchor).take(num).collect()
    }

    /// Compares one anchor: its total on the board, and its place if it has one.
    pub fn look_up(
        &mut self,
        comparison: &mut Comparison,
        anchor_id: i64,
        total: Option<i64>,
        place: Option<Place>,
    ) {
        let account = self.accounts.entry(comparison.key).or_default();
        let Some(sum) = account.sums.get_mut(&anchor_id) else { return };
        sum.seen = comparison.number;
        if total != Some(sum.worth) {
            worst(&mut comparison.verdict.bad_total, anchor_id);
            comparison.verdict.excess += i128::from(total.unwrap_or(0)) - i128::from(sum.worth);
        }
        let listed = place.map(|place| (place.id, place.total_worth, place.reached_at_us));
        let expected = (sum.worth > 0).then_some((anchor_id, sum.worth, sum.reached_us));
        if listed != expected {
            worst(&mut comparison.verdict.bad_order, anchor_id);
        }
    }

    /// Ends a comparison with the number of anchors that the board lists.
    pub fn finish(&mut self, comparison: &Comparison, listed: usize) {
        let account = self.accounts.entry(comparison.key).or_default();
        let mut verdict = comparison.verdict;
        verdict.listed_excess = i128::try_from(listed).unwrap_or(i128::MAX) - account.listed;
        let found = verdict.bad_total.is_some() || verdict.bad_order.is_some();
        account.is_due |= found || verdict.listed_excess != 0;
        account.verdict = verdict;
    }

    /// The anchor behind `after`, for those who go round.
    pub fn anchor_after(&self, after: i64) -> Option<i64> {
        let all = self.accounts.get(&(Period::All, 0))?;
        let next = all.sums.range(after.saturating_add(1)..).next();
        next.or_else(|| all.sums.iter().next()).map(|(&anchor, _)| anchor)
    }

    /// What all comparisons found.
    pub fn checks(&self) -> Vec<Check> {
        let mut checks: Vec<Check> = Period::NAMES.map(|(name, of)| self.totals(name, of)).into();
        let (mut left, mut right, mut bad) = (0, 0, None);
        for Account { listed, verdict, .. } in self.accounts.values() {
            left += listed;
            right += listed + verdict.listed_excess;
            verdict.bad_order.into_iter().for_each(|anchor| worst(&mut bad, anchor));
        }
        checks.push(check("order of the journal = order of boards", left, right, bad));
        checks
    }

    fn totals(&self, name: &str, of: Period) -> Check {
        let (mut left, mut right, mut bad) = (0, 0, None);
        let boards = self.accounts.iter().filter(|((period, _), _)| *period == of);
        for (_, Account { total, verdict, .. }) in boards {
            left += total;
            right += total + verdict.excess;
            verdict.bad_total.into_iter().for_each(|anchor| worst(&mut bad, anchor));
        }
        check(&format!("journal = boards ({name})"), left, right, bad)
    }
}

/// A check of gifts.
pub fn check(name: &str, left: i128, right: i128, bad: Option<i64>) -> Check {
    Check {
        name: format!("gift: {name}"),
        left,
        right,
        ok: left == right && bad.is_none(),
        first_bad: bad.map(BadId::Number),
    }
}

/// Keeps the smallest id, so that the same fault has the same name in every run.
fn worst(bad: &mut Option<i64>, id: i64) {
    *bad = Some(bad.map_or(id, |known| known.min(id)));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gift::board::Board;

    const ALL: BoardKey = (Period::All, 0);

    /// Three anchors with 10, 20 and 30, and a fourth whose gift was taken back.
    fn ledger() -> Ledger {
        let mut ledger = Ledger::default();
        for (id, anchor_id, worth) in [(1, 1, 10), (2, 2, 20), (3, 3, 30), (4, 4, 5), (5, 4, -5)] {
            let revokes = (worth < 0).then_some(id - 1);
            let entry = Entry { id, audience_id: 1, anchor_id, worth, time_us: id, revokes };
            ledger.add([ALL].into_iter(), &entry);
        }
        ledger
    }

    /// The failed checks after a comparison with a board, shown in slices of two places.
    fn check(scores: &[(i64, i64, i64)], swap: bool) -> Vec<(String, i128, Option<BadId>)> {
        let (board, mut ledger): (Board, _) = (scores.iter().copied().collect(), ledger());
        assert_eq!(ledger.due([ALL].into_iter()), [ALL]);
        let mut comparison = ledger.begin(ALL);
        let mut places = board.top(0, usize::MAX);
        if swap {
            places.swap(0, 1);
        }
        for pair in places.windows(2) {
            ledger.walk(&mut comparison, pair);
        }
        for anchor in ledger.missed(&comparison, i64::MIN, usize::MAX) {
            ledger.look_up(&mut comparison, anchor, board.total(anchor), board.rank(anchor));
        }
        ledger.finish(&comparison, board.len());
        let failed = ledger.checks().into_iter().filter(|check| !check.ok);
        failed.map(|check| (check.name, check.right - check.left, check.first_bad)).collect()
    }

    #[test]
    fn a_board_with_the_same_sums_is_well_and_any_other_is_named() {
        let total = |by, anchor| {
            vec![("gift: journal = boards (all)".to_owned(), by, Some(BadId::Number(anchor)))]
        };
        let order = |by, anchor: Option<i64>| {
            let name = "gift: order of the journal = order of boards".to_owned();
            vec![(name, by, anchor.map(BadId::Number))]
        };
        let well = [(1, 10, 1), (2, 20, 2), (3, 30, 3), (4, 0, 5)];
        let with = |at: usize, score| {
            let mut scores = well;
            scores[at] = score;
            check(&scores, false)
        };
        assert_eq!(check(&well, false), []);
        assert_eq!(with(1, (2, 21, 2)), total(1, 2));
        assert_eq!(with(1, (2, 20, 3)), total(0, 2), "the time decides ties");
        assert_eq!(
            check(&well, true),
            order(0, Some(1)),
            "3 and 2 changed places, 1 has the wrong one ahead"
        );
        assert_eq!(check(&well[1..], false), [total(-10, 1), order(-1, Some(1))].concat());
        let stranger: Vec<_> = well.into_iter().chain([(9, 7, 7)]).collect();
        assert_eq!(check(&stranger, false), [total(7, 9), order(1, None)].concat());
        assert_eq!(with(3, (4, 1, 5)), [total(1, 4), order(1, None)].concat());
    }

    #[test]
    fn errors_that_cancel_out_are_errors() {
        let found = check(&[(1, 11, 1), (2, 19, 2), (3, 30, 3), (4, 0, 5)], false);
        let [(name, difference, bad)] = found.as_slice() else { panic!("{found:?}") };
        assert_eq!((name.as_str(), *difference), ("gift: journal = boards (all)", 0));
        assert_eq!(*bad, Some(BadId::Number(1)));
    }

    #[test]
    fn a_board_that_rests_gets_its_turn_and_one_that_changed_at_once() {
        let mut ledger = Ledger::default();
        let keys = [(Period::Hour, 0), (Period::Hour, 3_600), (Period::Hour, 7_200)];
        let entry =
            Entry { id: 1, audience_id: 1, anchor_id: 1, worth: 1, time_us: 1, revokes: None };
        ledger.add(keys.into_iter(), &entry);
        let round = |ledger: &mut Ledger| {
            let due = ledger.due(std::iter::empty());
            for &key in &due {
                let comparison = ledger.begin(key);
                ledger.finish(&comparison, 1);
            }
            due
        };
        assert_eq!(round(&mut ledger), keys);
        assert_eq!(round(&mut ledger), [keys[0]]);
        ledger.add([keys[0]].into_iter(), &entry);
        assert_eq!(round(&mut ledger), [keys[0], keys[1]]);
        assert_eq!(round(&mut ledger), [keys[2]]);
        assert_eq!(round(&mut ledger), [keys[0]]);
    }
}
