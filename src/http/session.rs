//! One HTTP/1.1 conversation: keep-alive, pipelining, limits, deadlines and event streams, without
//! a socket.

use super::body::Incoming;
use super::event_stream::EventStream;
use super::extras::Extras;
use super::head::{self, Connection, Framing, Head};
use super::head_scan::{self, HeadScan};
use super::options::HttpOptions;
use super::reply_queue::{Manner, ReplyQueue, Slot};
use super::responder::{Answer, Decision, Deferral, Follow, HttpReply};
use super::response::Status;
use super::times::Times;
use super::{Refusal, Service, encode};
use crate::exec::Outbox;
use crate::limits::{HEADER_SLOTS_MAX, SEND_BYTES_HIGH};
use crate::session::{ConnId, Event, Phase, SendQueue, Session, Topic, Turn};
use std::mem::MaybeUninit;
use std::net::{IpAddr, Ipv4Addr};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

/// See the module documentation. Idle, it owns no heap: whatever it needs between two calls is
/// allocated when a request is incomplete or unanswered, and freed with it.
#[expect(clippy::struct_excessive_bools, reason = "facts that change independently of each other")]
pub struct HttpSession {
    conn: ConnId,
    peer: IpAddr,
    service: Rc<dyn Service>,
    outbox: Outbox<HttpReply>,
    options: Rc<HttpOptions>,
    /// Received and not taken yet: an incomplete head, or requests that have to wait.
    recv: Vec<u8>,
    /// How far the head at the front of `recv` has been looked at.
    scan: HeadScan,
    /// A request whose body is on its way.
    incoming: Option<Box<Incoming>>,
    replies: ReplyQueue,
    stream: Option<Box<EventStream>>,
    deadline: Option<Instant>,
    waiting: Waiting,
    phase: Phase,
    /// Something happened that starts the running deadline anew.
    progress: bool,
    /// A request is there, but must wait: for answers before it or for room.
    held: bool,
    /// No further request will be taken: the last one said so, or one was refused.
    closing: bool,
    /// Bytes may be on their way that nobody will parse.
    linger: bool,
    /// The peer has sent its last byte.
    eof: bool,
    draining: bool,
}

/// What the running deadline is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Waiting {
    /// An answer or room to write: not the peer's fault.
    Ourselves,
    /// The first byte of a request.
    Request,
    /// The end of a head.
    Head,
    /// The end of a body.
    Body,
    /// The next comment of an event stream.
    StreamComment,
}

/// How it went with the front of the input.
enum Step {
    /// So many bytes are dealt with.
    Took(usize),
    /// More bytes are needed.
    Incomplete,
    /// The request must wait for the answers before it.
    Hold,
}

impl HttpSession {
    /// A fresh conversation.
    pub fn new(
        conn: ConnId,
        service: Rc<dyn Service>,
        outbox: Outbox<HttpReply>,
        options: Rc<HttpOptions>,
        now: Instant,
    ) -> Self {
        let deadline = Some(now + options.idle_timeout);
        Self {
            conn,
            peer: IpAddr::V4(Ipv4Addr::UNSPECIFIED),
            service,
            outbox,
            options,
            recv: Vec::new(),
            scan: HeadScan::default(),
            incoming: None,
            replies: ReplyQueue::default(),
            stream: None,
            deadline,
            waiting: Waiting::Request,
            phase: Phase::Open,
            progress: false,
            held: false,
            closing: false,
            linger: false,
            eof: false,
            draining: false,
        }
    }

    /// With whom; handlers see it in [`Request::peer`].
    #[must_use]
    pub fn with_peer(self, peer: IpAddr) -> Self {
        Self { peer, ..self }
    }

    /// Takes requests and encodes answers until limits or input run out. The only place where the
    /// conversation advances; every entry point ends here.
    fn advance(&mut self, fresh: &[u8], turn: &mut Turn<'_>) {
        if self.recv.is_empty() {
            // The usual case: complete requests are parsed where they were read, without a copy.
            let used = self.consume(fresh, turn);
            self.recv.extend_from_slice(&fresh[used..]);
        } else {
            let mut kept = std::mem::take(&mut self.recv);
            kept.extend_from_slice(fresh);
            let used = self.consume(&kept, turn);
            self.recv = if used == 0 { kept } else { kept[used..].to_vec() };
        }
        self.settle(turn);
    }

