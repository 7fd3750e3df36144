//! Trades: the words and rules of the trading room, without protocol or storage.
//!
//! A trade is one line of the journal; a rollback is another, that takes it back. Holdings are the
//! sum of the trades that were not taken back. Each line but those of the opening makes two pushes,
//! with the next two numbers (`seq`) of its customer: what happened, and the position after it.

pub mod activity;
pub mod api;
pub mod book;
mod decode;
pub mod local;
pub mod market;
pub mod opening;
mod room;
pub mod sim;
pub mod wire;

use crate::exec::Answer;
use crate::store::{RequestKey, StoreError};
use std::fmt;
use std::ops::RangeInclusive;

pub use market::{Exchange, Stock};
pub use room::Room;

/// Bytes of the reason of a rollback.
pub const REASON_BYTES: RangeInclusive<usize> = 1..=200;

/// Pushes of one line of the journal: what happened, and the position after it.
pub const PUSHES_PER_LINE: i64 = 2;

/// A customer's number: twelve digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Customer(i64);

impl Customer {
    const DIGITS: usize = 12;

    /// The customer of that number; `None` when it is not twelve ASCII digits.
    pub fn new(text: &str) -> Option<Self> {
        let is_number =
            text.len() == Self::DIGITS && text.bytes().all(|byte| byte.is_ascii_digit());
        if is_number { text.parse().ok().map(Self) } else { None }
    }

    /// The number; from 0 on, below 10^12.
    pub fn number(self) -> i64 {
        self.0
    }

    /// The customer of that number; `None` when it has more than twelve digits.
    pub fn from_number(number: i64) -> Option<Self> {
        (0..1_000_000_000_000).contains(&number).then_some(Self(number))
    }

    /// The key of the feed of its pushes.
    fn feed_key(self) -> u64 {
        self.0.cast_unsigned()
    }

    fn from_feed_key(key: u64) -> Option<Self> {
        Self::from_number(key.cast_signed())
    }
}

impl fmt::Display for Customer {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{:012}", self.0)
    }
}

/// Which way a trade goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Side {
    /// More of the stock.
    Buy,
    /// Less of it.
    Sell,
}

impl Side {
    /// The quantity with the sign of its effect on the position.
    pub fn signed(self, quantity: i64) -> i64 {
        match self {
            Side::Buy => quantity,
            Side::Sell => -quantity,
        }
    }

    /// Its name on the wire and its number in the journal.
    pub fn number(self) -> u8 {
        match self {
            Side::Buy => 1,
            Side::Sell => 2,
        }
    }

    /// The side that takes it back.
    #[must_use]
    pub fn opposite(self) -> Self {
        match self {
            Side::Buy => Side::Sell,
            Side::Sell => Side::Buy,
        }
    }
}

/// A trade as it was asked for; it is filled at the last price.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Order {
    /// Whose.
    pub customer: Customer,
    /// Of what.
    pub stock: Stock,
    /// Which way.
    pub side: Side,
    /// Above 0.
    pub quantity: i64,
}

/// One line of the journal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Position in the journal; grows with time, below 2^53. The trade's id.
    pub id: i64,
    /// What was filled. A rollback's has the opposite side of the trade that it takes back.
    pub order: Order,
    /// The price of the fill; of a rollback, the last price at its time. In fen.
    pub price_fen: i64,
    /// When, in microseconds; grows strictly with `id`.
    pub time_us: i64,
    /// Number of the first of its two pushes; 0 for the opening, which pushes nothing.
    pub seq: i64,
    /// What the customer held of the stock after it.
    pub held: i64,
    /// The trade that this takes back, and why.
    pub rollback: Option<Rollback>,
}

/// What a line that takes back says beside its numbers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rollback {
    /// The trade.
    pub trade_id: i64,
    /// [`REASON_BYTES`] long.
    pub reason: String,
}

impl Entry {
    /// Made at the first start.
    pub fn is_opening(&self) -> bool {
        self.seq == 0
    }

    /// Number of the newest push of its customer after it.
    pub fn last_seq(&self) -> i64 {
        if self.is_opening() { 0 } else { self.seq + PUSHES_PER_LINE - 1 }
    }

    /// The position after it, as it was then.
    pub fn holding(&self) -> Holding {
        Holding { stock: self.order.stock, quantity: self.held, price_fen: self.price_fen }
    }
}

