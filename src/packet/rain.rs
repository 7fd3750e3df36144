//! One rain as a state machine without time, storage or threads: terms, what is handed out, and the
//! packets that come next. Whatever backend runs it journals what it returns.

use super::chain::{self, Author, Version};
use super::chunk::Chunk;
use super::luck;
use super::terms::{Change, Impossible, Sum, Terms};
use super::uniform::{Digest, Seed, Source};
use std::sync::Arc;

/// Packets left in the pool below which the next chunk is drawn, before anybody has to wait for it.
const POOL_LOW: usize = 16;

/// Where a rain is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Before its start.
    Scheduled,
    /// Packets are handed out.
    Running,
    /// An operator holds it.
    Paused,
    /// For good: its seed may be known.
    Ended,
}

impl State {
    /// Its name on the wire.
    pub fn name(self) -> &'static str {
        match self {
            State::Scheduled => "scheduled",
            State::Running => "running",
            State::Paused => "paused",
            State::Ended => "ended",
        }
    }
}

/// A packet that was handed out: its place in the chunk and what is in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Grant {
    /// Number of the chunk.
    pub chunk: i64,
    /// Position within the chunk, from 0.
    pub place: i64,
    /// What is in it.
    pub value_fen: i64,
}

/// Who asks for new terms, why and when.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// Who.
    pub by: Author,
    /// Why.
    pub reason: &'a str,
    /// Unix seconds.
    pub now_s: i64,
    /// The first draw that is decided under them.
    pub first_draw: i64,
}

/// A rain as its journal has it.
#[derive(Clone, Debug)]
pub struct Journaled {
    /// Its id.
    pub id: i64,
    /// Its seed.
    pub seed: Seed,
    /// What was published before the start.
    pub commitment: Digest,
    /// The newest version of its terms.
    pub version: Version,
    /// The hash of that version.
    pub hash: Digest,
    /// The newest chunk with the terms of its version, and packets of it that are handed out.
    pub chunk: Option<(Chunk, Terms, usize)>,
    /// All that is handed out.
    pub handed_out: Sum,
    /// Its end was noted.
    pub has_ended: bool,
}

/// A rain.
#[derive(Clone)]
pub struct Rain {
    id: i64,
    seed: Seed,
    source: Source,
    commitment: Digest,
    version: Version,
    hash: Digest,
    pool: Option<Pool>,
    /// Drawn ahead of its record: of use if nothing changes until then.
    spare: Option<(Chunk, Arc<[i64]>)>,
    handed_out: Sum,
    has_ended: bool,
}

/// The newest chunk, and how much of it is handed out.
#[derive(Clone)]
struct Pool {
    chunk: Chunk,
    terms: Terms,
    packets: Arc<[i64]>,
    taken: usize,
}

impl Rain {
    /// A new rain, if its terms can be kept; journaled are seed, commitment and first version.
    pub fn new(
        id: i64,
        seed: Seed,
        terms: &Terms,
        request: Request<'_>,
    ) -> Result<Self, Impossible> {
        terms.check(Sum::default())?;
        if terms.ends_at == terms.starts_at {
            return Err(Impossible::NoTime { starts_at: terms.starts_at, ends_at: terms.ends_at });
        }
        let commitment = chain::commitment(&seed, id, terms);
        let version = Version {
            version: 1,
            at: request.now_s,
            by: request.by,
            reason: request.reason.to_owned(),
            first_draw: request.first_draw,
            // The first second of a paced rain tells how many come; until then none may win.
            hit_ppm: if terms.pacing { 0 } else { terms.win_ppm },
            config: *terms,
        };
        let hash = chain::link(&commitment, &version);
        let handed_out = Sum::default();
        Ok(Self::restored(Journaled {
            id,
            seed,
            commitment,
            version,
            hash,
            chunk: None,
            handed_out,
            has_ended: false,
        }))
    }

    /// The rain that the journal tells of: it goes on as if nothing had happened.
    pub fn restored(journaled: Journaled) -> Self {
        let Journaled { id, seed, commitment, version, hash, chunk, handed_out, has_ended } =
            journaled;
        let source = Source::new(&seed);
        let pool = chunk.map(|(chunk, terms, taken)| {
            let packets = chunk.packets(&source, id, &terms).into();
            Pool { chunk, terms, packets, taken }
        });
        let spare = None;
        Self { id, seed, source, commitment, version, hash, pool, spare, handed_out, has_ended }
    }

    /// Its id.
    pub fn id(&self) -> i64 {
        self.id
    }

    /// Its seed, for the journal.
    pub fn seed(&self) -> &Seed {
        &self.seed
    }

    /// The streams of its seed.
    pub fn source(&self) -> &Source {
        &self.source
    }

    /// What is published before the start.
    pub fn commitment(&self) -> Digest {
        self.commitment
    }

    /// The newest version.
    pub fn version(&self) -> &Version {
        &self.version
    }

    /// The hash of the newest version.
    pub fn hash(&self) -> Digest {
        self.hash
    }

    /// The terms in effect.
    pub fn terms(&self) -> &Terms {
        &self.version.config
    }

    /// What is handed out.
    pub fn handed_out(&self) -> Sum {
        self.handed_out
    }

