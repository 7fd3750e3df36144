//! The live page's files and its one stream, as a client without a browser sees them.

use crate::client::Client;
use crate::server::Server;
use serde_json::Value;
use std::collections::BTreeSet;

/// The next event: its name and its data.
fn next_event(client: &mut Client) -> (String, Value) {
    let event = client.event().expect("an event");
    let name = event[0].strip_prefix("event: ").expect("a name").to_owned();
    let data = event[2].strip_prefix("data: ").expect("data");
    (name, serde_json::from_str(data).expect("the data is JSON"))
}

fn follow(server: &Server, target: &str) -> Client {
    let mut client = server.client();
    client
        .send(format!("GET {target} HTTP/1.1\r\nHost: test\r\n\r\n").as_bytes())
        .expect("it is sent");
    assert!(client.line().expect("a status").starts_with("HTTP/1.1 200"));
    while !client.line().expect("a field").is_empty() {}
    client
}

#[test]
fn every_file_of_the_page_is_served_under_a_strict_policy() {
    let server = Server::start();
    let mut client = server.client();
    let mut waiting = vec!["/".to_owned(), "/overlay?num=5".to_owned()];
    let mut seen = Vec::new();
    while let Some(target) = waiting.pop() {
        let reply = client.get(&target);
        assert_eq!(reply.status, 200, "{target}");
        let policy = reply.header("Content-Security-Policy").expect("a policy");
        assert!(
            policy.starts_with("default-src 'none';") && !policy.contains("unsafe"),
            "{policy}"
        );
        assert_eq!(reply.header("X-Content-Type-Options"), Some("nosniff"));
        let etag = reply.header("ETag").expect("a tag");
        let again = client.request("GET", &target, &[("If-None-Match", etag)], "");
        assert_eq!((again.status, again.body.as_slice()), (304, &b""[..]), "{target}");
        let text = String::from_utf8(reply.body).expect("text");
        // What a page names and what a module imports.
        for mark in ["=\"/web/", "from \"./"] {
            for rest in text.split(mark).skip(1) {
                let name = rest.split('"').next().expect("split has a first part");
                let path = format!("/web/{name}");
                if !seen.contains(&path) {
                    seen.push(path.clone());
                    waiting.push(path);
                }
            }
        }
        for foreign in ["http://", "https://", "//cdn"] {
            let found = text.replace("http://www.w3.org/", "").contains(foreign);
            assert!(!found, "{target} names {foreign}");
        }
    }
    assert!(seen.len() >= 16, "{seen:?}");
}

#[test]
fn one_stream_brings_everything() {
    let server = Server::start();
    let mut follower = follow(&server, "/live/stream?period=day&num=3");
    let (name, board) = next_event(&mut follower);
    assert_eq!((name.as_str(), &board["period"]), ("board", &"day".into()));
    let mut names = BTreeSet::from([name]);
    while names.len() < 4 {
        let (name, data) = next_event(&mut follower);
        assert!(name != "rates" || data["gifts"].is_array(), "{data}");
        names.insert(name);
    }
    // No counters: the query names no type.
    assert!(names.iter().eq(["board", "rain", "rates", "room"]), "{names:?}");
    let gift = r#"{"audience_id":1,"anchor_id":7,"worth":5}"#;
    for _ in 0..3 {
        assert_eq!(server.client().post("/gift/send", gift).status, 200);
    }
    let (mut total, mut gifts) = (0, 0);
    while total < 15 || gifts < 3 {
        match next_event(&mut follower) {
            (name, data) if name == "board" => {
                total = data["data"][0]["total_worth"].as_i64().expect("a total");
            }
            (name, _) if name != "rates" => {}
            (_, data) => {
                let seconds = data["gifts"].as_array().expect("a list").iter();
                gifts = seconds.map(|count| count.as_u64().expect("a count")).sum();
            }
        }
    }
    assert_eq!((total, gifts), (15, 3));
    let refused = server.client().get("/live/stream?period=month");
    assert_eq!(refused.status, 400);
    assert!(refused.json()["message"].as_str().expect("a text").starts_with("period:"));
}

#[test]
fn counters_rain_and_room_have_streams_of_their_own() {
    let server = Server::start();
    let mut counters = follow(&server, "/api/v1/counter/stream?type=like&period=day&limit=2");
    let (name, hot) = next_event(&mut counters);
    assert_eq!((name.as_str(), &hot["data"]), ("counters", &Value::Array(Vec::new())));
    let like = r#"{"resource_id":9007199254740993,"counter_type":"like"}"#;
    assert_eq!(server.client().post("/api/v1/counter/increment", like).status, 200);
    let (_, hot) = next_event(&mut counters);
    assert_eq!((&hot["counter_type"], &hot["period"]), (&"like".into(), &"day".into()));
    assert_eq!(hot["data"][0]["resource_id"], 9_007_199_254_740_993_i64);

    let mut rains = follow(&server, "/rain/stream");
    assert_eq!(next_event(&mut rains), ("rain".to_owned(), serde_json::json!({"state": "none"})));
    let rain = r#"{"id":1,"total_amount_fen":100,"total_count":10,"min_fen":1,"max_fen":50,
        "win_ppm":1000000,"max_per_user":5,"starts_at":0,"ends_at":4102444800,"reason":"a test"}"#;
    assert_eq!(server.operator().post("/rain", rain).status, 200);
    let (_, shown) = next_event(&mut rains);
    let plain = server.client().get("/rain").json();
    assert_eq!((&shown["id"], &shown["state"]), (&1.into(), &"running".into()));
    assert_eq!(shown["commitment"], plain["data"]["commitment"]);

    let mut room = follow(&server, "/trade/stream");
    let (name, activity) = next_event(&mut room);
    assert_eq!(
        (name.as_str(), &activity["trades"], &activity["online"]),
        ("room", &0.into(), &0.into())
    );
    assert_eq!(activity["seconds"].as_array().map(Vec::len), Some(60));

    for wrong in ["/api/v1/counter/stream", "/api/v1/counter/stream?type=like&limit=0"] {
        assert_eq!(server.client().get(wrong).status, 400, "{wrong}");
    }
}
