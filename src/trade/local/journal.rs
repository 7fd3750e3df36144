//! The journal in SQL: the record of trades, with what they sum up to, in a file that the `sqlite3`
//! shell reads.

use crate::store::sqlite::Format;
use crate::trade::book::{Book, Portfolio};
use crate::trade::{Customer, Entry, Order, Past, Rollback, Side, Stock};
use rusqlite::{Connection, OptionalExtension, Row, params};
use std::collections::{BTreeMap, HashMap};

/// The file's name in the data folder.
pub(super) const FILE: &str = "trade.db";

/// "Ftra" in ASCII.
const APPLICATION_ID: i32 = 0x4674_7261;

/// How the file is made.
pub(super) const FORMAT: Format = Format {
    application_id: APPLICATION_ID,
    migrations: &["
CREATE TABLE trade (
    id            INTEGER PRIMARY KEY, -- 1, 2, 3 ... without gaps, in the order of time
    customer_id   INTEGER NOT NULL,    -- shown with 12 digits
    exchange_type INTEGER NOT NULL,    -- 1 Shanghai, 2 Shenzhen
    stock_code    INTEGER NOT NULL,    -- shown with 6 digits
    side          INTEGER NOT NULL,    -- 1 buy, 2 sell; in a rollback that of its effect
    quantity      INTEGER NOT NULL,    -- above 0
    price_fen     INTEGER NOT NULL,    -- of the fill; in a rollback the last price at its time
    time_us       INTEGER NOT NULL,    -- microseconds since 1970, strictly growing
    seq           INTEGER NOT NULL,    -- number of the first of its two pushes, 0 in the opening
    held          INTEGER NOT NULL,    -- what the customer held of the stock after it
    request_id    TEXT,                -- the request_id of the request, if it had one
    rolls_back    INTEGER,             -- the trade that this line takes back
    reason        TEXT                 -- why
) STRICT;
-- A customer's pushes in their order, and with the id at its end the history, backwards.
CREATE INDEX trade_by_customer ON trade (customer_id, seq);
CREATE UNIQUE INDEX trade_by_rolled_back ON trade (rolls_back) WHERE rolls_back IS NOT NULL;
-- What the trades sum up to, written with them.
CREATE TABLE holding (
    customer_id   INTEGER NOT NULL,
    exchange_type INTEGER NOT NULL,
    stock_code    INTEGER NOT NULL,
    quantity      INTEGER NOT NULL,    -- above 0
    PRIMARY KEY (customer_id, exchange_type, stock_code)
) STRICT, WITHOUT ROWID;
-- Every customer with trades, and the number of its newest push.
CREATE TABLE customer (
    id  INTEGER PRIMARY KEY,
    seq INTEGER NOT NULL
) STRICT;
-- Last prices that differ from the first ones.
CREATE TABLE price (
    exchange_type INTEGER NOT NULL,
    stock_code    INTEGER NOT NULL,
    price_fen     INTEGER NOT NULL,
    PRIMARY KEY (exchange_type, stock_code)
) STRICT, WITHOUT ROWID;
"],
    // Remainders, so that no sum overflows.
    checks: &["
SELECT t.lines = i.lines AND t.ids IS i.ids AND t.customers IS i.customers FROM
    (SELECT count(*) AS lines, sum(id % 1000003) AS ids, sum(customer_id % 1000003) AS customers
     FROM trade NOT INDEXED) AS t,
    (SELECT count(*) AS lines, sum(id % 1000003) AS ids, sum(customer_id % 1000003) AS customers
     FROM trade INDEXED BY trade_by_customer) AS i
"],
};

/// A line with what only the journal needs to know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// The trade, or what takes one back.
    pub entry: Entry,
    /// The `request_id` of the request, if it had one.
    pub request_id: Option<String>,
}

/// All that one commit writes.
#[derive(Debug, Default)]
pub(super) struct Batch<'a> {
    pub(super) lines: &'a [Line],
    pub(super) prices: Option<&'a BTreeMap<Stock, i64>>,
}

const COLUMNS: &str = "id, customer_id, exchange_type, stock_code, side, quantity, price_fen, \
                       time_us, seq, held, request_id, rolls_back, reason";

fn entry(row: &Row<'_>) -> rusqlite::Result<Entry> {
    let out_of_range = |column| rusqlite::Error::IntegralValueOutOfRange(column, 0);
    let customer = Customer::from_number(row.get(1)?).ok_or(out_of_range(1))?;
    let side = match row.get(4)? {
        1 => Side::Buy,
        2 => Side::Sell,
        _ => return Err(out_of_range(4)),
    };
    let rollback = match row.get(11)? {
        Some(trade_id) => Some(Rollback { trade_id, reason: row.get(12)? }),
        None => None,
    };
    let order = Order { customer, stock: stock(row, 2)?, side, quantity: row.get(5)? };
    Ok(Entry {
        id: row.get(0)?,
        order,
        price_fen: row.get(6)?,
        time_us: row.get(7)?,
        seq: row.get(8)?,
        held: row.get(9)?,
        rollback,
    })
}

