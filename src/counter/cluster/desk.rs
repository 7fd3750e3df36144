//! Takes writes from their lines into the journal, and answers them with what the counter then
//! stands at.
//!
//! A line goes round: look at the counter; answer the writes that are done, and decide on the next
//! ones; have their documents written; look again. So writes that come meanwhile go together, and
//! under load one look serves those before it and those behind.

use super::decide::{Plan, Step, decide};
use super::draft::{Draft, key_name};
use super::lines::{Group, Lines, Patience, Waiting};
use super::looks::{Looks, State};
use super::lookup;
use super::redis_view::shown;
use crate::calendar::Calendar;
use crate::cluster::{Driver, Ids, Lanes, Outcome};
use crate::counter::{Action, Counter, Id, Write, Written};
use crate::exec::{Answer, ring_once};
use crate::limits::COUNTER_TRIES_MAX;
use crate::store::lane::{Awaited, Watch};
use crate::store::mongo::Mongo;
use crate::store::{Clock, StoreError};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

type Right = Awaited<Result<Written, StoreError>>;

impl Patience for Right {
    fn is_over(&self) -> bool {
        self.is_late()
    }
}

type Writer = Waiting<Right>;

/// A write whose fate is known.
struct Done {
    writer: Writer,
    end: End,
}

enum End {
    /// It is told where the counter stands.
    Counted {
        correction: i64,
        replayed: bool,
        /// What it has just added: the count that the next one is told is so much further.
        delta: i128,
        /// The view does not hold it yet.
        degraded: bool,
    },
    /// It is told just this.
    Told(Result<Written, StoreError>),
}

/// What was heard of one document, or of one key.
enum Heard {
    Document(Outcome<Draft>),
    Key(Result<Option<Draft>, StoreError>),
}

/// A group on its way into the journal.
struct UnderWay {
    counter: Counter,
    writers: Vec<Writer>,
    steps: Vec<Step>,
    drafts: usize,
}

/// Shared by all loops.
pub(super) struct Desk {
    pub(super) lines: Mutex<Lines<Right>>,
    pub(super) looks: Arc<Looks>,
    pub(super) driver: Arc<Driver<Draft>>,
    pub(super) lanes: Lanes,
    pub(super) journal: Arc<str>,
    pub(super) ids: Arc<Ids>,
    pub(super) calendar: Calendar,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) watch: Watch,
}

impl Desk {
    /// Takes a write; `then` is called once, within the deadline of the watch.
    pub(super) fn write(self: &Arc<Self>, write: Write, then: Answer<Written>) {
        let right = self.watch.expect(move |written: Result<_, _>| {
            then(written.unwrap_or(Err(StoreError::Unavailable)));
        });
        let counter = write.counter.clone();
        self.lines().push(write, right);
        self.begin(&counter);
    }

    /// Never behind the newest document that this process made, whatever the machine's clock does.
    pub(super) fn now_s(&self) -> i64 {
        self.clock.now_us().max(self.ids.last_us()).div_euclid(1_000_000)
    }

    /// Writes that are not begun.
    pub(super) fn waiting(&self) -> usize {
        self.lines().len()
    }

    /// Begins to work at a line, unless somebody does.
    fn begin(self: &Arc<Self>, counter: &Counter) {
        let group = self.lines().begin(counter);
        if let Some(group) = group {
            self.go_on(counter.clone(), Vec::new(), group);
        }
    }

    /// Looks at the counter, for those who are done and for those who come next.
    fn go_on(self: &Arc<Self>, counter: Counter, done: Vec<Done>, group: Group<Right>) {
        let Group { writes, late } = group;
        self.release(&late);
        if writes.is_empty() && done.is_empty() {
            return;
        }
        let asked = (counter.clone(), users(&writes), self.now_s());
        let desk = Arc::clone(self);
        self.looks.look(&self.calendar, asked, move |state| {
            desk.answer(done, state.as_ref());
            match state {
                _ if writes.is_empty() => desk.look_again(counter),
                Some(state) => desk.decide(counter, &state, writes),
                None => desk.ask_journal(counter, writes),
            }
        });
    }

    /// Nobody came until those before were answered: perhaps somebody has by now.
    fn look_again(self: &Arc<Self>, counter: Counter) {
        let group = self.lines().next(&counter, false);
        self.go_on(counter, Vec::new(), group);
    }

    /// The view does not tell: the journal knows enough for most writes.
    fn ask_journal(self: &Arc<Self>, counter: Counter, writes: Vec<Writer>) {
        let desk = Arc::clone(self);
        let sent =
            self.lanes.run((counter, writes), move |mongo, (counter, writes)| match lookup::state(
                mongo,
                &desk.journal,
                &counter,
                &users(&writes),
            ) {
                Ok(state) => desk.decide(counter, &state, writes),
                Err(_) => desk.give_up(&counter, writes),
            });
        if let Err((counter, writes)) = sent {
            self.give_up(&counter, writes);
        }
    }

