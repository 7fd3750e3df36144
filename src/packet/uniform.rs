//! Uniform integers from a seed: HMAC-SHA-256 in counter mode, with rejection instead of bias.
//!
//! The rule, for a stranger's script: block b of the stream named `label` is
//! `HMAC-SHA256(seed, "{label}/{b}")`, b = 0, 1, 2 …, in ASCII. Its 32 bytes are four big-endian
//! 64-bit words. The next integer below `bound` takes the next word `w` of the stream; a `w` of
//! `2^64 - 2^64 mod bound` or more is thrown away and the next word taken; else it is `w mod bound`.

use hmac::{Hmac, KeyInit, Mac};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use std::fmt;
use std::io;

/// What all draws of a rain come from. Known to nobody before the rain has ended.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seed(#[serde(with = "hex::serde")] [u8; 32]);

/// 32 bytes of SHA-256, shown as 64 lower-case hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Digest(#[serde(with = "hex::serde")] [u8; 32]);

/// The streams of one seed.
#[derive(Clone)]
pub struct Source(Hmac<Sha256>);

/// One stream: words until nobody asks for more.
pub struct Stream {
    /// The seed and the label went in already.
    labelled: Hmac<Sha256>,
    block: u64,
    words: [u64; 4],
    /// Words of the block that were taken.
    taken: usize,
}

impl Seed {
    /// A seed that nobody could have chosen.
    pub fn random() -> io::Result<Self> {
        let mut bytes = [0; 32];
        getrandom::fill(&mut bytes).map_err(io::Error::from)?;
        Ok(Self(bytes))
    }

    /// A seed that is kept, or that a test chose.
    pub const fn new(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// For whoever keeps it.
    pub fn expose(&self) -> &[u8; 32] {
        &self.0
    }

    /// 64 lower-case hexadecimal digits: what is hashed into the commitment.
    pub(super) fn text(&self) -> String {
        hex::encode(self.0)
    }
}

/// Says nothing: a log line must not give a rain away.
impl fmt::Debug for Seed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Seed(***)")
    }
}

impl Digest {
    /// Of a text.
    pub(super) fn of(text: &str) -> Self {
        Self(Sha256::digest(text).into())
    }

    /// One that is kept.
    pub const fn new(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// For whoever keeps it.
    pub fn bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Source {
    /// Those of `seed`.
    pub fn new(seed: &Seed) -> Self {
        Self(Hmac::new_from_slice(&seed.0).expect("HMAC takes keys of any length"))
    }

    /// The stream of that name.
    pub fn stream(&self, label: fmt::Arguments<'_>) -> Stream {
        let mut labelled = self.0.clone();
        feed(&mut labelled, label);
        Stream { labelled, block: 0, words: [0; 4], taken: 4 }
    }
}

impl Stream {
    /// An integer from 0 to `bound - 1`, each as likely as the others. `bound` is above 0.
    pub fn below(&mut self, bound: u64) -> u64 {
        // 2^64 mod bound: as many words at the end would favour the small results.
        let surplus = (u64::MAX % bound + 1) % bound;
        loop {
            let word = self.word();
            if word <= u64::MAX - surplus {
                return word % bound;
            }
        }
    }

    /// An integer from `least` to `most`, each as likely as the others. `least <= most`.
    pub fn between(&mut self, least: i64, most: i64) -> i64 {
        let width = least.abs_diff(most).checked_add(1).expect("no range here spans all of i64");
        least.wrapping_add_unsigned(self.below(width))
    }

    fn word(&mut self) -> u64 {
        if self.taken == self.words.len() {
            let mut block = self.labelled.clone();
            feed(&mut block, format_args!("/{}", self.block));
            let bytes = block.finalize().into_bytes();
            for (word, bytes) in self.words.iter_mut().zip(bytes.chunks_exact(8)) {
                *word = bytes.iter().fold(0, |word, &byte| word << 8 | u64::from(byte));
            }
            self.block += 1;
            self.taken = 0;
        }
        self.taken += 1;
        self.words[self.taken - 1]
    }
}

/// Hashes text as it is formatted, without a copy.
fn feed(mac: &mut Hmac<Sha256>, text: fmt::Arguments<'_>) {
    struct Feed<'a>(&'a mut Hmac<Sha256>);
    impl fmt::Write for Feed<'_> {
        fn write_str(&mut self, text: &str) -> fmt::Result {
            self.0.update(text.as_bytes());
            Ok(())
        }
    }
    fmt::Write::write_fmt(&mut Feed(mac), text).expect("a hash takes everything");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stream(label: &str) -> Stream {
        Source::new(&Seed::new([7; 32])).stream(format_args!("{label}"))
    }

    #[test]
    fn the_words_are_those_of_the_rule() {
        // python3: hmac.new(bytes([7])*32, b"draw/1/5/0", "sha256").digest()[:8], then …/1.
        let mut stream = stream("draw/1/5");
        let words: Vec<u64> = (0..5).map(|_| stream.word()).collect();
        assert_eq!(words[0], WORD_0, "{:#x}", words[0]);
        assert_eq!(words[4], WORD_4, "{:#x}", words[4]);
    }

    const WORD_0: u64 = 0xFCDB_CB27_B744_B968;
    const WORD_4: u64 = 0xC93C_1850_8B91_CB6B;

    #[test]
    fn results_cover_the_range_evenly_and_stay_within() {
        let mut stream = stream("even");
        let mut counts = [0_u32; 6];
        for _ in 0..60_000 {
            counts[usize::try_from(stream.between(-2, 3) + 2).expect("within")] += 1;
        }
        // Six deviations of a binomial with n = 60,000 and p = 1/6.
        assert!(counts.iter().all(|count| count.abs_diff(10_000) < 550), "{counts:?}");
        assert_eq!(stream.below(1), 0);
        assert_eq!(stream.between(5, 5), 5);
    }

    #[test]
    fn a_word_that_would_favour_small_results_is_thrown_away() {
        // Of bounds just above 2^63 about half of all words are refused.
        let bound = (1 << 63) + 1;
        let (mut plain, mut drawn) = (stream("half"), stream("half"));
        let kept: Vec<u64> = (0..100).map(|_| plain.word()).filter(|word| *word < bound).collect();
        assert!((25..75).contains(&kept.len()), "{} of 100", kept.len());
        for word in kept {
            assert_eq!(drawn.below(bound), word);
        }
    }

    #[test]
    fn a_seed_does_not_show_itself() {
        assert_eq!(format!("{:?}", Seed::new([7; 32])), "Seed(***)");
    }
}
