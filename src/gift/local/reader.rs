//! Looks up in the files what memory does not hold: the journal of an anchor, and its fans.

use super::checkpoint;
use super::journal;
use super::shared::Shared;
use crate::gift::{Entry, Found, Place, Read};
use crate::store::{OpenError, Store, StoreError, sqlite};
use rusqlite::Connection;
use std::cmp::Reverse;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// One thread's read-only connections.
pub(super) struct Reader {
    shared: Arc<Shared>,
    journal: Connection,
    checkpoint: Connection,
}

impl Reader {
    pub(super) fn open(shared: &Arc<Shared>) -> Result<Self, OpenError> {
        let journal = sqlite::open_reader(&shared.folder.file(journal::FILE))?;
        let checkpoint = sqlite::open_reader(&shared.folder.file(checkpoint::FILE))?;
        Ok(Self { shared: Arc::clone(shared), journal, checkpoint })
    }

    fn look_up(&self, read: &Read) -> rusqlite::Result<Found> {
        match *read {
            Read::Journal { anchor_id, num, before } => {
                let before = before.unwrap_or(i64::MAX);
                // One more than asked tells whether there is a next page.
                let more = num.saturating_add(1);
                let mut entries = journal::of_anchor(&self.journal, anchor_id, before, more)?;
                let more = entries.len() > num;
                entries.truncate(num);
                let next = entries.last().filter(|_| more).map(|entry: &Entry| entry.id);
                Ok(Found::Journal { entries, next })
            }
            Read::Fans { anchor_id, num } => Ok(Found::Fans(self.fans(anchor_id, num)?)),
            Read::Top(_) | Read::Rank { .. } | Read::Worth { .. } => {
                unreachable!("memory answers these")
            }
        }
    }

    /// The best of the checkpoint and what came after it: O(num + entries of the anchor after it).
    fn fans(&self, anchor_id: i64, num: usize) -> rusqlite::Result<Vec<Place>> {
        if !self.shared.checkpoint_lost.load(Ordering::Acquire) {
            match self.fans_folded(anchor_id, num) {
                Ok(fans) => return Ok(fans),
                Err(error) => {
                    tracing::warn!(%error, "fans are summed from the journal for now");
                    if sqlite::trouble(&error) == sqlite::Trouble::Fatal {
                        self.shared.checkpoint_lost.store(true, Ordering::Release);
                    }
                }
            }
        }
        let sums = journal::fans_since(&self.journal, anchor_id, 0)?;
        Ok(places(sums, num))
    }

    fn fans_folded(&self, anchor_id: i64, num: usize) -> rusqlite::Result<Vec<Place>> {
        // One transaction: position and sums must be of the same checkpoint. The journal may be
        // newer, since it only grows.
        let folded = self.checkpoint.unchecked_transaction()?;
        self.fans_in(&folded, anchor_id, num)
    }

    /// The fans as they are answered, with the newest journal entry that the answer knows.
    pub(super) fn fans_as_of(
        &self,
        anchor_id: i64,
        num: usize,
    ) -> rusqlite::Result<(Vec<Place>, i64)> {
        let folded = self.checkpoint.unchecked_transaction()?;
        // Looked at first, so that its snapshot is not newer than the journal's.
        checkpoint::position(&folded)?;
        let whole = self.journal.unchecked_transaction()?;
        let (until, _) = journal::last(&whole)?;
        let fans = if self.shared.checkpoint_lost.load(Ordering::Acquire) {
            places(journal::fans_since(&self.journal, anchor_id, 0)?, num)
        } else {
            self.fans_in(&folded, anchor_id, num)?
        };
        Ok((fans, until))
    }

    fn fans_in(
        &self,
        folded: &Connection,
        anchor_id: i64,
        num: usize,
    ) -> rusqlite::Result<Vec<Place>> {
        let position = checkpoint::position(folded)?;
        let tail = journal::fans_since(&self.journal, anchor_id, position)?;
        let mut sums: HashMap<i64, (i64, i64)> = HashMap::new();
        // Each changed fan can push at most one of the others into the answer.
        let candidates = num.saturating_add(tail.len());
        for (audience_id, worth, time_us) in checkpoint::fans(folded, anchor_id, candidates)? {
            sums.insert(audience_id, (worth, time_us));
        }
        for (audience_id, delta, time_us) in tail {
            let before = match sums.get(&audience_id) {
                Some(&sum) => Some(sum),
                None => checkpoint::fan(folded, anchor_id, audience_id)?,
            };
            let (worth, _) = before.unwrap_or((0, time_us));
            sums.insert(audience_id, (worth + delta, time_us));
        }
        let sums = sums.into_iter().map(|(audience_id, (worth, time))| (audience_id, worth, time));
        Ok(places(sums.collect(), num))
    }
}

/// The order of the boards: total, then who reached it first, then id.
fn places(mut sums: Vec<(i64, i64, i64)>, num: usize) -> Vec<Place> {
    sums.retain(|&(_, worth, _)| worth > 0);
    sums.sort_unstable_by_key(|&(id, worth, time_us)| (Reverse(worth), time_us, id));
    let places = sums.into_iter().take(num).zip(1..);
    places
        .map(|((id, total_worth, reached_at_us), rank)| Place {
            id,
            total_worth,
            rank,
            reached_at_us,
        })
        .collect()
}

impl Store for Reader {
    type Command = Read;
    type Outcome = Found;

    fn apply(&mut self, batch: Vec<Read>) -> Result<Vec<Found>, StoreError> {
        let found: rusqlite::Result<_> = batch.iter().map(|read| self.look_up(read)).collect();
        found.map_err(|error| {
            tracing::error!(%error, "gifts cannot be looked up");
            sqlite::read_failed(&error)
        })
    }
}
