//! One listener, its protocol and its connections: the part of a loop that knows the protocol.

use super::acceptor::Acceptor;
use super::connection::{Connection, Lent, Verdict};
use super::event_loop::{listener_token, token};
use super::groups::Groups;
use super::refusals::Refusals;
use super::slots::Slots;
use super::stats::ConnectionLimit;
use super::timers::{Entry, Filed, Timers};
use super::topics::{SignalGate, Topics};
use crate::exec::{Delivery, Mailbox, Notifier, Outbox};
use crate::limits::{
    ACCEPTS_PER_TURN_MAX, EXPIRIES_PER_TURN_MAX, LISTEN_BACKLOG, PUSHES_PER_TURN_MAX,
};
use crate::session::{ConnId, Group, HttpDate, Session, Turn};
use mio::net::TcpStream;
use mio::{Interest, Registry};
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Makes the sessions of one port. Lives on its loop's thread.
pub trait Protocol {
    /// The conversation it starts.
    type Session: Session;

    /// Starts a conversation. It may write already, and subscribe.
    fn open(
        &mut self,
        conn: ConnId,
        peer: SocketAddr,
        outbox: &Outbox<<Self::Session as Session>::Reply>,
        turn: &mut Turn<'_>,
    ) -> Self::Session;

    /// What a connection over the limit gets before it is closed.
    fn refusal(&self, date: &HttpDate) -> Vec<u8>;
}

/// How a port runs.
pub struct PortOptions<'a> {
    /// Shared by this port of all loops.
    pub limit: Arc<ConnectionLimit>,
    /// A peer that takes no byte for so long is closed.
    pub write_timeout: Duration,
    /// Where topics' changes are announced; `None` for a protocol without subscriptions.
    pub notifier: Option<&'a Notifier>,
}

/// What the kernel said about a connection.
#[derive(Clone, Copy)]
#[expect(clippy::struct_excessive_bools, reason = "each is one bit of epoll's answer")]
pub(super) struct Readiness {
    pub(super) readable: bool,
    pub(super) writable: bool,
    pub(super) read_closed: bool,
    pub(super) reset: bool,
}

/// A port of any protocol, as the loop sees it.
pub(super) trait AnyPort {
    /// The listener has connections.
    fn accept_pending(&mut self);
    /// A connection has become ready.
    fn ready(&mut self, id: ConnId, readiness: Readiness);
    /// Takes what workers posted.
    fn deliver(&mut self, lent: &mut Lent);
    /// Does what has come up, within the budget of a turn.
    fn turn(&mut self, lent: &mut Lent);
    /// True when the next turn must not wait.
    fn has_work(&self) -> bool;
    /// The latest time of the next turn.
    fn wake_at(&self) -> Option<Instant>;
    /// Stops accepting and lets the sessions finish.
    fn drain(&mut self, lent: &mut Lent);
    /// Closes what is left.
    fn close_all(&mut self, lent: &mut Lent);
    /// True without connections.
    fn is_empty(&self) -> bool;
    /// True when this port has none on any loop.
    fn is_idle(&self) -> bool;
}

type Reply<P> = <<P as Protocol>::Session as Session>::Reply;

pub(super) struct Port<P: Protocol> {
    index: u8,
    registry: Registry,
    protocol: P,
    /// `None` once draining.
    acceptor: Option<Acceptor>,
    refusals: Refusals,
    limit: Arc<ConnectionLimit>,
    write_timeout: Duration,
    connections: Slots<Connection<P::Session>>,
    mailbox: Mailbox<Reply<P>>,
    outbox: Outbox<Reply<P>>,
    /// What was taken from the mailbox; empty between turns, its memory is kept.
    delivered: Vec<Delivery<Reply<P>>>,
    topics: Topics,
    groups: Groups<Reply<P>>,
    timers: Timers,
    /// Fired, not handled yet.
    due: Vec<Entry>,
    /// Connections to move in this turn, each once, by its flag.
    ready: Vec<ConnId>,
}

