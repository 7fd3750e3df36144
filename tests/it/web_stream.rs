//! The live page's files and its one stream, as a client without a browser sees them.

use crate::client::Client;
use crate::server::Server;
use serde_json::Value;

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
fn one_stream_brings_the_board_and_the_rates() {
    let server = Server::start();
    let mut follower = follow(&server, "/live/stream?period=day&num=3");
    let (name, board) = next_event(&mut follower);
    assert_eq!((name.as_str(), &board["period"]), ("board", &"day".into()));
    let (name, rates) = next_event(&mut follower);
    assert_eq!((name.as_str(), &rates["gifts"]), ("rates", &Value::Array(Vec::new())));
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
