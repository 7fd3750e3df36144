//! The trading room's frames as a value transformation: bytes to [`Message`], [`Frame`] to bytes.
//! No sockets, threads or clocks.

mod frame;
mod heartbeat;
mod pusher;
mod responder;
mod session;

pub use frame::{Data, Frame, HEADER_BYTES, Header, Layout, TooLong, id};
pub use heartbeat::Heartbeat;
pub use pusher::{Peer, Pusher};
pub use responder::{Answer, Deferral, Responder, Ticket, TlvReply};
pub use session::{Port, TlvSession};

/// A complete message, borrowed from the bytes it came in.
#[derive(Clone, Copy, Debug)]
pub struct Message<'a> {
    /// What is asked; any number, known or not.
    pub id: u32,
    /// JSON by agreement, not yet looked at; empty data stands for `{}`.
    pub data: &'a [u8],
}

/// Answers messages; called on the loop thread, so it must not block. What it knows of a
/// connection (its customer, say) it keeps by [`Peer::conn`] or [`Peer::uid`], from the first
/// message that makes it worth keeping until [`Service::closed`]: a connection that only listens
/// costs nothing.
pub trait Service {
    /// A connection got its welcome; from now on it can be pushed to.
    fn opened(&self, _peer: &Peer<'_>) {}

    /// Routes by id, decodes, and either answers now or hands the deferral to a worker. The next
    /// message of the same connection waits for the answer.
    fn call(&self, peer: &Peer<'_>, message: &Message<'_>, deferral: Deferral<'_>) -> Answer;

    /// The connection is gone, whoever closed it. Called once for each [`Service::opened`].
    fn closed(&self, _peer: &Peer<'_>) {}
}
