//! Runs one node: a thread that carries out its commands on the lanes and tells it what happened.
//!
//! It never waits for a server: what blocks is done by the threads of the lanes, which send back
//! what came of it. What sends nothing back in time has failed, as far as the node is concerned.

mod redis_side;
mod tickets;

use super::document::JournalDocument;
use super::figures::Figures;
use super::lanes::Lanes;
use super::link::{Link, LinkState};
use super::message::{Command, Event, Now, Op, Outcome};
use super::mongo_record::MongoRecord;
use super::node::Node;
use super::scripts::ViewScripts;
use super::tuning::Tuning;
use crate::exec::ring_once;
use crate::store::Clock;
use crate::store::mongo::{Mongo, MongoError};
use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, unbounded};
use redis_side::{RedisSide, Spoken};
use std::collections::hash_map::RandomState;
use std::collections::{HashMap, VecDeque};
use std::hash::BuildHasher;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::{Builder, JoinHandle};
use std::time::{Duration, Instant};
use tickets::Tickets;

/// What is taken from the inbox in one turn.
const INPUTS_PER_TURN_MAX: usize = 1_024;

/// Between two turns in which nothing happens.
const TURN: Duration = Duration::from_millis(20);

/// Until a failure is told: who asks again at once would spin.
const FAILURE_PAUSE: Duration = Duration::from_millis(50);

/// Between two lines about the same trouble.
const COMPLAINT_PAUSE: Duration = Duration::from_secs(1);

/// What a last word to the record may take.
const LEAVE_PATIENCE: Duration = Duration::from_secs(2);

/// Receives what became of a request, once, on the driver's thread; must not block.
pub type Answered<T> = Box<dyn FnOnce(Outcome<T>) + Send>;

/// Writes something down in `MongoDB`, blocking a thread of the lane.
pub type LastWords = Box<dyn Fn(&Mongo) -> Result<(), MongoError> + Send>;

/// How a domain is to be driven.
pub struct DriverOptions<T: JournalDocument> {
    /// The thread's name.
    pub name: &'static str,
    /// Sizes and times.
    pub tuning: Tuning,
    /// How many rounds may be under way at once; none for a process that only recovers.
    pub writers: usize,
    /// After that a request is answered as unavailable, whatever becomes of it.
    pub deadline: Duration,
    /// After that a command to the record has failed.
    pub op_patience: Duration,
    /// Makes the rules of documents and rows: once, and again for each new name of the process.
    pub rules: Box<dyn Fn() -> T::Rules + Send>,
    /// Tells the second on the wall.
    pub clock: Arc<dyn Clock>,
    /// Called every few dozen milliseconds; must not block. For what the domain does by the clock,
    /// such as telling readers that they have waited long enough.
    pub on_turn: Box<dyn FnMut(Instant) + Send>,
    /// What the domain writes down when the process ends in peace.
    pub last_words: LastWords,
}

enum Input<T: JournalDocument> {
    Ask { draft: T, answered: Answered<T>, at: Instant },
    Record { life: u64, op: Op, event: Result<Event<T>, MongoError> },
    View(Spoken<T>),
    Outdated,
    Rebuild,
    Close,
}

/// A domain's way into its node. Dropping it ends the driver, in peace where that is possible.
pub struct Driver<T: JournalDocument> {
    inbox: Sender<Input<T>>,
    pending: Arc<AtomicUsize>,
    pending_max: usize,
    link: Arc<Link>,
    figures: Arc<Figures>,
}

