//! Which stocks there are, and what they cost before anybody moves a price.

use crate::rng::SplitMix;
use std::fmt;
use std::ops::RangeInclusive;

/// Last prices, in fen: 10.00 to 1000.00.
pub const PRICE_FEN: RangeInclusive<i64> = 1_000..=100_000;

/// From which the first prices are drawn; another one would be another market.
const PRICES_SEED: u64 = 0x5EED_0F00_57D5;

/// Where a stock is listed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Exchange {
    /// "1".
    Shanghai,
    /// "2".
    Shenzhen,
}

impl Exchange {
    /// Its name on the wire and its number in the journal.
    pub fn number(self) -> u8 {
        match self {
            Exchange::Shanghai => 1,
            Exchange::Shenzhen => 2,
        }
    }

    fn codes(self) -> RangeInclusive<u32> {
        match self {
            Exchange::Shanghai => 600_000..=600_999,
            Exchange::Shenzhen => 1..=1_000,
        }
    }
}

/// A stock: its place among all of them, Shanghai first, each exchange by code.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Stock(u16);

impl Stock {
    /// How many there are.
    pub const COUNT: usize = 2_000;
    /// The place of the last one, to draw from.
    pub(super) const LAST: i64 = 1_999;
    const PER_EXCHANGE: u16 = 1_000;

    /// The stock of that number on the exchange with that number.
    pub fn new(exchange: u8, code: u32) -> Option<Self> {
        let (exchange, base) = match exchange {
            1 => (Exchange::Shanghai, 0),
            2 => (Exchange::Shenzhen, Self::PER_EXCHANGE),
            _ => return None,
        };
        let codes = exchange.codes();
        let place = u16::try_from(code.checked_sub(*codes.start())?).ok()?;
        codes.contains(&code).then_some(Self(base + place))
    }

    /// The stock as it is written on the wire: `"1"` and `"600000"`.
    pub fn from_text(exchange: &str, code: &str) -> Option<Self> {
        let exchange = match exchange {
            "1" => 1,
            "2" => 2,
            _ => return None,
        };
        let is_code = code.len() == 6 && code.bytes().all(|byte| byte.is_ascii_digit());
        if is_code { Self::new(exchange, code.parse().ok()?) } else { None }
    }

    /// The stock at that place among all.
    pub fn at(place: usize) -> Option<Self> {
        u16::try_from(place).ok().filter(|_| place < Self::COUNT).map(Self)
    }

    /// Its place among all.
    pub fn place(self) -> usize {
        usize::from(self.0)
    }

    /// Where it is listed.
    pub fn exchange(self) -> Exchange {
        if self.0 < Self::PER_EXCHANGE { Exchange::Shanghai } else { Exchange::Shenzhen }
    }

    /// Its number; six digits on the wire.
    pub fn code(self) -> u32 {
        self.exchange().codes().start() + u32::from(self.0 % Self::PER_EXCHANGE)
    }
}

impl fmt::Debug for Stock {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}:{:06}", self.exchange().number(), self.code())
    }
}

/// The last price of every stock, in fen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Prices(Box<[i64]>);

impl Default for Prices {
    /// The first prices: drawn from a fixed seed, but 10.00 for 600000.
    fn default() -> Self {
        let mut dice = SplitMix::new(PRICES_SEED);
        let mut prices: Box<[i64]> = (0..Stock::COUNT).map(|_| dice.within(PRICE_FEN)).collect();
        prices[0] = *PRICE_FEN.start();
        Self(prices)
    }
}

impl Prices {
    /// What `stock` costs, in fen.
    pub fn of(&self, stock: Stock) -> i64 {
        self.0[stock.place()]
    }

    /// Moves a price.
    pub fn set(&mut self, stock: Stock, price_fen: i64) {
        debug_assert!(PRICE_FEN.contains(&price_fen), "prices stay in their range");
        self.0[stock.place()] = price_fen;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_stock_is_found_by_its_name_and_nothing_else_is() {
        let mut last = None;
        for place in 0..Stock::COUNT {
            let stock = Stock::at(place).expect("there are so many");
            let (exchange, code) = (stock.exchange().number(), stock.code());
            assert_eq!(Stock::new(exchange, code), Some(stock));
            let text = (exchange.to_string(), format!("{code:06}"));
            assert_eq!(Stock::from_text(&text.0, &text.1), Some(stock));
            assert!(last < Some(stock), "in order");
            last = Some(stock);
        }
        for (exchange, code) in [
            ("1", "601000"),
            ("1", "599999"),
            ("1", "000001"),
            ("2", "000000"),
            ("2", "001001"),
            ("2", "600000"),
            ("3", "600000"),
            ("", "600000"),
            ("1", "60000"),
            ("1", "0600000"),
            ("1", "+60000"),
            ("01", "600000"),
        ] {
            assert_eq!(Stock::from_text(exchange, code), None, "{exchange} {code}");
        }
    }

    #[test]
    fn first_prices_are_in_their_range_and_the_same_every_time() {
        let prices = Prices::default();
        let all: Vec<i64> = (0..Stock::COUNT).filter_map(Stock::at).map(|s| prices.of(s)).collect();
        assert!(all.iter().all(|price| PRICE_FEN.contains(price)));
        assert_eq!(all[0], 1_000, "600000 costs 10.00");
        assert_eq!(prices, Prices::default());
        let distinct: std::collections::HashSet<_> = all.iter().collect();
        assert!(distinct.len() > 1_900, "{}", distinct.len());
    }
}
