//! A length of time as operators write it: `250ms`, `10s`, `48h`, `35d`.

use serde::{Serialize, Serializer};
use std::fmt;
use std::ops::Deref;
use std::time::Duration;

/// A duration that is shown in the largest unit that leaves no rest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Span(pub Duration);

const UNITS: [(&str, u128); 7] = [
    ("d", 86_400_000_000_000),
    ("h", 3_600_000_000_000),
    ("m", 60_000_000_000),
    ("s", 1_000_000_000),
    ("ms", 1_000_000),
    ("us", 1_000),
    ("ns", 1),
];

impl Deref for Span {
    type Target = Duration;

    fn deref(&self) -> &Duration {
        &self.0
    }
}

impl fmt::Display for Span {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let nanos = self.0.as_nanos();
        if nanos == 0 {
            return out.write_str("0s");
        }
        let whole = UNITS.iter().find(|(_, size)| nanos.is_multiple_of(*size));
        let (unit, size) = whole.expect("every duration is a whole number of nanoseconds");
        write!(out, "{}{unit}", nanos / size)
    }
}

impl Serialize for Span {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// A duration after which something is given up, or `off`: never.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Patience(pub Option<Span>);

impl Patience {
    /// How it is written to have none.
    pub(super) const OFF: &'static str = "off";
}

impl Serialize for Patience {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match &self.0 {
            Some(span) => span.serialize(serializer),
            None => serializer.serialize_str(Self::OFF),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_shown_as_an_operator_would_write_it() {
        let spans = ["0s", "1ns", "250ms", "10s", "90s", "30m", "36h", "2d", "371d"];
        for text in spans {
            let parsed = humantime::parse_duration(text).expect("a duration");
            assert_eq!(Span(parsed).to_string(), text);
        }
    }
}
