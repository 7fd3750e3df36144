//! One connection of the load: one user after the other snatches, opens and lists.

use super::words::{self, Envelope, Opened, Reply, Snatched, Wallet};
use super::{ANSWER_TIMEOUT, Users};
use crate::client::http::HttpConnection;
use crate::load::latencies::Latencies;
use serde::de::DeserializeOwned;
use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Instant;

/// Connections lost one after the other, before a visitor gives up.
const LOST_MAX: u32 = 10;

/// Wallets are asked for in pages of so many.
const PAGE: usize = 1_000;

/// What is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Call {
    Snatch,
    Open,
    List,
}

impl Call {
    pub(super) fn path(self) -> &'static str {
        match self {
            Call::Snatch => "/snatch",
            Call::Open => "/open",
            Call::List => "/get_wallet_list",
        }
    }
}

/// A packet that a user was told to have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Grant {
    pub(super) uid: i64,
    pub(super) envelope_id: i64,
    /// In fen; `None` when no answer to the opening came.
    pub(super) value_fen: Option<i64>,
}

/// What came out.
#[derive(Debug, Default)]
pub(super) struct Tally {
    pub(super) times: BTreeMap<Call, Latencies>,
    pub(super) codes: BTreeMap<(Call, u32), u64>,
    pub(super) grants: Vec<Grant>,
    /// Users whose snatch got no answer: it may have taken effect.
    pub(super) unknown: Vec<i64>,
    /// Openings without an answer.
    pub(super) unknown_opens: u64,
    /// What was wrong at once, the first of each visitor.
    pub(super) complaints: Vec<String>,
}

impl Tally {
    pub(super) fn add(&mut self, other: Self) {
        for (call, times) in &other.times {
            self.times.entry(*call).or_default().add(times);
        }
        for (key, count) in other.codes {
            *self.codes.entry(key).or_default() += count;
        }
        self.grants.extend(other.grants);
        self.unknown.extend(other.unknown);
        self.unknown_opens += other.unknown_opens;
        self.complaints.extend(other.complaints);
    }
}

/// See the module documentation.
pub(super) struct Visitor {
    address: SocketAddr,
    connection: HttpConnection,
    users: Users,
    tally: Tally,
}

impl Visitor {
    pub(super) fn connect(address: SocketAddr, users: Users) -> io::Result<Self> {
        let connection = HttpConnection::open(address, ANSWER_TIMEOUT)?;
        Ok(Self { address, connection, users, tally: Tally::default() })
    }

    /// Until `stop`; counts into `calls`.
    pub(super) fn run(mut self, calls: &AtomicU64, stop: &AtomicBool) -> io::Result<Tally> {
        let mut lost = 0;
        while !stop.load(Ordering::Relaxed) {
            let uid = self.users.pick();
            match self.visit(uid, calls) {
                Ok(()) => lost = 0,
                Err(error) if lost == LOST_MAX => return Err(error),
                Err(_) => {
                    lost += 1;
                    // A server that restarts refuses for a moment; the next round tries again.
                    if let Ok(connection) = HttpConnection::open(self.address, ANSWER_TIMEOUT) {
                        self.connection = connection;
                    }
                }
            }
        }
        Ok(self.tally)
    }

    /// Snatches, opens what it got, and looks whether the wallet shows it.
    fn visit(&mut self, uid: i64, calls: &AtomicU64) -> io::Result<()> {
        let user = format!("{{\"uid\":{uid}}}");
        let snatched: io::Result<Reply<Snatched>> = self.call(Call::Snatch, &user);
        if snatched.is_err() {
            self.tally.unknown.push(uid);
        }
        let snatched = snatched?;
        calls.fetch_add(1, Ordering::Relaxed);
        let Some(got) = snatched.data.filter(|_| snatched.code == 0) else { return Ok(()) };
        if got.cur_count < 1 || got.cur_count > got.max_count {
            self.complain(format!("user {uid} has packet {} of {}", got.cur_count, got.max_count));
        }
        let envelope_id = got.envelope_id;
        self.tally.grants.push(Grant { uid, envelope_id, value_fen: None });
        let packet = format!("{{\"uid\":{uid},\"envelope_id\":{envelope_id}}}");
        let opened: io::Result<Reply<Opened>> = self.call(Call::Open, &packet);
        if opened.is_err() {
            self.tally.unknown_opens += 1;
        }
        let opened = opened?;
        calls.fetch_add(1, Ordering::Relaxed);
        let Some(Opened { value }) = opened.data.filter(|_| opened.code == 0) else {
            return Ok(());
        };
        if let Some(grant) = self.tally.grants.last_mut() {
            grant.value_fen = Some(value);
        }
        let wallet: Reply<Wallet> = self.call(Call::List, &user)?;
        calls.fetch_add(1, Ordering::Relaxed);
        let shown = Envelope { id: envelope_id, value: Some(value), opened: true };
        if wallet.data.is_some_and(|wallet| !wallet.envelope_list.contains(&shown)) {
            self.complain(format!("the wallet of user {uid} lacks packet {envelope_id}"));
        }
        Ok(())
    }

    fn call<T: DeserializeOwned>(&mut self, call: Call, body: &str) -> io::Result<Reply<T>> {
        let start = Instant::now();
        let reply: Reply<T> = words::read(self.connection.post(call.path(), body)?)?;
        self.tally.times.entry(call).or_default().record(start.elapsed());
        *self.tally.codes.entry((call, reply.code)).or_default() += 1;
        Ok(reply)
    }

    fn complain(&mut self, what: String) {
        if self.tally.complaints.is_empty() {
            self.tally.complaints.push(what);
        }
    }
}

/// A user's whole wallet: what was opened is worth so much, and all packets.
pub(super) fn wallet(
    connection: &mut HttpConnection,
    uid: i64,
) -> io::Result<(i64, Vec<Envelope>)> {
    let mut envelopes = Vec::new();
    let mut before = String::new();
    loop {
        let body = format!("{{\"uid\":{uid},\"limit\":{PAGE}{before}}}");
        let reply: Reply<Wallet> = words::read(connection.post(Call::List.path(), &body)?)?;
        let Some(page) = reply.data else {
            let why = format!("the wallet of user {uid}: code {} {}", reply.code, reply.msg);
            return Err(io::Error::other(why));
        };
        envelopes.extend(page.envelope_list);
        match page.next {
            Some(next) => before = format!(",\"before\":{next}"),
            None => return Ok((page.amount, envelopes)),
        }
    }
}