    /// The loop matters: encoding frees places in the queue, and the requests that then fit may be
    /// the last bytes that the peer sends, so nobody would call again for them.
    fn consume(&mut self, input: &[u8], turn: &mut Turn<'_>) -> usize {
        let mut used = 0;
        loop {
            let rest = &input[used..];
            self.encode_ready(!rest.is_empty(), turn);
            if self.closing || self.phase != Phase::Open {
                self.discard(rest);
                return input.len();
            }
            self.held = !rest.is_empty() && !self.may_take(turn.out);
            if rest.is_empty() || self.held {
                return used;
            }
            match self.take(rest, turn) {
                Ok(Step::Took(size)) => used += size,
                Ok(Step::Incomplete) => return used,
                Ok(Step::Hold) => {
                    self.held = true;
                    return used;
                }
                Err(refusal) => self.refuse(refusal, rest, turn),
            }
        }
    }

    fn may_take(&self, out: &SendQueue) -> bool {
        !self.replies.is_full() && !self.replies.awaits_write() && out.len() <= SEND_BYTES_HIGH
    }

    /// Deals with the front of the input: blank lines, a head, a whole request, or body bytes.
    fn take(&mut self, input: &[u8], turn: &mut Turn<'_>) -> Result<Step, Refusal> {
        if self.incoming.is_some() {
            return self.take_body(input, turn);
        }
        let blank = head_scan::blank_lines(input);
        if blank > 0 {
            self.scan = HeadScan::default();
            return Ok(Step::Took(blank));
        }
        let mut slots = [const { MaybeUninit::uninit() }; HEADER_SLOTS_MAX];
        if self.scan.is_fresh()
            && let Some((head, size)) = head::parse_at_once(input, &mut slots, &self.options.limits)
        {
            return Ok(self.take_request(&head, size, input, turn));
        }
        self.take_head(input, turn)
    }

    /// The same for a head that is not there yet, came in pieces, or is to be refused. Apart from
    /// the usual case, which then has half the stack to touch.
    #[inline(never)]
    fn take_head(&mut self, input: &[u8], turn: &mut Turn<'_>) -> Result<Step, Refusal> {
        let Some(size) = self.scan.find_end(input, &self.options.limits)? else {
            return Ok(Step::Incomplete);
        };
        let mut slots = [const { MaybeUninit::uninit() }; HEADER_SLOTS_MAX];
        let head = head::parse(&input[..size], &mut slots, &self.options.limits)?;
        Ok(self.take_request(&head, size, input, turn))
    }

    /// Deals with a request whose head is the first `size` bytes of `input`.
    fn take_request(
        &mut self,
        head: &Head<'_, '_>,
        size: usize,
        input: &[u8],
        turn: &mut Turn<'_>,
    ) -> Step {
        let (bytes, rest) = input.split_at(size);
        // Only safe requests may overtake each other's work (RFC 9112 section 9.3.2), and 100
        // Continue may not overtake an answer.
        let alone = !head.method.is_safe() || head.expects_continue;
        if alone && !self.replies.is_empty() {
            return Step::Hold;
        }
        self.scan = HeadScan::default();
        let asks_first = head.expects_continue && head.framing != Framing::Length(0);
        match head.framing {
            Framing::Length(length) if length <= rest.len() && !asks_first => {
                let (body, rest) = rest.split_at(length);
                self.dispatch(head, body, !rest.is_empty(), turn);
                Step::Took(size + length)
            }
            framing => {
                if asks_first {
                    turn.out.extend(encode::CONTINUE);
                }
                let incoming = Incoming::new(bytes, framing, &self.options);
                self.incoming = Some(Box::new(incoming));
                Step::Took(size)
            }
        }
    }

    fn take_body(&mut self, input: &[u8], turn: &mut Turn<'_>) -> Result<Step, Refusal> {
        let incoming = self.incoming.as_mut().expect("the caller saw a body on its way");
        let used = incoming.feed(input)?;
        if incoming.is_done() {
            let incoming = self.incoming.take().expect("it was there a moment ago");
            let mut slots = [const { MaybeUninit::uninit() }; HEADER_SLOTS_MAX];
            let head = head::parse(&incoming.head, &mut slots, &self.options.limits)?;
            self.dispatch(&head, &incoming.body, used < input.len(), turn);
        }
        Ok(Step::Took(used))
    }

