//! What journal documents add to which boards.

use super::draft::Draft;
use crate::calendar::{Calendar, Keep};
use crate::gift::Period;
use std::collections::BTreeMap;

/// A board: kind and first second; 0 for all time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct BoardId {
    /// Which kind.
    pub period: Period,
    /// When it begins.
    pub from_s: i64,
}

/// What a script adds to one anchor on one board.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Delta {
    /// Where.
    pub board: BoardId,
    /// When Redis may forget the board, in unix seconds; each apply renews it.
    pub expires_s: Option<i64>,
    /// Whose.
    pub anchor_id: i64,
    /// Signed; added.
    pub worth: i64,
    /// The later one wins. Sum and maximum commute, so the order of writers does not matter.
    pub reached_at_us: i64,
}

/// Which boards there are.
#[derive(Debug)]
pub struct Rules {
    /// In the configured time zone.
    pub calendar: Calendar,
    /// How long ended periods are kept.
    pub keep: Keep,
    /// How long a board takes part after nobody is shown it any more: clocks of processes differ,
    /// and a board that one of them still shows must not lack what another skipped.
    pub expiry_margin_s: i64,
}

impl Rules {
    /// More than clocks of one cluster differ by.
    pub const EXPIRY_MARGIN_S: i64 = 3_600;
}

impl Rules {
    /// The boards of a gift given at that time that can still be asked for.
    fn boards(
        &self,
        gift_time_us: i64,
        now_s: i64,
    ) -> impl Iterator<Item = (BoardId, Option<i64>)> {
        let at_s = gift_time_us.div_euclid(1_000_000);
        let spans = [Period::Hour, Period::Day, Period::Week].into_iter();
        let spans = spans.filter_map(move |period| {
            let span = self.calendar.span(period, at_s)?;
            let keep_s = match period {
                Period::Hour => self.keep.hour_s,
                Period::Day => self.keep.day_s,
                _ => self.keep.week_s,
            };
            let expires_s =
                span.until_s.saturating_add(keep_s).saturating_add(self.expiry_margin_s);
            let board = BoardId { period, from_s: span.from_s };
            (now_s < expires_s).then_some((board, Some(expires_s)))
        });
        std::iter::once((BoardId { period: Period::All, from_s: 0 }, None)).chain(spans)
    }

    /// Adds one document.
    pub(super) fn add(&self, sums: &mut Sums, draft: &Draft, now_s: i64) {
        for (board, expires_s) in self.boards(draft.gift_time_us, now_s) {
            let key = (board, draft.entry.anchor_id);
            let sum = sums.0.entry(key).or_insert((expires_s, 0, i64::MIN));
            sum.1 += i128::from(draft.entry.worth);
            sum.2 = sum.2.max(draft.entry.time_us);
        }
    }
}

/// Sums by board and anchor: expiry, worth, newest time.
#[derive(Clone, Debug, Default)]
pub struct Sums(BTreeMap<(BoardId, i64), (Option<i64>, i128, i64)>);

impl Sums {
    /// The boards that have sums.
    pub fn boards(&self) -> Vec<BoardId> {
        let mut boards: Vec<BoardId> = self.0.keys().map(|(board, _)| *board).collect();
        boards.dedup();
        boards
    }

    /// Worth and newest time of an anchor on a board.
    pub fn of(&self, board: BoardId, anchor_id: i64) -> Option<(i128, i64)> {
        self.0.get(&(board, anchor_id)).map(|&(_, worth, reached_at_us)| (worth, reached_at_us))
    }

    /// Anchors of a board with their worth.
    pub fn on(&self, board: BoardId) -> impl Iterator<Item = (i64, i128)> {
        let range = self.0.range((board, i64::MIN)..=(board, i64::MAX));
        range.map(|(&(_, anchor_id), &(_, worth, _))| (anchor_id, worth))
    }

    /// Forgets boards.
    pub fn keep(&mut self, is_kept: impl Fn(BoardId) -> bool) {
        self.0.retain(|(board, _), _| is_kept(*board));
    }

    /// What to send.
    pub(super) fn deltas(&self) -> Vec<Delta> {
        let delta = |(&(board, anchor_id), &(expires_s, worth, reached_at_us)): (_, &(_, _, _))| {
            // What leaves i64 was never acknowledged as a sum; saturated, the script refuses it.
            let worth = i64::try_from(worth).unwrap_or(i64::MAX);
            Delta { board, expires_s, anchor_id, worth, reached_at_us }
        };
        self.0.iter().map(delta).collect()
    }
}
