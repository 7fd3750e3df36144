//! What the protocol asks of the view: the pool of one chunk, the outbox beside it, and who has how
//! many. All keys share a hash tag and are lost together; each call is one script.

use super::lines::{ChunkLine, GrantLine};
use super::record::Trouble;
use crate::packet::{Refusal, Terms};
use crate::store::RequestKey;
use std::future::Future;

/// Which pool: random, made by whoever builds it.
pub type Generation = u64;

/// The pool without its packets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pool {
    /// Which.
    pub generation: Generation,
    /// Number of the rain.
    pub rain: i64,
    /// The version of the terms that draws are decided by.
    pub version: i64,
    /// What a snatch is decided by.
    pub terms: Gates,
    /// The chunk that packets come from.
    pub line: ChunkLine,
    /// Nothing is left behind this chunk.
    pub is_last: bool,
    /// Who is not counted has none; else their count is to be looked up in the record.
    pub knows_all: bool,
    /// Terms are being changed: nobody gets anything.
    pub is_frozen: bool,
}

/// What becomes different when terms change and amounts do not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Amended {
    /// See [`Pool::generation`].
    pub generation: Generation,
    /// See [`Pool::version`].
    pub version: i64,
    /// See [`Pool::terms`].
    pub terms: Gates,
}

/// What of the terms the view decides by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gates {
    /// See [`Terms::starts_at`].
    pub starts_at: i64,
    /// See [`Terms::ends_at`].
    pub ends_at: i64,
    /// See [`Terms::paused`].
    pub paused: bool,
    /// See [`Terms::max_per_user`].
    pub max_per_user: i64,
}

/// A packet that was taken from the pool and is not known to be in the record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pending {
    /// Within the chunk, from 0.
    pub place: i64,
    /// Whose.
    pub uid: i64,
    /// The user's so-and-so-manieth.
    pub nth: i64,
    /// The draw that won it.
    pub draw: i64,
    /// When.
    pub time_us: i64,
    /// The request's key.
    pub key: Option<RequestKey>,
}

/// Some snatches, decided together.
#[derive(Clone, Debug)]
pub struct Serve {
    /// The caller's idea of the pool.
    pub generation: Generation,
    /// Unix microseconds.
    pub now_us: i64,
    /// In the order in which they are decided.
    pub tries: Vec<Try>,
}

/// One snatch with its draw.
#[derive(Clone, Debug)]
pub struct Try {
    /// Who.
    pub uid: i64,
    /// Nobody else has it.
    pub draw: i64,
    /// Whether it won, under the version of the pool.
    pub wins: bool,
    /// The request's key.
    pub key: Option<RequestKey>,
    /// The count that the record knew. A try with a key goes on only from exactly there, so that
    /// nothing came in since the key was looked up.
    pub known: Option<i64>,
}

/// What became of a try.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tried {
    /// A packet, in the outbox until it is in the record.
    Popped {
        /// Within the chunk.
        place: i64,
        /// The user's so-and-so-manieth.
        nth: i64,
    },
    /// The draw won nothing.
    Unlucky,
    /// No.
    Refused(Refusal),
    /// Not now: the user's last packet, or all of the chunk, is on its way into the record.
    Wait,
    /// The record must be asked for the user's count first.
    Ask,
}

/// What came of a call about one generation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Seen<T> {
    /// In the generation that was named.
    Here(T),
    /// Another one is there, or none. Nothing was done.
    Other,
}

/// What serving brought.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Served {
    /// As many as tries.
    pub tried: Vec<Tried>,
    /// The chunk that packets came from.
    pub line: ChunkLine,
    /// Where it stands.
    pub left: Left,
}

/// How far a chunk is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Left {
    /// Packets in the pool.
    pub places: i64,
    /// Packets in the outbox.
    pub pending: i64,
    /// Nothing is left behind this chunk.
    pub is_last: bool,
}

/// The view.
pub trait View {
    /// The pool, packets left in it, and the outbox; `None` when there is none.
    fn look(&self) -> impl Future<Output = Result<Option<(Pool, i64, Vec<Pending>)>, Trouble>>;
    /// Decides some snatches at once.
    fn serve(&self, serve: Serve) -> impl Future<Output = Result<Seen<Served>, Trouble>>;
    /// Takes out of the outbox of a rain and chunk what is in the record, and tells where that chunk
    /// stands then; `None` when the pool is of another. What is not there exactly so is passed over.
    fn settle(
        &self,
        of: (i64, i64),
        done: Vec<Pending>,
    ) -> impl Future<Output = Result<Option<Left>, Trouble>>;
    /// The next chunk, once pool and outbox of the last are empty; false when they are not.
    fn refill(
        &self,
        generation: Generation,
        line: ChunkLine,
        is_last: bool,
    ) -> impl Future<Output = Result<Seen<bool>, Trouble>>;
    /// Nobody gets anything until there is another generation.
    fn freeze(&self, generation: Generation) -> impl Future<Output = Result<Seen<()>, Trouble>>;
    /// Puts a pool in the place of generation `from`; false when another is there.
    fn install(
        &self,
        from: Option<Generation>,
        pool: Pool,
        places: Vec<i64>,
    ) -> impl Future<Output = Result<bool, Trouble>>;
    /// The same pool under another generation, with new terms; false when `from` is not there, or
    /// frozen.
    fn amend(
        &self,
        from: Generation,
        amended: Amended,
    ) -> impl Future<Output = Result<bool, Trouble>>;
}

impl Pending {
    /// What the record is to have of it; `None` when the chunk has no such place.
    pub fn line(&self, rain: i64, of: ChunkLine, packets: &[i64]) -> Option<GrantLine> {
        let Pending { place, uid, nth, draw, time_us, key } = self.clone();
        let value_fen = *packets.get(usize::try_from(place).ok()?)?;
        let (envelope_id, chunk) = (of.first_envelope + place, of.number());
        Some(GrantLine { envelope_id, rain, chunk, place, draw, uid, nth, value_fen, time_us, key })
    }
}

impl Left {
    /// Whether the next chunk can be opened.
    pub fn is_used_up(self) -> bool {
        self.places == 0 && self.pending == 0 && !self.is_last
    }
}

impl Gates {
    /// Those of `terms`.
    pub fn of(terms: &Terms) -> Self {
        let Terms { starts_at, ends_at, paused, max_per_user, .. } = *terms;
        Self { starts_at, ends_at, paused, max_per_user }
    }

    /// Why nobody gets anything at `now_s`.
    pub fn refusal(&self, now_s: i64) -> Option<Refusal> {
        if now_s >= self.ends_at {
            Some(Refusal::Ended)
        } else if now_s < self.starts_at {
            Some(Refusal::NotStarted)
        } else {
            self.paused.then_some(Refusal::Paused)
        }
    }
}
