//! Reads what Redis answers to the commands of a [`RedisView`](super::RedisView).

use super::super::ScriptAnswer;
use super::super::place_name::PlaceName;
use crate::cluster::reply::{self, array, number, other, read, text};
use crate::gift::{Place, Standing};
use crate::store::redis::{Answer, Value};

pub use crate::cluster::reply::{Seen, Unread, fences};

/// A part of a board.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopPart {
    /// Best first.
    pub places: Vec<Place>,
    /// Time of the newest entry of the whole board; `None` for a board without any.
    pub newest_us: Option<i64>,
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
