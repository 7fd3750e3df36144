//! The newest rain as a topic. Its state and its curve go on with the clock, so nobody announces it:
//! loops look at it once a second.

use super::{Found, Read, Store, wire};
use crate::http::JsonTopic;
use crate::session::Signal;
use crate::store::Clock;
use std::sync::Arc;

/// The signal of rains.
const PACKET_SIGNAL: Signal = Signal(2);

/// What `GET /rain` would answer, whenever it is another.
pub fn topic(store: &Arc<dyn Store>, clock: Arc<dyn Clock>) -> JsonTopic {
    let store = Arc::clone(store);
    let read = move || match store.read(Read::Rain, &mut || Box::new(drop)) {
        Some(Ok(Found::Rain(shown))) => {
            Some((wire::shown(shown.as_ref()), clock.now_us().unsigned_abs()))
        }
        _ => None,
    };
    JsonTopic::new(PACKET_SIGNAL, "rain", Box::new(read))
}
