//! What journal documents add to which boards, in any order.

use super::draft::{Change, Draft};
use crate::calendar::{Calendar, Period};
use crate::cluster::PureBoards;
use crate::counter::sums::WINDOWS;
use crate::counter::{Counter, Id};
use std::collections::BTreeMap;
use std::convert::Infallible;

/// Beyond this a sum would not fit the 19 digits that it has in Redis; no documents make one so large.
pub(super) const SUM_MAX: i128 = 9_999_999_989_999_999_999;

/// A hash in Redis; a list has its order beside it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Board {
    /// What the resources of a type are counted, in all or within a window: a hot list.
    Counts {
        /// Which kind of window.
        period: Period,
        /// When it begins; 0 for all time.
        from_s: i64,
        /// Of which type.
        counter_type: Id,
    },
    /// How many users each resource of a type counts.
    Users(Id),
    /// The newest turn of each resource of a type.
    Turns(Id),
    /// The newest step of each user of a counter.
    Steps(Counter),
}

/// What a field of a board holds, and what a row adds to it.
///
/// Both commute, since nothing orders the documents of different writers: of marks the largest
/// stays; of sums those of the newest epoch add up and all others are forgotten.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Value {
    /// A sum within an epoch.
    Sum {
        /// Which.
        epoch: u64,
        /// Beyond i64 on the way.
        sum: i128,
    },
    /// The largest of an epoch and a number.
    Mark(u64, u64),
}

/// What a script adds to one field of one board.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// Where.
    pub board: Board,
    /// When Redis may forget the board, in unix seconds; each apply renews it.
    pub expires_s: Option<i64>,
    /// Whose.
    pub of: Id,
    /// What.
    pub value: Value,
}

/// Which boards there are.
#[derive(Debug)]
pub struct Rules {
    /// In the configured time zone.
    pub calendar: Calendar,
    /// How long a window takes part after its end: clocks of processes differ, and a list that one
    /// of them still shows must not lack what another skipped.
    pub expiry_margin_s: i64,
}

impl Value {
    /// With another one added.
    #[must_use]
    pub fn with(self, more: Self) -> Self {
        match (self, more) {
            (Self::Sum { epoch, sum }, Self::Sum { epoch: newer, sum: more }) => {
                match epoch.cmp(&newer) {
                    std::cmp::Ordering::Less => Self::Sum { epoch: newer, sum: more },
                    std::cmp::Ordering::Equal => Self::Sum { epoch, sum: sum + more },
                    std::cmp::Ordering::Greater => self,
                }
            }
            (Self::Mark(epoch, n), Self::Mark(newer, more)) => {
                let (epoch, n) = (epoch, n).max((newer, more));
                Self::Mark(epoch, n)
            }
            _ => unreachable!("a board holds values of one kind"),
        }
    }
}

/// How an id is called within Redis and in names of documents: texts sort as ids do.
pub(super) fn field(id: &Id) -> String {
    match id {
        Id::Number(number) => format!("N{number:020}"),
        Id::Text(text) => format!("T{text}"),
    }
}

/// The other way round.
pub(super) fn id(field: &str) -> Option<Id> {
    match field.split_at_checked(1)? {
        ("N", number) => Id::from_number(number.parse().ok()?),
        ("T", text) => Id::from_text(text),
        _ => None,
    }
}

/// The list of a type around a second; beyond the calendar all time is one window.
pub(super) fn counts(calendar: &Calendar, period: Period, counter_type: &Id, at_s: i64) -> Board {
    let from_s = match period {
        Period::All => 0,
        period => calendar.span(period, at_s).map_or(i64::MIN, |span| span.from_s),
    };
    Board::Counts { period, from_s, counter_type: counter_type.clone() }
}

impl Rules {
    /// More than clocks of one cluster differ by.
    pub const EXPIRY_MARGIN_S: i64 = 3_600;

    /// The lists of a type that a change at that time counts on and that can still be asked for.
    fn lists(
        &self,
        counter_type: &Id,
        time_us: i64,
        now_s: i64,
    ) -> impl Iterator<Item = (Board, Option<i64>)> {
        let at_s = time_us.div_euclid(1_000_000);
        let windows = WINDOWS.into_iter().filter_map(move |period| {
            let span = self.calendar.span(period, at_s)?;
            let expires_s = span.until_s.saturating_add(self.expiry_margin_s);
            let list = counts(&self.calendar, period, counter_type, at_s);
            (now_s < expires_s).then_some((list, Some(expires_s)))
        });
        let all = counts(&self.calendar, Period::All, counter_type, at_s);
        std::iter::once((all, None)).chain(windows)
    }

