//! The members of a cluster as `MongoDB` keeps them: heartbeats, last words, and the lease.

use super::document::{stream_from_bson, stream_to_bson, unsigned};
use super::message::{Beat, BeatAnswer, LeaseDoc, Member};
use super::record::Stream;
use crate::store::mongo::{Find, Mongo, MongoError};
use mongodb::bson::{Bson, Document, doc};
use std::collections::BTreeMap;

/// The document of the lease.
const LEASE: &str = "lease";

/// Finished members stay for ever, since the journal does; so what is known of them is kept, and a
/// look reads only those that can change.
#[derive(Debug, Default)]
pub(super) struct Members(BTreeMap<u64, Member>);

fn name(process: u64) -> String {
    format!("member/{process:016x}")
}

/// Writes a heartbeat over an older one of a process that is not finished.
pub(super) fn beat(mongo: &Mongo, state: &str, beat: &Beat) -> Result<BeatAnswer, MongoError> {
    let number = beat.number.cast_signed();
    let filter = doc! {
        "_id": name(beat.process), "number": { "$lt": number }, "finals": { "$exists": false },
    };
    let streams: Vec<Bson> = beat.streams.iter().map(|&s| stream_to_bson(s, None)).collect();
    let words = doc! {
        "kind": "member", "process": beat.process.cast_signed(), "number": number,
        "behind": beat.behind, "streams": streams,
    };
    match mongo.upsert(state, filter, doc! { "$set": words }) {
        Ok(_) => Ok(BeatAnswer::Taken),
        // It is there, and newer or finished.
        Err(MongoError::Duplicate) => {
            let filter = doc! { "_id": name(beat.process) };
            let found = mongo.find(state, &Find { filter, limit: 1, ..Find::default() })?;
            match found.first() {
                Some(found) if found.contains_key("finals") => Ok(BeatAnswer::Finished),
                Some(_) => Ok(BeatAnswer::Taken),
                None => Err(MongoError::Unknown),
            }
        }
        Err(error) => Err(error),
    }
}

/// Writes down the last batches of a process: one whose heartbeat still has that number, or, without
/// a number, our own.
pub(super) fn finish(
    mongo: &Mongo,
    state: &str,
    process: u64,
    number: Option<u64>,
    finals: &[(Stream, u64)],
) -> Result<(), MongoError> {
    let mut filter = doc! { "_id": name(process), "finals": { "$exists": false } };
    if let Some(number) = number {
        filter.insert("number", number.cast_signed());
    }
    let finals: Vec<Bson> = finals.iter().map(|&(s, seq)| stream_to_bson(s, Some(seq))).collect();
    let update = doc! { "$set": { "finals": finals } };
    mongo.find_one_and_update(state, filter, update, false).map(|_| ())
}

/// A finished process is behind no more.
pub(super) fn settle(mongo: &Mongo, state: &str, process: u64) -> Result<(), MongoError> {
    let filter = doc! { "_id": name(process), "finals": { "$exists": true } };
    let update = doc! { "$set": { "behind": false } };
    mongo.find_one_and_update(state, filter, update, false).map(|_| ())
}

/// Takes the lease of that term; the new term, or `None` when another was faster.
pub(super) fn take_lease(
    mongo: &Mongo,
    state: &str,
    term: u64,
    holder: u64,
) -> Result<Option<u64>, MongoError> {
    let mut filter = doc! { "_id": LEASE };
    if term > 0 {
        filter.insert("term", term.cast_signed());
    } else {
        // Where there is one already, making it fails.
        filter.insert("term", doc! { "$exists": false });
    }
    let taken = doc! { "term": (term + 1).cast_signed(), "holder": holder.cast_signed() };
    match mongo.find_one_and_update(state, filter, doc! { "$set": taken }, term == 0) {
        Ok(found) => Ok((found.is_some() || term == 0).then_some(term + 1)),
        Err(MongoError::Duplicate) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Process and newest heartbeat of all who are not finished.
pub(super) fn open_beats(mongo: &Mongo, state: &str) -> Result<Vec<(u64, u64)>, MongoError> {
    let filter = doc! { "kind": "member", "finals": { "$exists": false } };
    let found = mongo.find(state, &Find { filter, ..Find::default() })?;
    let beat = |found: &Document| Some((unsigned(found, "process")?, unsigned(found, "number")?));
    Ok(found.iter().filter_map(beat).collect())
}

impl Members {
    /// All members and the lease, as they are at some moment after the call.
    pub(super) fn look(
        &mut self,
        mongo: &Mongo,
        state: &str,
    ) -> Result<(Vec<Member>, LeaseDoc), MongoError> {
        let open = doc! { "kind": "member", "finals": { "$exists": false } };
        let filter = doc! { "$or": [{ "_id": LEASE }, open, { "kind": "member", "behind": true }] };
        let found = mongo.find(state, &Find { filter, ..Find::default() })?;
        let mut lease = LeaseDoc::default();
        let mut members = BTreeMap::new();
        for document in &found {
            if document.get_str("_id") == Ok(LEASE) {
                let part = |field| unsigned(document, field).unwrap_or(0);
                lease = LeaseDoc { term: part("term"), holder: part("holder") };
            } else if let Some(member) = member(document) {
                members.insert(member.beat.process, member);
            }
        }
        self.0.retain(|_, member| member.finals.is_some());
        self.0.append(&mut members);
        // Whoever was finished since the last look is missing in both: counted after the question
        // above, so that nobody slips through between.
        let known = self.0.values().filter(|member| member.finals.is_some()).count();
        if finished_count(mongo, state)? == known {
            self.settle_known(&found);
        } else {
            let filter = doc! { "kind": "member", "finals": { "$exists": true } };
            let found = mongo.find(state, &Find { filter, ..Find::default() })?;
            self.0.extend(found.iter().filter_map(|document| {
                member(document).map(|member| (member.beat.process, member))
            }));
        }
        Ok((self.0.values().cloned().collect(), lease))
    }

    /// A finished member that is not found as behind is behind no more.
    fn settle_known(&mut self, found: &[Document]) {
        let named = |process| {
            let name = name(process);
            found.iter().any(|document| document.get_str("_id") == Ok(&name))
        };
        for member in self.0.values_mut().filter(|member| member.beat.behind) {
            member.beat.behind = named(member.beat.process);
        }
    }
}

fn finished_count(mongo: &Mongo, state: &str) -> Result<usize, MongoError> {
    let finished = doc! { "kind": "member", "finals": { "$exists": true } };
    let count = doc! { "_id": Bson::Null, "count": { "$sum": 1_i64 } };
    let found =
        mongo.aggregate(state, vec![doc! { "$match": finished }, doc! { "$group": count }])?;
    let count =
        found.first().and_then(|found| found.get("count")).map_or(Some(0), |count| match count {
            Bson::Int32(count) => usize::try_from(*count).ok(),
            Bson::Int64(count) => usize::try_from(*count).ok(),
            _ => None,
        });
    count.ok_or_else(|| MongoError::Refused(format!("{state}: it does not count")))
}

fn member(document: &Document) -> Option<Member> {
    let list = |field| -> Option<Vec<(Stream, u64)>> {
        document.get_array(field).ok()?.iter().map(stream_from_bson).collect()
    };
    let streams = list("streams")?.into_iter().map(|(stream, _)| stream).collect();
    let finals = if document.contains_key("finals") { Some(list("finals")?) } else { None };
    let beat = Beat {
        process: unsigned(document, "process")?,
        number: unsigned(document, "number")?,
        behind: document.get_bool("behind").ok()?,
        streams,
    };
    Some(Member { beat, finals })
}
