//! Who holds what: positions at last prices, and the overlay on which a batch is decided.

use super::market::{PRICE_FEN, Prices};
use super::{Account, Customer, Holding, Order, PUSHES_PER_LINE, Stock};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::Bound;

/// What one customer holds, and how many pushes were made for it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Portfolio {
    /// Number of the newest push.
    pub seq: i64,
    /// By stock; quantities are above 0.
    positions: Vec<(Stock, i64)>,
}

/// Why an order changes nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// There is nothing of that stock.
    NotHeld,
    /// There is less than that.
    NotEnough,
    /// The quantity, its value or the value of all would leave i64.
    Overflow,
}

impl Portfolio {
    /// How much of `stock`.
    pub fn quantity(&self, stock: Stock) -> i64 {
        let found = self.positions.binary_search_by_key(&stock, |position| position.0);
        found.map_or(0, |index| self.positions[index].1)
    }

    /// By stock; quantities are above 0.
    pub fn positions(&self) -> &[(Stock, i64)] {
        &self.positions
    }

    /// Sets what is held of one stock.
    pub fn set(&mut self, stock: Stock, quantity: i64) {
        match self.positions.binary_search_by_key(&stock, |position| position.0) {
            Ok(index) if quantity == 0 => drop(self.positions.remove(index)),
            Ok(index) => self.positions[index].1 = quantity,
            Err(_) if quantity == 0 => {}
            Err(index) => self.positions.insert(index, (stock, quantity)),
        }
    }

    /// Adds a signed quantity; returns what is held then.
    pub fn add(&mut self, stock: Stock, signed: i64, prices: &Prices) -> Result<i64, Refusal> {
        let before = self.quantity(stock);
        if before == 0 && signed < 0 {
            return Err(Refusal::NotHeld);
        }
        let after = before.checked_add(signed).ok_or(Refusal::Overflow)?;
        if after < 0 {
            return Err(Refusal::NotEnough);
        }
        let growth = i128::from(signed) * i128::from(prices.of(stock));
        if signed > 0 && self.value_fen(prices) + growth > i128::from(i64::MAX) {
            return Err(Refusal::Overflow);
        }
        self.set(stock, after);
        Ok(after)
    }

    fn value_fen(&self, prices: &Prices) -> i128 {
        let values = self.positions.iter();
        values.map(|&(stock, held)| i128::from(held) * i128::from(prices.of(stock))).sum()
    }

    /// True when the value might leave i64 should prices rise.
    fn is_large(&self) -> bool {
        let held: i128 = self.positions.iter().map(|position| i128::from(position.1)).sum();
        held * i128::from(*PRICE_FEN.end()) > i128::from(i64::MAX)
    }

    /// In short.
    pub fn account(&self, prices: &Prices) -> Account {
        let total = i64::try_from(self.value_fen(prices));
        let total_fen = total.expect("what would not fit is refused");
        Account { seq: self.seq, positions: self.positions.len(), total_fen }
    }
}

/// All customers with trades, and all prices.
#[derive(Debug, Default)]
pub struct Book {
    portfolios: BTreeMap<Customer, Portfolio>,
    prices: Prices,
    /// Customers with so much that a price may not move as it likes.
    large: BTreeSet<Customer>,
    /// The newest line of the journal that is in here.
    pub position: i64,
}

impl Book {
    /// What `customer` has, if it ever traded.
    pub fn portfolio(&self, customer: Customer) -> Option<&Portfolio> {
        self.portfolios.get(&customer)
    }

    /// Last prices.
    pub fn prices(&self) -> &Prices {
        &self.prices
    }

    /// Customers who ever traded.
    pub fn len(&self) -> usize {
        self.portfolios.len()
    }

    /// True before the first trade.
    pub fn is_empty(&self) -> bool {
        self.portfolios.is_empty()
    }

    /// Those with a larger number than `after`, in order.
    pub fn behind(&self, after: Option<Customer>) -> impl Iterator<Item = (Customer, &Portfolio)> {
        let start = after.map_or(Bound::Unbounded, Bound::Excluded);
        self.portfolios.range((start, Bound::Unbounded)).map(|(&customer, folio)| (customer, folio))
    }

    /// A customer in short.
    pub fn account(&self, customer: Customer) -> Account {
        let folio = self.portfolio(customer);
        folio.map(|folio| folio.account(&self.prices)).unwrap_or_default()
    }

