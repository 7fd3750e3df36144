//! Hot lists as topics: every subscriber of the same list shares one event.

use super::{COUNTER_SIGNAL, Found, Id, Period, Read, Store, wire};
use crate::http::JsonTopic;
use crate::session::{Topic, TopicSet};
use crate::store::Clock;
use std::sync::Arc;

/// Hands out one topic per type, period and number of places, to all loops.
pub struct Streams {
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    topics: TopicSet<(Id, Period, usize), JsonTopic>,
}

impl Streams {
    /// Topics about the hot lists of `store`.
    pub fn new(store: Arc<dyn Store>, clock: Arc<dyn Clock>) -> Self {
        Self { store, clock, topics: TopicSet::default() }
    }

    /// The topic of the first `num` places; the same `Arc` while anyone follows it.
    pub fn topic(&self, counter_type: Id, period: Period, num: usize) -> Arc<dyn Topic> {
        let (store, clock) = (Arc::clone(&self.store), Arc::clone(&self.clock));
        self.topics.get((counter_type.clone(), period, num), move || {
            let query = Read::Hot { counter_type: counter_type.clone(), period, num };
            let read = move || match store.shown(&query) {
                Some(Found::Hot(places)) => {
                    let json = wire::hot_list(&counter_type, period, &places);
                    Some((json, clock.now_us().unsigned_abs()))
                }
                _ => None,
            };
            JsonTopic::new(COUNTER_SIGNAL, "counters", Box::new(read))
        })
    }
}
