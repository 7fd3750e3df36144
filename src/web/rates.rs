//! What was answered in each second of the last minute, as a topic: one look a second, and no work
//! while nobody follows it.

use crate::http::event_bytes;
use crate::session::{Event, Newest, Signal, Topic};
use crate::store::Clock;
use serde_json::{Map, Value};
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

/// Nobody announces it: a loop looks at all its topics once a second anyhow.
const RATES_SIGNAL: Signal = Signal(u8::MAX);

/// Seconds that are shown.
const WINDOW_S: usize = 60;

/// Tells how many there were since the start; grows.
pub type Total = Box<dyn Fn() -> u64 + Send + Sync>;

/// Rates of the last minute, by kind.
pub struct Rates {
    clock: Arc<dyn Clock>,
    kinds: Vec<(&'static str, Total)>,
    readings: Mutex<Readings>,
    newest: Newest<u64>,
}

#[derive(Default)]
struct Readings {
    /// When the totals were read last, in unix seconds; 0 before the first reading.
    at_s: i64,
    totals: Vec<u64>,
    /// Of each kind, oldest second first.
    seconds: Vec<VecDeque<u64>>,
}

impl Rates {
    /// Rates of `kinds`: a name, and what tells the total.
    pub fn new(clock: Arc<dyn Clock>, kinds: Vec<(&'static str, Total)>) -> Self {
        let (readings, newest) = (Mutex::default(), Newest::default());
        Self { clock, kinds, readings, newest }
    }

    /// Reads the totals if a second is over; returns which second it is.
    fn read(&self) -> u64 {
        let now_s = self.clock.now_us().div_euclid(1_000_000);
        let mut readings = self.readings.lock().unwrap_or_else(PoisonError::into_inner);
        if now_s != readings.at_s {
            let totals = self.kinds.iter().map(|(_, total)| total()).collect();
            readings.take(now_s, totals);
        }
        now_s.unsigned_abs()
    }

    fn json(&self) -> Vec<u8> {
        let readings = self.readings.lock().unwrap_or_else(PoisonError::into_inner);
        let kinds = self.kinds.iter().zip(&readings.seconds);
        let rates: Map<String, Value> = kinds
            .map(|((name, _), seconds)| ((*name).to_owned(), seconds.iter().copied().collect()))
            .collect();
        serde_json::to_vec(&rates).expect("numbers and fixed names always encode")
    }
}

impl Readings {
    fn take(&mut self, now_s: i64, totals: Vec<u64>) {
        let gap_s = now_s.saturating_sub(self.at_s);
        if self.totals.is_empty() || gap_s <= 0 {
            // The first reading, or a clock that was set back: nothing to compare with.
            self.seconds = totals.iter().map(|_| VecDeque::new()).collect();
        } else {
            let gap_s = gap_s.unsigned_abs();
            for ((seconds, new), old) in self.seconds.iter_mut().zip(&totals).zip(&self.totals) {
                push_evenly(seconds, new.saturating_sub(*old), gap_s);
            }
        }
        (self.at_s, self.totals) = (now_s, totals);
    }
}

/// Adds `gap_s` seconds in which `count` came, nobody knows when: evenly, and exact as a sum.
fn push_evenly(seconds: &mut VecDeque<u64>, count: u64, gap_s: u64) {
    for second in 0..gap_s.min(WINDOW_S as u64) {
        let extra = u64::from(second < count % gap_s);
        seconds.push_back(count / gap_s + extra);
    }
    let excess = seconds.len().saturating_sub(WINDOW_S);
    seconds.drain(..excess);
}

impl Topic for Rates {
    fn signal(&self) -> Signal {
        RATES_SIGNAL
    }

    fn event(&self) -> Event {
        let encode = |_: &u64, version| event_bytes("rates", version, &self.json());
        let read = || {
            let second = self.read();
            Some((second, second))
        };
        self.newest.event(read, |left, right| left == right, encode)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

    struct Watch(AtomicI64);

    impl Clock for Watch {
        fn now_us(&self) -> i64 {
            self.0.load(Ordering::Relaxed)
        }
    }

    #[test]
    fn a_second_shows_what_came_in_it_and_a_gap_is_filled_evenly() {
        let clock = Arc::new(Watch(AtomicI64::new(1_000_000_000)));
        let gifts = Arc::new(AtomicU64::new(100));
        let total = Arc::clone(&gifts);
        let total: Total = Box::new(move || total.load(Ordering::Relaxed));
        let rates = Rates::new(Arc::clone(&clock) as Arc<dyn Clock>, vec![("gifts", total)]);
        let shown = |after_s: i64, count: u64| {
            clock.0.fetch_add(after_s * 1_000_000, Ordering::Relaxed);
            gifts.fetch_add(count, Ordering::Relaxed);
            String::from_utf8(rates.event().bytes.to_vec()).expect("JSON is UTF-8")
        };
        assert_eq!(shown(0, 0), "event: rates\nid: 1000\ndata: {\"gifts\":[]}\n\n");
        assert_eq!(shown(1, 5), "event: rates\nid: 1001\ndata: {\"gifts\":[5]}\n\n");
        assert_eq!(shown(0, 3), "event: rates\nid: 1001\ndata: {\"gifts\":[5]}\n\n");
        assert_eq!(shown(1, 0), "event: rates\nid: 1002\ndata: {\"gifts\":[5,3]}\n\n");
        assert_eq!(shown(2, 5), "event: rates\nid: 1004\ndata: {\"gifts\":[5,3,3,2]}\n\n");
        let data = shown(1_000, 1_000);
        assert_eq!(data.matches(',').count(), WINDOW_S - 1, "{data}");
        assert!(data.contains("[1,1,"), "{data}");
        clock.0.store(5_000_000, Ordering::Relaxed);
        assert!(shown(0, 9).ends_with("{\"gifts\":[]}\n\n"), "a clock that was set back");
    }
}
