//! Reads gifts from a mongoexport file: a document a line, or one array of them.

use super::{Gift, WORTH};
use crate::limits::IMPORT_DOCUMENT_BYTES_MAX;
use jiff::Timestamp;
use serde::de::{DeserializeSeed, Deserializer, Error, SeqAccess, Visitor};
use serde_json::Value;
use std::cell::Cell;
use std::collections::HashSet;
use std::fmt;
use std::io::{self, BufRead, Read};
use std::rc::Rc;

/// A gift that was given before it came to us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PastGift {
    /// What was given.
    pub gift: Gift,
    /// When, in microseconds.
    pub time_us: i64,
}

/// Why nothing can be taken from a file; names the place, and the field where it is one.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// The file cannot be read.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// A line or a document is not what it should be.
    #[error("{0}")]
    Malformed(String),
}

/// A time from here on is in milliseconds: in seconds it would be the year 5138, and as milliseconds
/// it is 1973.
const MILLISECONDS_FROM: i64 = 100_000_000_000;

/// Reads all gifts, in the order of the file. `now_us` is what no gift may be later than.
pub fn read(input: impl BufRead, now_us: i64) -> Result<Vec<PastGift>, ExportError> {
    Documents::new(now_us, IMPORT_DOCUMENT_BYTES_MAX).read(input)
}

/// Sorts gifts by time, those of one time in the order in which they came, and makes the times grow
/// strictly: they decide who reached a total first.
pub fn arrange(gifts: &mut [PastGift]) {
    gifts.sort_by_key(|past| past.time_us);
    let mut last_us = i64::MIN;
    for past in gifts {
        past.time_us = past.time_us.max(last_us.saturating_add(1));
        last_us = past.time_us;
    }
}

struct Documents {
    now_us: i64,
    gifts: Vec<PastGift>,
    /// The same one twice is the same gift twice. Most are an `ObjectId`, which takes no heap.
    ids: (HashSet<u128>, HashSet<String>),
    document_bytes_max: usize,
    /// What is left of it for the document of an array that is being read.
    bytes_left: Rc<Cell<usize>>,
}

impl Documents {
    fn new(now_us: i64, document_bytes_max: usize) -> Self {
        let bytes_left = Rc::new(Cell::new(document_bytes_max));
        let (gifts, ids) = (Vec::new(), Default::default());
        Self { now_us, gifts, ids, document_bytes_max, bytes_left }
    }

    fn read(mut self, mut input: impl BufRead) -> Result<Vec<PastGift>, ExportError> {
        if input.fill_buf()?.starts_with(b"\xEF\xBB\xBF") {
            input.consume(3);
        }
        let mut line = 1;
        while let Some(&first) = input.fill_buf()?.first() {
            if first == b'[' {
                self.read_array(input, line)?;
                break;
            }
            if !first.is_ascii_whitespace() {
                self.read_lines(input, line)?;
                break;
            }
            line += usize::from(first == b'\n');
            input.consume(1);
        }
        Ok(self.gifts)
    }

    fn read_lines(&mut self, mut input: impl BufRead, first: usize) -> Result<(), ExportError> {
        let mut line = Vec::new();
        for number in first.. {
            line.clear();
            let most = self.document_bytes_max;
            let mut bounded = input.by_ref().take(most as u64 + 1);
            if bounded.read_until(b'\n', &mut line)? == 0 {
                break;
            }
            let malformed = |why: String| ExportError::Malformed(format!("line {number}: {why}"));
            if line.len() > most {
                return Err(malformed(too_long(most)));
            }
            if line.trim_ascii().is_empty() {
                continue;
            }
            let document = serde_json::from_slice(&line)
                .map_err(|error| malformed(format!("not a JSON document: {error}")))?;
            self.take(&document).map_err(malformed)?;
        }
        Ok(())
    }

    fn read_array(&mut self, input: impl BufRead, first: usize) -> Result<(), ExportError> {
        let (most, left) = (self.document_bytes_max, Rc::clone(&self.bytes_left));
        let mut json = serde_json::Deserializer::from_reader(Bounded { input, most, left });
        let read = self.deserialize(&mut json).and_then(|()| json.end());
        read.map_err(|error| {
            if error.is_io() {
                return ExportError::Io(error.into());
            }
            let line = error.line() + first - 1;
            // serde_json ends its sentences with a place of its own.
            let text = error.to_string();
            let text = text.split(" at line ").next().unwrap_or_default();
            ExportError::Malformed(format!("line {line}: {text}"))
        })
    }

