//! What the journal knows when the view cannot tell. Each call blocks a thread of the lane.

use super::draft::{Draft, step_name, turn_name};
use super::looks::State;
use crate::cluster::JournalDocument;
use crate::counter::{Counter, Id};
use crate::store::mongo::{Find, Mongo, MongoError};
use mongodb::bson::{Document, doc};
use std::collections::HashMap;

/// What a write must know of a counter, its sums aside.
pub(super) fn state(
    mongo: &Mongo,
    journal: &str,
    counter: &Counter,
    users: &[Id],
) -> Result<State, MongoError> {
    let turns = turn_name(counter, 0)..turn_name(counter, u64::MAX);
    let newest = last(mongo, journal, turns)?;
    let epoch = newest.as_ref().map_or(0, Draft::epoch_after);
    let turn = newest.and_then(|newest| newest.turn).unwrap_or(0);
    let mut steps = HashMap::new();
    for user in users {
        let names = step_name(counter, epoch, user, 0)..step_name(counter, epoch, user, u64::MAX);
        if let Some(n) = last(mongo, journal, names)?.and_then(|newest| newest.step()) {
            steps.insert(user.clone(), n);
        }
    }
    Ok(State { epoch, turn, steps, ..State::default() })
}

/// What was made under a key.
pub(super) fn by_key(mongo: &Mongo, journal: &str, key: &str) -> Result<Option<Draft>, MongoError> {
    let find = Find { filter: doc! { "key": key }, limit: 1, ..Find::default() };
    mongo.find(journal, &find)?.first().map(read).transpose()
}

/// The document with the last of these names.
fn last(
    mongo: &Mongo,
    journal: &str,
    names: std::ops::Range<String>,
) -> Result<Option<Draft>, MongoError> {
    let filter = doc! { "_id": { "$gt": names.start, "$lte": names.end } };
    let find = Find { filter, sort: doc! { "_id": -1 }, limit: 1, ..Find::default() };
    mongo.find(journal, &find)?.first().map(read).transpose()
}

fn read(document: &Document) -> Result<Draft, MongoError> {
    let name = document.get_str("_id").unwrap_or_default();
    Draft::read(name, document).ok_or_else(|| {
        tracing::error!(name, "a document of the journal is not one of ours");
        MongoError::Refused(format!("{name} is not one of ours"))
    })
}
