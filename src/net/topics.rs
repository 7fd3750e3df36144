//! Who follows what on one port: pushes the latest event of each topic, a few sessions at a time.

use crate::limits::{LOOKS_PER_TURN_MAX, TOPIC_INTERVAL, TOPIC_LOOK_INTERVAL};
use crate::session::{ConnId, Event, Signal, Topic};
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering, fence};
use std::time::Instant;

/// Which signals a port wants to hear of. Shared with the threads that announce.
pub(super) struct SignalGate {
    signals: Vec<Gate>,
}

#[derive(Default)]
struct Gate {
    /// Somebody follows a topic of this signal.
    wanted: AtomicBool,
    /// Posted and not taken yet: posting once more would say nothing new.
    posted: AtomicBool,
}

impl SignalGate {
    pub(super) fn new() -> Self {
        Self { signals: (0..=u8::MAX).map(|_| Gate::default()).collect() }
    }

    /// True when the announcement must be posted to the loop. On any thread.
    pub(super) fn announce(&self, signal: Signal) -> bool {
        // Pairs with the fence in `want`: either we see that it is wanted, or the loop, which
        // looks at the topic after that, sees what was published before this announcement.
        fence(Ordering::SeqCst);
        let gate = self.gate(signal);
        gate.wanted.load(Ordering::Relaxed) && !gate.posted.swap(true, Ordering::AcqRel)
    }

    fn want(&self, signal: Signal, wanted: bool) {
        self.gate(signal).wanted.store(wanted, Ordering::Relaxed);
        fence(Ordering::SeqCst);
    }

    /// Before looking at the topics: what is announced from here on is posted again.
    fn take(&self, signal: Signal) {
        self.gate(signal).posted.swap(false, Ordering::AcqRel);
    }

    fn gate(&self, signal: Signal) -> &Gate {
        &self.signals[usize::from(signal.0)]
    }
}

/// One session that is to hear of one event.
pub(super) struct Push {
    pub(super) conn: ConnId,
    pub(super) topic: Arc<dyn Topic>,
    pub(super) event: Event,
}

pub(super) struct Topics {
    gate: Arc<SignalGate>,
    /// By the address of the shared topic, which nobody else can have while we hold it.
    followed: HashMap<usize, Followed>,
    /// What each subscribed connection follows; others cost nothing.
    by_conn: HashMap<ConnId, Vec<usize>>,
    /// Topics whose event has not reached everybody, in turns.
    runs: VecDeque<usize>,
    /// When to look at all topics although no signal came.
    look_at_all: Option<Instant>,
    /// When to look at those that may have changed.
    look_at: Option<Instant>,
}

struct Followed {
    topic: Arc<dyn Topic>,
    /// In the order of joining; the dead are swept out when there are many.
    subscribers: Vec<ConnId>,
    alive: usize,
    /// The event that is being pushed, or was.
    event: Option<Event>,
    /// Where the run goes on, and how many subscribers have not had `event`.
    cursor: usize,
    remaining: usize,
    /// It may have changed since `event`.
    dirty: bool,
    /// Not before: at most 10 events a second.
    next_event_at: Instant,
}

impl Topics {
    pub(super) fn new(gate: Arc<SignalGate>) -> Self {
        Self {
            gate,
            followed: HashMap::new(),
            by_conn: HashMap::new(),
            runs: VecDeque::new(),
            look_at_all: None,
            look_at: None,
        }
    }

    pub(super) fn follow(&mut self, conn: ConnId, topic: Arc<dyn Topic>, now: Instant) {
        let key = Arc::as_ptr(&topic).cast::<()>().addr();
        let keys = self.by_conn.entry(conn).or_default();
        if keys.contains(&key) {
            return;
        }
        keys.push(key);
        let gate = &self.gate;
        let followed = self.followed.entry(key).or_insert_with(|| {
            gate.want(topic.signal(), true);
            Followed {
                topic,
                subscribers: Vec::new(),
                alive: 0,
                event: None,
                cursor: 0,
                remaining: 0,
                // It may have changed between the session's look at it and this.
                dirty: true,
                next_event_at: now,
            }
        });
        // A run that is under way ends with the newcomer; it has that event or an older one.
        followed.subscribers.push(conn);
        followed.alive += 1;
        if followed.remaining > 0 {
            followed.remaining += 1;
        }
        let look_at_all = *self.look_at_all.get_or_insert(now + TOPIC_LOOK_INTERVAL);
        let look_at = if followed.dirty { followed.next_event_at } else { look_at_all };
        self.look_at = Some(self.look_at.map_or(look_at, |at| at.min(look_at)));
    }

    pub(super) fn leave(&mut self, conn: ConnId) {
        for key in self.by_conn.remove(&conn).unwrap_or_default() {
            let followed = self.followed.get_mut(&key).expect("kept while it has a subscriber");
            followed.alive -= 1;
            if followed.alive == 0 {
                self.forget(key);
            } else if followed.subscribers.len() > 2 * followed.alive + 64 {
                let by_conn = &self.by_conn;
                followed.sweep(|id| by_conn.get(&id).is_some_and(|keys| keys.contains(&key)));
            }
        }
    }

