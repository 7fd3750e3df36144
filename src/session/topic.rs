//! State that many connections follow: the latest event wins, and all of them share its bytes.

use std::sync::Arc;

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
