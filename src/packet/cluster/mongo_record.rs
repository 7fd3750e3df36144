//! The record in `MongoDB`: every question is a task for a thread of the lane, and waited for.

use super::documents::{self, Collections};
use super::lines::{ChunkLine, Head, LogEnd, Place};
use super::look_up;
use super::record::{Fate, Known, Record, Trouble, VersionLine};
use crate::cluster::Lanes;
use crate::store::RequestKey;
use crate::store::mongo::{Find, Inserted, Mongo, MongoError};
use mongodb::bson::{Document, doc};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

/// For threads that may wait.
#[derive(Clone)]
pub(super) struct MongoRecord {
    lanes: Lanes,
    names: Arc<Collections>,
    patience: Duration,
}

type Asked<T> = Result<T, MongoError>;

impl MongoRecord {
    /// Waits `patience` long for an answer.
    pub(super) fn new(lanes: Lanes, names: Arc<Collections>, patience: Duration) -> Self {
        Self { lanes, names, patience }
    }

    /// Makes the indexes that are missing.
    pub(super) fn prepare(&self) -> Result<(), Trouble> {
        self.ask(|mongo, names| {
            let mut indexes = names.indexes().into_iter();
            indexes.try_for_each(|(collection, index)| mongo.create_index(collection, &index))
        })
    }

    /// Names of the collections.
    pub(super) fn names(&self) -> Arc<Collections> {
        Arc::clone(&self.names)
    }

    /// Packets that a user may get, and has got, of a rain.
    pub(super) fn counts(&self, rain: i64, uid: i64) -> Result<(i64, i64), Trouble> {
        self.ask(move |mongo, names| look_up::counts(mongo, names, rain, uid))
    }

    /// Has a thread of the lane do something.
    pub(super) fn ask<T: Send + 'static>(
        &self,
        task: impl FnOnce(&Mongo, &Collections) -> Asked<T> + Send + 'static,
    ) -> Result<T, Trouble> {
        let names = Arc::clone(&self.names);
        let answer = self.lanes.ask_mongo(self.patience, move |mongo| task(mongo, &names));
        answer.ok_or(Trouble::Away)?.map_err(Trouble::from)
    }
}

impl From<MongoError> for Trouble {
    fn from(error: MongoError) -> Self {
        match error {
            MongoError::NotSent | MongoError::Unknown => Self::Away,
            MongoError::Duplicate => Self::Overtaken,
            MongoError::Refused(why) => Self::Broken(why),
        }
    }
}

/// Reads all, refusing what this version cannot have written.
pub(super) fn decode<T>(
    documents: &[Document],
    by: impl Fn(&Document) -> Option<T>,
) -> Asked<Vec<T>> {
    let strange = |document: &Document| {
        let name = document.get("_id").map(ToString::to_string).unwrap_or_default();
        tracing::error!(name, "a document of the rains is not one of ours");
        MongoError::Refused(format!("{name} is not one of ours"))
    };
    documents.iter().map(|document| by(document).ok_or_else(|| strange(document))).collect()
}

/// Inserts one; false when its name is taken.
fn insert(mongo: &Mongo, collection: &str, document: Document) -> Asked<bool> {
    match mongo.insert_many(collection, &[document]).pop() {
        Some(Inserted::Done) => Ok(true),
        Some(Inserted::Duplicate) => Ok(false),
        Some(Inserted::NotSent) => Err(MongoError::NotSent),
        Some(Inserted::Refused(why)) => Err(MongoError::Refused(why)),
        Some(Inserted::Unknown) | None => Err(MongoError::Unknown),
    }
}

/// The newest rain, for tasks that are on a thread of the lane.
pub(super) fn newest(mongo: &Mongo, names: &Collections) -> Asked<Option<Head>> {
    let find = Find { sort: doc! { "_id": -1 }, limit: 1, ..Find::default() };
    Ok(decode(&mongo.find(&names.rains, &find)?, documents::head)?.pop())
}

/// A chunk's places, likewise.
pub(super) fn places(mongo: &Mongo, names: &Collections, line: &ChunkLine) -> Asked<Vec<Place>> {
    let find = Find { filter: of_chunk(line), sort: doc! { "_id": 1 }, ..Find::default() };
    decode(&mongo.find(&names.packets, &find)?, documents::place)
}