    /// What a customer has of one stock.
    pub fn holding(&self, customer: Customer, stock: Stock) -> Holding {
        let quantity = self.portfolio(customer).map_or(0, |folio| folio.quantity(stock));
        Holding { stock, quantity, price_fen: self.prices.of(stock) }
    }

    /// A part of a customer's positions.
    pub fn holdings(&self, customer: Customer, offset: usize, num: usize) -> Vec<Holding> {
        let positions = self.portfolio(customer).map_or(&[][..], Portfolio::positions);
        let part = positions.iter().skip(offset).take(num);
        let holding = |&(stock, quantity): &(Stock, i64)| Holding {
            stock,
            quantity,
            price_fen: self.prices.of(stock),
        };
        part.map(holding).collect()
    }

    /// A part of all stocks.
    pub fn stocks(&self, offset: usize, num: usize) -> Vec<(Stock, i64)> {
        let stocks = (offset..offset.saturating_add(num)).map_while(Stock::at);
        stocks.map(|stock| (stock, self.prices.of(stock))).collect()
    }

    /// Puts a customer's portfolio in the place of what is there. False, without a change, when its
    /// value leaves i64: no overlay makes such a one.
    pub fn replace(&mut self, customer: Customer, folio: Portfolio) -> bool {
        if folio.value_fen(&self.prices) > i128::from(i64::MAX) {
            return false;
        }
        if folio.is_large() {
            self.large.insert(customer);
        } else {
            self.large.remove(&customer);
        }
        self.portfolios.insert(customer, folio);
        true
    }

    /// Moves a price that [`Overlay::quote`] allowed.
    pub fn set_price(&mut self, stock: Stock, price_fen: i64) {
        self.prices.set(stock, price_fen);
    }
}

/// What a batch makes of a book: dropped when the commit fails, else put into the book whole.
#[derive(Debug)]
pub struct Overlay {
    portfolios: HashMap<Customer, Portfolio>,
    prices: Prices,
    /// Prices that differ.
    pub moved: BTreeMap<Stock, i64>,
}

impl Overlay {
    /// Nothing changed yet.
    pub fn new(book: &Book) -> Self {
        Self { portfolios: HashMap::new(), prices: book.prices.clone(), moved: BTreeMap::new() }
    }

    /// Last prices as of now.
    pub fn prices(&self) -> &Prices {
        &self.prices
    }

    /// What the customer has of one stock by now.
    pub fn holding(&self, book: &Book, customer: Customer, stock: Stock) -> Holding {
        let folio = self.portfolios.get(&customer).or_else(|| book.portfolio(customer));
        let quantity = folio.map_or(0, |folio| folio.quantity(stock));
        Holding { stock, quantity, price_fen: self.prices.of(stock) }
    }

    /// Fills an order at the last price; returns what is held then, and the number of its first
    /// push.
    pub fn fill(&mut self, book: &Book, order: &Order) -> Result<(i64, i64), Refusal> {
        let Order { customer, stock, side, quantity } = *order;
        let folio = self
            .portfolios
            .entry(customer)
            .or_insert_with(|| book.portfolio(customer).cloned().unwrap_or_default());
        let held = folio.add(stock, side.signed(quantity), &self.prices)?;
        let seq = folio.seq + 1;
        folio.seq += PUSHES_PER_LINE;
        Ok((held, seq))
    }

    /// Moves a price, unless somebody holds so much that no price may.
    pub fn quote(&mut self, book: &Book, stock: Stock, price_fen: i64) -> Result<(), Refusal> {
        let touched = |customer: &Customer| self.portfolios.contains_key(customer);
        let untouched = book.large.iter().filter(|customer| !touched(customer));
        let untouched = untouched.filter_map(|&customer| book.portfolio(customer));
        let mut large = untouched.chain(self.portfolios.values().filter(|folio| folio.is_large()));
        if large.any(|folio| folio.quantity(stock) > 0) {
            return Err(Refusal::Overflow);
        }
        self.prices.set(stock, price_fen);
        self.moved.insert(stock, price_fen);
        Ok(())
    }

    /// Puts all that differs into the book. Prices go first: an overlay decides in the order of its
    /// writes, and the book takes only their end.
    pub fn apply_to(self, book: &mut Book) {
        for (stock, price_fen) in self.moved {
            book.set_price(stock, price_fen);
        }
        for (customer, folio) in self.portfolios {
            // Who was only refused something has no portfolio because of that.
            if folio.seq != book.portfolio(customer).map_or(0, |before| before.seq) {
                let fits = book.replace(customer, folio);
                debug_assert!(fits, "an overlay refuses what would not fit");
            }
        }
    }
}