impl<P: Protocol> Port<P> {
    pub(super) fn new(
        index: u8,
        registry: Registry,
        listener: TcpListener,
        protocol: P,
        (mailbox, outbox): (Mailbox<Reply<P>>, Outbox<Reply<P>>),
        options: PortOptions<'_>,
    ) -> io::Result<Self> {
        let mut acceptor = Acceptor::new(mio::net::TcpListener::from_std(listener));
        let interest = Interest::READABLE;
        registry.register(acceptor.listener_mut(), listener_token(index), interest)?;
        let gate = Arc::new(SignalGate::new());
        if let Some(notifier) = options.notifier {
            let (gate, outbox) = (Arc::clone(&gate), outbox.clone());
            notifier.join(move |signal| {
                if gate.announce(signal) {
                    outbox.post(Delivery::Changed(signal));
                }
            });
        }
        Ok(Self {
            index,
            registry,
            protocol,
            acceptor: Some(acceptor),
            refusals: Refusals::default(),
            limit: options.limit,
            write_timeout: options.write_timeout,
            connections: Slots::new(),
            mailbox,
            outbox,
            delivered: Vec::new(),
            topics: Topics::new(gate),
            groups: Groups::default(),
            timers: Timers::new(Instant::now()),
            due: Vec::new(),
            ready: Vec::new(),
        })
    }

    fn accept(&mut self, lent: &mut Lent, accepts_max: usize) {
        let Some(mut acceptor) = self.acceptor.take_if(|acceptor| acceptor.is_due(lent.now)) else {
            return;
        };
        for _ in 0..accepts_max {
            let next = acceptor.next(lent.now, &lent.stats, || self.protocol.refusal(&lent.date));
            let Some((stream, peer)) = next else { break };
            if self.limit.take() {
                self.open(stream, peer, lent);
            } else {
                lent.stats.refused.add(1);
                let refusal = self.protocol.refusal(&lent.date);
                self.refusals.refuse(stream, &refusal, lent.now);
            }
        }
        self.acceptor = Some(acceptor);
    }

    fn open(&mut self, stream: TcpStream, peer: SocketAddr, lent: &mut Lent) {
        let (protocol, outbox) = (&mut self.protocol, &self.outbox);
        let mut out = lent.lend();
        let connections = &mut self.connections;
        let opened = guarded(|| {
            connections.insert(|id| {
                let mut turn = Turn {
                    now: lent.now,
                    date: &lent.date,
                    out: &mut out.queue,
                    subscriptions: &mut lent.subscriptions,
                };
                let session = protocol.open(id, peer, outbox, &mut turn);
                Connection::new(stream, session, out)
            })
        });
        let Some(Some(id)) = opened else {
            // It panicked, or the table is full; the socket is closed already.
            lent.stats.panicked.add(usize::from(opened.is_none()));
            lent.subscriptions.clear();
            self.limit.give_back(1);
            return;
        };
        lent.stats.accepted.add(1);
        lent.stats.open.add(1);
        let connection = self.connections.get_mut(id).expect("just inserted");
        // A fresh socket has room, and an event that says so would cost a connection's only request
        // a second look.
        let stream = connection.stream_mut();
        if let Err(error) =
            self.registry.register(stream, token(self.index, id), Interest::READABLE)
        {
            tracing::error!(%error, "cannot watch a connection");
            self.close(id, lent);
            return;
        }
        self.touch(id, lent, |_, _| ());
    }

    /// Lets something happen to a connection, and has it moved in this turn.
    fn touch(
        &mut self,
        id: ConnId,
        lent: &mut Lent,
        step: impl FnOnce(&mut Connection<P::Session>, &mut Lent),
    ) {
        let Some(connection) = self.connections.get_mut(id) else { return };
        if guarded(|| step(connection, lent)).is_none() {
            connection.broken = true;
            lent.stats.panicked.add(1);
        }
        if !std::mem::replace(&mut connection.queued, true) {
            self.ready.push(id);
        }
        self.subscribe(id, lent);
    }

    #[inline]
    fn subscribe(&mut self, id: ConnId, lent: &mut Lent) {
        if !lent.subscriptions.is_empty() {
            self.follow(id, lent);
        }
    }

    #[cold]
    fn follow(&mut self, id: ConnId, lent: &mut Lent) {
        for topic in lent.subscriptions.drain(..) {
            self.topics.follow(id, topic, lent.now);
        }
        if let Some(connection) = self.connections.get_mut(id) {
            connection.subscribed = true;
        }
    }

