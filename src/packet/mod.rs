//! Red-packet rain: a budget handed out to the fen, in packets whose amounts a stranger can check.
//!
//! Everything random is a function of the rain's seed (`uniform`): what the packets of a chunk hold
//! (`chunk`) and whether a draw wins (`luck`). The terms are versions in a hash chain (`chain`) that
//! hangs on a commitment published before the start; when the rain has ended, its seed and its
//! journal are the `proof`. `rain` puts them together, without time, storage or threads.

pub mod api;
mod chain;
mod chunk;
pub mod cluster;
mod curve;
mod decode;
pub mod gate;
pub mod local;
mod luck;
pub mod openapi;
mod outcomes;
mod pacing;
pub mod proof;
mod rain;
pub mod stream;
mod terms;
mod uniform;
pub mod wire;

pub use chain::{Author, Version, commitment, link};
pub use chunk::{CHUNK_PACKETS_MAX, Chunk, bounds};
pub use curve::{Curve, points as curve_points};
pub use luck::wins;
pub use pacing::{hit_ppm, planned};
pub use rain::{Grant, Journaled, Rain, Request, State, state};
pub use terms::{
    Change, Impossible, MAX_PER_USER, PACKET_FEN, REASON_BYTES, Sum, TIME_S, TOTAL_AMOUNT_FEN,
    TOTAL_COUNT, Terms, WIN_PPM,
};
pub use uniform::{Digest, Seed, Source, Stream};

use crate::exec::Answer;
use crate::store::{RequestKey, StoreError};
use serde::Serialize;
use std::ops::RangeInclusive;
use std::sync::Arc;

/// Packets of one page of a wallet.
pub const WALLET_LIMIT: RangeInclusive<i64> = 1..=1_000;

/// Versions that the history of `GET /rain/config` shows; the proof has all.
pub const HISTORY_VERSIONS_MAX: usize = 1_000;

/// One try to get a packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snatch {
    /// Who.
    pub uid: i64,
    /// Under which name a retry would come.
    pub key: Option<RequestKey>,
}

/// Why nobody, or not this user, gets a packet now. The order is the one in which they are decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Refusal {
    /// Before the start, or there is no rain.
    NotStarted,
    /// After the end.
    Ended,
    /// An operator holds it.
    Paused,
    /// The limit of all users together is reached.
    Busy,
    /// The limit of this user is reached.
    TooFast,
    /// The user has as many packets as one may get.
    NoSnatches,
    /// All packets are handed out.
    NoPackets,
}

/// What became of a [`Snatch`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Snatched {
    /// The packet is the user's, through whatever happens.
    Got {
        /// Names the packet; grows with time, below 2^53.
        envelope_id: i64,
        /// The draw that won it.
        draw: i64,
        /// Packets that the user may get in this rain.
        max_count: i64,
        /// Packets that the user has got in it.
        cur_count: i64,
        /// An earlier request with this key got it.
        replayed: bool,
    },
    /// The draw won nothing.
    Unlucky {
        /// Its number.
        draw: i64,
    },
    /// There was no draw.
    Refused(Refusal),
}

/// Opens a packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Open {
    /// Who.
    pub uid: i64,
    /// Which.
    pub envelope_id: i64,
    /// Under which name a retry would come.
    pub key: Option<RequestKey>,
}

/// What became of an [`Open`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Opened {
    /// It is paid into the user's wallet.
    Paid {
        /// What was in it, in fen.
        value_fen: i64,
        /// It was opened before: nothing was paid this time.
        replayed: bool,
    },
    /// There is none of this id, or it was returned to the budget.
    NoSuchPacket,
    /// It is another user's.
    NotYours,
    /// The key was used for another packet.
    KeyConflict,
}

/// What an operator does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Manage {
    /// Makes the next rain.
    Create {
        /// Names it; never used before.
        id: i64,
        /// Its first terms; a moment in the past means now.
        terms: Terms,
        /// Who.
        by: Author,
        /// Why; [`REASON_BYTES`] long.
        reason: String,
        /// Under which name a retry would come.
        key: Option<RequestKey>,
    },
    /// Changes the terms of the newest rain.
    Change {
        /// What is to be different.
        change: Change,
        /// Why; [`REASON_BYTES`] long.
        reason: String,
        /// Under which name a retry would come.
        key: Option<RequestKey>,
    },
}

