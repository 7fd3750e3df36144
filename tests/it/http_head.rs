//! What counts as a request: heads, targets, hosts, framing and bodies, case by case.

use crate::http_rig::Peer;
use fanfare::http::{HttpLimits, HttpOptions, Response};
use fanfare::session::Phase;

/// Feeds `input`, expects one answer of that status, and the connection to end if it is an error.
fn check(input: impl AsRef<[u8]>, status: u16) {
    let input = input.as_ref();
    let shown = String::from_utf8_lossy(&input[..input.len().min(120)]).into_owned();
    for step in [input.len(), 1] {
        let mut peer = Peer::with_options(small_limits());
        for piece in input.chunks(step) {
            if peer.wants_input() {
                peer.receive(piece);
            }
        }
        let output = peer.text();
        let expected = format!("HTTP/1.1 {status} ");
        assert!(output.starts_with(&expected), "{shown:?} by {step}: {output:?}");
        let is_routed = [200, 204, 404, 405].contains(&status);
        let phase = if is_routed { Phase::Open } else { Phase::Lingering };
        assert_eq!(peer.phase(), phase, "{shown:?} by {step}");
        assert_eq!(output.contains("Connection: close\r\n"), !is_routed, "{shown:?}");
    }
}

fn small_limits() -> HttpOptions {
    let limits =
        HttpLimits { request_line_bytes: 100, header_bytes: 300, header_count: 10, body_bytes: 20 };
    HttpOptions { limits, ..HttpOptions::default() }
}

/// A GET with these header lines behind the Host.
fn fields(lines: &str) -> String {
    format!("GET / HTTP/1.1\r\nHost: a\r\n{lines}\r\n")
}

fn target(target: &str) -> String {
    format!("GET {target} HTTP/1.1\r\nHost: a\r\n\r\n")
}

fn post(lines: &str, body: &str) -> String {
    format!("POST /echo HTTP/1.1\r\nHost: a\r\n{lines}\r\n{body}")
}

fn chunked(body: &str) -> String {
    post("Transfer-Encoding: chunked\r\n", body)
}

#[test]
fn takes_request_lines_as_rfc_9112_has_them() {
    for (line, status) in [
        ("GET / HTTP/1.1", 200),
        ("HEAD / HTTP/1.1", 200),
        ("OPTIONS / HTTP/1.1", 204),
        ("OPTIONS * HTTP/1.1", 204),
        ("OPTIONS http://a HTTP/1.1", 204),
        ("DELETE / HTTP/1.1", 405),
        ("TRACE / HTTP/1.1", 405),
        ("get / HTTP/1.1", 501),
        ("BREW / HTTP/1.1", 501),
        ("CONNECT a:80 HTTP/1.1", 501),
        ("GET / HTTP/1.2", 505),
        ("GET / HTTP/2.0", 505),
        ("GET / HTTP/1.1 ", 400),
        ("GET / HTTP/1.10", 400),
        ("GET / http/1.1", 400),
        ("GET / HTTP/1", 400),
        ("GET /", 400),
        ("GET", 400),
        ("GET  / HTTP/1.1", 400),
        ("GET /  HTTP/1.1", 400),
        (" GET / HTTP/1.1", 400),
        ("GET\t/ HTTP/1.1", 400),
        ("G(T / HTTP/1.1", 400),
        ("GET / HTTP/1.1\r", 400),
    ] {
        check(format!("{line}\r\nHost: a\r\n\r\n"), status);
    }
}

#[test]
fn takes_targets_in_origin_and_absolute_form() {
    for (text, status) in [
        ("/", 200),
        ("/?a=b?c", 200),
        ("/%2F", 404),
        ("http://a.example/", 200),
        ("HTTP://a.example:8080?x", 200),
        ("https://[::1]:1/", 200),
        ("*", 400),
        ("a", 400),
        ("a/b", 400),
        ("?a", 400),
        ("/#a", 400),
        ("/?#", 400),
        ("http://", 400),
        ("http:///", 400),
        ("http://a:b:c/", 400),
        ("http://u@a/", 400),
        ("ftp://a/", 400),
        ("/a\u{7f}", 400),
    ] {
        check(target(text), status);
    }
    check(b"GET /\xff HTTP/1.1\r\nHost: a\r\n\r\n", 400);
    check(b"GET /\0 HTTP/1.1\r\nHost: a\r\n\r\n", 400);
}

