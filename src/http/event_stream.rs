//! Server-sent events on one connection: the latest state wins, so a slow reader costs one event.

use crate::session::{Event, SendQueue, Topic};
use std::sync::Arc;

/// A connection that follows a topic.
pub(super) struct EventStream {
    topic: Arc<dyn Topic>,
    /// The newest version that the client has or will have.
    version: u64,
    /// The state has moved on while an event was still on its way out.
    is_stale: bool,
}

impl EventStream {
    /// Starts with the state as of now, unless the client says that it has it.
    pub(super) fn start(
        topic: Arc<dyn Topic>,
        last_event: Option<u64>,
        out: &mut SendQueue,
    ) -> Self {
        let event = topic.event();
        if last_event != Some(event.version) {
            out.push_shared(&event.bytes);
        }
        Self { topic, version: event.version, is_stale: false }
    }

    /// A topic changed. True when the event was written.
    pub(super) fn pushed(
        &mut self,
        topic: &Arc<dyn Topic>,
        event: &Event,
        out: &mut SendQueue,
    ) -> bool {
        if !Arc::ptr_eq(&self.topic, topic) || event.version <= self.version {
            return false;
        }
        self.is_stale = !out.is_empty();
        if !self.is_stale {
            self.write(event, out);
        }
        !self.is_stale
    }

    /// Catches up once the earlier event has gone. True when an event was written.
    pub(super) fn drained(&mut self, out: &mut SendQueue) -> bool {
        if !self.is_stale || !out.is_empty() {
            return false;
        }
        self.is_stale = false;
        let event = self.topic.event();
        let is_new = event.version > self.version;
        if is_new {
            self.write(&event, out);
        }
        is_new
    }

    fn write(&mut self, event: &Event, out: &mut SendQueue) {
        self.version = event.version;
        out.push_shared(&event.bytes);
    }
}