impl<T: JournalDocument> Driver<T> {
    /// Starts the thread.
    pub fn start(
        lanes: &Lanes,
        record: MongoRecord<T>,
        scripts: Arc<dyn ViewScripts<T>>,
        options: DriverOptions<T>,
    ) -> io::Result<(Self, JoinHandle<()>)> {
        let (inbox, inputs) = unbounded();
        let pending = Arc::new(AtomicUsize::new(0));
        let pending_max = options.tuning.queue_asks_max;
        let link = Arc::new(Link::new(lanes.redis.clone()));
        let figures = Arc::new(Figures::default());
        let redis = RedisSide::new(lanes.redis.clone(), scripts);
        let (name, node) = (options.name, make_node(&options));
        let thread = Thread {
            node,
            options,
            lanes: lanes.clone(),
            record: Arc::new(record),
            redis,
            inputs,
            inbox: inbox.clone(),
            start: Instant::now(),
            life: 0,
            ops: HashMap::new(),
            later: VecDeque::new(),
            tickets: Tickets::new(Arc::clone(&pending)),
            link: Arc::clone(&link),
            figures: Arc::clone(&figures),
            was_fresh: None,
            next_turn: Instant::now(),
            complained: None,
            closing: None,
        };
        let handle = Builder::new().name(name.to_owned()).spawn(move || thread.run())?;
        Ok((Self { inbox, pending, pending_max, link, figures }, handle))
    }

    /// Wants `draft` in the journal; too many under way are unavailable at once. Never blocks.
    pub fn ask(&self, draft: T, answered: Answered<T>) {
        if self.pending.fetch_add(1, Ordering::Relaxed) >= self.pending_max {
            self.pending.fetch_sub(1, Ordering::Relaxed);
            return answered(Outcome::Unavailable);
        }
        let ask = Input::Ask { draft, answered, at: Instant::now() };
        if let Err(error) = self.inbox.send(ask)
            && let Input::Ask { answered, .. } = error.into_inner()
        {
            answered(Outcome::Unavailable);
        }
    }

    /// A read was told that another generation is current, or none.
    pub fn outdated(&self) {
        let _ = self.inbox.send(Input::Outdated);
    }

    /// Makes the view anew from the journal, beside the one that serves.
    pub fn rebuild(&self) {
        let _ = self.inbox.send(Input::Rebuild);
    }

    /// What reads must know of Redis.
    pub fn link(&self) -> &Arc<Link> {
        &self.link
    }

    /// For metrics.
    pub fn figures(&self) -> &Arc<Figures> {
        &self.figures
    }

    /// Requests without an answer; for metrics.
    pub fn pending(&self) -> usize {
        self.pending.load(Ordering::Relaxed)
    }
}

impl<T: JournalDocument> Drop for Driver<T> {
    fn drop(&mut self) {
        let _ = self.inbox.send(Input::Close);
    }
}

/// A command to the record without an answer.
struct Asked {
    at: Instant,
}

struct Thread<T: JournalDocument> {
    node: Node<T>,
    options: DriverOptions<T>,
    lanes: Lanes,
    record: Arc<MongoRecord<T>>,
    redis: RedisSide<T>,
    inputs: Receiver<Input<T>>,
    inbox: Sender<Input<T>>,
    start: Instant,
    /// Counts the names that this process has had: answers to an earlier one find nobody.
    life: u64,
    ops: HashMap<Op, Asked>,
    /// Failures that are told when their time has come.
    later: VecDeque<(Instant, Op)>,
    tickets: Tickets<T>,
    link: Arc<Link>,
    figures: Arc<Figures>,
    was_fresh: Option<Instant>,
    next_turn: Instant,
    complained: Option<Instant>,
    /// Until when the end may wait for what is under way.
    closing: Option<Instant>,
}

impl<T: JournalDocument> Thread<T> {
    fn run(mut self) {
        let mut events = Vec::new();
        let mut asks = Vec::new();
        loop {
            match self.inputs.recv_timeout(TURN) {
                Ok(first) => {
                    self.take(first, &mut events, &mut asks);
                    for _ in 1..INPUTS_PER_TURN_MAX {
                        let Ok(input) = self.inputs.try_recv() else { break };
                        self.take(input, &mut events, &mut asks);
                    }
                }
                Err(RecvTimeoutError::Timeout) => {}
                // We hold a sender ourselves.
                Err(RecvTimeoutError::Disconnected) => return,
            }
            self.turn(&mut events, &mut asks);
            if self.is_over() {
                return self.leave();
            }
        }
    }