/// The end of a log, likewise.
pub(super) fn log_end(mongo: &Mongo, names: &Collections, rain: i64) -> Asked<LogEnd> {
    let sort = doc! { "rain": -1, "number": -1 };
    let find = Find { filter: doc! { "rain": rain }, sort, limit: 2, ..Find::default() };
    let mut end = LogEnd::default();
    for document in mongo.find(&names.chunks, &find)?.iter().rev() {
        if let (Ok(number), Ok(rev)) = (document.get_i64("number"), document.get_i64("claim")) {
            end.claim = Some((number, rev));
        } else {
            end.line = decode(std::slice::from_ref(document), documents::chunk_line)?.pop();
            end.claim = None;
        }
    }
    Ok(end)
}

/// By name, not as a range: any server looks so few up one by one.
fn of_chunk(line: &ChunkLine) -> Document {
    doc! { "_id": { "$in": line.envelopes().collect::<Vec<_>>() } }
}

fn fate(inserted: Inserted) -> Fate {
    match inserted {
        Inserted::Done => Fate::Done,
        Inserted::Duplicate => Fate::Taken,
        Inserted::NotSent | Inserted::Unknown => Fate::Unknown,
        Inserted::Refused(why) => {
            tracing::error!(why, "MongoDB refuses a packet");
            Fate::Unknown
        }
    }
}

impl Record for MongoRecord {
    async fn head(&self) -> Result<Option<Head>, Trouble> {
        self.ask(newest)
    }

    async fn has_rain(&self, id: i64) -> Result<bool, Trouble> {
        self.ask(move |mongo, names| {
            let find = Find { filter: doc! { "id": id }, limit: 1, ..Find::default() };
            Ok(!mongo.find(&names.rains, &find)?.is_empty())
        })
    }

    async fn insert_head(&self, head: Head) -> Result<bool, Trouble> {
        self.ask(move |mongo, names| {
            let (mut document, _) = documents::head_fields(&head);
            document.insert("_id", head.number);
            insert(mongo, &names.rains, document)
        })
    }

    async fn swap_head(&self, old: Head, new: Head) -> Result<bool, Trouble> {
        self.ask(move |mongo, names| {
            let filter = doc! { "_id": old.number, "rev": old.rev, "draws": old.draws };
            let (fields, absent) = documents::head_fields(&new);
            let mut update = doc! { "$set": fields };
            if !absent.is_empty() {
                update.insert("$unset", absent);
            }
            Ok(mongo.find_one_and_update(&names.rains, filter, update, false)?.is_some())
        })
    }

    async fn take_draws(&self, number: i64, count: i64) -> Result<Option<(i64, i64)>, Trouble> {
        self.ask(move |mongo, names| {
            let filter = doc! { "_id": number, "ended_us": { "$exists": false } };
            let update = doc! { "$inc": { "draws": count } };
            let found = mongo.find_one_and_update(&names.rains, filter, update, false)?;
            let found: Vec<Document> = found.into_iter().collect();
            let head = decode(&found, documents::head)?.pop();
            Ok(head.map(|head| (head.draws, head.version.version)))
        })
    }

    async fn note_version(&self, line: VersionLine) -> Result<(), Trouble> {
        self.ask(move |mongo, names| {
            insert(mongo, &names.versions, documents::version_document(&line)).map(|_| ())
        })
    }

    async fn asked(&self, key: String) -> Result<Option<String>, Trouble> {
        self.ask(move |mongo, names| {
            for collection in [&names.rains, &names.versions] {
                let filter = doc! { "asked_key": &key };
                let find = Find { filter, limit: 1, ..Find::default() };
                let found = mongo.find(collection, &find)?;
                if let Some(asked) = found.first().and_then(documents::asked) {
                    return Ok(Some(asked.text));
                }
            }
            Ok(None)
        })
    }

    async fn log_end(&self, rain: i64) -> Result<LogEnd, Trouble> {
        self.ask(move |mongo, names| log_end(mongo, names, rain))
    }

    async fn open_chunk(&self, rain: i64, line: ChunkLine) -> Result<bool, Trouble> {
        self.ask(move |mongo, names| {
            let mut document = documents::chunk_fields(&line);
            let name = documents::log_name(rain, line.number());
            document.extend(doc! { "_id": name, "rain": rain, "number": line.number() });
            insert(mongo, &names.chunks, document)
        })
    }

