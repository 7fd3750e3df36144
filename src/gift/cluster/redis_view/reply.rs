//! Reads what Redis answers to the commands of a [`RedisView`](super::RedisView).

use super::super::place_name::PlaceName;
use super::super::{ScriptAnswer, Stream};
use crate::cluster::reply::{self, array, number, other, read, streams, text};
use crate::gift::{Place, Standing};
use crate::store::redis::{Answer, Value};
use std::collections::BTreeMap;

pub use crate::cluster::reply::{Seen, Unread, fences};

/// A part of a board.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopPart {
    /// Best first.
    pub places: Vec<Place>,
    /// Time of the newest entry of the whole board; `None` for a board without any.
    pub newest_us: Option<i64>,
}

/// What an audit reads at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Slice {
    /// Where the next one begins; "0" when this was the last.
    pub cursor: String,
    /// Anchor, total, time, and whether the place of just these is on the board, if one should be.
    pub rows: Vec<(i64, i64, i64, bool)>,
    /// Places of the whole board.
    pub places: usize,
    /// What the whole view holds.
    pub fences: BTreeMap<Stream, u64>,
}

/// To a question for a slice.
pub fn slice(answer: Answer) -> Result<Seen<Slice>, Unread> {
    read(answer, |word, rest| match (word, rest) {
        ("slice", [cursor, rows, places, fences]) => {
            let row = |row: &[Value]| {
                let value = text(&row[1])?;
                let (total, time) = (value.get(..20)?.parse().ok()?, value.get(20..)?);
                let time = i64::MAX.checked_sub(time.parse().ok()?)?;
                Some((inverted(&row[0])?, total, time, number(&row[2])? == 1))
            };
            Some(Seen::Here(Slice {
                cursor: text(cursor)?.to_owned(),
                rows: array(rows)?.chunks_exact(3).map(row).collect::<Option<_>>()?,
                places: number(places)?,
                fences: streams(fences)?,
            }))
        }
        (word, rest) => other(word, rest),
    })
}

/// To an apply, a load or a switch; full are anchors.
pub fn script(answer: Answer) -> Result<ScriptAnswer, Unread> {
    reply::script(answer, inverted)
}

/// To a question for the top, with the same `offset`.
pub fn top(answer: Answer, offset: usize) -> Result<Seen<TopPart>, Unread> {
    read(answer, |word, rest| match (word, rest) {
        ("top", [newest, members]) => {
            let newest_us = match text(newest)? {
                "" => None,
                _ => Some(inverted(newest)?),
            };
            Some(Seen::Here(TopPart { places: places(members, offset)?, newest_us }))
        }
        (word, rest) => other(word, rest),
    })
}

/// To a question for a rank, with the same `around`; `None` for an anchor that is not listed.
pub fn rank(answer: Answer, around: usize) -> Result<Seen<Option<Standing>>, Unread> {
    read(answer, |word, rest| match (word, rest) {
        ("none", []) => Some(Seen::Here(None)),
        ("rank", [index, first, members]) => {
            let (index, first) = (number(index)?, number(first)?);
            let near = places(members, first)?;
            let own = index.checked_sub(first)?;
            let around = own.saturating_sub(around)..near.len().min(own + around + 1);
            Some(Seen::Here(Some(Standing {
                place: *near.get(own)?,
                ahead: own.checked_sub(1).and_then(|ahead| near.get(ahead)).copied(),
                behind: near.get(own + 1).copied(),
                around: near.get(around)?.to_vec(),
            })))
        }
        (word, rest) => other(word, rest),
    })
}

/// To a question for a total; `None` for an anchor that never had a gift.
pub fn worth(answer: Answer) -> Result<Seen<Option<i64>>, Unread> {
    read(answer, |word, rest| match (word, rest) {
        ("worth", [value]) => match text(value)? {
            "" => Some(Seen::Here(None)),
            value => Some(Seen::Here(Some(value.get(..20)?.parse().ok()?))),
        },
        (word, rest) => other(word, rest),
    })
}

fn places(members: &Value, first: usize) -> Option<Vec<Place>> {
    let place = |(member, rank)| {
        let (total_worth, reached_at_us, id) = PlaceName::parse(text(member)?)?.parts()?;
        Some(Place { id, total_worth, rank, reached_at_us })
    };
    array(members)?.iter().zip(first + 1..).map(place).collect()
}

/// A time or id, which are kept inverted.
fn inverted(value: &Value) -> Option<i64> {
    i64::MAX.checked_sub(text(value)?.parse().ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::redis::Away;

    fn words(words: &[&str]) -> Answer {
        let word = |word: &&str| Value::BulkString(word.as_bytes().to_vec());
        Answer::Done(Value::Array(words.iter().map(word).collect()))
    }

    #[test]
    fn what_no_script_says_is_not_taken_for_an_answer() {
        for strange in [
            words(&[]),
            words(&["perhaps"]),
            words(&["missing", "-1"]),
            words(&["other", "not hex"]),
            words(&["done", "x"]),
            words(&["top", "", ""]),
            Answer::Done(Value::Nil),
            Answer::Refused("WRONGTYPE".to_owned()),
        ] {
            assert!(matches!(script(strange.clone()), Err(Unread::Strange(_))), "{strange:?}");
            assert!(matches!(top(strange.clone(), 0), Err(Unread::Strange(_))), "{strange:?}");
        }
        let away = Answer::Away(Away::Unknown);
        assert_eq!(script(away), Err(Unread::Away(Away::Unknown)));
    }

    #[test]
    fn fences_go_to_the_last_number() {
        let last = u64::MAX.to_string();
        assert_eq!(script(words(&["missing", &last])), Ok(ScriptAnswer::Missing(u64::MAX)));
    }
}
