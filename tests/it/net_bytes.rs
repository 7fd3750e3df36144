//! Bytes between a socket and its session: partial reads and writes, budgets, ends of streams.

use crate::net_harness::{Server, Settings, wait_until};
use std::net::Shutdown;
use std::time::Duration;

#[test]
fn answers_a_line_however_it_is_cut() {
    let server = Server::start(Settings::default());
    let mut client = server.connect();
    for part in ["ec", "ho ", "hel", "lo\nec", "ho you\n"] {
        client.send(part);
    }
    assert_eq!(client.line(), "hello");
    assert_eq!(client.line(), "you");
}

#[test]
fn pipelined_large_answers_reach_a_slow_reader_whole_and_in_order() {
    let server = Server::start(Settings { big: 3 << 20, ..Settings::default() });
    let mut client = server.connect();
    client.send(&"echo a\nbig\necho b\nbig\n".repeat(4));
    client.send("echo end\n");
    for _ in 0..4 {
        assert_eq!(client.line(), "a");
        assert_eq!(client.bytes(server.big.len()), *server.big);
        assert_eq!(client.line(), "b");
        assert_eq!(client.bytes(server.big.len()), *server.big);
    }
    assert_eq!(client.line(), "end");
}

#[test]
fn a_pipelined_burst_is_answered_in_order() {
    let server = Server::start(Settings::default());
    let mut client = server.connect();
    let lines: Vec<String> = (0..20_000).map(|i| format!("number {i}")).collect();
    let mut writer = client.socket().try_clone().expect("a socket");
    let sender = std::thread::spawn({
        let burst: String = lines.iter().flat_map(|line| ["echo ", line, "\n"]).collect();
        move || std::io::Write::write_all(&mut writer, burst.as_bytes())
    });
    for line in &lines {
        assert_eq!(client.line(), *line);
    }
    sender.join().expect("no panic").expect("all is sent");
}

#[test]
fn a_loud_connection_does_not_starve_a_quiet_one() {
    let server = Server::start(Settings::default());
    let loud = server.connect();
    let mut writer = loud.socket().try_clone().expect("a socket");
    let mut reader = loud.socket().try_clone().expect("a socket");
    let flood = std::thread::spawn(move || {
        let burst = "echo flood\n".repeat(10_000);
        while std::io::Write::write_all(&mut writer, burst.as_bytes()).is_ok() {}
    });
    let swallow = std::thread::spawn(move || std::io::copy(&mut reader, &mut std::io::sink()));
    let mut quiet = server.connect();
    for _ in 0..200 {
        assert_eq!(quiet.ask("echo quiet\n"), "quiet");
    }
    loud.socket().shutdown(Shutdown::Both).expect("a socket");
    flood.join().expect("no panic");
    let _ = swallow.join().expect("no panic");
}

#[test]
fn half_close_is_answered_and_then_closed() {
    let server = Server::start(Settings::default());
    let mut client = server.connect();
    client.send("echo one\nlater\nbig\n");
    client.socket().shutdown(Shutdown::Write).expect("a socket");
    assert_eq!(client.line(), "one");
    assert_eq!(client.bytes(server.big.len()), *server.big);
    server.deferred().answer("late");
    assert_eq!(client.rest(), b"late\n");
    wait_until("the connection is gone", || server.stats.open.get() == 0);
}

#[test]
fn an_end_without_a_request_closes() {
    let server = Server::start(Settings::default());
    let mut client = server.connect();
    client.socket().shutdown(Shutdown::Write).expect("a socket");
    assert_eq!(client.rest(), b"");
}

#[test]
fn a_reset_closes_even_when_the_session_does_not_read() {
    let server = Server::start(Settings::default());
    let mut client = server.connect();
    client.send(&"later\n".repeat(8));
    let _deferred: Vec<_> = (0..8).map(|_| server.deferred()).collect();
    client.send("echo unread\n");
    let socket = socket2::SockRef::from(client.socket());
    socket.set_linger(Some(Duration::ZERO)).expect("a socket");
    drop(client);
    wait_until("the connection is gone", || server.stats.open.get() == 0);
}

#[test]
fn an_early_last_answer_arrives_although_the_peer_sends_on() {
    let server = Server::start(Settings::default());
    let mut client = server.connect();
    client.send("wrong\n");
    client.send(&"x".repeat(100 << 10));
    assert_eq!(client.line(), "wrong");
    client.send(&"x".repeat(10 << 10));
    assert_eq!(client.rest(), b"");
    assert_eq!(server.stats.open.get(), 1, "listens on until the peer ends");
    drop(client);
    wait_until("the connection is gone", || server.stats.open.get() == 0);
}

#[test]
fn a_peer_that_never_stops_sending_is_cut_off() {
    let server = Server::start(Settings::default());
    let mut client = server.connect();
    assert_eq!(client.ask("wrong\n"), "wrong");
    let mut socket = client.socket();
    while std::io::Write::write_all(&mut socket, &[b'x'; 4096]).is_ok() {}
    wait_until("the connection is gone", || server.stats.open.get() == 0);
}

#[test]
fn a_peer_that_does_not_read_is_closed_and_counted() {
    let settings = Settings { write_timeout: Duration::from_millis(50), ..Settings::default() };
    let server = Server::start(Settings { big: 64 << 20, ..settings });
    let mut client = server.connect();
    client.send("big\n");
    wait_until("it is closed", || server.stats.closed_slow.get() == 1);
    assert!(client.rest().len() < server.big.len());
    assert_eq!(server.connect().ask("echo on\n"), "on");
}

#[test]
fn a_silent_peer_is_told_and_closed() {
    let settings = Settings { idle: Some(Duration::from_millis(50)), ..Settings::default() };
    let server = Server::start(settings);
    assert_eq!(server.connect().rest(), b"idle\n");
}

#[test]
fn bytes_are_counted() {
    let server = Server::start(Settings::default());
    let mut client = server.connect();
    assert_eq!(client.ask("echo four\n"), "four");
    wait_until("counted", || server.stats.bytes_out.get() == 5);
    assert_eq!(server.stats.bytes_in.get(), 10);
    assert_eq!(server.stats.accepted.get(), 1);
}
