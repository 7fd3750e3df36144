//! `fanfare load trade --scenario`: ten clients go through what can happen to a list of holdings,
//! and look at every push.

use crate::cli::TradeLoad;
use crate::client::portfolio::{Change, Portfolio};
use crate::client::room::{Fill, Holding, Message, Request, Side, Stock};
use crate::client::room_link::RoomLink;
use comfy_table::{Table, presets};
use std::error::Error;
use std::fmt::Debug;
use std::io::{self, Write};
use std::net::SocketAddr;
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Clients that go through it at the same time.
const CLIENTS: usize = 10;

/// A server that says nothing for so long has failed.
const TIMEOUT: Duration = Duration::from_secs(30);

/// The stocks that are traded.
const A: &str = "600000";
const B: &str = "600001";
const C: &str = "000002";
const D: &str = "000003";

/// One trade: which way, what, how many shares.
type Trade = (Side, &'static str, i64);

/// Name, trades, rows before and after.
const SCENARIOS: [(&str, &[Trade], usize, usize); 5] = [
    ("none to some", &[(Side::Buy, A, 200), (Side::Buy, B, 100)], 0, 2),
    ("some to none", &[(Side::Sell, A, 200), (Side::Sell, B, 100)], 2, 0),
    (
        "more rows",
        &[(Side::Buy, A, 300), (Side::Buy, B, 200), (Side::Buy, C, 100), (Side::Buy, D, 400)],
        0,
        4,
    ),
    ("fewer rows", &[(Side::Sell, B, 200), (Side::Sell, D, 400)], 4, 2),
    ("other quantity", &[(Side::Buy, A, 100), (Side::Sell, C, 100), (Side::Buy, C, 700)], 2, 2),
];

/// What one client found: how many scenarios passed, and what was wrong in the next.
type Outcome = (usize, Option<String>);

/// Runs all clients; fails when one saw something else than it should.
pub fn run(options: &TradeLoad) -> Result<(), Box<dyn Error>> {
    let customers = fresh_customers();
    let clients: Vec<_> = customers
        .map(|customer| {
            let address = options.addr;
            thread::spawn(move || (client(address, &customer), customer))
        })
        .collect();
    let mut outcomes = Vec::new();
    for client in clients {
        outcomes.push(client.join().map_err(|_| "a client panicked")?);
    }
    writeln!(io::stdout(), "{}", table(&outcomes))?;
    let failures = outcomes.iter().filter_map(|((_, failure), customer)| {
        failure.as_ref().map(|why| format!("customer {customer}: {why}"))
    });
    let failures: Vec<String> = failures.collect();
    if failures.is_empty() { Ok(()) } else { Err(failures.join("\n").into()) }
}

/// Customers that nobody was before, so that they hold nothing: by the clock.
fn fresh_customers() -> impl Iterator<Item = String> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let first = now.as_millis() % 10_000_000_000 * 10;
    (0..CLIENTS as u128).map(move |number| format!("9{:011}", first % 100_000_000_000 + number))
}

fn table(outcomes: &[(Outcome, String)]) -> String {
    let mut table = Table::new();
    table.load_preset(presets::NOTHING);
    let names = SCENARIOS.iter().map(|(name, ..)| *name);
    table.set_header(std::iter::once("customer").chain(names));
    for ((passed, failure), customer) in outcomes {
        let words = (0..SCENARIOS.len()).map(|number| match failure {
            _ if number < *passed => "ok",
            Some(_) if number == *passed => "FAILED",
            _ => "-",
        });
        table.add_row(std::iter::once(customer.as_str()).chain(words));
    }
    table.trim_fmt()
}

fn client(address: SocketAddr, customer: &str) -> Outcome {
    let mut client = match Client::log_in(address, customer) {
        Ok(client) => client,
        Err(why) => return (0, Some(format!("login: {why}"))),
    };
    for (number, (name, trades, before, after)) in SCENARIOS.iter().enumerate() {
        let result = client.scenario(trades, *before, *after);
        if let Err(why) = result {
            return (number, Some(format!("{name}: {why}")));
        }
    }
    (SCENARIOS.len(), None)
}

/// A customer with two connections: one trades, the other only listens and must hear the same.
struct Client {
    trader: RoomLink,
    listener: RoomLink,
    portfolio: Portfolio,
}

impl Client {
    fn log_in(address: SocketAddr, customer: &str) -> Result<Self, String> {
        let mut portfolio = Portfolio::default();
        let mut links = Vec::new();
        for _ in 0..2 {
            let failed = |error: io::Error| format!("{address} (--addr): {error}");
            let mut link = RoomLink::open(address).map_err(failed)?;
            let request = Request::Login { customer_id: customer.to_owned(), last_seq: None };
            match link.ask(&request, TIMEOUT).map_err(failed)? {
                Message::LoggedIn(login) if login.positions == 0 => portfolio.stand_at(login.seq),
                other => return Err(format!("a customer without positions is told {other:?}")),
            }
            links.push(link);
        }
        let (Some(listener), Some(trader)) = (links.pop(), links.pop()) else {
            return Err("two connections are needed".to_owned());
        };
        Ok(Self { trader, listener, portfolio })
    }

