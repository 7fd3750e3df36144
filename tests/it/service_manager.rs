//! A real process under a service manager: told that it is ready, alive, reloading and stopping; and
//! what SIGHUP changes.

use crate::server::{Server, Start};
use fanfare::access::token;
use std::fs;
use std::os::unix::net::UnixDatagram;
use std::time::Duration;
use tempfile::TempDir;

/// The manager's socket in a folder that lives as long as the guard.
fn manager() -> (TempDir, UnixDatagram, String) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("notify");
    let socket = UnixDatagram::bind(&path).expect("a socket");
    socket.set_read_timeout(Some(Duration::from_secs(60))).expect("a time-out above 0");
    (folder, socket, path.to_str().expect("UTF-8").to_owned())
}

/// The next message that is not one more sign of life.
fn told(socket: &UnixDatagram) -> String {
    loop {
        let mut buffer = [0; 512];
        let size = socket.recv(&mut buffer).expect("a message");
        let text = String::from_utf8_lossy(&buffer[..size]).into_owned();
        if text != "WATCHDOG=1" {
            return text;
        }
    }
}

#[test]
fn the_manager_hears_of_every_change() {
    let (_folder, socket, path) = manager();
    let mut server = Start::fresh().env("NOTIFY_SOCKET", &path).run();
    assert_eq!(told(&socket), "READY=1\nSTATUS=serving");
    server.signal("HUP");
    let reloading = told(&socket);
    assert!(reloading.starts_with("RELOADING=1\nMONOTONIC_USEC="), "{reloading}");
    assert_eq!(told(&socket), "READY=1\nSTATUS=serving");
    server.signal("TERM");
    assert_eq!(told(&socket), "STOPPING=1");
    assert!(server.wait().success());
}

#[test]
fn the_watchdog_hears_of_a_process_whose_loops_turn() {
    let (_folder, socket, path) = manager();
    let _server = Start::fresh().env("NOTIFY_SOCKET", &path).env("WATCHDOG_USEC", "300000").run();
    let mut signs = 0;
    while signs < 3 {
        let mut buffer = [0; 512];
        let size = socket.recv(&mut buffer).expect("a message");
        signs += usize::from(&buffer[..size] == b"WATCHDOG=1");
    }
}

/// Waits for the log line that says `text`.
fn await_line(server: &mut Server, text: &str) -> String {
    loop {
        let line = server.log_line();
        if line.contains(text) {
            return line;
        }
    }
}

#[test]
fn a_reload_takes_tokens_rates_origins_and_level_and_names_the_rest() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("live.toml");
    fs::write(&file, "").expect("written");
    let name = file.to_str().expect("UTF-8");
    let mut server = Start::fresh().arg("--config").arg(name).run();
    // One connection all the time: a reload reaches those that are open.
    let (mut client, mut operator) = (server.client(), server.operator());
    assert_eq!(client.get("/gift/top").status, 200);

    let (text, kept) = token::fresh("overlay", true, false).expect("random bytes");
    let toml = format!(
        "readers = 7\n[http]\ncors_origins = [\"https://a.example\"]\n[api]\ntokens = [\"{kept}\"]\n\
         [log]\nlevel = \"debug\"\n"
    );
    fs::write(&file, toml).expect("written");
    server.signal("HUP");
    let later = await_line(&mut server, "at the next start");
    assert!(later.contains("readers") && !later.contains("api.tokens"), "{later}");
    let line = await_line(&mut server, "was reloaded");
    for key in ["api.tokens", "http.cors_origins", "log.level"] {
        assert!(line.contains(key), "{line}");
    }
    assert_eq!(client.get("/gift/top").status, 401);
    let bearer = format!("Bearer {text}");
    let fields = [("Authorization", &*bearer), ("Origin", "https://a.example")];
    let reply = client.request("GET", "/gift/top", &fields, "");
    assert_eq!(reply.status, 200);
    assert_eq!(reply.header("Access-Control-Allow-Origin"), Some("https://a.example"));
    assert_eq!(client.request("POST", "/gift/send", &fields, "{}").status, 403);
    assert_eq!(operator.get("/log/level").json()["level"], "debug");

    fs::write(&file, "[api]\ntokens = [\"overlay read sha256:short\"]\n").expect("written");
    server.signal("HUP");
    let refused = await_line(&mut server, "not reloaded");
    assert!(refused.contains("api.tokens") && refused.contains("live.toml"), "{refused}");
    assert_eq!(client.request("GET", "/gift/top", &fields, "").status, 200);
    assert_eq!(client.get("/gift/top").status, 401);
}

#[test]
fn the_operator_tells_a_callers_token_that_it_does_not_reach_so_far() {
    let (text, kept) = token::fresh("game", true, true).expect("random bytes");
    let server = Start::fresh()
        .set("admin.token", "the-operators-own")
        .set("api.tokens", &kept.to_string())
        .run();
    let mut operator = server.operator();
    for (token, status) in [("the-operators-own", 200), (&*text, 403), ("other", 401)] {
        let bearer = format!("Bearer {token}");
        let reply = operator.request("GET", "/livez", &[("Authorization", &bearer)], "");
        assert_eq!(reply.status, status, "{token}");
    }
    let mut client = server.client();
    let bearer = "Bearer the-operators-own";
    let reply = client.request("GET", "/gift/top", &[("Authorization", bearer)], "");
    assert_eq!(reply.status, 401, "each listener has its own tokens");
}
