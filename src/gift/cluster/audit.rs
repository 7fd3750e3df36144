//! The boards in Redis against the journal in `MongoDB`, exactly, while both go on.
//!
//! A slice of a board is read together with the fences of the same moment; the journal's sums are
//! brought to exactly those batches, and compared. Sums and their position are kept for the next
//! audit, which then reads only what came since.

use super::redis_view::RedisView;
use super::redis_view::reply::{self, Seen, Slice};
use super::{BoardId, Draft, Record, Rules, Stream, Sums};
use crate::cluster::{JournalDraft, Lanes, Link, MongoRecord};
use crate::gift::Period;
use crate::limits::{GIFT_AUDIT_PAGE_DOCUMENTS, GIFT_AUDIT_SLICE_ROWS};
use crate::store::mongo::Mongo;
use crate::store::{Audit, BadId, Check, Clock, StoreError};
use std::collections::{BTreeMap, HashSet};
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
        let kinds = [Period::All, Period::Hour, Period::Day, Period::Week];
        let mut checks: Vec<Check> = kinds.map(check).into();
        for board in self.sums.boards() {
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
        let mut expected: HashSet<i64> = self.sums.on(board).map(|(anchor, _)| anchor).collect();
        let mut seen = HashSet::new();
        let mut cursor = "0".to_owned();
        loop {
            let command = self.view.slice(generation, board, &cursor, GIFT_AUDIT_SLICE_ROWS);
            let slice = match reply::slice(self.lanes.ask_redis(command)) {
                Ok(Seen::Here(slice)) => slice,
                Ok(Seen::OtherGeneration(_)) => return Err(Stopped::Moved),
                Err(_) => return Err(Stopped::Away),
            };
            self.advance(&slice.fences)?;
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
            let missing = self.sums.of(board, anchor_id).map_or(0, |(worth, _)| worth);
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
        let journal = self.sums.of(board, anchor_id);
        check.left += journal.map_or(0, |(worth, _)| worth);
        check.right += i128::from(total);
        if journal != Some((i128::from(total), time)) || placed != (total > 0) {
            complain(check, anchor_id);
        }
    }

    /// As many places as anchors above 0: with each row in its place there is none too much.
    fn compare_places(&self, board: BoardId, slice: &Slice, check: &mut Check) {
        let listed = self.sums.on(board).filter(|&(_, worth)| worth > 0).count();
        if listed != slice.places {
            check.ok = false;
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
    ) -> Result<(u64, Vec<Record>), Stopped> {
        let record = Arc::clone(&self.record);
        let read = move |mongo: &Mongo| {
            record.read(mongo, stream, (after, through), GIFT_AUDIT_PAGE_DOCUMENTS)
        };
        self.lanes.ask_mongo(PAGE_PATIENCE, read).and_then(Result::ok).ok_or(Stopped::Away)
    }

    /// Boards that nobody is shown any more may be gone in Redis.
    fn forget_old(&mut self) {
        let now_s = self.clock.now_us().div_euclid(1_000_000);
        let rules = &self.rules;
        self.sums.keep(|board| {
            let span = rules.calendar.span(board.period, board.from_s);
            span.is_none_or(|span| rules.keep.is_kept(board.period, span, now_s))
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
