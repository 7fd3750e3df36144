//! The words of the trading room as a client says and hears them. Apart from the message ids they are
//! spelt anew and not taken from the server, so that a slip there is seen here.

use super::frames;
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::fmt;

/// Message ids: the protocol's own, and the room's.
pub mod id {
    pub use crate::tlv::id::{ERROR, HEARTBEAT, WELCOME};
    pub use crate::trade::wire::id::*;
}

/// What is traded where; the exchange is "1" (Shanghai) or "2" (Shenzhen).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Stock {
    /// The exchange.
    pub exchange_type: String,
    /// Six digits.
    pub stock_code: String,
}

impl Stock {
    /// The stock of a code: the two exchanges have different first digits.
    pub fn of_code(code: &str) -> Self {
        let exchange = if code.starts_with('6') { "1" } else { "2" };
        Self { exchange_type: exchange.to_owned(), stock_code: code.to_owned() }
    }

    /// Where it is traded, in words.
    pub fn exchange_name(&self) -> &str {
        match self.exchange_type.as_str() {
            "1" => "Shanghai",
            "2" => "Shenzhen",
            other => other,
        }
    }
}

/// Which way a trade goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub enum Side {
    /// More shares.
    #[serde(rename = "1")]
    Buy,
    /// Fewer shares.
    #[serde(rename = "2")]
    Sell,
}

impl Side {
    fn message_id(self) -> u32 {
        match self {
            Side::Buy => id::BUY,
            Side::Sell => id::SELL,
        }
    }
}

impl fmt::Display for Side {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Side::Buy => "bought",
            Side::Sell => "sold",
        })
    }
}

/// What a client asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request {
    /// Who we are; with `last_seq`, every push after it comes again.
    Login {
        /// Twelve digits.
        customer_id: String,
        /// The newest push that was seen.
        last_seq: Option<i64>,
    },
    /// One page of the holdings.
    Holdings {
        /// From 0.
        page: u32,
    },
    /// A buy or a sell.
    Trade {
        /// Which of the two.
        side: Side,
        /// Of what.
        stock: Stock,
        /// Shares.
        quantity: i64,
        /// The same again counts once.
        request_id: String,
    },
    /// The trades before a trade, or the newest.
    History {
        /// `None`: from the newest on.
        before: Option<i64>,
        /// At most so many.
        limit: u32,
    },
    /// One page of the stocks.
    Stocks {
        /// From 0.
        page: u32,
    },
}

impl Request {
    /// The message id, which is the answer's too.
    pub fn id(&self) -> u32 {
        match self {
            Request::Login { .. } => id::LOGIN,
            Request::Holdings { .. } => id::HOLDINGS,
            Request::Trade { side, .. } => side.message_id(),
            Request::History { .. } => id::HISTORY,
            Request::Stocks { .. } => id::STOCKS,
        }
    }

    /// The frame.
    pub fn encode(&self) -> Vec<u8> {
        let mut data = match self {
            Request::Login { customer_id, last_seq } => {
                json!({ "customer_id": customer_id, "last_seq": last_seq })
            }
            Request::Holdings { page } | Request::Stocks { page } => json!({ "page": page }),
            Request::Trade { side: _, stock, quantity, request_id } => json!({
                "exchange_type": stock.exchange_type,
                "stock_code": stock.stock_code,
                "quantity": quantity,
                "request_id": request_id,
            }),
            Request::History { before, limit } => json!({ "before": before, "limit": limit }),
        };
        // What is not given is left out, rather than sent as null.
        if let Some(fields) = data.as_object_mut() {
            fields.retain(|_, value| !value.is_null());
        }
        let mut frame = Vec::new();
        frames::encode(self.id(), data.to_string().as_bytes(), &mut frame);
        frame
    }
}

