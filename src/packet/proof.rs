//! What a rain reveals when it is over, and whether it holds: every amount and every win is computed
//! again from the seed.

use super::chain::{self, Version};
use super::chunk::Chunk;
use super::luck;
use super::terms::{Sum, Terms, WIN_PPM};
use super::uniform::{Digest, Seed, Source};
use serde::{Deserialize, Serialize};
use std::collections::HashSet;

/// Everything that a rain was made of, users aside.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Proof {
    /// The rain.
    pub id: i64,
    /// Secret until now.
    pub seed: Seed,
    /// Published before the start.
    pub commitment: Digest,
    /// All versions of the terms, first to last.
    pub versions: Vec<Linked>,
    /// All chunks, in the order in which they were drawn.
    pub chunks: Vec<Used>,
}

/// A version with its place in the hash chain.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Linked {
    /// The version.
    #[serde(flatten)]
    pub version: Version,
    /// Its hash.
    pub hash: Digest,
}

/// A chunk with what was handed out of it: its first packets, those aside that were skipped.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Used {
    /// The record.
    #[serde(flatten)]
    pub chunk: Chunk,
    /// The draws that won its packets, in their order.
    pub draws: Vec<i64>,
    /// What was in them, in fen.
    pub amounts: Vec<i64>,
    /// Places between them that stayed nobody's: packets that were lost on their way to a user, when
    /// the chunk was left before they could be handed out again. Ascending, and only in chunks that were
    /// left early.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub skipped: Vec<usize>,
}

impl Used {
    /// One that nothing was handed out of yet.
    pub fn of(chunk: Chunk) -> Self {
        Self { chunk, draws: Vec::new(), amounts: Vec::new(), skipped: Vec::new() }
    }

    /// One with these packets, each as place, draw and amount, in the order of their places.
    pub fn filled(chunk: Chunk, packets: impl Iterator<Item = (i64, i64, i64)>) -> Self {
        let (mut used, mut next) = (Self::of(chunk), 0);
        for (place, draw, amount) in packets {
            let place = usize::try_from(place).unwrap_or(usize::MAX);
            used.skipped
                .extend(next..place.min(next + usize::try_from(chunk.count()).unwrap_or(0)));
            next = place.saturating_add(1);
            used.draws.push(draw);
            used.amounts.push(amount);
        }
        used
    }
}

/// What a proof that holds has shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shown {
    /// The rain.
    pub id: i64,
    /// What was handed out.
    pub handed_out: Sum,
    /// What was left at the end.
    pub left: Sum,
    /// Versions of the terms.
    pub versions: usize,
    /// Chunks.
    pub chunks: usize,
    /// Packets that were passed over.
    pub skipped: usize,
    /// What everybody was shown before the start.
    pub commitment: Digest,
    /// What everybody was shown of the last version.
    pub version_hash: Digest,
}

/// Where a proof does not hold.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Flaw {
    /// Seed or first terms are not those that were committed to.
    #[error("the commitment is not the hash of seed, id and first config")]
    Commitment,
    /// A version was changed, left out or put in.
    #[error("version {0} does not follow the one before it")]
    Version(i64),
    /// No terms, so nothing could have been handed out.
    #[error("there is no version")]
    NoVersion,
    /// A chunk does not continue what is before it.
    #[error("chunk {0} does not continue what was handed out before it")]
    Chunk(i64),
    /// A chunk's packets were thrown away without new amounts.
    #[error("chunk {0} was left before it was empty, though no amount was changed")]
    LeftEarly(i64),
    /// Places were passed over that nothing was handed out behind.
    #[error("what chunk {0} skipped is not in order, or not between its packets")]
    Skipped(i64),
    /// An amount is not what was drawn.
    #[error(
        "packet {place} of chunk {chunk} held {} fen, but {given} were given",
        drawn.map_or("no".to_owned(), |drawn| drawn.to_string())
    )]
    Amount {
        /// The chunk.
        chunk: i64,
        /// The packet, from 0.
        place: usize,
        /// What the seed says; `None` beyond the chunk's packets.
        drawn: Option<i64>,
        /// What the proof says.
        given: i64,
    },
    /// A packet went to a draw that had lost.
    #[error("draw {0} got a packet, but had not won")]
    NotWon(i64),
    /// A draw got two packets.
    #[error("draw {0} got more than one packet")]
    Twice(i64),
    /// More was handed out than there was.
    #[error("more was handed out than the budget held")]
    Overspent,
}

