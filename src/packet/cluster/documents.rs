//! What the record looks like in `MongoDB`: plain fields, for whoever looks at the collections.

use super::lines::{Asked, ChunkLine, GrantLine, Head, Place};
use super::record::VersionLine;
use crate::packet::{Chunk, Digest, Seed, Sum, Version};
use crate::store::RequestKey;
use crate::store::mongo::Index;
use mongodb::bson::{Document, doc};

/// Names of the collections.
#[derive(Clone, Debug)]
pub(super) struct Collections {
    /// A document for each rain.
    pub(super) rains: String,
    /// The versions of their terms.
    pub(super) versions: String,
    /// The logs of their chunks.
    pub(super) chunks: String,
    /// Packets, opened or not.
    pub(super) packets: String,
}

impl Collections {
    pub(super) fn of(rains: &str) -> Self {
        Self {
            rains: rains.to_owned(),
            versions: format!("{rains}.versions"),
            chunks: format!("{rains}.chunks"),
            packets: format!("{rains}.packets"),
        }
    }

    /// Every index, with its collection. Those that are unique are what a view that forgets runs up
    /// against; a packet's `_id` is its envelope, and with it (rain, chunk, place).
    pub(super) fn indexes(&self) -> Vec<(&str, Index)> {
        let index = |keys, unique, sparse| Index { keys, unique, sparse };
        vec![
            (&self.rains, index(doc! { "id": 1 }, true, false)),
            (&self.rains, index(doc! { "asked_key": 1 }, false, true)),
            (&self.versions, index(doc! { "rain": 1, "version": 1 }, false, false)),
            (&self.versions, index(doc! { "asked_key": 1 }, false, true)),
            (&self.chunks, index(doc! { "rain": 1, "number": 1 }, false, false)),
            // A void has none of these fields, so that these pass it over.
            (&self.packets, index(doc! { "rain": 1, "draw": 1 }, true, true)),
            (&self.packets, index(doc! { "uid": 1, "rain": 1, "nth": 1 }, true, true)),
            (&self.packets, index(doc! { "key": 1 }, true, true)),
            (&self.packets, index(doc! { "open_key": 1 }, true, true)),
        ]
    }
}

/// A request key is one user's.
pub(super) fn key_of(uid: i64, key: &RequestKey) -> String {
    format!("{uid}/{}", key.as_str())
}

/// Its fields, and those that it must not have.
pub(super) fn head_fields(head: &Head) -> (Document, Document) {
    let mut fields = doc! {
        "id": head.id, "seed": hex::encode(head.seed.expose()),
        "commitment": head.commitment.to_string(), "version": json(&head.version),
        "hash": head.hash.to_string(), "first_envelope": head.first_envelope,
        "draws": head.draws, "rev": head.rev, "closed": head.closed, "sealed": head.is_sealed,
    };
    let mut absent = Document::new();
    let mut optional = |name: &str, value: Option<i64>| match value {
        Some(value) => drop(fields.insert(name, value)),
        None => drop(absent.insert(name, "")),
    };
    optional("ended_us", head.ended_us);
    optional("returned_us", head.returned_us);
    if let Some(Asked { key, text }) = &head.asked {
        fields.extend(doc! { "asked_key": key, "asked_text": text });
    } else {
        absent.extend(doc! { "asked_key": "", "asked_text": "" });
    }
    (fields, absent)
}

pub(super) fn head(document: &Document) -> Option<Head> {
    let number = |field| document.get_i64(field).ok();
    Some(Head {
        number: number("_id")?,
        id: number("id")?,
        seed: Seed::new(bytes(document, "seed")?),
        commitment: Digest::new(bytes(document, "commitment")?),
        version: version(document)?,
        hash: Digest::new(bytes(document, "hash")?),
        asked: asked(document),
        first_envelope: number("first_envelope")?,
        draws: number("draws")?,
        rev: number("rev")?,
        closed: number("closed")?,
        ended_us: number("ended_us"),
        is_sealed: document.get_bool("sealed").ok()?,
        returned_us: number("returned_us"),
    })
}