    /// Adds one document.
    pub(super) fn add(&self, sums: &mut Sums, draft: &Draft, now_s: i64) {
        let Counter { counter_type, resource } = &draft.counter;
        // A reset begins its epoch with nothing.
        let is_reset = matches!(draft.change, Change::Reset { .. });
        let epoch = draft.epoch_after();
        let sum = if is_reset { 0 } else { i128::from(draft.delta()) };
        let value = Value::Sum { epoch, sum };
        let lists = self.lists(counter_type, draft.time_us, now_s);
        let lists_max = if matches!(draft.change, Change::Recounted { .. }) { 1 } else { 4 };
        for (board, expires_s) in lists.take(lists_max) {
            sums.add_value(board, expires_s, resource, value);
        }
        if is_reset || matches!(draft.change, Change::Moved { .. }) {
            sums.add_value(Board::Users(counter_type.clone()), None, resource, value);
        }
        if let Change::Moved { user, n } = &draft.change {
            let steps = Board::Steps(draft.counter.clone());
            sums.add_value(steps, None, user, Value::Mark(epoch, *n));
        }
        if let Some(turn) = draft.turn {
            let turns = Board::Turns(counter_type.clone());
            sums.add_value(turns, None, resource, Value::Mark(0, turn));
        }
    }
}

/// Values by board and field, with the board's expiry.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sums(BTreeMap<Board, (Option<i64>, BTreeMap<Id, Value>)>);

impl Sums {
    fn add_value(&mut self, board: Board, expires_s: Option<i64>, of: &Id, value: Value) {
        let (_, fields) = self.0.entry(board).or_insert((expires_s, BTreeMap::new()));
        match fields.get_mut(of) {
            Some(found) => *found = found.with(value),
            None => drop(fields.insert(of.clone(), value)),
        }
    }

    /// All boards.
    pub fn boards(&self) -> impl Iterator<Item = &Board> {
        self.0.keys()
    }

    /// The fields of a board with what they hold.
    pub fn fields(&self, board: &Board) -> impl Iterator<Item = (&Id, Value)> {
        let fields = self.0.get(board).into_iter().flat_map(|(_, fields)| fields);
        fields.map(|(of, value)| (of, *value))
    }

    /// What a field holds.
    pub fn of(&self, board: &Board, field: &Id) -> Option<Value> {
        self.0.get(board)?.1.get(field).copied()
    }

    /// Forgets boards.
    pub fn keep(&mut self, is_kept: impl Fn(&Board) -> bool) {
        self.0.retain(|board, _| is_kept(board));
    }

    /// What to send, board by board.
    pub(super) fn rows(&self) -> Vec<Row> {
        let rows = self.0.iter().flat_map(|(board, (expires_s, fields))| {
            fields.iter().map(|(of, &value)| Row {
                board: board.clone(),
                expires_s: *expires_s,
                of: of.clone(),
                value,
            })
        });
        rows.collect()
    }
}

impl PureBoards for Sums {
    type Row = Row;
    type Subject = Infallible;

    fn fits(&self, row: &Row) -> bool {
        let value = self.of(&row.board, &row.of).map_or(row.value, |found| found.with(row.value));
        match value {
            Value::Sum { sum, .. } => sum.abs() <= SUM_MAX,
            Value::Mark(..) => true,
        }
    }

    fn add(&mut self, row: &Row) {
        self.add_value(row.board.clone(), row.expires_s, &row.of, row.value);
    }

    fn full(&self, _: &Row, _: i64) -> Option<Infallible> {
        None
    }

    fn expire(&mut self, now_s: i64) {
        self.0.retain(|_, (expires_s, _)| expires_s.is_none_or(|end_s| now_s < end_s));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn value() -> impl Strategy<Value = Value> {
        (0..4_u64, -5..6_i128).prop_map(|(epoch, sum)| Value::Sum { epoch, sum })
    }

    proptest! {
        #[test]
        fn values_add_up_in_any_order(mut values in proptest::collection::vec(value(), 1..20)) {
            let sum = |values: &[Value]| {
                values.iter().copied().reduce(Value::with).expect("there is one")
            };
            let (forth, newest) = (sum(&values), values.iter().map(|value| match value {
                Value::Sum { epoch, .. } => *epoch,
                Value::Mark(..) => 0,
            }).max().expect("there is one"));
            let expected: i128 = values.iter().map(|value| match value {
                Value::Sum { epoch, sum } if *epoch == newest => *sum,
                _ => 0,
            }).sum();
            prop_assert_eq!(forth, Value::Sum { epoch: newest, sum: expected });
            values.reverse();
            prop_assert_eq!(sum(&values), forth);
            // However they are put together on the way.
            let (left, right) = values.split_at(values.len() / 2);
            if !left.is_empty() {
                prop_assert_eq!(sum(left).with(sum(right)), forth);
            }
        }
    }

    #[test]
    fn fields_sort_as_ids_do() {
        let mut ids =
            ["b", "10", "B", "9", "é", "09"].map(|text| Id::from_text(text).expect("an id"));
        ids.sort();
        let mut fields: Vec<String> = ids.iter().map(field).collect();
        let before = fields.clone();
        fields.sort();
        assert_eq!(fields, before);
        assert_eq!(fields.iter().filter_map(|text| id(text)).collect::<Vec<_>>(), ids);
    }
}
