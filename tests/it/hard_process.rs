//! What only a whole process shows: its exit codes, and life with too few descriptors.

use crate::client::Client;
use crate::server::{Server, Start};
use std::net::TcpStream;

/// A request of which the rest never comes, so that a drain does not end by itself.
const HALF: &[u8] = b"POST /gift/send HTTP/1.1\r\nHost: test\r\nContent-Length: 9\r\n\r\n{";

#[test]
fn the_first_signal_of_either_kind_ends_the_process_well() {
    for signal in ["TERM", "INT"] {
        let mut server = Server::start();
        let mut idle = server.client();
        assert_eq!(idle.get("/health").status, 200);
        server.signal(signal);
        assert_eq!(idle.rest().expect("closed in order"), b"");
        assert_eq!(server.wait().code(), Some(0), "{signal}");
    }
}

#[test]
fn the_second_signal_tells_its_number_in_the_exit_code() {
    for (signal, code) in [("TERM", 143), ("INT", 130)] {
        let mut server = Start::fresh().set("drain_timeout", "1h").run();
        let mut stuck = server.client();
        let mut idle = server.client();
        stuck.send(HALF).expect("sent");
        assert_eq!(idle.get("/health").status, 200);
        server.signal("TERM");
        assert_eq!(idle.rest().expect("closed in order"), b"", "the drain has begun");
        server.signal(signal);
        assert_eq!(server.wait().code(), Some(code));
    }
}

#[test]
fn with_64_descriptors_it_serves_some_refuses_the_rest_and_recovers() {
    let limited = ["-c", "ulimit -n 64; exec \"$0\" \"$@\""];
    let server = Start::fresh().set("loops", "1").under("sh", &limited).run();
    let mut inside: Vec<Client> = Vec::new();
    let mut refused = 0;
    for _ in 0..150 {
        let mut client = server.client();
        match client.try_request("GET", "/health", &[], "") {
            Ok(reply) if reply.status == 200 => inside.push(client),
            Ok(reply) => {
                assert_eq!(reply.status, 503);
                assert!(reply.header("Retry-After").is_some() && reply.header("Date").is_some());
                refused += 1;
            }
            // A refused one may be closed while it writes.
            Err(error) => {
                assert_ne!(error.kind(), std::io::ErrorKind::WouldBlock, "no answer in time");
                refused += 1;
            }
        }
    }
    assert!((10..64).contains(&inside.len()), "{} served", inside.len());
    assert!(refused > 0);
    for client in &mut inside {
        assert_eq!(client.get("/health").status, 200);
    }
    drop(inside);
    // Its closing takes a moment; then there are descriptors again.
    while !server.client().try_request("GET", "/health", &[], "").is_ok_and(|r| r.status == 200) {}
}

/// Open descriptors of the server.
fn descriptors(server: &Server) -> usize {
    std::fs::read_dir(format!("/proc/{}/fd", server.id())).expect("it runs").count()
}

#[test]
fn clients_that_leave_in_any_manner_leave_no_descriptor_behind() {
    let server = Server::start();
    let before = descriptors(&server);
    let asks: [&[u8]; 5] = [
        b"",
        b"GET /hel",
        b"GET /hello HTTP/1.1\r\nHost: test\r\n\r\n",
        HALF,
        b"GET /gift/stream HTTP/1.1\r\nHost: test\r\n\r\n",
    ];
    for round in 0..2_000 {
        let mut client = server.client();
        // Dropped with bytes unread it is a reset, without them an orderly end.
        let _ = client.send(asks[round % asks.len()]);
        if round % 2 == 0 {
            let socket = socket2::SockRef::from(client.stream());
            socket.set_linger(Some(std::time::Duration::ZERO)).expect("a socket");
        }
    }
    assert_eq!(server.client().get("/health").status, 200);
    // The server hears of the last ones in its own time.
    while descriptors(&server) > before {
        drop(TcpStream::connect(server.http));
    }
}
