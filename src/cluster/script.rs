//! What the scripts over the view are asked, and what they say.
//!
//! All keys of a view share a hash tag, so that a script sees them all, and they are lost together: a
//! fence never outlives the data it speaks of.

use super::record::Stream;

/// Which set of keys: random, made by a rebuild.
pub type Generation = u64;

/// Applies the batches `from + 1 ..= to` of a stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Apply<R> {
    /// The caller's idea of the current generation.
    pub generation: Generation,
    /// Whose batches.
    pub stream: Stream,
    /// Where the fence must stand.
    pub from: u64,
    /// Where it stands afterwards.
    pub to: u64,
    /// Their sum, no two of the same thing.
    pub deltas: Vec<R>,
}

/// Puts rows into a generation that is being built.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Load<R> {
    /// Not the current one.
    pub generation: Generation,
    /// Steps are numbered from 0 and taken in order.
    pub step: u64,
    /// Absolute values of rows that no other step has.
    pub rows: Vec<R>,
    /// Batches whose documents are in the rows of this rebuild.
    pub fences: Vec<(Stream, u64)>,
}

/// Makes a built generation the current one; the keys of all others may go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Switch {
    /// What must be current; never nothing but in a Redis that nobody has asked for its fences yet.
    pub from: Option<Generation>,
    /// What becomes current.
    pub to: Generation,
    /// How many steps it was built in.
    pub steps: u64,
}

/// What a script says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ScriptAnswer<S> {
    /// It holds what was asked for, now or since earlier.
    Done {
        /// Those that may take no more.
        full: Vec<S>,
    },
    /// Nothing changed: the fence (or the next step of a rebuild) is elsewhere.
    Missing(u64),
    /// Nothing changed: this generation is current.
    OtherGeneration(Option<Generation>),
    /// Nothing changed: a total would leave its range, which the limit on totals excludes.
    Refused,
}
