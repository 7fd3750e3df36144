//! What the room does as a whole: trades and their volume in each second of the last minute.

use super::Entry;
use crate::http::JsonTopic;
use crate::session::Signal;
use crate::store::Clock;
use serde::Serialize;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

/// The signal of the room. Nobody announces it: its seconds pass with the clock, and loops look at it
/// once in each.
const TRADE_SIGNAL: Signal = Signal(3);

/// Seconds that are shown.
const WINDOW_S: i64 = 60;

/// Counts what is traded. Written by the store's thread, read by loops.
#[derive(Debug, Default)]
pub struct Activity {
    /// Seconds in which there were trades, oldest first; at most those of the window and the current.
    seconds: Mutex<VecDeque<Second>>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Second {
    at_s: i64,
    trades: u64,
    volume_fen: i64,
}

/// As the wire has it.
#[derive(Serialize)]
struct Shown {
    trades: u64,
    volume_fen: i64,
    online: usize,
    seconds: Vec<u64>,
}

impl Activity {
    /// Counts new lines of the journal; the opening is nobody's trade, and neither is a rollback.
    pub(super) fn count(&self, entries: &[Entry]) {
        let trades = entries.iter().filter(|entry| entry.seq > 0 && entry.rollback.is_none());
        let mut seconds = self.seconds.lock().unwrap_or_else(PoisonError::into_inner);
        for entry in trades {
            let at_s = entry.time_us.div_euclid(1_000_000);
            if seconds.back().is_none_or(|last| last.at_s < at_s) {
                seconds.push_back(Second { at_s, ..Second::default() });
            }
            let last = seconds.back_mut().expect("pushed if there was none");
            last.trades += 1;
            let value_fen = entry.order.quantity.saturating_mul(entry.price_fen);
            last.volume_fen = last.volume_fen.saturating_add(value_fen);
            let oldest = last.at_s - WINDOW_S;
            while seconds.front().is_some_and(|first| first.at_s < oldest) {
                seconds.pop_front();
            }
        }
    }

    /// The whole seconds of the window before `now_s`, as JSON.
    fn json(&self, now_s: i64, online: usize) -> Vec<u8> {
        let begin = now_s - WINDOW_S;
        let mut shown = Shown { trades: 0, volume_fen: 0, online, seconds: vec![0; 60] };
        let seconds = self.seconds.lock().unwrap_or_else(PoisonError::into_inner);
        for second in seconds.iter().filter(|second| (begin..now_s).contains(&second.at_s)) {
            let place = usize::try_from(second.at_s - begin).expect("within the window");
            shown.seconds[place] = second.trades;
            shown.trades += second.trades;
            shown.volume_fen = shown.volume_fen.saturating_add(second.volume_fen);
        }
        drop(seconds);
        serde_json::to_vec(&shown).expect("numbers and fixed names always encode")
    }
}

/// The activity as a topic; `online` tells how many customers are logged in.
pub fn topic(
    activity: Arc<Activity>,
    clock: Arc<dyn Clock>,
    online: impl Fn() -> usize + Send + Sync + 'static,
) -> JsonTopic {
    let read = move || {
        let now_us = clock.now_us();
        let json = activity.json(now_us.div_euclid(1_000_000), online());
        Some((json, now_us.unsigned_abs()))
    };
    JsonTopic::new(TRADE_SIGNAL, "room", Box::new(read))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trade::{Customer, Order, Side, Stock};

    fn entry(second: i64, quantity: i64, seq: i64) -> Entry {
        let customer = Customer::from_number(1).expect("a number");
        let stock = Stock::at(0).expect("the first stock");
        let order = Order { customer, stock, side: Side::Buy, quantity };
        let time_us = second * 1_000_000 + 5;
        Entry { id: 1, order, price_fen: 1_000, time_us, seq, held: 0, rollback: None }
    }

    #[test]
    fn whole_seconds_of_the_last_minute_are_shown() {
        let activity = Activity::default();
        activity.count(&[entry(100, 9, 0)]);
        activity.count(&[entry(100, 2, 1), entry(100, 3, 3), entry(159, 1, 5), entry(160, 7, 7)]);
        let shown = |now_s| -> serde_json::Value {
            serde_json::from_slice(&activity.json(now_s, 4)).expect("JSON")
        };
        let now = shown(160);
        assert_eq!((&now["trades"], &now["volume_fen"]), (&3.into(), &6_000.into()));
        assert_eq!((&now["seconds"][0], &now["seconds"][59]), (&2.into(), &1.into()));
        assert_eq!(
            (now["seconds"].as_array().map(Vec::len), &now["online"]),
            (Some(60), &4.into())
        );
        assert_eq!(shown(161)["trades"], 2, "a second went out, one came in");
        assert_eq!(shown(1_000)["trades"], 0);
        activity.count(&[entry(500, 1, 9)]);
        assert_eq!(activity.seconds.lock().expect("no test panics within").len(), 1);
    }
}