/// The stock of this column and the next.
fn stock(row: &Row<'_>, column: usize) -> rusqlite::Result<Stock> {
    let stock = Stock::new(row.get(column)?, row.get(column + 1)?);
    stock.ok_or(rusqlite::Error::IntegralValueOutOfRange(column, 0))
}

fn line(row: &Row<'_>) -> rusqlite::Result<Line> {
    Ok(Line { entry: entry(row)?, request_id: row.get(10)? })
}

/// The line of this id.
pub(super) fn by_id(journal: &Connection, id: i64) -> rusqlite::Result<Option<Line>> {
    let sql = format!("SELECT {COLUMNS} FROM trade WHERE id = ?1");
    journal.prepare_cached(&sql)?.query_row([id], line).optional()
}

/// The line that takes this trade back.
pub(super) fn rollback_of(journal: &Connection, id: i64) -> rusqlite::Result<Option<Line>> {
    let sql = format!("SELECT {COLUMNS} FROM trade WHERE rolls_back = ?1");
    journal.prepare_cached(&sql)?.query_row([id], line).optional()
}

/// Id and time of the newest line, or zeros.
pub(super) fn last(journal: &Connection) -> rusqlite::Result<(i64, i64)> {
    let sql = "SELECT id, time_us FROM trade ORDER BY id DESC LIMIT 1";
    let last = journal.query_row(sql, [], |row| Ok((row.get(0)?, row.get(1)?))).optional()?;
    Ok(last.unwrap_or((0, 0)))
}

/// At most `num` lines with ids behind `after` up to `until`, oldest first.
pub(super) fn lines(
    journal: &Connection,
    after: i64,
    until: i64,
    num: i64,
) -> rusqlite::Result<Vec<Line>> {
    let sql =
        format!("SELECT {COLUMNS} FROM trade WHERE id > ?1 AND id <= ?2 ORDER BY id LIMIT ?3");
    journal.prepare_cached(&sql)?.query_map([after, until, num], line)?.collect()
}

/// Adds lines to an open transaction, with what they sum up to. `inserted` is called after each.
pub(super) fn append(
    journal: &Connection,
    batch: &Batch<'_>,
    mut inserted: impl FnMut(),
) -> rusqlite::Result<()> {
    let sql = format!(
        "INSERT INTO trade ({COLUMNS}) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)"
    );
    let mut insert = journal.prepare_cached(&sql)?;
    // The newest line of each position and customer says where it stands.
    let (mut held, mut seqs) = (BTreeMap::new(), BTreeMap::new());
    for Line { entry, request_id } in batch.lines {
        let Order { customer, stock, side, quantity } = entry.order;
        insert.execute(params![
            entry.id,
            customer.number(),
            stock.exchange().number(),
            stock.code(),
            side.number(),
            quantity,
            entry.price_fen,
            entry.time_us,
            entry.seq,
            entry.held,
            request_id,
            entry.rollback.as_ref().map(|back| back.trade_id),
            entry.rollback.as_ref().map(|back| &back.reason),
        ])?;
        held.insert((customer, stock), entry.held);
        seqs.insert(customer, entry.last_seq());
        inserted();
    }
    for ((customer, stock), quantity) in held {
        set_holding(journal, customer, stock, quantity)?;
    }
    let sql = "INSERT INTO customer VALUES (?1, ?2) ON CONFLICT DO UPDATE SET seq = excluded.seq";
    let mut set_seq = journal.prepare_cached(sql)?;
    for (customer, seq) in seqs {
        set_seq.execute(params![customer.number(), seq])?;
    }
    let sql = "INSERT INTO price VALUES (?1, ?2, ?3)
               ON CONFLICT DO UPDATE SET price_fen = excluded.price_fen";
    for (stock, price_fen) in batch.prices.into_iter().flatten() {
        let (exchange, code) = (stock.exchange().number(), stock.code());
        journal.prepare_cached(sql)?.execute(params![exchange, code, price_fen])?;
    }
    Ok(())
}

fn set_holding(
    journal: &Connection,
    customer: Customer,
    stock: Stock,
    quantity: i64,
) -> rusqlite::Result<()> {
    let (customer, exchange) = (customer.number(), stock.exchange().number());
    let code = stock.code();
    if quantity == 0 {
        let sql = "DELETE FROM holding
                   WHERE customer_id = ?1 AND exchange_type = ?2 AND stock_code = ?3";
        journal.prepare_cached(sql)?.execute(params![customer, exchange, code])?;
    } else {
        let sql = "INSERT INTO holding VALUES (?1, ?2, ?3, ?4)
                   ON CONFLICT DO UPDATE SET quantity = excluded.quantity";
        journal.prepare_cached(sql)?.execute(params![customer, exchange, code, quantity])?;
    }
    Ok(())
}

