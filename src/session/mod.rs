//! The seam between sockets and protocols: bytes in, bytes out, deadlines; no I/O and no clock.

mod send_queue;
mod topic;

pub(crate) use send_queue::COPIED_BYTES_MAX;
pub use send_queue::SendQueue;
use std::sync::Arc;
use std::time::Instant;
pub use topic::{Event, Newest, Signal, Topic, TopicSet};

/// Names one connection of a loop for its whole life. `generation` makes a reused slot a different
/// name, so a late reply can never reach the next client that got the same slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ConnId {
    /// Index in the connection table of its port.
    pub slot: u32,
    /// How many connections used the slot before.
    pub generation: u32,
}

/// Connections that are told the same things, such as those of one customer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Group(pub u64);

/// The current time as an IMF-fixdate (RFC 9110 section 5.6.7), made once a second by the loop.
pub type HttpDate = [u8; 29];

/// What the loop lends a session for one call. Nothing in it outlives the call, so an idle
/// connection owns no buffer.
pub struct Turn<'a> {
    /// The loop's clock, read once a turn.
    pub now: Instant,
    /// The same for a `Date` header.
    pub date: &'a HttpDate,
    /// Bytes for the peer, oldest first. What is left of earlier calls is still in it.
    pub out: &'a mut SendQueue,
    /// Topics that the session wants to hear of from now on. The loop files them after the call
    /// and forgets them when the connection closes.
    pub subscriptions: &'a mut Vec<Arc<dyn Topic>>,
}

/// What the socket shell should do with a connection next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Goes on: reads while the session wants input, writes what there is.
    Open,
    /// The last byte is in `out`: write it, then close.
    Finishing,
    /// As `Finishing`, but the peer may still be sending what nobody will parse: shut the sending
    /// side down and discard input for a while, or the reset of an early close would destroy the
    /// answer on its way (RFC 9112 section 9.6).
    Lingering,
    /// Close now; what is unsent is of no use to anyone.
    Aborted,
}

/// One protocol conversation. Implementations own no socket and read no clock.
///
/// Every method that takes a [`Turn`] ends in the implementation's one `advance()`, which moves the
/// conversation as far as input, answers and room in `turn.out` allow.
pub trait Session {
    /// What a worker sends back.
    type Reply: Send + 'static;

    /// Bytes arrived. The session keeps (copies) what it cannot consume yet; the loop's buffer is
    /// reused. Only called while [`Session::wants_input`].
    fn received(&mut self, bytes: &[u8], turn: &mut Turn<'_>);
    /// The peer will send no more; what it asked for is still answered.
    fn recv_closed(&mut self, turn: &mut Turn<'_>);
    /// A worker finished one request. A reply that nobody waits for any more is ignored.
    fn complete(&mut self, reply: Self::Reply, turn: &mut Turn<'_>);
    /// A topic that the session subscribed to has a new event. It may be one that the session
    /// has already: compare versions.
    fn pushed(&mut self, topic: &Arc<dyn Topic>, event: &Event, turn: &mut Turn<'_>);
    /// Some of `turn.out` went out: there is room again for what waited.
    fn sent(&mut self, turn: &mut Turn<'_>);
    /// The deadline passed: the session answers, writes a keep-alive or gives up.
    fn expired(&mut self, turn: &mut Turn<'_>);
    /// The process is stopping: answer what is in flight, then finish.
    fn drain(&mut self, turn: &mut Turn<'_>);

    /// False while reading further would only pile up: too much is unsent, or an answer is pending.
    fn wants_input(&self, out: &SendQueue) -> bool;
    /// When to call [`Session::expired`]; `None` for never.
    fn deadline(&self) -> Option<Instant>;
    /// Where the conversation stands.
    fn phase(&self) -> Phase;
}