    /// Calls the service. `more`: bytes of a further request are here already.
    fn dispatch(&mut self, head: &Head<'_, '_>, body: &[u8], more: bool, turn: &mut Turn<'_>) {
        let ticket = self.replies.issue();
        let request = head.request(body, self.peer);
        let errors = (&*self.service, request.path);
        let deferral = Deferral::new(self.conn, ticket, &self.outbox, errors);
        // Unwind safety: the service sees its own state again only through locks and cells that
        // it must keep whole, as it must with any early return.
        let called = catch_unwind(AssertUnwindSafe(|| self.service.call(&request, deferral)));
        let answer = called.unwrap_or_else(|_| {
            Answer::after_panic(request.path, self.service.renderer(request.path))
        });
        let Answer { decision, place, fields, interest } = answer;
        self.progress = true;
        self.closing = head.connection == Connection::Close;
        let head_only = head.method == super::Method::Head;
        let extras = Extras::of(head, fields);
        let manner = Manner { head_only, connection: head.connection, place, extras };
        if self.replies.is_empty() && !matches!(decision, Decision::Later) {
            self.encode(decision, manner, None, more, turn);
        } else {
            let is_safe = head.method.is_safe();
            let slot = Slot { is_safe, interest, ..Slot::new(manner, decision, turn.now) };
            self.replies.push(slot);
        }
    }

    /// Encodes the answers that are ready and whose turn it is.
    fn encode_ready(&mut self, more: bool, turn: &mut Turn<'_>) {
        while let Some(slot) = self.replies.pop_ready() {
            debug_assert_eq!(self.phase, Phase::Open, "nothing is owed behind the last answer");
            self.progress = true;
            let more = more || !self.replies.is_empty() || self.incoming.is_some();
            let times = Times::new(slot.since, turn.now, slot.stamps);
            self.encode(slot.decision, slot.manner, Some(&times), more, turn);
        }
    }

    /// `times`: where the time went, unless it was answered at once.
    fn encode(
        &mut self,
        decision: Decision,
        manner: Manner,
        times: Option<&Times>,
        more: bool,
        turn: &mut Turn<'_>,
    ) {
        let last = (self.draining || self.eof) && !more;
        let connection = if last { Connection::Close } else { manner.connection };
        let manner = Manner { connection, ..manner };
        match decision {
            Decision::Now(mut response) => {
                if let Some(extras) = &manner.extras {
                    extras.choose(&mut response);
                }
                self.service.answered(manner.place, response.status.code, times);
                if self.options.server_timing {
                    let value = Times::server_timing(times);
                    response = response.with_header("Server-Timing", &value);
                }
                encode::response(response, &manner, turn.date, turn.out);
            }
            Decision::Stream(follow) => {
                self.service.answered(manner.place, Status::OK.code, times);
                let timing = self.options.server_timing.then(|| Times::server_timing(times));
                self.start_stream(follow, &manner, timing.as_deref(), turn);
                return;
            }
            Decision::Later => unreachable!("only answers that are there are encoded"),
        }
        if connection == Connection::Close {
            self.close();
        }
    }

    fn start_stream(
        &mut self,
        follow: Follow,
        manner: &Manner,
        timing: Option<&str>,
        turn: &mut Turn<'_>,
    ) {
        encode::stream_head(manner, timing, turn.date, turn.out);
        self.closing = true;
        if manner.head_only || self.eof || self.draining {
            self.close();
            return;
        }
        turn.subscriptions.extend(follow.topics.iter().cloned());
        self.stream = Some(Box::new(EventStream::start(follow, turn.out)));
    }

    /// Answers once, after the answers before it, and takes nothing more: behind a request that
    /// could not be understood nobody knows where the next one begins. `rest` begins with its head,
    /// unless its body was on the way.
    fn refuse(&mut self, Refusal(status, why): Refusal, rest: &[u8], turn: &mut Turn<'_>) {
        let head = self.incoming.as_ref().map_or(rest, |incoming| &incoming.head);
        let manner = Manner::plain(head.starts_with(b"HEAD "), Connection::Close);
        let mut response = self.service.renderer(head::path_of(head))(status, why);
        if status == Status::UNAVAILABLE {
            response = response.with_header("Retry-After", "1");
        }
        self.closing = true;
        self.linger = true;
        self.incoming = None;
        self.recv = Vec::new();
        let decision = Decision::Now(response);
        self.replies.issue();
        if self.replies.is_empty() {
            self.encode(decision, manner, None, false, turn);
        } else {
            self.replies.push(Slot::new(manner, decision, turn.now));
        }
    }

    /// Bytes behind the last request: not parsed, but a sign that the peer may still be sending.
    fn discard(&mut self, rest: &[u8]) {
        self.linger |= !rest.is_empty() && self.stream.is_none();
        if self.phase == Phase::Finishing && self.linger {
            self.close();
        }
    }

    /// The last byte is in the queue.
    fn close(&mut self) {
        self.closing = true;
        self.phase = if self.linger && !self.eof { Phase::Lingering } else { Phase::Finishing };
    }

