//! What is looked up in `MongoDB`, on a thread of its lane: wallets, openings, terms, proofs.

use super::documents::{self, Collections, key_of};
use super::lines::{Head, granted};
use super::mongo_record::{decode, log_end, newest, places};
use crate::packet::proof::{Linked, Proof, Used};
use crate::packet::{
    Budget, Figures, Found, HISTORY_VERSIONS_MAX, Held, Open, Opened, Read, Sum, Version, wire,
};
use crate::store::mongo::{Find, Mongo, MongoError};
use mongodb::bson::{Document, doc};
use std::collections::BTreeMap;
use std::sync::Arc;

type Asked<T> = Result<T, MongoError>;

/// Opens a packet: one document changes, once.
pub(super) fn open(mongo: &Mongo, names: &Collections, open: &Open, now_us: i64) -> Asked<Opened> {
    let Open { uid, envelope_id, key } = open;
    let name = key.as_ref().map(|key| key_of(*uid, key));
    if let Some(name) = &name
        && let Some(earlier) = one(mongo, names, doc! { "open_key": name })?
    {
        return Ok(if earlier.get_i64("_id") == Ok(*envelope_id) {
            paid(&earlier, true)
        } else {
            Opened::KeyConflict
        });
    }
    let Some(packet) = one(mongo, names, doc! { "_id": envelope_id })? else {
        return Ok(Opened::NoSuchPacket);
    };
    let number = |field| packet.get_i64(field).ok();
    let Some(rain) = number("rain") else { return Ok(Opened::NoSuchPacket) };
    let is_opened = packet.contains_key("opened_us");
    if !is_opened && is_returned(mongo, names, rain)? {
        return Ok(Opened::NoSuchPacket);
    }
    if number("uid") != Some(*uid) {
        return Ok(Opened::NotYours);
    }
    if is_opened {
        return Ok(paid(&packet, true));
    }
    let filter = doc! { "_id": envelope_id, "opened_us": { "$exists": false } };
    let mut fields = doc! { "opened_us": now_us };
    if let Some(name) = name {
        fields.insert("open_key", name);
    }
    let update = doc! { "$set": fields };
    match mongo.find_one_and_update(&names.packets, filter, update, false) {
        Ok(Some(packet)) => Ok(paid(&packet, false)),
        // Somebody was faster.
        Ok(None) => Ok(paid(&packet, true)),
        Err(MongoError::Duplicate) => Ok(Opened::KeyConflict),
        Err(error) => Err(error),
    }
}

fn paid(packet: &Document, replayed: bool) -> Opened {
    Opened::Paid { value_fen: packet.get_i64("value_fen").unwrap_or(0), replayed }
}

fn one(mongo: &Mongo, names: &Collections, filter: Document) -> Asked<Option<Document>> {
    Ok(mongo.find(&names.packets, &Find { filter, limit: 1, ..Find::default() })?.pop())
}

fn is_returned(mongo: &Mongo, names: &Collections, rain: i64) -> Asked<bool> {
    let filter = doc! { "_id": rain, "returned_us": { "$exists": true } };
    let find = Find { filter, fields: doc! { "_id": 1 }, limit: 1, ..Find::default() };
    Ok(!mongo.find(&names.rains, &find)?.is_empty())
}

/// Packets that a user may get, and has got, of a rain.
pub(super) fn counts(mongo: &Mongo, names: &Collections, rain: i64, uid: i64) -> Asked<(i64, i64)> {
    let max_per_user =
        head(mongo, names, doc! { "_id": rain })?.map_or(0, |head| head.terms().max_per_user);
    let filter = doc! { "uid": uid, "rain": rain };
    let find = Find { filter, fields: doc! { "_id": 1 }, ..Find::default() };
    Ok((max_per_user, count(mongo.find(&names.packets, &find)?.len())))
}

