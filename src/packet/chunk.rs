//! Chunks: about 64 packets drawn together, so that no amount depends on when one snatches.
//!
//! A chunk gets its share of what is left, in proportion to its packets. Its amounts are drawn by the
//! double mean, clamped to what keeps the rest of the chunk feasible, and then shuffled: drawn live,
//! late packets would spread wider. All of it is a function of the seed and the record.

use super::terms::{Sum, Terms};
use super::uniform::Source;
use serde::{Deserialize, Serialize};
use std::ops::RangeInclusive;

/// Packets of a chunk at most. Chunks of one rain differ by one packet, so that the last is not
/// a small one, whose amounts would spread less.
pub const CHUNK_PACKETS_MAX: i64 = 64;

/// The journaled record of a chunk: all that its packets depend on, beside the seed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Chunk {
    /// 1, 2, 3 … within its rain.
    pub number: i64,
    /// The version of the terms that it was drawn under. New amounts take effect with the first
    /// chunk that names them.
    pub version: i64,
    /// Packets left when it was drawn, its own included.
    pub left_count: i64,
    /// Fen left when it was drawn, its own included.
    pub left_fen: i64,
}

impl Chunk {
    /// The next chunk after number `last`, with so much left. Nothing left makes no chunk.
    pub fn next(last: i64, version: i64, left: Sum) -> Option<Self> {
        let (left_count, left_fen) = (left.count, left.fen);
        (left_count > 0).then_some(Self { number: last + 1, version, left_count, left_fen })
    }

    /// Its packets: what is left, in the fewest chunks of at most 64, evened out.
    pub fn count(&self) -> i64 {
        let chunks = ceil(self.left_count, CHUNK_PACKETS_MAX);
        ceil(self.left_count, chunks)
    }

    /// Its share of what is left, rounded down; the last chunk takes all.
    pub fn amount_fen(&self) -> i64 {
        let share = i128::from(self.left_fen) * i128::from(self.count());
        i64::try_from(share / i128::from(self.left_count)).expect("at most what is left")
    }

    /// The amounts of its packets, in fen, in the order in which they are handed out. `terms` are
    /// those of its version.
    pub fn packets(&self, source: &Source, rain: i64, terms: &Terms) -> Vec<i64> {
        let Chunk { number, version, left_count, left_fen } = self;
        let mut stream =
            source.stream(format_args!("chunk/{rain}/{number}/{version}/{left_count}/{left_fen}"));
        let mut left_fen = self.amount_fen();
        let mut packets = Vec::new();
        for left_count in (1..=self.count()).rev() {
            let (least, most) = bounds(left_fen, left_count, terms).into_inner();
            let amount = stream.between(least, most);
            left_fen -= amount;
            packets.push(amount);
        }
        // Fisher and Yates.
        for last in (1..packets.len()).rev() {
            let other = stream.below(last as u64 + 1);
            packets.swap(last, usize::try_from(other).expect("at most `last`"));
        }
        packets
    }
}

/// What one packet may hold with `left_fen` for `left_count` packets: never more than double the
/// mean less the minimum, and never what would leave too little or too much for the others.
///
/// Not empty as long as `min * left_count <= left_fen <= max * left_count`, and whatever is taken
/// from it leaves that true for one packet less.
pub fn bounds(left_fen: i64, left_count: i64, terms: &Terms) -> RangeInclusive<i64> {
    let (left, count) = (i128::from(left_fen), i128::from(left_count));
    let (min, max) = (i128::from(terms.min_fen), i128::from(terms.max_fen));
    let least = min.max(left - max * (count - 1));
    let double_mean = (2 * left / count - min).max(min);
    let most = max.min(left - min * (count - 1)).min(double_mean);
    let narrow = |fen: i128| i64::try_from(fen).expect("between min_fen and max_fen");
    narrow(least)..=narrow(most)
}

/// Division that rounds up; both are above 0.
fn ceil(number: i64, by: i64) -> i64 {
    (number - 1) / by + 1
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(mut left: i64) -> Vec<i64> {
        let mut counts = Vec::new();
        while let Some(chunk) = Chunk::next(0, 1, Sum { count: left, fen: left }) {
            counts.push(chunk.count());
            left -= chunk.count();
        }
        counts
    }

    #[test]
    fn chunks_of_a_rain_are_of_about_one_size() {
        assert_eq!(counts(1), [1]);
        assert_eq!(counts(64), [64]);
        assert_eq!(counts(65), [33, 32]);
        assert_eq!(counts(300), [60; 5]);
        assert_eq!(counts(129), [43; 3]);
        assert!(counts(10_000).iter().all(|count| (63..=64).contains(count)));
    }
}
