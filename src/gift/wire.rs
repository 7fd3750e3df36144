//! The JSON of every gift answer, as api.md has it; integers are exact, fields keep their order.

use super::{Entry, Period, Place, Span, Standing};
use crate::http::event_bytes;
use serde::ser::SerializeSeq;
use serde::{Serialize, Serializer};

/// The answer of a call that has no data.
pub const SUCCESS: &str = r#"{"code":0,"message":"success"}"#;

/// The answer to a gift: a function of its journal entry, so that a replay answers the same bytes.
pub fn sent(entry: &Entry) -> Vec<u8> {
    envelope(Sent {
        id: entry.id,
        anchor_id: entry.anchor_id,
        worth: entry.worth,
        time: unix_seconds(entry),
    })
}

/// The answer to a revoke: its whole journal entry.
pub fn revoked(entry: &Entry) -> Vec<u8> {
    envelope(Revoked {
        id: entry.id,
        revokes: entry.revokes,
        audience_id: entry.audience_id,
        anchor_id: entry.anchor_id,
        worth: entry.worth,
        time: unix_seconds(entry),
    })
}

/// A part of a board; `span` for all but the board of all time.
pub fn top(places: &[Place], span: Option<Span>) -> Vec<u8> {
    encode(&Envelope {
        from: span.map(|span| span.from_s),
        until: span.map(|span| span.until_s),
        ..Envelope::of(Anchors(places))
    })
}

/// An anchor among its neighbours.
pub fn standing(standing: &Standing) -> Vec<u8> {
    let place = standing.place;
    let neighbour = |other: &Place| Neighbour {
        anchor_id: other.id,
        total_worth: other.total_worth,
        rank: other.rank,
        distance: place.total_worth.abs_diff(other.total_worth),
    };
    envelope(StandingData {
        anchor_id: place.id,
        total_worth: place.total_worth,
        rank: place.rank,
        reached_at_us: place.reached_at_us,
        ahead: standing.ahead.as_ref().map(neighbour),
        behind: standing.behind.as_ref().map(neighbour),
        around: Anchors(&standing.around),
    })
}

/// One anchor's total.
pub fn worth(anchor_id: i64, total_worth: i64) -> Vec<u8> {
    envelope(Worth { anchor_id, total_worth })
}

/// A page of a journal, and the cursor of the next one.
pub fn journal(entries: &[Entry], next: Option<i64>) -> Vec<u8> {
    encode(&Envelope { next, ..Envelope::of(Entries(entries)) })
}

/// An anchor's audience by worth given.
pub fn fans(places: &[Place]) -> Vec<u8> {
    envelope(Fans(places))
}

/// Whatever the configuration shows of itself.
pub fn config(view: &impl Serialize) -> Vec<u8> {
    envelope(view)
}

/// A whole board as one server-sent event.
pub fn board_event(period: Period, version: u64, places: &[Place]) -> Vec<u8> {
    let data = Board { period: period.name(), version, data: Anchors(places) };
    event_bytes("board", version, &encode(&data))
}

fn envelope(data: impl Serialize) -> Vec<u8> {
    encode(&Envelope::of(data))
}

fn encode(value: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(value).expect("numbers and fixed names always encode")
}

fn unix_seconds(entry: &Entry) -> i64 {
    entry.time_us.div_euclid(1_000_000)
}

#[derive(Serialize)]
struct Envelope<T> {
    code: u16,
    message: &'static str,
    data: T,
    #[serde(skip_serializing_if = "Option::is_none")]
    from: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    until: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<i64>,
}

impl<T> Envelope<T> {
    fn of(data: T) -> Self {
        Self { code: 0, message: "success", data, from: None, until: None, next: None }
    }
}

#[derive(Serialize)]
struct Sent {
    id: i64,
    anchor_id: i64,
    worth: i64,
    time: i64,
}

#[derive(Serialize)]
struct Revoked {
    id: i64,
    revokes: Option<i64>,
    audience_id: i64,
    anchor_id: i64,
    worth: i64,
    time: i64,
}

#[derive(Serialize)]
struct Worth {
    anchor_id: i64,
    total_worth: i64,
}

#[derive(Serialize)]
struct StandingData<'a> {
    anchor_id: i64,
    total_worth: i64,
    rank: usize,
    reached_at_us: i64,
    ahead: Option<Neighbour>,
    behind: Option<Neighbour>,
    around: Anchors<'a>,
}

#[derive(Serialize)]
struct Neighbour {
    anchor_id: i64,
    total_worth: i64,
    rank: usize,
    distance: u64,
}

#[derive(Serialize)]
struct Board<'a> {
    period: &'static str,
    version: u64,
    data: Anchors<'a>,
}

#[derive(Serialize)]
struct AnchorPlace {
    anchor_id: i64,
    total_worth: i64,
    rank: usize,
}

#[derive(Serialize)]
struct FanPlace {
    audience_id: i64,
    total_worth: i64,
    rank: usize,
}

#[derive(Serialize)]
struct JournalLine {
    id: i64,
    audience_id: i64,
    /// The spelling that old clients read.
    auchor_id: i64,
    anchor_id: i64,
    worth: i64,
    time: i64,
    /// Only in a line that takes another one back.
    #[serde(skip_serializing_if = "Option::is_none")]
    revokes: Option<i64>,
}

