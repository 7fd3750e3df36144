//! Holds the fans as they are answered against those that the journal alone adds up to.

use super::journal;
use super::reader::Reader;
use crate::gift::ledger;
use crate::limits::{
    GIFT_AUDIT_FAN_ENTRIES_MAX, GIFT_AUDIT_FANS_IN_TURN, GIFT_AUDIT_SLICE_ENTRIES,
};
use crate::store::Check;
use rusqlite::Connection;
use std::cmp::Reverse;
use std::collections::{BTreeSet, HashMap};
use std::thread;
use std::time::Duration;

/// Fans compared of each anchor: as many as can be asked for.
const FANS: usize = 100;

/// Who, total, and time of the newest entry.
type Fan = (i64, i64, i64);

/// Compares the `touched` anchors and a few of those in `turn`; returns the last of these.
///
/// After [`GIFT_AUDIT_FAN_ENTRIES_MAX`] entries it leaves the rest to later audits.
pub(super) fn compare(
    reader: &Reader,
    journal: &Connection,
    touched: BTreeSet<i64>,
    turn: impl Iterator<Item = i64>,
    pause: Duration,
) -> rusqlite::Result<(Check, Option<i64>)> {
    let (mut left, mut right, mut bad) = (0, 0, None);
    let (mut entries, mut last_in_turn) = (0, None);
    let mut done = BTreeSet::new();
    // Those in turn first: then also anchors that always have company get theirs.
    let in_turn = turn.take(GIFT_AUDIT_FANS_IN_TURN).map(|anchor| (anchor, true));
    for (anchor, is_in_turn) in in_turn.chain(touched.into_iter().map(|anchor| (anchor, false))) {
        if entries >= GIFT_AUDIT_FAN_ENTRIES_MAX {
            break;
        }
        if is_in_turn {
            last_in_turn = Some(anchor);
        }
        if !done.insert(anchor) {
            continue;
        }
        let (answered, until) = reader.fans_as_of(anchor, FANS)?;
        let (expected, read) = fans(journal, anchor, until, pause)?;
        entries += read;
        let answered = answered.iter().map(|fan| (fan.id, fan.total_worth, fan.reached_at_us));
        let answered: Vec<Fan> = answered.collect();
        let total =
            |fans: &[Fan]| -> i128 { fans.iter().map(|&(_, worth, _)| i128::from(worth)).sum() };
        left += total(&expected);
        right += total(&answered);
        if expected != answered {
            bad = Some(bad.map_or(anchor, |known: i64| known.min(anchor)));
        }
    }
    let check = ledger::check("fans of the journal = fans as answered", left, right, bad);
    Ok((check, last_in_turn))
}

/// The best fans of an anchor in its entries up to `until`, and the number of those entries.
fn fans(
    journal: &Connection,
    anchor_id: i64,
    until: i64,
    pause: Duration,
) -> rusqlite::Result<(Vec<Fan>, i64)> {
    let mut sums: HashMap<i64, (i64, i64)> = HashMap::new();
    let (mut after, mut entries) = (0, 0);
    loop {
        let slice = journal::gifts_to(journal, anchor_id, after, until, GIFT_AUDIT_SLICE_ENTRIES)?;
        for &(id, audience_id, worth, time_us) in &slice {
            let sum = sums.entry(audience_id).or_insert((0, time_us));
            *sum = (sum.0.saturating_add(worth), sum.1.max(time_us));
            (after, entries) = (id, entries + 1);
        }
        if i64::try_from(slice.len()).unwrap_or(i64::MAX) < GIFT_AUDIT_SLICE_ENTRIES {
            break;
        }
        thread::sleep(pause);
    }
    let fans = sums.into_iter().filter(|(_, (worth, _))| *worth > 0);
    let mut fans: Vec<_> = fans.map(|(id, (worth, time_us))| (id, worth, time_us)).collect();
    fans.sort_unstable_by_key(|&(id, worth, time_us)| (Reverse(worth), time_us, id));
    fans.truncate(FANS);
    Ok((fans, entries))
}
