//! Gifts: the words and rules of the board, without protocol or storage.
//!
//! A gift is one journal entry. Everything else (boards, worth, fans) is a function of the journal:
//! ordered by total descending, then by who reached it first, then by id ascending.

pub mod api;
pub mod board;
pub mod cluster;
mod decode;
pub mod ledger;
pub mod local;
pub mod mongo_export;
pub mod openapi;
pub mod stream;
mod top_cache;
pub mod wire;

pub use crate::calendar::{Period, Span};

use crate::exec::Answer;
use crate::session::Signal;
use crate::store::{RequestKey, StoreError};
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

/// Announced when any board changed.
pub const GIFT_SIGNAL: Signal = Signal(0);

/// What one gift may be worth.
pub const WORTH: RangeInclusive<i64> = 1..=1_000_000_000_000;

/// Bytes of the reason of a revoke.
pub const REASON_BYTES: RangeInclusive<usize> = 1..=200;

/// A gift as it was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gift {
    /// Who gives.
    pub audience_id: i64,
    /// Who receives.
    pub anchor_id: i64,
    /// Within [`WORTH`].
    pub worth: i64,
}

/// One line of the journal; all that is ever known of a gift.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Position in the journal; grows with time, below 2^53.
    pub id: i64,
    /// Who gave.
    pub audience_id: i64,
    /// Who received.
    pub anchor_id: i64,
    /// Negative in an entry that revokes.
    pub worth: i64,
    /// When the server took it, in microseconds; grows strictly with `id`.
    pub time_us: i64,
    /// The entry that this one takes back.
    pub revokes: Option<i64>,
}

/// Which part of which board.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TopQuery {
    /// Which kind of board.
    pub period: Period,
    /// A moment (unix seconds) in the wanted period; `None` for the current one.
    pub at: Option<i64>,
    /// Places to skip.
    pub offset: usize,
    /// Places to show.
    pub num: usize,
}

/// What changes the journal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Write {
    /// Gives.
    Send {
        /// What.
        gift: Gift,
        /// Under which name a retry would come.
        key: Option<RequestKey>,
    },
    /// Takes a gift back.
    Revoke {
        /// The entry to compensate.
        id: i64,
        /// Why; [`REASON_BYTES`] long.
        reason: String,
        /// Under which name a retry would come.
        key: Option<RequestKey>,
    },
}

/// What became of a [`Write`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Written {
    /// It is in the journal, and every later read shows it.
    Done {
        /// The entry made for it.
        entry: Entry,
        /// True when the entry was made by an earlier request: the same key, or a second revoke.
        replayed: bool,
    },
    /// A total would leave i64; nothing changed.
    Overflow,
    /// The key was used for another command; nothing changed.
    KeyConflict,
    /// There is no such gift to revoke.
    UnknownGift,
    /// The entry is a revoke itself.
    NotAGift,
    /// What is within took effect, but reads do not show it yet: they say so until they do. Only
    /// from a store whose boards are elsewhere and away.
    Degraded(Box<Written>),
}

/// What can be looked up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Read {
    /// A part of a board.
    Top(TopQuery),
    /// One anchor's place among its neighbours.
    Rank {
        /// Whose.
        anchor_id: i64,
        /// On which board (the current period).
        period: Period,
        /// Neighbours on each side.
        around: usize,
    },
    /// One anchor's total of all time.
    Worth {
        /// Whose.
        anchor_id: i64,
    },
    /// An anchor's entries, newest first.
    Journal {
        /// Whose.
        anchor_id: i64,
        /// At most so many.
        num: usize,
        /// Only entries with a smaller id.
        before: Option<i64>,
    },
    /// Who gave an anchor most.
    Fans {
        /// Whose.
        anchor_id: i64,
        /// At most so many.
        num: usize,
    },
}

/// One place on a board (or among fans: then the id is the audience's).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// Who.
    pub id: i64,
    /// Above 0.
    pub total_worth: i64,
    /// Position, from 1.
    pub rank: usize,
    /// Time of the newest entry in the period, in microseconds.
    pub reached_at_us: i64,
}

/// What a [`Read`] found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    /// For [`Read::Top`].
    Top {
        /// Best first; the same list as before while nothing on it changed, where the store knows.
        places: Arc<[Place]>,
        /// `None` for all time.
        span: Option<Span>,
        /// Time (µs) of the last change of this board: its newest entry or its start.
        version: u64,
    },
    /// `at` lies in the future.
    Future,
    /// The period is too old.
    NotKept,
    /// For [`Read::Rank`]; `None` when the anchor is not on the board.
    Rank(Option<Standing>),
    /// For [`Read::Worth`]; `None` for an anchor that never had a gift.
    Worth(Option<i64>),
    /// For [`Read::Journal`].
    Journal {
        /// Newest first.
        entries: Vec<Entry>,
        /// The cursor of the next page.
        next: Option<i64>,
    },
    /// For [`Read::Fans`].
    Fans(Vec<Place>),
    /// What is within may lack what was acknowledged lately. Only from a store whose boards are
    /// elsewhere and away.
    Stale {
        /// What was found, or known last.
        found: Box<Found>,
        /// For how long nobody knows that it lacks nothing.
        age: Duration,
    },
}

/// An anchor among its neighbours.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Standing {
    /// The anchor itself.
    pub place: Place,
    /// The next better one.
    pub ahead: Option<Place>,
    /// The next worse one.
    pub behind: Option<Place>,
    /// The neighbourhood, best first, the anchor included.
    pub around: Vec<Place>,
}

/// Where gifts live: in memory and `SQLite` (`local`), or in Redis and `MongoDB` (`cluster`).
///
/// Shared by all loops; no method blocks.
pub trait Store: Send + Sync {
    /// Applies a write. `then` gets the outcome once it is durable and visible to every later read.
    fn write(&self, write: Write, then: Answer<Written>);

    /// Answers at once what memory knows. Otherwise takes an answer from `later`, calls it when the
    /// look-up is done, and returns `None`.
    fn read(
        &self,
        read: Read,
        later: &mut dyn FnMut() -> Answer<Found>,
    ) -> Option<Result<Found, StoreError>>;

    /// Differs from every earlier value once an acknowledged write changed any board: what was
    /// encoded under the same version (and within the same calendar hour) still holds.
    fn version(&self) -> u64;

    /// A board for those who follow it: what is known at once. A store that must ask elsewhere
    /// begins to, and announces [`GIFT_SIGNAL`] when the board is another.
    fn shown(&self, query: TopQuery) -> Option<Found> {
        self.read(Read::Top(query), &mut || Box::new(drop)).and_then(Result::ok)
    }
}
