//! Hostile input within the limits: time, memory and answers stay bounded.

use crate::http_rig::Peer;
use crate::server::Server;
use fanfare::http::{HttpOptions, Object};
use fanfare::limits::{BODIES_BYTES_MAX, BODY_BYTES_MAX};
use fanfare::session::Phase;
use std::collections::BTreeSet;
use std::io::Read;
use std::thread;
use std::time::Duration;

const GIFT: &str = r#"{"audience_id":1,"anchor_id":7,"worth":5}"#;

#[test]
fn half_blank_lines_in_turn_do_not_keep_a_connection_for_ever() {
    // Each CR was taken for the begin of a head, each LF for the end of it, and both times the
    // deadline began anew.
    let mut peer = Peer::new();
    for round in 0..100 {
        if peer.phase() != Phase::Open {
            assert_eq!(peer.text(), "", "no request had begun");
            return;
        }
        peer.receive(["\r", "\n"][round % 2]);
        peer.wait(Duration::from_secs(9));
    }
    panic!("it is open after a quarter of an hour");
}

#[test]
fn a_head_may_begin_behind_half_a_blank_line() {
    let mut peer = Peer::new();
    peer.receive("\r");
    peer.receive("\nGET / HTTP/1.1\r\nHo");
    peer.wait(Duration::from_secs(9));
    assert!(peer.say("st: a\r\n\r\n").starts_with("HTTP/1.1 200 "));
    assert!(peer.say("\rGET / HTTP/1.1\r\nHost: a\r\n\r\n").starts_with("HTTP/1.1 400 "));
}

/// Announces a body of the greatest length and sends all but its last byte.
fn upload(peer: &mut Peer) -> String {
    peer.receive(format!(
        "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: {BODY_BYTES_MAX}\r\n\r\n"
    ));
    let piece = vec![b'x'; BODY_BYTES_MAX / 16];
    for _ in 1..16 {
        peer.receive(&piece);
    }
    peer.receive(&piece[1..]);
    peer.text()
}

#[test]
fn bodies_on_their_way_take_a_bounded_memory_together() {
    let options = HttpOptions::default();
    let new = || Peer::with_options(options.clone());
    let mut held = Vec::new();
    let refusal = loop {
        let mut peer = new();
        let output = upload(&mut peer);
        if !output.is_empty() {
            break output;
        }
        held.push(peer);
        assert!(held.len() <= BODIES_BYTES_MAX / BODY_BYTES_MAX + 1, "{} bodies", held.len());
    };
    assert!(refusal.starts_with("HTTP/1.1 503 "), "{refusal}");
    assert!(refusal.contains("Retry-After: 1\r\n") && refusal.contains("Connection: close\r\n"));
    assert_eq!(held.len(), BODIES_BYTES_MAX / BODY_BYTES_MAX);
    // A request that is here as a whole waits for nobody.
    let whole = "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi";
    assert!(new().say(whole).starts_with("HTTP/1.1 200 "));
    // One finishes and one leaves: there is room for two.
    let mut first = held.remove(0);
    assert!(first.say("x").starts_with("HTTP/1.1 200 "));
    held.pop();
    for _ in 0..2 {
        let mut peer = new();
        assert_eq!(upload(&mut peer), "");
        held.push(peer);
    }
    assert!(upload(&mut new()).starts_with("HTTP/1.1 503 "));
}

