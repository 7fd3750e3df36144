//! The JSON of every message of the room, as api.md has it; integers are exact, fields keep their
//! order.

use super::{Account, Customer, Entry, Holding, Past, Side, Stock};
use crate::tlv::Frame;
use serde::{Serialize, Serializer};

/// Message ids of the room.
pub mod id {
    /// A client says who it is.
    pub const LOGIN: u32 = 2;
    /// A page of the positions.
    pub const HOLDINGS: u32 = 3;
    /// A trade.
    pub const BUY: u32 = 4;
    /// A trade.
    pub const SELL: u32 = 5;
    /// A page of the trades.
    pub const HISTORY: u32 = 6;
    /// A page of the stocks.
    pub const STOCKS: u32 = 7;
    /// Pushed: a trade.
    pub const TRADE: u32 = 101;
    /// Pushed: the position after a change.
    pub const HOLDING: u32 = 102;
    /// Pushed: a trade was taken back.
    pub const ROLLBACK: u32 = 103;
    /// Pushed to everybody: a customer has come or gone.
    pub const PRESENCE: u32 = 104;
}

/// Bytes of the longest position: quantity and value with 19 digits, the price with 6, and a comma.
const HOLDING_BYTES_MAX: usize = 143;
/// Bytes of the longest stock, with a comma.
const STOCK_BYTES_MAX: usize = 68;
/// Bytes around the positions or stocks of a page.
const PAGE_BYTES_MAX: usize = 128;

/// How many of these fit one frame, whatever their figures are: fixed, so that the pages of a list
/// are the same for everybody who turns them.
const fn per_page(data_bytes_max: usize, bytes_max: usize) -> usize {
    let fit = data_bytes_max.saturating_sub(PAGE_BYTES_MAX) / bytes_max;
    if fit == 0 { 1 } else { fit }
}

/// Positions of one page.
pub const fn holdings_per_page(data_bytes_max: usize) -> usize {
    per_page(data_bytes_max, HOLDING_BYTES_MAX)
}

/// Stocks of one page.
pub const fn stocks_per_page(data_bytes_max: usize) -> usize {
    per_page(data_bytes_max, STOCK_BYTES_MAX)
}

/// An empty list is page 0 of 1.
fn pages(count: usize, per_page: usize) -> usize {
    count.div_ceil(per_page).max(1)
}

impl Side {
    fn name(self) -> &'static str {
        match self {
            Side::Buy => "1",
            Side::Sell => "2",
        }
    }
}

/// A stock's two names.
struct Named(Stock);

impl Named {
    fn exchange(&self) -> &'static str {
        match self.0.exchange().number() {
            1 => "1",
            _ => "2",
        }
    }
}

/// A stock's code: six digits.
struct Code(Stock);

impl Serialize for Code {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&format_args!("{:06}", self.0.code()))
    }
}

struct Number(Customer);

