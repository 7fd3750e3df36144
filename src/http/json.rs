//! JSON objects of requests, read field by field; every refusal names the field and what was
//! expected.

use super::field_error::FieldError;
use super::json_parse;
use std::borrow::Cow;
use std::ops::RangeInclusive;

/// A JSON value; text is borrowed from the request where nothing was escaped.
#[derive(Clone, Debug, PartialEq)]
pub enum Value<'a> {
    /// `null`: not the same as an absent field.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A number without point or exponent, within i64.
    Int(i64),
    /// Any other number: we count, so none of them is ever meant.
    OtherNumber,
    /// Text.
    String(Cow<'a, str>),
    /// A list.
    Array(Vec<Value<'a>>),
    /// Fields.
    Object(Object<'a>),
}

/// A JSON object without doubled keys at any depth.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Object<'a> {
    pub(super) fields: Vec<(Cow<'a, str>, Value<'a>)>,
}

/// The spellings of one field, the contract's first: `"worth"`, or `["anchor_id", "auchor_id"]`
/// where old clients use another.
pub trait Names: Copy {
    /// All spellings.
    fn spellings(&self) -> &[&'static str];
}

impl Names for &'static str {
    fn spellings(&self) -> &[&'static str] {
        std::slice::from_ref(self)
    }
}

impl<const N: usize> Names for [&'static str; N] {
    fn spellings(&self) -> &[&'static str] {
        self
    }
}

/// What [`Object::id`] and [`parse_id`] take.
pub(super) const ID: &str = "an id: an integer from 1 to 9223372036854775807";

impl<'a> Object<'a> {
    /// Parses a body. Refused: anything but one object, bytes behind it, invalid UTF-8, a key
    /// twice in one object.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, FieldError> {
        json_parse::parse(bytes)
    }

    /// The field of that name.
    pub fn get(&self, name: &str) -> Option<&Value<'a>> {
        self.fields.iter().find(|(key, _)| key == name).map(|(_, value)| value)
    }

    /// An integer within `range`; `None` when absent.
    pub fn int(
        &self,
        names: impl Names,
        range: RangeInclusive<i64>,
    ) -> Result<Option<i64>, FieldError> {
        let read = |value: &Value<'a>| match value {
            Value::Int(number) if range.contains(number) => Some(*number),
            _ => None,
        };
        self.read(names, read, || int_expected(&range))
    }

    /// An id, as a number or its canonical decimal text; `None` when absent.
    pub fn id(&self, names: impl Names) -> Result<Option<i64>, FieldError> {
        let read = |value: &Value<'a>| match value {
            Value::Int(number) => (*number > 0).then_some(*number),
            Value::String(text) => parse_id(text),
            _ => None,
        };
        self.read(names, read, || ID.into())
    }

    /// Text; `None` when absent.
    pub fn string(&self, names: impl Names) -> Result<Option<&str>, FieldError> {
        self.read(names, Value::as_str, || "a string".into())
    }

    /// `true` or `false`; `None` when absent.
    pub fn bool(&self, names: impl Names) -> Result<Option<bool>, FieldError> {
        let read = |value: &Value<'a>| match value {
            Value::Bool(value) => Some(*value),
            _ => None,
        };
        self.read(names, read, || "true or false".into())
    }

    /// A list; `None` when absent.
    pub fn array(&self, names: impl Names) -> Result<Option<&[Value<'a>]>, FieldError> {
        self.read(names, Value::as_array, || "an array".into())
    }

    /// Reads all spellings that are there; they must agree in what they mean.
    fn read<'o, T: PartialEq>(
        &'o self,
        names: impl Names,
        read: impl Fn(&'o Value<'a>) -> Option<T>,
        expected: impl FnOnce() -> Cow<'static, str>,
    ) -> Result<Option<T>, FieldError> {
        let mut found = None;
        for &name in names.spellings() {
            let Some(value) = self.get(name) else { continue };
            let Some(value) = read(value) else { return Err(FieldError::new(name, expected())) };
            if found.as_ref().is_some_and(|earlier| *earlier != value) {
                let first = names.spellings()[0];
                return Err(FieldError::new(name, format!("the same value as {first}")));
            }
            found = Some(value);
        }
        Ok(found)
    }
}

impl<'a> Value<'a> {
    /// The object, if it is one: an item of a list.
    pub fn as_object(&self) -> Option<&Object<'a>> {
        match self {
            Value::Object(object) => Some(object),
            _ => None,
        }
    }

    /// The list, if it is one.
    pub fn as_array(&self) -> Option<&[Value<'a>]> {
        match self {
            Value::Array(values) => Some(values),
            _ => None,
        }
    }

    /// The text, if it is text.
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Value::String(text) => Some(text),
            _ => None,
        }
    }
}

/// An id in its canonical decimal form: `7`, not `007` or `+7`; 1 to `i64::MAX`.
pub fn parse_id(text: &str) -> Option<i64> {
    let is_canonical = text.starts_with(|first: char| ('1'..='9').contains(&first));
    // Behind a digit, `parse` takes nothing but digits.
    if is_canonical { text.parse().ok() } else { None }
}