/// A position. Money in fen.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Holding {
    /// Of what.
    #[serde(flatten)]
    pub stock: Stock,
    /// Shares; 0 says that the position is gone.
    pub quantity: i64,
    /// Of one share.
    pub last_price_fen: i64,
    /// Quantity times last price.
    pub market_value_fen: i64,
}

/// The answer to a login.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct LoggedIn {
    /// As whom.
    pub customer_id: String,
    /// Of the customer's newest push.
    pub seq: i64,
    /// How many.
    pub positions: u64,
    /// Of all positions.
    pub total_value_fen: i64,
    /// The pushes since `last_seq` cannot be had: the holdings must be pulled.
    #[serde(default)]
    pub resync: bool,
}

/// A page of holdings.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct HoldingsPage {
    /// From 0.
    pub page: u32,
    /// How many there are, at least 1.
    pub pages: u32,
    /// The positions of this page.
    pub holdings: Vec<Holding>,
    /// Of all pages.
    pub total_value_fen: i64,
}

/// The answer to a buy or a sell.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Fill {
    /// Its number.
    pub trade_id: i64,
    /// Of its push 101; 102 has the next.
    pub seq: i64,
    /// Shares.
    pub quantity: i64,
    /// Of one share.
    pub price_fen: i64,
    /// The position afterwards.
    pub holding: Holding,
    /// It had been made before, under the same request id.
    #[serde(default)]
    pub replayed: bool,
}

/// A trade in the history.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct PastTrade {
    /// Its number.
    pub trade_id: i64,
    /// Of what.
    #[serde(flatten)]
    pub stock: Stock,
    /// Which way.
    pub side: Side,
    /// Shares.
    pub quantity: i64,
    /// Of one share.
    pub price_fen: i64,
    /// When, in unix milliseconds.
    pub time_ms: i64,
    /// Taken back.
    pub rolled_back: bool,
    /// Booked when the customer was made.
    #[serde(default)]
    pub opening: bool,
}

/// A page of the history.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct HistoryPage {
    /// Newest first.
    pub trades: Vec<PastTrade>,
    /// Pass it as `before` for the next page; `None` on the last.
    pub next: Option<i64>,
}

/// A stock and what it costs.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Quote {
    /// Of what.
    #[serde(flatten)]
    pub stock: Stock,
    /// Of one share.
    pub last_price_fen: i64,
}

/// A page of the stocks.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct StocksPage {
    /// From 0.
    pub page: u32,
    /// How many there are, at least 1.
    pub pages: u32,
    /// The stocks of this page.
    pub stocks: Vec<Quote>,
}

/// Push: a trade.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct TradePush {
    /// Of this push.
    pub seq: i64,
    /// Its number.
    pub trade_id: i64,
    /// Of what.
    #[serde(flatten)]
    pub stock: Stock,
    /// Which way.
    pub side: Side,
    /// Shares.
    pub quantity: i64,
    /// Of one share.
    pub price_fen: i64,
    /// When, in unix milliseconds.
    pub time_ms: i64,
}

/// Push: a position after a change.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct HoldingPush {
    /// Of this push.
    pub seq: i64,
    /// The position; quantity 0 says that it is gone.
    #[serde(flatten)]
    pub holding: Holding,
}

/// Push: a trade was taken back.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct RollbackPush {
    /// Of this push.
    pub seq: i64,
    /// Which.
    pub trade_id: i64,
    /// Why, in the operator's words.
    pub reason: String,
}

/// A request was refused; the connection stays.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Refusal {
    /// The id of the message that is refused.
    pub request: u32,
    /// One of a few words.
    pub code: String,
    /// For people.
    pub message: String,
}

impl fmt::Display for Refusal {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{} ({})", self.message, self.code)
    }
}

