//! Answers that were fresh once, for the time when none can be had.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// By question; bounded, the oldest goes first.
pub struct LastKnown<K, V> {
    answers: Mutex<HashMap<K, (Instant, V)>>,
    answers_max: usize,
}

impl<K: Eq + Hash, V: Clone> LastKnown<K, V> {
    /// At most `answers_max` are kept.
    pub fn new(answers_max: usize) -> Self {
        Self { answers: Mutex::default(), answers_max }
    }

    /// Keeps what is true now.
    pub fn keep(&self, key: K, value: V) {
        let mut answers = self.lock();
        if answers.len() >= self.answers_max && !answers.contains_key(&key) {
            // The older half at once: who is asked so many different things forgets most anyhow.
            let mut times: Vec<Instant> = answers.values().map(|(at, _)| *at).collect();
            times.sort_unstable();
            let middle = times[times.len() / 2];
            answers.retain(|_, (at, _)| *at > middle);
        }
        answers.insert(key, (Instant::now(), value));
    }

    /// The last answer, and how old it is, unless that is more than `age_max`.
    pub fn get(&self, key: &K, age_max: Duration) -> Option<(V, Duration)> {
        let answers = self.lock();
        let (at, value) = answers.get(key)?;
        let age = at.elapsed();
        (age <= age_max).then(|| (value.clone(), age))
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<K, (Instant, V)>> {
        self.answers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_the_newer_half_when_there_are_too_many_and_nothing_beyond_its_age() {
        let known = LastKnown::new(4);
        for key in 0..5 {
            known.keep(key, key * 10);
        }
        let hour = Duration::from_secs(3_600);
        assert_eq!(known.get(&0, hour), None);
        assert_eq!(known.get(&4, hour).map(|(value, _)| value), Some(40));
        assert_eq!(known.get(&4, Duration::ZERO), None);
    }
}
