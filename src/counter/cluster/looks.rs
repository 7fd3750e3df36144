//! Looks at counters for those who write them: as many as come together in one command.
//!
//! A look never joins a command that is under way: it must see all that was acknowledged before it.

use super::draft::Draft;
use super::reads::{CounterReads, Fields, Question, Seeing};
use super::rules::{self, Board, Value};
use crate::calendar::{Calendar, Period};
use crate::cluster::ViewReader;
use crate::counter::sums::WINDOWS;
use crate::counter::{Counter, Id};
use crate::exec::ring_once;
use crate::limits::{COUNTER_LOOKS_MAX, COUNTER_LOOKS_UNDER_WAY_MAX};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// A counter as a write finds it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct State {
    /// Somebody wrote it before.
    pub(super) is_known: bool,
    /// The turn of its newest reset.
    pub(super) epoch: u64,
    /// Its newest turn.
    pub(super) turn: u64,
    /// In all, and within the current hour, day and week; `None` where only the journal was asked.
    pub(super) sums: Option<[i128; 4]>,
    /// Counted users.
    pub(super) users: i128,
    /// The newest step in this epoch of each user that was asked for and has one.
    pub(super) steps: HashMap<Id, u64>,
}

/// What is to be known of one counter.
struct Look {
    counter: Counter,
    /// Whose steps.
    users: Vec<Id>,
    /// The list of all time and the current windows.
    lists: [Board; 4],
    then: Box<dyn FnOnce(Option<State>) + Send>,
}

/// Shared by all loops.
pub(super) struct Looks {
    reader: Arc<ViewReader<CounterReads, Draft>>,
    /// Held for a push.
    state: Mutex<Waiting>,
}

#[derive(Default)]
struct Waiting {
    looks: Vec<Look>,
    /// Commands under way.
    under_way: usize,
}

impl Looks {
    pub(super) fn new(reader: Arc<ViewReader<CounterReads, Draft>>) -> Arc<Self> {
        Arc::new(Self { reader, state: Mutex::default() })
    }

    /// Tells `then` how a counter stands at a second; nothing when the view cannot tell. On a thread
    /// of the lane, or at once when Redis is away.
    pub(super) fn look(
        self: &Arc<Self>,
        calendar: &Calendar,
        (counter, users, at_s): (Counter, Vec<Id>, i64),
        then: impl FnOnce(Option<State>) + Send + 'static,
    ) {
        let list = |period| rules::counts(calendar, period, &counter.counter_type, at_s);
        let [hour, day, week] = WINDOWS.map(list);
        let lists = [list(Period::All), hour, day, week];
        let look = Look { counter, users, lists, then: Box::new(then) };
        let mut waiting = self.lock();
        waiting.looks.push(look);
        if waiting.under_way >= COUNTER_LOOKS_UNDER_WAY_MAX {
            return;
        }
        waiting.under_way += 1;
        drop(waiting);
        self.ask();
    }

    /// Asks for the next ones, or is done.
    fn ask(self: &Arc<Self>) {
        let mut waiting = self.lock();
        if waiting.looks.is_empty() {
            waiting.under_way -= 1;
            return;
        }
        let count = waiting.looks.len().min(COUNTER_LOOKS_MAX);
        let looks: Vec<Look> = waiting.looks.drain(..count).collect();
        drop(waiting);
        let fields = fields(&looks);
        let (asked, own) = (Arc::clone(&fields), Arc::clone(self));
        self.reader.ask_fresh(Question::Fields(asked), move |seeing| {
            // The next ones first: those who hear of these have more to do.
            own.ask();
            let values = match &seeing {
                Some(Seeing::Fields(values)) => Some(by_field(&fields, values)),
                _ => None,
            };
            ring_once(|| {
                for Look { counter, users, lists, then } in looks {
                    then(values.as_ref().map(|values| state(&counter, &users, &lists, values)));
                }
            });
        });
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        // Nothing of others runs under it.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

type Values<'a> = HashMap<(&'a Board, &'a Id), Value>;

fn fields(looks: &[Look]) -> Fields {
    let mut fields: BTreeMap<Board, BTreeSet<Id>> = BTreeMap::new();
    for Look { counter, users, lists, .. } in looks {
        let Counter { counter_type, resource } = counter;
        let others = [Board::Users(counter_type.clone()), Board::Turns(counter_type.clone())];
        for board in lists.iter().cloned().chain(others) {
            fields.entry(board).or_default().insert(resource.clone());
        }
        if !users.is_empty() {
            let steps = Board::Steps(counter.clone());
            fields.entry(steps).or_default().extend(users.iter().cloned());
        }
    }
    fields.into_iter().map(|(board, fields)| (board, fields.into_iter().collect())).collect()
}

fn by_field<'a>(fields: &'a Fields, values: &[Option<Value>]) -> Values<'a> {
    let places = fields.iter().flat_map(|(board, fields)| fields.iter().map(move |of| (board, of)));
    places.zip(values).filter_map(|(place, value)| Some((place, (*value)?))).collect()
}

fn state(counter: &Counter, users: &[Id], lists: &[Board; 4], values: &Values<'_>) -> State {
    let Counter { counter_type, resource } = counter;
    let count = values.get(&(&lists[0], resource));
    let epoch = match count {
        Some(Value::Sum { epoch, .. }) => *epoch,
        _ => 0,
    };
    // What is of another epoch counts nothing.
    let sum = |board: &Board| match values.get(&(board, resource)) {
        Some(Value::Sum { epoch: of, sum }) if *of == epoch => *sum,
        _ => 0,
    };
    let turn = match values.get(&(&Board::Turns(counter_type.clone()), resource)) {
        Some(Value::Mark(_, turn)) => *turn,
        _ => 0,
    };
    let board = Board::Steps(counter.clone());
    let step = |user: &Id| match values.get(&(&board, user)) {
        Some(Value::Mark(of, n)) if *of == epoch => Some((user.clone(), *n)),
        _ => None,
    };
    let [all, hour, day, week] = lists;
    State {
        is_known: count.is_some(),
        epoch,
        turn,
        sums: Some([sum(all), sum(hour), sum(day), sum(week)]),
        users: sum(&Board::Users(counter_type.clone())),
        steps: users.iter().filter_map(step).collect(),
    }
}
