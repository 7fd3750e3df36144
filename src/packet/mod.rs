//! Red-packet rain: a budget handed out to the fen, in packets whose amounts a stranger can check.
//!
//! Everything random is a function of the rain's seed (`uniform`): what the packets of a chunk hold
//! (`chunk`) and whether a draw wins (`luck`). The terms are versions in a hash chain (`chain`) that
//! hangs on a commitment published before the start; when the rain has ended, its seed and its
//! journal are the `proof`.

mod chain;
mod chunk;
mod curve;
mod luck;
mod pacing;
pub mod proof;
mod rain;
mod terms;
mod uniform;

pub use chain::{Author, Version, commitment, link};
pub use chunk::{CHUNK_PACKETS_MAX, Chunk, bounds};
pub use curve::Curve;
pub use luck::wins;
pub use pacing::{hit_ppm, planned};
pub use rain::{Grant, Journaled, Rain, Request, State, state};
pub use terms::{
    Change, Impossible, MAX_PER_USER, PACKET_FEN, REASON_BYTES, Sum, TIME_S, TOTAL_AMOUNT_FEN,
    TOTAL_COUNT, Terms, WIN_PPM,
};
pub use uniform::{Digest, Seed, Source, Stream};
