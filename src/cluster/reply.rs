//! Reads what the scripts over a view answer: a list that begins with a word.
//!
//! Every domain's scripts say the same words; what else they carry, its own functions read.

use super::record::Stream;
use super::script::{Generation, ScriptAnswer};
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

impl<T> Seen<T> {
    /// The same, told in another way.
    pub fn map<U>(self, by: impl FnOnce(T) -> U) -> Seen<U> {
        match self {
            Self::Here(here) => Seen::Here(by(here)),
            Self::OtherGeneration(other) => Seen::OtherGeneration(other),
        }
    }
}

/// All fences of the current generation at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fences {
    /// Which is current.
    pub generation: Generation,
    /// Redis was emptied: nobody has built it, and it holds nothing.
    pub is_hollow: bool,
    /// How far each stream is applied.
    pub fences: BTreeMap<Stream, u64>,
}

/// To an apply, a load or a switch; `subject` reads who may take no more.
pub fn script<S>(
    answer: Answer,
    subject: impl Fn(&Value) -> Option<S>,
) -> Result<ScriptAnswer<S>, Unread> {
    read(answer, |word, rest| match (word, rest) {
        ("done", full) => {
            let full = full.iter().map(subject).collect::<Option<_>>()?;
            Some(ScriptAnswer::Done { full })
        }
        ("missing", [fence]) => Some(ScriptAnswer::Missing(text(fence)?.parse().ok()?)),
        ("other", [name]) => Some(ScriptAnswer::OtherGeneration(current(text(name)?)?.0)),
        ("refused", []) => Some(ScriptAnswer::Refused),
        _ => None,
    })
}

/// To a question for the fences.
pub fn fences(answer: Answer) -> Result<Fences, Unread> {
    read(answer, |word, rest| {
        let pairs = rest.first()?;
        let is_hollow = array(pairs)?.iter().step_by(2).any(|name| text(name) == Some("hollow"));
        Some(Fences { generation: current(word)?.0?, is_hollow, fences: streams(pairs)? })
    })
}

/// The hash of the fences, as Redis lists it.
pub fn streams(pairs: &Value) -> Option<BTreeMap<Stream, u64>> {
    let mut fences = BTreeMap::new();
    for pair in array(pairs)?.chunks_exact(2) {
        // The steps of the rebuild stand beside the fences, or that there was none.
        if let Some(stream) = stream(text(&pair[0])?) {
            fences.insert(stream, text(&pair[1])?.parse().ok()?);
        }
    }
    Some(fences)
}

/// Reads the word of an answer and what follows it.
pub fn read<T>(answer: Answer, by: impl FnOnce(&str, &[Value]) -> Option<T>) -> Result<T, Unread> {
    let value = match answer {
        Answer::Done(value) => value,
        Answer::Refused(words) => return Err(Unread::Strange(words)),
        Answer::Away(away) => return Err(Unread::Away(away)),
    };
    let list = array(&value).and_then(|list| list.split_first());
    list.and_then(|(word, rest)| by(text(word)?, rest))
        .ok_or_else(|| Unread::Strange(format!("{value:?}")))
}

/// For a read: that another generation is current.
pub fn other<T>(word: &str, rest: &[Value]) -> Option<Seen<T>> {
    match (word, rest) {
        ("other", [name]) => Some(Seen::OtherGeneration(current(text(name)?)?.0)),
        _ => None,
    }
}

/// A list.
pub fn array(value: &Value) -> Option<&[Value]> {
    match value {
        Value::Array(values) => Some(values),
        _ => None,
    }
}

/// A text.
pub fn text(value: &Value) -> Option<&str> {
    match value {
        Value::BulkString(bytes) => std::str::from_utf8(bytes).ok(),
        _ => None,
    }
}

/// A number that is not negative.
pub fn number(value: &Value) -> Option<usize> {
    match value {
        Value::Int(number) => usize::try_from(*number).ok(),
        _ => None,
    }
}

/// The name of the current generation, empty when there is none.
fn current(name: &str) -> Option<Current> {
    match name {
        "" => Some(Current(None)),
        name => Generation::from_str_radix(name, 16).ok().map(|name| Current(Some(name))),
    }
}

struct Current(Option<Generation>);

/// As fences are named: writer and slot in hex.
fn stream(name: &str) -> Option<Stream> {
    let (writer, slot) = name.split_once(':')?;
    let writer = u64::from_str_radix(writer, 16).ok()?;
    Some(Stream { writer, slot: u16::from_str_radix(slot, 16).ok()? })
}
