//! Trades made up for the seeded customers, with moving prices: life in a room without clients.

use super::market::PRICE_FEN;
use super::{Found, Order, Read, Side, Stock, Store, Write, opening};
use crate::limits::{SIM_BOUGHT_MAX, SIM_TICK};
use crate::rng::SplitMix;
use std::collections::VecDeque;
use std::sync::{Arc, Weak};
use std::thread::{Builder, JoinHandle};

/// Lots of one trade at most.
const LOTS_MAX: i64 = 10;

/// A price moves by a hundredth at most.
const MOVE_DIVISOR: i64 = 100;

/// What happens next, from a seed.
#[derive(Debug)]
pub struct Simulator {
    dice: SplitMix,
    lot: i64,
    /// What it bought and has not sold again: without that the customers would only grow richer.
    bought: VecDeque<Order>,
}

impl Simulator {
    /// `lot` is `trade.lot`.
    pub fn new(seed: u64, lot: i64) -> Self {
        Self { dice: SplitMix::new(seed), lot, bought: VecDeque::new() }
    }

    /// The next order.
    pub fn order(&mut self) -> Order {
        let sells = self.dice.within(0..=1) == 0 || self.bought.len() == SIM_BOUGHT_MAX;
        if sells && let Some(order) = self.bought.pop_front() {
            return Order { side: Side::Sell, ..order };
        }
        let number = self.dice.within(1..=opening::CUSTOMERS);
        let customer = opening::customers().find(|customer| customer.number() == number);
        let place = usize::try_from(self.dice.within(0..=Stock::LAST)).unwrap_or(0);
        let order = Order {
            customer: customer.expect("a seeded number"),
            stock: Stock::at(place).expect("a place among all"),
            side: Side::Buy,
            quantity: self.dice.within(1..=LOTS_MAX) * self.lot,
        };
        self.bought.push_back(order);
        order
    }

    /// Where a price goes from `price_fen`.
    pub fn price_fen(&mut self, price_fen: i64) -> i64 {
        let step = (price_fen / MOVE_DIVISOR).max(1);
        let moved = price_fen + self.dice.within(-step..=step);
        moved.clamp(*PRICE_FEN.start(), *PRICE_FEN.end())
    }

    /// Moves the price of a stock and trades it.
    fn act(&mut self, store: &dyn Store) {
        let order = self.order();
        let stock = order.stock;
        let read = Read::Stocks { offset: stock.place(), num: 1 };
        if let Some(Ok(Found::Stocks(stocks))) = store.read(read, &mut || Box::new(|_| ()))
            && let [(_, price_fen)] = stocks[..]
        {
            let price_fen = self.price_fen(price_fen);
            store.write(Write::Quote { stock, price_fen }, Box::new(|_| ()));
        }
        store.write(Write::Trade { order, key: None }, Box::new(|_| ()));
    }
}

/// Starts a thread that trades at `rate` a second until the store is gone. What the store refuses,
/// because a client was faster or its queue is full, is left out.
pub fn start(
    store: &Arc<dyn Store>,
    mut simulator: Simulator,
    rate: u64,
) -> std::io::Result<JoinHandle<()>> {
    let store: Weak<dyn Store> = Arc::downgrade(store);
    let ticks = crossbeam_channel::tick(SIM_TICK);
    Builder::new().name("trade-sim".into()).spawn(move || {
        let mut owed_us = 0;
        while ticks.recv().is_ok() {
            let Some(store) = store.upgrade() else { return };
            owed_us += rate * u64::try_from(SIM_TICK.as_micros()).unwrap_or(0);
            while owed_us >= 1_000_000 {
                owed_us -= 1_000_000;
                simulator.act(&*store);
            }
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashMap;

    #[test]
    fn a_seed_gives_the_same_orders_and_sells_only_what_it_bought() {
        let orders = |seed| {
            let mut simulator = Simulator::new(seed, 100);
            (0..5_000).map(|_| simulator.order()).collect::<Vec<_>>()
        };
        assert_eq!(orders(1), orders(1));
        assert_ne!(orders(1), orders(2));
        let mut held: HashMap<_, i64> = HashMap::new();
        for Order { customer, stock, side, quantity } in orders(1) {
            assert!(quantity > 0 && quantity % 100 == 0 && (1..=100).contains(&customer.number()));
            let held = held.entry((customer, stock)).or_default();
            *held += side.signed(quantity);
            assert!(*held >= 0, "sold before it was bought");
        }
        let open = held.values().filter(|held| **held > 0).count();
        assert!(open <= SIM_BOUGHT_MAX, "{open} positions stay open");
    }

    #[test]
    fn prices_move_a_little_and_stay_in_their_range() {
        let mut simulator = Simulator::new(1, 1);
        for start in [*PRICE_FEN.start(), 5_000, *PRICE_FEN.end()] {
            let mut price = start;
            for _ in 0..10_000 {
                let next = simulator.price_fen(price);
                assert!(
                    PRICE_FEN.contains(&next) && next.abs_diff(price) <= price.unsigned_abs() / 100
                );
                price = next;
            }
            assert_ne!(price, start);
        }
    }
}
