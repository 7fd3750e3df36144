//! The view of counters in Redis: its boards, and the commands that write and read them.
//!
//! Everything here makes commands for the lane to Redis and reads what it answers; nothing waits.
//! Of the keys of all views (`cluster::view_keys`) this one's boards are:
//!
//! ```text
//! all:0:<type>, hour:<from>:<type>, …   hash: resource -> sum, epoch; sorted set of places
//! users:<type>                          hash: resource -> number of counted users, epoch
//! turns:<type>                          hash: resource -> its newest turn
//! steps:<length>:<type>:<resource>      hash: user -> epoch, newest step
//! ```

use super::draft::Draft;
use super::rules::{self, Board, Row, SUM_MAX, Value, field};
use crate::calendar::Period;
use crate::cluster::reply::{self, Fences, Seen, Unread, array, number, streams, text};
use crate::cluster::view_keys::{ViewKeys, addend, twenty};
use crate::cluster::{Apply, Generation, Load, ScriptAnswer, Stream, Switch, ViewScripts};
use crate::counter::{Id, Place};
use crate::store::redis::{Answer, Command, Script};
use std::collections::BTreeMap;
use std::convert::Infallible;

const ROWS: &str = include_str!("redis_view/rows.lua");
const LOOK: &str = include_str!("redis_view/look.lua");
const HOT: &str = include_str!("redis_view/hot.lua");
const AUDIT: &str = include_str!("redis_view/audit.lua");

/// A sum's digits in a place are taken from these, so that the largest comes first.
const NINES: i128 = 99_999_999_999_999_999_999;

/// Makes the commands.
#[derive(Clone, Debug)]
pub struct RedisView {
    keys: ViewKeys,
    look: Script,
    hot: Script,
    audit: Script,
}

/// What an audit reads at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Slice {
    /// Where the next one begins; "0" when this was the last.
    pub cursor: String,
    /// Field, value, and whether the place of just these is on the list.
    pub rows: Vec<(Id, Value, bool)>,
    /// Places of the whole list.
    pub places: usize,
    /// What the whole view holds.
    pub fences: BTreeMap<Stream, u64>,
}

impl RedisView {
    /// Keys under the hash tag `tag`.
    ///
    /// # Panics
    /// When `tag` is empty or holds a brace.
    pub fn new(tag: &str) -> Self {
        Self {
            keys: ViewKeys::new(tag, ROWS),
            look: Script::new(LOOK),
            hot: Script::new(HOT),
            audit: Script::new(AUDIT),
        }
    }

    /// Fields of boards at one moment; read by [`looked`] with the same boards.
    pub fn look(&self, current: Generation, asked: &[(Board, Vec<Id>)]) -> Command {
        let keys: Vec<String> =
            asked.iter().map(|(board, _)| self.scores(current, board)).collect();
        let mut command = self.keys.ask(&self.look, current, &keys);
        for (_, fields) in asked {
            command = command.arg(fields.len().to_string());
            for of in fields {
                command = command.arg(field(of));
            }
        }
        command
    }

    /// The first `num` places of a list; read by [`hot`].
    pub fn hot(&self, current: Generation, list: &Board, num: usize) -> Command {
        let [_, places] = self.keys.board(current, &name(list));
        // Redis reads -1 as the last one; nobody asks for nothing.
        self.keys.ask(&self.hot, current, &[places]).arg(num.max(1).saturating_sub(1).to_string())
    }

    /// A slice of a board of about `count` rows with the fences of the same moment, from where the
    /// last slice ended; read by [`slice`].
    pub fn slice(&self, current: Generation, board: &Board, cursor: &str, count: usize) -> Command {
        let [scores, places] = self.keys.board(current, &name(board));
        let keys = [self.keys.key(current, "fences"), scores, places];
        self.keys.ask(&self.audit, current, &keys).arg(cursor).arg(count.to_string())
    }

    fn scores(&self, current: Generation, board: &Board) -> String {
        let [scores, _] = self.keys.board(current, &name(board));
        scores
    }
}

impl ViewScripts<Draft> for RedisView {
    fn apply(&self, apply: &Apply<Row>) -> Command {
        let runs = runs(&apply.deltas);
        with_rows(self.keys.apply(apply, &names(&runs), &twenty(0)), &runs)
    }

    fn load(&self, load: &Load<Row>) -> Command {
        let runs = runs(&load.rows);
        with_rows(self.keys.load(load, &names(&runs)), &runs)
    }

    fn switch(&self, switch: &Switch) -> Command {
        self.keys.switch(switch)
    }

    fn fences(&self) -> Command {
        self.keys.fences()
    }

    fn ping(&self) -> Command {
        self.keys.current_name()
    }

    fn read_script(&self, answer: Answer) -> Result<ScriptAnswer<Infallible>, Unread> {
        reply::script(answer, |_| None)
    }

