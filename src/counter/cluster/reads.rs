//! Counters read from Redis: what is asked, and what an answer says.

use super::redis_view::{self, RedisView, shown};
use super::rules::{self, Board, Value};
use crate::calendar::{Calendar, Period};
use crate::cluster::reply::{Seen, Unread};
use crate::cluster::{Generation, Questions};
use crate::counter::sums::WINDOWS;
use crate::counter::{Counter, Found, Id};
use crate::limits::COUNTER_BATCH_KNOWN_MAX;
use crate::store::redis::{Answer, Command};
use std::collections::HashMap;
use std::sync::Arc;

/// What is asked of the view.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Question {
    /// One count.
    Count(Counter),
    /// Many.
    Counts(Arc<[Counter]>),
    /// The first places of a list.
    Hot { list: Board, num: usize },
    /// Whether a user is counted.
    IsCounted { counter: Counter, user: Id },
    /// All that a write must know: boards with one field each but the last, which has the steps of
    /// users.
    State(Arc<[(Board, Vec<Id>)]>),
}

/// What comes back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Seeing {
    /// For readers.
    Found(Found),
    /// For a write.
    State(State),
}

/// A counter as a write finds it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct State {
    /// Somebody wrote it before.
    pub(super) is_known: bool,
    /// The turn of its newest reset.
    pub(super) epoch: u64,
    /// Its newest turn.
    pub(super) turn: u64,
    /// In all and within the windows that were asked, in that order; `None` where only the journal
    /// was asked.
    pub(super) sums: Option<[i128; 4]>,
    /// Counted users.
    pub(super) users: i128,
    /// The newest step in this epoch of each user that was asked and has one.
    pub(super) steps: HashMap<Id, u64>,
}

/// The question for the state of a counter at a second.
pub(super) fn state_of(
    calendar: &Calendar,
    counter: &Counter,
    users: Vec<Id>,
    at_s: i64,
) -> Question {
    let Counter { counter_type, resource } = counter;
    let list = |period| rules::counts(calendar, period, counter_type, at_s);
    let lists = [list(Period::All)].into_iter().chain(WINDOWS.map(list));
    let others = [Board::Users(counter_type.clone()), Board::Turns(counter_type.clone())];
    let of_resource = lists.chain(others).map(|board| (board, vec![resource.clone()]));
    let steps = (!users.is_empty()).then(|| (Board::Steps(counter.clone()), users));
    Question::State(of_resource.chain(steps).collect())
}

/// How the view is asked and read.
pub(super) struct CounterReads(pub(super) Arc<RedisView>);

impl Questions for CounterReads {
    type Question = Question;
    type Found = Seeing;

    fn command(&self, question: &Question, current: Generation) -> Command {
        match question {
            Question::Hot { list, num } => self.0.hot(current, list, *num),
            question => self.0.look(current, &asked(question)),
        }
    }

    fn read(&self, question: &Question, answer: Answer) -> Result<Seen<Seeing>, Unread> {
        if let Question::Hot { .. } = question {
            let hot = redis_view::hot(answer);
            return hot.map(|seen| seen.map(|places| Seeing::Found(Found::Hot(places))));
        }
        let asked = asked(question);
        let seen = redis_view::looked(answer, &asked)?;
        Ok(seen.map(|values| match question {
            Question::Counts(counters) => Seeing::Found(Found::Counts(counts(counters, &values))),
            Question::IsCounted { .. } => Seeing::Found(Found::IsCounted(is_counted(&values))),
            Question::State(_) => Seeing::State(state(&asked, &values)),
            _ => Seeing::Found(Found::Count(values.first().map_or(0, |value| count(*value)))),
        }))
    }

    fn is_kept(&self, question: &Question) -> bool {
        match question {
            Question::Counts(counters) => counters.len() <= COUNTER_BATCH_KNOWN_MAX,
            _ => true,
        }
    }
}

fn all(counter_type: &Id) -> Board {
    Board::Counts { period: Period::All, from_s: 0, counter_type: counter_type.clone() }
}

fn asked(question: &Question) -> Vec<(Board, Vec<Id>)> {
    match question {
        Question::Count(counter) => {
            vec![(all(&counter.counter_type), vec![counter.resource.clone()])]
        }
        Question::Counts(counters) => {
            // A board for each run of counters of one type, so that the order stays.
            let runs = counters.chunk_by(|left, right| left.counter_type == right.counter_type);
            let fields = |run: &[Counter]| run.iter().map(|of| of.resource.clone()).collect();
            runs.map(|run| (all(&run[0].counter_type), fields(run))).collect()
        }
        Question::IsCounted { counter, user } => vec![
            (all(&counter.counter_type), vec![counter.resource.clone()]),
            (Board::Steps(counter.clone()), vec![user.clone()]),
        ],
        Question::State(asked) => asked.to_vec(),
        Question::Hot { .. } => Vec::new(),
    }
}

fn count(value: Option<Value>) -> i64 {
    match value {
        Some(Value::Sum { sum, .. }) => shown(sum),
        _ => 0,
    }
}

fn counts(counters: &[Counter], values: &[Option<Value>]) -> Vec<i64> {
    counters.iter().zip(values).map(|(_, value)| count(*value)).collect()
}

fn is_counted(values: &[Option<Value>]) -> bool {
    let epoch = values.first().copied().flatten().map_or(0, epoch_of);
    matches!(values.get(1), Some(Some(Value::Mark(of, n))) if *of == epoch && n % 2 == 1)
}

fn epoch_of(value: Value) -> u64 {
    match value {
        Value::Sum { epoch, .. } | Value::Mark(epoch, _) => epoch,
    }
}

fn state(asked: &[(Board, Vec<Id>)], values: &[Option<Value>]) -> State {
    let first = values.first().copied().flatten();
    let epoch = first.map_or(0, epoch_of);
    let sum = |at: usize| match values.get(at) {
        Some(Some(Value::Sum { epoch: of, sum })) if *of == epoch => *sum,
        _ => 0,
    };
    let turn = match values.get(5) {
        Some(Some(Value::Mark(_, turn))) => *turn,
        _ => 0,
    };
    let users = asked.get(6).map(|(_, users)| users.as_slice()).unwrap_or_default();
    let steps = users.iter().zip(values.iter().skip(6)).filter_map(|(user, value)| match value {
        Some(Value::Mark(of, n)) if *of == epoch => Some((user.clone(), *n)),
        _ => None,
    });
    State {
        is_known: first.is_some(),
        epoch,
        turn,
        sums: Some([sum(0), sum(1), sum(2), sum(3)]),
        users: sum(4),
        steps: steps.collect(),
    }
}
