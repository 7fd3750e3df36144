//! What memory knows of the journal: the board of all time and every kept hour, day and week.

use super::journal::Change;
use crate::calendar::{Calendar, Keep};
use crate::gift::board::Board;
use crate::gift::{Found, Period, Span, TopQuery};
use std::collections::HashMap;

const SECOND_US: i64 = 1_000_000;

/// The periods that end.
pub(super) const SPANS: [Period; 3] = [Period::Hour, Period::Day, Period::Week];

/// The whole second of a time of the record.
pub(super) fn second(time_us: i64) -> i64 {
    time_us.div_euclid(SECOND_US)
}

/// When boards begin, end, and are forgotten.
#[derive(Debug)]
pub(super) struct Rules {
    pub(super) calendar: Calendar,
    pub(super) keep: Keep,
}

impl Rules {
    /// The same rules with a memory of their own: who reads old entries must not push the current
    /// spans out of the memory that the loops use.
    pub(super) fn apart(&self) -> Self {
        Self { calendar: self.calendar.apart(), keep: self.keep }
    }

    /// The spans of a gift's time whose boards are kept.
    pub(super) fn kept(
        &self,
        gift_time_us: i64,
        now_us: i64,
    ) -> impl Iterator<Item = (Period, Span)> {
        SPANS.into_iter().filter_map(move |period| {
            let span = self.calendar.span(period, second(gift_time_us))?;
            self.keep.is_kept(period, span, second(now_us)).then_some((period, span))
        })
    }

    /// Whether a board that begins at `from_s` is one of ours and kept.
    pub(super) fn knows(&self, period: Period, from_s: i64, now_us: i64) -> bool {
        self.calendar.span(period, from_s).is_some_and(|span| {
            span.from_s == from_s && self.keep.is_kept(period, span, second(now_us))
        })
    }
}

/// One board with the time of its newest entry.
#[derive(Debug, Default)]
pub(super) struct Dated {
    pub(super) board: Board,
    pub(super) changed_us: i64,
}

impl Dated {
    fn add(&mut self, change: &Change) {
        self.board.add(change.anchor_id, change.delta, change.time_us);
        self.changed_us = self.changed_us.max(change.time_us);
    }
}

/// All boards; a function of the journal.
#[derive(Debug, Default)]
pub(super) struct Boards {
    pub(super) all: Dated,
    /// By kind and first second.
    pub(super) spans: HashMap<(Period, i64), Dated>,
    /// The newest entry contained, and so where an audit must stand to compare.
    pub(super) position: i64,
    /// Time of the newest entry: the record's clock never falls behind it.
    pub(super) last_time_us: i64,
}

impl Boards {
    /// Adds one entry of the journal.
    pub(super) fn add(&mut self, rules: &Rules, change: &Change) {
        self.all.add(change);
        for (period, span) in rules.kept(change.gift_time_us, change.time_us) {
            self.spans.entry((period, span.from_s)).or_default().add(change);
        }
        self.position = self.position.max(change.id);
        self.last_time_us = self.last_time_us.max(change.time_us);
    }

    /// Takes out the boards that are too old, for the caller to drop once it holds no lock.
    #[must_use]
    pub(super) fn take_expired(&mut self, rules: &Rules, now_us: i64) -> Vec<Dated> {
        let expired =
            self.spans.extract_if(|&(period, from_s), _| !rules.knows(period, from_s, now_us));
        expired.map(|(_, dated)| dated).collect()
    }

    /// The board of a kind that begins at `from_s`; `None` while it is empty.
    pub(super) fn board(&self, period: Period, from_s: i64) -> Option<&Board> {
        let dated = match period {
            Period::All => Some(&self.all),
            _ => self.spans.get(&(period, from_s)),
        };
        dated.map(|dated| &dated.board)
    }

    /// The board of a kind that is current at `now_us`; `None` while it is empty.
    pub(super) fn current(&self, rules: &Rules, period: Period, now_us: i64) -> Option<&Board> {
        if period == Period::All {
            return Some(&self.all.board);
        }
        let span = rules.calendar.span(period, second(now_us))?;
        self.spans.get(&(period, span.from_s)).map(|dated| &dated.board)
    }

    /// Answers [`crate::gift::Read::Top`].
    pub(super) fn top(&self, rules: &Rules, query: &TopQuery, now_us: i64) -> Found {
        let board = |dated: Option<&Dated>, span: Option<Span>| {
            let begun_us = span.map_or(0, |span| span.from_s.saturating_mul(SECOND_US));
            let changed_us = dated.map_or(begun_us, |dated| dated.changed_us.max(begun_us));
            let places = dated.map(|dated| dated.board.top(query.offset, query.num));
            let version = u64::try_from(changed_us).unwrap_or(0);
            Found::Top { places: places.unwrap_or_default().into(), span, version }
        };
        let current_s = second(now_us);
        let asked_s = query.at.unwrap_or(current_s);
        if asked_s > current_s {
            return Found::Future;
        }
        if query.period == Period::All {
            return board(Some(&self.all), None);
        }
        match rules.calendar.span(query.period, asked_s) {
            Some(span) if rules.keep.is_kept(query.period, span, current_s) => {
                board(self.spans.get(&(query.period, span.from_s)), Some(span))
            }
            _ => Found::NotKept,
        }
    }
}