/// The book as the file has it.
pub(super) fn book(journal: &Connection) -> rusqlite::Result<Book> {
    let mut book = Book::default();
    book.position = last(journal)?.0;
    let mut select = journal.prepare("SELECT exchange_type, stock_code, price_fen FROM price")?;
    let mut rows = select.query([])?;
    while let Some(row) = rows.next()? {
        book.set_price(stock(row, 0)?, row.get(2)?);
    }
    let mut folios: HashMap<Customer, Portfolio> = HashMap::new();
    let out_of_range = rusqlite::Error::IntegralValueOutOfRange(0, 0);
    let customer = |row: &Row<'_>| {
        let customer = Customer::from_number(row.get(0)?);
        customer.ok_or(rusqlite::Error::IntegralValueOutOfRange(0, 0))
    };
    let mut select = journal.prepare("SELECT id, seq FROM customer")?;
    let mut rows = select.query([])?;
    while let Some(row) = rows.next()? {
        folios.entry(customer(row)?).or_default().seq = row.get(1)?;
    }
    let sql = "SELECT customer_id, exchange_type, stock_code, quantity FROM holding";
    let mut select = journal.prepare(sql)?;
    let mut rows = select.query([])?;
    while let Some(row) = rows.next()? {
        folios.entry(customer(row)?).or_default().set(stock(row, 1)?, row.get(3)?);
    }
    for (customer, folio) in folios {
        if !book.replace(customer, folio) {
            return Err(out_of_range);
        }
    }
    Ok(book)
}

/// A customer's trades with ids below `before`, newest first.
pub(super) fn history(
    journal: &Connection,
    customer: Customer,
    before: i64,
    num: usize,
) -> rusqlite::Result<Vec<Past>> {
    // The opening has one seq for all; elsewhere ids and seqs of a customer grow together.
    let sql = format!(
        "SELECT {COLUMNS}, EXISTS (SELECT 1 FROM trade back WHERE back.rolls_back = trade.id)
         FROM trade WHERE customer_id = ?1 AND id < ?2 AND rolls_back IS NULL
         ORDER BY seq DESC, id DESC LIMIT ?3"
    );
    let num = i64::try_from(num).unwrap_or(i64::MAX);
    let mut select = journal.prepare_cached(&sql)?;
    let past = |row: &Row<'_>| Ok(Past { entry: entry(row)?, rolled_back: row.get(13)? });
    select.query_map(params![customer.number(), before, num], past)?.collect()
}

/// A customer's lines with a push behind the number `after`, oldest first.
pub(super) fn pushes(
    journal: &Connection,
    customer: Customer,
    after: i64,
    num: usize,
) -> rusqlite::Result<Vec<Entry>> {
    // The second push of a line has the number behind its own.
    let sql = format!(
        "SELECT {COLUMNS} FROM trade WHERE customer_id = ?1 AND seq > 0 AND seq >= ?2
         ORDER BY seq LIMIT ?3"
    );
    let num = i64::try_from(num).unwrap_or(i64::MAX);
    let mut select = journal.prepare_cached(&sql)?;
    select.query_map(params![customer.number(), after, num], entry)?.collect()
}

/// Hands every request key since `since_us` to `each`: key, line.
pub(super) fn keys_since(
    journal: &Connection,
    since_us: i64,
    mut each: impl FnMut(&str, &Entry),
) -> rusqlite::Result<()> {
    let sql = format!(
        "SELECT {COLUMNS} FROM trade WHERE request_id IS NOT NULL AND time_us >= ?1 ORDER BY id"
    );
    let mut select = journal.prepare(&sql)?;
    let mut rows = select.query([since_us])?;
    while let Some(row) = rows.next()? {
        let Line { entry, request_id } = line(row)?;
        each(request_id.as_deref().unwrap_or_default(), &entry);
    }
    Ok(())
}

/// What the trades of some customers, up to the line `until`, sum up to if those that were taken
/// back are left out.
pub(super) fn sums(
    journal: &Connection,
    first: Customer,
    last: Customer,
    until: i64,
) -> rusqlite::Result<BTreeMap<(Customer, Stock), i128>> {
    let sql = "SELECT customer_id, exchange_type, stock_code, side, quantity FROM trade
               WHERE customer_id BETWEEN ?1 AND ?2 AND id <= ?3 AND rolls_back IS NULL
               AND NOT EXISTS (SELECT 1 FROM trade back
                               WHERE back.rolls_back = trade.id AND back.id <= ?3)";
    let mut select = journal.prepare_cached(sql)?;
    let mut rows = select.query(params![first.number(), last.number(), until])?;
    let mut sums = BTreeMap::new();
    while let Some(row) = rows.next()? {
        let customer = Customer::from_number(row.get(0)?).unwrap_or(first);
        let quantity: i64 = row.get(4)?;
        let sign = if row.get::<_, u8>(3)? == 1 { 1 } else { -1 };
        *sums.entry((customer, stock(row, 1)?)).or_insert(0) += i128::from(quantity) * sign;
    }
    sums.retain(|_, sum| *sum != 0);
    Ok(sums)
}

/// How many lines there are up to `until`.
pub(super) fn count(journal: &Connection, until: i64) -> rusqlite::Result<i64> {
    let sql = "SELECT count(*) FROM trade WHERE id BETWEEN 1 AND ?1";
    journal.prepare_cached(sql)?.query_row([until], |row| row.get(0))
}
