//! The counter calls over a model: both kinds of clients, every refusal, without a socket.

use crate::counter_model::{Model, ModelStore, id};
use crate::gift_model::TestClock;
use crate::router_rig::{Answered, Caller};
use fanfare::calendar::Calendar;
use fanfare::counter::api::{ApiOptions, operator_routes, public_routes};
use fanfare::counter::stream::Streams;
use fanfare::counter::{Found, Read, Store, Types, Write, Written};
use fanfare::exec::Answer;
use fanfare::http::Router;
use fanfare::store::StoreError;
use jiff::tz::TimeZone;
use serde_json::{Value, json};
use std::sync::Arc;

/// 2026-11-21T08:00:00Z.
const START_S: i64 = 1_795_248_000;

const ID: &str = "expected an integer from 1 to 9223372036854775807, or a text of 1 to 128 bytes \
                  without control characters";

/// The public and the operator's routes over one model; `like` is unique.
struct Rig {
    clock: Arc<TestClock>,
    public: Caller,
    operator: Caller,
}

impl Rig {
    fn new() -> Self {
        let clock = TestClock::at(START_S);
        let model = Model::new(Calendar::new(TimeZone::UTC));
        let store = ModelStore::new(model, Arc::clone(&clock));
        Self::over(&(Arc::new(store) as _), clock)
    }

    fn over(store: &Arc<dyn Store>, clock: Arc<TestClock>) -> Self {
        let types = Arc::new(Types { unique: [id("like")].into() });
        let of_streams = Arc::<TestClock>::clone(&clock);
        let streams = Arc::new(Streams::new(Arc::clone(store), of_streams));
        let options = ApiOptions { clock: Arc::<TestClock>::clone(&clock), types, streams };
        let public = Caller::new(public_routes(Router::new(), store, &options));
        let operator = Caller::new(operator_routes(Router::new(), store, &options));
        Self { clock, public, operator }
    }

    fn increment(&self, body: &str) -> Answered {
        self.public.post("/api/v1/counter/increment", body)
    }

    /// Increments, and expects this count.
    #[track_caller]
    fn counts(&self, body: &str, count: i64) {
        let answer = self.increment(body);
        assert_eq!(answer.status, "200 OK", "{body}: {}", answer.body);
        assert_eq!(data(&answer)["count"], count, "{body}");
    }

    #[track_caller]
    fn count(&self, counter: &str, count: i64) {
        let answer = self.public.get(&format!("/api/v1/counter/{counter}"));
        assert_eq!(answer.status, "200 OK", "{counter}: {}", answer.body);
        assert_eq!(data(&answer)["count"], count, "{counter}");
    }
}

#[track_caller]
fn data(answer: &Answered) -> Value {
    let whole: Value = serde_json::from_str(&answer.body).expect("it is JSON");
    assert_eq!((&whole["success"], &whole["status"]), (&json!(true), &json!("success")));
    whole["data"].clone()
}

/// A refusal as clients read it, which says this.
#[track_caller]
fn refuses(answer: &Answered, status: &str, why: &str) {
    assert_eq!(answer.status, status, "{}", answer.body);
    let code: u16 = status[..3].parse().expect("a status");
    let body: Value = serde_json::from_str(&answer.body).expect("it is JSON");
    assert_eq!(body, json!({"error": why, "code": code, "message": why}));
}

