//! Gifts against the whole process: what api.md promises a client, on real sockets.

use crate::server::{Server, Start};
use serde_json::{Value, json};

#[test]
fn a_gift_shows_on_the_board_in_worth_and_in_the_journal_at_once() {
    let server = Server::start();
    let mut client = server.client();
    assert_eq!(client.get("/gift/top").json()["data"], json!([]));
    assert_eq!(client.get("/gift/worth?id=7").status, 404);

    let sent = client.post("/gift/send", r#"{"audience_id":1001,"anchor_id":7,"worth":5}"#);
    assert_eq!(sent.status, 200, "{sent:?}");
    let sent = sent.json();
    assert_eq!((&sent["code"], &sent["message"]), (&json!(0), &json!("success")));
    let data = &sent["data"];
    assert_eq!((&data["anchor_id"], &data["worth"]), (&json!(7), &json!(5)));

    assert_eq!(
        client.get("/gift/top?num=10").json()["data"],
        json!([{"anchor_id": 7, "total_worth": 5, "rank": 1}])
    );
    assert_eq!(
        client.get("/gift/worth?id=7").json()["data"],
        json!({"anchor_id": 7, "total_worth": 5})
    );
    let journal = client.get("/gift/journal?id=7").json();
    assert_eq!(
        journal["data"],
        json!([{
            "id": data["id"], "audience_id": 1001, "auchor_id": 7, "anchor_id": 7, "worth": 5,
            "time": data["time"]
        }])
    );
    assert_eq!(journal.get("next"), None);
}

#[test]
fn old_clients_may_misspell_the_anchor_and_send_json_as_a_form() {
    let server = Server::start();
    let headers = [("Content-Type", "application/x-www-form-urlencoded")];
    let body = r#"{"audience_id":"1001","auchor_id":"7","worth":5,"time":1}"#;
    let reply = server.client().request("POST", "/gift/send", &headers, body);
    assert_eq!(reply.status, 200, "{reply:?}");
    assert_eq!(server.client().get("/gift/worth?id=7").json()["data"]["total_worth"], 5);
}

#[test]
fn equal_totals_rank_by_who_reached_them_first() {
    let server = Server::start();
    let mut client = server.client();
    for (anchor, worth) in [(9, 5), (3, 2), (5, 5), (3, 3)] {
        let body = json!({"audience_id": 1, "anchor_id": anchor, "worth": worth}).to_string();
        assert_eq!(client.post("/gift/send", &body).status, 200);
    }
    let top = client.get("/gift/top").json();
    let order: Vec<i64> = top["data"].as_array().expect("a list").iter().map(anchor_of).collect();
    assert_eq!(order, [9, 5, 3]);
}

fn anchor_of(place: &Value) -> i64 {
    place["anchor_id"].as_i64().expect("an id")
}

#[test]
fn the_journal_pages_without_gap_or_repeat_while_gifts_arrive() {
    let server = Server::start();
    let mut client = server.client();
    let gift = r#"{"audience_id":1,"anchor_id":7,"worth":1}"#;
    for _ in 0..25 {
        assert_eq!(client.post("/gift/send", gift).status, 200);
    }
    let mut ids = Vec::new();
    let mut target = "/gift/journal?id=7&num=10".to_owned();
    loop {
        let page = client.get(&target).json();
        let entries = page["data"].as_array().expect("a list");
        ids.extend(entries.iter().map(|entry| entry["id"].as_i64().expect("an id")));
        client.post("/gift/send", gift);
        let Some(next) = page.get("next") else { break };
        let next = next.as_str().map_or_else(|| next.to_string(), str::to_owned);
        target = format!("/gift/journal?id=7&num=10&before={next}");
    }
    assert_eq!(ids.len(), 25);
    assert!(ids.is_sorted_by(|newer, older| newer > older), "{ids:?}");
}

#[test]
fn a_retry_with_the_same_key_counts_once_and_survives_a_restart() {
    let server = Server::start();
    let gift = r#"{"audience_id":1,"anchor_id":7,"worth":5}"#;
    let key = [("Idempotency-Key", "retry-1")];
    let first = server.client().request("POST", "/gift/send", &key, gift);
    let again = server.client().request("POST", "/gift/send", &key, gift);
    assert_eq!((first.status, first.header("Idempotent-Replayed")), (200, None));
    assert_eq!((again.status, again.header("Idempotent-Replayed")), (200, Some("true")));
    assert_eq!(first.body, again.body);
    let server = server.stop().start().run();
    let later = server.client().request("POST", "/gift/send", &key, gift);
    assert_eq!(later.header("Idempotent-Replayed"), Some("true"));
    assert_eq!(first.body, later.body);
    let other = server.client().request(
        "POST",
        "/gift/send",
        &key,
        r#"{"audience_id":1,"anchor_id":7,"worth":6}"#,
    );
    assert_eq!(other.status, 409);
    assert_eq!(server.client().get("/gift/worth?id=7").json()["data"]["total_worth"], 5);
}

#[test]
fn the_stream_sends_the_board_at_once_and_again_when_it_changes() {
    let server = Server::start();
    let mut follower = server.client();
    follower.send(b"GET /gift/stream?num=3 HTTP/1.1\r\nHost: test\r\n\r\n").expect("sent");
    assert!(follower.line().expect("a status").starts_with("HTTP/1.1 200"));
    while !follower.line().expect("a field").is_empty() {}
    let board = follower.event().expect("the board on connect");
    assert_eq!(board[0], "event: board");
    let body = r#"{"audience_id":1,"anchor_id":7,"worth":5}"#;
    assert_eq!(server.client().post("/gift/send", body).status, 200);
    let board = follower.event().expect("the board after a change");
    let data: Value = serde_json::from_str(board[2].strip_prefix("data: ").expect("data"))
        .expect("the data is JSON");
    assert_eq!(data["data"], json!([{"anchor_id": 7, "total_worth": 5, "rank": 1}]));
    assert_eq!(board[1], format!("id: {}", data["version"]));

    // Who already has the current board gets nothing until it changes.
    let mut resumed = server.client();
    let version = data["version"].to_string();
    let request = format!(
        "GET /gift/stream?num=3 HTTP/1.1\r\nHost: test\r\nLast-Event-ID: {version}\r\n\r\n"
    );
    resumed.send(request.as_bytes()).expect("sent");
    while !resumed.line().expect("a field").is_empty() {}
    assert_eq!(server.client().post("/gift/send", body).status, 200);
    let board = resumed.event().expect("the changed board only");
    assert!(board[2].contains(r#""total_worth":10"#), "{board:?}");
}

#[test]
fn operator_calls_are_not_served_in_public() {
    let server = Start::fresh().run();
    let gift = r#"{"audience_id":1,"anchor_id":7,"worth":5}"#;
    let sent = server.client().post("/gift/send", gift).json();
    let revoke = json!({"id": sent["data"]["id"], "reason": "a test"}).to_string();
    assert_eq!(server.client().post("/gift/revoke", &revoke).status, 404);
    assert_eq!(server.client().get("/gift/config").status, 404);
    assert_eq!(server.client().get("/livez").status, 404);
    assert_eq!(server.operator().get("/gift/top").status, 404);

    let revoked = server.operator().post("/gift/revoke", &revoke);
    assert_eq!(revoked.status, 200, "{revoked:?}");
    assert_eq!(revoked.json()["data"]["worth"], -5);
    assert_eq!(server.client().get("/gift/top").json()["data"], json!([]));
    assert_eq!(server.client().get("/gift/worth?id=7").json()["data"]["total_worth"], 0);
    let again = server.operator().post("/gift/revoke", &revoke);
    assert_eq!(again.header("Idempotent-Replayed"), Some("true"));
    assert_eq!(again.body, revoked.body);
}

#[test]
fn test_data_is_made_in_dev_mode_only() {
    let server = Server::start();
    assert_eq!(server.client().get("/gift/add_test_data").status, 404);
    let server = Start::fresh().arg("--dev").run();
    for method in ["GET", "POST", "PUT"] {
        let reply = server.client().request(method, "/gift/add_test_data", &[], "");
        assert_eq!((reply.status, &reply.json()["code"]), (200, &json!(0)), "{method}");
    }
    let top = server.client().get("/gift/top").json();
    assert!(!top["data"].as_array().expect("a list").is_empty());
}
