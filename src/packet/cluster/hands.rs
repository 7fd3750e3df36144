//! What every step of the protocol has at hand, and how a pool is made: from the record alone.
//!
//! The steps are plain functions over two traits; each call may take any time, fail, or have its
//! effect later. Threads run them on real servers (`store`), the simulation on ones that lose,
//! repeat and forget.

use super::lines::{ChunkLine, Head, LogEnd, Place, SEAL, granted};
use super::record::{Record, Trouble};
use super::view::{Gates, Generation, Pool, View};
use crate::packet::{Chunk, Sum};
use std::collections::HashSet;

/// How often a step begins again because others were faster, before it gives up.
pub(super) const TRIES: usize = 20;

/// The two servers, and what a step needs of the world.
pub struct Hands<'a, R, V> {
    /// `MongoDB`.
    pub record: &'a R,
    /// Redis.
    pub view: &'a V,
    /// Unix microseconds.
    pub now_us: &'a dyn Fn() -> i64,
    /// A number that nobody else draws, for a generation.
    pub fresh: &'a dyn Fn() -> u64,
}

/// The rain as a process knows it, and the pool that it takes packets from.
#[derive(Clone, Debug, Default)]
pub struct Stage {
    /// The newest rain.
    pub head: Option<Head>,
    /// None before the first rain and after an end.
    pub pool: Option<Pool>,
}

/// The chunk that packets are to come from next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct OpenChunk {
    pub(super) line: ChunkLine,
    /// Places that are nobody's.
    pub(super) places: Vec<i64>,
    pub(super) is_last: bool,
    /// Nothing was handed out before it.
    pub(super) is_first: bool,
}

/// What is closed for good.
#[derive(Clone, Copy, Debug)]
pub(super) struct Closed {
    /// Number of the last chunk.
    pub(super) number: i64,
    /// Exactly what is handed out.
    pub(super) handed_out: Sum,
    /// The first envelope that no chunk has.
    pub(super) next_envelope: i64,
}