pub(super) fn int_expected(range: &RangeInclusive<i64>) -> Cow<'static, str> {
    format!("an integer from {} to {}", range.start(), range.end()).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn int(body: &str) -> Result<Option<i64>, String> {
        let object = Object::parse(body.as_bytes()).map_err(|error| error.to_string())?;
        object.int("n", -5..=9).map_err(|error| error.to_string())
    }

    #[test]
    fn refuses_what_two_parsers_could_read_in_two_ways() {
        for bad in [
            "",
            "1",
            "[]",
            "null",
            "\"\"",
            "{}x",
            "{} {}",
            "{,}",
            "{\"a\":1,}",
            "{a:1}",
            "{'a':1}",
            "{\"a\":01}",
            "{\"a\":+1}",
            "{\"a\":NaN}",
            "{\"a\":\"\\ud800\"}",
            "{\"a\":\"\n\"}",
            "{\"a\":1",
            "\u{feff}{}",
            "{\"a\":.5}",
        ] {
            let error = Object::parse(bad.as_bytes()).expect_err(bad);
            assert_eq!(error.to_string(), "body: expected a JSON object in UTF-8", "{bad}");
        }
        for bad in [&b"{\"a\":\"\xff\"}"[..], b"{\"\xc3\":1}", b"{\"a\":1}\0", b"\xff"] {
            assert!(Object::parse(bad).is_err(), "{bad:?}");
        }
        assert!(Object::parse("[".repeat(100_000).as_bytes()).is_err());
        assert!(Object::parse(b" \r\n\t{ } \n").is_ok());
    }

    #[test]
    fn refuses_a_key_twice_at_any_depth() {
        let many = (0..100).map(|key| format!("\"k{key}\":0,")).collect::<Vec<_>>().concat();
        for (bad, key) in [
            ("{\"a\":1,\"a\":1}".to_owned(), "a"),
            ("{\"a\":1,\"\\u0061\":1}".to_owned(), "a"),
            ("{\"x\":[{\"y\":{\"b\":1,\"b\":2}}]}".to_owned(), "x[0].b"),
            ("{\"x\":[0,[{},{\"b\":1,\"b\":2}]]}".to_owned(), "x[1][1].b"),
            (format!("{{{many}\"k7\":1}}"), "k7"),
        ] {
            let error = Object::parse(bad.as_bytes()).expect_err(&bad).to_string();
            assert_eq!(error, format!("{key}: expected a key only once in its object"));
        }
        assert!(Object::parse(format!("{{{many}\"k100\":1}}").as_bytes()).is_ok());
        assert!(Object::parse(b"{\"a\":{\"a\":1},\"b\":{\"a\":1}}").is_ok());
    }

    #[test]
    fn integers_are_integers_within_their_range() {
        assert_eq!(int("{}"), Ok(None));
        for (good, number) in [("{\"n\":-5}", -5), ("{\"n\":0,\"x\":1.5}", 0), ("{\"n\":9}", 9)] {
            assert_eq!(int(good), Ok(Some(number)), "{good}");
        }
        let bad = "5.0 1e3 \"5\" null true [] {} 10 -6 9223372036854775808 99999999999999999999";
        for bad in bad.split(' ') {
            let error = int(&format!("{{\"n\":{bad}}}"));
            assert_eq!(error, Err("n: expected an integer from -5 to 9".to_owned()), "{bad}");
        }
    }

    #[test]
    fn ids_are_numbers_or_canonical_text() {
        let id = |text: &str| {
            let body = format!("{{\"id\":{text}}}");
            Object::parse(body.as_bytes()).expect("the table is JSON").id("id")
        };
        for (good, number) in [
            ("7", 7),
            ("\"7\"", 7),
            ("9223372036854775807", i64::MAX),
            ("\"9223372036854775807\"", i64::MAX),
        ] {
            assert_eq!(id(good), Ok(Some(number)), "{good}");
        }
        let bad = "0 -1 \"0\" \"007\" \"+7\" \"-7\" \"\" \"7.0\" \"\\u0667\" 7.0 null \
                   \"9223372036854775808\" 9223372036854775808 true";
        for bad in bad.split_ascii_whitespace() {
            assert!(id(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn two_spellings_must_agree() {
        let id = |body: &str| {
            let object = Object::parse(body.as_bytes()).expect("the table is JSON");
            object.id(["anchor_id", "auchor_id"]).map_err(|error| error.to_string())
        };
        assert_eq!(id("{\"auchor_id\":7}"), Ok(Some(7)));
        assert_eq!(id("{\"auchor_id\":7,\"anchor_id\":\"7\"}"), Ok(Some(7)));
        assert_eq!(
            id("{\"auchor_id\":7,\"anchor_id\":8}"),
            Err("auchor_id: expected the same value as anchor_id".to_owned())
        );
        assert!(id("{\"auchor_id\":7,\"anchor_id\":null}").is_err());
    }

    #[test]
    fn other_types_say_what_they_expected() {
        let body = br#"{"s":"a\n","b":true,"l":[1,{"x":2}]}"#;
        let object = Object::parse(body).expect("it is JSON");
        assert_eq!(object.string("s"), Ok(Some("a\n")));
        assert_eq!(object.bool("b"), Ok(Some(true)));
        let list = object.array("l").expect("it is a list").expect("it is there");
        assert_eq!(list[1].as_object().and_then(|item| item.get("x")), Some(&Value::Int(2)));
        assert_eq!(
            object.string("b").map_err(|e| e.to_string()),
            Err("b: expected a string".into())
        );
        assert!(object.bool("s").is_err() && object.array("s").is_err());
    }
}
