//! One hot list: what every resource was counted within a span, highest first.

use super::{Id, Spread};
use crate::order::Order;
use std::cmp::Reverse;

/// A position on the list; the derived order is the list's order, highest first.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Key {
    count: Reverse<i64>,
    resource: Id,
}

/// One resource on a hot list; its rank is its position, from 1.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// Which.
    pub resource: Id,
    /// Above 0.
    pub count: i64,
}

/// Sums with their order, exact however many there are; every operation is O(log n).
///
/// A resource costs 28 to 57 bytes for its sum, and 24 to 48 while it is listed.
///
/// Invariant: `order` holds exactly the resources of `sums` whose sum is above 0.
#[derive(Debug, Default)]
pub struct HotList {
    sums: Spread<Id, i64>,
    order: Order<Key>,
}

impl HotList {
    /// Builds a list from sums; no resource twice.
    pub fn from_sums(sums: Spread<Id, i64>) -> Self {
        let listed = sums.iter().filter(|(_, sum)| **sum > 0);
        let mut keys: Vec<_> = listed.map(|(resource, &sum)| key(resource, sum)).collect();
        keys.sort_unstable();
        Self { sums, order: Order::from_sorted(&keys) }
    }

    /// The sum of a resource; `None` when it was never counted here.
    pub fn sum(&self, resource: &Id) -> Option<i64> {
        self.sums.get(resource).copied()
    }

    /// Every sum, those that are not listed included.
    pub fn sums(&self) -> &Spread<Id, i64> {
        &self.sums
    }

    /// Sets the sum of a resource and moves it to its place.
    pub fn set(&mut self, resource: &Id, sum: i64) {
        let known = self.sums.get_or_default(resource);
        let before = std::mem::replace(known, sum);
        if before > 0 {
            self.order.remove(&key(resource, before));
        }
        if sum > 0 {
            self.order.insert(key(resource, sum));
        }
    }

    /// The first `num` places, as far as there are any.
    pub fn top(&self, num: usize) -> Vec<Place> {
        let listed = self.order.starting_at(0).take(num);
        listed.map(|key| Place { resource: key.resource.clone(), count: key.count.0 }).collect()
    }

    /// Listed resources: those with a sum above 0.
    pub fn len(&self) -> usize {
        self.order.len()
    }

    /// True when no resource is listed.
    pub fn is_empty(&self) -> bool {
        self.order.is_empty()
    }
}

fn key(resource: &Id, sum: i64) -> Key {
    Key { count: Reverse(sum), resource: resource.clone() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::HashMap;

    fn id(number: i64) -> Id {
        // Numbers and texts, and among the texts one that sorts before a shorter one.
        let text = if number % 2 == 0 { number.to_string() } else { format!("0{number}") };
        Id::from_text(&text).expect("an id")
    }

    proptest! {
        #[test]
        fn a_list_is_what_sorting_all_sums_gives(
            steps in proptest::collection::vec((1..40_i64, -3..6_i64), 0..300),
            num in 0..50_usize,
        ) {
            let (mut list, mut model) = (HotList::default(), HashMap::new());
            for (number, delta) in steps {
                let sum = model.entry(id(number)).or_insert(0);
                *sum += delta;
                list.set(&id(number), *sum);
            }
            let mut expected: Vec<_> = model.iter().filter(|(_, sum)| **sum > 0).collect();
            expected.sort_by_key(|(resource, sum)| (-**sum, (*resource).clone()));
            let place = |(resource, sum): (&Id, &i64)| Place { resource: resource.clone(), count: *sum };
            let expected: Vec<_> = expected.into_iter().map(place).collect();
            prop_assert_eq!(list.len(), expected.len());
            prop_assert_eq!(&list.top(num), &expected[..num.min(expected.len())]);
            let again = HotList::from_sums(list.sums().clone());
            prop_assert_eq!(again.top(usize::MAX), expected);
        }
    }
}
