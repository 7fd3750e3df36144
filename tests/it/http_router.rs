//! The router: which path finds which handler, and what it answers by itself.

use crate::http_rig::Peer;
use fanfare::http::{
    Answer, Deferral, HttpLimits, HttpOptions, Method, Request, Response, Router, Status,
};
use std::rc::Rc;

/// Answers with the name of the route and what its placeholders matched.
fn named(name: &'static str) -> impl Fn(&Request<'_>, Deferral<'_>) -> Answer {
    move |request, _| Answer::now(Response::json(format!("{name}{:?}", request.params)))
}

fn dialect(status: Status, why: &str) -> Response {
    Response { status, ..Response::json(format!("{{\"error\":\"{why}\"}}")) }
}

fn router() -> Router {
    Router::new()
        .route(Method::Get, "/", named("root"))
        .route(Method::Get, "/api/{resource}/{kind}", named("read"))
        .route(Method::Get, "/api/hot/{kind}", named("hot"))
        .route(Method::Get, "/api/hot/top", named("top"))
        .route(Method::Post, "/api/increment", named("increment"))
        .route(Method::Put, "/api/increment", named("replace"))
        .route(Method::Delete, "/api/{resource}/{kind}/users/{user}", named("unlike"))
        .errors("/api", dialect)
}

fn ask(method: &str, target: &str) -> String {
    Peer::with_service(Rc::new(router()), HttpOptions::default())
        .say(format!("{method} {target} HTTP/1.1\r\nHost: a\r\n\r\n"))
}

fn check(method: &str, target: &str, status: u16, ending: &str) {
    let output = ask(method, target);
    let ok = output.starts_with(&format!("HTTP/1.1 {status} ")) && output.ends_with(ending);
    assert!(ok, "{method} {target}: {output}");
}

#[test]
fn finds_the_most_precise_route() {
    for (target, found) in [
        ("/", "root[]"),
        ("/?x", "root[]"),
        ("/api/a/b", "read[\"a\", \"b\"]"),
        ("/api/hot/b", "hot[\"b\"]"),
        ("/api/hot/top", "top[]"),
        ("/api/hot/t%6Fp", "top[]"),
        ("/api/h%6ft/b", "hot[\"b\"]"),
        ("/api/a%2Fb/c", "read[\"a/b\", \"c\"]"),
        ("/api/%252F/c", "read[\"%2F\", \"c\"]"),
        ("/api/a+b/%E2%82%AC", "read[\"a+b\", \"€\"]"),
        ("/api/../b", "read[\"..\", \"b\"]"),
    ] {
        check("GET", target, 200, &format!("\r\n\r\n{found}"));
    }
}

#[test]
fn unknown_and_malformed_paths_are_told_apart() {
    for (target, status) in [
        ("/x", 404),
        ("//", 404),
        ("/api", 404),
        ("/api/a/b/", 404),
        ("/api//b", 404),
        ("/api/a/", 404),
        ("/api/a/b/c", 404),
        ("/apix/a", 404),
        ("/%61pi", 404),
        ("/api/%/b", 400),
        ("/api/%4/b", 400),
        ("/api/%zz/b", 400),
        ("/api/%00/b", 400),
        ("/api/%0A/b", 400),
        ("/api/%7f/b", 400),
        ("/api/%C2%85/b", 400),
        ("/api/%ff/b", 400),
        ("/%ff", 400),
        ("/?a=%ff", 400),
        ("/api/a/b?a=1&b=%zz", 400),
    ] {
        check("GET", target, status, "}");
    }
}

#[test]
fn errors_speak_the_dialect_of_their_prefix() {
    check("GET", "/api/x", 404, "\r\n\r\n{\"error\":\"no such path\"}");
    check("GET", "/apis", 404, "\r\n\r\n{\"code\":404,\"message\":\"no such path\"}");
}

#[test]
fn a_wrong_method_is_told_the_right_ones() {
    for (method, target, status, allow) in [
        ("GET", "/api/increment", 405, "OPTIONS, POST, PUT"),
        ("POST", "/api/a/b", 405, "GET, HEAD, OPTIONS"),
        ("DELETE", "/api/hot/b", 405, "GET, HEAD, OPTIONS"),
        ("GET", "/api/a/b/users/7", 405, "DELETE, OPTIONS"),
        ("OPTIONS", "/api/increment", 204, "OPTIONS, POST, PUT"),
        ("OPTIONS", "/", 204, "GET, HEAD, OPTIONS"),
        ("OPTIONS", "*", 204, "DELETE, GET, HEAD, OPTIONS, POST, PUT"),
        ("TRACE", "/", 405, "GET, HEAD, OPTIONS"),
    ] {
        check(method, target, status, "");
        let output = ask(method, target);
        assert!(output.contains(&format!("\r\nAllow: {allow}\r\n")), "{method} {target}: {output}");
    }
    check("HEAD", "/", 200, "Content-Length: 6\r\n\r\n");
    check("OPTIONS", "/x", 404, "}");
}

#[test]
fn lists_all_routes() {
    let built = router();
    let mut routes: Vec<_> = built.routes().collect();
    routes.sort_by_key(|(method, pattern)| (*pattern, method.token()));
    assert_eq!(routes.len(), 7);
    assert_eq!(routes[6], (Method::Delete, "/api/{resource}/{kind}/users/{user}"));
}

#[test]
fn whoever_refuses_says_it_in_the_words_of_the_path() {
    let panics = |_: &Request<'_>, _: Deferral<'_>| -> Answer { panic!("a handler's fault") };
    let router = router().route(Method::Get, "/api/panics", panics).route(
        Method::Post,
        "/api/drops",
        |_, deferral: Deferral<'_>| deferral.later(drop),
    );
    let limits = HttpLimits { body_bytes: 10, ..HttpLimits::default() };
    let options = HttpOptions { limits, ..HttpOptions::default() };
    let router = Rc::new(router);
    for (request, status) in [
        ("POST /api/increment HTTP/1.1\r\nHost: a\r\nContent-Length: 11\r\n\r\n", 413),
        (
            "POST /api/increment?x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nb\r\n",
            413,
        ),
        ("GET /api/a/b HTTP/1.1\r\nHost: a\r\nbad field\r\n\r\n", 400),
        ("GET /api/panics HTTP/1.1\r\nHost: a\r\n\r\n", 500),
        ("POST /api/drops HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n", 500),
    ] {
        let ask = |request: &str| {
            let service = Rc::<Router>::clone(&router);
            let mut peer = Peer::with_service(service, options.clone());
            peer.receive(request);
            // A responder that was dropped has posted its answer.
            peer.deliver();
            peer.text()
        };
        let output = ask(request);
        let (head, body) = output.split_once("\r\n\r\n").expect("a head");
        assert!(head.starts_with(&format!("HTTP/1.1 {status} ")), "{request}: {output}");
        assert!(body.starts_with("{\"error\":"), "{request}: {output}");
        // And as ever where the path is nobody's.
        let elsewhere = request.replace("/api/", "/apis/").replace(" /api", " /apis");
        let output = ask(&elsewhere);
        assert!(output.contains("{\"code\":"), "{output}");
    }
}