    fn read_fences(&self, answer: Answer) -> Result<Fences, Unread> {
        reply::fences(answer)
    }
}

/// To a look: a value, or nothing, of each field that was asked, in that order.
pub fn looked(
    answer: Answer,
    asked: &[(Board, Vec<Id>)],
) -> Result<Seen<Vec<Option<Value>>>, Unread> {
    reply::read(answer, |word, rest| match (word, rest) {
        ("look", [found]) => {
            let found = array(found)?;
            let boards = asked.iter().flat_map(|(board, fields)| fields.iter().map(move |_| board));
            let read = |(board, found)| match text(found)? {
                "" => Some(None),
                found => value(board, found).map(Some),
            };
            let values: Option<Vec<_>> = boards.zip(found).map(read).collect();
            let count = asked.iter().map(|(_, fields)| fields.len()).sum::<usize>();
            values.filter(|values| values.len() == count).map(Seen::Here)
        }
        (word, rest) => reply::other(word, rest),
    })
}

/// To a question for the first places.
pub fn hot(answer: Answer) -> Result<Seen<Vec<Place>>, Unread> {
    reply::read(answer, |word, rest| match (word, rest) {
        ("hot", [members]) => {
            let place = |member| {
                let (sum, of) = text(member)?.split_at_checked(20)?;
                let count = shown(NINES - sum.parse::<i128>().ok()?);
                Some(Place { resource: rules::id(of)?, count })
            };
            array(members)?.iter().map(place).collect::<Option<_>>().map(Seen::Here)
        }
        (word, rest) => reply::other(word, rest),
    })
}

/// To a question for a slice of that board.
pub fn slice(answer: Answer, board: &Board) -> Result<Seen<Slice>, Unread> {
    reply::read(answer, |word, rest| match (word, rest) {
        ("slice", [cursor, rows, places, fences]) => {
            let row = |row: &[_]| {
                let of = rules::id(text(&row[0])?)?;
                Some((of, value(board, text(&row[1])?)?, number(&row[2])? == 1))
            };
            Some(Seen::Here(Slice {
                cursor: text(cursor)?.to_owned(),
                rows: array(rows)?.chunks_exact(3).map(row).collect::<Option<_>>()?,
                places: number(places)?,
                fences: streams(fences)?,
            }))
        }
        (word, rest) => reply::other(word, rest),
    })
}

/// A sum as it is told: one that is beyond i64 for a moment ends at its range.
pub(super) fn shown(sum: i128) -> i64 {
    let sum = sum.clamp(i64::MIN.into(), i64::MAX.into());
    i64::try_from(sum).expect("within the range")
}

fn value(board: &Board, text: &str) -> Option<Value> {
    let (left, right) = text.split_at_checked(20)?;
    Some(match board {
        Board::Counts { .. } | Board::Users(_) => {
            Value::Sum { epoch: right.parse().ok()?, sum: left.parse().ok()? }
        }
        Board::Turns(_) | Board::Steps(_) => Value::Mark(left.parse().ok()?, right.parse().ok()?),
    })
}

/// Rows of one board each. No two rows of a script have both board and field in common.
fn runs(rows: &[Row]) -> Vec<&[Row]> {
    rows.chunk_by(|left, right| left.board == right.board).collect()
}

fn names(runs: &[&[Row]]) -> Vec<String> {
    runs.iter().map(|run| name(&run[0].board)).collect()
}

fn with_rows(mut command: Command, runs: &[&[Row]]) -> Command {
    for run in runs {
        let expires = run[0].expires_s.map(|second| second.to_string()).unwrap_or_default();
        let kind = match run[0].board {
            Board::Counts { .. } => "list",
            Board::Users(_) => "sum",
            Board::Turns(_) | Board::Steps(_) => "mark",
        };
        let count = run.len().to_string();
        command = command.arg(name(&run[0].board)).arg(expires).arg(kind).arg(count);
        for row in *run {
            let (epoch, more) = match row.value {
                Value::Sum { epoch, sum } => (epoch, addend(sum.clamp(-SUM_MAX, SUM_MAX))),
                Value::Mark(epoch, n) => (epoch, twenty(n)),
            };
            command = command.arg(field(&row.of)).arg(twenty(epoch)).arg(more);
        }
    }
    command
}

fn name(board: &Board) -> String {
    match board {
        Board::Counts { period, from_s, counter_type } => {
            let kind = match period {
                Period::All => "all",
                Period::Hour => "hour",
                Period::Day => "day",
                Period::Week => "week",
            };
            format!("{kind}:{from_s}:{}", field(counter_type))
        }
        Board::Users(counter_type) => format!("users:{}", field(counter_type)),
        Board::Turns(counter_type) => format!("turns:{}", field(counter_type)),
        Board::Steps(counter) => {
            let counter_type = field(&counter.counter_type);
            format!("steps:{}:{counter_type}:{}", counter_type.len(), field(&counter.resource))
        }
    }
}
