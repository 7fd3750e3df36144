//! Accepting: limits, ports in use, and no descriptors left.

use crate::net_harness::{REFUSAL, Server, Settings, wait_until};
use fanfare::net::{Keepalive, bind};
use std::io::ErrorKind;
use std::net::{TcpListener, TcpStream};
use std::time::Duration;

#[test]
fn a_connection_over_the_limit_is_told_so_and_closed() {
    let server = Server::start(Settings { connections_max: 2, ..Settings::default() });
    let mut held: Vec<_> = (0..2).map(|_| server.connect()).collect();
    for client in &mut held {
        assert_eq!(client.ask("echo in\n"), "in");
    }
    for _ in 0..20 {
        let mut refused = server.connect();
        refused.send("echo out\n");
        assert_eq!(refused.rest(), REFUSAL);
    }
    assert_eq!(server.stats.refused.get(), 20);
    held.pop();
    wait_until("a place is free", || server.limit.open() == 1);
    assert_eq!(server.connect().ask("echo again\n"), "again");
}

#[test]
fn a_port_in_use_is_refused() {
    let server = Server::start(Settings::default());
    let error = bind(server.address, 1, None).expect_err("ours listens there");
    assert_eq!(error.kind(), ErrorKind::AddrInUse);
    assert!(error.to_string().contains(&server.address.to_string()), "{error}");

    let stranger = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = stranger.local_addr().expect("bound");
    let error = bind(address, 2, None).expect_err("a stranger listens there");
    assert_eq!(error.kind(), ErrorKind::AddrInUse);
}

#[test]
fn the_port_is_free_again_at_once() {
    let mut server = Server::start(Settings::default());
    let mut client = server.connect();
    assert_eq!(client.ask("echo hello\n"), "hello");
    server.control.drain(); // The server closes first, so TIME_WAIT is on its side.
    assert_eq!(client.rest(), b"");
    server.join();
    bind(server.address, 1, None).expect("nobody listens there");
}

#[test]
fn the_listeners_of_all_loops_share_one_port() {
    let address = "127.0.0.1:0".parse().expect("an address");
    let keepalive = Keepalive {
        idle: Duration::from_secs(60),
        interval: Duration::from_secs(10),
        give_up: Duration::from_secs(90),
    };
    let listeners = bind(address, 3, Some(keepalive)).expect("a free port");
    let ports: Vec<u16> =
        listeners.iter().map(|listener| listener.local_addr().expect("bound").port()).collect();
    assert_ne!(ports[0], 0);
    assert_eq!(ports, [ports[0]; 3]);
}

#[test]
fn accepted_sockets_send_without_delay() {
    let listener =
        bind("127.0.0.1:0".parse().expect("an address"), 1, None).expect("bound").remove(0);
    let _client = TcpStream::connect(listener.local_addr().expect("bound")).expect("it listens");
    listener.set_nonblocking(false).expect("a socket");
    let (accepted, _) = listener.accept().expect("one waits");
    assert!(accepted.nodelay().expect("a socket"), "inherited");
}

#[test]
fn serves_over_ipv6() {
    let server = Server::start(Settings { address: "[::1]:0", ..Settings::default() });
    assert!(server.address.is_ipv6());
    assert_eq!(server.connect().ask("echo six\n"), "six");
}
