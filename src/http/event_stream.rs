//! Server-sent events on one connection: the latest state wins, so a slow reader costs one event of
//! each topic.

use super::request::Request;
use super::responder::Follow;
use crate::session::{Event, SendQueue, Topic};
use std::sync::Arc;

/// A connection that follows topics.
pub(super) struct EventStream {
    followed: Box<[Followed]>,
}

struct Followed {
    topic: Arc<dyn Topic>,
    /// The newest version that the client has or will have.
    version: u64,
    /// The state has moved on while earlier events were still on their way out.
    is_stale: bool,
}

impl EventStream {
    /// Starts with the states as of now, unless the client says that it has them.
    pub(super) fn start(follow: Follow, out: &mut SendQueue) -> Self {
        let Follow { topics, last_event } = follow;
        let start = |topic: Arc<dyn Topic>| {
            let event = topic.event();
            if last_event != Some(event.version) {
                out.push_shared(&event.bytes);
            }
            Followed { topic, version: event.version, is_stale: false }
        };
        Self { followed: topics.into_iter().map(start).collect() }
    }

    /// A topic changed. True when the event was written.
    pub(super) fn pushed(
        &mut self,
        topic: &Arc<dyn Topic>,
        event: &Event,
        out: &mut SendQueue,
    ) -> bool {
        let followed = self.followed.iter_mut().find(|one| Arc::ptr_eq(&one.topic, topic));
        let Some(followed) = followed.filter(|one| event.version > one.version) else {
            return false;
        };
        followed.is_stale = !out.is_empty();
        if !followed.is_stale {
            followed.write(event, out);
        }
        !followed.is_stale
    }

    /// Catches up once the earlier events have gone. True when an event was written.
    pub(super) fn drained(&mut self, out: &mut SendQueue) -> bool {
        if !out.is_empty() {
            return false;
        }
        let mut has_written = false;
        for followed in self.followed.iter_mut().filter(|one| one.is_stale) {
            followed.is_stale = false;
            let event = followed.topic.event();
            if event.version > followed.version {
                followed.write(&event, out);
                has_written = true;
            }
        }
        has_written
    }
}

impl Followed {
    fn write(&mut self, event: &Event, out: &mut SendQueue) {
        self.version = event.version;
        out.push_shared(&event.bytes);
    }
}

/// One event as it goes over the wire (WHATWG HTML, section 9.2.6). JSON without line breaks fits one
/// `data` line.
pub fn event_bytes(name: &str, version: u64, json: &[u8]) -> Vec<u8> {
    let head = format!("event: {name}\nid: {version}\ndata: ");
    [head.as_bytes(), json, b"\n\n"].concat()
}

/// What a client that comes back says it has. One that repeats something else than what we gave it
/// has nothing to resume.
pub fn last_event_id(request: &Request<'_>) -> Option<u64> {
    let id = request.headers.get("last-event-id")?;
    std::str::from_utf8(id).ok()?.parse().ok()
}
