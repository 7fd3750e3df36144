//! One socket and its session: moves bytes between them, within the budget of a turn.

use super::stats::LoopStats;
use super::timers::Filed;
use crate::limits::{
    LINGER_BYTES_MAX, LINGER_TIME_MAX, READ_BYTES_PER_TURN_MAX, SPARE_QUEUES_MAX, WRITE_SLICES_MAX,
    WRITES_PER_TURN_MAX,
};
use crate::session::{HttpDate, Phase, SendQueue, Session, Topic, Turn};
use mio::net::TcpStream;
use rustix::net::{RecvFlags, SendFlags};
use std::io::{self, ErrorKind, IoSlice, Write};
use std::net::Shutdown;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// What a connection that was lent no queue has to send.
static NOTHING_QUEUED: SendQueue = SendQueue::new();

/// What a loop lends its connections; one for all, so that an idle connection owns nothing.
pub(super) struct Lent {
    pub(super) now: Instant,
    pub(super) date: HttpDate,
    /// Every read goes here first.
    pub(super) scratch: Box<[u8]>,
    /// Queues to lend, empty.
    #[expect(clippy::vec_box, reason = "a queue moves into its connection and back as a pointer")]
    pub(super) spare: Vec<Box<Outgoing>>,
    /// What the session that was called last wants to follow.
    pub(super) subscriptions: Vec<Arc<dyn Topic>>,
    pub(super) stats: Arc<LoopStats>,
}

/// Bytes for a peer; owned by the connection only while they wait.
pub(super) struct Outgoing {
    pub(super) queue: SendQueue,
    /// When the peer last took some, or the first was put here.
    progress: Instant,
}

impl Lent {
    #[expect(clippy::unnecessary_box_returns, reason = "the box is what is lent")]
    pub(super) fn lend(&mut self) -> Box<Outgoing> {
        let now = self.now;
        match self.spare.pop() {
            Some(mut outgoing) => {
                outgoing.progress = now;
                outgoing
            }
            None => Box::new(Outgoing { queue: SendQueue::default(), progress: now }),
        }
    }

    fn take_back(&mut self, outgoing: Box<Outgoing>) {
        debug_assert!(outgoing.queue.is_empty(), "unsent bytes stay with their connection");
        if self.spare.len() < SPARE_QUEUES_MAX {
            self.spare.push(outgoing);
        }
    }
}

/// What to do with a connection after its turn.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Wait for events.
    Wait,
    /// It stopped for fairness: another turn without an event.
    Again,
    Close,
}

#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own, and set alone")]
pub(super) struct Connection<S> {
    stream: TcpStream,
    /// mio reports readiness once (edge-triggered), so we remember it until the kernel has no
    /// more; a session that pauses reading keeps its readiness here.
    pub(super) readable: bool,
    pub(super) writable: bool,
    /// An event said that the end of input is near: a short read is not the last one then.
    pub(super) read_closed: bool,
    /// Both directions are gone: nobody will read what we write.
    pub(super) reset: bool,
    /// The kernel tells when there is room to write.
    pub(super) watches_room: bool,
    /// `read` returned 0; the session knows.
    input_ended: bool,
    /// In its port's list of connections to move.
    pub(super) queued: bool,
    /// Its session panicked, it is not called again.
    pub(super) broken: bool,
    pub(super) subscribed: bool,
    /// A member of some group.
    pub(super) grouped: bool,
    out: Option<Box<Outgoing>>,
    lingering: Option<Box<Lingering>>,
    /// Its entry in the timers.
    pub(super) filed: Option<Filed>,
    session: S,
}

/// The last answer is given, the peer still talks: its bytes are read, since a full receive
/// buffer may keep it from reading ours, and forgotten.
struct Lingering {
    /// When we stop listening; counts from the end of our side.
    until: Option<Instant>,
    bytes_left: usize,
}

