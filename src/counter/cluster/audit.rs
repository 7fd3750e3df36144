//! The counters in Redis against the journal in `MongoDB`, exactly, while both go on.
//!
//! Each board is read in slices; see [`JournalSums`].

use super::draft::Draft;
use super::redis_view::{self, RedisView};
use super::rules::{Board, Value};
use crate::calendar::Period;
use crate::cluster::{Generation, JournalSums, Stopped, ViewScripts, reply};
use crate::counter::{Id, Types};
use crate::limits::COUNTER_AUDIT_SLICE_ROWS;
use crate::store::{Audit, BadId, Check, StoreError};
use std::collections::BTreeSet;
use std::sync::Arc;

/// Owned by the audit's thread.
pub(super) struct ClusterAuditor {
    pub(super) view: Arc<RedisView>,
    pub(super) journal: JournalSums<Draft>,
    /// Types whose users are held against their counts.
    pub(super) types: Arc<Types>,
}

impl Audit for ClusterAuditor {
    fn audit(&mut self) -> Result<Vec<Check>, StoreError> {
        JournalSums::settle(self, |own| &mut own.journal, Self::compare)
    }
}

const COUNTERS: usize = 0;
const WINDOWS: usize = 1;
const USERS: usize = 2;
const LIKERS: usize = 3;

impl ClusterAuditor {
    fn compare(&mut self) -> Result<Vec<Check>, Stopped> {
        let fences = ViewScripts::fences(&*self.view);
        let generation = self.journal.begin(fences, reply::fences)?;
        self.forget_old();
        let mut checks = [
            check("journal = counters"),
            check("journal = hot lists of hour, day and week"),
            check("journal = counted users"),
            check("likers = count"),
        ];
        let boards: Vec<Board> = self.journal.sums().boards().cloned().collect();
        for board in &boards {
            let check = match board {
                Board::Counts { period: Period::All, .. } | Board::Turns(_) => COUNTERS,
                Board::Counts { .. } => WINDOWS,
                Board::Users(_) | Board::Steps(_) => USERS,
            };
            self.compare_board(generation, board, &mut checks[check])?;
        }
        for counter_type in &self.types.unique {
            self.compare_likers(counter_type, &mut checks[LIKERS]);
        }
        Ok(checks.into())
    }

    fn compare_board(
        &mut self,
        generation: Generation,
        board: &Board,
        check: &mut Check,
    ) -> Result<(), Stopped> {
        // Who comes while the board is read may be missed by the slices; who was there is not.
        let mut expected: BTreeSet<Id> =
            self.journal.sums().fields(board).map(|(of, _)| of.clone()).collect();
        let mut seen = BTreeSet::new();
        let mut cursor = "0".to_owned();
        loop {
            let command = self.view.slice(generation, board, &cursor, COUNTER_AUDIT_SLICE_ROWS);
            let slice = self.journal.ask(command, |answer| redis_view::slice(answer, board))?;
            self.journal.advance(&slice.fences)?;
            for (of, value, is_placed) in slice.rows {
                expected.remove(&of);
                if seen.insert(of.clone()) {
                    self.compare_row(board, (&of, value, is_placed), check);
                }
            }
            cursor = slice.cursor;
            if cursor == "0" {
                // With each row in its place there is none too much.
                check.ok &= self.listed(board) == slice.places;
                break;
            }
        }
        for of in expected {
            check.left += self.journal.sums().of(board, &of).map_or(0, figure);
            complain(check, board, &of);
        }
        Ok(())
    }

    fn compare_row(
        &self,
        board: &Board,
        (of, value, is_placed): (&Id, Value, bool),
        check: &mut Check,
    ) {
        let journal = self.journal.sums().of(board, of);
        // What is not summed up is compared all the same.
        if !matches!(board, Board::Turns(_) | Board::Steps(_)) {
            check.left += journal.map_or(0, figure);
            check.right += figure(value);
        }
        let is_listed = matches!(board, Board::Counts { .. }) && figure(value) > 0;
        if journal != Some(value) || is_placed != is_listed {
            complain(check, board, of);
        }
    }

    /// Places that a board should have.
    fn listed(&self, board: &Board) -> usize {
        if !matches!(board, Board::Counts { .. }) {
            return 0;
        }
        self.journal.sums().fields(board).filter(|(_, value)| figure(*value) > 0).count()
    }

    /// Both as the journal has them: the view was compared with it.
    fn compare_likers(&self, counter_type: &Id, check: &mut Check) {
        let counts =
            Board::Counts { period: Period::All, from_s: 0, counter_type: counter_type.clone() };
        let users = Board::Users(counter_type.clone());
        for (of, count) in self.journal.sums().fields(&counts) {
            let likers = self.journal.sums().of(&users, of).map_or(0, figure);
            check.left += likers;
            check.right += figure(count);
            if likers != figure(count) {
                complain(check, &counts, of);
            }
        }
    }

    /// Windows that nobody is shown any more may be gone in Redis.
    fn forget_old(&mut self) {
        self.journal.forget(|sums, rules, now_s| {
            sums.keep(|board| match board {
                Board::Counts { period: Period::All, .. } => true,
                Board::Counts { period, from_s, .. } => {
                    let span = rules.calendar.span(*period, *from_s);
                    span.is_some_and(|span| now_s < span.until_s)
                }
                _ => true,
            });
        });
    }
}

/// A row as a figure to be added up.
fn figure(value: Value) -> i128 {
    match value {
        Value::Sum { sum, .. } => sum,
        Value::Mark(_, n) => n.into(),
    }
}

fn check(name: &str) -> Check {
    Check { name: format!("counter: {name}"), left: 0, right: 0, ok: true, first_bad: None }
}

/// The smallest is kept, so that the same fault has the same name in every audit.
fn complain(check: &mut Check, board: &Board, of: &Id) {
    check.ok = false;
    let name = match board {
        Board::Counts { counter_type, .. }
        | Board::Users(counter_type)
        | Board::Turns(counter_type) => {
            format!("{of}/{counter_type}")
        }
        Board::Steps(counter) => format!("{}/{}", counter.resource, counter.counter_type),
    };
    let is_first = match &check.first_bad {
        Some(BadId::Text(first)) => name < *first,
        _ => true,
    };
    if is_first {
        check.first_bad = Some(BadId::Text(name));
    }
}