    fn take(&mut self, document: &Value) -> Result<(), String> {
        let Value::Object(fields) = document else {
            return Err(String::from("expected an object"));
        };
        let field = |name: &str| fields.get(name).ok_or_else(|| format!("{name}: missing"));
        let number = |name: &str, allowed: std::ops::RangeInclusive<i64>| {
            let found = integer(field(name)?).filter(|number| allowed.contains(number));
            let (least, most) = (allowed.start(), allowed.end());
            found.ok_or_else(|| format!("{name}: expected a whole number from {least} to {most}"))
        };
        let gift = Gift {
            audience_id: number("audienceid", 1..=i64::MAX)?,
            anchor_id: number("anchorid", 1..=i64::MAX)?,
            worth: number("worth", WORTH)?,
        };
        let time_us = time_us(field("time")?).filter(|&time_us| time_us > 0);
        let time_us = time_us.ok_or(
            "time: expected seconds or milliseconds since 1970, or {\"$date\":\"…\"} (RFC 3339)",
        )?;
        if time_us > self.now_us {
            return Err(String::from("time: lies in the future"));
        }
        if fields.get("_id").is_some_and(|id| !self.is_new(id)) {
            return Err(String::from("_id: the same document comes twice"));
        }
        self.gifts.push(PastGift { gift, time_us });
        Ok(())
    }

    fn is_new(&mut self, id: &Value) -> bool {
        let object_id = id.get("$oid").and_then(Value::as_str).filter(|text| text.len() == 24);
        match object_id.and_then(|text| u128::from_str_radix(text, 16).ok()) {
            Some(object_id) => self.ids.0.insert(object_id),
            None => self.ids.1.insert(id.to_string()),
        }
    }
}

fn too_long(most: usize) -> String {
    format!("a document is longer than {most} bytes")
}

/// Reads until one document of an array is longer than any should be.
struct Bounded<R> {
    input: R,
    most: usize,
    left: Rc<Cell<usize>>,
}

impl<R: Read> Read for Bounded<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.input.read(buffer)?;
        let left = self.left.get().checked_sub(read);
        self.left.set(left.ok_or_else(|| io::Error::other(too_long(self.most)))?);
        Ok(read)
    }
}

impl<'de> DeserializeSeed<'de> for &mut Documents {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, array: D) -> Result<(), D::Error> {
        array.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for &mut Documents {
    type Value = ();

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("an array of documents")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut array: A) -> Result<(), A::Error> {
        let mut number = 1;
        while let Some(document) = array.next_element::<Value>()? {
            self.take(&document)
                .map_err(|why| A::Error::custom(format_args!("document {number}: {why}")))?;
            number += 1;
            self.bytes_left.set(self.document_bytes_max);
        }
        Ok(())
    }
}

/// A whole number, plain or as extended JSON writes it.
fn integer(value: &Value) -> Option<i64> {
    let text = match value {
        Value::Number(number) => return number.as_i64(),
        Value::Object(wrapped) if wrapped.len() == 1 => {
            wrapped.get("$numberLong").or_else(|| wrapped.get("$numberInt"))?.as_str()?
        }
        _ => return None,
    };
    // "+5" and "007" parse, but no export writes them.
    text.parse::<i64>().ok().filter(|number| number.to_string() == text)
}

