//! The loop: wait, then let every port do what has come up. One thread, no locks.

use super::connection::Lent;
use super::control::{Control, RunPhase, wake};
use super::port::{AnyPort, Port, PortOptions, Protocol, Readiness};
use super::stats::LoopStats;
use crate::exec::{Outbox, mailbox};
use crate::limits::{EVENTS_PER_TURN_MAX, READ_BYTES_MAX};
use crate::session::{ConnId, HttpDate, Session};
use mio::event::Event;
use mio::{Events, Poll, Token, Waker};
use std::io::{self, ErrorKind, Write};
use std::net::TcpListener;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

/// The loop's own token; ports count from 0.
const WAKER_PORT: u8 = u8::MAX;
/// In place of a slot: the listener of the port.
const LISTENER_SLOT: u32 = (1 << 24) - 1;

/// How a loop runs.
#[derive(Clone, Debug)]
pub struct LoopOptions {
    /// Tells it to stop.
    pub control: Arc<Control>,
    /// How long a drain waits for answers in flight.
    pub drain_timeout: Duration,
}

/// A port, and when it wants its next turn: asked once after each turn, since most turns of a loop
/// are about one port only.
struct Seat {
    port: Box<dyn AnyPort>,
    /// It is there to watch the others, so it serves while they drain.
    watches: bool,
    /// It has something to do at once: an event came, or its last turn left something.
    has_work: bool,
    wake_at: Option<Instant>,
}

impl Seat {
    fn turn(&mut self, lent: &mut Lent) {
        self.port.turn(lent);
        self.ask();
    }

    fn ask(&mut self) {
        self.has_work = self.port.has_work();
        self.wake_at = self.port.wake_at();
    }
}

/// The ports of one thread.
pub struct EventLoop {
    poll: Poll,
    waker: Arc<Waker>,
    ports: Vec<Seat>,
    lent: Lent,
    options: LoopOptions,
    /// When the text of the date is outdated.
    date_until: Instant,
    /// Set when draining began.
    drain_until: Option<Instant>,
    /// The ports that watch the others drain, too: nothing is left to watch.
    watchers_drain: bool,
}

impl EventLoop {
    /// A loop without ports. To be made on the thread that runs it.
    pub fn new(options: LoopOptions) -> io::Result<Self> {
        let poll = Poll::new()?;
        let waker = Arc::new(Waker::new(poll.registry(), token(WAKER_PORT, NOBODY))?);
        let stats = Arc::default();
        options.control.join(&waker, &stats);
        let now = Instant::now();
        let lent = Lent {
            now,
            date: [b' '; 29],
            scratch: vec![0; READ_BYTES_MAX].into(),
            spare: Vec::new(),
            subscriptions: Vec::new(),
            stats,
        };
        let (ports, drain_until, watchers_drain) = (Vec::new(), None, false);
        Ok(Self { poll, waker, ports, lent, options, date_until: now, drain_until, watchers_drain })
    }

    /// What the loop has done so far, to be read from any thread.
    pub fn stats(&self) -> Arc<LoopStats> {
        Arc::clone(&self.lent.stats)
    }

    /// Serves `protocol` on `listener`; returns the way for workers to answer its connections.
    pub fn add_port<P>(
        &mut self,
        listener: TcpListener,
        protocol: P,
        options: PortOptions<'_>,
    ) -> io::Result<Outbox<<P::Session as Session>::Reply>>
    where
        P: Protocol + 'static,
    {
        self.add(listener, protocol, options, false)
    }

    /// As [`EventLoop::add_port`], for those who watch the process: in a drain it goes on accepting
    /// and serving until the other ports are done, on all loops.
    pub fn add_watching_port<P>(
        &mut self,
        listener: TcpListener,
        protocol: P,
        options: PortOptions<'_>,
    ) -> io::Result<Outbox<<P::Session as Session>::Reply>>
    where
        P: Protocol + 'static,
    {
        self.add(listener, protocol, options, true)
    }

    fn add<P>(
        &mut self,
        listener: TcpListener,
        protocol: P,
        options: PortOptions<'_>,
        watches: bool,
    ) -> io::Result<Outbox<<P::Session as Session>::Reply>>
    where
        P: Protocol + 'static,
    {
        let index = u8::try_from(self.ports.len()).ok().filter(|index| *index < WAKER_PORT);
        let index = index.ok_or_else(|| io::Error::other("too many ports on one loop"))?;
        let waker = Arc::clone(&self.waker);
        let (mailbox, outbox) = mailbox(move || wake(waker.wake()));
        let registry = self.poll.registry().try_clone()?;
        let ends = (mailbox, outbox.clone());
        let port = Port::new(index, registry, listener, protocol, ends, options)?;
        let wake_at = Some(self.lent.now);
        self.ports.push(Seat { port: Box::new(port), watches, has_work: false, wake_at });
        Ok(outbox)
    }

