//! Who may call the public listener: tokens, scopes, rates and origins, before any router.

use crate::http_rig::Peer;
use fanfare::access::{Door, Paths, Rules, token};
use fanfare::config::{Config, Sources};
use fanfare::exec::Published;
use fanfare::http::{
    Answer, Deferral, HttpOptions, HttpSession, Method, Request, Response, Router, Status,
};
use std::fs;
use std::net::IpAddr;
use std::rc::Rc;
use std::sync::Arc;

fn dialect(status: Status, why: &str) -> Response {
    Response { status, ..Response::json(format!("{{\"error\":\"{why}\"}}")) }
}

/// Rules as a file says them.
fn rules(toml: &str) -> Rules {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("f.toml");
    fs::write(&file, toml).expect("written");
    let config = Config::load(&Sources { file: Some(file), ..Sources::default() });
    let config = config.expect("a good configuration");
    Rules::new(&config.api, &config.trusted_proxies, &config.http.cors_origins)
}

fn answer(text: &'static str) -> impl Fn(&Request<'_>, Deferral<'_>) -> Answer {
    move |_, _| Answer::now(Response::json(text))
}

/// A connection to a door with these rules.
fn peer(rules: &Arc<Published<Rules>>) -> Peer {
    let router = Router::new()
        .route(Method::Get, "/health", answer("healthy"))
        .route(Method::Get, "/page", answer("page"))
        .route(Method::Get, "/board", answer("board"))
        .route(Method::Post, "/send", answer("sent"))
        .route(Method::Post, "/batch", answer("batch"))
        .route(Method::Get, "/api/hot", answer("hot"))
        .errors("/api", dialect);
    let paths = Paths { reading_posts: vec!["/batch"], free: vec!["/health", "/page"] };
    let door = Door::new(router, rules, paths);
    Peer::with_service(Rc::new(door), HttpOptions::default())
}

fn ask(peer: &mut Peer, line: &str, fields: &str) -> String {
    peer.say(format!("{line} HTTP/1.1\r\nHost: a\r\n{fields}\r\n"))
}

#[track_caller]
fn check(answer: &str, status: u16, parts: &[&str]) {
    assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "expected {status}: {answer}");
    for part in parts {
        assert!(answer.contains(part), "{part} is not in {answer}");
    }
}

#[test]
fn a_token_opens_what_its_scope_names() {
    let made = [("r", true, false), ("w", false, true), ("b", true, true)];
    let made = made.map(|(name, read, write)| token::fresh(name, read, write).expect("random"));
    let lines: Vec<_> = made.iter().map(|(_, kept)| format!("\"{kept}\"")).collect();
    let rules = Arc::new(Published::new(rules(&format!("api.tokens = [{}]", lines.join(",")))));
    let mut peer = peer(&rules);
    let [reader, writer, both] = made.map(|(text, _)| format!("Authorization: Bearer {text}\r\n"));
    for (line, fields, status) in [
        ("GET /board", &reader, 200),
        ("HEAD /board", &reader, 200),
        ("POST /batch", &reader, 200),
        ("POST /send", &reader, 403),
        ("GET /board", &writer, 403),
        ("POST /batch", &writer, 403),
        ("POST /send", &writer, 200),
        ("GET /board", &both, 200),
        ("POST /send", &both, 200),
        ("GET /nowhere", &reader, 404),
        ("DELETE /board", &writer, 405),
    ] {
        check(&ask(&mut peer, line, fields), status, &[]);
    }
    let small = ask(&mut peer, "POST /send", &reader);
    check(&small, 403, &["WWW-Authenticate: Bearer error=\"insufficient_scope\"\r\n"]);
    for fields in [
        String::new(),
        reader.replace("Bearer", "Basic"),
        reader.replace("\r\n", "0\r\n"),
        reader.to_uppercase(),
        "Authorization: Bearer \r\n".to_owned(),
        "Authorization: Bearer\r\n".to_owned(),
    ] {
        let refused = ask(&mut peer, "GET /board", &fields);
        check(&refused, 401, &["WWW-Authenticate: Bearer\r\n", "\"code\":401"]);
        check(&ask(&mut peer, "GET /nowhere", &fields), 401, &[]);
    }
    check(&ask(&mut peer, "GET /api/hot", ""), 401, &["{\"error\":\"a token is needed"]);
    check(&ask(&mut peer, "GET /health", ""), 200, &["healthy"]);
    for fields in ["", &writer, "Authorization: Bearer guess\r\n"] {
        check(&ask(&mut peer, "GET /page", fields), 200, &["page"]);
    }
    check(&ask(&mut peer, "OPTIONS /board", ""), 204, &["Allow: GET, HEAD, OPTIONS"]);
    rules.publish(self::rules(""));
    check(&ask(&mut peer, "GET /board", ""), 200, &["board"]);
}

