//! A customer's positions as a client knows them: what was pulled, and the pushes since.

use super::room::{Holding, HoldingPush, Message, Stock};
use std::collections::BTreeMap;

/// See the module documentation.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Portfolio {
    rows: BTreeMap<Stock, Holding>,
    /// Of the newest push that was seen; `None` before the first login.
    seq: Option<i64>,
}

/// What a push did to the row of its stock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// A row came.
    Opened,
    /// The row went.
    Closed,
    /// The row stays, with another quantity than before.
    Changed {
        /// The quantity before.
        from: i64,
    },
    /// Nothing to see: it had been pulled already.
    Known,
}

/// A push that does not follow the one before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("push {seen} came where {expected} was due")]
pub struct Gap {
    /// The number that was due.
    pub expected: i64,
    /// The number that came.
    pub seen: i64,
}

impl Portfolio {
    /// The positions, by exchange and code.
    pub fn rows(&self) -> impl ExactSizeIterator<Item = &Holding> {
        self.rows.values()
    }

    /// The position in one stock.
    pub fn row(&self, stock: &Stock) -> Option<&Holding> {
        self.rows.get(stock)
    }

    /// The value of all rows in fen.
    pub fn total_value_fen(&self) -> i64 {
        let total = self.rows.values().map(|row| i128::from(row.market_value_fen)).sum::<i128>();
        i64::try_from(total).unwrap_or(i64::MAX)
    }

    /// Where the pushes stand, to resume from.
    pub fn seq(&self) -> Option<i64> {
        self.seq
    }

    /// Pushes go on from here.
    pub fn stand_at(&mut self, seq: i64) {
        self.seq = Some(seq);
    }

    /// Takes what was pulled instead of what was known.
    pub fn replace(&mut self, holdings: impl IntoIterator<Item = Holding>) {
        self.rows = holdings.into_iter().map(|row| (row.stock.clone(), row)).collect();
    }

    /// Takes note of a push's number. `Ok(false)`: it was seen before, and says nothing new.
    pub fn follow(&mut self, push: &Message) -> Result<bool, Gap> {
        let (Some(seen), Some(last)) = (push.seq(), self.seq) else { return Ok(true) };
        if seen <= last {
            return Ok(false);
        }
        self.seq = Some(seen);
        if seen == last + 1 { Ok(true) } else { Err(Gap { expected: last + 1, seen }) }
    }

    /// Takes the position that a push shows.
    pub fn apply(&mut self, push: &HoldingPush) -> Change {
        let holding = &push.holding;
        let before = if holding.quantity == 0 {
            self.rows.remove(&holding.stock)
        } else {
            self.rows.insert(holding.stock.clone(), holding.clone())
        };
        match (before, holding.quantity) {
            (None, 0) => Change::Known,
            (None, _) => Change::Opened,
            (Some(_), 0) => Change::Closed,
            (Some(before), quantity) if before.quantity == quantity => Change::Known,
            (Some(before), _) => Change::Changed { from: before.quantity },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn push(seq: i64, code: &str, quantity: i64) -> HoldingPush {
        let stock = Stock::of_code(code);
        let market_value_fen = quantity * 1_000;
        HoldingPush {
            seq,
            holding: Holding { stock, quantity, last_price_fen: 1_000, market_value_fen },
        }
    }

    #[test]
    fn rows_come_go_and_change() {
        let mut portfolio = Portfolio::default();
        let steps = [
            ("600001", 200, Change::Opened, 200_000),
            ("000002", 100, Change::Opened, 300_000),
            ("600001", 300, Change::Changed { from: 200 }, 400_000),
            ("600001", 300, Change::Known, 400_000),
            ("000002", 0, Change::Closed, 300_000),
            ("000002", 0, Change::Known, 300_000),
            ("600001", 0, Change::Closed, 0),
        ];
        for (code, quantity, change, total) in steps {
            assert_eq!(portfolio.apply(&push(1, code, quantity)), change, "{code} {quantity}");
            assert_eq!(portfolio.total_value_fen(), total, "{code} {quantity}");
        }
        assert_eq!(portfolio.rows().len(), 0);
    }

    #[test]
    fn pushes_are_followed_without_gap_or_repetition() {
        let mut portfolio = Portfolio::default();
        let message = |seq| Message::Holding(push(seq, "600001", 1));
        portfolio.stand_at(7);
        assert_eq!(portfolio.follow(&message(7)), Ok(false));
        assert_eq!(portfolio.follow(&message(8)), Ok(true));
        assert_eq!(portfolio.follow(&message(10)), Err(Gap { expected: 9, seen: 10 }));
        assert_eq!(portfolio.follow(&message(11)), Ok(true), "it goes on from what came");
        assert_eq!(portfolio.follow(&Message::Welcome), Ok(true));
    }
}