/// What became of a [`Manage`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Managed {
    /// It is in effect.
    Done {
        /// An earlier request with this key did it.
        replayed: bool,
    },
    /// The terms contradict each other, or what has happened.
    Impossible(Impossible),
    /// There is no rain to change.
    NoRain,
    /// Another rain has not ended yet.
    NotEnded {
        /// Which.
        id: i64,
    },
    /// There was a rain of this id.
    TakenId,
    /// The key was used for another request.
    KeyConflict,
}

/// What can be looked up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Read {
    /// A user's packets of all rains, newest first.
    Wallet {
        /// Whose.
        uid: i64,
        /// At most so many; within [`WALLET_LIMIT`].
        limit: i64,
        /// Only packets with a smaller id.
        before: Option<i64>,
    },
    /// The newest rain as everybody may see it.
    Rain,
    /// Its terms and their history, for the operator.
    Config,
    /// What a rain reveals when it is over.
    Proof {
        /// Which; `None` for the newest.
        id: Option<i64>,
    },
}

/// What a [`Read`] found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    /// For [`Read::Wallet`].
    Wallet {
        /// The sum of all that the user opened, in fen.
        amount_fen: i64,
        /// One page, newest first.
        packets: Vec<Held>,
        /// The cursor of the next page.
        next: Option<i64>,
    },
    /// For [`Read::Rain`]; `None` before the first one.
    Rain(Option<Shown>),
    /// For [`Read::Config`]; `None` before the first rain.
    Config(Option<Figures>),
    /// For [`Read::Proof`]: the whole answer, encoded once.
    Proof(Arc<[u8]>),
    /// The rain goes on, so its seed stays secret.
    NotEnded,
    /// There is no such rain.
    NoRain,
}

/// A packet in a wallet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Held {
    /// Names it.
    pub envelope_id: i64,
    /// What was in it, in fen, once it was opened.
    pub value_fen: Option<i64>,
    /// When it was got, in unix seconds.
    pub snatched_at: i64,
}

/// A rain as everybody may see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shown {
    /// Its id.
    pub id: i64,
    /// Where it is in its life.
    pub state: State,
    /// The terms in effect.
    pub terms: Terms,
    /// Packets that are left.
    pub left_count: i64,
    /// What was published before the start.
    pub commitment: Digest,
    /// The newest version of the terms.
    pub version: i64,
    /// The hash of that version.
    pub hash: Digest,
    /// What was planned and what was granted, over the whole time.
    pub curve: Vec<Point>,
}

/// A moment of a rain.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Point {
    /// Unix seconds.
    pub at: i64,
    /// Packets that the straight line has handed out before it.
    pub planned: i64,
    /// Packets that were handed out before it; `None` in the future.
    pub granted: Option<i64>,
}

/// A rain as the operator may see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Figures {
    /// Its id.
    pub id: i64,
    /// The terms in effect.
    pub terms: Terms,
    /// What became of the budget.
    pub budget: Budget,
    /// The newest versions, oldest first, the first of them with the terms before it.
    pub history: Vec<Version>,
    /// The terms before the first version of `history`; `None` when it has them all.
    pub before: Option<Terms>,
}

/// What became of a budget.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Budget {
    /// Packets that users got.
    pub handed_out: Sum,
    /// Packets that are left.
    pub left: Sum,
    /// Packets that were opened.
    pub opened: Sum,
    /// Packets that nobody opened in time.
    pub returned: Sum,
}

/// Where rains live: in memory and `SQLite` (`local`), or in Redis and `MongoDB` (`cluster`).
///
/// Shared by all loops; no method blocks.
pub trait Store: Send + Sync {
    /// Refuses at once what memory can refuse, an unlucky draw included. Otherwise takes an answer
    /// from `later` and returns `None`; a packet that is answered is durable.
    fn snatch(
        &self,
        snatch: Snatch,
        later: &mut dyn FnMut() -> Answer<Snatched>,
    ) -> Option<Result<Snatched, StoreError>>;

    /// Opens a packet. `then` gets the outcome once it is durable and every later read shows it.
    fn open(&self, open: Open, then: Answer<Opened>);

    /// Does what an operator asks. `then` gets the outcome once it is durable and in effect.
    fn manage(&self, manage: Manage, then: Answer<Managed>);

    /// Answers at once what memory knows. Otherwise takes an answer from `later`, calls it when the
    /// look-up is done, and returns `None`.
    fn read(
        &self,
        read: Read,
        later: &mut dyn FnMut() -> Answer<Found>,
    ) -> Option<Result<Found, StoreError>>;
}
