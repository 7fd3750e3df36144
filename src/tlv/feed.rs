//! Numbered frames that many connections follow, each from its own place and at its own pace.
//!
//! A feed has a record of its own somewhere; memory holds the newest frames. Who keeps up is sent
//! them from memory, who is further behind reads the record piece by piece, so that nothing piles up
//! for a client that reads slowly. News says only that there is more: it is told once until somebody
//! has looked, however much is published meanwhile.

use super::frame::Frame;
use super::responder::TlvReply;
use crate::exec::{Delivery, Outbox};
use crate::limits::FEED_FRAMES_MAX;
use crate::session::Group;
use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// A frame with its place in a feed; the next one has the next number.
#[derive(Clone, Debug)]
pub struct Numbered {
    /// Its place.
    pub seq: i64,
    /// What is sent.
    pub frame: Frame,
}

/// Gets a part of the record, once, on any thread; `None` when it cannot be read now.
pub type TakePage = Box<dyn FnOnce(Option<Vec<Numbered>>) + Send>;

/// What all feeds can be read from when memory does not go back far enough. No method blocks.
pub trait Record: Send + Sync {
    /// Looks up frames of the feed `key` behind the place `after`, oldest first and without gaps: some,
    /// not all that there are.
    fn read(&self, key: u64, after: i64, then: TakePage);
}

/// One feed.
pub struct Feed {
    key: u64,
    record: Arc<dyn Record>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// The newest frames. Invariant: their numbers have no gaps and end with `last`.
    recent: VecDeque<Numbered>,
    /// The number of the newest frame.
    last: i64,
    loops: Vec<Loop>,
}

/// One loop with followers.
struct Loop {
    outbox: Outbox<TlvReply>,
    followers: usize,
    /// News was posted, and nobody has looked since.
    told: bool,
}

/// What memory has for a follower.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Recent {
    /// It has everything.
    UpToDate,
    /// The taker had enough before the end.
    Stopped,
    /// The next frame is in the record only.
    Forgotten,
}

impl Feed {
    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing in here panics half way.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Its name among feeds.
    pub fn key(&self) -> u64 {
        self.key
    }

    pub(super) fn group(&self) -> Group {
        Group(self.key)
    }

    /// Adds frames, and tells the followers that there are some.
    pub fn publish(&self, frames: impl IntoIterator<Item = Numbered>) {
        let mut state = self.lock();
        for numbered in frames {
            if numbered.seq != state.last + 1 {
                // What is between is in the record.
                state.recent.clear();
            }
            state.last = numbered.seq;
            if state.recent.len() == FEED_FRAMES_MAX {
                state.recent.pop_front();
            }
            state.recent.push_back(numbered);
        }
        self.tell(state);
    }

    /// The record goes up to `seq`; what is new of it is in no memory.
    pub fn advance_to(&self, seq: i64) {
        let mut state = self.lock();
        if seq > state.last {
            state.recent.clear();
            state.last = seq;
            self.tell(state);
        }
    }

    fn tell(&self, mut state: MutexGuard<'_, State>) {
        let untold = state.loops.iter_mut().filter(|seat| !seat.told);
        let outboxes: Vec<_> = untold
            .map(|seat| {
                seat.told = true;
                seat.outbox.clone()
            })
            .collect();
        // A post may be a system call; nobody shall wait for that.
        drop(state);
        for outbox in outboxes {
            let reply = Arc::new(|| TlvReply::News);
            outbox.post(Delivery::Tell { group: self.group(), reply });
        }
    }

    /// Somebody of that loop has heard the news: what is published from here on is told again.
    pub(super) fn heard(&self, outbox: &Outbox<TlvReply>) {
        let mut state = self.lock();
        if let Some(seat) = state.loops.iter_mut().find(|seat| seat.outbox.is_same(outbox)) {
            seat.told = false;
        }
    }

    /// Hands the frames behind `after` to `take`, oldest first, until it says false.
    pub(super) fn each_after(&self, after: i64, take: impl FnMut(&Numbered) -> bool) -> Recent {
        let state = self.lock();
        if after >= state.last {
            return Recent::UpToDate;
        }
        let first = state.recent.front().map(|numbered| numbered.seq);
        let Some(skipped) = first.and_then(|first| usize::try_from(after + 1 - first).ok()) else {
            return Recent::Forgotten;
        };
        let all_taken = state.recent.iter().skip(skipped).all(take);
        if all_taken { Recent::UpToDate } else { Recent::Stopped }
    }

    pub(super) fn read(&self, after: i64, then: TakePage) {
        self.record.read(self.key, after, then);
    }
}

impl State {
    fn join(&mut self, outbox: &Outbox<TlvReply>) {
        match self.loops.iter_mut().find(|seat| seat.outbox.is_same(outbox)) {
            Some(seat) => seat.followers += 1,
            None => self.loops.push(Loop { outbox: outbox.clone(), followers: 1, told: false }),
        }
    }

    fn leave(&mut self, outbox: &Outbox<TlvReply>) {
        let Some(index) = self.loops.iter().position(|seat| seat.outbox.is_same(outbox)) else {
            return;
        };
        self.loops[index].followers -= 1;
        if self.loops[index].followers == 0 {
            self.loops.swap_remove(index);
        }
    }
}

/// The feeds that somebody follows, by key. Shared by all loops.
pub struct Feeds {
    record: Arc<dyn Record>,
    /// Held for a look-up by whoever comes, goes or publishes.
    by_key: Mutex<HashMap<u64, Arc<Feed>>>,
}

impl Feeds {
    /// Without followers.
    pub fn new(record: Arc<dyn Record>) -> Self {
        Self { record, by_key: Mutex::default() }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<u64, Arc<Feed>>> {
        self.by_key.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The feed of that key, if somebody follows it.
    pub fn get(&self, key: u64) -> Option<Arc<Feed>> {
        self.lock().get(&key).map(Arc::clone)
    }

    /// All that are followed.
    pub fn all(&self) -> Vec<Arc<Feed>> {
        self.lock().values().map(Arc::clone).collect()
    }

    /// Feeds that are followed; for metrics.
    pub fn len(&self) -> usize {
        self.lock().len()
    }

    /// True when nobody follows anything.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Counts a follower on the loop of `outbox`; true for the first of all loops.
    pub(super) fn join(&self, key: u64, outbox: &Outbox<TlvReply>) -> (Arc<Feed>, bool) {
        let mut by_key = self.lock();
        let fresh = || {
            let (record, state) = (Arc::clone(&self.record), Mutex::default());
            Arc::new(Feed { key, record, state })
        };
        let feed = Arc::clone(by_key.entry(key).or_insert_with(fresh));
        let mut state = feed.lock();
        let is_first = state.loops.is_empty();
        state.join(outbox);
        drop(state);
        (feed, is_first)
    }

    /// True when that was the last follower; then the feed is forgotten.
    pub(super) fn leave(&self, key: u64, outbox: &Outbox<TlvReply>) -> bool {
        let mut by_key = self.lock();
        let Some(feed) = by_key.get(&key) else { return false };
        let mut state = feed.lock();
        state.leave(outbox);
        let is_last = state.loops.is_empty();
        drop(state);
        if is_last {
            by_key.remove(&key);
        }
        is_last
    }
}
