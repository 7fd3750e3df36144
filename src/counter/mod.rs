//! Counters: the words and rules of counting, without protocol or storage.
//!
//! A counter is a pair of a resource and a type, and counts from 0. What it adds up to within the
//! current hour, day and week makes the hot lists. A type that is *unique*, or a call with `once`,
//! counts users instead: a user is counted or not, and the count moves only when that changes.

pub mod api;
#[cfg(feature = "cluster")]
pub mod cluster;
mod decode;
mod hot_cache;
mod hot_list;
mod id;
pub mod local;
pub mod openapi;
mod spread;
pub mod stream;
mod sums;
pub mod wire;

pub use crate::calendar::Period;
pub use hot_list::{HotList, Place};
pub use id::Id;
pub use spread::Spread;
pub use sums::Sums;

use crate::exec::Answer;
use crate::session::Signal;
use crate::store::{RequestKey, StoreError};
use std::collections::HashSet;
use std::ops::RangeInclusive;
use std::time::Duration;

/// Announced when counters changed.
pub const COUNTER_SIGNAL: Signal = Signal(1);

/// Bytes of the reason of an operator's call.
pub const REASON_BYTES: RangeInclusive<usize> = 1..=200;

/// What is counted: one type of one resource.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Counter {
    /// Of what, such as `like`.
    pub counter_type: Id,
    /// For whom.
    pub resource: Id,
}

/// Which types are configured, and how.
#[derive(Clone, Debug, Default)]
pub struct Types {
    /// Types that count a user once.
    pub unique: HashSet<Id>,
}

/// The call that asked for a write: request keys are scoped to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Path {
    /// `POST …/increment`.
    Increment,
    /// `DELETE …/users/{user_id}`.
    Users,
    /// `POST …/recount`.
    Recount,
    /// `POST …/reset`.
    Reset,
}

/// A change to one counter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Adds to the count, up or down.
    Add {
        /// Not 0.
        delta: i64,
        /// Who asked. Without effect, but part of what a key stands for.
        user: Option<Id>,
    },
    /// Counts a user, unless that is done already.
    Join {
        /// Whom.
        user: Id,
    },
    /// Takes a user back who was counted.
    Leave {
        /// Whom.
        user: Id,
    },
    /// Sets the count to the number of counted users; the windows stay.
    Recount {
        /// Why; [`REASON_BYTES`] long.
        reason: String,
    },
    /// Sets the count and its windows to 0 and forgets the counted users.
    Reset {
        /// Why; [`REASON_BYTES`] long.
        reason: String,
    },
}

/// What changes a counter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Write {
    /// Which.
    pub counter: Counter,
    /// How.
    pub action: Action,
    /// The call that asks.
    pub path: Path,
    /// Under which name a retry would come.
    pub key: Option<RequestKey>,
}

/// What became of a [`Write`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Written {
    /// It is durable, and every later read shows it; or there was nothing to change.
    Done {
        /// What the counter stands at; `None` while the view of a cluster is away.
        count: Option<i64>,
        /// What a recount or reset added to the count.
        correction: i64,
        /// True when an earlier request with the same key did it.
        replayed: bool,
    },
    /// The count, or that of a window, would leave i64; nothing changed.
    Overflow,
    /// The key was used for another command; nothing changed.
    KeyConflict,
    /// There is no such counter to recount or reset.
    UnknownCounter,
    /// As many counters or counted users as there may be; nothing changed.
    Full,
}

/// What can be looked up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Read {
    /// One count.
    Count(Counter),
    /// Many counts.
    Counts(Vec<Counter>),
    /// The resources that a type counts most.
    Hot {
        /// Which type.
        counter_type: Id,
        /// In all or within the current window.
        period: Period,
        /// At most so many.
        num: usize,
    },
    /// Whether a user is counted.
    IsCounted {
        /// By which counter.
        counter: Counter,
        /// Who.
        user: Id,
    },
}

/// What a [`Read`] found. A counter that nobody ever wrote stands at 0.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    /// For [`Read::Count`].
    Count(i64),
    /// For [`Read::Counts`], in the order asked.
    Counts(Vec<i64>),
    /// For [`Read::Hot`]: highest first, then by resource; only counts above 0.
    Hot(Vec<Place>),
    /// For [`Read::IsCounted`].
    IsCounted(bool),
    /// What is within may lack what was acknowledged lately. Only from a store whose counters are
    /// elsewhere and away.
    Stale {
        /// What was found, or known last.
        found: Box<Found>,
        /// For how long nobody knows that it lacks nothing.
        age: Duration,
    },
}

/// Where counters live: in memory and `SQLite` (`local`), or in Redis and `MongoDB` (`cluster`).
///
/// Shared by all loops; no method blocks.
pub trait Store: Send + Sync {
    /// Applies a write. `then` gets the outcome once it is durable and visible to every later read.
    fn write(&self, write: Write, then: Answer<Written>);

    /// Answers at once what memory knows. Otherwise takes an answer from `later`, calls it when the
    /// look-up is done, and returns `None`.
    fn read(
        &self,
        read: &Read,
        later: &mut dyn FnMut() -> Answer<Found>,
    ) -> Option<Result<Found, StoreError>>;

    /// A hot list for those who follow it: what is known at once. A store that must ask elsewhere
    /// begins to, and announces [`COUNTER_SIGNAL`] when the list is another.
    fn shown(&self, read: &Read) -> Option<Found> {
        self.read(read, &mut || Box::new(drop)).and_then(Result::ok)
    }
}
