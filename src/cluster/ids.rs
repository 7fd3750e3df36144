//! Numbers for journal entries: each is given once, by whatever process, and grows within one.
//!
//! `MongoDB` hands out blocks; a process takes the next block long before its own is used up. With
//! the number goes a time that grows strictly within the process, whatever the clock does.

use super::lanes::Lanes;
use crate::store::mongo::{Mongo, MongoError};
use mongodb::bson::doc;
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

/// Numbers of one block; below 2^53 there are as many blocks as a thousand processes that send 50,000
/// gifts a second each use up in five years.
const BLOCK: i64 = 1 << 20;

/// The document with the next block.
const NAME: &str = "ids";

/// Shared by all loops; its lock is held for a few additions.
pub struct Ids {
    lanes: Lanes,
    collection: Arc<str>,
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    current: Range<i64>,
    spare: Option<Range<i64>>,
    fetching: bool,
    last_us: i64,
}

impl Ids {
    /// With a first block, and the time of the newest entry that a process noted at its end.
    pub fn new(lanes: Lanes, collection: &str, first: (Range<i64>, i64)) -> Self {
        let (current, last_us) = first;
        let state = State { current, last_us, ..State::default() };
        Self { lanes, collection: collection.into(), state: Arc::new(Mutex::new(state)) }
    }

    /// Takes a block, and the newest time noted; blocks, for a thread of the lane.
    pub fn take_block(mongo: &Mongo, collection: &str) -> Result<(Range<i64>, i64), MongoError> {
        let (filter, update) = (doc! { "_id": NAME }, doc! { "$inc": { "blocks": 1_i64 } });
        let found = mongo.find_one_and_update(collection, filter, update, true)?;
        let found = found.unwrap_or_default();
        let strange = || MongoError::Refused(format!("{collection}: {NAME} is not as expected"));
        let before = if found.is_empty() { Ok(0) } else { found.get_i64("blocks") };
        let block = before.ok().and_then(|before| before.checked_add(1)).ok_or_else(strange)?;
        let start = block.checked_mul(BLOCK).ok_or_else(strange)?;
        Ok((start..start + BLOCK, found.get_i64("time_us").unwrap_or(0)))
    }

    /// Notes the time of the newest entry, at the end of the process; blocks, for a thread of the
    /// lane.
    pub fn note_time(mongo: &Mongo, collection: &str, last_us: i64) -> Result<(), MongoError> {
        let update = doc! { "$max": { "time_us": last_us } };
        mongo.upsert(collection, doc! { "_id": NAME }, update).map(|_| ())
    }

    /// A number and a time for one entry; `None` when `MongoDB` has been away for so long that the
    /// blocks are used up.
    pub fn next(&self, now_us: i64) -> Option<(i64, i64)> {
        let mut state = self.lock();
        if state.current.is_empty() {
            state.current = state.spare.take().unwrap_or_default();
        }
        let left = state.current.end - state.current.start;
        if left < BLOCK / 2 && state.spare.is_none() && !state.fetching {
            state.fetching = self.fetch();
        }
        let id = state.current.next()?;
        state.last_us = now_us.max(state.last_us + 1);
        Some((id, state.last_us))
    }

    /// The time that was given last.
    pub fn last_us(&self) -> i64 {
        self.lock().last_us
    }

    /// Asks for a spare block; false when the lane does not take the question now.
    fn fetch(&self) -> bool {
        let (state, collection) = (Arc::clone(&self.state), Arc::clone(&self.collection));
        let task = Box::new(move |mongo: &Mongo| {
            let block = Self::take_block(mongo, &collection);
            let mut state = state.lock().unwrap_or_else(PoisonError::into_inner);
            state.fetching = false;
            state.spare = block.ok().map(|(block, _)| block);
        });
        self.lanes.mongo.submit(task).is_ok()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
