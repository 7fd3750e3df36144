//! The right to answer one message, once.

use super::following::Page;
use super::frame::Frame;
use crate::exec::{Delivery, Outbox};
use crate::session::ConnId;

/// Names one message of a connection, so that an answer can tell which it is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ticket(pub(super) u64);

/// What reaches a session from other threads.
#[derive(Debug)]
pub enum TlvReply {
    /// The answer to the message that its connection waits for.
    Answer {
        /// Which message.
        ticket: Ticket,
        /// What to send.
        frame: Frame,
        /// Behind the frames of its connection's feed before this one.
        before: i64,
    },
    /// A frame that nobody asked for.
    Push(Frame),
    /// The feed that the connection follows has more.
    News,
    /// A part of the record of that feed.
    Page(Page),
    /// Answer what was asked, then close.
    Close,
}

/// A service's decision. `Later` cannot be built without giving the responder away.
pub struct Answer(pub(super) Decision);

pub(super) enum Decision {
    Now(Frame),
    Later,
}

impl Answer {
    /// Answers on the loop thread, without a thread hop.
    pub fn now(frame: Frame) -> Self {
        Self(Decision::Now(frame))
    }
}

/// An offer to answer later; costs nothing unless taken.
pub struct Deferral<'a> {
    conn: ConnId,
    ticket: Ticket,
    request: u32,
    outbox: &'a Outbox<TlvReply>,
}

impl<'a> Deferral<'a> {
    pub(super) fn new(
        conn: ConnId,
        ticket: Ticket,
        request: u32,
        outbox: &'a Outbox<TlvReply>,
    ) -> Self {
        Self { conn, ticket, request, outbox }
    }

    /// Gives the responder to `submit`, which passes it to a worker.
    pub fn later(self, submit: impl FnOnce(Responder)) -> Answer {
        submit(Responder {
            conn: self.conn,
            ticket: self.ticket,
            request: self.request,
            outbox: Some(self.outbox.clone()),
        });
        Answer(Decision::Later)
    }
}

/// Answers one message from any thread. Dropped unanswered (a worker failed, a queue was closed),
/// it sends an error frame: a client never hangs because of our bug.
pub struct Responder {
    conn: ConnId,
    ticket: Ticket,
    /// The id of the message, for the error frame.
    request: u32,
    /// `None` once answered.
    outbox: Option<Outbox<TlvReply>>,
}

impl Responder {
    /// Answers; consumes the right to do so.
    pub fn send(mut self, frame: Frame) {
        self.post(frame, i64::MIN);
    }

    /// Answers, and says which frame of the feed that its connection follows is the first one that
    /// this answer explains: those before it are sent first, it and the rest behind.
    pub fn send_before(mut self, seq: i64, frame: Frame) {
        self.post(frame, seq);
    }

    fn post(&mut self, frame: Frame, before: i64) {
        if let Some(outbox) = self.outbox.take() {
            let reply = TlvReply::Answer { ticket: self.ticket, frame, before };
            outbox.post(Delivery::Reply { conn: self.conn, reply });
        }
    }
}

impl Drop for Responder {
    fn drop(&mut self) {
        if self.outbox.is_some() {
            tracing::error!(request = self.request, "a message was dropped unanswered");
            self.post(Frame::busy(self.request), i64::MIN);
        }
    }
}
