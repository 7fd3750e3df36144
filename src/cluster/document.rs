//! What a journal document looks like in `MongoDB`: the domain's fields, and its place in its stream.

use super::domain::JournalDraft;
use super::record::{Record, Stream};
use crate::store::mongo::Index;
use mongodb::bson::{Bson, Document, doc};

/// The field of [`JournalDocument::second_name`].
pub(super) const SECOND_NAME: &str = "key";

/// How a domain's drafts are written down.
pub trait JournalDocument: JournalDraft {
    /// Adds the domain's fields; `_id` and the place in the stream are there already.
    fn write(&self, document: &mut Document);

    /// Reads them again; `None` for what this version cannot have written.
    fn read(name: &str, document: &Document) -> Option<Self>;

    /// Another name under which no second document may be; kept in the field `key`.
    fn second_name(&self) -> Option<&str> {
        None
    }

    /// Indexes for the domain's own questions.
    fn indexes() -> Vec<Index>;
}

/// The index by which streams are read.
pub(super) fn stream_index() -> Index {
    Index { keys: doc! { "writer": 1, "slot": 1, "seq": 1 }, unique: false, sparse: false }
}

/// The index that keeps second names apart.
pub(super) fn second_name_index() -> Index {
    Index { keys: doc! { SECOND_NAME: 1 }, unique: true, sparse: true }
}

/// The condition for documents of one stream.
pub(super) fn of_stream(stream: Stream) -> Document {
    doc! { "writer": stream.writer.cast_signed(), "slot": i64::from(stream.slot) }
}

/// As it is inserted.
pub(super) fn encode<T: JournalDocument>(record: &Record<T>) -> Document {
    let mut document = doc! { "_id": record.draft.name() };
    record.draft.write(&mut document);
    if let Some(name) = record.draft.second_name() {
        document.insert(SECOND_NAME, name);
    }
    document.extend(of_stream(record.stream));
    document.insert("seq", record.seq.cast_signed());
    document.insert("first", record.first.cast_signed());
    document
}

/// As it is read; `None` for what this version cannot have written.
pub(super) fn decode<T: JournalDocument>(document: &Document) -> Option<Record<T>> {
    let draft = T::read(document.get_str("_id").ok()?, document)?;
    let stream = Stream {
        writer: unsigned(document, "writer")?,
        slot: u16::try_from(document.get_i64("slot").ok()?).ok()?,
    };
    Some(Record {
        stream,
        seq: unsigned(document, "seq")?,
        first: unsigned(document, "first")?,
        draft,
    })
}

/// 64 bits, which BSON has only with a sign.
pub(super) fn unsigned(document: &Document, field: &str) -> Option<u64> {
    document.get_i64(field).ok().map(i64::cast_unsigned)
}

/// A stream within a list.
pub(super) fn stream_to_bson(stream: Stream, seq: Option<u64>) -> Bson {
    let mut document = of_stream(stream);
    if let Some(seq) = seq {
        document.insert("seq", seq.cast_signed());
    }
    document.into()
}

/// The other way round.
pub(super) fn stream_from_bson(bson: &Bson) -> Option<(Stream, u64)> {
    let document = bson.as_document()?;
    let slot = u16::try_from(document.get_i64("slot").ok()?).ok()?;
    let stream = Stream { writer: unsigned(document, "writer")?, slot };
    Some((stream, unsigned(document, "seq").unwrap_or(0)))
}
