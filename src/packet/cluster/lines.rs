//! What the record of a rain holds: its head, the log of its chunks, and what became of each place.
//!
//! Everything that can happen twice has a name that `MongoDB` lets nobody use twice: a rain its
//! number, a chunk its place in the log, a packet its envelope. So a view that forgets, and whoever
//! acts on what it said, can only ever be told that somebody was first.

use crate::packet::{Chunk, Digest, Rain, Seed, State, Sum, Terms, Version, state};
use crate::store::RequestKey;

/// The revision under which what a rain's end leaves open is closed: above all others.
pub const SEAL: i64 = i64::MAX;

/// One rain, in one document: whoever changes it does so on the condition that `rev` is what was read.
#[derive(Clone, Debug, PartialEq)]
pub struct Head {
    /// 1, 2, 3 … one rain after the other.
    pub number: i64,
    /// How operators name it.
    pub id: i64,
    /// Secret until it is sealed.
    pub seed: Seed,
    /// What was published before the start.
    pub commitment: Digest,
    /// The newest version of the terms.
    pub version: Version,
    /// The hash of that version.
    pub hash: Digest,
    /// The request that made that version, where it had a key.
    pub asked: Option<Asked>,
    /// Its packets are named from here on, those of the rains before below.
    pub first_envelope: i64,
    /// Draws below are some process's; grows without a new `rev`.
    pub draws: i64,
    /// Grows with every other change, and fences what was begun under an earlier one.
    pub rev: i64,
    /// Chunks up to this one were closed by new amounts: what is open in them stays so for ever.
    pub closed: i64,
    /// Unix microseconds at which its end was noted: its terms change no more.
    pub ended_us: Option<i64>,
    /// Nothing can be handed out any more, whoever tries: its seed may be told.
    pub is_sealed: bool,
    /// Unix microseconds at which what was not opened went back to the budget.
    pub returned_us: Option<i64>,
}

/// A request that an operator may repeat.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    /// Path and key.
    pub key: String,
    /// The decoded request, for comparison.
    pub text: String,
}

/// A chunk as the record has it, before any packet of it is handed out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChunkLine {
    /// What its packets depend on.
    pub chunk: Chunk,
    /// Handed out before it.
    pub before: Sum,
    /// The envelope at its place 0.
    pub first_envelope: i64,
    /// Unix seconds at which it was opened.
    pub at_s: i64,
}

/// The end of the log of chunks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LogEnd {
    /// The newest chunk.
    pub line: Option<ChunkLine>,
    /// The number behind it, and the revision that keeps others from opening a chunk of it.
    pub claim: Option<(i64, i64)>,
}

/// A packet that is a user's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GrantLine {
    /// Names it: the chunk's first envelope and the place in the chunk, so (rain, chunk, place) too.
    pub envelope_id: i64,
    /// Number of the rain.
    pub rain: i64,
    /// Number of the chunk.
    pub chunk: i64,
    /// Within the chunk, from 0.
    pub place: i64,
    /// The draw that won it: nobody else has it in this rain.
    pub draw: i64,
    /// Whose.
    pub uid: i64,
    /// The user's so-and-so-manieth of this rain: nobody has two of a number.
    pub nth: i64,
    /// What is in it.
    pub value_fen: i64,
    /// When it was got.
    pub time_us: i64,
    /// The request's key: nobody has two packets of it.
    pub key: Option<RequestKey>,
}

/// What became of a place of a chunk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// It is a user's.
    Granted(GrantLine),
    /// Nobody is to get it any more, if what revision `rev` began comes into effect.
    Void {
        /// The envelope that is never given.
        envelope_id: i64,
        /// Number of the rain.
        rain: i64,
        /// See above.
        rev: i64,
    },
}

impl Head {
    /// A rain that begins.
    pub fn of(rain: &Rain, number: i64, first_envelope: i64, asked: Option<Asked>) -> Self {
        Self {
            number,
            id: rain.id(),
            seed: *rain.seed(),
            commitment: rain.commitment(),
            version: rain.version().clone(),
            hash: rain.hash(),
            asked,
            first_envelope,
            draws: 1,
            rev: 1,
            closed: 0,
            ended_us: None,
            is_sealed: false,
            returned_us: None,
        }
    }

    /// The terms in effect.
    pub fn terms(&self) -> &Terms {
        &self.version.config
    }

    /// Where it is at `now_s`.
    pub fn state(&self, now_s: i64) -> State {
        state(self.terms(), self.ended_us.is_some(), now_s)
    }

    /// The rain, to change its terms by the rules of all backends.
    pub fn rain(&self, handed_out: Sum) -> Rain {
        Rain::restored(crate::packet::Journaled {
            id: self.id,
            seed: self.seed,
            commitment: self.commitment,
            version: self.version.clone(),
            hash: self.hash,
            chunk: None,
            handed_out,
            has_ended: self.ended_us.is_some(),
        })
    }

    /// Whether the packets of a chunk follow from the terms in effect: whoever has heard of either too
    /// late must not say what is in them.
    pub fn covers(&self, line: &ChunkLine) -> bool {
        line.number() > self.closed && line.chunk.version <= self.version.version
    }

    /// Under the newest version of `rain`.
    #[must_use]
    pub fn following(&self, rain: &Rain, asked: Option<Asked>) -> Self {
        let (version, hash) = (rain.version().clone(), rain.hash());
        Self { version, hash, asked, rev: self.rev + 1, ..self.clone() }
    }

    /// The same under the next revision: what was begun under this one is void.
    #[must_use]
    pub fn fenced(&self) -> Self {
        Self { rev: self.rev + 1, ..self.clone() }
    }
}

impl ChunkLine {
    /// Number of the chunk.
    pub fn number(&self) -> i64 {
        self.chunk.number
    }

    /// Envelopes of its places.
    pub fn envelopes(&self) -> std::ops::Range<i64> {
        self.first_envelope..self.first_envelope + self.chunk.count()
    }
}

impl LogEnd {
    /// The number that the next chunk has.
    pub fn next_number(&self) -> i64 {
        self.line.map_or(1, |line| line.number() + 1)
    }
}

impl Place {
    /// The envelope that it decides.
    pub fn envelope_id(&self) -> i64 {
        match self {
            Place::Granted(line) => line.envelope_id,
            Place::Void { envelope_id, .. } => *envelope_id,
        }
    }
}

/// What the packets of `places` amount to.
pub(super) fn granted(places: &[Place]) -> Sum {
    let mut sum = Sum::default();
    for place in places {
        if let Place::Granted(line) = place {
            sum.count += 1;
            sum.fen += line.value_fen;
        }
    }
    sum
}