/// Answers a question.
pub(super) fn read(mongo: &Mongo, names: &Collections, read: Read) -> Asked<Found> {
    match read {
        Read::Wallet { uid, limit, before } => wallet(mongo, names, uid, limit, before),
        Read::Config => figures(mongo, names),
        Read::Proof { id } => {
            let filter = id.map_or_else(Document::new, |id| doc! { "id": id });
            match head(mongo, names, filter)? {
                None => Ok(Found::NoRain),
                Some(head) if !head.is_sealed => Ok(Found::NotEnded),
                Some(head) => {
                    let encoded: Arc<[u8]> = wire::proof(&proof(mongo, names, &head)?).into();
                    Ok(Found::Proof(encoded))
                }
            }
        }
        Read::Rain => unreachable!("memory answers this"),
    }
}

fn head(mongo: &Mongo, names: &Collections, filter: Document) -> Asked<Option<Head>> {
    let find = Find { filter, sort: doc! { "_id": -1 }, limit: 1, ..Find::default() };
    Ok(decode(&mongo.find(&names.rains, &find)?, documents::head)?.pop())
}

fn wallet(
    mongo: &Mongo,
    names: &Collections,
    uid: i64,
    limit: i64,
    before: Option<i64>,
) -> Asked<Found> {
    // Rains return their packets one after the other, so one number tells which have.
    let find = Find {
        filter: doc! { "returned_us": { "$exists": true } },
        sort: doc! { "_id": -1 },
        fields: doc! { "_id": 1 },
        limit: 1,
    };
    let returned = mongo.find(&names.rains, &find)?;
    let returned = returned.first().and_then(|rain| rain.get_i64("_id").ok()).unwrap_or(0);
    let opened = doc! { "uid": uid, "opened_us": { "$exists": true } };
    let amount_fen = sum(mongo, names, opened)?.fen;
    let mut filter = doc! {
        "uid": uid,
        "$or": [{ "opened_us": { "$exists": true } }, { "rain": { "$gt": returned } }],
    };
    if let Some(before) = before {
        filter.insert("_id", doc! { "$lt": before });
    }
    // In the order of the index, which is that of the envelopes.
    let sort = doc! { "uid": -1, "rain": -1, "nth": -1 };
    let find = Find { filter, sort, limit: limit + 1, ..Find::default() };
    let mut packets = decode(&mongo.find(&names.packets, &find)?, held)?;
    let asked = usize::try_from(limit).unwrap_or(usize::MAX);
    let more = packets.len() > asked;
    packets.truncate(asked);
    let next = packets.last().filter(|_| more).map(|held| held.envelope_id);
    Ok(Found::Wallet { amount_fen, packets, next })
}

fn held(document: &Document) -> Option<Held> {
    let number = |field| document.get_i64(field).ok();
    Some(Held {
        envelope_id: number("_id")?,
        value_fen: number("opened_us").and_then(|_| number("value_fen")),
        snatched_at: number("time_us")?.div_euclid(1_000_000),
    })
}

/// How many packets match, and what is in them.
pub(super) fn sum(mongo: &Mongo, names: &Collections, filter: Document) -> Asked<Sum> {
    let group = doc! { "_id": null, "count": { "$sum": 1_i64 }, "fen": { "$sum": "$value_fen" } };
    let pipeline = vec![doc! { "$match": filter }, doc! { "$group": group }];
    let found = mongo.aggregate(&names.packets, pipeline)?;
    let number = |field| {
        found.first().map_or(0, |found| match found.get(field) {
            Some(mongodb::bson::Bson::Int64(number)) => *number,
            Some(mongodb::bson::Bson::Int32(number)) => i64::from(*number),
            _ => 0,
        })
    };
    Ok(Sum { count: number("count"), fen: number("fen") })
}