/// Encodes each item of a slice through what it looks like on the wire, without a second list.
fn list<S: Serializer, T, W: Serialize>(
    serializer: S,
    items: &[T],
    wire: impl Fn(&T) -> W,
) -> Result<S::Ok, S::Error> {
    let mut list = serializer.serialize_seq(Some(items.len()))?;
    for item in items {
        list.serialize_element(&wire(item))?;
    }
    list.end()
}

struct Anchors<'a>(&'a [Place]);

impl Serialize for Anchors<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        list(serializer, self.0, |place| AnchorPlace {
            anchor_id: place.id,
            total_worth: place.total_worth,
            rank: place.rank,
        })
    }
}

struct Fans<'a>(&'a [Place]);

impl Serialize for Fans<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        list(serializer, self.0, |place| FanPlace {
            audience_id: place.id,
            total_worth: place.total_worth,
            rank: place.rank,
        })
    }
}

struct Entries<'a>(&'a [Entry]);

impl Serialize for Entries<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        list(serializer, self.0, |entry| JournalLine {
            id: entry.id,
            audience_id: entry.audience_id,
            auchor_id: entry.anchor_id,
            anchor_id: entry.anchor_id,
            worth: entry.worth,
            time: unix_seconds(entry),
            revokes: entry.revokes,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(encoded: Vec<u8>, expected: &str) {
        assert_eq!(String::from_utf8(encoded).expect("JSON is UTF-8"), expected);
    }

    fn place(id: i64, total_worth: i64, rank: usize) -> Place {
        Place { id, total_worth, rank, reached_at_us: 1_700_000_000_000_001 }
    }

    fn entry(worth: i64, revokes: Option<i64>) -> Entry {
        let time_us = 1_700_000_000_999_999;
        Entry {
            id: 9_007_199_254_740_991,
            audience_id: 1_001,
            anchor_id: 7,
            worth,
            time_us,
            revokes,
        }
    }

    #[test]
    fn writes_are_answered_with_their_entry() {
        check(
            sent(&entry(5, None)),
            r#"{"code":0,"message":"success","data":{"id":9007199254740991,"anchor_id":7,"worth":5,"time":1700000000}}"#,
        );
        check(
            revoked(&entry(-5, Some(3))),
            r#"{"code":0,"message":"success","data":{"id":9007199254740991,"revokes":3,"audience_id":1001,"anchor_id":7,"worth":-5,"time":1700000000}}"#,
        );
    }

    #[test]
    fn a_board_shows_its_span_beside_its_places() {
        check(top(&[], None), r#"{"code":0,"message":"success","data":[]}"#);
        check(
            top(&[place(7, i64::MAX, 1)], Some(Span { from_s: 3_600, until_s: 7_200 })),
            r#"{"code":0,"message":"success","data":[{"anchor_id":7,"total_worth":9223372036854775807,"rank":1}],"from":3600,"until":7200}"#,
        );
        check(
            worth(7, 5),
            r#"{"code":0,"message":"success","data":{"anchor_id":7,"total_worth":5}}"#,
        );
        check(
            fans(&[place(1_001, 5, 1)]),
            r#"{"code":0,"message":"success","data":[{"audience_id":1001,"total_worth":5,"rank":1}]}"#,
        );
    }

    #[test]
    fn a_standing_has_null_at_the_ends() {
        let middle = place(7, 5, 2);
        check(
            standing(&Standing {
                place: middle,
                ahead: Some(place(8, 9, 1)),
                behind: None,
                around: vec![place(8, 9, 1), middle],
            }),
            r#"{"code":0,"message":"success","data":{"anchor_id":7,"total_worth":5,"rank":2,"reached_at_us":1700000000000001,"ahead":{"anchor_id":8,"total_worth":9,"rank":1,"distance":4},"behind":null,"around":[{"anchor_id":8,"total_worth":9,"rank":1},{"anchor_id":7,"total_worth":5,"rank":2}]}}"#,
        );
    }

    #[test]
    fn a_journal_page_names_the_next_one_while_there_is_more() {
        check(
            journal(&[entry(5, None)], Some(4)),
            r#"{"code":0,"message":"success","data":[{"id":9007199254740991,"audience_id":1001,"auchor_id":7,"anchor_id":7,"worth":5,"time":1700000000}],"next":4}"#,
        );
        check(journal(&[], None), r#"{"code":0,"message":"success","data":[]}"#);
    }

    #[test]
    fn an_event_is_one_line_of_data() {
        check(
            board_event(Period::Day, 17, &[place(7, 5, 1)]),
            "event: board\nid: 17\ndata: {\"period\":\"day\",\"version\":17,\"data\":[{\"anchor_id\":7,\"total_worth\":5,\"rank\":1}]}\n\n",
        );
    }

    #[test]
    fn every_period_has_its_own_name() {
        for (name, period) in Period::NAMES {
            assert_eq!(period.name(), name);
            assert_eq!(Period::from_name(name), Some(period));
        }
        assert_eq!(Period::from_name("month"), None);
    }
}
