//! The JSON of every counter answer, as api.md has it: one answer that both kinds of clients read.

use super::{Counter, Id, Period, Place};
use crate::http::{Response, Status};
use serde::ser::SerializeSeq;
use serde::{Serialize, Serializer};

/// A counter as a client named it: who sends ids as text reads them as text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Named {
    /// Which.
    pub counter: Counter,
    /// A numeric resource id came as text.
    pub resource_is_text: bool,
    /// A numeric type came as text.
    pub type_is_text: bool,
}

impl Named {
    /// A counter whose names came without a form of their own, such as in a path: numbers are
    /// numbers.
    pub fn plain(counter: Counter) -> Self {
        Self { counter, resource_is_text: false, type_is_text: false }
    }
}

/// Where one counter stands at `now_s`; `count` is `None` while nobody can tell.
pub fn count(named: &Named, count: Option<i64>, now_s: i64) -> Vec<u8> {
    let mut out = begin(1);
    put_counted(&mut out, named, count, now_s);
    out.extend_from_slice(b"}}");
    out
}

/// The answer to a batch that was asked for as `queries`: a list.
pub fn queries(named: &[Named], counts: &[i64], now_s: i64) -> Vec<u8> {
    let mut out = begin(named.len());
    put_list(&mut out, named, counts, now_s);
    out.push(b'}');
    out
}

/// The answer to a batch that was asked for as `items`: a list and its length.
pub fn items(named: &[Named], counts: &[i64], now_s: i64) -> Vec<u8> {
    let mut out = begin(named.len());
    out.extend_from_slice(b"{\"results\":");
    put_list(&mut out, named, counts, now_s);
    out.extend_from_slice(b",\"total\":");
    put_number(&mut out, i64::try_from(named.len()).unwrap_or(i64::MAX));
    out.extend_from_slice(b"}}");
    out
}

/// What a recount or reset did.
pub fn corrected(named: &Named, count: Option<i64>, correction: i64, now_s: i64) -> Vec<u8> {
    let mut out = begin(1);
    put_counted(&mut out, named, count, now_s);
    out.extend_from_slice(b",\"correction\":");
    put_number(&mut out, correction);
    out.extend_from_slice(b"}}");
    out
}

/// A hot list.
pub fn hot(counter_type: &Id, places: &[Place]) -> Vec<u8> {
    envelope(Hot { counter_type, places })
}

/// A hot list as its stream shows it.
pub fn hot_list(counter_type: &Id, period: Period, places: &[Place]) -> Vec<u8> {
    encode(&HotList {
        counter_type: Shown { id: counter_type, is_text: false },
        period: period.name(),
        data: Hot { counter_type, places },
    })
}

/// Whether a user is counted.
pub fn is_counted(counted: bool) -> Vec<u8> {
    encode(&IsCounted { success: true, data: CountedFlag { counted } })
}

/// An error as both kinds of clients read it.
pub fn error(status: Status, message: &str) -> Response {
    let body = encode(&Refused { error: message, code: status.code, message });
    Response { status, ..Response::json(body) }
}

fn envelope(data: impl Serialize) -> Vec<u8> {
    encode(&Envelope { success: true, status: "success", data })
}

fn encode(value: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(value).expect("numbers, texts and fixed names always encode")
}

/// Bytes of one counter in an answer, its names aside.
const COUNTED_BYTES_USUAL: usize = 160;

/// The beginning of an answer about so many counters. Those are written by hand: `serde_json` looks
/// through the names of all fields for what to escape, a thousand times in a batch.
fn begin(counters: usize) -> Vec<u8> {
    let mut out = Vec::with_capacity((counters + 1) * COUNTED_BYTES_USUAL);
    out.extend_from_slice(b"{\"success\":true,\"status\":\"success\",\"data\":");
    out
}

fn put_list(out: &mut Vec<u8>, named: &[Named], counts: &[i64], now_s: i64) {
    let mut before = b'[';
    for (named, &count) in named.iter().zip(counts) {
        out.push(before);
        put_counted(out, named, Some(count), now_s);
        out.push(b'}');
        before = b',';
    }
    out.push(b']');
}

/// All but the closing brace.
fn put_counted(out: &mut Vec<u8>, named: &Named, count: Option<i64>, now_s: i64) {
    let Counter { counter_type, resource } = &named.counter;
    let put_count = |out: &mut Vec<u8>| match count {
        Some(count) => put_number(out, count),
        None => out.extend_from_slice(b"null"),
    };
    out.extend_from_slice(b"{\"resource_id\":");
    put_id(out, resource, named.resource_is_text);
    out.extend_from_slice(b",\"counter_type\":");
    put_id(out, counter_type, named.type_is_text);
    out.extend_from_slice(b",\"count\":");
    put_count(out);
    out.extend_from_slice(b",\"current_value\":");
    put_count(out);
    out.extend_from_slice(b",\"success\":true,\"timestamp\":");
    put_number(out, now_s);
}

