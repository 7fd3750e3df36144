//! What all processes of a cluster must have in common, written down by the first.

use super::members;
use crate::store::mongo::{Find, Mongo, MongoError};
use mongodb::bson::{Document, doc};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// The document with them.
const NAME: &str = "settings";

/// Between two looks at whether the others still live.
const PAUSE: Duration = Duration::from_millis(500);

/// What became of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Agreed {
    /// All have the same.
    Same,
    /// Nobody else lives, so these count from now on: what was made by the old ones is to be made
    /// anew.
    Changed,
    /// Others live, and have these.
    Others(String),
}

/// Compares `settings` with those of the cluster. Where they differ, waits `takeover` long to see
/// whether anybody lives. Blocks a thread of the lane; for starts.
pub fn agree(
    mongo: &Mongo,
    state: &str,
    settings: &Document,
    takeover: Duration,
) -> Result<Agreed, MongoError> {
    let named = || doc! { "_id": NAME };
    match mongo.upsert(state, named(), doc! { "$setOnInsert": settings.clone() }) {
        // Somebody was faster.
        Ok(_) | Err(MongoError::Duplicate) => {}
        Err(error) => return Err(error),
    }
    let find = Find { filter: named(), limit: 1, ..Find::default() };
    let found = mongo.find(state, &find)?.into_iter().next().unwrap_or_default();
    if settings.iter().all(|(field, value)| found.get(field) == Some(value)) {
        return Ok(Agreed::Same);
    }
    let before = members::open_beats(mongo, state)?;
    let end = Instant::now() + takeover;
    while !before.is_empty() && Instant::now() < end {
        if members::open_beats(mongo, state)?.iter().any(|beat| !before.contains(beat)) {
            let mut theirs = found;
            theirs.remove("_id");
            return Ok(Agreed::Others(theirs.to_string()));
        }
        sleep(PAUSE);
    }
    mongo.upsert(state, named(), doc! { "$set": settings.clone() })?;
    Ok(Agreed::Changed)
}
