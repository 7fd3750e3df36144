//! `/debug/slow`, `Server-Timing` and `/log/level`: what an operator asks of a running process.

use crate::server::{Server, Start};
use serde_json::Value;

const GIFT: &str = r#"{"audience_id":1,"anchor_id":7,"worth":5}"#;

const PARTS: [&str; 4] = ["parse_ms", "queue_ms", "store_ms", "encode_ms"];

#[test]
fn slow_requests_tell_where_their_time_went_newest_first() {
    let server = Start::fresh().set("slow_request", "0s").run();
    let mut client = server.client();
    client.post("/gift/send", GIFT);
    client.get("/gift/journal?id=7");
    client.get("/gift/top");
    let slow = server.operator().get("/debug/slow").json();
    let slow = slow.as_array().expect("an array");
    let name = |entry: &Value| format!("{} {}", entry["method"], entry["route"]);
    let names: Vec<_> = slow.iter().map(name).collect();
    assert_eq!(names, [r#""GET" "/gift/journal""#, r#""POST" "/gift/send""#]);
    for entry in slow {
        assert_eq!(entry["status"], 200);
        assert!(entry["time_ms"].as_u64().is_some_and(|at| at > 1_600_000_000_000), "{entry}");
        let ms = |name: &str| entry[name].as_f64().expect("a number");
        assert!(PARTS.iter().all(|part| ms(part) >= 0.0), "{entry}");
        assert!(ms("store_ms") > 0.0, "a file was read or written: {entry}");
        assert!(ms("total_ms") >= ms("store_ms"), "{entry}");
    }
}

#[test]
fn quick_requests_are_not_slow() {
    let server = Start::fresh().set("slow_request", "1h").run();
    server.client().post("/gift/send", GIFT);
    assert_eq!(server.operator().get("/debug/slow").json(), Value::Array(Vec::new()));
}

#[test]
fn answers_carry_their_timing_only_where_that_is_wanted() {
    let server = Server::start();
    assert_eq!(server.client().get("/gift/top").header("Server-Timing"), None);
    let server = Start::fresh().set("server_timing", "true").run();
    let mut client = server.client();
    assert_eq!(client.get("/gift/top").header("Server-Timing"), Some("total;dur=0"));
    let stream = server.client().request("HEAD", "/gift/stream", &[], "");
    assert_eq!(stream.header("Server-Timing"), Some("total;dur=0"));
    let reply = client.post("/gift/send", GIFT);
    let timing = reply.header("Server-Timing").expect("it is on");
    let names: Vec<_> = timing
        .split(", ")
        .map(|part| {
            let (name, time) = part.split_once(";dur=").expect("a duration");
            assert!(time.parse::<f64>().is_ok_and(|time| time >= 0.0), "{timing}");
            name
        })
        .collect();
    assert_eq!(names, ["total", "parse", "queue", "store", "encode"]);
}

#[test]
fn the_log_level_changes_while_the_process_runs() {
    let mut server = Server::start();
    let mut operator = server.operator();
    assert_eq!(operator.get("/log/level").json()["level"], "info");
    for level in ["debug", "error", "warn", "info"] {
        let body = format!(r#"{{"level":"{level}"}}"#);
        let reply = operator.request("PUT", "/log/level", &[], &body);
        assert_eq!((reply.status, &reply.json()["level"]), (200, &Value::from(level)));
        assert_eq!(operator.get("/log/level").json()["level"], level);
    }
    // Each change is logged as info, under the level that it sets.
    let mut changes = Vec::new();
    while changes.len() < 2 {
        let line = server.log_line();
        if line.contains("the log level was changed") {
            changes.push(line);
        }
    }
    assert!(changes[0].contains("debug") && changes[1].contains("info"), "{changes:?}");
    for wrong in [r#"{"level":"loud"}"#, r#"{"level":3}"#, "{}", "debug", "[]"] {
        let reply = operator.request("PUT", "/log/level", &[], wrong);
        assert_eq!(reply.status, 400, "{wrong}");
        assert!(reply.json()["message"].is_string(), "{wrong}");
    }
    assert_eq!(operator.get("/log/level").json()["level"], "info");
}
