//! What a client may ask of an answer: another coding, or only what it does not have.

use crate::http_rig::Peer;
use fanfare::http::{Answer, HttpOptions, Method, Representation, Responder, Response, Router};
use flate2::read::GzDecoder;
use std::cell::RefCell;
use std::io::Read;
use std::rc::Rc;
use std::sync::Arc;

/// Long enough to be worth compressing.
fn text() -> String {
    "one gift, two gifts, ".repeat(60)
}

fn router(waiting: &Rc<RefCell<Vec<Responder>>>) -> Router {
    let shared = Arc::new(Representation::new(text().into_bytes()));
    let small = Arc::new(Representation::new(b"{}".as_slice()));
    let waiting = Rc::clone(waiting);
    Router::new()
        .route(Method::Get, "/large", move |_, _| Answer::now(Response::json(Arc::clone(&shared))))
        .route(Method::Get, "/small", move |_, _| Answer::now(Response::json(Arc::clone(&small))))
        .route(Method::Get, "/plain", |_, _| Answer::now(Response::json(text())))
        .route(Method::Get, "/later", move |_, deferral| {
            deferral.later(|responder| waiting.borrow_mut().push(responder))
        })
}

fn peer() -> (Peer, Rc<RefCell<Vec<Responder>>>) {
    let waiting = Rc::default();
    (Peer::with_service(Rc::new(router(&waiting)), HttpOptions::default()), waiting)
}

/// Head and body of the answer, which must be alone.
fn ask(peer: &mut Peer, line: &str, fields: &str) -> (String, Vec<u8>) {
    peer.receive(format!("{line} HTTP/1.1\r\nHost: a\r\n{fields}\r\n"));
    split(&peer.flush())
}

fn split(answer: &[u8]) -> (String, Vec<u8>) {
    let end = answer.windows(4).position(|window| window == b"\r\n\r\n").expect("a head");
    (String::from_utf8_lossy(&answer[..end]).into_owned() + "\r\n", answer[end + 4..].to_vec())
}

fn field<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    let mut lines = head.lines().filter_map(|line| line.split_once(": "));
    lines.find(|(field, _)| field.eq_ignore_ascii_case(name)).map(|(_, value)| value)
}

#[test]
fn a_client_that_has_the_state_gets_no_content() {
    let (mut peer, _) = peer();
    let (head, body) = ask(&mut peer, "GET /large", "");
    assert_eq!(body, text().as_bytes());
    assert_eq!(field(&head, "Content-Encoding"), None);
    assert_eq!(field(&head, "Cache-Control"), Some("no-cache"));
    assert_eq!(field(&head, "Vary"), Some("Accept-Encoding"));
    let etag = field(&head, "ETag").expect("a tag").to_owned();
    for known in [etag.clone(), format!("W/{etag}"), format!("\"x\", {etag}"), "*".to_owned()] {
        let (head, body) = ask(&mut peer, "GET /large", &format!("If-None-Match: {known}\r\n"));
        assert!(head.starts_with("HTTP/1.1 304 Not Modified\r\n"), "{known}: {head}");
        assert_eq!(body, b"");
        assert_eq!(field(&head, "ETag"), Some(&*etag));
        assert_eq!(field(&head, "Vary"), Some("Accept-Encoding"));
        for absent in ["Content-Length", "Content-Type", "Content-Encoding"] {
            assert_eq!(field(&head, absent), None, "{head}");
        }
    }
    let two = format!("If-None-Match: \"x\"\r\nif-none-match: {etag}\r\n");
    assert!(ask(&mut peer, "GET /large", &two).0.starts_with("HTTP/1.1 304 "));
    let (head, body) = ask(&mut peer, "GET /large", "If-None-Match: \"other\"\r\n");
    assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
    assert_eq!(body.len(), text().len());
}

#[test]
fn gzip_is_sent_to_who_asks_and_has_its_own_tag() {
    let (mut peer, _) = peer();
    let plain = field(&ask(&mut peer, "GET /large", "").0, "ETag").expect("a tag").to_owned();
    let (head, body) = ask(&mut peer, "GET /large", "Accept-Encoding: br, gzip\r\n");
    assert_eq!(field(&head, "Content-Encoding"), Some("gzip"));
    assert_eq!(field(&head, "Content-Length"), Some(&*body.len().to_string()));
    let mut decoded = String::new();
    GzDecoder::new(&body[..]).read_to_string(&mut decoded).expect("valid gzip");
    assert_eq!(decoded, text());
    let zipped = field(&head, "ETag").expect("a tag").to_owned();
    assert_ne!(zipped, plain);
    let conditional = |tag: &str| format!("Accept-Encoding: gzip\r\nIf-None-Match: {tag}\r\n");
    assert!(ask(&mut peer, "GET /large", &conditional(&zipped)).0.starts_with("HTTP/1.1 304 "));
    assert!(ask(&mut peer, "GET /large", &conditional(&plain)).0.starts_with("HTTP/1.1 200 "));
    let (head, body) = ask(&mut peer, "GET /small", "Accept-Encoding: gzip\r\n");
    assert_eq!((field(&head, "Content-Encoding"), &*body), (None, b"{}".as_slice()));
    let (head, _) = ask(&mut peer, "GET /plain", "Accept-Encoding: gzip\r\n");
    assert_eq!((field(&head, "Content-Encoding"), field(&head, "ETag")), (None, None));
}

#[test]
fn head_says_what_get_would_have_said() {
    let (mut peer, _) = peer();
    for fields in ["", "Accept-Encoding: gzip\r\n", "If-None-Match: *\r\n"] {
        let (get, _) = ask(&mut peer, "GET /large", fields);
        let (head, body) = ask(&mut peer, "HEAD /large", fields);
        assert_eq!((head, body), (get, Vec::new()), "{fields:?}");
    }
}

#[test]
fn a_deferred_answer_is_chosen_by_what_its_request_asked() {
    let (mut peer, waiting) = peer();
    let tag = field(&ask(&mut peer, "GET /large", "").0, "ETag").expect("a tag").to_owned();
    for (fields, status, coding) in [
        ("", "200", None),
        ("Accept-Encoding: gzip\r\n", "200", Some("gzip")),
        (&*format!("If-None-Match: {tag}\r\n"), "304", None),
    ] {
        peer.receive(format!("GET /later HTTP/1.1\r\nHost: a\r\n{fields}\r\n"));
        let responder = waiting.borrow_mut().pop().expect("it waits");
        responder.send(Response::json(Representation::new(text().into_bytes())));
        peer.deliver();
        let (head, _) = split(&peer.flush());
        assert!(head.starts_with(&format!("HTTP/1.1 {status} ")), "{head}");
        assert_eq!(field(&head, "Content-Encoding"), coding);
    }
}