#[test]
fn a_loud_address_is_told_to_wait_and_others_are_not() {
    let text = "trusted_proxies = [\"127.0.0.1\"]\n[api]\naddress_rate = 1\naddress_burst = 2\n";
    let rules = Arc::new(Published::new(rules(text)));
    let mut loud = peer(&rules);
    loud.session = with_peer(loud.session, "198.51.100.1");
    for _ in 0..2 {
        check(&ask(&mut loud, "GET /board", ""), 200, &[]);
    }
    let refused = ask(&mut loud, "GET /board", "X-Forwarded-For: 192.0.2.77\r\n");
    check(&refused, 429, &["Retry-After: 1\r\n", "\"code\":429"]);
    check(&ask(&mut loud, "GET /api/hot", ""), 429, &["{\"error\":\"too many requests\"}"]);
    check(&ask(&mut loud, "GET /health", ""), 200, &[]);
    // A page with a token of its own must get as far as to send it.
    let asks = "Access-Control-Request-Method: GET\r\n";
    check(&ask(&mut loud, "OPTIONS /board", asks), 204, &["Allow: GET, HEAD, OPTIONS"]);
    check(&ask(&mut loud, "OPTIONS /board", ""), 429, &[]);
    let mut proxy = peer(&rules);
    proxy.session = with_peer(proxy.session, "127.0.0.1");
    for client in ["192.0.2.1", "192.0.2.2", "2001:db8::1", "192.0.2.1", "192.0.2.2"] {
        let fields = format!("X-Forwarded-For: {client}\r\n");
        check(&ask(&mut proxy, "GET /board", &fields), 200, &[]);
    }
    let neighbour = "X-Forwarded-For: 2001:db8::2\r\n";
    check(&ask(&mut proxy, "GET /board", neighbour), 200, &[]);
    check(&ask(&mut proxy, "GET /board", neighbour), 429, &[]);
    check(&ask(&mut proxy, "GET /board", "X-Forwarded-For: 198.51.100.1\r\n"), 429, &[]);
}

fn with_peer(session: HttpSession, peer: &str) -> HttpSession {
    session.with_peer(peer.parse::<IpAddr>().expect("an address"))
}

#[test]
fn a_token_has_a_rate_of_its_own() {
    let made = ["one", "two"].map(|name| token::fresh(name, true, true).expect("random"));
    let lines: Vec<_> = made.iter().map(|(_, kept)| format!("\"{kept}\"")).collect();
    let text = format!(
        "[api]\ntokens = [{}]\ntoken_rate = 1\ntoken_burst = 1\naddress_rate = 1\naddress_burst = 1\n",
        lines.join(",")
    );
    let mut peer = peer(&Arc::new(Published::new(rules(&text))));
    let [one, two] = made.map(|(text, _)| format!("Authorization: Bearer {text}\r\n"));
    check(&ask(&mut peer, "GET /board", &one), 200, &[]);
    check(&ask(&mut peer, "GET /board", &one), 429, &["Retry-After: 1\r\n"]);
    check(&ask(&mut peer, "GET /board", &two), 200, &[]);
    // Who guesses tokens is counted by address.
    let guess = "Authorization: Bearer guess\r\n";
    check(&ask(&mut peer, "GET /board", guess), 401, &[]);
    check(&ask(&mut peer, "GET /board", guess), 429, &[]);
}

#[test]
fn only_scripts_of_configured_origins_may_read() {
    let text = "[http]\ncors_origins = [\"https://live.example\", \"http://localhost:3000\"]\n";
    let mut peer = peer(&Arc::new(Published::new(rules(text))));
    let allowed = "Origin: https://live.example\r\n";
    let shown = ["Access-Control-Allow-Origin: https://live.example\r\n", "Vary: Origin\r\n"];
    let answer = ask(&mut peer, "GET /board", allowed);
    check(&answer, 200, &shown);
    check(&answer, 200, &["Access-Control-Expose-Headers: Age, ETag, ", "Retry-After"]);
    check(&ask(&mut peer, "GET /nowhere", allowed), 404, &shown);
    let asks = format!("{allowed}Access-Control-Request-Method: POST\r\n");
    let preflight = ask(&mut peer, "OPTIONS /send", &asks);
    check(&preflight, 204, &shown);
    check(&preflight, 204, &["Access-Control-Allow-Methods: GET, HEAD, POST, PUT, PATCH, DELETE"]);
    check(&preflight, 204, &["Access-Control-Allow-Headers: Authorization, Content-Type, Idem"]);
    check(&preflight, 204, &["Access-Control-Max-Age: 7200\r\n"]);
    for other in ["Origin: https://evil.example\r\n", "Origin: null\r\n", ""] {
        let answer = ask(&mut peer, "GET /board", other);
        check(&answer, 200, &["Vary: Origin\r\n"]);
        assert!(!answer.contains("Access-Control"), "{answer}");
    }
}

#[test]
fn everybody_may_read_where_the_operator_says_so_and_nobody_where_not() {
    let origin = "Origin: https://any.example\r\n";
    let all = "[http]\ncors_origins = [\"*\"]\n";
    let mut open = peer(&Arc::new(Published::new(rules(all))));
    check(&ask(&mut open, "GET /board", origin), 200, &["Access-Control-Allow-Origin: *\r\n"]);
    let mut closed = peer(&Arc::new(Published::new(rules(""))));
    let answer = ask(&mut closed, "GET /board", origin);
    assert!(!answer.contains("Access-Control") && !answer.contains("Vary"), "{answer}");
}