    /// Sorts what came in.
    fn take(&mut self, input: Input<T>, events: &mut Vec<Event<T>>, asks: &mut Vec<(u64, T)>) {
        match input {
            Input::Ask { draft, answered, at } => {
                asks.push((self.tickets.open(answered, at), draft));
            }
            Input::Record { life, op, event } if life == self.life => {
                let Some(asked) = self.ops.remove(&op) else { return };
                self.figures.mongo.record_duration(asked.at.elapsed());
                match event {
                    Ok(event) => events.push(event),
                    Err(error) => {
                        self.complain(&error);
                        self.later.push_back((Instant::now() + FAILURE_PAUSE, op));
                    }
                }
            }
            Input::Record { .. } => {}
            Input::View(spoken) => {
                let answered = self.redis.heard(spoken, self.life, &self.figures);
                events.extend(answered);
            }
            Input::Outdated => events.extend(self.redis.outdated()),
            Input::Rebuild => events.push(Event::RebuildAsked),
            Input::Close => {
                self.closing.get_or_insert_with(|| Instant::now() + self.options.deadline);
            }
        }
    }

    /// What MongoDB refuses it refuses at every try: one line a second says enough.
    fn complain(&mut self, error: &MongoError) {
        let now = Instant::now();
        if let MongoError::Refused(why) = error
            && self.complained.is_none_or(|at| now >= at + COMPLAINT_PAUSE)
        {
            self.complained = Some(now);
            tracing::error!(why, "MongoDB refuses; trying again");
        }
    }

    /// One step of the node for each event, one for all that was asked, and what follows from it.
    fn turn(&mut self, events: &mut Vec<Event<T>>, asks: &mut Vec<(u64, T)>) {
        let instant = Instant::now();
        while self.later.front().is_some_and(|(due, _)| *due <= instant) {
            let failed = self.later.pop_front();
            events.extend(failed.map(|(_, op)| Event::Failed { op }));
        }
        let patience = self.options.op_patience;
        events.extend(
            self.ops
                .extract_if(|_, asked| instant >= asked.at + patience)
                .map(|(op, _)| Event::Failed { op }),
        );
        let post = self.post();
        events.extend(self.redis.look(instant, &post));
        let now = self.now();
        let mut out = Vec::new();
        for event in events.drain(..) {
            self.node.handle(now, event, &mut out);
        }
        self.node.ask(now, asks.drain(..), &mut out);
        ring_once(|| {
            for command in out {
                self.obey(command);
            }
        });
        self.tickets.expire(instant, self.options.deadline, &self.figures);
        self.publish(instant, now);
        if instant >= self.next_turn {
            self.next_turn = instant + TURN;
            (self.options.on_turn)(instant);
        }
    }

    fn now(&self) -> Now {
        let wall_s = self.options.clock.now_us().div_euclid(1_000_000);
        Now { mono: self.start.elapsed(), wall_s }
    }

    fn post(&self) -> Sender<Input<T>> {
        self.inbox.clone()
    }

    fn obey(&mut self, command: Command<T>) {
        match command {
            Command::Answer { ticket, outcome } => {
                if matches!(outcome, Outcome::Written { degraded: true, .. }) {
                    self.figures.degraded.add(1);
                }
                self.tickets.answer(ticket, outcome);
            }
            Command::Redis { op, conn, request } => {
                let post = self.post();
                self.redis.ask((self.life, op), conn, &request, &post);
            }
            Command::Retire => self.begin_anew(),
            command => self.ask_record(command),
        }
    }