    /// Moves every connection that something happened to. Reads first, then writes once all that
    /// has become ready, whatever made it so.
    fn pump(&mut self, lent: &mut Lent) {
        let mut ready = std::mem::take(&mut self.ready);
        for id in ready.drain(..) {
            let Some(connection) = self.connections.get_mut(id) else { continue };
            connection.queued = false;
            let verdict = guarded(|| connection.pump(lent)).unwrap_or_else(|| {
                lent.stats.panicked.add(1);
                Verdict::Close
            });
            if verdict == Verdict::Close || !watch_room(&self.registry, self.index, id, connection)
            {
                lent.subscriptions.clear();
                self.close(id, lent);
                continue;
            }
            if verdict == Verdict::Again {
                connection.queued = true;
                self.ready.push(id);
            }
            file(&mut self.timers, connection, id, self.write_timeout);
            self.subscribe(id, lent);
        }
        // Keep the longer list's memory for the next turn.
        if self.ready.is_empty() {
            self.ready = ready;
        }
    }

    fn expire(&mut self, lent: &mut Lent) {
        self.timers.advance(lent.now, &mut self.due);
        let rest = self.due.len().saturating_sub(EXPIRIES_PER_TURN_MAX);
        for entry in self.due.split_off(rest) {
            let Some(connection) = self.connections.get_mut(entry.id) else { continue };
            if connection.filed.is_none_or(|filed| filed.tick != entry.tick) {
                continue; // It was filed anew for an earlier time.
            }
            connection.filed = None;
            if connection.deadline(self.write_timeout).is_none_or(|at| at > lent.now) {
                file(&mut self.timers, connection, entry.id, self.write_timeout);
                continue;
            }
            let write_timeout = self.write_timeout;
            let mut verdict = Verdict::Wait;
            self.touch(entry.id, lent, |connection, lent| {
                verdict = connection.expire(lent, write_timeout);
            });
            if verdict == Verdict::Close {
                self.close(entry.id, lent);
            }
        }
    }

    fn push(&mut self, lent: &mut Lent) {
        // A topic that panics is looked at again when it is announced, or in a second.
        let _ = guarded(|| self.topics.look(lent.now));
        for _ in 0..PUSHES_PER_TURN_MAX {
            let Some(push) = self.topics.next_push() else { return };
            self.touch(push.conn, lent, |connection, lent| {
                connection.call(lent, |session, turn| {
                    session.pushed(&push.topic, &push.event, turn);
                });
            });
        }
    }

    /// Passes on what groups are told, to as many members as a turn has time for.
    fn tell(&mut self, lent: &mut Lent) {
        for _ in 0..PUSHES_PER_TURN_MAX {
            let Some((conn, reply)) = self.groups.next_telling() else { return };
            self.complete(conn, reply, lent);
        }
    }

    /// The client may have left meanwhile; then nobody waits for this reply.
    fn complete(&mut self, conn: ConnId, reply: Reply<P>, lent: &mut Lent) {
        self.touch(conn, lent, |connection, lent| {
            connection.call(lent, |session, turn| session.complete(reply, turn));
        });
    }

    fn join(&mut self, conn: ConnId, group: Group) {
        if let Some(connection) = self.connections.get_mut(conn) {
            connection.grouped = true;
            self.groups.join(conn, group);
        }
    }

    fn close(&mut self, id: ConnId, lent: &mut Lent) {
        // Dropping the socket takes it out of epoll as well.
        let Some(connection) = self.connections.remove(id) else { return };
        if connection.subscribed {
            self.topics.leave(id);
        }
        if connection.grouped {
            self.groups.leave_all(id);
        }
        self.limit.give_back(1);
        lent.stats.open.subtract(1);
    }
}

impl<P: Protocol> AnyPort for Port<P> {
    fn accept_pending(&mut self) {
        if let Some(acceptor) = &mut self.acceptor {
            acceptor.set_pending();
        }
    }

    fn ready(&mut self, id: ConnId, readiness: Readiness) {
        let Some(connection) = self.connections.get_mut(id) else { return };
        connection.readable |= readiness.readable || readiness.read_closed;
        connection.writable |= readiness.writable;
        connection.read_closed |= readiness.read_closed;
        connection.reset |= readiness.reset;
        if !std::mem::replace(&mut connection.queued, true) {
            self.ready.push(id);
        }
    }

