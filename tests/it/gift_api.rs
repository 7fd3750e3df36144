//! The gift calls, from the bytes of a request to the bytes of its answer, over the model as store.

use crate::gift_model::TestClock;
use crate::gift_rig::{Rig, START_S};
use fanfare::gift::{Found, Period, Read, Store, Write, Written};
use fanfare::store::StoreError;
use std::sync::Arc;

#[test]
fn a_gift_is_on_the_board_as_soon_as_it_is_acknowledged() {
    let rig = Rig::new();
    rig.finds("/gift/top", "[]");
    let answer = rig.post("/gift/send", r#"{"audience_id":1001,"anchor_id":7,"worth":5,"time":3}"#);
    assert_eq!(
        answer.body,
        r#"{"code":0,"message":"success","data":{"id":1,"anchor_id":7,"worth":5,"time":1795248000}}"#
    );
    let first = r#"{"anchor_id":7,"total_worth":5,"rank":1}"#;
    rig.finds("/gift/top", &format!("[{first}]"));
    rig.finds("/gift/top?num=10", &format!("[{first}]"));
    rig.send(1001, 8, 5);
    let second = r#"{"anchor_id":8,"total_worth":5,"rank":2}"#;
    rig.finds("/gift/top", &format!("[{first},{second}]"));
    rig.finds("/gift/top?offset=1", &format!("[{second}]"));
    rig.finds("/gift/top?num=1", &format!("[{first}]"));
    rig.finds("/gift/worth?id=7", r#"{"anchor_id":7,"total_worth":5}"#);
    rig.finds("/gift/fans?id=7", r#"[{"audience_id":1001,"total_worth":5,"rank":1}]"#);
    rig.finds(
        "/gift/journal?id=7",
        r#"[{"id":1,"audience_id":1001,"auchor_id":7,"anchor_id":7,"worth":5,"time":1795248000}]"#,
    );
    rig.finds(
        "/gift/rank?id=8&around=0",
        r#"{"anchor_id":8,"total_worth":5,"rank":2,"reached_at_us":1795248000000001,"ahead":{"anchor_id":7,"total_worth":5,"rank":1,"distance":0},"behind":null,"around":[{"anchor_id":8,"total_worth":5,"rank":2}]}"#,
    );
}

#[test]
fn old_spellings_and_textual_ids_are_understood() {
    let rig = Rig::new();
    for body in [
        r#"{"audience_id":1,"auchor_id":7,"worth":1}"#,
        r#"{"audience_id":"1","anchor_id":"7","worth":1}"#,
        r#"{"audience_id":1,"anchor_id":7,"auchor_id":"7","worth":1,"Worth":9,"x":{}}"#,
    ] {
        let answer = rig.post("/gift/send", body);
        assert_eq!(answer.status, "200 OK", "{body}: {}", answer.body);
    }
    rig.finds("/gift/worth?id=7", r#"{"anchor_id":7,"total_worth":3}"#);
}

#[test]
fn a_bad_gift_is_refused_with_the_name_of_its_field() {
    let rig = Rig::new();
    let id = "an id: an integer from 1 to 9223372036854775807";
    let worth = "an integer from 1 to 1000000000000";
    for (body, why) in [
        ("", "body: expected a JSON object in UTF-8".to_owned()),
        (r#"{"anchor_id":7,"worth":5}"#, format!("audience_id is missing: expected {id}")),
        (r#"{"audience_id":1,"worth":5}"#, format!("anchor_id is missing: expected {id}")),
        (r#"{"audience_id":1,"anchor_id":7}"#, format!("worth is missing: expected {worth}")),
        (r#"{"audience_id":1,"anchor_id":7,"worth":0}"#, format!("worth: expected {worth}")),
        (r#"{"audience_id":1,"anchor_id":7,"worth":-1}"#, format!("worth: expected {worth}")),
        (r#"{"audience_id":1,"anchor_id":7,"worth":5.0}"#, format!("worth: expected {worth}")),
        (r#"{"audience_id":1,"anchor_id":7,"worth":"5"}"#, format!("worth: expected {worth}")),
        (
            r#"{"audience_id":1,"anchor_id":7,"worth":1000000000001}"#,
            format!("worth: expected {worth}"),
        ),
        (r#"{"audience_id":0,"anchor_id":7,"worth":5}"#, format!("audience_id: expected {id}")),
        (r#"{"audience_id":1,"anchor_id":"007","worth":5}"#, format!("anchor_id: expected {id}")),
        (
            r#"{"audience_id":1,"anchor_id":7,"auchor_id":8,"worth":5}"#,
            "auchor_id: expected the same value as anchor_id".to_owned(),
        ),
        (
            r#"{"audience_id":1,"anchor_id":7,"worth":5,"request_id":""}"#,
            "request_id: expected 1 to 64 visible ASCII characters".to_owned(),
        ),
        (
            r#"{"audience_id":1,"anchor_id":7,"worth":5,"request_id":5}"#,
            "request_id: expected a string".to_owned(),
        ),
    ] {
        Rig::refuses(&rig.post("/gift/send", body), "400 Bad Request", &why);
    }
    rig.finds("/gift/top", "[]");
}

#[test]
fn queries_are_refused_or_read_as_the_contract_says() {
    let rig = Rig::new();
    for id in 1..=12 {
        rig.send(1, id, 100 - id);
    }
    for ten in ["", "num=", "num=0", "num=x", "num=5.5", "num=-0", "num", "num=10"] {
        let body = rig.get(&format!("/gift/top?{ten}")).body;
        assert_eq!(body.matches("anchor_id").count(), 10, "{ten}");
    }
    let num = "num: expected an integer from 1 to 1000";
    let page = "num: expected an integer from 1 to 100";
    let id = "id: expected an id: an integer from 1 to 9223372036854775807";
    let future = format!("at={}&period=day", START_S + 1);
    for (target, why) in [
        ("top?num=1001", num),
        ("top?num=-1", num),
        ("top?num=99999999999999999999999", num),
        ("stream?num=1001", num),
        ("journal?id=7&num=101", page),
        ("fans?id=7&num=-5", page),
        ("top?period=month", "period: expected all, hour, day or week"),
        ("stream?period=", "period: expected all, hour, day or week"),
        ("rank?id=7&period=Day", "period: expected all, hour, day or week"),
        ("top?offset=10001", "offset: expected an integer from 0 to 10000"),
        ("top?offset=-1", "offset: expected an integer from 0 to 10000"),
        ("top?at=5", "at: expected no moment with the board of all time"),
        ("top?at=x&period=day", "at: expected an integer from 0 to 9223372036854775807"),
        (&format!("top?{future}"), "at: expected unix seconds, not in the future"),
        ("rank?id=7&around=51", "around: expected an integer from 0 to 50"),
        ("rank?id=07", id),
        ("worth?id=0", id),
        ("worth", "id is missing: expected an id: an integer from 1 to 9223372036854775807"),
        ("journal?id=7&before=x", "before: expected a cursor from next"),
        ("journal?id=7&before=", "before: expected a cursor from next"),
        ("top?num=%zz", "num: expected percent-encoded UTF-8"),
    ] {
        Rig::refuses(&rig.get(&format!("/gift/{target}")), "400 Bad Request", why);
    }
    for (target, why) in [
        ("worth?id=99", "id: the anchor never had a gift"),
        ("rank?id=99", "id: the anchor is not on this board"),
        ("top?period=hour&at=5", "at: the board of that time is no longer kept"),
    ] {
        Rig::refuses(&rig.get(&format!("/gift/{target}")), "404 Not Found", why);
    }
    rig.finds("/gift/journal?id=99", "[]");
    rig.finds("/gift/fans?id=99", "[]");
}

#[test]
fn a_period_shows_its_span_and_ends_with_it() {
    let rig = Rig::new();
    rig.send(1, 7, 5);
    let hour = |from_s: i64, data: &str| {
        let until_s = from_s + 3_600;
        format!(
            r#"{{"code":0,"message":"success","data":[{data}],"from":{from_s},"until":{until_s}}}"#
        )
    };
    let place = r#"{"anchor_id":7,"total_worth":5,"rank":1}"#;
    for _ in 0..2 {
        assert_eq!(rig.get("/gift/top?period=hour").body, hour(START_S, place));
    }
    // Nothing is written when the hour ends, and yet the board is another one.
    rig.clock.advance_s(3_600);
    assert_eq!(rig.get("/gift/top?period=hour").body, hour(START_S + 3_600, ""));
    let earlier = rig.get(&format!("/gift/top?period=hour&at={START_S}"));
    assert_eq!(earlier.body, hour(START_S, place));
    // What was encoded for the next hour was once shown although the clock had been set back.
    rig.clock.advance_s(-3_600);
    assert_eq!(rig.get("/gift/top?period=hour").body, hour(START_S, place));
}

#[test]
fn a_stream_turns_to_the_empty_board_when_its_period_ends() {
    let rig = Rig::new();
    rig.send(1, 7, 5);
    let topic = rig.streams.topic(Period::Hour, 10);
    let (before, version) =
        (topic.event(), u64::try_from(START_S + 3_600).expect("late") * 1_000_000);
    // Nothing is written when the hour ends, and yet the event is another one.
    rig.clock.advance_s(3_600);
    let after = topic.event();
    assert!(after.version > before.version, "subscribers would drop it");
    let data = format!(r#"{{"period":"hour","version":{version},"data":[]}}"#);
    let expected = format!("event: board\nid: {version}\ndata: {data}\n\n");
    assert_eq!(String::from_utf8_lossy(&after.bytes), expected);
}

#[test]
fn kept_answers_are_never_mistaken_for_each_other() {
    let rig = Rig::new();
    for id in 1..=60 {
        rig.send(1, id, 100 - id);
    }
    let check = |num: usize, offset: usize| {
        let body = rig.get(&format!("/gift/top?num={num}&offset={offset}")).body;
        let first = format!("\"rank\":{}}}", offset + 1);
        assert_eq!(body.matches("anchor_id").count(), num, "{num} from {offset}");
        assert!(body.contains(&first), "{num} from {offset}");
    };
    // More kinds than are kept, each of them twice, the default among them.
    for num in (1..=50).chain(1..=50) {
        check(num, 0);
        check(num, 10);
        check(10, 0);
    }
    rig.send(1, 60, 1_000);
    rig.finds("/gift/top?num=1", r#"[{"anchor_id":60,"total_worth":1040,"rank":1}]"#);
}

#[test]
fn a_journal_is_paged_by_its_cursor() {
    let rig = Rig::new();
    for worth in 1..=3 {
        rig.send(1, 7, worth);
    }
    let first = rig.get("/gift/journal?id=7&num=2").body;
    assert!(first.ends_with(r#"],"next":2}"#), "{first}");
    rig.send(1, 7, 4);
    let second = rig.get("/gift/journal?id=7&num=2&before=2").body;
    assert!(second.contains(r#""data":[{"id":1,"#) && second.ends_with("}]}"), "{second}");
}

#[test]
fn a_retried_gift_counts_once() {
    let rig = Rig::new();
    let body = r#"{"audience_id":1,"anchor_id":7,"worth":5}"#;
    let keyed = |key: &str, body: &str| {
        rig.call("POST /gift/send", &format!("Idempotency-Key: {key}\r\n"), body)
    };
    let first = keyed("a", body);
    let again = keyed("a", r#"{"worth":5, "auchor_id":"7","audience_id":1,"request_id":"a"}"#);
    assert_eq!(again.body, first.body);
    assert!(!first.headers.contains("Idempotent-Replayed"));
    assert!(again.headers.contains("Idempotent-Replayed: true"), "{}", again.headers);
    let other = keyed("a", r#"{"audience_id":1,"anchor_id":7,"worth":6}"#);
    let why = "the idempotency key was used for another request";
    Rig::refuses(&other, "409 Conflict", why);
    let torn = keyed("a", r#"{"audience_id":1,"anchor_id":7,"worth":5,"request_id":"b"}"#);
    Rig::refuses(&torn, "400 Bad Request", "request_id: expected one key, not several");
    rig.finds("/gift/worth?id=7", r#"{"anchor_id":7,"total_worth":5}"#);
}

#[test]
fn a_revoke_takes_a_gift_back_once() {
    let rig = Rig::new();
    rig.send(1, 7, 5);
    let body = r#"{"id":1,"reason":"fraud"}"#;
    let first = rig.post("/gift/revoke", body);
    assert_eq!(
        first.body,
        r#"{"code":0,"message":"success","data":{"id":2,"revokes":1,"audience_id":1,"anchor_id":7,"worth":-5,"time":1795248000}}"#
    );
    let again = rig.post("/gift/revoke", r#"{"id":1,"reason":"another"}"#);
    assert_eq!(again.body, first.body);
    assert!(again.headers.contains("Idempotent-Replayed: true"));
    rig.finds("/gift/top", "[]");
    rig.finds("/gift/worth?id=7", r#"{"anchor_id":7,"total_worth":0}"#);
    let reason = "reason: expected a text of 1 to 200 bytes";
    for (body, status, why) in [
        (r#"{"id":9,"reason":"x"}"#, "404 Not Found", "id: no such gift"),
        (r#"{"id":2,"reason":"x"}"#, "409 Conflict", "id: a revoke cannot be revoked"),
        (r#"{"id":1,"reason":""}"#, "400 Bad Request", reason),
        (&format!(r#"{{"id":1,"reason":"{}"}}"#, "é".repeat(101)), "400 Bad Request", reason),
    ] {
        Rig::refuses(&rig.post("/gift/revoke", body), status, why);
    }
}

#[test]
fn a_sum_that_would_overflow_is_refused() {
    /// Stands where a total is one gift below the largest number.
    struct Full;

    impl Store for Full {
        fn write(&self, _: Write, then: fanfare::exec::Answer<Written>) {
            then(Ok(Written::Overflow));
        }

        fn read(
            &self,
            _: Read,
            _: &mut dyn FnMut() -> fanfare::exec::Answer<Found>,
        ) -> Option<Result<Found, StoreError>> {
            Some(Err(StoreError::Broken))
        }

        fn version(&self) -> u64 {
            1
        }
    }

    let rig = Rig::over(&(Arc::new(Full) as _), TestClock::at(START_S));
    let gift = r#"{"audience_id":1,"anchor_id":7,"worth":5}"#;
    let why = "worth: the total would leave the range of an i64";
    Rig::refuses(&rig.post("/gift/send", gift), "409 Conflict", why);
    Rig::refuses(&rig.get("/gift/top"), "500 Internal Server Error", "internal error");
}

#[test]
fn a_store_that_is_away_is_answered_with_503_and_when_to_retry() {
    /// Takes answers and gives them back as unavailable, or drops them.
    struct Away;

    impl Store for Away {
        fn write(&self, _: Write, then: fanfare::exec::Answer<Written>) {
            then(Err(StoreError::Unavailable));
        }

        fn read(
            &self,
            read: Read,
            later: &mut dyn FnMut() -> fanfare::exec::Answer<Found>,
        ) -> Option<Result<Found, StoreError>> {
            let answer = later();
            if matches!(read, Read::Journal { .. }) {
                answer(Err(StoreError::Unavailable));
            }
            None
        }

        fn version(&self) -> u64 {
            1
        }
    }

    let rig = Rig::over(&(Arc::new(Away) as _), TestClock::at(START_S));
    let gift = r#"{"audience_id":1,"anchor_id":7,"worth":5}"#;
    for answer in [rig.post("/gift/send", gift), rig.get("/gift/journal?id=7")] {
        assert_eq!(answer.status, "503 Service Unavailable");
        assert!(answer.headers.contains("Retry-After: 1"), "{}", answer.headers);
    }
    // A question that was dropped is answered all the same.
    assert_eq!(rig.get("/gift/fans?id=7").status, "500 Internal Server Error");
}

#[test]
fn test_data_are_within_their_bounds_whatever_the_method() {
    let rig = Rig::new();
    for method in ["GET", "POST", "PUT", "DELETE", "PATCH"] {
        let answer = rig.call(&format!("{method} /gift/add_test_data"), "", "");
        assert_eq!(answer.body, r#"{"code":0,"message":"success"}"#, "{method}");
    }
    for _ in 0..200 {
        rig.get("/gift/add_test_data");
    }
    let top = rig.get("/gift/top?num=1000").body;
    let top: serde_json::Value = serde_json::from_str(&top).expect("it is JSON");
    for place in top["data"].as_array().expect("it is a list") {
        let anchor_id = place["anchor_id"].as_i64().expect("ids are numbers");
        assert!((1..=99).contains(&anchor_id), "{place}");
        let journal = rig.get(&format!("/gift/journal?id={anchor_id}&num=100")).body;
        let journal: serde_json::Value = serde_json::from_str(&journal).expect("it is JSON");
        for entry in journal["data"].as_array().expect("it is a list") {
            assert!((1_000..=1_999).contains(&entry["audience_id"].as_i64().expect("a number")));
            assert!((1..=9).contains(&entry["worth"].as_i64().expect("a number")), "{entry}");
        }
    }
}

#[test]
fn the_operator_sees_where_gifts_are_kept() {
    let rig = Rig::new();
    rig.finds("/gift/config", r#"{"backend":"local","redis":[],"mongo":[]}"#);
}

#[test]
fn a_stream_begins_with_the_board_unless_the_client_has_it() {
    let rig = Rig::new();
    rig.send(1, 7, 5);
    let version = START_S * 1_000_000;
    let event = format!(
        "event: board\nid: {version}\ndata: {{\"period\":\"all\",\"version\":{version},\"data\":[{{\"anchor_id\":7,\"total_worth\":5,\"rank\":1}}]}}\n\n"
    );
    let resumed =
        |id: &str| rig.call("GET /gift/stream?num=3", &format!("Last-Event-ID: {id}\r\n"), "").body;
    assert_eq!(rig.get("/gift/stream").body, event);
    assert_eq!(resumed(&version.to_string()), "");
    for other in ["17", "x", "-1", "99999999999999999999999"] {
        assert_eq!(resumed(other), event, "{other}");
    }
}

#[test]
fn methods_and_paths_are_told_apart() {
    let rig = Rig::new();
    rig.send(1, 7, 5);
    let head = rig.call("HEAD /gift/top", "", "");
    assert_eq!((head.status.as_str(), head.body.as_str()), ("200 OK", ""));
    assert_eq!(rig.get("/gift/send").status, "405 Method Not Allowed");
    assert_eq!(rig.post("/gift/top", "").status, "405 Method Not Allowed");
    assert_eq!(rig.get("/gift/tops").status, "404 Not Found");
}
