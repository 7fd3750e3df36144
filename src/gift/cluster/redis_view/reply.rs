//! Reads what Redis answers to the commands of a [`RedisView`](super::RedisView).

use super::super::place_name::PlaceName;
use super::super::{Generation, ScriptAnswer, Stream};
use crate::gift::{Place, Standing};
use crate::store::redis::{Answer, Away, Value};
use std::collections::BTreeMap;

/// Why an answer says nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unread {
    /// Redis is away, or cannot work at present.
    #[error("Redis is away: {0:?}")]
    Away(Away),
    /// Redis said what this version does not expect: another wrote to our keys, or a slot is just
    /// being moved. To be treated as a connection that broke.
    #[error("Redis answers {0}")]
    Strange(String),
}

/// What a read found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Seen<T> {
    /// In the generation that it asked for.
    Here(T),
    /// This one is current instead; `None` when Redis was emptied.
    OtherGeneration(Option<Generation>),
}

/// A part of a board.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopPart {
    /// Best first.
    pub places: Vec<Place>,
    /// Time of the newest entry of the whole board; `None` for a board without any.
    pub newest_us: Option<i64>,
}

/// To an apply, a load or a switch.
pub fn script(answer: Answer) -> Result<ScriptAnswer, Unread> {
    read(answer, |word, rest| match (word, rest) {
        ("done", full) => {
            let full = full.iter().map(inverted).collect::<Option<_>>()?;
            Some(ScriptAnswer::Done { full })
        }
        ("missing", [fence]) => Some(ScriptAnswer::Missing(text(fence)?.parse().ok()?)),
        ("other", [name]) => Some(ScriptAnswer::OtherGeneration(current(text(name)?)?.0)),
        ("refused", []) => Some(ScriptAnswer::Refused),
        _ => None,
    })
}

/// To a question for the fences.
pub fn fences(answer: Answer) -> Result<(Option<Generation>, BTreeMap<Stream, u64>), Unread> {
    read(answer, |word, rest| {
        let mut fences = BTreeMap::new();
        for pair in rest.first().map_or(Some(&[][..]), array)?.chunks_exact(2) {
            // The steps of the rebuild stand beside the fences.
            if let Some(stream) = stream(text(&pair[0])?) {
                fences.insert(stream, text(&pair[1])?.parse().ok()?);
            }
        }
        Some((current(word)?.0, fences))
    })
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

/// All answers are a list that begins with a word.
fn read<T>(answer: Answer, by: impl FnOnce(&str, &[Value]) -> Option<T>) -> Result<T, Unread> {
    let value = match answer {
        Answer::Done(value) => value,
        Answer::Refused(words) => return Err(Unread::Strange(words)),
        Answer::Away(away) => return Err(Unread::Away(away)),
    };
    let list = array(&value).and_then(|list| list.split_first());
    list.and_then(|(word, rest)| by(text(word)?, rest))
        .ok_or_else(|| Unread::Strange(format!("{value:?}")))
}

fn other<T>(word: &str, rest: &[Value]) -> Option<Seen<T>> {
    match (word, rest) {
        ("other", [name]) => Some(Seen::OtherGeneration(current(text(name)?)?.0)),
        _ => None,
    }
}

fn places(members: &Value, first: usize) -> Option<Vec<Place>> {
    let place = |(member, rank)| {
        let (total_worth, reached_at_us, id) = PlaceName::parse(text(member)?)?.parts()?;
        Some(Place { id, total_worth, rank, reached_at_us })
    };
    array(members)?.iter().zip(first + 1..).map(place).collect()
}

fn array(value: &Value) -> Option<&[Value]> {
    match value {
        Value::Array(values) => Some(values),
        _ => None,
    }
}

fn text(value: &Value) -> Option<&str> {
    match value {
        Value::BulkString(bytes) => std::str::from_utf8(bytes).ok(),
        _ => None,
    }
}

fn number(value: &Value) -> Option<usize> {
    match value {
        Value::Int(number) => usize::try_from(*number).ok(),
        _ => None,
    }
}

/// A time or id, which are kept inverted.
fn inverted(value: &Value) -> Option<i64> {
    i64::MAX.checked_sub(text(value)?.parse().ok()?)
}

/// The name of the current generation, empty when there is none.
fn current(name: &str) -> Option<Current> {
    match name {
        "" => Some(Current(None)),
        name => Generation::from_str_radix(name, 16).ok().map(|name| Current(Some(name))),
    }
}

struct Current(Option<Generation>);

fn stream(name: &str) -> Option<Stream> {
    let (writer, slot) = name.split_once(':')?;
    let writer = u64::from_str_radix(writer, 16).ok()?;
    Some(Stream { writer, slot: u16::from_str_radix(slot, 16).ok()? })
}

#[cfg(test)]
mod tests {
    use super::*;

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
