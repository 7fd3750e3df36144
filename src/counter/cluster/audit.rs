//! The counters in Redis against the journal in `MongoDB`, exactly, while both go on.
//!
//! A slice of a board is read together with the fences of the same moment; the journal's sums are
//! brought to exactly those batches, and compared. Sums and their position are kept for the next
//! audit, which then reads only what came since.

use super::draft::Draft;
use super::redis_view::{self, RedisView};
use super::rules::{Board, Rules, Sums, Value};
use crate::calendar::Period;
use crate::cluster::reply::{self, Seen};
use crate::cluster::{
    Generation, JournalDraft, Lanes, Link, MongoRecord, Record, Stream, ViewScripts,
};
use crate::counter::{Id, Types};
use crate::limits::{COUNTER_AUDIT_PAGE_DOCUMENTS, COUNTER_AUDIT_SLICE_ROWS};
use crate::store::mongo::Mongo;
use crate::store::{Audit, BadId, Check, Clock, StoreError};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

/// What a page of the journal may take.
const PAGE_PATIENCE: Duration = Duration::from_secs(60);

/// Slices are read again from the beginning when Redis went back behind what was compared.
const TRIES_MAX: usize = 3;

/// Owned by the audit's thread.
pub(super) struct ClusterAuditor {
    pub(super) lanes: Lanes,
    pub(super) link: Arc<Link>,
    pub(super) view: Arc<RedisView>,
    pub(super) record: Arc<MongoRecord<Draft>>,
    pub(super) rules: Rules,
    pub(super) types: Arc<Types>,
    pub(super) clock: Arc<dyn Clock>,
    /// The journal, summed up to `position`.
    pub(super) sums: Sums,
    pub(super) position: BTreeMap<Stream, u64>,
}

/// Why a comparison cannot go on.
enum Stopped {
    /// Redis forgot something, or was rebuilt: compare again from the beginning.
    Moved,
    /// One of both does not answer.
    Away,
}

impl Audit for ClusterAuditor {
    fn audit(&mut self) -> Result<Vec<Check>, StoreError> {
        for _ in 0..TRIES_MAX {
            match self.compare() {
                Ok(checks) => return Ok(checks),
                Err(Stopped::Moved) => {
                    self.sums = Sums::default();
                    self.position.clear();
                }
                Err(Stopped::Away) => return Err(StoreError::Unavailable),
            }
        }
        Err(StoreError::Unavailable)
    }
}

const COUNTERS: usize = 0;
const WINDOWS: usize = 1;
const USERS: usize = 2;
const LIKERS: usize = 3;

impl ClusterAuditor {
    fn compare(&mut self) -> Result<Vec<Check>, Stopped> {
        let generation = self.link.pass().ok_or(Stopped::Away)?.generation;
        let fences = reply::fences(self.lanes.ask_redis(self.view.fences()));
        let (current, fences) = fences.map_err(|_| Stopped::Away)?;
        if current != Some(generation) {
            return Err(Stopped::Moved);
        }
        self.advance(&fences)?;
        self.forget_old();
        let mut checks = [
            check("journal = counters"),
            check("journal = hot lists of hour, day and week"),
            check("journal = counted users"),
            check("likers = count"),
        ];
        let boards: Vec<Board> = self.sums.boards().cloned().collect();
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
            self.sums.fields(board).map(|(of, _)| of.clone()).collect();
        let mut seen = BTreeSet::new();
        let mut cursor = "0".to_owned();
        loop {
            let command = self.view.slice(generation, board, &cursor, COUNTER_AUDIT_SLICE_ROWS);
            let slice = match redis_view::slice(self.lanes.ask_redis(command), board) {
                Ok(Seen::Here(slice)) => slice,
                Ok(Seen::OtherGeneration(_)) => return Err(Stopped::Moved),
                Err(_) => return Err(Stopped::Away),
            };
            self.advance(&slice.fences)?;
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
            check.left += self.sums.of(board, &of).map_or(0, figure);
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
        let journal = self.sums.of(board, of);
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
        self.sums.fields(board).filter(|(_, value)| figure(*value) > 0).count()
    }

    /// Both as the journal has them: the view was compared with it.
    fn compare_likers(&self, counter_type: &Id, check: &mut Check) {
        let counts =
            Board::Counts { period: Period::All, from_s: 0, counter_type: counter_type.clone() };
        let users = Board::Users(counter_type.clone());
        for (of, count) in self.sums.fields(&counts) {
            let likers = self.sums.of(&users, of).map_or(0, figure);
            check.left += likers;
            check.right += figure(count);
            if likers != figure(count) {
                complain(check, &counts, of);
            }
        }
    }

    /// Brings the sums to exactly these batches.
    fn advance(&mut self, fences: &BTreeMap<Stream, u64>) -> Result<(), Stopped> {
        let now_s = self.clock.now_us().div_euclid(1_000_000);
        let gone_back = |(stream, at): (&Stream, &u64)| fences.get(stream).is_none_or(|f| f < at);
        if self.position.iter().any(gone_back) {
            return Err(Stopped::Moved);
        }
        for (&stream, &through) in fences {
            let mut after = self.position.get(&stream).copied().unwrap_or(0);
            while after < through {
                let (read, records) = self.page(stream, after, through)?;
                for record in &records {
                    record.draft.add_to(&mut self.sums, &self.rules, now_s);
                }
                after = read;
            }
            self.position.insert(stream, through);
        }
        Ok(())
    }

    fn page(
        &self,
        stream: Stream,
        after: u64,
        through: u64,
    ) -> Result<(u64, Vec<Record<Draft>>), Stopped> {
        let record = Arc::clone(&self.record);
        let read = move |mongo: &Mongo| {
            record.read(mongo, stream, (after, through), COUNTER_AUDIT_PAGE_DOCUMENTS)
        };
        self.lanes.ask_mongo(PAGE_PATIENCE, read).and_then(Result::ok).ok_or(Stopped::Away)
    }

    /// Windows that nobody is shown any more may be gone in Redis.
    fn forget_old(&mut self) {
        let now_s = self.clock.now_us().div_euclid(1_000_000);
        let calendar = &self.rules.calendar;
        self.sums.keep(|board| match board {
            Board::Counts { period: Period::All, .. } => true,
            Board::Counts { period, from_s, .. } => {
                calendar.span(*period, *from_s).is_some_and(|span| now_s < span.until_s)
            }
            _ => true,
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