impl<S: Session> Connection<S> {
    pub(super) fn new(stream: TcpStream, session: S, out: Box<Outgoing>) -> Self {
        Self {
            stream,
            readable: false,
            writable: true,
            read_closed: false,
            reset: false,
            watches_room: false,
            input_ended: false,
            queued: false,
            broken: false,
            subscribed: false,
            grouped: false,
            out: Some(out),
            lingering: None,
            filed: None,
            session,
        }
    }

    pub(super) fn stream_mut(&mut self) -> &mut TcpStream {
        &mut self.stream
    }

    /// Calls the session with what the loop lends it.
    pub(super) fn call(&mut self, lent: &mut Lent, step: impl FnOnce(&mut S, &mut Turn<'_>)) {
        if self.lingering.is_some() || self.broken {
            return;
        }
        let out = self.out.get_or_insert_with(|| lent.lend());
        let mut turn = Turn {
            now: lent.now,
            date: &lent.date,
            out: &mut out.queue,
            subscriptions: &mut lent.subscriptions,
        };
        step(&mut self.session, &mut turn);
    }

    /// Moves bytes until the kernel, the session or the budget says stop.
    pub(super) fn pump(&mut self, lent: &mut Lent) -> Verdict {
        if self.broken || self.read(lent).and_then(|()| self.write(lent)).is_err() {
            return Verdict::Close;
        }
        let sent_all = self.out.as_ref().is_none_or(|out| out.queue.is_empty());
        if sent_all && let Some(out) = self.out.take() {
            lent.take_back(out);
        }
        let ends = match self.session.phase() {
            Phase::Open => false,
            Phase::Finishing => sent_all,
            Phase::Lingering => self.linger(sent_all, lent.now),
            Phase::Aborted => true,
        };
        if ends || self.reset {
            return Verdict::Close;
        }
        if (self.readable && self.wants_input()) || (self.writable && !sent_all) {
            return Verdict::Again;
        }
        Verdict::Wait
    }

    /// True when only the kernel can tell when to go on writing, and was not asked to.
    pub(super) fn needs_room_watched(&self) -> bool {
        !self.writable && !self.watches_room
    }

    /// When the connection needs a look although nothing happened.
    pub(super) fn deadline(&self, write_timeout: Duration) -> Option<Instant> {
        let write = self.out.as_ref().map(|out| out.progress + write_timeout);
        let other = match &self.lingering {
            Some(lingering) => lingering.until,
            None => self.session.deadline(),
        };
        match (other, write) {
            (Some(other), Some(write)) => Some(other.min(write)),
            (other, write) => other.or(write),
        }
    }

    /// Handles what is due: `Close` when there is nothing left to wait for.
    pub(super) fn expire(&mut self, lent: &mut Lent, write_timeout: Duration) -> Verdict {
        let now = lent.now;
        if self.out.as_ref().is_some_and(|out| out.progress + write_timeout <= now) {
            lent.stats.closed_slow.add(1);
            return Verdict::Close;
        }
        if let Some(lingering) = &self.lingering {
            let over = lingering.until.is_some_and(|until| until <= now);
            return if over { Verdict::Close } else { Verdict::Wait };
        }
        if self.session.deadline().is_some_and(|at| at <= now) {
            self.call(lent, Session::expired);
        }
        Verdict::Wait
    }

    fn wants_input(&self) -> bool {
        if self.input_ended {
            return false;
        }
        if let Some(lingering) = &self.lingering {
            return lingering.bytes_left > 0;
        }
        match &self.out {
            Some(out) => self.session.wants_input(&out.queue),
            None => self.session.wants_input(&NOTHING_QUEUED),
        }
    }

    fn read(&mut self, lent: &mut Lent) -> io::Result<()> {
        let mut budget = READ_BYTES_PER_TURN_MAX;
        while self.readable && budget > 0 && self.wants_input() {
            match receive(&self.stream, &mut lent.scratch) {
                Ok(0) => {
                    self.readable = false;
                    self.input_ended = true;
                    self.call(lent, Session::recv_closed);
                }
                Ok(count) => {
                    // A short read has emptied the socket (epoll(7)), which saves the read that
                    // would only tell us so; unless the end of input waits behind it, for which
                    // no further event comes.
                    self.readable = count == lent.scratch.len() || self.read_closed;
                    budget = budget.saturating_sub(count);
                    lent.stats.bytes_in.add(count);
                    self.received(count, lent);
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => self.readable = false,
                Err(error) if error.kind() == ErrorKind::Interrupted => (),
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn received(&mut self, count: usize, lent: &mut Lent) {
        if let Some(lingering) = &mut self.lingering {
            lingering.bytes_left = lingering.bytes_left.saturating_sub(count);
            return;
        }
        let out = self.out.get_or_insert_with(|| lent.lend());
        let mut turn = Turn {
            now: lent.now,
            date: &lent.date,
            out: &mut out.queue,
            subscriptions: &mut lent.subscriptions,
        };
        self.session.received(&lent.scratch[..count], &mut turn);
    }

    fn write(&mut self, lent: &mut Lent) -> io::Result<()> {
        for _ in 0..WRITES_PER_TURN_MAX {
            let Some(out) = self.out.as_mut().filter(|out| !out.queue.is_empty()) else {
                return Ok(());
            };
            if !self.writable {
                return Ok(());
            }
            match write_some(&mut self.stream, &out.queue) {
                Ok((0, _)) => return Err(ErrorKind::WriteZero.into()),
                Ok((count, offered)) => {
                    // A short write has filled the socket, as with reads.
                    self.writable = count == offered;
                    out.queue.advance(count);
                    out.progress = lent.now;
                    lent.stats.bytes_out.add(count);
                    self.call(lent, Session::sent);
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => self.writable = false,
                Err(error) if error.kind() == ErrorKind::Interrupted => (),
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Ends our side once everything is out; true when the peer has ended its side as well, or
    /// has said more than we listen to.
    fn linger(&mut self, sent_all: bool, now: Instant) -> bool {
        let lingering = self.lingering.get_or_insert_with(|| {
            Box::new(Lingering { until: None, bytes_left: LINGER_BYTES_MAX })
        });
        if sent_all && lingering.until.is_none() {
            if self.stream.shutdown(Shutdown::Write).is_err() {
                return true;
            }
            lingering.until = Some(now + LINGER_TIME_MAX);
        }
        sent_all && (self.input_ended || lingering.bytes_left == 0)
    }
}

/// One `send` for one piece, one `writev` for several; what was taken, of what was offered.
///
/// `send` and `recv` go to the kernel without the C library, in which they are points of thread
/// cancellation: that costs more instructions than all of an answer's encoding.
fn write_some(stream: &mut TcpStream, queue: &SendQueue) -> io::Result<(usize, usize)> {
    let front = queue.front();
    if front.len() == queue.len() {
        // A peer that has gone is an error for us, and no signal.
        return Ok((rustix::net::send(stream, front, SendFlags::NOSIGNAL)?, front.len()));
    }
    let mut slices = [IoSlice::new(&[]); WRITE_SLICES_MAX];
    let used = queue.gather(&mut slices);
    write_slices(stream, &slices[..used])
}

fn receive(stream: &TcpStream, buffer: &mut [u8]) -> io::Result<usize> {
    Ok(rustix::net::recv(stream, buffer, RecvFlags::empty())?.0)
}

fn write_slices(stream: &mut TcpStream, slices: &[IoSlice<'_>]) -> io::Result<(usize, usize)> {
    let offered = slices.iter().map(|slice| slice.len()).sum();
    Ok((stream.write_vectored(slices)?, offered))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_idle_connection_costs_little_beside_its_session() {
        // 512 bytes are the goal for both, with the entry in the timers.
        let own = size_of::<Connection<[u8; 200]>>() - 200;
        assert!(own <= 72, "{own} bytes");
    }
}