    /// Neither view nor journal can be asked: all who wait hear that.
    fn give_up(self: &Arc<Self>, counter: &Counter, writes: Vec<Writer>) {
        let rest = self.lines().give_up(counter);
        let unavailable = |writer| Done { writer, end: End::Told(Err(StoreError::Unavailable)) };
        self.answer(writes.into_iter().chain(rest).map(unavailable).collect(), None);
    }

    fn decide(self: &Arc<Self>, counter: Counter, state: &State, mut writers: Vec<Writer>) {
        let mut origins = || self.ids.next(self.clock.now_us());
        let asked = writers.iter().map(|writer| &writer.write);
        let Plan { drafts, steps } = decide(state, &counter, asked, &mut origins);
        let rest = writers.split_off(steps.len());
        self.lines().put_back(&counter, rest);
        // Without effect, but a retry of something that had one may be among them.
        let is_asked = |(writer, step): (&Writer, &Step)| {
            let has_draft = matches!(step, Step::Draft { .. });
            let key = writer.write.key.as_ref().filter(|_| !has_draft);
            key.map(|key| key_name(writer.write.path, key))
        };
        let keys: Vec<_> = writers.iter().zip(&steps).map(is_asked).collect();
        let under_way = UnderWay { counter, writers, steps, drafts: drafts.len() };
        if drafts.is_empty() && keys.iter().all(Option::is_none) {
            return self.without_effect(under_way, state);
        }
        self.send(under_way, drafts, keys);
    }

    /// Nothing is written: the look that decided it tells the count too.
    fn without_effect(self: &Arc<Self>, under_way: UnderWay, state: &State) {
        let UnderWay { counter, writers, steps, .. } = under_way;
        let done = writers.into_iter().zip(steps);
        let done = done.map(|(writer, step)| Done { writer, end: end_of(step) }).collect();
        self.answer(done, Some(state));
        self.look_again(counter);
    }

    /// Has all documents written and all keys looked up, and goes on when the last is heard of.
    fn send(self: &Arc<Self>, under_way: UnderWay, drafts: Vec<Draft>, keys: Vec<Option<String>>) {
        let mut heard: Vec<Option<Heard>> = Vec::new();
        heard.resize_with(drafts.len() + keys.len(), || None);
        let count = drafts.len() + keys.iter().flatten().count();
        let parts = Arc::new((AtomicUsize::new(count), Mutex::new((Some(under_way), heard))));
        let (desk, first_key) = (Arc::clone(self), drafts.len());
        let hear = move |at: usize, what: Heard| {
            let (left, state) = &*parts;
            let mut state = state.lock().unwrap_or_else(PoisonError::into_inner);
            state.1[at] = Some(what);
            if left.fetch_sub(1, Ordering::AcqRel) == 1 {
                let heard = std::mem::take(&mut state.1);
                let under_way = state.0.take();
                drop(state);
                if let Some(under_way) = under_way {
                    desk.written(under_way, heard);
                }
            }
        };
        for (at, draft) in drafts.into_iter().enumerate() {
            let hear = hear.clone();
            self.driver.ask(draft, Box::new(move |outcome| hear(at, Heard::Document(outcome))));
        }
        for (at, key) in keys.into_iter().enumerate() {
            let Some(key) = key else { continue };
            let (hear, journal) = (hear.clone(), Arc::clone(&self.journal));
            let look = move |mongo: &Mongo, hear: Box<dyn FnOnce(Heard) + Send>| {
                let found = lookup::by_key(mongo, &journal, &key);
                hear(Heard::Key(found.map_err(|_| StoreError::Unavailable)));
            };
            let hear = Box::new(move |what| hear(first_key + at, what));
            if let Err(hear) = self.lanes.run(hear as Box<dyn FnOnce(Heard) + Send>, look) {
                hear(Heard::Key(Err(StoreError::Unavailable)));
            }
        }
    }

