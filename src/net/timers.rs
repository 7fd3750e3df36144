//! Deadlines of many connections: a hashed wheel, in which a later deadline costs nothing.
//!
//! A connection has at most one entry that counts, filed no later than its deadline. When the
//! deadline moves away the entry stays; it fires early and is filed again. So a keep-alive
//! connection that renews its idle deadline with every request touches the wheel once a minute.

use crate::session::ConnId;
use std::time::{Duration, Instant};

const TICKS_PER_SECOND: u64 = 32;
const TICK_NANOS: u32 = 1_000_000_000 / 32;
/// One turn of the wheel is 64 s; what is due later passes by and stays.
const BUCKETS: usize = 2_048;
const WORDS: usize = BUCKETS / 64;

/// A tick that never comes.
const NEVER: u64 = u64::MAX;

/// What a connection remembers of its entry that counts.
#[derive(Clone, Copy, Debug)]
pub(super) struct Filed {
    /// When it fires.
    pub(super) tick: u64,
    /// The deadline that it was filed for; a later one needs no other entry.
    pub(super) deadline: Instant,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) id: ConnId,
    /// When it fires. An entry whose tick is not its connection's any more is void.
    pub(super) tick: u64,
}

pub(super) struct Timers {
    start: Instant,
    /// Everything up to this tick has fired. Behind the clock while nothing is due.
    current: u64,
    /// No bucket before this tick holds anything; `NEVER` when none does.
    nearest: u64,
    /// The same as a time, kept because every turn of the loop compares with it.
    nearest_at: Option<Instant>,
    buckets: Vec<Vec<Entry>>,
    /// One bit for each bucket that is not empty.
    occupied: [u64; WORDS],
}

impl Timers {
    pub(super) fn new(start: Instant) -> Self {
        let buckets = (0..BUCKETS).map(|_| Vec::new()).collect();
        let (nearest, nearest_at) = (NEVER, None);
        Self { start, current: 0, nearest, nearest_at, buckets, occupied: [0; WORDS] }
    }

    /// The first tick at which `deadline` has passed.
    pub(super) fn tick_after(&self, deadline: Instant) -> u64 {
        let elapsed = deadline.saturating_duration_since(self.start);
        let ticks = ticks_of(elapsed);
        ticks.saturating_add(1).clamp(self.current + 1, NEVER - 1)
    }

    pub(super) fn file(&mut self, id: ConnId, tick: u64) {
        if tick < self.nearest {
            self.nearest = tick;
            self.nearest_at = self.time_of(tick);
        }
        let bucket = bucket_of(tick);
        self.buckets[bucket].push(Entry { id, tick });
        self.occupied[bucket / 64] |= 1 << (bucket % 64);
    }

    /// Moves what is due by `now` into `due`.
    pub(super) fn advance(&mut self, now: Instant, due: &mut Vec<Entry>) {
        if self.nearest_at.is_none_or(|at| now < at) {
            return;
        }
        let target = ticks_of(now.saturating_duration_since(self.start));
        while self.nearest <= target {
            self.current = self.nearest;
            let bucket = bucket_of(self.current);
            let entries = &mut self.buckets[bucket];
            due.extend(entries.extract_if(.., |entry| entry.tick <= target));
            if entries.is_empty() {
                self.occupied[bucket / 64] &= !(1 << (bucket % 64));
                // A burst of connections must not leave its peak in every bucket for ever.
                entries.shrink_to(16);
            }
            self.nearest = self.next_occupied().unwrap_or(NEVER);
        }
        self.current = self.current.max(target);
        self.nearest_at = self.time_of(self.nearest);
    }

    /// When to look again; early at times, never late.
    pub(super) fn next(&self) -> Option<Instant> {
        self.nearest_at
    }

    /// `None` for a tick that never comes.
    fn time_of(&self, tick: u64) -> Option<Instant> {
        let nanos = u64::from(TICK_NANOS) * (tick % TICKS_PER_SECOND);
        let since = Duration::from_secs(tick / TICKS_PER_SECOND) + Duration::from_nanos(nanos);
        self.start.checked_add(since).filter(|_| tick != NEVER)
    }

    /// The nearest tick after `current` whose bucket holds something.
    fn next_occupied(&self) -> Option<u64> {
        let first = bucket_of(self.current + 1);
        // One word more than there are: the first is looked at twice, its upper bits now and its
        // lower ones at the end.
        for step in 0..=WORDS {
            let index = (first / 64 + step) % WORDS;
            let mask = match step {
                0 => u64::MAX << (first % 64),
                WORDS => !(u64::MAX << (first % 64)),
                _ => u64::MAX,
            };
            let word = self.occupied[index] & mask;
            if word != 0 {
                let bucket = index * 64 + word.trailing_zeros() as usize;
                let distance = (bucket + BUCKETS - first) % BUCKETS;
                return Some(self.current + 1 + distance as u64);
            }
        }
        None
    }
}

fn ticks_of(elapsed: Duration) -> u64 {
    let whole = elapsed.as_secs().saturating_mul(TICKS_PER_SECOND);
    whole.saturating_add(u64::from(elapsed.subsec_nanos() / TICK_NANOS))
}

#[expect(clippy::cast_possible_truncation, reason = "a remainder of BUCKETS fits")]
fn bucket_of(tick: u64) -> usize {
    (tick % BUCKETS as u64) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(slot: u32) -> ConnId {
        ConnId { slot, generation: 0 }
    }

    #[test]
    fn fires_each_deadline_once_after_it_has_passed_and_never_before() {
        let start = Instant::now();
        let mut timers = Timers::new(start);
        // Some seconds, in an order that is no order, beyond one turn of the wheel.
        let deadlines: Vec<Duration> =
            (0..200_u64).map(|i| Duration::from_millis(i * 7_919 % 150_000)).collect();
        for (slot, deadline) in (0..).zip(&deadlines) {
            let tick = timers.tick_after(start + *deadline);
            timers.file(id(slot), tick);
        }
        let mut fired = vec![false; deadlines.len()];
        let mut due = Vec::new();
        let mut last = Duration::ZERO;
        while let Some(next) = timers.next() {
            let now = next - start;
            assert!(now > last, "time moves on");
            last = now;
            timers.advance(next, &mut due);
            for entry in due.drain(..) {
                let slot = entry.id.slot as usize;
                assert!(deadlines[slot] <= now, "not before its time");
                assert!(now <= deadlines[slot] + Duration::from_millis(32), "within a tick");
                assert!(!std::mem::replace(&mut fired[slot], true), "once");
            }
        }
        assert!(fired.iter().all(|fired| *fired));
    }

    #[test]
    fn a_long_sleep_loses_nothing() {
        let start = Instant::now();
        let mut timers = Timers::new(start);
        for slot in 0..100 {
            let tick = timers.tick_after(start + Duration::from_secs(u64::from(slot)));
            timers.file(id(slot), tick);
        }
        let mut due = Vec::new();
        timers.advance(start + Duration::from_secs(1_000), &mut due);
        assert_eq!(due.len(), 100);
        assert_eq!(timers.next(), None);
    }

    #[test]
    fn a_deadline_in_the_past_fires_at_the_next_tick() {
        let start = Instant::now();
        let mut timers = Timers::new(start);
        let mut due = Vec::new();
        timers.advance(start + Duration::from_secs(5), &mut due);
        let tick = timers.tick_after(start);
        timers.file(id(1), tick);
        let next = timers.next().expect("one is filed");
        assert!(next <= start + Duration::from_millis(5_032));
        timers.advance(next, &mut due);
        assert_eq!(due, [Entry { id: id(1), tick }]);
    }
}
