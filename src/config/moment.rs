//! A moment as operators write it: RFC 3339, such as `2026-12-31T23:00:00+08:00`.

use jiff::Timestamp;
use serde::{Serialize, Serializer};
use std::fmt;

/// A moment, to the second.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Moment(Timestamp);

impl Moment {
    /// `None` when `text` is no such moment, or lies before 1970.
    pub fn parse(text: &str) -> Option<Self> {
        let moment: Timestamp = text.parse().ok()?;
        (moment.as_second() >= 0).then_some(Self(moment))
    }

    /// Unix seconds.
    pub fn unix_s(self) -> i64 {
        self.0.as_second()
    }
}

impl fmt::Display for Moment {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(out)
    }
}

/// Nothing where none is set, as in the file.
#[expect(clippy::ref_option, reason = "serde passes a field by reference")]
pub(super) fn serialize<S: Serializer>(
    moment: &Option<Moment>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    match moment {
        Some(moment) => serializer.collect_str(moment),
        None => "".serialize(serializer),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_names_a_moment_and_nothing_else() {
        for (text, unix_s) in [
            ("1970-01-01T00:00:00Z", Some(0)),
            ("2026-12-31T23:00:00+08:00", Some(1_798_729_200)),
            ("2026-12-31 15:00:00Z", Some(1_798_729_200)),
            ("2026-12-31T23:00:00", None),
            ("1969-12-31T23:59:59Z", None),
            ("tomorrow", None),
            ("", None),
        ] {
            assert_eq!(Moment::parse(text).map(Moment::unix_s), unix_s, "{text}");
        }
    }
}