    /// Sorts who is done from who must look again.
    fn written(self: &Arc<Self>, under_way: UnderWay, mut heard: Vec<Option<Heard>>) {
        let UnderWay { counter, writers, steps, drafts } = under_way;
        let keys = heard.split_off(drafts);
        let (mut done, mut again) = (Vec::new(), Vec::new());
        for ((mut writer, step), key) in writers.into_iter().zip(steps).zip(keys) {
            let end = match (step, key) {
                (Step::Draft { at, delta }, _) => match &heard[at] {
                    Some(Heard::Document(outcome)) => end_of_document(&writer, outcome, delta),
                    _ => Some(End::Told(Err(StoreError::Unavailable))),
                },
                (step, Some(Heard::Key(found))) => Some(end_of_key(&writer, step, found)),
                (step, _) => Some(end_of(step)),
            };
            match end {
                Some(end) => done.push(Done { writer, end }),
                None if writer.tries < COUNTER_TRIES_MAX => {
                    writer.tries += 1;
                    again.push(writer);
                }
                None => done.push(Done { writer, end: End::Told(Err(StoreError::Unavailable)) }),
            }
        }
        let group = {
            let mut lines = self.lines();
            lines.put_back(&counter, again);
            lines.next(&counter, !done.is_empty())
        };
        self.go_on(counter, done, group);
    }

    /// Tells each where the counter stood behind it: where it stands now, less what those after it
    /// have added.
    fn answer(self: &Arc<Self>, done: Vec<Done>, state: Option<&State>) {
        let sum = state.and_then(|state| state.sums).map(|sums| sums[0]);
        let mut later = 0;
        let mut writers = Vec::with_capacity(done.len());
        for Done { writer, end } in done.into_iter().rev() {
            let told = match end {
                End::Told(told) => told,
                End::Counted { correction, replayed, delta, degraded } => {
                    let count = sum.filter(|_| !degraded).map(|sum| shown(sum - later));
                    later += delta;
                    Ok(Written::Done { count, correction, replayed })
                }
            };
            writers.push((writer, told));
        }
        let woken: Vec<Counter> = {
            let mut lines = self.lines();
            writers.iter().filter_map(|(writer, _)| lines.release(writer)).collect()
        };
        ring_once(|| {
            for (writer, told) in writers.into_iter().rev() {
                writer.answer.send(told);
            }
        });
        for counter in woken {
            self.begin(&counter);
        }
    }

    /// Nobody waits for these any more.
    fn release(self: &Arc<Self>, late: &[Writer]) {
        let woken: Vec<Counter> = {
            let mut lines = self.lines();
            late.iter().filter_map(|writer| lines.release(writer)).collect()
        };
        for counter in woken {
            self.begin(&counter);
        }
    }

    fn lines(&self) -> MutexGuard<'_, Lines<Right>> {
        // Nothing of others runs under it.
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whose steps are to be known.
fn users(writers: &[Writer]) -> Vec<Id> {
    let user = |writer: &Writer| match &writer.write.action {
        Action::Join { user } | Action::Leave { user } => Some(user.clone()),
        _ => None,
    };
    let mut users: Vec<Id> = writers.iter().filter_map(user).collect();
    users.sort_unstable();
    users.dedup();
    users
}

/// Of a write without a document.
fn end_of(step: Step) -> End {
    match step {
        Step::Draft { .. } | Step::Nothing => {
            End::Counted { correction: 0, replayed: false, delta: 0, degraded: false }
        }
        Step::Overflow => End::Told(Ok(Written::Overflow)),
        Step::UnknownCounter => End::Told(Ok(Written::UnknownCounter)),
        Step::Unavailable => End::Told(Err(StoreError::Unavailable)),
    }
}

/// Of a write with a document; `None` when somebody was faster, and it must look again.
fn end_of_document(writer: &Writer, outcome: &Outcome<Draft>, delta: i128) -> Option<End> {
    let end = match outcome {
        Outcome::Written { draft, replayed: false, degraded } => {
            let (correction, degraded) = (draft.correction(), *degraded);
            End::Counted { correction, replayed: false, delta, degraded }
        }
        Outcome::Written { draft, degraded, .. } => {
            let key = writer.write.key.as_ref().map(|key| key_name(writer.write.path, key));
            if key.is_none() || key != draft.key {
                return None;
            }
            let correction = draft.correction();
            End::Counted { correction, replayed: true, delta: 0, degraded: *degraded }
        }
        Outcome::Conflict => End::Told(Ok(Written::KeyConflict)),
        Outcome::Overflow => End::Told(Ok(Written::Overflow)),
        Outcome::Unavailable => End::Told(Err(StoreError::Unavailable)),
    };
    Some(end)
}

/// Of a write that would change nothing, and has a key.
fn end_of_key(writer: &Writer, step: Step, found: Result<Option<Draft>, StoreError>) -> End {
    match found {
        Err(error) => End::Told(Err(error)),
        Ok(None) => end_of(step),
        Ok(Some(draft)) if draft.is_of(&writer.write.counter, &writer.write.action) => {
            let correction = draft.correction();
            End::Counted { correction, replayed: true, delta: 0, degraded: false }
        }
        Ok(Some(_)) => End::Told(Ok(Written::KeyConflict)),
    }
}
