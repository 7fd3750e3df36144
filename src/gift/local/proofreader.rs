//! Reads the journal forward, and parts of it again: does it keep its rules, and did a line change?

use super::journal;
use crate::gift::ledger::{self, Row};
use crate::limits::{GIFT_AUDIT_REREAD_ENTRIES, GIFT_AUDIT_SLICE_ENTRIES};
use crate::store::Check;
use rusqlite::Connection;
use std::collections::BTreeMap;
use std::thread;
use std::time::Duration;

/// Entries with one fingerprint: 10 million entries have 40,000 of them, about 1 MB.
const BLOCK_ENTRIES: i64 = 256;

/// A read-only connection with what was read through it.
pub(super) struct Proofreader {
    pub(super) journal: Connection,
    /// Between two slices.
    pause: Duration,
    /// Read up to this entry.
    position: i64,
    time_us: i64,
    entries: i64,
    broken: Option<i64>,
    /// The first entry of the first block that was read differently later; sums start anew then.
    changed: Option<i64>,
    fingerprints: BTreeMap<i64, u64>,
    /// The block to read again next.
    turn: i64,
}

impl Proofreader {
    pub(super) fn new(journal: Connection, pause: Duration) -> Self {
        Self {
            journal,
            pause,
            position: 0,
            time_us: i64::MIN,
            entries: 0,
            broken: None,
            changed: None,
            fingerprints: BTreeMap::new(),
            turn: 0,
        }
    }

    /// Hands the entries up to `until` to `each`, in slices of a snapshot each, so that the
    /// journal's log can be moved meanwhile.
    pub(super) fn advance(
        &mut self,
        until: i64,
        mut each: impl FnMut(&Row),
    ) -> rusqlite::Result<()> {
        while self.position < until {
            let end = until.min(self.position.saturating_add(GIFT_AUDIT_SLICE_ENTRIES));
            let mut last_id = self.position;
            journal::rows(&self.journal, self.position, end, |row| {
                let id = row.entry.id;
                if self.broken.is_none() && !row.may_follow(last_id, self.time_us) {
                    // After a gap it is the missing one that is wrong.
                    self.broken = Some(id.min(last_id + 1));
                }
                let fingerprint = self.fingerprints.entry(id / BLOCK_ENTRIES).or_default();
                *fingerprint = row.fold(*fingerprint);
                (last_id, self.time_us) = (id, row.entry.time_us);
                self.entries += 1;
                each(&row);
            })?;
            if last_id < end {
                self.broken.get_or_insert(last_id + 1);
            }
            self.position = end;
            if end < until {
                thread::sleep(self.pause);
            }
        }
        Ok(())
    }

    /// Reads some old entries again. False when a line is not what it was: then this starts anew.
    pub(super) fn reread(&mut self) -> rusqlite::Result<bool> {
        let blocks =
            self.fingerprints.range(self.turn..).chain(self.fingerprints.range(..self.turn));
        let several = usize::try_from(GIFT_AUDIT_REREAD_ENTRIES / BLOCK_ENTRIES).unwrap_or(1);
        let per_pause = usize::try_from(GIFT_AUDIT_SLICE_ENTRIES / BLOCK_ENTRIES).unwrap_or(1);
        let mut changed = None;
        let mut turn = self.turn;
        for (number, (&block, &expected)) in blocks.take(several).enumerate() {
            let mut found = 0;
            let first = block * BLOCK_ENTRIES;
            let last = (first + BLOCK_ENTRIES - 1).min(self.position);
            journal::rows(&self.journal, first - 1, last, |row| found = row.fold(found))?;
            if found != expected {
                changed = Some(first.max(1));
                break;
            }
            turn = block + 1;
            if number % per_pause == per_pause - 1 {
                thread::sleep(self.pause);
            }
        }
        self.turn = turn;
        let Some(id) = changed else { return Ok(true) };
        self.changed.get_or_insert(id);
        (self.position, self.time_us, self.entries) = (0, i64::MIN, 0);
        (self.broken, self.turn) = (None, 0);
        self.fingerprints.clear();
        Ok(false)
    }

    /// The newest id against the number of entries, and whether each keeps the rules.
    pub(super) fn check(&self) -> Check {
        let bad = self.broken.into_iter().chain(self.changed).min();
        let (left, right) = (i128::from(self.position), i128::from(self.entries));
        ledger::check("newest id = entries, unchanged", left, right, bad)
    }
}