    async fn claim(&self, rain: i64, number: i64, rev: i64) -> Result<bool, Trouble> {
        self.ask(move |mongo, names| {
            let name = documents::log_name(rain, number);
            let document = doc! { "_id": name, "rain": rain, "number": number, "claim": rev };
            insert(mongo, &names.chunks, document)
        })
    }

    async fn raise_claim(&self, rain: i64, number: i64, rev: i64) -> Result<(), Trouble> {
        self.ask(move |mongo, names| {
            let name = documents::log_name(rain, number);
            let filter = doc! { "_id": name, "claim": { "$lt": rev } };
            let update = doc! { "$set": { "claim": rev } };
            mongo.find_one_and_update(&names.chunks, filter, update, false).map(|_| ())
        })
    }

    async fn fill_claim(&self, rain: i64, rev: i64, line: ChunkLine) -> Result<bool, Trouble> {
        self.ask(move |mongo, names| {
            let filter = doc! { "_id": documents::log_name(rain, line.number()), "claim": rev };
            let fields = documents::chunk_fields(&line);
            let update = doc! { "$set": fields, "$unset": { "claim": "" } };
            Ok(mongo.find_one_and_update(&names.chunks, filter, update, false)?.is_some())
        })
    }

    async fn places(&self, _: i64, line: ChunkLine) -> Result<Vec<Place>, Trouble> {
        self.ask(move |mongo, names| places(mongo, names, &line))
    }

    async fn decide(&self, places: Vec<Place>) -> Result<Vec<Fate>, Trouble> {
        if places.is_empty() {
            return Ok(Vec::new());
        }
        self.ask(move |mongo, names| {
            let documents: Vec<Document> = places.iter().map(documents::place_document).collect();
            let fates = mongo.insert_many(&names.packets, &documents);
            Ok(fates.into_iter().map(fate).collect())
        })
    }

    async fn raise_voids(&self, line: ChunkLine, rev: i64) -> Result<(), Trouble> {
        self.ask(move |mongo, names| {
            let mut filter = of_chunk(&line);
            filter.insert("void", doc! { "$lt": rev });
            mongo.update_many(&names.packets, filter, doc! { "$set": { "void": rev } }).map(|_| ())
        })
    }

    async fn drop_voids(&self, line: ChunkLine, rev: i64) -> Result<(), Trouble> {
        self.ask(move |mongo, names| {
            let mut filter = of_chunk(&line);
            filter.insert("void", doc! { "$lt": rev });
            mongo.delete_many(&names.packets, filter).map(|_| ())
        })
    }

    async fn holders(&self, envelopes: Vec<i64>) -> Result<Vec<Place>, Trouble> {
        self.ask(move |mongo, names| {
            let filter = doc! { "_id": { "$in": envelopes } };
            let find = Find { filter, ..Find::default() };
            decode(&mongo.find(&names.packets, &find)?, documents::place)
        })
    }

    async fn known(
        &self,
        rain: i64,
        users: Vec<(i64, Option<RequestKey>)>,
    ) -> Result<Vec<Known>, Trouble> {
        self.ask(move |mongo, names| {
            let uids: Vec<i64> = users.iter().map(|(uid, _)| *uid).collect();
            let filter = doc! { "uid": { "$in": uids }, "rain": rain };
            let find = Find { filter, fields: doc! { "uid": 1 }, ..Find::default() };
            let mut counts: HashMap<i64, i64> = HashMap::new();
            for found in mongo.find(&names.packets, &find)? {
                *counts.entry(found.get_i64("uid").unwrap_or(0)).or_default() += 1;
            }
            // Only then the keys: what came in between is more than the count says.
            let keyed = users.iter().filter_map(|(uid, key)| Some((*uid, key.as_ref()?)));
            let keys: Vec<String> = keyed.map(|(uid, key)| documents::key_of(uid, key)).collect();
            let mut found = Vec::new();
            if !keys.is_empty() {
                let find = Find { filter: doc! { "key": { "$in": keys } }, ..Find::default() };
                found = decode(&mongo.find(&names.packets, &find)?, documents::place)?;
            }
            let known = users.iter().map(|(uid, key)| Known {
                count: counts.get(uid).copied().unwrap_or(0),
                under_key: found.iter().find_map(|place| match place {
                    Place::Granted(line) if line.uid == *uid && key.is_some() => {
                        (line.key == *key).then(|| line.clone())
                    }
                    _ => None,
                }),
            });
            Ok(known.collect())
        })
    }
}
