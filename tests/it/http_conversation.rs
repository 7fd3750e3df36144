//! Whole HTTP conversations over a session: order, keep-alive, deadlines, refusals, streams.

use crate::http_rig::Peer;
use fanfare::http::{HttpSession, Response, Status};
use fanfare::limits::{PIPELINE_DEPTH_MAX, SEND_BYTES_HIGH};
use fanfare::session::{Phase, Session};
use std::sync::Arc;
use std::time::Duration;

const GET: &str = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
const LATER: &str = "GET /later HTTP/1.1\r\nHost: a\r\n\r\n";
const POST_LATER: &str = "POST /later HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n";
const OK: &str = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}";

fn ok(connection: &str) -> String {
    echo("{}", connection)
}

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

#[test]
fn a_trickled_body_gets_408_thirty_seconds_after_its_head() {
    let mut peer = Peer::new();
    peer.receive("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\n");
    for _ in 0..29 {
        peer.receive("a");
        peer.wait(Duration::from_secs(1));
    }
    assert_eq!(peer.text(), "");
    peer.wait(Duration::from_secs(1));
    assert!(peer.text().starts_with("HTTP/1.1 408 "));
    assert_eq!(peer.phase(), Phase::Lingering);
}

#[test]
fn no_deadline_runs_while_an_answer_is_pending() {
    let mut peer = Peer::new();
    peer.receive([LATER, "GET /"].concat());
    assert_eq!(peer.session.deadline(), None);
    peer.wait(Duration::from_secs(3_600));
    peer.answer(0, Response::json("{}"));
    assert_eq!(peer.text(), OK);
    assert_eq!(peer.session.deadline(), Some(peer.now + Duration::from_secs(10)));
}

#[test]
fn blank_lines_do_not_keep_an_idle_connection() {
    let mut peer = Peer::new();
    for _ in 0..60 {
        peer.receive("\r\n");
        peer.wait(Duration::from_secs(1));
    }
    assert_eq!(peer.phase(), Phase::Finishing);
}

#[test]
fn an_answer_renews_the_idle_deadline() {
    let mut peer = Peer::new();
    peer.wait(Duration::from_secs(50));
    peer.say(GET);
    peer.wait(Duration::from_secs(59));
    assert_eq!(peer.phase(), Phase::Open);
    peer.wait(Duration::from_secs(1));
    assert_eq!(peer.phase(), Phase::Finishing);
}

#[test]
fn the_version_and_the_connection_field_decide_what_follows() {
    let close = ok("Connection: close\r\n");
    for (request, answer, phase) in [
        ("GET / HTTP/1.0\r\n\r\n", &close, Phase::Finishing),
        ("GET / HTTP/1.0\r\nConnection: close, keep-alive\r\n\r\n", &close, Phase::Finishing),
        (
            "GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n",
            &ok("Connection: keep-alive\r\n"),
            Phase::Open,
        ),
        ("GET / HTTP/1.1\r\nHost: a\r\nConnection: x, Close\r\n\r\n", &close, Phase::Finishing),
        ("GET / HTTP/1.1\r\nHost: a\r\nConnection: keep-alive\r\n\r\n", &ok(""), Phase::Open),
    ] {
        let mut peer = Peer::new();
        assert_eq!((&peer.say(request), peer.phase()), (answer, phase), "{request}");
    }
}

#[test]
fn what_follows_the_last_request_is_not_parsed() {
    let mut peer = Peer::new();
    let output = peer.say(["GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", GET].concat());
    assert_eq!(output, ok("Connection: close\r\n"));
    assert_eq!(peer.phase(), Phase::Lingering, "the peer may be sending still more");
}

#[test]
fn head_has_the_length_but_not_the_content() {
    let mut peer = Peer::new();
    let output = peer.say(["HEAD / HTTP/1.1\r\nHost: a\r\n\r\n", GET].concat());
    assert_eq!(output, [OK.strip_suffix("{}").expect("it ends so"), OK].concat());
}

