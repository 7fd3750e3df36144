//! The gift table over several processes: what one of them took, all of them know.

use crate::cluster_rig::Rig;
use crate::redis_server::wait_for;
use serde_json::{Value, json};
use std::collections::HashSet;
use std::process::Command;

fn gift(anchor: i64, worth: i64) -> String {
    json!({"audience_id": 1001, "anchor_id": anchor, "worth": worth}).to_string()
}

#[test]
fn what_one_process_took_all_know() {
    let rig = Rig::start();
    let mut follower = rig.client(2);
    follower.send(b"GET /gift/stream?num=2 HTTP/1.1\r\nHost: test\r\n\r\n").expect("sent");
    assert!(follower.line().expect("an answer").starts_with("HTTP/1.1 200"));
    while !follower.line().expect("a head").is_empty() {}

    let sent = rig.client(0).post("/gift/send", &gift(7, 5));
    assert_eq!(sent.status, 200, "{sent:?}");
    let id = sent.json()["data"]["id"].as_i64().expect("an id");
    rig.client(1).post("/gift/send", &gift(8, 9));
    for index in 0..3 {
        for target in ["/gift/top", "/gift/top?period=hour", "/gift/top?period=week"] {
            let board = rig.unmarked(index, target)["data"].clone();
            let expected = json!([
                {"anchor_id": 8, "total_worth": 9, "rank": 1},
                {"anchor_id": 7, "total_worth": 5, "rank": 2},
            ]);
            assert_eq!(board, expected, "{target} of {index}");
        }
        assert_eq!(rig.unmarked(index, "/gift/rank?id=7")["data"]["ahead"]["distance"], 4);
        let fans = rig.unmarked(index, "/gift/fans?id=7");
        assert_eq!(fans["data"], json!([{"audience_id": 1001, "total_worth": 5, "rank": 1}]));
    }
    let revoke = json!({"id": id, "reason": "a test"}).to_string();
    let first = rig.operator(1).post("/gift/revoke", &revoke);
    assert_eq!(first.status, 200, "{first:?}");
    let again = rig.operator(2).post("/gift/revoke", &revoke);
    assert_eq!(again.header("Idempotent-Replayed"), Some("true"));
    assert_eq!(again.body, first.body);
    assert_eq!(rig.unmarked(0, "/gift/worth?id=7")["data"]["total_worth"], 0);
    let journal = rig.unmarked(0, "/gift/journal?id=7")["data"].clone();
    assert_eq!(journal.as_array().map(Vec::len), Some(2), "{journal}");
    // The follower sees the newest state, whatever it saw on the way.
    let expected = json!([{"anchor_id": 8, "total_worth": 9, "rank": 1}]);
    loop {
        let event = follower.event().expect("an event");
        let data = event.iter().find_map(|line| line.strip_prefix("data: ")).expect("data");
        let board: Value = serde_json::from_str(data).expect("JSON");
        if board["data"] == expected {
            break;
        }
    }
}

#[test]
fn a_key_counts_once_whichever_process_it_goes_to() {
    let rig = Rig::start();
    let headers = [("Idempotency-Key", "one-for-all")];
    let replies = std::thread::scope(|scope| {
        let calls: Vec<_> = (0..9)
            .map(|call| {
                let mut client = rig.client(call % 3);
                let headers = &headers;
                scope.spawn(move || client.request("POST", "/gift/send", headers, &gift(7, 5)))
            })
            .collect();
        calls.into_iter().map(|call| call.join().expect("no panic")).collect::<Vec<_>>()
    });
    assert!(replies.iter().all(|reply| reply.status == 200), "{replies:?}");
    let bodies: HashSet<_> = replies.iter().map(|reply| reply.body.clone()).collect();
    assert_eq!(bodies.len(), 1, "{replies:?}");
    let is_first = |reply: &&crate::client::Reply| reply.header("Idempotent-Replayed").is_none();
    assert_eq!(replies.iter().filter(is_first).count(), 1, "{replies:?}");
    let other = rig.client(1).request("POST", "/gift/send", &headers, &gift(7, 6));
    assert_eq!(other.status, 409, "{other:?}");
    assert_eq!(rig.unmarked(2, "/gift/worth?id=7")["data"]["total_worth"], 5);
}

#[test]
fn an_audit_finds_what_was_changed_and_a_rebuild_heals_it() {
    let rig = Rig::start();
    for anchor in 1..=40 {
        assert_eq!(rig.client(0).post("/gift/send", &gift(anchor, anchor)).status, 200);
    }
    let audit = |index| rig.operator(index).get("/audit").json();
    wait_for("an audit without a difference", || audit(1)["ok"] == true);
    // Somebody takes a place off the board of all time.
    let current: String = rig.redis.ask(&["GET", "{fanfare:gift}:current"]);
    let places = format!("{{fanfare:gift}}:{current}:all:0:places");
    let names: Vec<String> = rig.redis.ask(&["ZREVRANGE", &places, "0", "0"]);
    assert_eq!(rig.redis.ask::<i64>(&["ZREM", &places, &names[0]]), 1);
    let found = audit(1);
    assert_eq!(found["ok"], false, "{found}");
    assert_eq!(found["checks"][0]["first_bad"], 40, "{found}");

    let (_, admin) = rig.processes.addresses()[2];
    let tool = Command::new(env!("CARGO_BIN_EXE_fanfare"))
        .arg("rebuild")
        .env("FANFARE__BACKEND", "cluster")
        .env("FANFARE__ADMIN__LISTEN", admin.to_string())
        .output()
        .expect("the binary starts");
    assert!(tool.status.success(), "{tool:?}");
    for index in 0..3 {
        wait_for("an audit without a difference", || audit(index)["ok"] == true);
        assert_eq!(rig.unmarked(index, "/gift/top?num=1")["data"][0]["anchor_id"], 40);
    }
    let metrics = rig.operator(2).get("/metrics");
    let metrics = String::from_utf8(metrics.body).expect("text");
    for line in [
        "fanfare_cluster_fence_lag_batches{store=\"gift\"} 0",
        "fanfare_cluster_fresh{store=\"gift\"} 1",
        "fanfare_audit_ok{check=\"gift: journal = boards (all)\"} 1",
    ] {
        assert!(metrics.lines().any(|found| found == line), "{line} is not in\n{metrics}");
    }
    let shown = rig.operator(0).get("/gift/config").json();
    assert_eq!(shown["data"]["backend"], "cluster");
    assert_eq!(shown["data"]["redis"], json!([rig.redis.url()]));
}
