//! Queries and form bodies: `name=value` pairs, decoded when asked for.

use super::field_error::FieldError;
use super::json::{ID, int_expected, parse_id};
use super::percent::decode_form;
use std::borrow::Cow;
use std::ops::RangeInclusive;

/// The pairs of a query or an `application/x-www-form-urlencoded` body.
#[derive(Clone, Copy, Debug)]
pub struct Query<'a> {
    raw: &'a str,
    /// As in JSON, a name may stand once only; a query may repeat itself.
    once: bool,
}

impl<'a> Query<'a> {
    /// Wraps what follows the `?`.
    pub fn new(raw: &'a str) -> Self {
        Self { raw, once: false }
    }

    /// Wraps a form body.
    pub fn form(body: &'a [u8]) -> Result<Self, FieldError> {
        let raw = std::str::from_utf8(body);
        let raw = raw.map_err(|_| FieldError::new("body", "a form in UTF-8"))?;
        Ok(Self { raw, once: true })
    }

    /// The value of `name`; empty when it has none; `None` when it is absent. A malformed pair is
    /// refused wherever it stands, and so is a name with two values; in a query, two different ones.
    pub fn get(&self, name: &'static str) -> Result<Option<Cow<'a, str>>, FieldError> {
        let mut found: Option<Cow<'a, str>> = None;
        for pair in self.raw.split('&') {
            let (key, value) = match memchr::memchr(b'=', pair.as_bytes()) {
                Some(mark) => (&pair[..mark], &pair[mark + 1..]),
                None => (pair, ""),
            };
            let key = decode_form(key).ok_or_else(|| malformed("query"))?;
            if pair.is_empty() || (key != name && memchr::memchr(b'%', value.as_bytes()).is_none())
            {
                continue;
            }
            let value = decode_form(value).ok_or_else(|| malformed(key.clone().into_owned()))?;
            if key != name {
                continue;
            }
            if found.as_ref().is_some_and(|earlier| self.once || *earlier != value) {
                return Err(FieldError::new(name, "one value, not several"));
            }
            found = Some(value);
        }
        Ok(found)
    }

    /// An integer within `range`; `None` when absent.
    pub fn int(
        &self,
        name: &'static str,
        range: RangeInclusive<i64>,
    ) -> Result<Option<i64>, FieldError> {
        let Some(text) = self.get(name)? else { return Ok(None) };
        let number = if text.starts_with('+') { None } else { text.parse().ok() };
        match number.filter(|number| range.contains(number)) {
            Some(number) => Ok(Some(number)),
            None => Err(FieldError::new(name, int_expected(&range))),
        }
    }

    /// An id; `None` when absent.
    pub fn id(&self, name: &'static str) -> Result<Option<i64>, FieldError> {
        let Some(text) = self.get(name)? else { return Ok(None) };
        parse_id(&text).map(Some).ok_or_else(|| FieldError::new(name, ID))
    }
}

fn malformed(field: impl Into<Cow<'static, str>>) -> FieldError {
    FieldError::new(field, "percent-encoded UTF-8")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_decoded_pairs() {
        for (raw, value) in [
            ("", None),
            ("b=1", None),
            ("a", Some("")),
            ("a=", Some("")),
            ("a=1", Some("1")),
            ("b=2&a=1&&c", Some("1")),
            ("a=1&a=1", Some("1")),
            ("a=x+y%26z", Some("x y&z")),
            ("%61=1", Some("1")),
            ("a=b=c", Some("b=c")),
            ("A=1", None),
        ] {
            assert_eq!(Query::new(raw).get("a").expect(raw).as_deref(), value, "{raw}");
        }
    }

    #[test]
    fn refuses_malformed_and_contradicting_pairs() {
        for (raw, why) in [
            ("a=%", "a: expected percent-encoded UTF-8"),
            ("a=%ff", "a: expected percent-encoded UTF-8"),
            ("a=1&b=%zz", "b: expected percent-encoded UTF-8"),
            ("a=1&%f=1", "query: expected percent-encoded UTF-8"),
            ("a=1&a=2", "a: expected one value, not several"),
            ("a=1&%61=2", "a: expected one value, not several"),
        ] {
            let error = Query::new(raw).get("a").expect_err(raw);
            assert_eq!(error.to_string(), why, "{raw}");
        }
        assert!(Query::form(b"a=\xff").is_err());
        let form = Query::form(b"a=1&b=2&a=1").expect("UTF-8");
        assert!(form.get("a").is_err(), "a form is as strict as JSON");
        assert_eq!(form.get("b").expect("once").as_deref(), Some("2"));
    }

    #[test]
    fn numbers_are_checked() {
        let query = Query::new("n=5&plus=%2B5&float=5.0&id=7&zero=0&pad=007");
        assert_eq!(query.int("n", 1..=5), Ok(Some(5)));
        assert_eq!(query.int("absent", 1..=5), Ok(None));
        assert!(query.int("n", 1..=4).is_err());
        assert!(query.int("plus", 1..=5).is_err() && query.int("float", 1..=5).is_err());
        assert_eq!(query.id("id"), Ok(Some(7)));
        assert!(query.id("zero").is_err() && query.id("pad").is_err());
    }
}