    /// Runs until the control says stop, or drain and nothing is left.
    pub fn run(mut self) -> io::Result<()> {
        let mut events = Events::with_capacity(EVENTS_PER_TURN_MAX);
        loop {
            if !self.goes_on() {
                // Says nothing new, but wakes the loop whose ports watch until all others are done.
                self.options.control.drain();
                return Ok(());
            }
            match self.poll.poll(&mut events, self.timeout()) {
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                result => result?,
            }
            self.tell_time();
            self.lent.stats.turns.add(1);
            let mut woken = false;
            for event in &events {
                woken |= self.dispatch(event);
            }
            for seat in &mut self.ports {
                if woken {
                    seat.port.deliver(&mut self.lent);
                }
                let is_due = seat.wake_at.is_some_and(|at| at <= self.lent.now);
                if woken || is_due || seat.has_work {
                    seat.turn(&mut self.lent);
                }
            }
        }
    }

    /// Tells the port concerned; true when it was the waker.
    fn dispatch(&mut self, event: &Event) -> bool {
        let (port, id) = parts(event.token());
        if port == WAKER_PORT {
            return true;
        }
        let seat = &mut self.ports[usize::from(port)];
        seat.has_work = true;
        if id.slot == LISTENER_SLOT {
            seat.port.accept_pending();
        } else {
            seat.port.ready(
                id,
                Readiness {
                    readable: event.is_readable(),
                    writable: event.is_writable(),
                    read_closed: event.is_read_closed(),
                    reset: event.is_write_closed() || event.is_error(),
                },
            );
        }
        false
    }

    /// `None` sleeps until an event.
    fn timeout(&self) -> Option<Duration> {
        if self.ports.iter().any(|seat| seat.has_work) {
            return Some(Duration::ZERO);
        }
        let ports = self.ports.iter().filter_map(|seat| seat.wake_at);
        let wake_at = ports.chain(self.drain_until).min()?;
        // Counted from the start of the last turn, so a little late, and one clock read less.
        Some(wake_at.saturating_duration_since(self.lent.now))
    }

    /// Looks at the control; false when the loop is done.
    fn goes_on(&mut self) -> bool {
        let phase = self.options.control.phase();
        if phase == RunPhase::Running {
            return true;
        }
        self.tell_time();
        if self.drain_until.is_none() {
            self.drain_until = Some(self.lent.now + self.options.drain_timeout);
            self.drain(false);
        }
        let late = self.drain_until.is_some_and(|until| until <= self.lent.now);
        let ends = phase == RunPhase::Stopped || late;
        let others = || self.ports.iter().filter(|seat| !seat.watches);
        let is_watched = !ends && others().any(|seat| !seat.port.is_idle());
        if !is_watched && !std::mem::replace(&mut self.watchers_drain, true) {
            self.drain(true);
        }
        if ends {
            for seat in &mut self.ports {
                seat.port.close_all(&mut self.lent);
            }
        }
        self.ports.iter().any(|seat| (seat.watches && is_watched) || !seat.port.is_empty())
    }

    fn drain(&mut self, watchers: bool) {
        for seat in self.ports.iter_mut().filter(|seat| seat.watches == watchers) {
            seat.port.drain(&mut self.lent);
            seat.ask();
        }
    }

    /// Reads the clock once for the whole turn.
    fn tell_time(&mut self) {
        self.lent.now = Instant::now();
        if self.lent.now >= self.date_until {
            let wall = SystemTime::now();
            self.lent.date = http_date(wall);
            let past = wall.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
            let rest = Duration::from_nanos(1_000_000_000 - u64::from(past.subsec_nanos()));
            self.date_until = self.lent.now + rest;
        }
    }
}

fn http_date(wall: SystemTime) -> HttpDate {
    let mut date = [b' '; 29];
    let written = write!(&mut date[..], "{}", httpdate::HttpDate::from(wall));
    debug_assert!(written.is_ok(), "an IMF-fixdate has 29 characters");
    date
}

/// Stands for no connection, in tokens of other things.
const NOBODY: ConnId = ConnId { slot: 0, generation: 0 };

/// The token of a port's listener.
pub(super) fn listener_token(port: u8) -> Token {
    token(port, ConnId { slot: LISTENER_SLOT, generation: 0 })
}

/// The generation is in the token, so an event that was queued for a closed socket finds nobody.
pub(super) fn token(port: u8, id: ConnId) -> Token {
    debug_assert!(id.slot <= LISTENER_SLOT, "the table holds no more");
    let high = u64::from(port) << 24 | u64::from(id.slot);
    let bits = high << 32 | u64::from(id.generation);
    Token(usize::try_from(bits).expect("built for machines with 64 bits"))
}

#[expect(clippy::cast_possible_truncation, reason = "the parts of a 64-bit token")]
fn parts(token: Token) -> (u8, ConnId) {
    let bits = token.0 as u64;
    let slot = (bits >> 32) as u32 & LISTENER_SLOT;
    ((bits >> 56) as u8, ConnId { slot, generation: bits as u32 })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_names_port_slot_and_generation() {
        for port in [0, 7, WAKER_PORT] {
            for slot in [0, 1, LISTENER_SLOT] {
                for generation in [0, 9, u32::MAX] {
                    let id = ConnId { slot, generation };
                    assert_eq!(parts(token(port, id)), (port, id));
                }
            }
        }
    }

    #[test]
    fn the_date_is_an_imf_fixdate() {
        let wall = SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_777);
        assert_eq!(&http_date(wall), b"Sun, 06 Nov 1994 08:49:37 GMT");
    }
}
