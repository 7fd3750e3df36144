//! The strict reading of JSON: `serde_json`'s syntax, our own tree, no key twice at any depth.

use super::field_error::FieldError;
use super::json::{Object, Value};
use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use std::borrow::Cow;
use std::cell::Cell;
use std::fmt;

/// Objects up to this many fields are searched pair by pair for a doubled key; sorting is cheaper
/// beyond.
const PAIRWISE_FIELDS_MAX: usize = 16;

/// Characters of a key that the refusal repeats.
const NAMED_CHARS_MAX: usize = 64;

/// Parses a whole body.
pub(super) fn parse(bytes: &[u8]) -> Result<Object<'_>, FieldError> {
    let not_json = || FieldError::new("body", "a JSON object in UTF-8");
    // At once: looked at text by text, a batch of a thousand short ones costs far more.
    let text = str::from_utf8(bytes).map_err(|_| not_json())?;
    let faults = Faults::default();
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let value = Seed { faults: &faults }.deserialize(&mut deserializer);
    if let Some(key) = faults.doubled.take() {
        return Err(FieldError::new(key, "a key only once in its object"));
    }
    if let Some(key) = faults.out_of_range.take() {
        return Err(FieldError::new(key, "a number within the range of 64 bits"));
    }
    match value.and_then(|value| deserializer.end().map(|()| value)) {
        Ok(Value::Object(object)) => Ok(object),
        _ => Err(not_json()),
    }
}

/// Keys of the first fault, for the refusal to name.
#[derive(Default)]
struct Faults {
    /// Found twice.
    doubled: Cell<Option<String>>,
    /// Its value is a number that not even a double holds.
    out_of_range: Cell<Option<String>>,
}

impl Faults {
    /// Takes note of a value that could not be read; the innermost key comes first and stays, with
    /// the list that its object stands in.
    fn note(&self, key: &str, error: &impl fmt::Display) {
        self.prefix(|fault| fault.starts_with('[').then(|| shown(key)));
        let earlier = self.out_of_range.take();
        let is_range = || error.to_string().starts_with("number out of range");
        self.out_of_range.set(earlier.or_else(|| is_range().then(|| shown(key))));
    }

    /// The faulty value is this one of a list.
    fn note_index(&self, index: usize) {
        self.prefix(|fault| {
            let dot = if fault.starts_with('[') { "" } else { "." };
            Some(format!("[{index}]{dot}"))
        });
    }

    fn prefix(&self, prefix: impl Fn(&str) -> Option<String>) {
        for cell in [&self.doubled, &self.out_of_range] {
            let Some(fault) = cell.take() else { continue };
            let prefix = prefix(&fault).unwrap_or_default();
            cell.set(Some(prefix + &fault));
        }
    }
}

/// Enough of a key to find it; the client knows the rest.
fn shown(key: &str) -> String {
    key.chars().take(NAMED_CHARS_MAX).collect()
}

#[derive(Clone, Copy)]
struct Seed<'c> {
    faults: &'c Faults,
}

impl<'de> DeserializeSeed<'de> for Seed<'_> {
    type Value = Value<'de>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value<'de>, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Seed<'_> {
    type Value = Value<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Value<'de>, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value<'de>, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value<'de>, E> {
        Ok(Value::Int(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value<'de>, E> {
        Ok(i64::try_from(value).map_or(Value::OtherNumber, Value::Int))
    }

    /// Whatever has a point or an exponent, or is beyond 64 bits.
    fn visit_f64<E>(self, _: f64) -> Result<Value<'de>, E> {
        Ok(Value::OtherNumber)
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Value<'de>, E> {
        Ok(Value::String(Cow::Borrowed(text)))
    }

    fn visit_str<E>(self, text: &str) -> Result<Value<'de>, E> {
        Ok(Value::String(Cow::Owned(text.to_owned())))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Value<'de>, A::Error> {
        let mut values = Vec::new();
        loop {
            match access.next_element_seed(self) {
                Ok(Some(value)) => values.push(value),
                Ok(None) => return Ok(Value::Array(values)),
                Err(error) => {
                    self.faults.note_index(values.len());
                    return Err(error);
                }
            }
        }
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Value<'de>, A::Error> {
        let mut fields = Vec::new();
        while let Some(key) = access.next_key_seed(KeySeed)? {
            match access.next_value_seed(self) {
                Ok(value) => fields.push((key, value)),
                Err(error) => {
                    self.faults.note(&key, &error);
                    return Err(error);
                }
            }
        }
        match doubled_key(&fields) {
            None => Ok(Value::Object(Object { fields })),
            Some(key) => {
                self.faults.doubled.set(Some(shown(key)));
                Err(A::Error::custom("a key was given twice"))
            }
        }
    }
}

fn doubled_key<'f>(fields: &'f [(Cow<'_, str>, Value<'_>)]) -> Option<&'f str> {
    if fields.len() <= PAIRWISE_FIELDS_MAX {
        let earlier = |index: usize| fields[..index].iter().map(|(key, _)| key);
        let mut keys = fields.iter().enumerate();
        return keys
            .find(|(index, (key, _))| earlier(*index).any(|other| other == key))
            .map(|(_, (key, _))| &**key);
    }
    let mut keys: Vec<&str> = fields.iter().map(|(key, _)| &**key).collect();
    keys.sort_unstable();
    keys.windows(2).find(|pair| pair[0] == pair[1]).map(|pair| pair[0])
}

struct KeySeed;

impl<'de> DeserializeSeed<'de> for KeySeed {
    type Value = Cow<'de, str>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl<'de> Visitor<'de> for KeySeed {
    type Value = Cow<'de, str>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
        Ok(Cow::Borrowed(text))
    }

    fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
        Ok(Cow::Owned(text.to_owned()))
    }
}
