//! Sums of many journal entries, board by board: for a start and for checkpoints, where adding
//! them one by one to ordered boards would cost ten times as much.

use super::journal::Change;
use super::state::{Boards, Dated, Rules};
use crate::gift::{Period, Span};
use std::collections::HashMap;

/// What went wrong with files that should make boards.
#[derive(Debug, thiserror::Error)]
pub(super) enum Fault {
    /// `SQLite` says so.
    #[error(transparent)]
    Sql(#[from] rusqlite::Error),
    /// No journal of ours sums up to this.
    #[error("the total of anchor {anchor_id} leaves its range")]
    Total {
        /// Whose.
        anchor_id: i64,
    },
}

/// Worth and time of the newest entry.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sum {
    pub(super) worth: i64,
    pub(super) reached_us: i64,
}

type ByAnchor = HashMap<i64, Sum>;

/// Sums for the board of all time and the kept spans.
#[derive(Debug, Default)]
pub(super) struct Sums {
    all: ByAnchor,
    spans: HashMap<(Period, i64), ByAnchor>,
    last_time_us: i64,
}

impl Sums {
    /// Adds one entry to the boards that are kept at `now_us`.
    pub(super) fn add(&mut self, rules: &Rules, change: &Change, now_us: i64) -> Result<(), Fault> {
        let &Change { anchor_id, delta, time_us, .. } = change;
        add(&mut self.all, anchor_id, delta, time_us)?;
        for (period, Span { from_s, .. }) in rules.kept(change.gift_time_us, now_us) {
            add(self.spans.entry((period, from_s)).or_default(), anchor_id, delta, time_us)?;
        }
        self.last_time_us = self.last_time_us.max(time_us);
        Ok(())
    }

    /// Takes over one row of a checkpoint.
    pub(super) fn put(
        &mut self,
        period: Period,
        from_s: i64,
        anchor_id: i64,
        sum: Sum,
    ) -> Result<(), Fault> {
        let board = match period {
            Period::All => &mut self.all,
            _ => self.spans.entry((period, from_s)).or_default(),
        };
        self.last_time_us = self.last_time_us.max(sum.reached_us);
        add(board, anchor_id, sum.worth, sum.reached_us)
    }

    /// Every sum with its board, in the order of a checkpoint's rows: neighbours in the file are
    /// written one after the other.
    pub(super) fn sorted(self) -> Vec<(Period, i64, i64, Sum)> {
        let spans = self.spans.into_iter().map(|((period, from_s), board)| (period, from_s, board));
        let boards = std::iter::once((Period::All, 0, self.all)).chain(spans);
        let mut rows: Vec<_> = boards
            .flat_map(|(period, from_s, board)| {
                board.into_iter().map(move |(anchor, sum)| (period, from_s, anchor, sum))
            })
            .collect();
        rows.sort_unstable_by_key(|&(period, from_s, anchor, _)| (period, from_s, anchor));
        rows
    }

    /// The boards that these sums make, as of the entry `position`.
    pub(super) fn into_boards(self, position: i64) -> Result<Boards, Fault> {
        let spans = self.spans.into_iter().map(|(key, board)| Ok((key, dated(board)?)));
        Ok(Boards {
            all: dated(self.all)?,
            spans: spans.collect::<Result<_, Fault>>()?,
            position,
            last_time_us: self.last_time_us,
        })
    }
}

/// Adds to one sum, without wrapping.
pub(super) fn add(
    board: &mut ByAnchor,
    anchor_id: i64,
    worth: i64,
    time_us: i64,
) -> Result<(), Fault> {
    let sum = board.entry(anchor_id).or_insert(Sum { worth: 0, reached_us: i64::MIN });
    sum.worth = sum.worth.checked_add(worth).ok_or(Fault::Total { anchor_id })?;
    sum.reached_us = sum.reached_us.max(time_us);
    Ok(())
}

fn dated(board: ByAnchor) -> Result<Dated, Fault> {
    if let Some((&anchor_id, _)) = board.iter().find(|(_, sum)| sum.worth < 0) {
        return Err(Fault::Total { anchor_id });
    }
    let changed_us = board.values().map(|sum| sum.reached_us).max().unwrap_or(0);
    let scores = board.into_iter().map(|(anchor, sum)| (anchor, sum.worth, sum.reached_us));
    Ok(Dated { board: scores.collect(), changed_us })
}
