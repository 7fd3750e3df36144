//! What the room begins with: a hundred customers with some positions each, the same every time.

use super::market::Prices;
use super::{Customer, Entry, Order, Side, Stock};
use crate::rng::SplitMix;
use std::collections::BTreeMap;

/// Customers 000000000001 to 000000000100.
pub const CUSTOMERS: i64 = 100;

/// Positions of one of them at most.
pub const POSITIONS_MAX: i64 = 100;

/// Lots of one position at most.
const LOTS_MAX: i64 = 100;

/// Another seed would be another room.
const SEED: u64 = 0x0FE9_1236;

/// The seeded customers.
pub fn customers() -> impl Iterator<Item = Customer> {
    (1..=CUSTOMERS).filter_map(Customer::from_number)
}

/// The opening trades, numbered from 1, at `now_us` and the microseconds after it. `lot` is
/// `trade.lot`.
pub fn trades(prices: &Prices, lot: i64, now_us: i64) -> Vec<Entry> {
    let mut dice = SplitMix::new(SEED);
    let mut entries: Vec<Entry> = Vec::new();
    for customer in customers() {
        let positions = usize::try_from(dice.within(1..=POSITIONS_MAX)).expect("a small number");
        let mut picked = BTreeMap::new();
        while picked.len() < positions {
            let place = usize::try_from(dice.within(0..=Stock::LAST)).unwrap_or(0);
            let stock = Stock::at(place).expect("a place among all");
            picked.insert(stock, dice.within(1..=LOTS_MAX) * lot);
        }
        for (stock, quantity) in picked {
            let id = entries.last().map_or(1, |entry| entry.id + 1);
            entries.push(Entry {
                id,
                order: Order { customer, stock, side: Side::Buy, quantity },
                price_fen: prices.of(stock),
                time_us: now_us + id - 1,
                seq: 0,
                held: quantity,
                rollback: None,
            });
        }
    }
    entries
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashMap;

    #[test]
    fn a_hundred_customers_have_one_to_a_hundred_positions_the_same_every_time() {
        let trades = |lot| super::trades(&Prices::default(), lot, 7);
        let all = trades(1);
        assert_eq!(all, trades(1));
        let mut positions: HashMap<Customer, usize> = HashMap::new();
        for entry in &all {
            *positions.entry(entry.order.customer).or_default() += 1;
        }
        assert_eq!(positions.len(), 100);
        assert!(positions.values().all(|count| (1..=100).contains(count)), "{positions:?}");
        assert!(all.iter().zip(1..).all(|(entry, id)| entry.id == id && entry.time_us == 6 + id));
        assert!(trades(100).iter().all(|entry| entry.order.quantity % 100 == 0));
    }
}
