//! Takes typed values out of the merged layers and collects what is wrong with them: the key, its
//! value, where it was set and what would be allowed.

use super::layers::{Layers, TYPE_KEY, nearest, within};
use super::{Addresses, CounterType, ListenAddr, Moment, Patience, Span};
use crate::limits::{COUNTER_TYPES_MAX, ID_BYTES_MAX};
use config::{Value, ValueKind};
use jiff::tz::TimeZone;
use serde::{Serialize, Serializer};
use std::collections::BTreeMap;
use std::fmt;
use std::ops::RangeInclusive;
use std::time::Duration;

/// Everything that is wrong with a configuration, a line each.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}", .0.join("\n"))]
pub struct ConfigErrors(pub Vec<String>);

/// Text that is never shown: not by `Debug`, not by `fanfare check`, not in an error.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

const HIDDEN: &str = "***";

impl Secret {
    /// True when none is set.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The text, for a comparison.
    pub fn expose(&self) -> &str {
        &self.0
    }

    fn shown(&self) -> &'static str {
        if self.is_empty() { "" } else { HIDDEN }
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{:?}", self.shown())
    }
}

impl Serialize for Secret {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.shown())
    }
}

/// Hands out each key as the type that its owner asks for. After an error it hands out a stand-in
/// and goes on, so that one start shows all errors; `finish` makes sure that none is used.
pub(super) struct Reader<'a> {
    layers: &'a Layers,
    errors: Vec<String>,
}

impl<'a> Reader<'a> {
    pub(super) fn new(layers: &'a Layers) -> Self {
        Self { layers, errors: layers.errors.clone() }
    }

    /// True while nothing is wrong.
    pub(super) fn is_clean(&self) -> bool {
        self.errors.is_empty()
    }

    /// All errors, in the order of the layers and then of the keys.
    pub(super) fn finish(self) -> Result<(), ConfigErrors> {
        if self.errors.is_empty() { Ok(()) } else { Err(ConfigErrors(self.errors)) }
    }

    /// Notes that the value of `key` is not `allowed`.
    pub(super) fn refuse(&mut self, key: &str, allowed: &str) {
        if let Some(value) = self.layers.merged.get(key) {
            self.complain(key, &shown(&value.kind), allowed);
        }
    }

    /// A whole number.
    pub(super) fn integer(&mut self, key: &str, allowed: RangeInclusive<usize>) -> usize {
        let number = match self.kind(key) {
            ValueKind::I64(number) => usize::try_from(*number).ok(),
            ValueKind::U64(number) => usize::try_from(*number).ok(),
            ValueKind::String(text) if self.layers.is_text_only(key) => text.parse().ok(),
            _ => None,
        };
        number.filter(|number| allowed.contains(number)).unwrap_or_else(|| {
            let (least, most) = allowed.into_inner();
            self.refuse(key, &format!("a whole number from {least} to {most}"));
            least
        })
    }

    /// A length of time.
    pub(super) fn duration(&mut self, key: &str, allowed: RangeInclusive<Duration>) -> Span {
        let duration = self.text(key).and_then(|text| humantime::parse_duration(text).ok());
        Span(duration.filter(|duration| allowed.contains(duration)).unwrap_or_else(|| {
            let (least, most) = allowed.into_inner();
            let (from, to) = (Span(least), Span(most));
            self.refuse(key, &format!("a duration such as \"10s\", from {from} to {to}"));
            least
        }))
    }

    /// A moment; `None` where the text is empty.
    pub(super) fn moment(&mut self, key: &str) -> Option<Moment> {
        let text = self.text(key);
        let moment = text.and_then(Moment::parse);
        if moment.is_none() && text != Some("") {
            self.refuse(key, "nothing or a moment such as \"2026-12-31T23:00:00+08:00\"");
        }
        moment
    }

    /// A length of time, or `off`.
    pub(super) fn patience(&mut self, key: &str, allowed: RangeInclusive<Duration>) -> Patience {
        if self.text(key) == Some(Patience::OFF) {
            return Patience(None);
        }
        Patience(Some(self.duration(key, allowed)))
    }

    /// One of a few words. A word without a value is reserved for what this version cannot do.
    pub(super) fn word<T: Copy>(&mut self, key: &str, words: &[(&str, Option<T>)]) -> T {
        let found = self.text(key).and_then(|text| words.iter().find(|(word, _)| *word == text));
        if let Some((_, Some(value))) = found {
            return *value;
        }
        let usable = words.iter().filter(|(_, value)| value.is_some());
        let usable: Vec<String> = usable.map(|(word, _)| format!("\"{word}\"")).collect();
        let allowed = usable.join(" or ");
        match found {
            Some(_) => self.refuse(key, &format!("{allowed}: all that this version has")),
            None => self.refuse(key, &allowed),
        }
        words.iter().find_map(|(_, value)| *value).expect("one word at least can be used")
    }

    /// A list of words, each read by `parse`; in the environment they are separated by commas.
    pub(super) fn list<T>(
        &mut self,
        key: &str,
        allowed: &str,
        parse: impl Fn(&str) -> Option<T>,
    ) -> Vec<T> {
        let words: Option<Vec<&str>> = match self.kind(key) {
            ValueKind::Array(items) => items.iter().map(word).collect(),
            ValueKind::String(text) if self.layers.is_text_only(key) => {
                Some(text.split(',').map(str::trim).filter(|word| !word.is_empty()).collect())
            }
            _ => None,
        };
        let parsed = words.and_then(|words| words.into_iter().map(parse).collect());
        parsed.unwrap_or_else(|| {
            self.refuse(key, allowed);
            Vec::new()
        })
    }

