//! One TLV conversation: layout, welcome, messages in order, pushes, without a socket.

use super::following::{Following, Lost, Page};
use super::frame::{Frame, HEADER_BYTES, Layout, id};
use super::port::Port;
use super::responder::{Decision, Ticket, TlvReply};
use super::stats::MessageStats;
use super::{Deferral, Message, Peer, Service};
use crate::limits::TLV_WELCOME_DELAY;
use crate::session::{ConnId, Event, Phase, SendQueue, Session, Topic, Turn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

/// Where the input stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Input {
    /// More may come.
    Open,
    /// The peer sends no more.
    Closed,
    /// The peer may send more, but we take no more.
    Ignored,
}

/// See the module documentation.
///
/// Invariant: `kept` is empty, and owns no memory, while the connection is idle.
pub struct TlvSession<S: Service> {
    port: Rc<Port<S>>,
    conn: ConnId,
    uid: i64,
    /// Bytes that arrived and could not be consumed: a part of a frame, or what came behind a
    /// message whose answer is pending.
    kept: Vec<u8>,
    /// Of the newest message; grows, so that an answer to an earlier one finds nobody.
    ticket: Ticket,
    /// The id of the newest message, while it has no answer yet.
    pending: Option<u32>,
    greeted: bool,
    layout: Option<Layout>,
    input: Input,
    phase: Phase,
    last_received: Instant,
    properties: S::Properties,
    following: Option<Box<Following>>,
}

impl<S: Service> TlvSession<S> {
    /// A fresh conversation.
    pub fn new(conn: ConnId, port: Rc<Port<S>>, now: Instant) -> Self {
        Self {
            conn,
            uid: port.uids.fetch_add(1, Ordering::Relaxed) + 1,
            kept: Vec::new(),
            ticket: Ticket(0),
            pending: None,
            greeted: false,
            layout: port.layout,
            input: Input::Open,
            phase: Phase::Open,
            last_received: now,
            properties: S::Properties::default(),
            following: None,
            port,
        }
    }

    /// The number in the welcome.
    pub fn uid(&self) -> i64 {
        self.uid
    }

    /// Answers what has arrived, as far as order and room allow, then closes where nothing more
    /// can come. The only place where the conversation moves; every entry point ends here.
    fn advance(&mut self, fresh: &[u8], turn: &mut Turn<'_>) {
        if self.phase == Phase::Open {
            if self.port.layout.is_some() {
                self.greet(turn.out);
            }
            self.consume(fresh, turn.out);
            self.follow(turn.out);
            // With a free hand `consume` leaves no complete message, so nothing is owed.
            if self.phase == Phase::Open && self.is_free(turn.out) {
                self.finish_if_input_ended(turn.out);
            }
        }
    }

    /// Takes all messages that may be answered now from what was kept and what is `fresh`.
    fn consume(&mut self, fresh: &[u8], out: &mut SendQueue) {
        let mut kept = std::mem::take(&mut self.kept);
        if kept.is_empty() {
            let used = self.answer_all(fresh, out);
            self.keep(fresh[used..].to_vec());
            return;
        }
        kept.extend_from_slice(fresh);
        let used = self.answer_all(&kept, out);
        // A copy of the rest, so that a burst leaves no large buffer behind.
        self.keep(if used == 0 { kept } else { kept[used..].to_vec() });
    }

    fn keep(&mut self, rest: Vec<u8>) {
        if self.phase == Phase::Open {
            self.kept = rest;
        }
    }

    /// Returns how many bytes the answered messages took.
    fn answer_all(&mut self, bytes: &[u8], out: &mut SendQueue) -> usize {
        let mut used = 0;
        while self.is_free(out) {
            match self.first_message(&bytes[used..], out) {
                None => break,
                Some(message) => {
                    used += HEADER_BYTES + message.data.len();
                    self.answer(&message, out);
                    self.follow(out);
                }
            }
        }
        used
    }

    /// May the next message be answered? One at a time, and only to a peer that reads.
    fn is_free(&self, out: &SendQueue) -> bool {
        self.pending.is_none() && out.len() < self.port.answer_bytes_high
    }