#[test]
fn an_increment_and_a_look_answer_the_same_to_both_kinds_of_clients() {
    let rig = Rig::new();
    let answer = rig.increment(r#"{"resource_id":"post_1","counter_type":"view","user_id":"u"}"#);
    let expected = format!(
        r#"{{"success":true,"status":"success","data":{{"resource_id":"post_1","counter_type":"view","count":1,"current_value":1,"success":true,"timestamp":{START_S}}}}}"#
    );
    assert_eq!(answer.body, expected);
    rig.clock.advance_s(5);
    let looked = rig.public.get("/api/v1/counter/post_1/view");
    let later = expected.replace(&START_S.to_string(), &(START_S + 5).to_string());
    assert_eq!(looked.body, later);
    rig.count("nobody/view", 0);
}

#[test]
fn an_increment_is_one_unless_it_says_otherwise() {
    let rig = Rig::new();
    let of = |rest: &str| format!(r#"{{"resource_id":7,"counter_type":"view"{rest}}}"#);
    for (rest, count) in [
        ("", 1),
        (r#","increment":0"#, 2),
        (r#","delta":0"#, 3),
        (r#","increment":5"#, 8),
        (r#","delta":-10"#, -2),
        (r#","increment":2,"delta":2"#, 0),
        (r#","once":false,"unknown":[1.5]"#, 1),
    ] {
        rig.counts(&of(rest), count);
    }
    let integer = "expected an integer from -9223372036854775808 to 9223372036854775807";
    for (rest, why) in [
        (r#","increment":5.0"#, format!("increment: {integer}")),
        (r#","increment":1e3"#, format!("increment: {integer}")),
        (r#","delta":"5""#, format!("delta: {integer}")),
        (r#","delta":null"#, format!("delta: {integer}")),
        (r#","increment":9223372036854775808"#, format!("increment: {integer}")),
        (r#","increment":2,"delta":3"#, "delta: expected the same value as increment".into()),
        (r#","once":1"#, "once: expected true or false".into()),
        (r#","user_id":"""#, format!("user_id: {ID}")),
        (r#","request_id":"a b""#, "request_id: expected 1 to 64 visible ASCII characters".into()),
    ] {
        refuses(&rig.increment(&of(rest)), "400 Bad Request", &why);
    }
    rig.count("7/view", 1);
}

#[test]
fn ids_are_numbers_or_texts_and_a_number_has_one_name() {
    let rig = Rig::new();
    rig.counts(r#"{"resource_id":7,"counter_type":5}"#, 1);
    let answer = rig.increment(r#"{"resource_id":"7","counter_type":"5"}"#);
    let named = data(&answer);
    assert_eq!(named["count"], 2, "the same counter");
    assert_eq!((&named["resource_id"], &named["counter_type"]), (&json!("7"), &json!("5")));
    rig.count("7/5", 2);
    rig.count("007/5", 0);
    let text = "é".repeat(64);
    rig.counts(&format!(r#"{{"resource_id":"{text}","counter_type":"a/b"}}"#), 1);
    let encoded = "%C3%A9".repeat(64);
    rig.count(&format!("{encoded}/a%2Fb"), 1);
    for (bad, field) in [
        (r#"{"resource_id":0,"counter_type":"v"}"#, "resource_id"),
        (r#"{"resource_id":-7,"counter_type":"v"}"#, "resource_id"),
        (r#"{"resource_id":7.0,"counter_type":"v"}"#, "resource_id"),
        (r#"{"resource_id":null,"counter_type":"v"}"#, "resource_id"),
        (r#"{"resource_id":"","counter_type":"v"}"#, "resource_id"),
        (r#"{"resource_id":"a\u0000","counter_type":"v"}"#, "resource_id"),
        (r#"{"resource_id":7,"counter_type":"a\nb"}"#, "counter_type"),
        (r#"{"resource_id":7,"counter_type":["v"]}"#, "counter_type"),
        (&format!(r#"{{"resource_id":"{text}x","counter_type":"v"}}"#), "resource_id"),
    ] {
        refuses(&rig.increment(bad), "400 Bad Request", &format!("{field}: {ID}"));
    }
    let missing = rig.increment(r#"{"resource_id":7}"#);
    refuses(&missing, "400 Bad Request", &format!("counter_type is missing: {ID}"));
    refuses(&rig.increment("[]"), "400 Bad Request", "body: expected a JSON object in UTF-8");
    let path = rig.public.get(&format!("/api/v1/counter/{}/view", "x".repeat(129)));
    refuses(&path, "400 Bad Request", &format!("resource_id: {ID}"));
    refuses(
        &rig.public.get("/api/v1/counter/a%ff/view"),
        "400 Bad Request",
        "the path is malformed",
    );
}

#[test]
fn a_unique_type_counts_a_user_once_both_ways() {
    let rig = Rig::new();
    let like = |user: &str, delta: i64| {
        format!(r#"{{"resource_id":7,"counter_type":"like","user_id":{user},"delta":{delta}}}"#)
    };
    rig.counts(&like("1", -1), 0);
    rig.counts(&like("1", 1), 1);
    rig.counts(&like("\"1\"", 1), 1);
    rig.counts(&like("2", 1), 2);
    let user = |user: &str| format!("/api/v1/counter/7/like/users/{user}");
    let is_counted = |name: &str| rig.public.get(&user(name)).body;
    assert_eq!(is_counted("1"), r#"{"success":true,"data":{"counted":true}}"#);
    assert_eq!(is_counted("3"), r#"{"success":true,"data":{"counted":false}}"#);
    for _ in 0..2 {
        let gone = rig.public.call(&format!("DELETE {}", user("1")), "", "");
        assert_eq!(data(&gone)["count"], 1);
    }
    assert_eq!(is_counted("1"), r#"{"success":true,"data":{"counted":false}}"#);
    let once = "expected 1 or -1, where users are counted once";
    refuses(&rig.increment(&like("1", 2)), "400 Bad Request", &format!("delta: {once}"));
    let nobody = r#"{"resource_id":7,"counter_type":"like"}"#;
    refuses(&rig.increment(nobody), "400 Bad Request", &format!("user_id is missing: {ID}"));
    // The same for one call of a type that is not unique.
    let view =
        |rest: &str| format!(r#"{{"resource_id":7,"counter_type":"view","once":true{rest}}}"#);
    rig.counts(&view(r#","user_id":"u""#), 1);
    rig.counts(&view(r#","user_id":"u""#), 1);
    refuses(&rig.increment(&view("")), "400 Bad Request", &format!("user_id is missing: {ID}"));
    let many = view(r#","user_id":"u","increment":-2"#);
    refuses(&rig.increment(&many), "400 Bad Request", &format!("increment: {once}"));
}

#[test]
fn a_batch_answers_in_the_order_and_shape_asked() {
    let rig = Rig::new();
    rig.counts(r#"{"resource_id":"hot","counter_type":"view","increment":3}"#, 3);
    let list = r#"[{"resource_id":"hot","counter_type":"view"},{"resource_id":9,"counter_type":"v"},{"resource_id":"hot","counter_type":"view"}]"#;
    let batch = |body: &str| rig.public.post("/api/v1/counter/batch", body);
    let counts = |list: &Value| -> Vec<i64> {
        let list = list.as_array().expect("a list");
        list.iter().map(|one| one["current_value"].as_i64().expect("a count")).collect()
    };
    assert_eq!(counts(&data(&batch(&format!(r#"{{"queries":{list}}}"#)))), [3, 0, 3]);
    let items = data(&batch(&format!(r#"{{"items":{list}}}"#)));
    assert_eq!((counts(&items["results"]), &items["total"]), (vec![3, 0, 3], &json!(3)));
    let one = r#"{"resource_id":1,"counter_type":"v"}"#;
    let thousand = vec![one; 1_000].join(",");
    assert_eq!(counts(&data(&batch(&format!(r#"{{"queries":[{thousand}]}}"#)))), [0; 1_000]);
    for (body, why) in [
        ("{}".to_owned(), "queries is missing: expected an array, or items".to_owned()),
        (r#"{"queries":[],"items":[]}"#.into(), "items: expected either queries or items".into()),
        (r#"{"queries":[]}"#.into(), "queries: expected 1 to 1000 of them".into()),
        (format!(r#"{{"items":[{thousand},{one}]}}"#), "items: expected 1 to 1000 of them".into()),
        (r#"{"queries":{}}"#.into(), "queries: expected an array".into()),
        (format!(r#"{{"items":[{one},7]}}"#), "items[1]: expected an object".into()),
        (
            format!(r#"{{"items":[{one},{{"resource_id":1,"resource_id":2}}]}}"#),
            "items[1].resource_id: expected a key only once in its object".into(),
        ),
        (
            format!(r#"{{"queries":[{one},{{"resource_id":1}}]}}"#),
            format!("queries[1].counter_type is missing: {ID}"),
        ),
    ] {
        refuses(&batch(&body), "400 Bad Request", &why);
    }
}

#[test]
fn hot_lists_show_their_window() {
    let rig = Rig::new();
    for (resource, count) in [("\"b\"", 2), ("10", 2), ("9", 2), ("\"x\"", 7), ("\"low\"", -1)] {
        let body = format!(r#"{{"resource_id":{resource},"counter_type":"view","delta":{count}}}"#);
        rig.counts(&body, count);
    }
    let hot = |query: &str| rig.public.get(&format!("/api/v1/counter/hot/view{query}"));
    let names = |answer: &Answered| -> Vec<String> {
        let list = data(answer);
        let list = list.as_array().expect("a list");
        let name = |(rank, one): (usize, &Value)| {
            assert_eq!((&one["rank"], &one["counter_type"]), (&json!(rank + 1), &json!("view")));
            format!("{}={}", one["resource_id"], one["count"])
        };
        list.iter().enumerate().map(name).collect()
    };
    let all = ["\"x\"=7", "9=2", "10=2", "\"b\"=2"];
    assert_eq!(names(&hot("")), all);
    assert_eq!(names(&hot("?limit=2&period=week")), all[..2]);
    rig.clock.advance_s(3_600);
    assert_eq!(names(&hot("?period=hour")), Vec::<String>::new());
    rig.counts(r#"{"resource_id":9,"counter_type":"view"}"#, 3);
    assert_eq!(names(&hot("?period=hour")), ["9=1"]);
    assert_eq!(names(&hot("?period=day"))[..2], ["\"x\"=7", "9=3"]);
    assert_eq!(hot("").body, rig.public.get("/api/v1/counter/hot/view?limit=10&period=all").body);
    let limit = "limit: expected an integer from 1 to 1000";
    for (query, why) in [
        ("?limit=0", limit),
        ("?limit=1001", limit),
        ("?limit=x", limit),
        ("?period=month", "period: expected all, hour, day or week"),
    ] {
        refuses(&hot(query), "400 Bad Request", why);
    }
    // A resource called hot is read by batch, and its users by their path.
    let user = rig.public.get("/api/v1/counter/hot/like/users/1");
    assert_eq!(user.body, r#"{"success":true,"data":{"counted":false}}"#);
}

#[test]
fn a_retry_counts_once_and_tells_the_count_of_now() {
    let rig = Rig::new();
    let keyed = |key: &str, body: &str| {
        let headers = format!("Idempotency-Key: {key}\r\n");
        rig.public.call("POST /api/v1/counter/increment", &headers, body)
    };
    let body = r#"{"resource_id":7,"counter_type":"view","increment":2}"#;
    let first = keyed("a", body);
    assert!(!first.headers.contains("Idempotent-Replayed"));
    rig.counts(r#"{"resource_id":7,"counter_type":"view"}"#, 3);
    let again =
        keyed("a", r#"{"counter_type":"view","resource_id":"7","delta":2,"request_id":"a"}"#);
    assert!(again.headers.contains("Idempotent-Replayed: true"), "{}", again.headers);
    assert_eq!(data(&again)["count"], 3);
    let other = keyed("a", r#"{"resource_id":7,"counter_type":"view","increment":3}"#);
    let why = "the idempotency key was used for another request";
    refuses(&other, "409 Conflict", why);
    // Another path is another scope.
    let gone =
        rig.public.call("DELETE /api/v1/counter/7/view/users/1", "Idempotency-Key: a\r\n", "");
    assert_eq!(data(&gone)["count"], 3);
    rig.count("7/view", 3);
}

#[test]
fn a_count_that_would_leave_its_range_is_refused_and_stays() {
    let rig = Rig::new();
    let add = |delta: i64| {
        rig.increment(&format!(r#"{{"resource_id":7,"counter_type":"view","delta":{delta}}}"#))
    };
    assert_eq!(data(&add(i64::MAX))["count"], i64::MAX);
    let why = "increment: the count would leave the range of an i64";
    refuses(&add(1), "409 Conflict", why);
    rig.count("7/view", i64::MAX);
}

#[test]
fn an_operator_resets_and_recounts_with_a_reason() {
    let rig = Rig::new();
    for user in 1..=3 {
        let like = format!(r#"{{"resource_id":7,"counter_type":"like","user_id":{user}}}"#);
        rig.counts(&like, user);
    }
    let call = |name: &str, body: &str| rig.operator.post(&format!("/api/v1/counter/{name}"), body);
    let of = |rest: &str| format!(r#"{{"resource_id":7,"counter_type":"like"{rest}}}"#);
    let recounted = data(&call("recount", &of(r#","reason":"check""#)));
    assert_eq!((&recounted["count"], &recounted["correction"]), (&json!(3), &json!(0)));
    let reset = of(r#","reason":"bots","request_id":"r""#);
    let first = data(&call("reset", &reset));
    assert_eq!((&first["count"], &first["correction"]), (&json!(0), &json!(-3)));
    let again = call("reset", &reset);
    assert!(again.headers.contains("Idempotent-Replayed: true"));
    assert_eq!(data(&again)["correction"], -3);
    rig.count("7/like", 0);
    let reason = "reason: expected a text of 1 to 200 bytes";
    let plain = r#"{"resource_id":7,"counter_type":"view","reason":"x"}"#;
    for (name, body, status, why) in [
        (
            "reset",
            of(""),
            "400 Bad Request",
            "reason is missing: expected a text of 1 to 200 bytes",
        ),
        ("reset", of(r#","reason":"""#), "400 Bad Request", reason),
        ("reset", plain.to_owned(), "404 Not Found", "there is no such counter"),
        (
            "recount",
            plain.to_owned(),
            "400 Bad Request",
            "counter_type: expected a type that counts users once (unique = true)",
        ),
    ] {
        let answer = call(name, &body);
        assert_eq!(answer.status, status, "{}", answer.body);
        let code = &status[..3];
        assert_eq!(answer.body, format!(r#"{{"code":{code},"message":"{why}"}}"#));
    }
    assert_eq!(rig.public.post("/api/v1/counter/reset", &reset).status, "404 Not Found");
}

#[test]
fn methods_and_paths_are_told_apart() {
    let rig = Rig::new();
    let wrong = rig.public.get("/api/v1/counter/increment");
    refuses(&wrong, "405 Method Not Allowed", "the method is not allowed here");
    assert!(wrong.headers.contains("Allow: "), "{}", wrong.headers);
    refuses(&rig.public.get("/api/v1/counter/7"), "404 Not Found", "no such path");
    let head = rig.public.call("HEAD /api/v1/counter/7/view", "", "");
    assert_eq!((head.status.as_str(), head.body.as_str()), ("200 OK", ""));
}

#[test]
fn what_a_store_cannot_do_is_told_as_it_is() {
    /// Refuses in the way that the type says.
    struct Unwell;

    impl Store for Unwell {
        fn write(&self, write: Write, then: Answer<Written>) {
            match write.counter.resource.to_string().as_str() {
                "full" => then(Ok(Written::Full)),
                "away" => then(Err(StoreError::Unavailable)),
                "degraded" => {
                    then(Ok(Written::Done { count: None, correction: 0, replayed: false }));
                }
                _ => drop(then),
            }
        }

        fn read(
            &self,
            _: &Read,
            _: &mut dyn FnMut() -> Answer<Found>,
        ) -> Option<Result<Found, StoreError>> {
            Some(Err(StoreError::Broken))
        }
    }

    let rig = Rig::over(&(Arc::new(Unwell) as _), TestClock::at(START_S));
    let increment =
        |name: &str| rig.increment(&format!(r#"{{"resource_id":"{name}","counter_type":"v"}}"#));
    let full = increment("full");
    refuses(&full, "503 Service Unavailable", "there are as many counters or users as may be");
    let away = increment("away");
    refuses(&away, "503 Service Unavailable", "counters cannot be reached, try again");
    assert!([full, away].iter().all(|answer| answer.headers.contains("Retry-After: ")));
    let degraded = increment("degraded");
    assert!(degraded.headers.contains("X-Degraded: redis"), "{}", degraded.headers);
    assert_eq!(data(&degraded)["count"], Value::Null);
    assert_eq!(increment("dropped").status, "500 Internal Server Error");
    refuses(&rig.public.get("/api/v1/counter/7/v"), "500 Internal Server Error", "internal error");
}
