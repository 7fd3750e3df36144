//! The boards in Redis against the journal in `MongoDB`, exactly, while both go on.
//!
//! Each board is read in slices; see [`JournalSums`].

use super::redis_view::RedisView;
use super::redis_view::reply::{self, Slice};
use super::{BoardId, Draft};
use crate::cluster::{JournalSums, Stopped};
use crate::gift::Period;
use crate::limits::GIFT_AUDIT_SLICE_ROWS;
use crate::store::{Audit, BadId, Check, StoreError};
use std::collections::HashSet;
use std::sync::Arc;

/// Owned by the audit's thread.
pub(super) struct ClusterAuditor {
    pub(super) view: Arc<RedisView>,
    pub(super) journal: JournalSums<Draft>,
}

impl Audit for ClusterAuditor {
    fn audit(&mut self) -> Result<Vec<Check>, StoreError> {
        JournalSums::settle(self, |own| &mut own.journal, Self::compare)
    }
}

impl ClusterAuditor {
    fn compare(&mut self) -> Result<Vec<Check>, Stopped> {
        let generation = self.journal.begin(self.view.fences(), reply::fences)?;
        self.forget_old();
        let kinds = [Period::All, Period::Hour, Period::Day, Period::Week];
        let mut checks: Vec<Check> = kinds.map(check).into();
        for board in self.journal.sums().boards() {
            let check =
                &mut checks[kinds.iter().position(|kind| *kind == board.period).unwrap_or(0)];
            self.compare_board(generation, board, check)?;
        }
        Ok(checks)
    }

    fn compare_board(
        &mut self,
        generation: u64,
        board: BoardId,
        check: &mut Check,
    ) -> Result<(), Stopped> {
        // Who comes while the board is read may be missed by the slices; who was there is not.
        let mut expected: HashSet<i64> =
            self.journal.sums().on(board).map(|(anchor, _)| anchor).collect();
        let mut seen = HashSet::new();
        let mut cursor = "0".to_owned();
        loop {
            let command = self.view.slice(generation, board, &cursor, GIFT_AUDIT_SLICE_ROWS);
            let slice = self.journal.ask(command, reply::slice)?;
            self.journal.advance(&slice.fences)?;
            for &(anchor_id, total, time, placed) in &slice.rows {
                expected.remove(&anchor_id);
                if seen.insert(anchor_id) {
                    self.compare_row(board, (anchor_id, total, time, placed), check);
                }
            }
            cursor.clone_from(&slice.cursor);
            if cursor == "0" {
                self.compare_places(board, &slice, check);
                break;
            }
        }
        for anchor_id in expected {
            let missing = self.journal.sums().of(board, anchor_id).map_or(0, |(worth, _)| worth);
            check.left += missing;
            complain(check, anchor_id);
        }
        Ok(())
    }

    fn compare_row(
        &self,
        board: BoardId,
        (anchor_id, total, time, placed): (i64, i64, i64, bool),
        check: &mut Check,
    ) {
        let journal = self.journal.sums().of(board, anchor_id);
        check.left += journal.map_or(0, |(worth, _)| worth);
        check.right += i128::from(total);
        if journal != Some((i128::from(total), time)) || placed != (total > 0) {
            complain(check, anchor_id);
        }
    }

    /// As many places as anchors above 0: with each row in its place there is none too much.
    fn compare_places(&self, board: BoardId, slice: &Slice, check: &mut Check) {
        let listed = self.journal.sums().on(board).filter(|&(_, worth)| worth > 0).count();
        if listed != slice.places {
            check.ok = false;
        }
    }

    /// Boards that nobody is shown any more may be gone in Redis.
    fn forget_old(&mut self) {
        self.journal.forget(|sums, rules, now_s| {
            sums.keep(|board| {
                let span = rules.calendar.span(board.period, board.from_s);
                span.is_none_or(|span| rules.keep.is_kept(board.period, span, now_s))
            });
        });
    }
}

fn check(kind: Period) -> Check {
    let name = format!("gift: journal = boards ({})", kind.name());
    Check { name, left: 0, right: 0, ok: true, first_bad: None }
}

fn complain(check: &mut Check, anchor_id: i64) {
    check.ok = false;
    let first = match check.first_bad {
        Some(BadId::Number(first)) => first.min(anchor_id),
        _ => anchor_id,
    };
    check.first_bad = Some(BadId::Number(first));
}
