//! What only the journal knows, asked of `MongoDB`: pages of it, fans, and gifts to revoke. Each call
//! blocks a thread of the lane.

use super::Draft;
use super::document::entry;
use crate::gift::{Entry, Found, Place};
use crate::store::RequestKey;
use crate::store::mongo::{Find, Mongo, MongoError};
use mongodb::bson::{Document, doc};

/// What is asked of the journal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Lookup {
    /// An anchor's entries, newest first, behind a cursor.
    Journal { anchor_id: i64, num: usize, before: Option<i64> },
    /// An anchor's audience.
    Fans { anchor_id: i64, num: usize },
}

/// What there is to know before a gift can be revoked.
#[derive(Clone, Debug)]
pub(super) struct Target {
    /// What is to be revoked.
    pub(super) id: i64,
    /// The entry of that id.
    pub(super) entry: Option<Entry>,
    /// The revoke that was made under the request's key: of which entry, and why.
    pub(super) under_key: Option<(Option<i64>, Option<String>)>,
}

/// Answers a look-up.
pub(super) fn look_up(mongo: &Mongo, journal: &str, lookup: Lookup) -> Result<Found, MongoError> {
    match lookup {
        Lookup::Journal { anchor_id, num, before } => {
            page(mongo, journal, (anchor_id, num, before))
        }
        Lookup::Fans { anchor_id, num } => fans(mongo, journal, anchor_id, num),
    }
}

fn page(
    mongo: &Mongo,
    journal: &str,
    (anchor_id, num, before): (i64, usize, Option<i64>),
) -> Result<Found, MongoError> {
    let mut filter = doc! { "anchor_id": anchor_id };
    if let Some(id) = before {
        // Processes give ids in blocks, so that the order is that of times; the cursor names an
        // entry, whose time is looked up.
        match one(mongo, journal, doc! { "anchor_id": anchor_id, "id": id })? {
            Some(last) => {
                let same_time = doc! { "time_us": last.time_us, "id": { "$lt": id } };
                let earlier = doc! { "time_us": { "$lt": last.time_us } };
                filter.insert("$or", vec![earlier, same_time]);
            }
            None => {
                filter.insert("id", doc! { "$lt": id });
            }
        }
    }
    let sort = doc! { "anchor_id": 1, "time_us": -1, "id": -1 };
    // One more than asked tells whether there is a next page.
    let limit = i64::try_from(num).unwrap_or(i64::MAX).saturating_add(1);
    let found = mongo.find(journal, &Find { filter, sort, limit, ..Find::default() })?;
    let mut entries = found.iter().map(read).collect::<Result<Vec<Entry>, _>>()?;
    let more = entries.len() > num;
    entries.truncate(num);
    let next = entries.last().filter(|_| more).map(|entry| entry.id);
    Ok(Found::Journal { entries, next })
}

fn fans(mongo: &Mongo, journal: &str, anchor_id: i64, num: usize) -> Result<Found, MongoError> {
    let sum = doc! {
        "_id": "$audience_id", "total": { "$sum": "$worth" }, "reached": { "$first": "$time_us" },
    };
    let pipeline = vec![
        doc! { "$match": { "anchor_id": anchor_id } },
        doc! { "$sort": { "anchor_id": 1, "time_us": -1, "id": -1 } },
        doc! { "$group": sum },
        doc! { "$match": { "total": { "$gt": 0_i64 } } },
        doc! { "$sort": { "total": -1, "reached": 1, "_id": 1 } },
        doc! { "$limit": i64::try_from(num).unwrap_or(i64::MAX) },
    ];
    let found = mongo.aggregate(journal, pipeline)?;
    let place = |(document, rank): (&Document, usize)| {
        let number = |field| document.get_i64(field).map_err(|_| strange(document));
        let (id, total_worth) = (number("_id")?, number("total")?);
        Ok(Place { id, total_worth, rank, reached_at_us: number("reached")? })
    };
    let places: Result<Vec<Place>, MongoError> = found.iter().zip(1..).map(place).collect();
    Ok(Found::Fans(places?))
}

/// What a revoke is about.
pub(super) fn target(
    mongo: &Mongo,
    journal: &str,
    id: i64,
    key: Option<&RequestKey>,
) -> Result<Target, MongoError> {
    let entry = one(mongo, journal, doc! { "id": id })?;
    let under_key = match key.map(Draft::revoke_key) {
        None => None,
        Some(key) => {
            let find = Find { filter: doc! { "key": key }, limit: 1, ..Find::default() };
            let found = mongo.find(journal, &find)?.into_iter().next();
            found.map(|found| {
                let reason = found.get_str("reason").ok().map(str::to_owned);
                (found.get_i64("revokes").ok(), reason)
            })
        }
    };
    Ok(Target { id, entry, under_key })
}

fn one(mongo: &Mongo, journal: &str, filter: Document) -> Result<Option<Entry>, MongoError> {
    let found = mongo.find(journal, &Find { filter, limit: 1, ..Find::default() })?;
    found.first().map(read).transpose()
}

fn read(document: &Document) -> Result<Entry, MongoError> {
    entry(document).ok_or_else(|| strange(document))
}

fn strange(document: &Document) -> MongoError {
    let name = document.get("_id").map(ToString::to_string).unwrap_or_default();
    tracing::error!(name, "a document of the journal is not one of ours");
    MongoError::Refused(format!("{name} is not one of ours"))
}