    /// Ends what has nothing more to do and sets the deadline.
    fn settle(&mut self, turn: &mut Turn<'_>) {
        // Half a blank line is no request yet, and starts no deadline: each of its halves would
        // start it anew.
        let partial = self.incoming.is_some() || !matches!(self.recv[..], [] | [b'\r']);
        let nothing_owed = self.replies.is_empty() && !self.held;
        let over = self.eof || (self.draining && (!partial || self.stream.is_some()));
        if over && nothing_owed && self.phase == Phase::Open {
            self.close();
        }
        if self.phase != Phase::Open {
            self.deadline = None;
            self.recv = Vec::new();
            self.incoming = None;
            self.stream = None;
            return;
        }
        let (waiting, timeout) = match () {
            () if self.stream.is_some() => {
                (Waiting::StreamComment, Some(self.options.stream_keep_alive))
            }
            () if !nothing_owed => (Waiting::Ourselves, None),
            () if self.incoming.is_some() => (Waiting::Body, Some(self.options.body_timeout)),
            () if partial => (Waiting::Head, Some(self.options.head_timeout)),
            () => (Waiting::Request, Some(self.options.idle_timeout)),
        };
        // A deadline of a head or body runs from its first byte: more bytes do not renew it.
        if self.progress || waiting != self.waiting {
            self.deadline = timeout.map(|timeout| turn.now + timeout);
        }
        self.waiting = waiting;
        self.progress = false;
        self.check();
    }

    /// Ten thousand idle connections must cost next to nothing.
    fn check(&self) {
        // Half a blank line aside.
        let owns_no_heap = (self.recv.capacity() == 0 || self.recv == b"\r")
            && self.incoming.is_none()
            && self.stream.is_none()
            && self.replies.owns_no_heap();
        debug_assert!(owns_no_heap || self.waiting != Waiting::Request, "idle, it owns no heap");
    }
}

impl Session for HttpSession {
    type Reply = HttpReply;

    fn received(&mut self, bytes: &[u8], turn: &mut Turn<'_>) {
        self.advance(bytes, turn);
    }

    fn recv_closed(&mut self, turn: &mut Turn<'_>) {
        self.eof = true;
        self.replies.lose_interest();
        self.advance(&[], turn);
    }

    fn complete(&mut self, reply: HttpReply, turn: &mut Turn<'_>) {
        self.replies.fill(reply);
        self.advance(&[], turn);
    }

    fn pushed(&mut self, topic: &Arc<dyn Topic>, event: &Event, turn: &mut Turn<'_>) {
        if let Some(stream) = &mut self.stream {
            self.progress = stream.pushed(topic, event, turn.out);
        }
        self.advance(&[], turn);
    }

    fn sent(&mut self, turn: &mut Turn<'_>) {
        if self.waiting == Waiting::Request && self.phase == Phase::Open {
            // Nothing waits for room, so there is nothing to advance; but a long answer that is
            // being read is not an idle connection.
            self.deadline = Some(turn.now + self.options.idle_timeout);
            return;
        }
        if let Some(stream) = &mut self.stream {
            self.progress = stream.drained(turn.out);
        }
        self.advance(&[], turn);
    }

    fn expired(&mut self, turn: &mut Turn<'_>) {
        if self.deadline.is_none_or(|deadline| turn.now < deadline) {
            return;
        }
        self.progress = true;
        let timeout = |why| Refusal(Status::REQUEST_TIMEOUT, why);
        match self.waiting {
            // Who has something to read is timed by the socket's write deadline.
            Waiting::StreamComment if turn.out.is_empty() => turn.out.extend(b":\n\n"),
            Waiting::Request if turn.out.is_empty() => self.close(),
            Waiting::Head => {
                let recv = std::mem::take(&mut self.recv);
                self.refuse(timeout("the head took too long"), &recv, turn);
            }
            Waiting::Body => self.refuse(timeout("the body took too long"), &[], turn),
            Waiting::StreamComment | Waiting::Request | Waiting::Ourselves => {}
        }
        self.advance(&[], turn);
    }

    fn drain(&mut self, turn: &mut Turn<'_>) {
        self.draining = true;
        self.replies.lose_interest();
        self.advance(&[], turn);
    }

    fn wants_input(&self, out: &SendQueue) -> bool {
        let takes_requests = !self.closing && !self.eof && !self.held && self.may_take(out);
        self.phase == Phase::Open
            && (self.stream.is_some() || takes_requests || self.replies.has_interest())
    }

    fn deadline(&self) -> Option<Instant> {
        self.deadline
    }

    fn phase(&self) -> Phase {
        self.phase
    }
}