impl Serialize for Number {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

#[derive(Serialize)]
struct Position {
    exchange_type: &'static str,
    stock_code: Code,
    quantity: i64,
    last_price_fen: i64,
    market_value_fen: i64,
}

impl Position {
    fn of(holding: &Holding) -> Self {
        Self {
            exchange_type: Named(holding.stock).exchange(),
            stock_code: Code(holding.stock),
            quantity: holding.quantity,
            last_price_fen: holding.price_fen,
            market_value_fen: holding.value_fen(),
        }
    }
}

/// The answer to a login.
pub fn login(customer: Customer, account: &Account, resync: bool) -> Frame {
    #[derive(Serialize)]
    struct Login {
        customer_id: Number,
        seq: i64,
        positions: usize,
        total_value_fen: i64,
        #[serde(skip_serializing_if = "std::ops::Not::not")]
        resync: bool,
    }
    let data = Login {
        customer_id: Number(customer),
        seq: account.seq,
        positions: account.positions,
        total_value_fen: account.total_fen,
        resync,
    };
    frame(id::LOGIN, &data)
}

/// A page of positions.
pub fn holdings(page: usize, per_page: usize, holdings: &[Holding], account: &Account) -> Frame {
    #[derive(Serialize)]
    struct List {
        page: usize,
        pages: usize,
        holdings: Vec<Position>,
        total_value_fen: i64,
    }
    let data = List {
        page,
        pages: pages(account.positions, per_page),
        holdings: holdings.iter().map(Position::of).collect(),
        total_value_fen: account.total_fen,
    };
    frame(id::HOLDINGS, &data)
}

/// A page of stocks.
pub fn stocks(page: usize, per_page: usize, stocks: &[(Stock, i64)]) -> Frame {
    #[derive(Serialize)]
    struct Line {
        exchange_type: &'static str,
        stock_code: Code,
        last_price_fen: i64,
    }
    #[derive(Serialize)]
    struct List {
        page: usize,
        pages: usize,
        stocks: Vec<Line>,
    }
    let line = |&(stock, last_price_fen): &(Stock, i64)| Line {
        exchange_type: Named(stock).exchange(),
        stock_code: Code(stock),
        last_price_fen,
    };
    let stocks = stocks.iter().map(line).collect();
    frame(id::STOCKS, &List { page, pages: pages(Stock::COUNT, per_page), stocks })
}

/// The answer to a buy or a sell: the trade as it was filled, the position as it is now.
pub fn filled(request: u32, entry: &Entry, holding: &Holding, replayed: bool) -> Frame {
    #[derive(Serialize)]
    struct Filled {
        trade_id: i64,
        seq: i64,
        quantity: i64,
        price_fen: i64,
        holding: Position,
        #[serde(skip_serializing_if = "std::ops::Not::not")]
        replayed: bool,
    }
    let data = Filled {
        trade_id: entry.id,
        seq: entry.seq,
        quantity: entry.order.quantity,
        price_fen: entry.price_fen,
        holding: Position::of(holding),
        replayed,
    };
    frame(request, &data)
}

#[derive(Serialize)]
struct Fill {
    #[serde(skip_serializing_if = "Option::is_none")]
    seq: Option<i64>,
    trade_id: i64,
    exchange_type: &'static str,
    stock_code: Code,
    side: &'static str,
    quantity: i64,
    price_fen: i64,
    time_ms: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    rolled_back: Option<bool>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    opening: bool,
}

impl Fill {
    fn of(entry: &Entry) -> Self {
        Self {
            seq: None,
            trade_id: entry.id,
            exchange_type: Named(entry.order.stock).exchange(),
            stock_code: Code(entry.order.stock),
            side: entry.order.side.name(),
            quantity: entry.order.quantity,
            price_fen: entry.price_fen,
            time_ms: entry.time_us.div_euclid(1_000),
            rolled_back: None,
            opening: false,
        }
    }
}

/// A page of the history, with as many of the trades as fit one frame; `more` tells that there are
/// older ones than these.
pub fn history(trades: &[Past], more: bool, data_bytes_max: usize) -> Frame {
    #[derive(Serialize)]
    struct List {
        trades: Vec<Fill>,
        #[serde(skip_serializing_if = "Option::is_none")]
        next: Option<i64>,
    }
    let mut room = data_bytes_max.saturating_sub(PAGE_BYTES_MAX);
    let mut shown = Vec::new();
    for past in trades {
        let (rolled_back, opening) = (Some(past.rolled_back), past.entry.is_opening());
        let trade = Fill { rolled_back, opening, ..Fill::of(&past.entry) };
        let size = encode(&trade).len() + 1;
        // One always goes: a page without any would never end.
        if size > room && !shown.is_empty() {
            break;
        }
        room = room.saturating_sub(size);
        shown.push(trade);
    }
    let more = more || shown.len() < trades.len();
    let next = shown.last().filter(|_| more).map(|trade| trade.trade_id);
    frame(id::HISTORY, &List { trades: shown, next })
}

/// The two pushes of a line, in their order; the first has the line's number.
pub fn pushes(entry: &Entry) -> [Frame; 2] {
    #[derive(Serialize)]
    struct Taken<'a> {
        seq: i64,
        trade_id: i64,
        reason: &'a str,
    }
    #[derive(Serialize)]
    struct After {
        seq: i64,
        #[serde(flatten)]
        position: Position,
    }
    let seq = entry.seq;
    let first = match &entry.rollback {
        None => frame(id::TRADE, &Fill { seq: Some(seq), ..Fill::of(entry) }),
        Some(back) => {
            let data = Taken { seq, trade_id: back.trade_id, reason: &back.reason };
            frame(id::ROLLBACK, &data)
        }
    };
    let after = After { seq: seq + 1, position: Position::of(&entry.holding()) };
    [first, frame(id::HOLDING, &after)]
}

/// Somebody's first connection, or the end of the last.
pub fn presence(customer: Customer, online: bool) -> Frame {
    #[derive(Serialize)]
    struct Presence {
        customer_id: Number,
        online: bool,
    }
    frame(id::PRESENCE, &Presence { customer_id: Number(customer), online })
}

/// The operator's answer to a rollback: what its line says, so that a second one has the same bytes.
pub fn rolled_back(trade_id: i64, entry: &Entry) -> Vec<u8> {
    #[derive(Serialize)]
    struct Data {
        trade_id: i64,
        holding: Position,
    }
    #[derive(Serialize)]
    struct Envelope {
        code: i64,
        message: &'static str,
        data: Data,
    }
    let data = Data { trade_id, holding: Position::of(&entry.holding()) };
    encode(&Envelope { code: 0, message: "success", data })
}

fn frame(id: u32, data: &impl Serialize) -> Frame {
    Frame::new(id, encode(data))
}