    fn deliver(&mut self, lent: &mut Lent) {
        let mut delivered = std::mem::take(&mut self.delivered);
        delivered.extend(self.mailbox.drain());
        for delivery in delivered.drain(..) {
            match delivery {
                Delivery::Reply { conn, reply } => self.complete(conn, reply, lent),
                Delivery::Changed(signal) => self.topics.changed(signal),
                Delivery::Join { conn, group } => self.join(conn, group),
                Delivery::Leave { conn, group } => self.groups.leave(conn, group),
                Delivery::Tell { group, reply } => self.groups.tell(group, reply),
            }
        }
        self.delivered = delivered;
    }

    fn turn(&mut self, lent: &mut Lent) {
        self.accept(lent, ACCEPTS_PER_TURN_MAX);
        self.refusals.look(lent.now);
        self.expire(lent);
        self.push(lent);
        self.tell(lent);
        self.pump(lent);
    }

    fn has_work(&self) -> bool {
        !self.ready.is_empty()
            || !self.due.is_empty()
            || self.topics.is_pushing()
            || self.groups.is_telling()
            || self.acceptor.as_ref().is_some_and(Acceptor::is_pending)
    }

    fn wake_at(&self) -> Option<Instant> {
        let retry = self.acceptor.as_ref().and_then(Acceptor::retry_at);
        let others = [retry, self.refusals.next_look(), self.topics.wake_at()];
        others.into_iter().flatten().chain(self.timers.next()).min()
    }

    fn drain(&mut self, lent: &mut Lent) {
        // A listener that closes resets what waits in its backlog: take that first.
        self.accept_pending();
        self.accept(lent, usize::try_from(LISTEN_BACKLOG).unwrap_or(usize::MAX));
        self.acceptor = None;
        // What has reached the socket counts as in flight, whether its event was seen or not.
        let ids: Vec<ConnId> = self.connections.ids().collect();
        for id in &ids {
            self.touch(*id, lent, |connection, _| connection.readable = true);
        }
        self.pump(lent);
        for id in ids {
            self.touch(id, lent, |connection, lent| connection.call(lent, Session::drain));
        }
        self.pump(lent);
    }

    fn close_all(&mut self, lent: &mut Lent) {
        let ids: Vec<ConnId> = self.connections.ids().collect();
        for id in ids {
            self.close(id, lent);
        }
    }

    fn is_empty(&self) -> bool {
        self.connections.len() == 0
    }

    fn is_idle(&self) -> bool {
        self.limit.open() == 0
    }
}

/// Has the kernel tell of room from the first time on that a peer was too slow for us; it tells at
/// once if there is some by now. False when it refuses.
fn watch_room<S: Session>(
    registry: &Registry,
    port: u8,
    id: ConnId,
    connection: &mut Connection<S>,
) -> bool {
    if !connection.needs_room_watched() {
        return true;
    }
    connection.watches_room = true;
    let interest = Interest::READABLE | Interest::WRITABLE;
    let asked = registry.reregister(connection.stream_mut(), token(port, id), interest);
    asked.inspect_err(|error| tracing::error!(%error, "cannot watch a connection")).is_ok()
}

/// Sees to it that the connection is looked at when its deadline passes. A deadline that only
/// moved away costs one comparison.
fn file<S: Session>(
    timers: &mut Timers,
    connection: &mut Connection<S>,
    id: ConnId,
    write_timeout: Duration,
) {
    let Some(deadline) = connection.deadline(write_timeout) else { return };
    if connection.filed.is_none_or(|filed| deadline < filed.deadline) {
        let tick = timers.tick_after(deadline);
        connection.filed = Some(Filed { tick, deadline });
        timers.file(id, tick);
    }
}

/// Runs code of a session or topic. `None` when it panicked: a bug of ours costs one connection.
fn guarded<T>(step: impl FnOnce() -> T) -> Option<T> {
    // Unwind safety: the connection is closed and its session never called again.
    let result = catch_unwind(AssertUnwindSafe(step));
    if result.is_err() {
        tracing::error!("a session or topic panicked");
    }
    result.ok()
}