impl Proof {
    /// Computes everything again.
    pub fn verify(&self) -> Result<Shown, Flaw> {
        self.verify_versions()?;
        let source = Source::new(&self.seed);
        let mut handed_out = Sum::default();
        let mut draws = HashSet::new();
        let mut last: Option<&Used> = None;
        for (used, number) in self.chunks.iter().zip(1..) {
            let terms = self.terms(used.chunk.version).ok_or(Flaw::Chunk(number))?;
            let (last_number, last_version) =
                last.map_or((0, 1), |last| (last.chunk.number, last.chunk.version));
            let expected = Chunk::next(last_number, used.chunk.version, terms.left(handed_out));
            let is_next = expected == Some(used.chunk) && used.chunk.version >= last_version;
            if !is_next || used.draws.len() != used.amounts.len() {
                return Err(Flaw::Chunk(number));
            }
            if let Some(last) = last
                && last.chunk.count() > count(&last.amounts)
                && !self.has_new_amounts(last_version, used.chunk.version)
            {
                return Err(Flaw::LeftEarly(last.chunk.number));
            }
            self.verify_amounts(&source, used, terms)?;
            for &draw in &used.draws {
                self.verify_draw(&source, draw)?;
                if !draws.insert(draw) {
                    return Err(Flaw::Twice(draw));
                }
            }
            handed_out.count += count(&used.amounts);
            handed_out.fen += used.amounts.iter().sum::<i64>();
            last = Some(used);
        }
        let last_version = self.versions.last().ok_or(Flaw::NoVersion)?;
        let left = last_version.version.config.left(handed_out);
        if left.count < 0 || left.fen < 0 || (left.count == 0 && left.fen > 0) {
            return Err(Flaw::Overspent);
        }
        let (versions, chunks) = (self.versions.len(), self.chunks.len());
        let skipped = self.chunks.iter().map(|used| used.skipped.len()).sum();
        let (commitment, version_hash) = (self.commitment, last_version.hash);
        let id = self.id;
        Ok(Shown { id, handed_out, left, versions, chunks, skipped, commitment, version_hash })
    }

    fn verify_versions(&self) -> Result<(), Flaw> {
        let first = &self.versions.first().ok_or(Flaw::NoVersion)?.version.config;
        if chain::commitment(&self.seed, self.id, first) != self.commitment {
            return Err(Flaw::Commitment);
        }
        let (mut hash, mut first_draw) = (self.commitment, 1);
        for (linked, number) in self.versions.iter().zip(1..) {
            let version = &linked.version;
            let in_order = version.version == number && version.first_draw >= first_draw;
            let has_rate = version.config.is_in_range()
                && (version.config.pacing && WIN_PPM.contains(&version.hit_ppm)
                    || version.hit_ppm == version.config.win_ppm);
            hash = chain::link(&hash, version);
            if !in_order || !has_rate || hash != linked.hash {
                return Err(Flaw::Version(number));
            }
            first_draw = version.first_draw;
        }
        Ok(())
    }

    fn verify_amounts(&self, source: &Source, used: &Used, terms: &Terms) -> Result<(), Flaw> {
        // Amounts that cannot be drawn would not even have bounds.
        let left = Sum { count: used.chunk.left_count, fen: used.chunk.left_fen };
        let share = Terms { total_count: left.count, total_amount_fen: left.fen, ..*terms };
        share.check(Sum::default()).map_err(|_| Flaw::Chunk(used.chunk.number))?;
        let is_between =
            used.skipped.last().is_none_or(|last| *last < used.amounts.len() + used.skipped.len());
        if !used.skipped.is_sorted_by(|one, next| one < next) || !is_between {
            return Err(Flaw::Skipped(used.chunk.number));
        }
        let packets = used.chunk.packets(source, self.id, terms);
        let skipped: HashSet<usize> = used.skipped.iter().copied().collect();
        let places = (0..).filter(|place| !skipped.contains(place));
        for (place, &given) in places.zip(&used.amounts) {
            let drawn = packets.get(place).copied();
            if drawn != Some(given) {
                return Err(Flaw::Amount { chunk: used.chunk.number, place, drawn, given });
            }
        }
        Ok(())
    }

    fn verify_draw(&self, source: &Source, draw: i64) -> Result<(), Flaw> {
        let begun = self.versions.partition_point(|linked| linked.version.first_draw <= draw);
        let version = begun.checked_sub(1).map(|at| &self.versions[at].version);
        match version {
            Some(version) if luck::wins(source, self.id, draw, version.hit_ppm) => Ok(()),
            _ => Err(Flaw::NotWon(draw)),
        }
    }

    /// Whether a version after `earlier`, up to `later`, had other amounts than it, though they may
    /// have been changed back.
    fn has_new_amounts(&self, earlier: i64, later: i64) -> bool {
        let Some(old) = self.terms(earlier) else { return false };
        (earlier..later).filter_map(|at| self.terms(at + 1)).any(|terms| !terms.same_amounts(old))
    }

    /// The terms of a version.
    fn terms(&self, version: i64) -> Option<&Terms> {
        let at = usize::try_from(version.checked_sub(1)?).ok()?;
        self.versions.get(at).map(|linked| &linked.version.config)
    }
}

fn count(packets: &[i64]) -> i64 {
    i64::try_from(packets.len()).expect("what fits in memory can be counted")
}