fn time_us(value: &Value) -> Option<i64> {
    if let Some(date) = value.get("$date") {
        return match date {
            Value::String(text) => Some(text.parse::<Timestamp>().ok()?.as_microsecond()),
            // Extended JSON of old and the canonical form of today: milliseconds.
            _ => integer(date)?.checked_mul(1_000),
        };
    }
    let time = integer(value)?;
    time.checked_mul(if time < MILLISECONDS_FROM { 1_000_000 } else { 1_000 })
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW_US: i64 = 1_800_000_000_000_000;

    fn times(text: &str) -> Vec<i64> {
        let gifts = read(text.as_bytes(), NOW_US).expect("well-formed");
        gifts.iter().map(|past| past.time_us).collect()
    }

    fn error(text: &str) -> String {
        read(text.as_bytes(), NOW_US).expect_err("malformed").to_string()
    }

    fn line(fields: &str) -> String {
        format!(r#"{{"_id":{{"$oid":"616d{:020x}"}},{fields}}}"#, fields.len())
    }

    #[test]
    fn every_way_to_write_a_number_or_a_time_is_read_exactly() {
        let gift = Gift { audience_id: 9_007_199_254_740_993, anchor_id: 7, worth: 5 };
        for (audience, anchor, worth, time) in [
            ("9007199254740993", "7", "5", "1634549311"),
            (
                r#"{"$numberLong":"9007199254740993"}"#,
                r#"{"$numberInt":"7"}"#,
                r#"{"$numberLong":"5"}"#,
                r#"{"$date":"2021-10-18T09:28:31Z"}"#,
            ),
            ("9007199254740993", "7", "5", "1634549311000"),
            ("9007199254740993", "7", "5", r#"{"$numberLong":"1634549311"}"#),
            ("9007199254740993", "7", "5", r#"{"$date":{"$numberLong":"1634549311000"}}"#),
            ("9007199254740993", "7", "5", r#"{"$date":1634549311000}"#),
            ("9007199254740993", "7", "5", r#"{"$date":"2021-10-18T17:28:31.000+08:00"}"#),
        ] {
            let document = line(&format!(
                r#""audienceid":{audience},"anchorid":{anchor},"worth":{worth},"time":{time},"x":1"#
            ));
            let expected = [PastGift { gift, time_us: 1_634_549_311_000_000 }];
            for text in [document.clone(), format!("\u{feff}\n [{document}]\n")] {
                assert_eq!(read(text.as_bytes(), NOW_US).expect(&text), expected);
            }
        }
    }

    #[test]
    fn a_wrong_field_is_named_with_its_line() {
        let well = r#"{"audienceid":1,"anchorid":2,"worth":3,"time":4}"#;
        for (from, to, expected) in [
            (r#""worth":3,"#, "", "worth: missing"),
            (r#""worth":3"#, r#""worth":0"#, "worth: expected a whole number from 1 to 10000"),
            (r#""worth":3"#, r#""worth":3.0"#, "worth: expected a whole number"),
            (r#""anchorid":2"#, r#""anchorid":"2""#, "anchorid: expected a whole number"),
            (r#""audienceid":1"#, r#""audienceid":-1"#, "audienceid: expected a whole number"),
            (r#""anchorid":2"#, r#""anchorid":{"$numberLong":"02"}"#, "anchorid: expected"),
            (r#""time":4"#, r#""time":"now""#, "time: expected seconds or milliseconds"),
            (r#""time":4"#, r#""time":0"#, "time: expected seconds or milliseconds"),
            (r#""time":4"#, r#""time":1900000000"#, "time: lies in the future"),
            ("}", "", "not a JSON document"),
        ] {
            let wrong = well.replace(from, to);
            let found = error(&format!("{well}\n\n{wrong}\n{well}\n"));
            assert!(found.starts_with(&format!("line 3: {expected}")), "{found}");
            let found = error(&format!("[{well},\n{wrong}]"));
            assert!(found.starts_with("line 2: "), "{found}");
            assert!(from == "}" || found.contains(&format!("document 2: {expected}")), "{found}");
        }
        assert_eq!(error("7\n"), "line 1: expected an object");
        assert!(error("[] x").starts_with("line 1: trailing characters"), "{}", error("[] x"));
    }

    #[test]
    fn a_document_that_comes_twice_is_refused() {
        let document = line(r#""audienceid":1,"anchorid":2,"worth":3,"time":4"#);
        let expected = "line 2: _id: the same document comes twice";
        assert_eq!(error(&format!("{document}\n{document}")), expected);
        // Whoever chose the ids: they were compared only where MongoDB had.
        for id in ["7", r#""a""#, r#"{"$numberLong":"7"}"#, r#"{"shop":1,"no":2}"#] {
            let document = document.replace(r#"{"audience"#, &format!(r#"{{"_id":{id},"audience"#));
            assert_eq!(error(&format!("{document}\n{document}")), expected, "{id}");
        }
    }

    #[test]
    fn a_document_longer_than_any_is_refused_before_it_fills_the_memory() {
        let read = |text: &str| Documents::new(NOW_US, 100).read(text.as_bytes());
        let (well, pad) = (r#"{"audienceid":1,"anchorid":2,"worth":3,"time":4}"#, " ".repeat(99));
        for (text, line) in
            [(format!("{well}\n{pad}{well}"), "line 2: "), (format!("[{well},\n{pad}{well}]"), "")]
        {
            let found = read(&text).expect_err("too long").to_string();
            assert_eq!(found, format!("{line}a document is longer than 100 bytes"));
        }
        let many = [well; 20];
        for text in [many.join("\n"), format!("[{}]", many.join(","))] {
            assert_eq!(read(&text).expect("none of them is long").len(), 20);
        }
    }

    #[test]
    fn an_empty_file_has_no_gifts() {
        assert_eq!(times(""), [0; 0]);
        assert_eq!(times("\n\n"), [0; 0]);
        assert_eq!(times(" [ ] "), [0; 0]);
    }

    #[test]
    fn times_grow_strictly_and_equal_ones_keep_their_order() {
        let gift = |anchor_id| Gift { audience_id: 1, anchor_id, worth: 1 };
        let past = |anchor, time_us| PastGift { gift: gift(anchor), time_us };
        let mut gifts = [past(1, 9), past(2, 5), past(3, 5), past(4, 6), past(5, 20)];
        arrange(&mut gifts);
        assert_eq!(gifts, [past(2, 5), past(3, 6), past(4, 7), past(1, 9), past(5, 20)]);
    }
}