#[test]
fn asks_for_exactly_one_well_formed_host() {
    let with = |host: &str| format!("GET / HTTP/1.1\r\n{host}\r\n");
    for (lines, status) in [
        ("Host: a\r\n", 200),
        ("hOST:a:80\r\n", 200),
        ("Host: [::1]:80\r\n", 200),
        ("", 400),
        ("Host: a\r\nHost: a\r\n", 400),
        ("Host: a\r\nhost: b\r\n", 400),
        ("Host: a:b:c\r\n", 400),
        ("Host: [::1\r\n", 400),
        ("Host: a:65536\r\n", 400),
        ("Host: a, b\r\n", 400),
        ("Host: a/b\r\n", 400),
        ("Host:\r\n", 400),
    ] {
        check(with(lines), status);
    }
}

#[test]
fn lines_end_in_cr_lf_and_nothing_else() {
    for (text, status) in [
        ("\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", 200),
        ("\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        ("\r\n\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        ("\rGET / HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        ("GET / HTTP/1.1\nHost: a\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nHost: a\n\r\n", 400),
        ("GET / HTTP/1.1\r\nHost: a\r\n\n", 400),
        ("GET / HTTP/1.1\r\nHost: a\r\n\r\r\n\r\n", 400),
    ] {
        check(text, status);
    }
}

#[test]
fn header_fields_are_strict() {
    for (lines, status) in [
        ("X: \t a b \t\r\n", 200),
        ("X:\r\n", 200),
        ("X : a\r\n", 400),
        (": a\r\n", 400),
        ("X\r\n", 400),
        (" X: a\r\n", 400),
        ("X: a\r\n b\r\n", 400),
        ("X: a\0b\r\n", 400),
        ("X: a\rb\r\n", 400),
        ("X: a\u{1}b\r\n", 400),
        ("X(: a\r\n", 400),
    ] {
        check(fields(lines), status);
    }
    check(b"GET / HTTP/1.1\r\nHost: a\r\nX: \xff\r\n\r\n", 200);
}

#[test]
fn limits_of_the_head_have_their_own_statuses() {
    let line = |size: usize| target(&format!("/?{}", "q".repeat(size - "GET /? HTTP/1.1".len())));
    check(line(100), 200);
    check(line(101), 414);
    check("G".repeat(103), 414);
    let value = |size: usize| fields(&format!("X: {}\r\n", "v".repeat(size - 9 - 5)));
    check(value(300), 200);
    check(value(301), 431);
    check(format!("GET / HTTP/1.1\r\n{}", "v".repeat(303)), 431);
    check(fields(&"X:\r\n".repeat(9)), 200);
    check(fields(&"X:\r\n".repeat(10)), 431);
}

#[test]
fn the_length_is_digits_given_once() {
    for (length, body, status) in [
        ("0", "", 200),
        ("2", "ab", 200),
        ("002", "ab", 200),
        ("20", "abcdefghijabcdefghij", 200),
        ("21", "", 413),
        ("99999999999999999999999", "", 413),
        ("+2", "ab", 400),
        ("-2", "ab", 400),
        ("2, 2", "ab", 400),
        ("2 2", "ab", 400),
        ("0x2", "ab", 400),
        ("2.0", "ab", 400),
        ("", "", 400),
        ("2\r\nContent-Length: 2", "ab", 400),
        ("2\r\nContent-Length: 3", "ab", 400),
    ] {
        check(post(&format!("Content-Length: {length}\r\n"), body), status);
    }
}

#[test]
fn a_framing_that_could_be_read_in_two_ways_is_refused() {
    for (lines, status) in [
        ("Transfer-Encoding: chunked\r\n", 200),
        ("Transfer-Encoding: Chunked\r\n", 200),
        ("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", 400),
        ("Transfer-Encoding: chunked\r\nContent-Length: 0\r\n", 400),
        ("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", 400),
        ("Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n", 400),
        ("Transfer-Encoding: chunked, gzip\r\n", 400),
        ("Transfer-Encoding: chunkedx\r\n", 400),
        ("Transfer-Encoding: identity\r\n", 400),
        ("Transfer-Encoding: \"chunked\"\r\n", 400),
        ("Transfer-Encoding:\r\n", 400),
        ("Transfer-Encoding: gzip, chunked\r\n", 501),
        ("Transfer-Encoding: chunked, chunked\r\n", 501),
    ] {
        check(post(lines, "0\r\n\r\n"), status);
    }
    check("POST /echo HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400);
}

#[test]
fn chunks_are_decoded_strictly() {
    for (body, status) in [
        ("0\r\n\r\n", 200),
        ("3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n", 200),
        ("000000000000000A\r\nabcdefghij\r\n0\r\n\r\n", 200),
        ("3;a=b;c=\"d\"\r\nabc\r\n0;x\r\nT: 1\r\nU:\r\n\r\n", 200),
        ("3 ; a\r\nabc\r\n0\r\n\r\n", 200),
        ("14\r\nabcdefghijabcdefghij\r\n0\r\n\r\n", 200),
        ("14\r\nabcdefghijabcdefghij\r\n1\r\n", 413),
        ("15\r\n", 413),
        ("FFFFFFFFFFFFFFFF\r\n", 413),
        ("00000000000000000\r\n", 400),
        ("\r\n", 400),
        (";a\r\n", 400),
        (" 3\r\nabc\r\n", 400),
        ("3 \r\nabc\r\n", 400),
        ("0x3\r\nabc\r\n", 400),
        ("+3\r\nabc\r\n", 400),
        ("-0\r\n", 400),
        ("g\r\n", 400),
        ("3\nabc\r\n", 400),
        ("3;a\nabc\r\n", 400),
        ("3;\0\r\nabc\r\n", 400),
        ("3\rabc\r\n", 400),
        ("3\r\nabcd\r\n", 400),
        ("3\r\nabc\n", 400),
        ("3\r\nabc0\r\n", 400),
        ("0\r\n\n", 400),
        ("0\r\nT: 1\n", 400),
        ("0\r\nT 1\r\n", 400),
        ("0\r\n: 1\r\n", 400),
        ("0\r\nT: \0\r\n", 400),
        ("0\r\n T: 1\r\n", 400),
    ] {
        check(chunked(body), status);
    }
    check(chunked(&format!("0;{}", "x".repeat(5_000))), 400);
    check(chunked(&"1; \r\na\r\n".repeat(21)), 413);
    check(chunked(&format!("0\r\n{}", "T: 1\r\n".repeat(2_000))), 431);
}

#[test]
fn bodies_reach_the_handler_whole_and_end_where_they_end() {
    let mut peer = Peer::new();
    let next = "GET /echo?next HTTP/1.1\r\nHost: a\r\n\r\n";
    let output = peer.say([&chunked("3;x\r\nabc\r\n2\r\nde\r\n0\r\nT: x\r\n\r\n"), next].concat());
    assert!(output.contains("\r\n\r\nabcdeHTTP/1.1 200"), "{output}");
    let get = "GET /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nGET ";
    let output = peer.say([get, next].concat());
    assert!(output.contains("\r\n\r\nGET HTTP/1.1 200"), "a body on GET is its body: {output}");
    assert!(output.ends_with("next"), "{output}");
}

#[test]
fn continue_is_said_before_a_body_that_will_be_read_and_only_then() {
    let expecting = |lines: &str| post(&format!("Expect: 100-Continue\r\n{lines}"), "");
    let mut peer = Peer::with_options(small_limits());
    let go_on = "HTTP/1.1 100 Continue\r\n\r\n";
    assert_eq!(peer.say(expecting("Content-Length: 2\r\n")), go_on);
    assert!(peer.say("ab").ends_with("\r\n\r\nab"));
    assert_eq!(peer.say(expecting("Transfer-Encoding: chunked\r\n")), go_on);
    assert!(peer.say("1\r\na\r\n0\r\n\r\n").ends_with("\r\n\r\na"));
    assert!(peer.say(expecting("Content-Length: 0\r\n")).starts_with("HTTP/1.1 200"));
    check(expecting("Content-Length: 21\r\n"), 413);
    check(post("Expect: 200-ok\r\nContent-Length: 2\r\n", ""), 417);
    let old = "POST /echo HTTP/1.0\r\nExpect: x\r\nContent-Length: 2\r\n\r\nab";
    assert!(Peer::new().say(old).starts_with("HTTP/1.1 200"));
}

#[test]
fn continue_waits_for_the_answers_before_it() {
    for method in ["GET", "POST"] {
        let mut peer = Peer::new();
        let expecting = post("Expect: 100-continue\r\nContent-Length: 2\r\n", "ab");
        let expecting = expecting.replacen("POST", method, 1);
        let later = "GET /later HTTP/1.1\r\nHost: a\r\n\r\n";
        assert_eq!(peer.say([later, &expecting].concat()), "");
        peer.answer(0, Response::json("{}"));
        let output = peer.text();
        let (first, second) = output.split_once("HTTP/1.1 100 Continue\r\n\r\n").expect(&output);
        assert!(first.ends_with("{}") && second.ends_with("ab"), "{output}");
    }
}
