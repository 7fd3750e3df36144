//! State that many connections follow: the latest event wins, and all of them share its bytes.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex, PoisonError, Weak};

/// A group of topics that change together, such as all boards; what a worker announces.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Signal(pub u8);

/// One encoded state of a topic.
#[derive(Clone, Debug)]
pub struct Event {
    /// Differs whenever the bytes differ; grows.
    pub version: u64,
    /// Encoded once, shared by every subscriber.
    pub bytes: Arc<[u8]>,
}

/// Something to subscribe to. Two subscriptions are to the same topic when they hold the same
/// `Arc`; whoever makes topics must hand out one `Arc` per topic.
pub trait Topic: Send + Sync {
    /// Which announcement concerns it.
    fn signal(&self) -> Signal;
    /// The state as of now, from memory; called on a loop, at most a few times a second.
    fn event(&self) -> Event;
}

/// Topics by what they are about: one `Arc` for each, and those that nobody follows are forgotten.
#[derive(Debug)]
pub struct TopicSet<K, T>(Mutex<HashMap<K, Weak<T>>>);

impl<K, T> Default for TopicSet<K, T> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<K: Eq + Hash, T: Topic> TopicSet<K, T> {
    /// The topic about `key`, made unless somebody follows it.
    pub fn get(&self, key: K, make: impl FnOnce() -> T) -> Arc<T> {
        let mut topics = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(topic) = topics.get(&key).and_then(Weak::upgrade) {
            return topic;
        }
        topics.retain(|_, topic| topic.strong_count() > 0);
        let topic = Arc::new(make());
        topics.insert(key, Arc::downgrade(&topic));
        topic
    }
}

/// The newest event of one topic, made again only when its state looks different.
#[derive(Debug)]
pub struct Newest<S> {
    /// Held for one look-up, and for the encoding of a state that changed: the loops that ask at
    /// the same time then share the event, instead of each making its own.
    last: Mutex<Option<(S, Event)>>,
}

impl<S> Default for Newest<S> {
    fn default() -> Self {
        Self { last: Mutex::default() }
    }
}

impl<S> Newest<S> {
    /// The event as of now. `read` finds the state and the version it has at its source, or nothing
    /// where that cannot be known at once: the last known state stands then. `encode` gets a version
    /// above that of every event before, as subscribers drop what is not newer.
    pub fn event(
        &self,
        read: impl FnOnce() -> Option<(S, u64)>,
        looks_same: impl FnOnce(&S, &S) -> bool,
        encode: impl FnOnce(&S, u64) -> Vec<u8>,
    ) -> Event {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let (state, version) = match (&*last, read()) {
            (Some((_, event)), None) => return event.clone(),
            // Nothing is known yet: nothing is shown, and whatever comes is newer.
            (None, None) => return Event { version: 0, bytes: Arc::from([]) },
            (Some((shown, event)), Some((state, _))) if looks_same(shown, &state) => {
                return event.clone();
            }
            (Some((_, event)), Some((state, version))) => (state, version.max(event.version + 1)),
            (None, Some(found)) => found,
        };
        let event = Event { version, bytes: encode(&state, version).into() };
        *last = Some((state, event.clone()));
        event
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Silent;

    impl Topic for Silent {
        fn signal(&self) -> Signal {
            Signal(0)
        }

        fn event(&self) -> Event {
            Event { version: 0, bytes: Arc::from([]) }
        }
    }

    #[test]
    fn subscribers_of_the_same_share_one_topic() {
        let set = TopicSet::default();
        let topic = set.get("a", || Silent);
        assert!(Arc::ptr_eq(&topic, &set.get("a", || Silent)));
        assert!(!Arc::ptr_eq(&topic, &set.get("b", || Silent)));
        drop(topic);
        drop(set.get("c", || Silent));
        let count = set.0.lock().expect("no test panics within").len();
        assert_eq!(count, 1, "what nobody follows is forgotten");
    }

    #[test]
    fn an_event_is_new_only_when_the_state_looks_different() {
        let newest = Newest::default();
        let event = |state: Option<(i32, u64)>| {
            let encode = |state: &i32, version| format!("{state} at {version}").into_bytes();
            newest.event(|| state, |left, right| left / 10 == right / 10, encode)
        };
        assert_eq!(event(None).bytes.len(), 0, "nothing is known yet");
        let first = event(Some((51, 100)));
        assert_eq!((first.version, &*first.bytes), (100, &b"51 at 100"[..]));
        let same = event(Some((52, 200)));
        assert!(Arc::ptr_eq(&same.bytes, &first.bytes), "it looks the same");
        assert_eq!(event(Some((61, 300))).version, 300);
        assert_eq!(&*event(None).bytes, b"61 at 300", "the last known state");
        assert_eq!(event(Some((51, 300))).version, 301, "different, hence newer");
    }
}