fn encode(value: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(value).expect("plain structs always encode")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::{TLV_DATA_BYTES_LEAST, TLV_DATA_BYTES_MAX};
    use crate::trade::{Order, Rollback};

    fn text(frame: &Frame) -> String {
        String::from_utf8(frame.data.bytes().to_vec()).expect("JSON is UTF-8")
    }

    fn stock() -> Stock {
        Stock::from_text("1", "600001").expect("listed")
    }

    fn customer() -> Customer {
        Customer::new("000000000001").expect("twelve digits")
    }

    fn entry(quantity: i64) -> Entry {
        Entry {
            id: 9,
            order: Order { customer: customer(), stock: stock(), side: Side::Buy, quantity },
            price_fen: 1_000,
            time_us: 1_795_251_600_123_456,
            seq: 17,
            held: quantity,
            rollback: None,
        }
    }

    #[test]
    fn messages_are_as_the_contract_has_them() {
        let account = Account { seq: 17, positions: 1, total_fen: 200_000 };
        let check = |frame: Frame, id: u32, expected: &str| {
            assert_eq!((frame.id, &*text(&frame)), (id, expected));
        };
        let start =
            r#"{"customer_id":"000000000001","seq":17,"positions":1,"total_value_fen":200000"#;
        check(login(customer(), &account, false), 2, &format!("{start}}}"));
        check(login(customer(), &account, true), 2, &format!("{start},\"resync\":true}}"));
        let position = r#""exchange_type":"1","stock_code":"600001","quantity":200,"last_price_fen":1000,"market_value_fen":200000}"#;
        let holding = entry(200).holding();
        check(
            holdings(0, 28, &[holding], &account),
            3,
            &format!(
                r#"{{"page":0,"pages":1,"holdings":[{{{position}],"total_value_fen":200000}}"#
            ),
        );
        let filled_text = format!(
            r#"{{"trade_id":9,"seq":17,"quantity":200,"price_fen":1000,"holding":{{{position}"#
        );
        check(filled(4, &entry(200), &holding, false), 4, &format!("{filled_text}}}"));
        let replayed = format!("{filled_text},\"replayed\":true}}");
        check(filled(5, &entry(200), &holding, true), 5, &replayed);
        let trade = r#""exchange_type":"1","stock_code":"600001","side":"1","quantity":200,"price_fen":1000,"time_ms":1795251600123"#;
        let past = [Past { entry: entry(200), rolled_back: false }];
        let listed = format!(r#"{{"trades":[{{"trade_id":9,{trade},"rolled_back":false}}]}}"#);
        check(history(&past, false, 4_096), 6, &listed);
        check(
            stocks(0, 59, &[(stock(), 1_000)]),
            7,
            r#"{"page":0,"pages":34,"stocks":[{"exchange_type":"1","stock_code":"600001","last_price_fen":1000}]}"#,
        );
        let [first, second] = pushes(&entry(200));
        check(first, 101, &format!(r#"{{"seq":17,"trade_id":9,{trade}}}"#));
        check(second, 102, &format!(r#"{{"seq":18,{position}"#));
        let rollback = Some(Rollback { trade_id: 9, reason: "a \"test\"".into() });
        let [first, _] = pushes(&Entry { rollback, ..entry(200) });
        check(first, 103, r#"{"seq":17,"trade_id":9,"reason":"a \"test\""}"#);
        check(presence(customer(), true), 104, r#"{"customer_id":"000000000001","online":true}"#);
        let opening = [Past { entry: Entry { seq: 0, ..entry(1) }, rolled_back: false }];
        assert!(text(&history(&opening, false, 4_096)).contains("\"opening\":true"));
    }

    #[test]
    fn the_longest_lines_keep_to_every_limit() {
        let last = Stock::at(Stock::COUNT - 1).expect("the last one");
        let holding = Holding { stock: last, quantity: i64::MAX / 100_000, price_fen: 100_000 };
        let account = Account { seq: i64::MAX, positions: 2_000, total_fen: i64::MAX };
        // A value of 19 digits with a quantity of 19: neither can happen with the other.
        let widest = Holding { price_fen: 1, quantity: i64::MAX, ..holding };
        for max in [TLV_DATA_BYTES_LEAST, 1_000, TLV_DATA_BYTES_MAX, 65_536] {
            let (rows, lines) = (holdings_per_page(max), stocks_per_page(max));
            for frame in [
                holdings(2_000, rows, &vec![holding; rows], &account),
                holdings(2_000, rows, &vec![widest; rows], &account),
                stocks(2_000, lines, &vec![(last, 100_000); lines]),
            ] {
                assert!(frame.data.bytes().len() <= max, "{}", frame.data.bytes().len());
            }
            let time_us = 253_402_300_799_000_000;
            let (id, held) = ((1 << 53) - 1, i64::MAX / 1_000);
            let long = Entry { id, time_us, seq: i64::MAX - 1, held, ..entry(i64::MAX) };
            let past = Past { entry: Entry { seq: 0, ..long.clone() }, rolled_back: false };
            let page = history(&vec![past; 50], true, max);
            assert!(page.data.bytes().len() <= max);
            assert!(text(&page).contains("\"next\""));
            let reason = "\"".repeat(*super::super::REASON_BYTES.end());
            let back = Entry { rollback: Some(Rollback { trade_id: id, reason }), ..long.clone() };
            let frames = pushes(&long).into_iter().chain(pushes(&back));
            for frame in frames.chain([filled(4, &long, &holding, true)]) {
                assert!(frame.data.bytes().len() <= max, "{}", text(&frame));
            }
        }
        assert_eq!(holdings_per_page(TLV_DATA_BYTES_MAX), 27);
    }
}