    /// The message at the front, once it is complete. Closes when there never will be one.
    fn first_message<'a>(&mut self, bytes: &'a [u8], out: &mut SendQueue) -> Option<Message<'a>> {
        let (header, rest) = bytes.split_first_chunk()?;
        let Some(layout) = self.layout.or_else(|| Layout::detect(header, self.port.data_bytes_max))
        else {
            tracing::debug!(uid = self.uid, "a first header fits no layout");
            self.phase = Phase::Lingering;
            return None;
        };
        self.layout = Some(layout);
        self.greet(out);
        let header = layout.header(header);
        let Ok(length) = header.data_bytes(self.port.data_bytes_max) else {
            tracing::debug!(uid = self.uid, length = header.length, "a frame is too long");
            self.phase = Phase::Lingering;
            return None;
        };
        Some(Message { id: header.id, data: rest.get(..length)? })
    }

    fn answer(&mut self, message: &Message<'_>, out: &mut SendQueue) {
        self.ticket.0 += 1;
        let port = Rc::clone(&self.port);
        let deferral = Deferral::new(self.conn, self.ticket, message.id, &port.outbox);
        let mut peer = self.peer(&port);
        // Unwind safety: a service's state is its own care, and what it keeps of the connection too.
        // A responder lost on the way answers a ticket that nobody waits for.
        let call = AssertUnwindSafe(|| port.service.call(&mut peer, message, deferral).0);
        match catch_unwind(call) {
            Ok(Decision::Now(frame)) => {
                port.stats.answered(message.id, frame.id == id::ERROR);
                self.send(&frame, out);
            }
            Ok(Decision::Later) => self.pending = Some(message.id),
            Err(_) => {
                tracing::error!(request = message.id, "the service panicked");
                port.stats.answered(message.id, true);
                self.send(&Frame::busy(message.id), out);
            }
        }
    }

    /// The welcome, once, before anything else.
    fn greet(&mut self, out: &mut SendQueue) {
        if self.greeted {
            return;
        }
        self.greeted = true;
        self.send(&Frame::new(id::WELCOME, format!("{{\"uid\":{}}}", self.uid)), out);
        let port = Rc::clone(&self.port);
        port.service.opened(&mut self.peer(&port));
    }

    fn peer<'a>(&'a mut self, port: &'a Port<S>) -> Peer<'a, S::Properties> {
        Peer {
            uid: self.uid,
            conn: self.conn,
            properties: &mut self.properties,
            following: &mut self.following,
            outbox: &port.outbox,
        }
    }

    fn send(&self, frame: &Frame, out: &mut SendQueue) {
        debug_assert!(
            frame.data.bytes().len() <= self.port.data_bytes_max,
            "old clients refuse longer frames"
        );
        encode(self.layout, frame, out);
    }

    fn finish_if_input_ended(&mut self, out: &mut SendQueue) {
        self.phase = match self.input {
            Input::Open => return,
            Input::Closed => Phase::Finishing,
            Input::Ignored => Phase::Lingering,
        };
        self.greet(out);
        self.kept = Vec::new();
    }

    /// Queues a frame that was not asked for, or gives a reader up that is too far behind.
    fn push(&mut self, frame: &Frame, out: &mut SendQueue) {
        let size = HEADER_BYTES + frame.data.bytes().len();
        if out.len() + size > self.port.queue_bytes_max {
            tracing::debug!(uid = self.uid, "a reader fell too far behind");
            self.phase = Phase::Aborted;
        } else {
            self.port.stats.pushed();
            self.send(frame, out);
        }
    }

    /// Sends what the feed has, unless a message waits for its answer: the answer comes first.
    fn follow(&mut self, out: &mut SendQueue) {
        if self.pending.is_some() || self.phase != Phase::Open || self.input == Input::Ignored {
            return;
        }
        let Some(following) = &mut self.following else { return };
        let send = pushing(self.layout, &self.port.stats);
        match following.send(i64::MAX, self.port.queue_bytes_max, out, send) {
            Ok(true) => {}
            Ok(false) => following.read(self.ticket, self.conn, &self.port.outbox),
            Err(lost) => self.give_up(lost),
        }
    }

    /// Answers the message that waits, behind the frames of the feed that came before `seq`. Who
    /// still catches up gets the answer first.
    fn answer_before(&mut self, seq: i64, frame: &Frame, out: &mut SendQueue) {
        if let Some(following) = self.following.as_mut().filter(|following| following.is_live()) {
            let send = pushing(self.layout, &self.port.stats);
            // What it may not send here, `follow` will see to.
            let _ = following.send(seq, usize::MAX, out, send);
        }
        self.send(frame, out);
    }

    fn take_page(&mut self, page: Page, out: &mut SendQueue) {
        let Some(following) = &mut self.following else { return };
        if self.pending.is_some() {
            return following.put_off(&page);
        }
        let send = pushing(self.layout, &self.port.stats);
        if let Err(lost) = following.take(page, out, send) {
            self.give_up(lost);
        }
    }

    fn give_up(&mut self, lost: Lost) {
        tracing::debug!(uid = self.uid, ?lost, "a connection cannot follow any more");
        self.phase = Phase::Aborted;
    }
}

/// Encodes frames that nobody asked for, and counts them.
fn pushing(
    layout: Option<Layout>,
    stats: &MessageStats,
) -> impl FnMut(&Frame, &mut SendQueue) + '_ {
    move |frame, out| {
        stats.pushed();
        encode(layout, frame, out);
    }
}

