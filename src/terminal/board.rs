//! What is on the screen: who we are, positions, the latest trades.

use crate::client::portfolio::Portfolio;
use crate::client::room::TradePush;
use std::collections::VecDeque;

/// Trades that stay on the screen.
const TRADES_SHOWN: usize = 8;

/// See the module documentation.
#[derive(Clone, Debug, Default)]
pub(super) struct Board {
    /// Twelve digits.
    pub(super) customer_id: String,
    /// Why there is no connection, while there is none.
    pub(super) offline: Option<String>,
    /// The positions.
    pub(super) portfolio: Portfolio,
    /// Oldest first.
    trades: VecDeque<TradePush>,
}

impl Board {
    /// An empty board of a customer.
    pub(super) fn of(customer_id: &str) -> Self {
        Self { customer_id: customer_id.to_owned(), ..Self::default() }
    }

    /// The latest trades that still stand, newest first.
    pub(super) fn trades(&self) -> impl Iterator<Item = &TradePush> {
        self.trades.iter().rev()
    }

    /// Shows a trade.
    pub(super) fn show(&mut self, trade: TradePush) {
        if self.trades.len() == TRADES_SHOWN {
            self.trades.pop_front();
        }
        self.trades.push_back(trade);
    }

    /// Takes a trade off the screen; the trade, when it was there.
    pub(super) fn take_off(&mut self, trade_id: i64) -> Option<TradePush> {
        let at = self.trades.iter().position(|trade| trade.trade_id == trade_id)?;
        self.trades.remove(at)
    }
}