/// What a client hears.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message {
    /// On connect.
    Welcome,
    /// Answer.
    LoggedIn(LoggedIn),
    /// Answer.
    Holdings(HoldingsPage),
    /// Answer to a buy or a sell.
    Filled(Fill),
    /// Answer.
    History(HistoryPage),
    /// Answer.
    Stocks(StocksPage),
    /// Push.
    Trade(TradePush),
    /// Push.
    Holding(HoldingPush),
    /// Push.
    Rollback(RollbackPush),
    /// Answer instead of the one that was asked for.
    Refused(Refusal),
    /// What says nothing to us: heartbeats, presence, and what a newer server may send.
    Other(u32),
}

impl Message {
    /// Reads a frame; the error names the message and what is wrong with it.
    pub fn decode(id: u32, data: &[u8]) -> Result<Self, String> {
        fn read<'a, T: Deserialize<'a>>(id: u32, data: &'a [u8]) -> Result<T, String> {
            serde_json::from_slice(data).map_err(|error| {
                format!("message {id} of the server: {error} in {}", String::from_utf8_lossy(data))
            })
        }
        Ok(match id {
            id::WELCOME => Message::Welcome,
            id::LOGIN => Message::LoggedIn(read(id, data)?),
            id::HOLDINGS => Message::Holdings(read(id, data)?),
            id::BUY | id::SELL => Message::Filled(read(id, data)?),
            id::HISTORY => Message::History(read(id, data)?),
            id::STOCKS => Message::Stocks(read(id, data)?),
            id::TRADE => Message::Trade(read(id, data)?),
            id::HOLDING => Message::Holding(read(id, data)?),
            id::ROLLBACK => Message::Rollback(read(id, data)?),
            id::ERROR => Message::Refused(read(id, data)?),
            other => Message::Other(other),
        })
    }

    /// The number of a push among its customer's; `None` for everything else.
    pub fn seq(&self) -> Option<i64> {
        match self {
            Message::Trade(push) => Some(push.seq),
            Message::Holding(push) => Some(push.seq),
            Message::Rollback(push) => Some(push.seq),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn data_of(request: &Request) -> String {
        String::from_utf8(request.encode()[8..].to_vec()).expect("JSON")
    }

    #[test]
    fn what_is_not_given_is_not_sent() {
        let login = |last_seq| Request::Login { customer_id: "000000000001".into(), last_seq };
        assert_eq!(data_of(&login(None)), r#"{"customer_id":"000000000001"}"#);
        assert_eq!(data_of(&login(Some(17))), r#"{"customer_id":"000000000001","last_seq":17}"#);
        assert_eq!(data_of(&Request::History { before: None, limit: 5 }), r#"{"limit":5}"#);
    }

    #[test]
    fn a_stock_is_found_by_its_code() {
        assert_eq!(Stock::of_code("600001").exchange_name(), "Shanghai");
        assert_eq!(Stock::of_code("000001").exchange_name(), "Shenzhen");
    }

    #[test]
    fn pushes_and_answers_are_read_as_documented() {
        let holding = r#"{"seq":8,"exchange_type":"1","stock_code":"600001","quantity":200,"last_price_fen":1000,"market_value_fen":200000}"#;
        let message = Message::decode(id::HOLDING, holding.as_bytes()).expect("as documented");
        assert_eq!(message.seq(), Some(8));
        let Message::Holding(push) = message else { panic!("{message:?}") };
        assert_eq!((push.holding.quantity, push.holding.stock), (200, Stock::of_code("600001")));
        let login = br#"{"customer_id":"000000000001","seq":3,"positions":1,"total_value_fen":5}"#;
        let message = Message::decode(id::LOGIN, login).expect("as documented");
        assert!(matches!(message, Message::LoggedIn(login) if login.seq == 3 && !login.resync));
        assert_eq!(Message::decode(id::PRESENCE, b"{}"), Ok(Message::Other(104)));
        let error = Message::decode(id::ROLLBACK, br#"{"seq":1}"#).expect_err("fields are missing");
        assert!(error.contains("message 103") && error.contains("trade_id"), "{error}");
    }
}
