//! Prints the effective configuration as TOML that can be read back, section by section.

use super::Config;
use jiff::tz::TimeZone;
use serde::Serializer;
use serde_json::{Map, Value};
use std::collections::BTreeSet;
use std::fmt::Write;

/// The whole configuration; secrets hide themselves.
pub(super) fn toml(config: &Config) -> String {
    let root = values(config);
    let mut out = String::new();
    section(&mut out, "", &root);
    out
}

/// The dotted keys whose values differ.
pub(super) fn differences(left: &Config, right: &Config) -> Vec<String> {
    let mut keys = Vec::new();
    compare("", &values(left), &values(right), &mut keys);
    keys
}

fn values(config: &Config) -> Map<String, Value> {
    let Ok(Value::Object(root)) = serde_json::to_value(config) else {
        unreachable!("a struct of plain values becomes an object");
    };
    root
}

fn compare(
    path: &str,
    left: &Map<String, Value>,
    right: &Map<String, Value>,
    keys: &mut Vec<String>,
) {
    let empty = Map::new();
    let all: BTreeSet<_> = left.keys().chain(right.keys()).collect();
    for key in all {
        let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
        match (left.get(key), right.get(key)) {
            (Some(Value::Object(left)), Some(Value::Object(right))) => {
                compare(&path, left, right, keys);
            }
            // A section with names of the operator's own, which one side lacks.
            (Some(Value::Object(section)), None) | (None, Some(Value::Object(section))) => {
                compare(&path, section, &empty, keys);
            }
            (left, right) if left != right => keys.push(path),
            _ => {}
        }
    }
}

/// Plain values first: in TOML whatever follows a section's head belongs to that section.
fn section(out: &mut String, path: &str, table: &Map<String, Value>) {
    let (tables, values): (Vec<_>, Vec<_>) = table.iter().partition(|(_, value)| value.is_object());
    if !path.is_empty() && !values.is_empty() {
        write!(out, "\n[{path}]\n").expect("a String takes all");
    }
    for (key, value) in values {
        // JSON writes strings and numbers as TOML does.
        writeln!(out, "{key} = {value}").expect("a String takes all");
    }
    for (key, value) in tables {
        let key = bare_or_quoted(key);
        let path = if path.is_empty() { key } else { format!("{path}.{key}") };
        section(out, &path, value.as_object().expect("partitioned by being an object"));
    }
}

/// A part of a section's name: TOML wants quotes around all but plain words, and has JSON's.
fn bare_or_quoted(key: &str) -> String {
    let is_bare = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
    let bare = !key.is_empty() && key.bytes().all(is_bare);
    if bare { key.to_owned() } else { Value::from(key).to_string() }
}

/// The name of a zone; it was looked up by name, so it has one.
pub(super) fn time_zone<S: Serializer>(zone: &TimeZone, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(zone.iana_name().unwrap_or("UTC"))
}
