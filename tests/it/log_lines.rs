//! What clients send reaches the log only as printable text, a line for a line.

use crate::server::Start;
use std::io::Write;
use std::net::TcpStream;

/// Everything that a terminal or a log reader could take for an order: line ends, escape sequences
/// in 7 and 8 bits, bells, NUL, delete, and the marks that turn the direction of text.
const HOSTILE: &str =
    "a\u{1b}[31mred\u{7}\u{8}\r\nlevel=ERROR forged\0\u{7f}\u{9b}2J\u{85}\u{202e}";

/// `HOSTILE` as a path or query value.
fn encoded() -> String {
    HOSTILE.bytes().fold(String::new(), |text, byte| format!("{text}%{byte:02X}"))
}

#[test]
fn a_hostile_client_puts_no_control_character_into_the_log() {
    for format in ["text", "json"] {
        let server =
            Start::fresh().arg("--dev").set("log.level", "trace").set("log.format", format);
        let server = server.set("admin.token", "secret-token").set("slow_request", "0s").run();
        let mut client = server.client();
        let path = encoded();
        for target in [
            format!("/{path}"),
            format!("/gift/worth?id={path}"),
            format!("/gift/top?period={path}"),
            format!("/gift/journal?id=7&before={path}"),
            format!("/api/v1/counter/{path}/{path}"),
            format!("/debug/pprof/profile?seconds={path}"),
        ] {
            client.get(&target);
        }
        let text = serde_json::to_string(HOSTILE).expect("a JSON string");
        for (target, body) in [
            ("/gift/send", format!("{{\"audience_id\":{text},{text}:1}}")),
            (
                "/gift/send",
                format!("{{\"audience_id\":1,\"anchor_id\":7,\"worth\":5,\"request_id\":{text}}}"),
            ),
            ("/gift/send", HOSTILE.to_owned()),
            (
                "/api/v1/counter/increment",
                format!("{{\"resource_id\":{text},\"counter_type\":{text}}}"),
            ),
            ("/snatch", format!("uid={path}")),
        ] {
            client.post(target, &body);
        }
        let mut operator = server.operator();
        let bearer = [("Authorization", "Bearer secret-token")];
        let sent = client.post("/gift/send", r#"{"audience_id":1,"anchor_id":7,"worth":5}"#);
        let id = &sent.json()["data"]["id"];
        let revoke = format!("{{\"id\":{id},\"reason\":{text}}}");
        operator.request("POST", "/gift/revoke", &bearer, &revoke);
        operator.request("PUT", "/log/level", &bearer, &format!("{{\"level\":{text}}}"));
        operator.request("GET", &format!("/{path}"), &[("Authorization", "Bearer x")], "");
        // Raw bytes, which no client library would send.
        for raw in [
            format!("GET /{HOSTILE} HTTP/1.1\r\nHost: a\r\n\r\n"),
            format!("{HOSTILE}\r\n\r\n"),
            format!("GET / HTTP/1.1\r\nHost: {HOSTILE}\r\nX: {HOSTILE}\r\n\r\n"),
            "GET /caf\u{9b}\u{e9} HTTP/1.1\r\nHost: a\r\n\r\n".to_owned(),
        ] {
            for address in [server.http, server.admin, server.tlv] {
                let mut stream = TcpStream::connect(address).expect("connect");
                stream.write_all(raw.as_bytes()).expect("sent");
            }
        }
        assert_eq!(client.get("/health").status, 200, "all of it was read");
        let log = server.stop_and_read();
        assert!(log.contains("stopped"), "the whole log was read");
        let is_hostile = |char: char| (char.is_control() && char != '\n') || char == '\u{202e}';
        for line in log.lines() {
            assert!(!line.contains(is_hostile), "{format}: {line:?}");
            assert!(!line.starts_with("level=ERROR"), "{format}: a forged line");
            let is_ours = line.starts_with("fanfare ready ")
                || line.starts_with('{')
                || line.starts_with("20");
            assert!(is_ours, "{format}: {line:?}");
        }
    }
}