#[test]
fn a_refusal_does_not_repeat_a_long_key() {
    let key = "k".repeat(100_000);
    let body = format!(r#"{{"{key}":1,"{key}":1}}"#);
    let error = Object::parse(body.as_bytes()).expect_err("a key twice").to_string();
    assert!(error.len() < 200, "{} bytes", error.len());
    assert!(error.contains(&key[..20]), "{error}");
}

#[test]
fn a_number_beyond_every_range_is_named_by_its_field() {
    let digits = "9".repeat(400);
    for (body, field) in [
        (r#"{"worth":1e999}"#.to_owned(), "worth"),
        (format!(r#"{{"worth":{digits}}}"#), "worth"),
        (format!(r#"{{"worth":-{digits}}}"#), "worth"),
        (r#"{"a":{"b":[1,{"c":1e999}]}}"#.to_owned(), "b[1].c"),
        (r#"{"worth":1e}"#.to_owned(), "body"),
    ] {
        let error = Object::parse(body.as_bytes()).expect_err("out of range");
        assert_eq!(error.field, field, "{error}");
    }
}

#[test]
fn a_hundred_clients_with_one_key_send_one_gift() {
    let server = Server::start();
    let ids: BTreeSet<i64> = thread::scope(|scope| {
        let clients: Vec<_> = (0..100)
            .map(|_| {
                scope.spawn(|| {
                    let key = [("Idempotency-Key", "one-for-all")];
                    let reply = server.client().request("POST", "/gift/send", &key, GIFT);
                    assert_eq!(reply.status, 200, "{reply:?}");
                    reply.json()["data"]["id"].as_i64().expect("an id")
                })
            })
            .collect();
        clients.into_iter().map(|client| client.join().expect("no panic")).collect()
    });
    assert_eq!(ids.len(), 1);
    assert_eq!(server.client().get("/gift/worth?id=7").json()["data"]["total_worth"], 5);
}

/// Memory that the server holds, in bytes.
fn resident(server: &Server) -> usize {
    let statm = std::fs::read_to_string(format!("/proc/{}/statm", server.id()));
    let pages = statm.expect("it runs").split(' ').nth(1).and_then(|pages| pages.parse().ok());
    pages.map(|pages: usize| pages * 4096).expect("a number")
}

#[test]
fn a_thousand_large_answers_that_nobody_reads_take_no_memory_of_their_own() {
    let server = Server::start();
    let mut client = server.client();
    let hello = client.get("/hello").body;
    let before = resident(&server);
    let ask = "GET /hello HTTP/1.1\r\nHost: test\r\n\r\n".repeat(1_000);
    client.send(ask.as_bytes()).expect("they fit into the sockets");
    let mut others = server.client();
    for _ in 0..20 {
        assert_eq!(others.get("/health").status, 200);
    }
    let grown = resident(&server).saturating_sub(before);
    assert!(grown < 50 * hello.len(), "{grown} bytes for answers that wait");
    for _ in 0..1_000 {
        assert_eq!(client.reply_to("GET").expect("an answer").body, hello);
    }
}

#[test]
fn a_crowd_asks_more_than_the_queue_holds_and_each_gets_its_answer() {
    const EACH: usize = 64;
    let server = Server::start();
    assert_eq!(server.client().post("/gift/send", GIFT).status, 200);
    let ask = "GET /gift/fans?id=7 HTTP/1.1\r\nHost: test\r\n\r\n".repeat(EACH);
    let mut crowd: Vec<_> = (0..500).map(|_| server.client()).collect();
    for client in &mut crowd {
        client.send(ask.as_bytes()).expect("sent");
    }
    for client in &mut crowd {
        for _ in 0..EACH {
            let reply = client.reply_to("GET").expect("an answer");
            let comes_back = reply.header("Retry-After").is_some();
            assert_eq!(comes_back, reply.status == 503, "{reply:?}");
            assert!(reply.status == 503 || reply.status == 200, "{reply:?}");
        }
    }
    drop(crowd);
    assert_eq!(server.client().get("/gift/fans?id=7").status, 200);
}

#[test]
fn five_thousand_follow_one_board_while_half_of_them_leave() {
    rlimit::increase_nofile_limit(u64::MAX).expect("the hard limit can be used");
    let mut server = Server::start();
    let mut crowd: Vec<_> = (0..5_000).map(|_| server.client()).collect();
    for client in &mut crowd {
        client.send(b"GET /gift/stream HTTP/1.1\r\nHost: test\r\n\r\n").expect("sent");
    }
    for client in &mut crowd {
        while !client.line().expect("a head").is_empty() {}
        let board = client.event().expect("the board on connect");
        assert!(board[2].contains(r#""data":[]"#), "{board:?}");
    }
    crowd.truncate(2_500);
    assert_eq!(server.client().post("/gift/send", GIFT).status, 200);
    for client in &mut crowd {
        let board = client.event().expect("the board when it changed");
        assert!(board[2].contains(r#""anchor_id":7,"total_worth":5"#), "{board:?}");
    }
    server.signal("TERM");
    for client in &mut crowd {
        let mut rest = Vec::new();
        client.stream().read_to_end(&mut rest).expect("closed in order");
    }
    assert!(server.wait().success());
}
