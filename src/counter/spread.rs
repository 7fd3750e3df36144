//! A hash map that never stops everybody to grow: it is spread over small ones.

use std::borrow::Borrow;
use std::collections::HashMap;
use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hash};

/// Entries up to which one map holds all.
const SINGLE_ENTRIES_MAX: usize = 4_096;

/// Maps that hold the entries beyond that. Of ten million entries each has 40,000, and moves them
/// within a millisecond when it grows; one map would take a third of a second, under the lock that
/// readers wait for.
const PARTS: usize = 256;

/// Keys with values. The hasher is seeded at random: clients choose the keys, and must not be able
/// to choose ones that collide.
///
/// Invariant: `parts` is empty, one map, or [`PARTS`] maps; `len` counts their entries.
#[derive(Clone, Debug)]
pub struct Spread<K, V> {
    parts: Vec<HashMap<K, V>>,
    hasher: RandomState,
    len: usize,
}

impl<K, V> Default for Spread<K, V> {
    fn default() -> Self {
        Self { parts: Vec::new(), hasher: RandomState::new(), len: 0 }
    }
}

impl<K: Eq + Hash, V> Spread<K, V> {
    /// How many there are.
    pub fn len(&self) -> usize {
        self.len
    }

    /// True when there are none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The value of `key`.
    pub fn get<Q>(&self, key: &Q) -> Option<&V>
    where
        K: Borrow<Q>,
        Q: Eq + Hash + ?Sized,
    {
        self.parts.get(self.part_of(key)).and_then(|part| part.get(key))
    }

    /// The value of `key`, made if need be.
    pub fn get_or_default(&mut self, key: &K) -> &mut V
    where
        K: Clone,
        V: Default,
    {
        if self.get(key).is_none() {
            self.insert(key.clone(), V::default());
        }
        self.get_mut(key).expect("inserted above when it was not there")
    }

    /// The value of `key`, to be changed.
    pub fn get_mut(&mut self, key: &K) -> Option<&mut V> {
        let part = self.part_of(key);
        self.parts.get_mut(part).and_then(|part| part.get_mut(key))
    }

    /// Sets the value of `key`; returns the one before.
    pub fn insert(&mut self, key: K, value: V) -> Option<V> {
        match self.parts.len() {
            0 => self.parts.push(HashMap::new()),
            1 if self.len >= SINGLE_ENTRIES_MAX => self.split(),
            _ => {}
        }
        let part = self.part_of(&key);
        let before = self.parts[part].insert(key, value);
        self.len += usize::from(before.is_none());
        before
    }

    /// Takes `key` out.
    pub fn remove(&mut self, key: &K) -> Option<V> {
        let part = self.part_of(key);
        let before = self.parts.get_mut(part).and_then(|part| part.remove(key));
        self.len -= usize::from(before.is_some());
        before
    }

    /// All of them, in no order.
    pub fn iter(&self) -> impl Iterator<Item = (&K, &V)> {
        self.parts.iter().flatten()
    }

    /// The entries of one of [`Spread::part_count`] parts, in no order: for who must not take all
    /// at once.
    pub fn part(&self, index: usize) -> impl Iterator<Item = (&K, &V)> {
        self.parts.get(index).into_iter().flatten()
    }

    /// In how many parts the entries are; grows once.
    pub fn part_count(&self) -> usize {
        self.parts.len()
    }

    fn part_of<Q: Hash + ?Sized>(&self, key: &Q) -> usize {
        if self.parts.len() <= 1 {
            return 0;
        }
        // The remainder is below PARTS.
        usize::try_from(self.hasher.hash_one(key) % PARTS as u64).unwrap_or(0)
    }

    fn split(&mut self) {
        let all = std::mem::take(&mut self.parts);
        self.parts.resize_with(PARTS, HashMap::new);
        for (key, value) in all.into_iter().flatten() {
            let part = self.part_of(&key);
            self.parts[part].insert(key, value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

        #[test]
        fn it_is_a_map_on_both_sides_of_the_split(
            runs in proptest::collection::vec((0..9_000_u32, 1..6_000_u32, any::<bool>()), 1..6),
        ) {
            let (mut spread, mut model) = (Spread::default(), HashMap::new());
            for (start, count, adds) in runs {
                for key in start..start + count {
                    if adds {
                        prop_assert_eq!(spread.insert(key, start), model.insert(key, start));
                    } else {
                        prop_assert_eq!(spread.remove(&key), model.remove(&key));
                    }
                }
                prop_assert_eq!(spread.len(), model.len());
                prop_assert_eq!(spread.is_empty(), model.is_empty());
                prop_assert!((0..15_000).all(|key| spread.get(&key) == model.get(&key)));
                let parts = 0..spread.part_count();
                let all: HashMap<_, _> =
                    parts.flat_map(|part| spread.part(part)).map(|(k, v)| (*k, *v)).collect();
                prop_assert_eq!(&all, &model);
                prop_assert_eq!(spread.iter().count(), model.len());
            }
        }
    }
}
