//! What the parts of a node share while they handle one event.

use super::domain::JournalDraft;
use super::freshness::Freshness;
use super::message::{Command, Now, Op, RedisRequest};
use super::record::Stream;
use super::script::{Apply, Generation};
use super::tuning::Tuning;
use std::collections::HashMap;
use std::time::Duration;

/// Why something was asked.
#[derive(Clone, Debug)]
pub(super) enum Purpose<T: JournalDraft> {
    Insert { writer: usize },
    Beat { flag: bool, sent: Duration },
    Look { sent: Duration },
    NewestForPass,
    NewestOfDead { process: u64, number: u64 },
    NewestForRebuild,
    Journal { stream: Stream, after: u64, own: bool },
    JournalForRebuild { generation: Generation },
    Finish,
    TakeLease { sent: Duration },
    Apply { stream: Stream, own: bool, scripts: Vec<Apply<T::Row>> },
    Rebuild,
    Fences { sent: Duration },
}

/// Questions without an answer yet; each part asks a bounded number at a time.
#[derive(Debug)]
pub(super) struct Ops<T: JournalDraft> {
    next: Op,
    pending: HashMap<Op, Purpose<T>>,
}

impl<T: JournalDraft> Ops<T> {
    pub(super) fn new() -> Self {
        Self { next: 0, pending: HashMap::new() }
    }

    pub(super) fn open(&mut self, purpose: Purpose<T>) -> Op {
        self.next += 1;
        self.pending.insert(self.next, purpose);
        self.next
    }

    /// The purpose of an answer; `None` when nobody waits for it any more.
    pub(super) fn close(&mut self, op: Op) -> Option<Purpose<T>> {
        self.pending.remove(&op)
    }

    pub(super) fn any(&self, is: impl Fn(&Purpose<T>) -> bool) -> bool {
        self.pending.values().any(is)
    }

    /// What Redis was asked is void, and so is what a pass was to find in it: acknowledged since that
    /// was asked, and lost with the view that is gone, more may have been added to the journal.
    fn forget_view(&mut self) {
        self.pending.retain(|_, purpose| {
            use Purpose::{Apply, Fences, NewestForPass, Rebuild};
            !matches!(purpose, Apply { .. } | Rebuild | Fences { .. } | NewestForPass)
        });
    }
}

/// What is known of Redis.
#[derive(Debug, Default)]
pub(super) struct Link {
    pub(super) conn: Option<u64>,
    pub(super) generation: Option<Generation>,
    /// The generation of which Redis said that nobody has built it: it was emptied.
    pub(super) hollow: Option<Generation>,
    /// When connection or generation were first seen.
    pub(super) since: Duration,
    /// Fences are to be asked for.
    pub(super) wants_fences: bool,
}

/// The surroundings of a step.
pub(super) struct Context<'a, T: JournalDraft> {
    pub(super) now: Now,
    pub(super) process: u64,
    pub(super) tuning: &'a Tuning,
    pub(super) rules: &'a T::Rules,
    pub(super) ops: &'a mut Ops<T>,
    pub(super) out: &'a mut Vec<Command<T>>,
    pub(super) link: &'a mut Link,
    pub(super) freshness: &'a mut Freshness,
}

impl<T: JournalDraft> Context<'_, T> {
    /// Connection or generation changed: every answer that is under way speaks of the old ones.
    pub(super) fn relink(&mut self, conn: Option<u64>, generation: Option<Generation>) {
        self.ops.forget_view();
        self.freshness.forget();
        let (since, wants_fences) = (self.now.mono, generation.is_none());
        *self.link = Link { conn, generation, hollow: None, since, wants_fences };
    }

    pub(super) fn redis(&mut self, purpose: Purpose<T>, request: RedisRequest<T>) {
        let conn = self.link.conn.expect("asked only while connected");
        let op = self.ops.open(purpose);
        self.out.push(Command::Redis { op, conn, request });
    }
}