    /// What is left.
    pub fn left(&self) -> Sum {
        self.terms().left(self.handed_out)
    }

    /// Where it is at `now_s`.
    pub fn state(&self, now_s: i64) -> State {
        state(self.terms(), self.has_ended, now_s)
    }

    /// Whether its end was noted.
    pub fn has_ended(&self) -> bool {
        self.has_ended
    }

    /// Whether draw `draw` wins under the terms in effect.
    pub fn wins(&self, draw: i64) -> bool {
        luck::wins(&self.source, self.id, draw, self.version.hit_ppm)
    }

    /// Hands out the next packet; with it comes the record of the chunk that it had to open, to be
    /// journaled in the same commit. `None` when nothing is left.
    pub fn grant(&mut self) -> Option<(Grant, Option<Chunk>)> {
        let opened = if self.has_packets() { None } else { Some(self.open_chunk()?) };
        let pool = self.pool.as_mut().expect("opened above when there was none");
        let value_fen = pool.packets[pool.taken];
        let place = i64::try_from(pool.taken).expect("a chunk is small");
        pool.taken += 1;
        self.handed_out.count += 1;
        self.handed_out.fen += value_fen;
        Some((Grant { chunk: pool.chunk.number, place, value_fen }, opened))
    }

    /// Draws the next chunk when the pool runs low, so that no commit has to wait for it.
    pub fn refill(&mut self) {
        let Some(pool) = &self.pool else { return };
        let rest = &pool.packets[pool.taken..];
        if rest.len() >= POOL_LOW || !self.has_packets() {
            return;
        }
        let count = i64::try_from(rest.len()).expect("a chunk is small");
        let rest = Sum { count, fen: rest.iter().sum() };
        let left = self.left();
        let left = Sum { count: left.count - rest.count, fen: left.fen - rest.fen };
        let next = Chunk::next(pool.chunk.number, self.version.version, left);
        let is_drawn = self.spare.as_ref().map(|(chunk, _)| *chunk) == next;
        if let Some(chunk) = next.filter(|_| !is_drawn) {
            let packets = chunk.packets(&self.source, self.id, self.terms()).into();
            self.spare = Some((chunk, packets));
        }
    }

    /// Puts new terms into effect, or says why they cannot be and changes nothing.
    pub fn change(&mut self, change: &Change, request: Request<'_>) -> Result<(), Impossible> {
        let (old, state) = (*self.terms(), self.state(request.now_s));
        if state == State::Ended {
            return Err(Impossible::Ended);
        }
        // Named as it is, it is no change, though it lies in the past.
        let starts_at = change.starts_at.filter(|&at| at != old.starts_at);
        if starts_at.is_some() && state != State::Scheduled {
            return Err(Impossible::Started);
        }
        let terms = old.with(&Change { starts_at, ..*change }, request.now_s);
        terms.check(self.handed_out)?;
        let hit_ppm = match (old.pacing, terms.pacing) {
            (_, false) => terms.win_ppm,
            (false, true) if state == State::Scheduled => 0,
            _ => self.version.hit_ppm,
        };
        self.follow(terms, hit_ppm, request);
        Ok(())
    }

    /// Changes the hit rate of a paced rain.
    pub fn pace(&mut self, hit_ppm: i64, request: Request<'_>) {
        self.follow(*self.terms(), hit_ppm, request);
    }

    /// Notes that it is over, whatever a clock may say later.
    pub fn end(&mut self) {
        self.has_ended = true;
    }

    fn follow(&mut self, terms: Terms, hit_ppm: i64, request: Request<'_>) {
        self.version = Version {
            version: self.version.version + 1,
            at: request.now_s,
            by: request.by,
            reason: request.reason.to_owned(),
            first_draw: request.first_draw,
            hit_ppm,
            config: terms,
        };
        self.hash = chain::link(&self.hash, &self.version);
    }

    /// Whether the newest chunk has packets that still may be handed out.
    fn has_packets(&self) -> bool {
        let terms = self.terms();
        self.pool
            .as_ref()
            .is_some_and(|pool| pool.taken < pool.packets.len() && pool.terms.same_amounts(terms))
    }

    fn open_chunk(&mut self) -> Option<Chunk> {
        let last = self.pool.as_ref().map_or(0, |pool| pool.chunk.number);
        let chunk = Chunk::next(last, self.version.version, self.left())?;
        let spare = self.spare.take().filter(|(spare, _)| *spare == chunk);
        let packets = spare.map(|(_, packets)| packets);
        let packets =
            packets.unwrap_or_else(|| chunk.packets(&self.source, self.id, self.terms()).into());
        self.pool = Some(Pool { chunk, terms: *self.terms(), packets, taken: 0 });
        Some(chunk)
    }
}

/// Where a rain of these terms is at `now_s`; `has_ended` when its end was noted.
pub fn state(terms: &Terms, has_ended: bool, now_s: i64) -> State {
    if has_ended || now_s >= terms.ends_at {
        State::Ended
    } else if now_s < terms.starts_at {
        State::Scheduled
    } else if terms.paused {
        State::Paused
    } else {
        State::Running
    }
}