fn put_id(out: &mut Vec<u8>, id: &Id, is_text: bool) {
    serde_json::to_writer(out, &Shown { id, is_text }).expect("numbers and texts always encode");
}

fn put_number(out: &mut Vec<u8>, number: i64) {
    out.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
}

/// An id in the form in which its client writes it.
struct Shown<'a> {
    id: &'a Id,
    is_text: bool,
}

impl Serialize for Shown<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.id {
            Id::Number(number) if self.is_text => serializer.collect_str(number),
            Id::Number(number) => serializer.serialize_i64(*number),
            Id::Text(text) => serializer.serialize_str(text),
        }
    }
}

#[derive(Serialize)]
struct Envelope<T> {
    success: bool,
    status: &'static str,
    data: T,
}

struct Hot<'a> {
    counter_type: &'a Id,
    places: &'a [Place],
}

impl Serialize for Hot<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut list = serializer.serialize_seq(Some(self.places.len()))?;
        for (place, rank) in self.places.iter().zip(1..) {
            list.serialize_element(&HotPlace {
                resource_id: Shown { id: &place.resource, is_text: false },
                counter_type: Shown { id: self.counter_type, is_text: false },
                count: place.count,
                rank,
            })?;
        }
        list.end()
    }
}

#[derive(Serialize)]
struct HotList<'a> {
    counter_type: Shown<'a>,
    period: &'static str,
    data: Hot<'a>,
}

#[derive(Serialize)]
struct HotPlace<'a> {
    resource_id: Shown<'a>,
    counter_type: Shown<'a>,
    count: i64,
    rank: usize,
}

#[derive(Serialize)]
struct IsCounted {
    success: bool,
    data: CountedFlag,
}

#[derive(Serialize)]
struct CountedFlag {
    counted: bool,
}

#[derive(Serialize)]
struct Refused<'a> {
    error: &'a str,
    code: u16,
    message: &'a str,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(text: &str) -> Id {
        Id::from_text(text).expect("an id")
    }

    fn named(resource: &str, is_text: bool) -> Named {
        let counter = Counter { counter_type: id("like"), resource: id(resource) };
        Named { resource_is_text: is_text, ..Named::plain(counter) }
    }

    fn check(encoded: Vec<u8>, expected: &str) {
        assert_eq!(String::from_utf8(encoded).expect("JSON is UTF-8"), expected);
    }

    const SEVEN: &str = r#"{"resource_id":7,"counter_type":"like","count":-9223372036854775808,"current_value":-9223372036854775808,"success":true,"timestamp":5}"#;
    const TEXT: &str = r#"{"resource_id":"7","counter_type":"like","count":2,"current_value":2,"success":true,"timestamp":5}"#;

    #[test]
    fn a_count_is_named_as_its_client_named_it() {
        let whole = |data: &str| format!(r#"{{"success":true,"status":"success","data":{data}}}"#);
        check(count(&named("7", false), Some(i64::MIN), 5), &whole(SEVEN));
        check(count(&named("7", true), Some(2), 5), &whole(TEXT));
        check(
            count(&named("a\"é", false), None, 5),
            &whole(
                r#"{"resource_id":"a\"é","counter_type":"like","count":null,"current_value":null,"success":true,"timestamp":5}"#,
            ),
        );
        let batch = [named("7", false), named("7", true)];
        check(queries(&batch, &[i64::MIN, 2], 5), &whole(&format!("[{SEVEN},{TEXT}]")));
        let results = format!(r#"{{"results":[{SEVEN},{TEXT}],"total":2}}"#);
        check(items(&batch, &[i64::MIN, 2], 5), &whole(&results));
    }

    #[test]
    fn hot_lists_flags_corrections_and_errors_have_their_shapes() {
        let places = [Place { resource: id("7"), count: 3 }, Place { resource: id("x"), count: 1 }];
        check(
            hot(&id("like"), &places),
            r#"{"success":true,"status":"success","data":[{"resource_id":7,"counter_type":"like","count":3,"rank":1},{"resource_id":"x","counter_type":"like","count":1,"rank":2}]}"#,
        );
        check(hot(&id("like"), &[]), r#"{"success":true,"status":"success","data":[]}"#);
        check(is_counted(true), r#"{"success":true,"data":{"counted":true}}"#);
        check(
            corrected(&named("7", true), Some(2), -9, 5),
            &format!(
                r#"{{"success":true,"status":"success","data":{},"correction":-9}}}}"#,
                TEXT.trim_end_matches('}')
            ),
        );
        let refused = error(Status::BAD_REQUEST, "no");
        check(refused.body.bytes().to_vec(), r#"{"error":"no","code":400,"message":"no"}"#);
    }
}
