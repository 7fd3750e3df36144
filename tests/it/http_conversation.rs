//! Whole HTTP conversations over a session: order, keep-alive, deadlines, refusals, streams.

use crate::http_rig::Peer;
use fanfare::http::{HttpSession, Response, Status};
use fanfare::session::{Phase, Session};
use std::time::Duration;

const GET: &str = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
const LATER: &str = "GET /later HTTP/1.1\r\nHost: a\r\n\r\n";
const POST_LATER: &str = "POST /later HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n";
const OK: &str = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}";

fn echo(body: &str, connection: &str) -> String {
    format!(
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\n{connection}\r\n{body}",
        body.len()
    )
}

#[test]
fn an_idle_session_is_small() {
    assert!(size_of::<HttpSession>() <= 200, "{} bytes", size_of::<HttpSession>());
}

#[test]
fn answers_pipelined_requests_in_order_and_in_one_go() {
    let mut peer = Peer::new();
    let get = |query| format!("GET /echo?{query} HTTP/1.1\r\nHost: a\r\n\r\n");
    let output = peer.say([get("1"), get("22"), get("3")].concat());
    assert_eq!(output, [echo("1", ""), echo("22", ""), echo("3", "")].concat());
    assert_eq!(peer.phase(), Phase::Open);
}

#[test]
fn answers_that_finish_out_of_order_leave_in_order() {
    let mut peer = Peer::new();
    assert_eq!(peer.say([LATER, GET, LATER].concat()), "");
    peer.answer(1, Response::json("[2]"));
    assert_eq!(peer.text(), "");
    peer.answer(0, Response::json("[0]"));
    assert_eq!(peer.text(), [echo("[0]", "").as_str(), OK, &echo("[2]", "")].concat());
}

#[test]
fn requests_behind_an_unanswered_write_wait() {
    let mut peer = Peer::new();
    assert_eq!(peer.say([POST_LATER, POST_LATER, GET].concat()), "");
    assert_eq!(peer.pending.borrow().len(), 1);
    assert!(!peer.wants_input());
    peer.answer(0, Response::json("{}"));
    assert_eq!(peer.pending.borrow().len(), 1);
    peer.answer(0, Response::json("{}"));
    assert_eq!(peer.text(), OK.repeat(3));
    assert!(peer.wants_input());
}

#[test]
fn a_write_waits_for_the_reads_before_it() {
    let mut peer = Peer::new();
    peer.receive([LATER, POST_LATER].concat());
    assert_eq!(peer.pending.borrow().len(), 1);
    peer.answer(0, Response::json("{}"));
    assert_eq!(peer.pending.borrow().len(), 1);
}

#[test]
fn half_close_answers_all_that_was_received() {
    let mut peer = Peer::new();
    peer.receive([POST_LATER, POST_LATER, GET].concat());
    peer.close();
    assert_eq!(peer.phase(), Phase::Open);
    peer.answer(0, Response::json("{}"));
    peer.answer(0, Response::json("{}"));
    assert!(peer.text().starts_with(&OK.repeat(2)));
    assert_eq!(peer.phase(), Phase::Finishing);
}

#[test]
fn a_panic_costs_one_answer() {
    let mut peer = Peer::new();
    let output = peer.say(["GET /panic HTTP/1.1\r\nHost: a\r\n\r\n", GET].concat());
    assert!(output.starts_with("HTTP/1.1 500 "), "{output}");
    assert!(output.ends_with(OK), "{output}");
}

#[test]
fn a_dropped_responder_answers_500() {
    let mut peer = Peer::new();
    peer.receive(LATER);
    peer.pending.borrow_mut().clear();
    peer.deliver();
    assert!(peer.text().starts_with("HTTP/1.1 500 "));
}

#[test]
fn a_refusal_comes_after_earlier_answers_and_lingers() {
    let mut peer = Peer::new();
    peer.receive([LATER, "GET / HTTP/1.1\r\n\r\n", GET].concat());
    assert_eq!(peer.phase(), Phase::Open);
    assert!(!peer.wants_input());
    peer.answer(0, Response::error(Status::NOT_FOUND, "no"));
    let output = peer.text();
    assert!(output.starts_with("HTTP/1.1 404 "), "{output}");
    assert!(output.contains("HTTP/1.1 400 Bad Request\r\n"), "{output}");
    assert_eq!(output.matches("Connection: close\r\n").count(), 1);
    assert_eq!(output.matches("HTTP/1.1").count(), 2, "nothing is read behind a refusal");
    assert_eq!(peer.phase(), Phase::Lingering);
}

#[test]
fn a_trickled_head_gets_408_and_an_idle_connection_closes_silently() {
    let mut peer = Peer::new();
    for byte in GET.bytes().take(9) {
        peer.receive([byte]);
        peer.wait(Duration::from_secs(1));
    }
    assert_eq!(peer.text(), "");
    peer.wait(Duration::from_secs(1));
    assert!(peer.text().starts_with("HTTP/1.1 408 "));
    let mut peer = Peer::new();
    peer.wait(Duration::from_secs(60));
    assert_eq!((peer.text().as_str(), peer.phase()), ("", Phase::Finishing));
}
