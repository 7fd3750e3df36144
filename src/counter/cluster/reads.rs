//! Counters read from Redis: what is asked, and what an answer says.

use super::redis_view::{self, RedisView, shown};
use super::rules::{Board, Value};
use crate::calendar::Period;
use crate::cluster::reply::{Seen, Unread};
use crate::cluster::{Generation, Questions};
use crate::counter::{Counter, Found, Id};
use crate::limits::COUNTER_LIST_KNOWN_MAX;
use crate::store::redis::{Answer, Command};
use std::sync::Arc;

/// Boards, each with some of its fields.
pub(super) type Fields = Arc<[(Board, Vec<Id>)]>;

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
    /// What is in these fields.
    Fields(Fields),
}

/// What comes back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Seeing {
    /// For readers.
    Found(Found),
    /// For [`Question::Fields`], in that order.
    Fields(Vec<Option<Value>>),
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
            Question::Fields(_) => Seeing::Fields(values),
            _ => Seeing::Found(Found::Count(values.first().map_or(0, |value| count(*value)))),
        }))
    }

    fn is_kept(&self, question: &Question) -> bool {
        match question {
            Question::Counts(counters) => counters.len() <= COUNTER_LIST_KNOWN_MAX,
            Question::Hot { num, .. } => *num <= COUNTER_LIST_KNOWN_MAX,
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
        Question::Fields(asked) => asked.to_vec(),
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