    fn ask_record(&mut self, command: Command<T>) {
        let (Command::Insert { op, .. }
        | Command::SendBeat { op, .. }
        | Command::Look { op }
        | Command::ReadNewest { op, .. }
        | Command::ReadJournal { op, .. }
        | Command::Finish { op, .. }
        | Command::Settle { op, .. }
        | Command::TakeLease { op, .. }) = command
        else {
            return;
        };
        let mut send_by = Duration::MAX;
        if let Command::Insert { records, send_by: by, .. } = &command {
            self.figures.rounds.record(records.len() as u64);
            send_by = *by;
        }
        self.ops.insert(op, Asked { at: Instant::now() });
        let (record, inbox) = (Arc::clone(&self.record), self.post());
        let (life, process, start) = (self.life, self.node.process(), self.start);
        let task = Box::new(move |mongo: &Mongo| {
            let may_insert = || start.elapsed() < send_by;
            let event = record.execute(mongo, process, command, may_insert);
            let _ = inbox.send(Input::Record { life, op, event });
        });
        if self.lanes.mongo.submit(task).is_err() {
            self.ops.remove(&op);
            self.later.push_back((Instant::now() + FAILURE_PAUSE, op));
        }
    }

    /// Others took this process for gone: it goes on under names that nobody had.
    fn begin_anew(&mut self) {
        tracing::warn!("others took this process for gone; it goes on under a new name");
        self.figures.retired.add(1);
        self.life += 1;
        self.ops.clear();
        self.later.clear();
        self.node = make_node(&self.options);
        self.redis.disconnect();
    }

    /// Shows readers and operators how things stand.
    fn publish(&mut self, instant: Instant, now: Now) {
        let view = self.node.view().and_then(|(conn, generation)| {
            self.redis.changes_of(conn).map(|changes| (changes, generation))
        });
        let fresh_until = self.node.fresh_until();
        if fresh_until.is_some_and(|until| now.mono <= until) && view.is_some() {
            self.was_fresh = Some(instant);
        }
        let fresh_until = fresh_until.map(|until| self.start + until);
        self.link.set(LinkState { view, fresh_until, was_fresh: self.was_fresh });
        let figures = &self.figures;
        figures.lag_batches.store(self.node.lag(), Ordering::Relaxed);
        figures.is_behind.store(self.node.mode() == super::Mode::Behind, Ordering::Relaxed);
        figures.is_alive.store(self.node.is_alive(now.mono), Ordering::Relaxed);
        let (done, all) = self.node.rebuilding().unwrap_or_default();
        figures.rebuild[0].store(done, Ordering::Relaxed);
        figures.rebuild[1].store(all, Ordering::Relaxed);
        figures.rebuilt.add(self.node.take_rebuilt());
    }

    fn is_over(&self) -> bool {
        let Some(until) = self.closing else { return false };
        self.tickets.is_empty() && self.node.finals().is_some() || Instant::now() >= until
    }

    /// Says that this process writes no more, so that nobody has to wait until it counts as gone.
    fn leave(mut self) {
        self.tickets.give_up();
        let Some(finals) = self.node.finals() else { return };
        let (record, process) = (Arc::clone(&self.record), self.node.process());
        let last_words = self.options.last_words;
        let leave = move |mongo: &Mongo| {
            last_words(mongo).and_then(|()| record.leave(mongo, process, &finals))
        };
        if !matches!(self.lanes.ask_mongo(LEAVE_PATIENCE, leave), Some(Ok(()))) {
            tracing::warn!("the end could not be written down: others take over after a while");
        }
    }
}

fn make_node<T: JournalDocument>(options: &DriverOptions<T>) -> Node<T> {
    let writers: Vec<u64> = (0..options.writers).map(|_| random()).collect();
    Node::new(random(), &writers, random(), options.tuning, (options.rules)())
}

/// A name that nobody had: the standard library's hash keys are random, and never the same twice.
fn random() -> u64 {
    RandomState::new().hash_one(0)
}
