//! Which request keys took effect, and as what: a small memory of what the journal holds.
//!
//! A key is kept as a 64-bit hash under a secret of this process, with the id of the journal row
//! that it made: 16 bytes and one of control, in tables between 7/16 and 7/8 full, so 20 to 39
//! bytes per key, whatever its length. The hash only finds candidates; the caller compares the
//! row, so that two keys of one hash are told apart.

use super::RequestKey;
use std::collections::hash_map::{Entry, RandomState};
use std::collections::{HashMap, VecDeque};
use std::hash::{BuildHasher, Hash};
use std::marker::PhantomData;

/// Parts of the time that keys are kept. Forgetting drops a whole part: a key lives an eighth
/// longer than asked at most, and costs no place in a queue of its own.
const SLICES: i64 = 8;

/// Keys by age. A `scope` (a path, or a user of it) sets them apart: the same key there is another
/// key.
#[derive(Debug)]
pub struct Remembered<S> {
    hasher: RandomState,
    keep_us: i64,
    slice_us: i64,
    /// Oldest first. Invariant: `until_us` grows strictly.
    slices: VecDeque<Slice>,
    /// One type for all: equal scopes of two types would hash apart.
    scope: PhantomData<fn(S)>,
}

#[derive(Debug)]
struct Slice {
    /// First moment after it.
    until_us: i64,
    ids: HashMap<u64, i64>,
    /// Keys whose hash was taken already: practically none, but exactly-once knows no odds.
    same_hash: Vec<(u64, i64)>,
}

impl<S: Hash> Remembered<S> {
    /// Keeps every key for at least `keep_us` microseconds.
    pub fn new(keep_us: i64) -> Self {
        let slice_us = (keep_us / SLICES).max(1);
        Self {
            hasher: RandomState::new(),
            keep_us,
            slice_us,
            slices: VecDeque::new(),
            scope: PhantomData,
        }
    }

    /// Rows that may have been made under this key, newest first.
    pub fn find(&self, scope: S, key: &RequestKey) -> impl Iterator<Item = i64> {
        let hash = self.hash(scope, key.as_str());
        self.slices.iter().rev().flat_map(move |slice| {
            let twins = slice.same_hash.iter().filter(move |twin| twin.0 == hash);
            slice.ids.get(&hash).copied().into_iter().chain(twins.map(|twin| twin.1))
        })
    }

    /// Remembers that `key` made row `id` at `time_us`. Times must not fall.
    pub fn insert(&mut self, scope: S, key: &str, id: i64, time_us: i64) {
        let hash = self.hash(scope, key);
        if self.slices.back().is_none_or(|slice| slice.until_us <= time_us) {
            self.forget(time_us);
            let until_us = time_us.saturating_add(self.slice_us);
            self.slices.push_back(Slice { until_us, ids: HashMap::new(), same_hash: Vec::new() });
        }
        let slice = self.slices.back_mut().expect("pushed above when there was none");
        match slice.ids.entry(hash) {
            Entry::Vacant(place) => {
                place.insert(id);
            }
            Entry::Occupied(_) => slice.same_hash.push((hash, id)),
        }
    }

    /// Drops what is older than asked.
    fn forget(&mut self, now_us: i64) {
        let old = now_us.saturating_sub(self.keep_us);
        while self.slices.front().is_some_and(|slice| slice.until_us <= old) {
            self.slices.pop_front();
        }
    }

    /// Keys held; for metrics.
    pub fn len(&self) -> usize {
        self.slices.iter().map(|slice| slice.ids.len() + slice.same_hash.len()).sum()
    }

    /// Whether no key is held.
    pub fn is_empty(&self) -> bool {
        self.slices.is_empty()
    }

    fn hash(&self, scope: S, key: &str) -> u64 {
        self.hasher.hash_one((scope, key))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(text: &str) -> RequestKey {
        RequestKey::new(text).expect("a valid key")
    }

    fn found(memory: &Remembered<u8>, scope: u8, text: &str) -> Vec<i64> {
        memory.find(scope, &key(text)).collect()
    }

    #[test]
    fn finds_a_key_in_its_scope_only() {
        let mut memory = Remembered::new(800);
        memory.insert(0, "a", 1, 10);
        memory.insert(1, "b", 2, 11);
        assert_eq!(found(&memory, 0, "a"), [1]);
        assert!(found(&memory, 1, "a").is_empty());
        assert!(found(&memory, 0, "b").is_empty());
        assert_eq!(found(&memory, 1, "b"), [2]);
    }

    #[test]
    fn keeps_a_key_at_least_as_long_as_asked_and_forgets_it_then() {
        let mut memory = Remembered::new(800);
        for time in 0..10_000 {
            memory.insert(0, &format!("k{time}"), time, time);
            let oldest = (time - 800).max(0);
            assert_eq!(found(&memory, 0, &format!("k{oldest}")), [oldest]);
            assert!(memory.len() <= 1_001, "{} keys at {time}", memory.len());
        }
        assert!(found(&memory, 0, "k8000").is_empty());
    }

    #[test]
    fn keys_of_one_hash_are_all_candidates() {
        let mut memory = Remembered::new(800);
        memory.insert(0, "a", 1, 0);
        memory.insert(0, "a", 2, 1);
        memory.insert(0, "a", 3, 400);
        let mut ids = found(&memory, 0, "a");
        ids.sort_unstable();
        assert_eq!(ids, [1, 2, 3]);
    }
}