pub(super) fn version_document(line: &VersionLine) -> Document {
    let (rain, number) = (line.rain, line.version.version);
    let mut document = doc! {
        "_id": format!("{rain}/{number}"), "rain": rain, "number": number,
        "version": json(&line.version), "hash": line.hash.to_string(),
    };
    if let Some(Asked { key, text }) = &line.asked {
        document.extend(doc! { "asked_key": key, "asked_text": text });
    }
    document
}

pub(super) fn version_line(document: &Document) -> Option<VersionLine> {
    Some(VersionLine {
        rain: document.get_i64("rain").ok()?,
        version: version(document)?,
        hash: Digest::new(bytes(document, "hash")?),
        asked: asked(document),
    })
}

pub(super) fn asked(document: &Document) -> Option<Asked> {
    let text = |field| document.get_str(field).ok().map(str::to_owned);
    Some(Asked { key: text("asked_key")?, text: text("asked_text")? })
}

/// The name of a number of a rain's log.
pub(super) fn log_name(rain: i64, number: i64) -> String {
    format!("{rain}/{number}")
}

/// Without `_id`, rain and number.
pub(super) fn chunk_fields(line: &ChunkLine) -> Document {
    let ChunkLine { chunk, before, first_envelope, at_s } = *line;
    doc! {
        "version": chunk.version, "left_count": chunk.left_count, "left_fen": chunk.left_fen,
        "before_count": before.count, "before_fen": before.fen,
        "first_envelope": first_envelope, "at": at_s,
    }
}

pub(super) fn chunk_line(document: &Document) -> Option<ChunkLine> {
    let number = |field| document.get_i64(field).ok();
    let chunk = Chunk {
        number: number("number")?,
        version: number("version")?,
        left_count: number("left_count")?,
        left_fen: number("left_fen")?,
    };
    let before = Sum { count: number("before_count")?, fen: number("before_fen")? };
    Some(ChunkLine {
        chunk,
        before,
        first_envelope: number("first_envelope")?,
        at_s: number("at")?,
    })
}

pub(super) fn place_document(place: &Place) -> Document {
    let line = match place {
        Place::Void { envelope_id, rain, rev } => {
            return doc! { "_id": envelope_id, "void": rev, "of": rain };
        }
        Place::Granted(line) => line,
    };
    let mut document = doc! {
        "_id": line.envelope_id, "rain": line.rain, "chunk": line.chunk, "place": line.place,
        "draw": line.draw, "uid": line.uid, "nth": line.nth, "value_fen": line.value_fen,
        "time_us": line.time_us,
    };
    if let Some(key) = &line.key {
        document.insert("key", key_of(line.uid, key));
    }
    document
}

pub(super) fn place(document: &Document) -> Option<Place> {
    let number = |field| document.get_i64(field).ok();
    let envelope_id = number("_id")?;
    if let Some(rev) = number("void") {
        return Some(Place::Void { envelope_id, rain: number("of")?, rev });
    }
    let key = document.get_str("key").ok().and_then(|key| key.split_once('/'));
    Some(Place::Granted(GrantLine {
        envelope_id,
        rain: number("rain")?,
        chunk: number("chunk")?,
        place: number("place")?,
        draw: number("draw")?,
        uid: number("uid")?,
        nth: number("nth")?,
        value_fen: number("value_fen")?,
        time_us: number("time_us")?,
        key: key.and_then(|(_, key)| RequestKey::new(key)),
    }))
}

/// As it is hashed.
fn json(version: &Version) -> String {
    serde_json::to_string(version).expect("text and numbers always encode")
}

fn version(document: &Document) -> Option<Version> {
    serde_json::from_str(document.get_str("version").ok()?).ok()
}

fn bytes(document: &Document, field: &str) -> Option<[u8; 32]> {
    let mut bytes = [0; 32];
    hex::decode_to_slice(document.get_str(field).ok()?, &mut bytes).ok()?;
    Some(bytes)
}
