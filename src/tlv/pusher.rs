//! Who is at the other end, with the means to send there unasked.

use super::frame::Frame;
use super::responder::TlvReply;
use crate::exec::{Delivery, Outbox};
use crate::session::ConnId;

/// A connection as its service sees it.
pub struct Peer<'a> {
    /// The number that the welcome told the client; unique in the process.
    pub uid: i64,
    /// Its name on this loop.
    pub conn: ConnId,
    outbox: &'a Outbox<TlvReply>,
}

impl<'a> Peer<'a> {
    pub(super) fn new(uid: i64, conn: ConnId, outbox: &'a Outbox<TlvReply>) -> Self {
        Self { uid, conn, outbox }
    }

    /// Something to keep, and to push with from any thread.
    pub fn pusher(&self) -> Pusher {
        Pusher { conn: self.conn, outbox: self.outbox.clone() }
    }
}

/// Sends frames to one connection that did not ask for them, in the order of the calls and behind
/// the answers that were sent before. Once the connection is gone it does nothing.
#[derive(Clone)]
pub struct Pusher {
    conn: ConnId,
    outbox: Outbox<TlvReply>,
}

impl Pusher {
    /// Pushes. A reader that has fallen too far behind is closed instead, so that none is left out
    /// unnoticed.
    pub fn push(&self, frame: Frame) {
        self.post(TlvReply::Push(frame));
    }

    /// Sends what was pushed and answered so far, then closes.
    pub fn close(&self) {
        self.post(TlvReply::Close);
    }

    fn post(&self, reply: TlvReply) {
        self.outbox.post(Delivery::Reply { conn: self.conn, reply });
    }
}