    fn forget(&mut self, key: usize) {
        let Some(gone) = self.followed.remove(&key) else { return };
        let signal = gone.topic.signal();
        let wanted = self.followed.values().any(|followed| followed.topic.signal() == signal);
        self.gate.want(signal, wanted);
        self.runs.retain(|run| *run != key);
        if self.followed.is_empty() {
            self.look_at_all = None;
        }
        self.plan();
    }

    /// An announcement arrived.
    pub(super) fn changed(&mut self, signal: Signal) {
        self.gate.take(signal);
        for followed in self.followed.values_mut() {
            followed.dirty |= followed.topic.signal() == signal;
        }
        self.plan();
    }

    /// Asks the topics that may have changed for their event.
    pub(super) fn look(&mut self, now: Instant) {
        if self.look_at.is_none_or(|at| at > now) {
            return;
        }
        let all = self.look_at_all.is_some_and(|at| at <= now);
        if all {
            self.look_at_all = Some(now + TOPIC_LOOK_INTERVAL);
        }
        let mut due = Vec::new();
        for (key, followed) in &mut self.followed {
            followed.dirty |= all;
            if followed.dirty && followed.next_event_at <= now {
                due.push((followed.next_event_at, *key));
            }
        }
        if due.len() > LOOKS_PER_TURN_MAX {
            // Who has waited longest comes first, so that nobody waits for ever.
            due.select_nth_unstable(LOOKS_PER_TURN_MAX);
            due.truncate(LOOKS_PER_TURN_MAX);
        }
        for (_, key) in due {
            let followed = self.followed.get_mut(&key).expect("found a moment ago");
            let running = followed.remaining > 0;
            followed.look(now);
            if followed.remaining > 0 && !running {
                self.runs.push_back(key);
            }
        }
        // Those that are left are due, so the next turn comes at once.
        self.plan();
    }

    fn plan(&mut self) {
        let dirty = self.followed.values().filter(|followed| followed.dirty);
        let dirty = dirty.map(|followed| followed.next_event_at);
        self.look_at = dirty.chain(self.look_at_all).min();
    }

    /// When [`Topics::look`] will have something to do.
    pub(super) fn wake_at(&self) -> Option<Instant> {
        self.look_at
    }

    /// True while [`Topics::next_push`] has more to give.
    pub(super) fn is_pushing(&self) -> bool {
        !self.runs.is_empty()
    }

    /// Whom to tell next, and what. May name connections that are gone.
    pub(super) fn next_push(&mut self) -> Option<Push> {
        let key = *self.runs.front()?;
        let followed = self.followed.get_mut(&key).expect("a run ends with its topic");
        let push = followed.next_push();
        if followed.remaining == 0 {
            self.runs.pop_front();
        } else if followed.cursor.is_multiple_of(64) {
            self.runs.rotate_left(1);
        }
        push
    }
}

impl Followed {
    fn look(&mut self, now: Instant) {
        self.dirty = false;
        let event = self.topic.event();
        if self.event.as_ref().is_some_and(|last| last.version == event.version) {
            // Not before the others that wait, should it be announced again at once.
            self.next_event_at = now;
            return;
        }
        self.event = Some(event);
        self.next_event_at = now + TOPIC_INTERVAL;
        // Whoever has not had the last event skips it: the run goes round from where it is.
        self.remaining = self.subscribers.len();
    }

    fn next_push(&mut self) -> Option<Push> {
        if self.cursor >= self.subscribers.len() {
            self.cursor = 0;
        }
        let conn = *self.subscribers.get(self.cursor)?;
        self.cursor += 1;
        self.remaining -= 1;
        let event = self.event.clone()?;
        Some(Push { conn, topic: Arc::clone(&self.topic), event })
    }

