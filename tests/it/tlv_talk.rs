//! One TLV connection without a socket, and frames to talk to it with.

use fanfare::exec::{Delivery, Mailbox, mailbox};
use fanfare::session::{ConnId, Group, Phase, SendQueue, Session, Turn};
use fanfare::tlv::{Layout, Port, Router, Service, TlvReply, TlvSession, id};
use std::io::IoSlice;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::AtomicI64;
use std::time::Instant;

pub(crate) const LAYOUTS: [Layout; 2] = [Layout::Big, Layout::Little];

/// One connection with everything a loop would lend it, and a clock of its own.
pub(crate) struct Talk<S: Service = Router<()>> {
    pub(crate) session: TlvSession<S>,
    mailbox: Mailbox<TlvReply>,
    groups: Vec<Group>,
    pub(crate) out: SendQueue,
    pub(crate) now: Instant,
}

impl Talk {
    pub(crate) fn heartbeats() -> Self {
        Self::new(Router::new(), |port| port)
    }
}

impl<S: Service> Talk<S> {
    pub(crate) fn new(service: S, adapt: impl FnOnce(Port<S>) -> Port<S>) -> Self {
        let (mailbox, outbox) = mailbox(|| ());
        let uids = Arc::new(AtomicI64::new(41));
        let port = Rc::new(adapt(Port::new(service, outbox, uids)));
        let now = Instant::now();
        let session = TlvSession::new(ConnId { slot: 0, generation: 0 }, port, now);
        Self { session, mailbox, groups: Vec::new(), out: SendQueue::default(), now }
    }

    pub(crate) fn turn(
        &mut self,
        act: impl FnOnce(&mut TlvSession<S>, &mut Turn<'_>),
    ) -> &mut Self {
        let (now, mut subscriptions) = (self.now, Vec::new());
        let (out, date) = (&mut self.out, &[b' '; 29]);
        act(&mut self.session, &mut Turn { now, date, out, subscriptions: &mut subscriptions });
        self
    }

    pub(crate) fn receive(&mut self, bytes: &[u8]) -> &mut Self {
        assert!(self.session.wants_input(&self.out), "the loop would not read now");
        self.turn(|session, turn| session.received(bytes, turn))
    }

    pub(crate) fn hang_up(&mut self) -> &mut Self {
        self.turn(Session::recv_closed)
    }

    /// Lets time pass up to the session's deadline.
    pub(crate) fn expire(&mut self) -> &mut Self {
        self.now = self.session.deadline().expect("something is awaited");
        self.turn(Session::expired)
    }

    /// Hands over what workers posted.
    pub(crate) fn deliver(&mut self) -> &mut Self {
        let deliveries: Vec<_> = self.mailbox.drain().collect();
        for delivery in deliveries {
            match delivery {
                Delivery::Reply { reply, .. } => {
                    self.turn(|session, turn| session.complete(reply, turn));
                }
                Delivery::Tell { group, reply } if self.groups.contains(&group) => {
                    self.turn(|session, turn| session.complete(reply(), turn));
                }
                Delivery::Tell { .. } | Delivery::Changed(_) => {}
                Delivery::Join { group, .. } => self.groups.push(group),
                Delivery::Leave { group, .. } => self.groups.retain(|other| *other != group),
            }
        }
        self
    }

    /// Everything queued, taken by the peer at once; and what that makes room for.
    pub(crate) fn read(&mut self) -> Vec<u8> {
        let mut bytes = Vec::new();
        while !self.out.is_empty() {
            let mut slices = [IoSlice::new(&[]); 4];
            let used = self.out.gather(&mut slices);
            let before = bytes.len();
            bytes.extend(slices[..used].iter().flat_map(|slice| slice.iter().copied()));
            self.out.advance(bytes.len() - before);
            self.turn(Session::sent);
        }
        bytes
    }

    #[track_caller]
    pub(crate) fn check(&mut self, layout: Layout, expected: &[(u32, &str)]) {
        let bytes = self.read();
        let frames: Vec<_> = frames(layout, &bytes);
        let frames: Vec<_> = frames.iter().map(|(id, data)| (*id, data.as_str())).collect();
        assert_eq!(frames, expected);
    }

    #[track_caller]
    pub(crate) fn check_phase(&self, expected: Phase) {
        assert_eq!(self.session.phase(), expected);
        assert_eq!(self.session.wants_input(&self.out), expected == Phase::Open);
    }
}

pub(crate) fn header(layout: Layout, id: u32, length: u32) -> Vec<u8> {
    match layout {
        Layout::Big => [id.to_be_bytes(), length.to_be_bytes()].concat(),
        Layout::Little => [length.to_le_bytes(), id.to_le_bytes()].concat(),
    }
}

pub(crate) fn frame(layout: Layout, id: u32, data: &[u8]) -> Vec<u8> {
    let length = u32::try_from(data.len()).expect("small");
    [header(layout, id, length), data.to_vec()].concat()
}

pub(crate) fn frames(layout: Layout, mut bytes: &[u8]) -> Vec<(u32, String)> {
    let mut frames = Vec::new();
    while let Some((header, rest)) = bytes.split_first_chunk() {
        let header = layout.header(header);
        let (data, rest) = rest.split_at(header.length as usize);
        frames.push((header.id, String::from_utf8(data.to_vec()).expect("JSON is UTF-8")));
        bytes = rest;
    }
    assert!(bytes.is_empty(), "half a header was sent");
    frames
}

pub(crate) const WELCOME: (u32, &str) = (id::WELCOME, r#"{"uid":42}"#);
pub(crate) const BEAT: (u32, &str) = (id::HEARTBEAT, "{}");
