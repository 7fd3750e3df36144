//! A journal document: a draft with its place in the stream of the writer that wrote it.

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

/// A document of the journal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record<T> {
    /// Whose.
    pub stream: Stream,
    /// Which batch: one script applies all documents of a batch or none.
    pub seq: u64,
    /// The first batch of the round in which it was sent. All earlier batches of the stream were
    /// resolved by then, so whoever reads a document knows that much of its writer.
    pub first: u64,
    /// What it says.
    pub draft: T,
}

/// What an insert learned of one document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fate<T> {
    /// It is in the journal, by majority.
    Landed,
    /// Its name was taken; this is what the journal holds under it.
    Exists(Box<Record<T>>),
}