impl<R: Record, V: View> Hands<'_, R, V> {
    pub(super) fn now_s(&self) -> i64 {
        (self.now_us)().div_euclid(1_000_000)
    }

    /// Finds the pool of the newest rain, or makes it. One of generation `broken` is made anew, and so
    /// is one of other terms than the record has; one that is frozen is left to whoever froze it.
    pub async fn ensure(&self, broken: Option<Generation>) -> Result<Stage, Trouble> {
        for _ in 0..TRIES {
            let Some(head) = self.record.head().await? else { return Ok(Stage::default()) };
            if head.ended_us.is_some() {
                return Ok(Stage { head: Some(head), pool: None });
            }
            let look = self.view.look().await?;
            let there = look.map(|(pool, _, _)| pool);
            let from = there.as_ref().map(|pool| pool.generation);
            if let Some(pool) = there.filter(|pool| Some(pool.generation) != broken) {
                let named = (pool.rain, pool.version);
                let newest = (head.number, head.version.version);
                if named > newest {
                    continue;
                }
                if pool.is_frozen || named == newest {
                    return Ok(Stage { head: Some(head), pool: Some(pool) });
                }
            }
            let pool = match self.build(&head, from).await {
                Ok(Some(pool)) => pool,
                Ok(None) | Err(Trouble::Overtaken) => continue,
                Err(trouble) => return Err(trouble),
            };
            // Terms that were changed meanwhile must not be served without.
            let after = self.record.head().await?;
            if after.as_ref().map(|after| after.rev) == Some(head.rev) {
                return Ok(Stage { head: Some(head), pool: Some(pool) });
            }
        }
        Err(Trouble::Overtaken)
    }

    /// Puts a pool under `head` in the place of `from`; `None` when that is not there any more.
    async fn build(&self, head: &Head, from: Option<Generation>) -> Result<Option<Pool>, Trouble> {
        let OpenChunk { line, places, is_last, is_first } = self.open_chunk(head).await?;
        let pool = Pool {
            generation: (self.fresh)(),
            rain: head.number,
            version: head.version.version,
            terms: Gates::of(head.terms()),
            line,
            is_last,
            knows_all: is_first,
            is_frozen: false,
        };
        let installed = self.view.install(from, pool.clone(), places).await?;
        Ok(installed.then_some(pool))
    }

    /// The newest chunk with what is left of it, or the one behind it: a chunk is opened when every
    /// packet of the one before is in the record, so that what it leaves is known exactly.
    pub(super) async fn open_chunk(&self, head: &Head) -> Result<OpenChunk, Trouble> {
        for _ in 0..TRIES {
            let end = self.record.log_end(head.number).await?;
            if end.claim.is_some_and(|(_, rev)| rev >= head.rev) {
                return self.fence(head).await;
            }
            let (before, envelope) = match end.line {
                None => (Sum::default(), head.first_envelope),
                Some(line) => {
                    let places = self.record.places(head.number, line).await?;
                    if line.number() > head.closed {
                        if line.chunk.version > head.version.version {
                            return Err(Trouble::Overtaken);
                        }
                        if let Some(newest) = newest_void(&places) {
                            if newest >= head.rev {
                                return self.fence(head).await;
                            }
                            // Whoever made them can finish nothing under this revision.
                            self.record.drop_voids(line, head.rev).await?;
                            continue;
                        }
                        let rest = undecided(line, &places);
                        if !rest.is_empty() {
                            let is_last = line.chunk.left_count == line.chunk.count();
                            let is_first = false;
                            return Ok(OpenChunk { line, places: rest, is_last, is_first });
                        }
                    }
                    (plus(line.before, granted(&places)), line.envelopes().end)
                }
            };
            if let Some(opened) = self.append(head, end, before, envelope).await? {
                return Ok(opened);
            }
        }
        Err(Trouble::Overtaken)
    }

    /// The chunk behind one that is handed out to the last packet, and whether it is the last; `None`
    /// when its number is taken, be it by who changes the amounts, or there is none.
    pub(super) async fn open_next(
        &self,
        head: &Head,
        line: &ChunkLine,
    ) -> Result<Option<(ChunkLine, bool)>, Trouble> {
        let own = Sum { count: line.chunk.count(), fen: line.chunk.amount_fen() };
        let (before, version) = (plus(line.before, own), head.version.version);
        let Some(chunk) = Chunk::next(line.number(), version, head.terms().left(before)) else {
            return Ok(None);
        };
        let (first_envelope, at_s) = (line.envelopes().end, self.now_s());
        let next = ChunkLine { chunk, before, first_envelope, at_s };
        let opened = self.record.open_chunk(head.number, next).await?;
        Ok(opened.then_some((next, chunk.left_count == chunk.count())))
    }

    /// Writes the next chunk down; `None` when somebody else did.
    async fn append(
        &self,
        head: &Head,
        end: LogEnd,
        before: Sum,
        first_envelope: i64,
    ) -> Result<Option<OpenChunk>, Trouble> {
        let last = end.next_number() - 1;
        let Some(chunk) = Chunk::next(last, head.version.version, head.terms().left(before)) else {
            let nothing = || Trouble::Broken(format!("rain {} is of nothing", head.number));
            let (line, places) = (end.line.ok_or_else(nothing)?, Vec::new());
            return Ok(Some(OpenChunk { line, places, is_last: true, is_first: false }));
        };
        let line = ChunkLine { chunk, before, first_envelope, at_s: self.now_s() };
        let opened = match end.claim {
            Some((_, rev)) => self.record.fill_claim(head.number, rev, line).await?,
            None => self.record.open_chunk(head.number, line).await?,
        };
        let is_last = chunk.left_count == chunk.count();
        let is_first = chunk.number == 1;
        let places = (0..chunk.count()).collect();
        Ok(opened.then_some(OpenChunk { line, places, is_last, is_first }))
    }

    /// Ends what somebody began under this revision and may never finish; then all begins again.
    async fn fence<T>(&self, head: &Head) -> Result<T, Trouble> {
        self.record.swap_head(head.clone(), head.fenced()).await?;
        Err(Trouble::Overtaken)
    }

    /// Decides every open place, and keeps new chunks from being opened, under revision `rev`: then
    /// nothing is handed out any more unless somebody fences that revision off.
    pub(super) async fn close(&self, head: &Head, rev: i64) -> Result<Closed, Trouble> {
        for _ in 0..TRIES {
            let end = self.record.log_end(head.number).await?;
            if end.claim.is_some_and(|(_, other)| other > rev) {
                return Err(Trouble::Overtaken);
            }
            let handed_out = match end.line {
                None => Sum::default(),
                Some(line) if line.number() <= head.closed && rev != SEAL => {
                    plus(line.before, granted(&self.record.places(head.number, line).await?))
                }
                Some(line) => plus(line.before, self.void_rest(head.number, line, rev).await?),
            };
            let number = end.next_number() - 1;
            let next_envelope = end.line.map_or(head.first_envelope, |line| line.envelopes().end);
            let closed = Closed { number, handed_out, next_envelope };
            match end.claim {
                Some((_, other)) if other < rev => {
                    self.record.raise_claim(head.number, number + 1, rev).await?;
                    // Somebody may have made a chunk of it just before.
                }
                Some(_) => return Ok(closed),
                None if self.record.claim(head.number, number + 1, rev).await? => {
                    return Ok(closed);
                }
                None => {}
            }
        }
        Err(Trouble::Overtaken)
    }

    /// Decides the rest of a chunk; what is handed out of it.
    async fn void_rest(&self, rain: i64, line: ChunkLine, rev: i64) -> Result<Sum, Trouble> {
        for _ in 0..TRIES {
            let places = self.record.places(rain, line).await?;
            let is_lower =
                |place: &Place| matches!(place, Place::Void { rev: other, .. } if *other < rev);
            let lower = places.iter().any(is_lower);
            if newest_void(&places).is_some_and(|newest| newest > rev) {
                return Err(Trouble::Overtaken);
            }
            let rest = undecided(line, &places);
            if rest.is_empty() && !lower {
                return Ok(granted(&places));
            }
            if lower {
                self.record.raise_voids(line, rev).await?;
            }
            let voids = rest.into_iter().map(|place| {
                let envelope_id = line.first_envelope + place;
                Place::Void { envelope_id, rain, rev }
            });
            self.record.decide(voids.collect()).await?;
        }
        Err(Trouble::Overtaken)
    }
}

/// The newest revision that voided a place.
fn newest_void(places: &[Place]) -> Option<i64> {
    let rev = |place: &Place| match place {
        Place::Granted(_) => None,
        Place::Void { rev, .. } => Some(*rev),
    };
    places.iter().filter_map(rev).max()
}

/// Places of a chunk that nothing is known of.
fn undecided(line: ChunkLine, places: &[Place]) -> Vec<i64> {
    let decided: HashSet<i64> = places.iter().map(Place::envelope_id).collect();
    let open = line.envelopes().filter(|envelope| !decided.contains(envelope));
    open.map(|envelope| envelope - line.first_envelope).collect()
}

pub(super) fn plus(one: Sum, other: Sum) -> Sum {
    Sum { count: one.count + other.count, fen: one.fen + other.fen }
}