/// A client that was silent until its welcome counts as one of the newer layout.
fn encode(layout: Option<Layout>, frame: &Frame, out: &mut SendQueue) {
    layout.unwrap_or(Layout::Big).encode(frame.id, frame.data.bytes(), out);
}

impl<S: Service> Session for TlvSession<S> {
    type Reply = TlvReply;

    fn received(&mut self, bytes: &[u8], turn: &mut Turn<'_>) {
        self.last_received = turn.now;
        self.advance(bytes, turn);
    }

    fn recv_closed(&mut self, turn: &mut Turn<'_>) {
        self.input = Input::Closed;
        self.advance(&[], turn);
    }

    fn complete(&mut self, reply: TlvReply, turn: &mut Turn<'_>) {
        if self.phase == Phase::Open {
            match reply {
                TlvReply::Answer { ticket, frame, before } => {
                    if let Some(request) = self.pending.take_if(|_| ticket == self.ticket) {
                        self.port.stats.answered(request, frame.id == id::ERROR);
                        self.answer_before(before, &frame, turn.out);
                        // Before the next message, whose answer comes behind what this one caused.
                        self.follow(turn.out);
                    }
                }
                TlvReply::Push(frame) => self.push(&frame, turn.out),
                TlvReply::News => {
                    if let Some(following) = &self.following {
                        following.feed.heard(&self.port.outbox);
                    }
                }
                TlvReply::Page(page) => self.take_page(page, turn.out),
                TlvReply::Close => self.ignore_input(),
            }
        }
        self.advance(&[], turn);
    }

    /// This protocol has feeds and follows no topic.
    fn pushed(&mut self, _: &Arc<dyn Topic>, _: &Event, turn: &mut Turn<'_>) {
        self.advance(&[], turn);
    }

    fn sent(&mut self, turn: &mut Turn<'_>) {
        self.advance(&[], turn);
    }

    fn expired(&mut self, turn: &mut Turn<'_>) {
        let passed = |deadline: Option<Instant>| deadline.is_some_and(|at| at <= turn.now);
        if passed(self.silence_deadline()) {
            self.greet(turn.out);
        } else if passed(self.idle_deadline()) {
            self.ignore_input();
        }
        self.advance(&[], turn);
    }

    fn drain(&mut self, turn: &mut Turn<'_>) {
        self.ignore_input();
        self.advance(&[], turn);
    }

    fn wants_input(&self, out: &SendQueue) -> bool {
        self.phase == Phase::Open && self.input == Input::Open && self.is_free(out)
    }

    fn deadline(&self) -> Option<Instant> {
        let deadlines = [self.silence_deadline(), self.idle_deadline()];
        deadlines.into_iter().flatten().min()
    }

    fn phase(&self) -> Phase {
        self.phase
    }
}

impl<S: Service> TlvSession<S> {
    /// A peer that has closed its side stays closed: there is nothing to linger for.
    fn ignore_input(&mut self) {
        if self.input == Input::Open {
            self.input = Input::Ignored;
        }
    }

    /// Until the welcome: when the wait for the client's first header is over. Whoever is in the
    /// middle of it is not silent, and can delay this seven times at most.
    fn silence_deadline(&self) -> Option<Instant> {
        let delay = if self.port.layout.is_some() { Duration::ZERO } else { TLV_WELCOME_DELAY };
        (!self.greeted && self.phase == Phase::Open).then(|| self.last_received + delay)
    }

    fn idle_deadline(&self) -> Option<Instant> {
        let waits =
            self.phase == Phase::Open && self.input == Input::Open && self.pending.is_none();
        self.port.idle.filter(|_| waits).map(|idle| self.last_received + idle)
    }
}

impl<S: Service> Drop for TlvSession<S> {
    fn drop(&mut self) {
        if self.greeted {
            let port = Rc::clone(&self.port);
            port.service.closed(&mut self.peer(&port));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::Router;
    use super::*;
    use crate::exec::mailbox;

    #[test]
    fn an_idle_connection_is_small_and_owns_no_memory() {
        let size = size_of::<TlvSession<Router<[u64; 2]>>>();
        assert!(size <= 160, "{size}");
        let (_mailbox, outbox) = mailbox(|| ());
        let port = Port::new(Router::<()>::new(), outbox, Arc::default());
        let conn = ConnId { slot: 0, generation: 0 };
        let now = Instant::now();
        let mut session = TlvSession::new(conn, Rc::new(port), now);
        let (mut out, mut subscriptions) = (SendQueue::default(), Vec::new());
        let mut turn =
            Turn { now, date: &[b' '; 29], out: &mut out, subscriptions: &mut subscriptions };
        let beats = b"\0\x01\x86\x9f\0\0\0\x02{}".repeat(1_000);
        for (bytes, kept) in [(&beats[..9_995], 5), (&beats[5..], 0)] {
            session.received(bytes, &mut turn);
            assert_eq!(session.kept.capacity(), kept, "not more than the rest of a frame");
        }
    }
}