fn figures(mongo: &Mongo, names: &Collections) -> Asked<Found> {
    let Some(head) = newest(mongo, names)? else { return Ok(Found::Config(None)) };
    let mut history = versions(mongo, names, &head, HISTORY_VERSIONS_MAX + 1)?;
    let before = (history.len() > HISTORY_VERSIONS_MAX).then(|| history.remove(0));
    let handed_out = handed_out(mongo, names, &head)?;
    let opened = doc! { "rain": head.number, "opened_us": { "$exists": true } };
    let opened = sum(mongo, names, opened)?;
    let unopened = Sum { count: handed_out.count - opened.count, fen: handed_out.fen - opened.fen };
    let returned = if head.returned_us.is_some() { unopened } else { Sum::default() };
    let left = head.terms().left(handed_out);
    let budget = Budget { handed_out, left, opened, returned };
    let before = before.map(|linked| linked.version.config);
    let history: Vec<Version> = history.into_iter().map(|linked| linked.version).collect();
    let (id, terms) = (head.id, *head.terms());
    Ok(Found::Config(Some(Figures { id, terms, budget, history, before })))
}

/// By the newest chunk, which tells what is before it.
pub(super) fn handed_out(mongo: &Mongo, names: &Collections, head: &Head) -> Asked<Sum> {
    let Some(line) = log_end(mongo, names, head.number)?.line else { return Ok(Sum::default()) };
    let own = granted(&places(mongo, names, &line)?);
    Ok(Sum { count: line.before.count + own.count, fen: line.before.fen + own.fen })
}

/// The newest versions, oldest first: those of the journal, and the one in the head.
fn versions(mongo: &Mongo, names: &Collections, head: &Head, limit: usize) -> Asked<Vec<Linked>> {
    let find = Find {
        filter: doc! { "rain": head.number },
        sort: doc! { "rain": -1, "number": -1 },
        limit: i64::try_from(limit).unwrap_or(i64::MAX),
        ..Find::default()
    };
    let lines = decode(&mongo.find(&names.versions, &find)?, documents::version_line)?;
    let mut versions: BTreeMap<i64, Linked> = lines
        .into_iter()
        .map(|line| (line.version.version, Linked { version: line.version, hash: line.hash }))
        .collect();
    let newest = Linked { version: head.version.clone(), hash: head.hash };
    versions.insert(head.version.version, newest);
    let more = versions.len().saturating_sub(limit);
    Ok(versions.into_values().skip(more).collect())
}

/// Everything that a rain was made of.
pub(super) fn proof(mongo: &Mongo, names: &Collections, head: &Head) -> Asked<Proof> {
    let filter = doc! { "rain": head.number, "claim": { "$exists": false } };
    let sort = doc! { "rain": 1, "number": 1 };
    let find = Find { filter, sort, ..Find::default() };
    let lines = decode(&mongo.find(&names.chunks, &find)?, documents::chunk_line)?;
    let find = Find {
        filter: doc! { "rain": head.number },
        fields: doc! { "chunk": 1, "place": 1, "draw": 1, "value_fen": 1 },
        ..Find::default()
    };
    let mut packets: BTreeMap<i64, BTreeMap<i64, (i64, i64)>> = BTreeMap::new();
    for found in mongo.find(&names.packets, &find)? {
        let number = |field| found.get_i64(field).unwrap_or(0);
        let chunk = packets.entry(number("chunk")).or_default();
        chunk.insert(number("place"), (number("draw"), number("value_fen")));
    }
    let chunks = lines.iter().map(|line| {
        let own = packets.remove(&line.number()).unwrap_or_default();
        let own = own.into_iter().map(|(place, (draw, amount))| (place, draw, amount));
        Used::filled(line.chunk, own)
    });
    Ok(Proof {
        id: head.id,
        seed: head.seed,
        commitment: head.commitment,
        chunks: chunks.collect(),
        versions: versions(mongo, names, head, usize::MAX)?,
    })
}

/// All rains, for the audit.
pub(super) fn rains(mongo: &Mongo, names: &Collections) -> Asked<Vec<Head>> {
    let find = Find { sort: doc! { "_id": 1 }, ..Find::default() };
    decode(&mongo.find(&names.rains, &find)?, documents::head)
}

fn count(number: usize) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