    /// Yes or no.
    pub(super) fn flag(&mut self, key: &str) -> bool {
        let flag = match self.kind(key) {
            ValueKind::Boolean(flag) => Some(*flag),
            ValueKind::String(text) if self.layers.is_text_only(key) => text.parse().ok(),
            _ => None,
        };
        flag.unwrap_or_else(|| {
            self.refuse(key, "true or false");
            false
        })
    }

    /// The types of counters that are named.
    pub(super) fn counter_types(&mut self) -> BTreeMap<String, CounterType> {
        let mut types = BTreeMap::new();
        for key in self.layers.merged.keys() {
            let Some(name) = within(TYPE_KEY, key) else { continue };
            let fits = (1..=ID_BYTES_MAX).contains(&name.len());
            if !fits || name.contains(char::is_control) {
                let allowed = format!(
                    "a type's name of 1 to {ID_BYTES_MAX} bytes without control characters"
                );
                self.refuse(key, &allowed);
            }
            types.insert(name.to_owned(), CounterType { unique: self.flag(key) });
            if types.len() > COUNTER_TYPES_MAX {
                self.refuse(key, &format!("at most {COUNTER_TYPES_MAX} types"));
                break;
            }
        }
        types
    }

    /// The name of a folder.
    pub(super) fn path(&mut self, key: &str) -> String {
        let path = self.text(key).filter(|path| !path.is_empty() && !path.contains('\0'));
        if path.is_none() {
            self.refuse(key, "the name of a folder");
        }
        path.unwrap_or_default().to_owned()
    }

    /// Text that is not shown; empty, or visible ASCII of `length` bytes.
    pub(super) fn secret(&mut self, key: &str, length: RangeInclusive<usize>) -> Secret {
        let fits = |text: &&str| {
            let visible = text.bytes().all(|byte| byte.is_ascii_graphic());
            text.is_empty() || visible && length.contains(&text.len())
        };
        let text = self.text(key).filter(fits).map(str::to_owned);
        Secret(text.unwrap_or_else(|| {
            let (least, most) = (length.start(), length.end());
            let allowed = format!("nothing or {least} to {most} visible ASCII characters");
            self.complain(key, HIDDEN, &allowed);
            String::new()
        }))
    }

    /// Addresses of servers, which are not shown where they are wrong: they may hold a password.
    pub(super) fn addresses(&mut self, key: &str, schemes: &[&str]) -> Addresses {
        let found = self.text(key).and_then(|text| Addresses::parse(text, schemes));
        found.unwrap_or_else(|| {
            let allowed = format!("{}host:port, several separated by commas", schemes[0]);
            self.complain(key, HIDDEN, &allowed);
            Addresses::parse("redis://x", &["redis://"]).expect("an address")
        })
    }

    /// A name in a database, which no separator of ours or theirs may be part of.
    pub(super) fn name(&mut self, key: &str) -> String {
        let fits = |text: &&str| {
            let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_-".contains(&byte);
            (1..=48).contains(&text.len()) && text.bytes().all(plain)
        };
        let name = self.text(key).filter(fits);
        if name.is_none() {
            self.refuse(key, "1 to 48 letters, digits, _ or -");
        }
        name.unwrap_or("x").to_owned()
    }

    /// An address to listen on.
    pub(super) fn listen(&mut self, key: &str) -> ListenAddr {
        self.text(key).and_then(ListenAddr::resolve).unwrap_or_else(|| {
            self.refuse(key, "host:port, such as 127.0.0.1:8080 or [::1]:0");
            ListenAddr::resolve("127.0.0.1:0").expect("an address")
        })
    }

    /// A time zone by its name.
    pub(super) fn time_zone(&mut self, key: &str) -> TimeZone {
        let name = self.text(key).unwrap_or_default();
        TimeZone::get(name).unwrap_or_else(|_| {
            let zones: Vec<String> =
                jiff::tz::db().available().map(|zone| zone.to_string()).collect();
            let similar = nearest(name, zones.iter().map(String::as_str)).unwrap_or("Asia/Tokyo");
            self.refuse(key, &format!("an IANA time zone, such as \"{similar}\""));
            TimeZone::UTC
        })
    }

    fn text(&self, key: &str) -> Option<&'a str> {
        match self.kind(key) {
            ValueKind::String(text) => Some(text),
            _ => None,
        }
    }

    /// What is set. Nothing is, only where a section was overwritten, which is an error already.
    fn kind(&self, key: &str) -> &'a ValueKind {
        self.layers.merged.get(key).map_or(&ValueKind::Nil, |value| &value.kind)
    }

    fn complain(&mut self, key: &str, value: &str, allowed: &str) {
        let origin = self.layers.origin(key);
        self.errors.push(format!("{origin}: {key} = {value}: expected {allowed}"));
    }
}

fn word(value: &Value) -> Option<&str> {
    match &value.kind {
        ValueKind::String(text) => Some(text),
        _ => None,
    }
}

/// A value as it may have been written.
fn shown(kind: &ValueKind) -> String {
    match kind {
        ValueKind::Nil => "null".to_owned(),
        ValueKind::String(text) => format!("{text:?}"),
        ValueKind::Array(_) => "[…]".to_owned(),
        other => other.to_string(),
    }
}