#[test]
fn options_has_neither_content_nor_length() {
    let output = Peer::new().say("OPTIONS / HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(output, "HTTP/1.1 204 No Content\r\nAllow: GET, HEAD, OPTIONS\r\n\r\n");
}

#[test]
fn draining_closes_the_idle_and_answers_what_is_in_flight() {
    let mut idle = Peer::new();
    idle.turn(Session::drain);
    assert_eq!((idle.text().as_str(), idle.phase()), ("", Phase::Finishing));

    let mut busy = Peer::new();
    busy.receive([POST_LATER, GET].concat());
    busy.turn(Session::drain);
    assert_eq!(busy.phase(), Phase::Open);
    busy.answer(0, Response::json("{}"));
    assert_eq!(busy.text(), [OK, &ok("Connection: close\r\n")].concat());
    assert_eq!(busy.phase(), Phase::Finishing);

    let mut half = Peer::new();
    half.receive(&GET[..10]);
    half.turn(Session::drain);
    assert_eq!(half.say(&GET[10..]), ok("Connection: close\r\n"));
    assert_eq!(half.phase(), Phase::Finishing);
}

#[test]
fn a_full_pipeline_or_send_queue_stops_the_reading() {
    let mut peer = Peer::new();
    peer.receive(LATER.repeat(PIPELINE_DEPTH_MAX + 2));
    assert_eq!(peer.pending.borrow().len(), PIPELINE_DEPTH_MAX);
    assert!(!peer.wants_input());
    peer.answer(0, Response::json("{}"));
    assert_eq!(peer.pending.borrow().len(), PIPELINE_DEPTH_MAX);
    assert_eq!(peer.text(), OK);

    let mut peer = Peer::new();
    peer.receive("GET /large HTTP/1.1\r\nHost: a\r\n\r\n".repeat(10));
    assert!((SEND_BYTES_HIGH..SEND_BYTES_HIGH + 101_000).contains(&peer.unsent.len()));
    assert!(!peer.wants_input());
    assert_eq!(peer.session.deadline(), None, "the write deadline is the socket's");
    assert_eq!(peer.text().matches("HTTP/1.1 200 OK").count(), 10);
    assert!(peer.wants_input());
}

#[test]
fn a_late_reply_finds_nobody() {
    let (mut gone, mut owner) = (Peer::new(), Peer::new());
    gone.receive("GET / HTTP/1.1\r\n\r\n");
    gone.flush();
    owner.receive(LATER);
    owner.answer(0, Response::json("{}"));
    assert_eq!(owner.text(), OK);
    // What the loop would deliver if a session had been refused while a worker had its request.
    owner.receive(LATER);
    owner.pending.borrow_mut().remove(0).send(Response::json("{}"));
    for reply in owner.replies() {
        gone.turn(|session, turn| session.complete(reply, turn));
    }
    assert_eq!((gone.text().as_str(), gone.phase()), ("", Phase::Lingering));
}

const STREAM_HEAD: &str = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\
     Cache-Control: no-store\r\nConnection: close\r\n\r\n";

fn event(version: u64) -> String {
    format!("id: {version}\ndata: {version}\n\n")
}

fn stream_request(lines: &str) -> String {
    format!("GET /stream HTTP/1.1\r\nHost: a\r\n{lines}\r\n")
}

#[test]
fn a_stream_begins_with_the_state_as_of_now() {
    let mut peer = Peer::new();
    assert_eq!(peer.say(stream_request("")), [STREAM_HEAD, &event(1)].concat());
    assert_eq!(peer.subscriptions.len(), 1);
    let mut peer = Peer::new();
    assert_eq!(peer.say(stream_request("Last-Event-ID: 1\r\n")), STREAM_HEAD);
    let mut peer = Peer::new();
    let output = peer.say(stream_request("Last-Event-ID: 7\r\n"));
    assert!(output.ends_with(&event(1)), "an id of another life is not the current one");
    let mut peer = Peer::new();
    assert_eq!(peer.say("HEAD /stream HTTP/1.1\r\nHost: a\r\n\r\n"), STREAM_HEAD);
    assert_eq!((peer.phase(), peer.subscriptions.len()), (Phase::Finishing, 0));
}

#[test]
fn a_stream_waits_for_the_answers_before_it() {
    let mut peer = Peer::new();
    assert_eq!(peer.say([LATER, &stream_request("")].concat()), "");
    peer.board.set(2);
    peer.answer(0, Response::json("{}"));
    assert_eq!(peer.text(), [OK, STREAM_HEAD, &event(2)].concat());
}

#[test]
fn a_slow_reader_of_a_stream_costs_one_event() {
    let mut peer = Peer::new();
    peer.say(stream_request(""));
    for version in 2..10 {
        let event = peer.board.set(version);
        peer.push(&event);
    }
    assert_eq!(peer.text(), [event(2), event(9)].concat());
    let old = peer.board.set(9);
    peer.push(&old);
    assert_eq!(peer.text(), "", "nothing new");
}

#[test]
fn a_stream_of_several_topics_costs_a_slow_reader_one_event_of_each() {
    let mut peer = Peer::new();
    let output = peer.say("GET /streams HTTP/1.1\r\nHost: a\r\nLast-Event-ID: 1\r\n\r\n");
    assert_eq!(output, [STREAM_HEAD, &event(1), &event(101)].concat());
    assert_eq!(peer.subscriptions.len(), 2);
    let encore = Arc::clone(&peer.encore);
    for version in 2..10 {
        let (board, other) = (peer.board.set(version), encore.set(100 + version));
        peer.push(&board);
        peer.push_of(Arc::clone(&encore), &other);
    }
    assert_eq!(peer.text(), [event(2), event(9), event(109)].concat());
    let old = encore.set(109);
    peer.push_of(encore, &old);
    assert_eq!(peer.text(), "", "nothing new");
}

#[test]
fn a_silent_stream_is_kept_alive_and_ends_with_its_peer() {
    let mut peer = Peer::new();
    peer.say(stream_request(""));
    peer.wait(Duration::from_secs(14));
    let event = peer.board.set(2);
    peer.push(&event);
    peer.flush();
    peer.wait(Duration::from_secs(14));
    assert_eq!(peer.text(), "");
    peer.wait(Duration::from_secs(1));
    assert_eq!(peer.text(), ":\n\n");
    assert_eq!(peer.say([GET, "garbage"].concat()), "", "input is discarded");
    assert!(peer.wants_input(), "or the end of the peer would go unseen");
    peer.close();
    assert_eq!(peer.phase(), Phase::Finishing);
}
