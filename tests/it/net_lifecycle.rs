//! Connections and loops from birth to death: late replies, panics, drain.

use crate::net_harness::{Client, Server, Settings, wait_until};
use std::net::TcpStream;
use std::time::Duration;

#[test]
fn a_late_reply_does_not_reach_the_next_connection_in_the_slot() {
    let server = Server::start(Settings::default());
    let mut first = server.connect();
    first.send("later\n");
    let late = server.deferred();
    drop(first);
    // With an answer owed it waits for the worker; only a reset would end it.
    let mut second = server.connect();
    let name = second.ask("name\n");
    late.answer("not for you");
    wait_until("the first is gone", || server.stats.open.get() == 1);
    let mut third = server.connect();
    assert_eq!(third.ask("name\n"), "0.1", "it has the first one's slot");
    late.answer("for nobody");
    late.answer("for nobody");
    assert_eq!(third.ask("echo mine\n"), "mine");
    assert_eq!(second.ask("name\n"), name);
    assert_eq!(server.stats.panicked.get(), 0);
}

#[test]
fn replies_come_back_to_those_who_asked() {
    let server = Server::start(Settings::default());
    let mut clients: Vec<_> = (0..10).map(|_| server.connect()).collect();
    for client in &mut clients {
        client.send("later\n");
    }
    let mut deferred: Vec<_> = clients.iter().map(|_| server.deferred()).collect();
    deferred.reverse();
    for deferred in &deferred {
        deferred.answer(&format!("{}.{}", deferred.conn.slot, deferred.conn.generation));
    }
    for client in &mut clients {
        let answer = client.line();
        assert_eq!(client.ask("name\n"), answer);
    }
}

#[test]
fn ports_of_one_loop_do_not_mix_their_connections() {
    let server = Server::start(Settings::default());
    let mut one = server.connect();
    let mut other = Client::connect(server.other);
    assert_eq!(one.ask("name\n"), "0.0");
    assert_eq!(other.ask("name\n"), "0.0");
    one.send("later\n");
    server.deferred().answer("for one");
    other.send("later\n");
    server.deferred().answer("for the other");
    assert_eq!(one.line(), "for one");
    assert_eq!(other.line(), "for the other");
}

#[test]
fn a_session_that_panics_costs_its_own_connection_only() {
    let server = Server::start(Settings::default());
    let mut healthy = server.connect();
    assert_eq!(healthy.ask("echo before\n"), "before");
    let mut broken = server.connect();
    broken.send("no such command\n");
    assert_eq!(broken.rest(), b"");
    assert_eq!(healthy.ask("echo after\n"), "after");
    let mut uninvited = server.connect();
    uninvited.send("later\n");
    let deferred = server.deferred();
    deferred.answer("one");
    deferred.answer("one too many");
    assert!(uninvited.rest().len() <= 4);
    assert_eq!(healthy.ask("echo still\n"), "still");
    assert_eq!(server.stats.panicked.get(), 2);
    assert_eq!(server.limit.open(), 1);
}

#[test]
fn drain_answers_what_is_in_flight_and_accepts_nothing_new() {
    let mut server = Server::start(Settings::default());
    let mut idle = server.connect();
    assert_eq!(idle.ask("echo idle\n"), "idle");
    let mut busy = server.connect();
    busy.send("later\n");
    let deferred = server.deferred();
    server.control.drain();
    assert_eq!(idle.rest(), b"", "nothing is owed to it");
    wait_until("the listener is closed", || TcpStream::connect(server.address).is_err());
    deferred.answer("done");
    assert_eq!(busy.rest(), b"done\n");
    server.join();
    assert_eq!(server.limit.open(), 0);
}

#[test]
fn drain_serves_what_waits_in_the_backlog() {
    let mut server = Server::start(Settings::default());
    let mut clients: Vec<_> = (0..500).map(|_| server.connect()).collect();
    for client in &mut clients {
        client.send("echo hello\n");
    }
    server.control.drain();
    for client in &mut clients {
        assert_eq!(client.rest(), b"hello\n");
    }
    server.join();
}

#[test]
fn drain_ends_by_its_timeout() {
    let settings = Settings { drain_timeout: Duration::from_millis(50), ..Settings::default() };
    let mut server = Server::start(settings);
    let mut stuck = server.connect();
    stuck.send("later\n");
    let _never_answered = server.deferred();
    server.control.drain();
    server.join();
    assert_eq!(stuck.rest(), b"");
}

#[test]
fn an_aborted_session_closes_at_once() {
    let server = Server::start(Settings::default());
    let mut client = server.connect();
    client.send("big\nabort\n");
    assert!(client.rest().len() <= server.big.len());
    let mut client = server.connect();
    client.send("abort\n");
    assert_eq!(client.rest(), b"");
}
