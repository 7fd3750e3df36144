//! Names of resources, types and users: numbers or short texts.

use crate::http::parse_id;
use crate::limits::ID_BYTES_MAX;
use std::fmt;
use std::sync::Arc;

/// A name. A number and its canonical decimal text are the same name; numbers come before texts,
/// in their own order, and texts are ordered by their bytes.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Id {
    /// From 1.
    Number(i64),
    /// Anything else; shared by all that hold it, in 16 bytes like a number.
    Text(Arc<str>),
}

impl Id {
    /// The longest text, in bytes.
    pub const BYTES_MAX: usize = ID_BYTES_MAX;

    /// What [`Id::from_number`] and [`Id::from_text`] take.
    pub const EXPECTED: &str = "an integer from 1 to 9223372036854775807, or a text of 1 to 128 \
                                bytes without control characters";

    /// `None` below 1.
    pub fn from_number(number: i64) -> Option<Self> {
        (number > 0).then_some(Id::Number(number))
    }

    /// `None` for a text that is empty, too long, or holds control characters.
    pub fn from_text(text: &str) -> Option<Self> {
        if let Some(number) = parse_id(text) {
            return Some(Id::Number(number));
        }
        let fits = (1..=Self::BYTES_MAX).contains(&text.len());
        (fits && !text.contains(char::is_control)).then(|| Id::Text(text.into()))
    }
}

impl fmt::Display for Id {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Id::Number(number) => number.fmt(out),
            Id::Text(text) => text.fmt(out),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_and_its_canonical_text_are_one_name() {
        assert_eq!(Id::from_text("7"), Id::from_number(7));
        assert_eq!(Id::from_text("9223372036854775807"), Id::from_number(i64::MAX));
        for other in ["007", "+7", "-7", "0", "7.0", "9223372036854775808", "٧"] {
            assert_eq!(Id::from_text(other), Some(Id::Text(other.into())), "{other}");
        }
        assert_eq!((Id::from_number(0), Id::from_number(-1)), (None, None));
    }

    #[test]
    fn a_text_is_short_and_without_control_characters() {
        let longest = "é".repeat(64);
        for good in ["a", " ", "a/b", "hot", "'; --", "\u{200b}", &longest] {
            assert!(Id::from_text(good).is_some(), "{good}");
        }
        for bad in ["", "a\0", "\n", "\u{7f}", "\u{85}", &format!("{longest}x")] {
            assert_eq!(Id::from_text(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn numbers_come_first_and_each_kind_in_its_own_order() {
        let mut ids =
            ["b", "10", "B", "9", "é", "09"].map(|text| Id::from_text(text).expect("an id"));
        ids.sort();
        assert_eq!(ids.map(|id| id.to_string()), ["9", "10", "09", "B", "b", "é"]);
    }

    #[test]
    fn a_name_takes_two_words() {
        assert_eq!(size_of::<Id>(), 16);
    }
}