    /// Forgets the dead. A run starts again; sessions ignore a version that they have.
    fn sweep(&mut self, mut is_alive: impl FnMut(ConnId) -> bool) {
        self.subscribers.retain(|id| is_alive(*id));
        self.cursor = 0;
        if self.remaining > 0 {
            self.remaining = self.subscribers.len();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::AtomicU64;
    use std::time::Duration;

    struct Number {
        signal: Signal,
        version: AtomicU64,
    }

    impl Topic for Number {
        fn signal(&self) -> Signal {
            self.signal
        }

        fn event(&self) -> Event {
            let version = self.version.load(Ordering::Relaxed);
            Event { version, bytes: Arc::default() }
        }
    }

    fn number(signal: u8) -> Arc<Number> {
        Arc::new(Number { signal: Signal(signal), version: AtomicU64::new(0) })
    }

    fn conn(slot: u32) -> ConnId {
        ConnId { slot, generation: 0 }
    }

    fn pushes(topics: &mut Topics, max: usize) -> Vec<(u32, u64)> {
        let pushes = std::iter::from_fn(|| topics.next_push()).take(max);
        pushes.map(|push| (push.conn.slot, push.event.version)).collect()
    }

    fn after(start: Instant, millis: u64) -> Instant {
        start + Duration::from_millis(millis)
    }

    #[test]
    fn the_first_change_goes_out_at_once_and_the_last_one_by_the_clock() {
        let (gate, start) = (Arc::new(SignalGate::new()), Instant::now());
        let mut topics = Topics::new(gate);
        let number = number(1);
        topics.follow(conn(0), Arc::clone(&number) as _, start);
        topics.look(start);
        assert_eq!(pushes(&mut topics, 9), [(0, 0)]);
        let mut seen = Vec::new();
        for millis in 200..500 {
            number.version.store(millis, Ordering::Relaxed);
            topics.changed(Signal(1));
            topics.look(after(start, millis));
            seen.extend(pushes(&mut topics, 9));
        }
        assert_eq!(seen, [(0, 200), (0, 300), (0, 400)]);
        let wake_at = topics.wake_at().expect("one change is not out");
        assert_eq!(wake_at, after(start, 500));
        topics.look(wake_at);
        assert_eq!(pushes(&mut topics, 9), [(0, 499)]);
    }

    /// Counts how often it is asked; always new.
    struct Counted(AtomicU64);

    impl Topic for Counted {
        fn signal(&self) -> Signal {
            Signal(1)
        }

        fn event(&self) -> Event {
            let version = self.0.fetch_add(1, Ordering::Relaxed);
            Event { version, bytes: Arc::from([]) }
        }
    }

    #[test]
    fn a_thousand_topics_are_asked_few_at_a_time_and_none_is_forgotten() {
        let (gate, start) = (Arc::new(SignalGate::new()), Instant::now());
        let mut topics = Topics::new(gate);
        let all: Vec<_> = (0..1_000).map(|_| Arc::new(Counted(AtomicU64::new(0)))).collect();
        for (topic, slot) in all.iter().zip(0..) {
            topics.follow(conn(slot), Arc::clone(topic) as _, start);
        }
        let asked = || all.iter().map(|topic| topic.0.load(Ordering::Relaxed)).sum::<u64>();
        let turns = 1_000 / LOOKS_PER_TURN_MAX as u64 + 1;
        for turn in 0..turns {
            let before = asked();
            // Slow turns: the first topics are due again before the last had theirs.
            topics.changed(Signal(1));
            topics.look(after(start, 20 * turn));
            assert!(asked() - before <= LOOKS_PER_TURN_MAX as u64);
            assert!(topics.wake_at().is_some_and(|at| at <= after(start, 20 * turn)));
        }
        assert!(all.iter().all(|topic| topic.0.load(Ordering::Relaxed) > 0), "one is forgotten");
    }

    #[test]
    fn a_newer_event_overtakes_one_that_is_still_going_out() {
        let (gate, start) = (Arc::new(SignalGate::new()), Instant::now());
        let mut topics = Topics::new(gate);
        let number = number(1);
        for slot in 0..5 {
            topics.follow(conn(slot), Arc::clone(&number) as _, start);
        }
        topics.look(start);
        assert_eq!(pushes(&mut topics, 2), [(0, 0), (1, 0)]);
        number.version.store(7, Ordering::Relaxed);
        topics.changed(Signal(1));
        topics.look(after(start, 100));
        assert_eq!(pushes(&mut topics, 9), [(2, 7), (3, 7), (4, 7), (0, 7), (1, 7)]);
        assert!(!topics.is_pushing());
    }

    #[test]
    fn many_who_leave_during_a_run_take_nothing_from_those_who_stay() {
        let (gate, start) = (Arc::new(SignalGate::new()), Instant::now());
        let mut topics = Topics::new(gate);
        let number = number(1);
        for slot in 0..300 {
            topics.follow(conn(slot), Arc::clone(&number) as _, start);
        }
        topics.look(start);
        pushes(&mut topics, 150);
        for slot in (0..300).filter(|slot| slot % 100 != 0) {
            topics.leave(conn(slot));
        }
        let mut told: Vec<u32> = pushes(&mut topics, 999).iter().map(|(slot, _)| *slot).collect();
        told.retain(|slot| slot % 100 == 0);
        assert!(told.contains(&200), "not told before: {told:?}");
        assert!(topics.followed.values().all(|followed| followed.subscribers.len() < 100));
    }

    #[test]
    fn a_signal_is_posted_only_when_wanted_and_once_until_taken() {
        let (gate, now) = (Arc::new(SignalGate::new()), Instant::now());
        let mut topics = Topics::new(Arc::clone(&gate));
        assert!(!gate.announce(Signal(1)), "nobody follows");
        topics.follow(conn(0), number(1) as _, now);
        assert!(!gate.announce(Signal(2)), "another signal");
        assert!(gate.announce(Signal(1)));
        assert!(!gate.announce(Signal(1)), "posted already");
        topics.changed(Signal(1));
        assert!(gate.announce(Signal(1)), "taken");
        topics.leave(conn(0));
        topics.changed(Signal(1));
        assert!(!gate.announce(Signal(1)), "nobody follows any more");
        assert_eq!(topics.wake_at(), None);
    }
}
