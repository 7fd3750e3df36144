//! The trading room's frames as a value transformation: bytes to [`Message`], [`Frame`] to bytes.
//! No sockets, threads or clocks.

mod everyone;
mod feed;
mod following;
mod frame;
mod port;
mod pusher;
mod responder;
mod router;
mod session;
mod stats;

pub use everyone::Everyone;
pub use feed::{Feed, Feeds, Numbered, Record, TakePage};
pub use following::Page;
pub use frame::{Data, Frame, HEADER_BYTES, Header, Layout, TooLong, id};
pub use port::Port;
pub use pusher::{Peer, Pusher};
pub use responder::{Answer, Deferral, Responder, Ticket, TlvReply};
pub use router::{Handler, Hook, Router};
pub use session::TlvSession;
pub use stats::{Line, MessageStats};

/// A complete message, borrowed from the bytes it came in.
#[derive(Clone, Copy, Debug)]
pub struct Message<'a> {
    /// What is asked; any number, known or not.
    pub id: u32,
    /// JSON by agreement, not yet looked at; empty data stands for `{}`.
    pub data: &'a [u8],
}

/// Answers messages; called on the loop thread, so it must not block.
pub trait Service {
    /// What it keeps of each connection; small, since an idle one should cost next to nothing.
    type Properties: Default;

    /// A connection got its welcome; from now on it can be pushed to.
    fn opened(&self, _peer: &mut Peer<'_, Self::Properties>) {}

    /// Routes by id, decodes, and either answers now or hands the deferral to a worker. The next
    /// message of the same connection waits for the answer, and so does what it follows: thus the
    /// answer to a message comes before the frames that the message caused.
    fn call(
        &self,
        peer: &mut Peer<'_, Self::Properties>,
        message: &Message<'_>,
        deferral: Deferral<'_>,
    ) -> Answer;

    /// The connection is gone, whoever closed it. Called once for each [`Service::opened`].
    fn closed(&self, _peer: &mut Peer<'_, Self::Properties>) {}
}
