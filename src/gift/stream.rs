//! Boards as topics: every subscriber of the same part of the same board shares one event.

use super::{Found, GIFT_SIGNAL, Period, Place, Store, TopQuery, wire};
use crate::session::{Event, Newest, Signal, Topic, TopicSet};
use std::sync::Arc;

/// Hands out one topic per period and number of places, to all loops. As both are checked before,
/// there are at most four times a thousand.
pub struct Streams {
    store: Arc<dyn Store>,
    topics: TopicSet<(Period, usize), BoardTopic>,
}

impl Streams {
    /// Topics about the boards of `store`.
    pub fn new(store: Arc<dyn Store>) -> Self {
        Self { store, topics: TopicSet::default() }
    }

    /// The topic of the first `num` places; the same `Arc` while anyone follows it.
    pub fn topic(&self, period: Period, num: usize) -> Arc<dyn Topic> {
        let store = || Arc::clone(&self.store);
        self.topics.get((period, num), || BoardTopic {
            store: store(),
            period,
            num,
            newest: Newest::default(),
        })
    }
}

/// The first places of one board.
struct BoardTopic {
    store: Arc<dyn Store>,
    period: Period,
    num: usize,
    newest: Newest<Arc<[Place]>>,
}

impl BoardTopic {
    /// The places as of now; `None` when the store does not know them at once.
    fn places(&self) -> Option<(Arc<[Place]>, u64)> {
        let query = TopQuery { period: self.period, at: None, offset: 0, num: self.num };
        match self.store.shown(query) {
            Some(Found::Top { places, version, .. }) => Some((places, version)),
            _ => None,
        }
    }
}

impl Topic for BoardTopic {
    fn signal(&self) -> Signal {
        GIFT_SIGNAL
    }

    fn event(&self) -> Event {
        let encode =
            |places: &Arc<[Place]>, version| wire::board_event(self.period, version, places);
        self.newest.event(|| self.places(), |left, right| shows_same(left, right), encode)
    }
}

/// Whether two boards look the same: the times behind the order are not shown.
fn shows_same(left: &[Place], right: &[Place]) -> bool {
    let shown = |place: &Place| (place.id, place.total_worth, place.rank);
    left.len() == right.len() && left.iter().map(shown).eq(right.iter().map(shown))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exec::Answer;
    use crate::gift::{Read, Write, Written};
    use crate::store::StoreError;
    use std::sync::Mutex;

    /// Answers every read with what the test set.
    #[derive(Default)]
    struct Scripted(Mutex<Option<Found>>);

    impl Scripted {
        fn set(&self, totals: &[(i64, i64)], version: u64) {
            let places = totals.iter().zip(1..).map(|(&(id, total_worth), rank)| Place {
                id,
                total_worth,
                rank,
                reached_at_us: version.cast_signed(),
            });
            let found = Found::Top { places: places.collect(), span: None, version };
            *self.0.lock().expect("no test panics within") = Some(found);
        }

        fn fail(&self) {
            *self.0.lock().expect("no test panics within") = None;
        }
    }

    impl Store for Scripted {
        fn write(&self, _: Write, _: Answer<Written>) {}

        fn read(
            &self,
            _: Read,
            _: &mut dyn FnMut() -> Answer<Found>,
        ) -> Option<Result<Found, StoreError>> {
            let found = self.0.lock().expect("no test panics within").clone();
            Some(found.ok_or(StoreError::Unavailable))
        }

        fn version(&self) -> u64 {
            0
        }
    }

    #[test]
    fn an_event_is_new_only_when_the_board_looks_different() {
        let store = Arc::new(Scripted::default());
        let topic = Streams::new(Arc::clone(&store) as Arc<dyn Store>).topic(Period::All, 10);
        assert_eq!(topic.event().bytes.len(), 0, "nothing is known yet");
        store.set(&[(7, 5)], 100);
        let first = topic.event();
        assert_eq!(first.version, 100);
        store.set(&[(7, 5)], 200);
        assert!(Arc::ptr_eq(&topic.event().bytes, &first.bytes), "only a time moved");
        store.set(&[(8, 6), (7, 5)], 300);
        let second = topic.event();
        assert_eq!(second.version, 300);
        store.fail();
        assert!(Arc::ptr_eq(&topic.event().bytes, &second.bytes), "the last known board");
        store.set(&[(7, 5)], 300);
        assert_eq!(topic.event().version, 301, "different, hence newer");
        assert!(topic.event().bytes.starts_with(b"event: board\nid: 301\ndata: {"));
    }
}
