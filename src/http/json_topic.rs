//! A topic whose state is whatever JSON can be read now.

use super::event_stream::event_bytes;
use crate::session::{Event, Newest, Signal, Topic};

/// Reads the state as JSON in one line, with a version that grows with every change, over restarts
/// too (a time in microseconds does); `None` while it cannot be known at once. Runs on a loop.
pub type ReadJson = Box<dyn Fn() -> Option<(Vec<u8>, u64)> + Send + Sync>;

/// Makes an event only when the JSON is another one.
pub struct JsonTopic {
    signal: Signal,
    name: &'static str,
    read: ReadJson,
    newest: Newest<Vec<u8>>,
}

impl JsonTopic {
    /// A topic of events called `name`.
    pub fn new(signal: Signal, name: &'static str, read: ReadJson) -> Self {
        Self { signal, name, read, newest: Newest::default() }
    }
}

impl Topic for JsonTopic {
    fn signal(&self) -> Signal {
        self.signal
    }

    fn event(&self) -> Event {
        let encode = |json: &Vec<u8>, version| event_bytes(self.name, version, json);
        self.newest.event(&self.read, |left, right| left == right, encode)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU64, Ordering};

    #[test]
    fn the_same_json_is_the_same_event() {
        let clock = Arc::new(AtomicU64::new(100));
        let now = Arc::clone(&clock);
        let read = move || {
            let now = now.load(Ordering::Relaxed);
            Some((format!("{{\"tens\":{}}}", now / 10).into_bytes(), now))
        };
        let topic = JsonTopic::new(Signal(7), "count", Box::new(read));
        let first = topic.event();
        assert_eq!(&*first.bytes, b"event: count\nid: 100\ndata: {\"tens\":10}\n\n");
        clock.store(105, Ordering::Relaxed);
        assert!(Arc::ptr_eq(&topic.event().bytes, &first.bytes));
        clock.store(110, Ordering::Relaxed);
        assert_eq!((topic.event().version, topic.signal()), (110, Signal(7)));
    }
}