/// What somebody has of one stock, at the last price.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Holding {
    /// Of what.
    pub stock: Stock,
    /// How much; 0 when it is gone.
    pub quantity: i64,
    /// The last price, in fen.
    pub price_fen: i64,
}

impl Holding {
    /// Quantity times price. The book refuses what would not fit.
    pub fn value_fen(&self) -> i64 {
        self.quantity.checked_mul(self.price_fen).expect("the book holds no more than fits")
    }
}

/// What changes the journal, or a price.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Write {
    /// Buys or sells.
    Trade {
        /// What.
        order: Order,
        /// Under which name a retry would come; of this customer.
        key: Option<RequestKey>,
    },
    /// Takes a trade back.
    Rollback {
        /// Which.
        trade_id: i64,
        /// Why; [`REASON_BYTES`] long.
        reason: String,
        /// Under which name a retry would come; of the operator.
        key: Option<RequestKey>,
    },
    /// Moves the last price of a stock.
    Quote {
        /// Of which.
        stock: Stock,
        /// Within [`market::PRICE_FEN`].
        price_fen: i64,
    },
}

/// What became of a [`Write`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Written {
    /// It is in the journal, and every later read shows it.
    Done {
        /// The line made for it.
        entry: Entry,
        /// The position as it is now.
        holding: Holding,
        /// True when the line was made by an earlier request: the same key, or a second rollback.
        replayed: bool,
    },
    /// The price is moved.
    Quoted,
    /// The customer has none of that stock to sell.
    NotHeld,
    /// The customer has less than that.
    NotEnough,
    /// A quantity or a value in fen would leave i64; nothing changed.
    Overflow,
    /// The key was used for another command; nothing changed.
    KeyConflict,
    /// There is no such trade to take back.
    UnknownTrade,
    /// A line of the opening, or a rollback itself.
    NotATrade,
    /// What the trade brought was sold by later ones.
    Impossible,
}

/// What can be looked up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Read {
    /// A customer in short.
    Account {
        /// Whose.
        customer: Customer,
    },
    /// A part of the positions, in the order of the stocks.
    Holdings {
        /// Whose.
        customer: Customer,
        /// Positions to skip.
        offset: usize,
        /// At most so many.
        num: usize,
    },
    /// A part of the stocks with their last prices.
    Stocks {
        /// Stocks to skip.
        offset: usize,
        /// At most so many.
        num: usize,
    },
    /// A customer's trades, newest first.
    History {
        /// Whose.
        customer: Customer,
        /// Only trades with a smaller id.
        before: Option<i64>,
        /// At most so many.
        num: usize,
    },
    /// The lines of a customer that make pushes behind a number, oldest first.
    Pushes {
        /// Whose.
        customer: Customer,
        /// The number of the last push that is known.
        after: i64,
        /// At most so many lines.
        num: usize,
    },
}

/// A customer in short.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Account {
    /// Number of the newest push; 0 before the first.
    pub seq: i64,
    /// Stocks held.
    pub positions: usize,
    /// What they are worth together at last prices, in fen.
    pub total_fen: i64,
}

/// A trade as the history shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Past {
    /// The trade.
    pub entry: Entry,
    /// It was taken back.
    pub rolled_back: bool,
}

/// What a [`Read`] found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    /// For [`Read::Account`].
    Account(Account),
    /// For [`Read::Holdings`].
    Holdings {
        /// Those of the part.
        holdings: Vec<Holding>,
        /// The whole account.
        account: Account,
    },
    /// For [`Read::Stocks`]: with last prices in fen.
    Stocks(Vec<(Stock, i64)>),
    /// For [`Read::History`].
    History {
        /// Newest first.
        trades: Vec<Past>,
        /// There are older ones.
        more: bool,
    },
    /// For [`Read::Pushes`].
    Pushes(Vec<Entry>),
}

/// Where trades live: in memory and `SQLite` (`local`). One process holds the room.
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
}

/// Learns of every line once it is durable and visible, in order, before its client is answered.
/// Called on the store's thread; must not wait.
pub trait Watch: Send + Sync {
    /// These lines are new.
    fn written(&self, entries: &[Entry]);

    /// The store was opened again after a failure: lines may be new that were never told.
    fn reopened(&self);
}
