//! A journal document: a gift with its place in the stream of the writer that wrote it.

use crate::gift::Entry;
use crate::store::RequestKey;

/// Documents of one writer that go to one part of the view, numbered 1, 2, 3 … without a gap in
/// what is resolved. A gift board has one slot; what is split (counters) has a fixed number, each
/// with a sequence of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Stream {
    /// Random, taken afresh at each start.
    pub writer: u64,
    /// Below the number of slots of the generation.
    pub slot: u16,
}

/// What a request wants in the journal, before a writer takes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Draft {
    /// The document's `_id`; retries of one request agree on it.
    pub name: String,
    /// Id and time are set by whoever makes the draft, once: a retry never changes them.
    pub entry: Entry,
    /// Whose periods it counts in: its own time, or that of the gift which it revokes.
    pub gift_time_us: i64,
    /// Of a revoke.
    pub reason: Option<String>,
}

impl Draft {
    /// A gift; `unique` names it when the client did not: (process, count), never used again.
    pub fn gift(entry: Entry, key: Option<&RequestKey>, unique: (u64, u64)) -> Self {
        let name = match key {
            Some(key) => format!("gift/send/key/{}", key.as_str()),
            None => format!("gift/send/own/{:016x}/{}", unique.0, unique.1),
        };
        Self { name, gift_time_us: entry.time_us, entry, reason: None }
    }

    /// Takes a gift back. The name is that of the gift: a second revoke meets the first.
    pub fn revoke(entry: Entry, gift_time_us: i64, reason: String) -> Self {
        let gift = entry.revokes.expect("a revoke names its gift");
        Self { name: format!("gift/revoke/{gift}"), entry, gift_time_us, reason: Some(reason) }
    }

    /// Whether an existing document answers this request: the same gift, or any revoke of it.
    pub fn is_answered_by(&self, record: &Record) -> bool {
        let (mine, theirs) = (&self.entry, &record.draft.entry);
        mine.revokes == theirs.revokes
            && (mine.revokes.is_some()
                || (mine.audience_id, mine.anchor_id, mine.worth)
                    == (theirs.audience_id, theirs.anchor_id, theirs.worth))
    }
}

/// A document of the journal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Whose.
    pub stream: Stream,
    /// Which batch: one script applies all documents of a batch or none.
    pub seq: u64,
    /// The first batch of the round in which it was sent. All earlier batches of the stream were
    /// resolved by then, so whoever reads a document knows that much of its writer.
    pub first: u64,
    /// What it says.
    pub draft: Draft,
}

/// What an insert learned of one document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It is in the journal, by majority.
    Landed,
    /// Its name was taken; this is what the journal holds under it.
    Exists(Box<Record>),
}