    fn scenario(&mut self, trades: &[Trade], before: usize, after: usize) -> Result<(), String> {
        same("rows before", &self.portfolio.rows().len(), &before)?;
        for trade in trades {
            self.trade(*trade)?;
        }
        same("rows after", &self.portfolio.rows().len(), &after)?;
        self.compare_with_server()
    }

    fn trade(&mut self, (side, code, quantity): Trade) -> Result<(), String> {
        let stock = Stock::of_code(code);
        let request_id = format!("{:016x}", fastrand::u64(..));
        let request = Request::Trade { side, stock: stock.clone(), quantity, request_id };
        let fill = match self.trader.ask(&request, TIMEOUT).map_err(|error| error.to_string())? {
            Message::Filled(fill) => fill,
            other => return Err(format!("{side} {quantity} of {code}: {other:?}")),
        };
        let held = self.portfolio.row(&stock).map_or(0, |row| row.quantity);
        let expected = if side == Side::Buy { held + quantity } else { held - quantity };
        same("quantity of the fill", &fill.quantity, &quantity)?;
        same("shares held after it", &fill.holding.quantity, &expected)?;
        check_value(&fill.holding)?;
        let change = self.hear(side, &stock, &fill)?;
        let expected_change = match (held, expected) {
            (0, _) => Change::Opened,
            (_, 0) => Change::Closed,
            _ => Change::Changed { from: held },
        };
        same("what the push changed", &change, &expected_change)
    }

    /// Both connections hear of the trade, then of the position, under the numbers promised.
    fn hear(&mut self, side: Side, stock: &Stock, fill: &Fill) -> Result<Change, String> {
        let last = self.portfolio.seq().unwrap_or_default();
        same("number of the trade's push", &fill.seq, &(last + 1))?;
        for link in [&mut self.trader, &mut self.listener] {
            match link.push(TIMEOUT).map_err(|error| format!("push 101: {error}"))? {
                Message::Trade(push) => {
                    same("seq of 101", &push.seq, &fill.seq)?;
                    same("trade of 101", &push.trade_id, &fill.trade_id)?;
                    same("stock of 101", &push.stock, stock)?;
                    same("side of 101", &push.side, &side)?;
                    same("quantity of 101", &push.quantity, &fill.quantity)?;
                    same("price of 101", &push.price_fen, &fill.price_fen)?;
                }
                other => return Err(format!("push 101 was due, and this came: {other:?}")),
            }
        }
        let mut change = Change::Known;
        for (number, link) in [&mut self.trader, &mut self.listener].into_iter().enumerate() {
            match link.push(TIMEOUT).map_err(|error| format!("push 102: {error}"))? {
                Message::Holding(push) => {
                    same("seq of 102", &push.seq, &(fill.seq + 1))?;
                    same("position of 102", &push.holding, &fill.holding)?;
                    if number == 0 {
                        change = self.portfolio.apply(&push);
                    }
                }
                other => return Err(format!("push 102 was due, and this came: {other:?}")),
            }
        }
        self.portfolio.stand_at(fill.seq + 1);
        Ok(change)
    }

    /// What the pushes made of the list is what the server has.
    fn compare_with_server(&mut self) -> Result<(), String> {
        let (mut rows, mut page) = (Vec::new(), 0);
        let total = loop {
            let answer = self.trader.ask(&Request::Holdings { page }, TIMEOUT);
            let Message::Holdings(answer) = answer.map_err(|error| error.to_string())? else {
                return Err("the holdings cannot be pulled".to_owned());
            };
            rows.extend(answer.holdings);
            page += 1;
            if page >= answer.pages {
                break answer.total_value_fen;
            }
        };
        rows.sort_by(|a, b| a.stock.cmp(&b.stock));
        same("holdings of the server", &rows, &self.portfolio.rows().cloned().collect())?;
        same("total of the server (fen)", &total, &self.portfolio.total_value_fen())
    }
}

fn check_value(row: &Holding) -> Result<(), String> {
    let value = row.quantity.checked_mul(row.last_price_fen);
    same("market value (fen)", &Some(row.market_value_fen), &value)
}

fn same<T: PartialEq + Debug + ?Sized>(what: &str, seen: &T, expected: &T) -> Result<(), String> {
    if seen == expected {
        Ok(())
    } else {
        Err(format!("{what}: {seen:?} where {expected:?} is due"))
    }
}
