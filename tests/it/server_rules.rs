//! The rules of the server on real sockets: limits, slow and hostile clients, overload, its end.

use crate::client::Client;
use crate::server::{Server, Start};
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};

const GIFT: &str = r#"{"audience_id":1,"anchor_id":7,"worth":5}"#;

#[test]
fn answers_a_pipeline_in_order_reads_and_writes_mixed() {
    let server = Server::start();
    let mut client = server.client();
    let length = GIFT.len();
    let send =
        format!("POST /gift/send HTTP/1.1\r\nHost: a\r\nContent-Length: {length}\r\n\r\n{GIFT}");
    let ask = "GET /gift/worth?id=7 HTTP/1.1\r\nHost: a\r\n\r\n";
    let pipeline = (send + ask).repeat(100);
    client.send(pipeline.as_bytes()).expect("sent");
    for sent in 1..=100 {
        assert_eq!(client.reply_to("POST").expect("an answer").status, 200);
        let worth = client.reply_to("GET").expect("an answer").json();
        assert_eq!(worth["data"]["total_worth"], sent * 5);
    }
}

#[test]
fn every_answer_has_a_date_and_json_errors_say_what_was_wrong() {
    let server = Server::start();
    let mut client = server.client();
    for (method, target, status) in [
        ("GET", "/gift/top", 200),
        ("GET", "/nothing", 404),
        ("DELETE", "/gift/send", 405),
        ("GET", "/gift/top?num=-1", 400),
        ("OPTIONS", "/gift/send", 204),
        ("HEAD", "/gift/top", 200),
    ] {
        let reply = client.request(method, target, &[], "");
        assert_eq!(reply.status, status, "{method} {target}");
        let date = reply.header("Date").unwrap_or_default();
        assert!(date.ends_with(" GMT") && date.len() == 29, "{method} {target}: {date:?}");
        if status >= 400 {
            let error = reply.json();
            assert_ne!(error["code"], 0, "{error}");
            assert!(error["message"].is_string(), "{error}");
        }
        if status == 405 {
            assert_eq!(reply.header("Allow"), Some("OPTIONS, POST"));
        }
    }
}

#[test]
fn hello_arrives_whole_however_slowly_it_is_read() {
    let server = Server::start();
    let mut client = server.client();
    let whole = client.get("/hello");
    let users = whole.json();
    let users = users.as_object().expect("an object keyed by nick");
    assert_eq!(users.len(), 100);
    assert_eq!(
        (&users["hello_0"]["Id"], &users["hello_99"]["Name"]),
        (&0.into(), &"hello_99".into())
    );
    assert!((200_000..260_000).contains(&whole.body.len()), "{}", whole.body.len());

    let mut slow = TcpStream::connect(server.http).expect("connect");
    let ask = "GET /hello HTTP/1.1\r\nHost: a\r\n\r\n".repeat(8) + "GET /hello HTTP/1.0\r\n\r\n";
    slow.write_all(ask.as_bytes()).expect("sent");
    let mut bytes = Vec::new();
    let mut piece = [0; 1_000];
    loop {
        let count = slow.read(&mut piece).expect("readable");
        if count == 0 {
            break;
        }
        bytes.extend_from_slice(&piece[..count]);
        assert_eq!(client.get("/health").status, 200);
    }
    let text = String::from_utf8(bytes).expect("ASCII");
    assert_eq!(text.matches("HTTP/1.1 200 OK").count(), 9);
    let body = String::from_utf8(whole.body).expect("ASCII");
    assert_eq!(text.matches(body.as_str()).count(), 9);
}

#[test]
fn limits_answer_414_431_and_413_and_then_close() {
    let server = Start::fresh().set("http.max_body", "1000").run();
    let long = "x".repeat(20_000);
    let many = "a: b\r\n".repeat(101);
    for (request, status) in [
        (format!("GET /{long} HTTP/1.1\r\nHost: a\r\n\r\n"), 414),
        (format!("GET / HTTP/1.1\r\nHost: a\r\nx: {long}\r\n\r\n"), 431),
        (format!("GET / HTTP/1.1\r\nHost: a\r\n{many}\r\n"), 431),
        ("POST /gift/send HTTP/1.1\r\nHost: a\r\nContent-Length: 1001\r\n\r\n".to_owned(), 413),
        (
            "POST /gift/send HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\n\
             Content-Length: 1001\r\n\r\n"
                .to_owned(),
            413,
        ),
    ] {
        let mut client = server.client();
        client.send(request.as_bytes()).expect("sent");
        let reply = client.reply_to("GET").expect("an answer");
        assert_eq!(reply.status, status, "{}", &request[..40]);
        assert_eq!(reply.header("Connection"), Some("close"));
        assert_eq!(client.rest().expect("closed in order"), b"");
    }
}

#[test]
fn half_closed_clients_get_every_answer() {
    let server = Server::start();
    let mut client = server.client();
    let ask = "GET /hello HTTP/1.1\r\nHost: a\r\n\r\n".repeat(20);
    client.send(ask.as_bytes()).expect("sent");
    client.stream().shutdown(Shutdown::Write).expect("open");
    for _ in 0..20 {
        assert_eq!(client.reply_to("GET").expect("an answer").status, 200);
    }
    assert_eq!(client.rest().expect("closed in order"), b"");
}

#[test]
fn five_hundred_slow_heads_do_not_hold_up_the_others() {
    let server = Server::start();
    let slow: Vec<TcpStream> = (0..500)
        .map(|_| {
            let mut stream = TcpStream::connect(server.http).expect("connect");
            stream.write_all(b"POST /gift/send HTTP/1.1\r\nHost: a\r\nX: ").expect("sent");
            stream
        })
        .collect();
    let mut client = server.client();
    for sent in 1..=100 {
        for mut stream in slow.iter().skip(sent % 50).step_by(50) {
            stream.write_all(b"y").expect("still open");
        }
        assert_eq!(client.post("/gift/send", GIFT).status, 200);
        assert_eq!(client.get("/gift/worth?id=7").json()["data"]["total_worth"], sent * 5);
    }
}

#[test]
fn a_slow_head_or_body_gets_408_and_an_idle_connection_a_quiet_end() {
    let server = Start::fresh()
        .set("http.idle_timeout", "100ms")
        .set("http.head_timeout", "100ms")
        .set("http.body_timeout", "100ms")
        .run();
    for (begun, status) in [
        ("", None),
        ("GET / HT", Some(408)),
        ("POST /gift/send HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n{", Some(408)),
    ] {
        let mut client = server.client();
        client.send(begun.as_bytes()).expect("sent");
        if let Some(status) = status {
            assert_eq!(client.reply_to("GET").expect("an answer").status, status, "{begun:?}");
        }
        assert_eq!(client.rest().expect("closed in order"), b"", "{begun:?}");
    }
}

#[test]
fn ten_thousand_idle_connections_are_held_while_others_are_served() {
    rlimit::increase_nofile_limit(u64::MAX).expect("the hard limit can be used");
    let server = Start::fresh().set("http.max_connections", "12000").run();
    let idle: Vec<TcpStream> =
        (0..10_000).map(|_| TcpStream::connect(server.http).expect("connect")).collect();
    let mut client = server.client();
    for sent in 1..=100 {
        assert_eq!(client.post("/gift/send", GIFT).status, 200);
        assert_eq!(client.get("/gift/worth?id=7").json()["data"]["total_worth"], sent * 5);
    }
    for mut stream in idle.into_iter().step_by(100) {
        stream.write_all(b"GET /health HTTP/1.0\r\n\r\n").expect("still open");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("an answer");
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    }
}

#[test]
fn connections_over_the_limit_get_503_and_leave_room_when_others_go() {
    let server = Start::fresh().set("http.max_connections", "10").run();
    let mut held: Vec<Client> = (0..10).map(|_| server.client()).collect();
    for client in &mut held {
        assert_eq!(client.get("/health").status, 200);
    }
    let mut over = server.client();
    let reply = over.reply_to("GET").expect("an answer without a question");
    assert_eq!(reply.status, 503);
    assert!(reply.header("Retry-After").is_some());
    assert_eq!(over.rest().expect("closed in order"), b"");
    drop(held);
    // The server hears of the closed ones in its own time: ask until there is room.
    loop {
        let mut client = server.client();
        match client.try_request("GET", "/health", &[], "") {
            Ok(reply) if reply.status == 200 => return,
            Ok(reply) => assert_eq!(reply.status, 503),
            Err(error) => assert_ne!(error.kind(), ErrorKind::WouldBlock, "no answer in time"),
        }
    }
}

#[test]
fn goes_on_when_descriptors_run_out() {
    let server = Start::fresh()
        .set("loops", "1")
        .under("sh", &["-c", "ulimit -n 64; exec \"$0\" \"$@\""])
        .run();
    let mut early = server.client();
    assert_eq!(early.get("/health").status, 200);
    let crowd: Vec<TcpStream> =
        (0..200).map(|_| TcpStream::connect(server.http).expect("the kernel accepts")).collect();
    for sent in 1..=20 {
        assert_eq!(early.post("/gift/send", GIFT).status, 200);
        assert_eq!(early.get("/gift/worth?id=7").json()["data"]["total_worth"], sent * 5);
    }
    drop(crowd);
    loop {
        // Those beyond the limit read 503 or a close; room comes as the crowd is noticed.
        let reply = server.client().try_request("GET", "/health", &[], "");
        match reply.map(|reply| reply.status) {
            Ok(200) => return,
            Ok(status) => assert_eq!(status, 503),
            Err(error) => assert_ne!(error.kind(), ErrorKind::WouldBlock, "no answer in time"),
        }
    }
}

#[test]
fn a_port_in_use_is_refused_at_start() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = taken.local_addr().expect("bound").to_string();
    let (status, error) = Start::fresh().set("tlv.listen", &address).run_to_end();
    assert!(!status.success());
    assert!(error.contains(&address) && error.contains("in use"), "{error}");

    let server = Server::start();
    let (status, error) = Start::fresh().set("tlv.listen", &server.tlv.to_string()).run_to_end();
    assert!(!status.success(), "two servers would silently share the port");
    assert!(error.contains("in use"), "{error}");
}

#[test]
fn sigterm_answers_what_is_in_flight_and_exits_with_0() {
    let mut server = Server::start();
    let mut idle = server.client();
    assert_eq!(idle.get("/health").status, 200);
    let mut busy = server.client();
    let half = GIFT.len() / 2;
    let head =
        format!("POST /gift/send HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n", GIFT.len());
    busy.send(head.as_bytes()).expect("sent");
    busy.send(&GIFT.as_bytes()[..half]).expect("sent");
    // The head has arrived once a later request on another connection of each loop was answered.
    for _ in 0..20 {
        assert_eq!(server.client().get("/health").status, 200);
    }
    server.signal("TERM");
    assert_eq!(idle.rest().expect("closed in order"), b"");
    busy.send(&GIFT.as_bytes()[half..]).expect("still open");
    let reply = busy.reply_to("POST").expect("an answer");
    assert_eq!(reply.status, 200);
    assert_eq!(reply.header("Connection"), Some("close"));
    assert_eq!(busy.rest().expect("closed in order"), b"");
    assert!(server.wait().success());
}

#[test]
fn a_draining_process_says_on_its_operator_listener_that_it_is_not_ready() {
    let mut server = Start::fresh().set("drain_timeout", "1h").run();
    // On both loops, so that one of them is not the operator's.
    let mut busy: Vec<_> = (0..20).map(|_| server.client()).collect();
    for client in &mut busy {
        assert_eq!(client.get("/health").status, 200);
        client.send(b"GET /health HTTP/1.1\r\n").expect("sent");
    }
    assert_eq!(server.operator().get("/readyz").status, 200);
    server.signal("TERM");
    while TcpStream::connect(server.http).is_ok() {}
    for client in &mut busy {
        let reply = server.operator().get("/readyz");
        assert_eq!(reply.status, 503);
        let why = serde_json::json!({ "part": "process", "reason": "it is draining" });
        assert_eq!(reply.json()["missing"], serde_json::json!([why]));
        client.send(b"Host: a\r\n\r\n").expect("still open");
        assert_eq!(client.reply_to("GET").expect("an answer").status, 200);
    }
    drop(busy);
    assert!(server.wait().success());
}

#[test]
fn a_second_signal_ends_the_process_at_once() {
    let mut server = Start::fresh().set("drain_timeout", "1h").run();
    let mut busy = server.client();
    busy.send(b"POST /gift/send HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\n{").expect("sent");
    for _ in 0..20 {
        assert_eq!(server.client().get("/health").status, 200);
    }
    server.signal("INT");
    let mut probe = [0; 1];
    // Draining has begun when new connections are refused.
    while TcpStream::connect(server.http).is_ok() {}
    server.signal("INT");
    assert!(!server.wait().success());
    assert_eq!(busy.stream().read(&mut probe).unwrap_or(0), 0);
}

#[test]
fn the_cpu_profile_is_written_at_the_end_and_go_reads_it() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("cpu.pprof");
    let server = Start::fresh().arg("--cpu-profile").arg(file.to_str().expect("UTF-8")).run();
    let mut client = server.client();
    for _ in 0..20_000 {
        client.get("/gift/top");
    }
    server.stop();
    let profile = std::fs::read(&file).expect("written");
    assert!(!profile.is_empty());
    // The string table holds our function names: pprof's messages carry them as plain UTF-8.
    let text = String::from_utf8_lossy(&profile);
    assert!(text.contains("fanfare::"), "names are resolved");
}

#[test]
fn a_blocked_standard_output_slows_nothing() {
    // The test never reads the server's output after the ready line, and asks for a lot of it.
    let server = Start::fresh().set("log.level", "trace").run();
    let mut client = server.client();
    for _ in 0..20_000 {
        assert_eq!(client.get("/health").status, 200);
    }
    server.stop();
}

#[test]
fn the_operator_listener_tells_of_life_and_readiness() {
    let server = Server::start();
    assert_eq!(server.operator().get("/livez").status, 200);
    assert_eq!(server.operator().get("/readyz").status, 200);
    assert_eq!(server.operator().get("/health").json()["status"], "ok");
    assert_eq!(server.client().get("/health").json()["service"], "fanfare");
}

#[test]
fn a_tlv_client_is_welcomed_and_its_heartbeat_answered_in_its_own_layout() {
    let server = Server::start();
    for big in [true, false] {
        let mut stream = TcpStream::connect(server.tlv).expect("connect");
        let word = |value: u32| if big { value.to_be_bytes() } else { value.to_le_bytes() };
        let header = |id: u32, length: u32| {
            let (first, second) = if big { (id, length) } else { (length, id) };
            [word(first), word(second)].concat()
        };
        stream.write_all(&header(99_999, 0)).expect("sent");
        let mut read_frame = |id: u32| {
            let mut head = [0; 8];
            stream.read_exact(&mut head).expect("a header");
            let words = [0, 4].map(|at| {
                let bytes: [u8; 4] = head[at..at + 4].try_into().expect("four bytes");
                if big { u32::from_be_bytes(bytes) } else { u32::from_le_bytes(bytes) }
            });
            let (got, length) = if big { (words[0], words[1]) } else { (words[1], words[0]) };
            assert_eq!(got, id);
            let mut data = vec![0; length as usize];
            stream.read_exact(&mut data).expect("the data");
            String::from_utf8(data).expect("UTF-8")
        };
        assert!(read_frame(1).starts_with(r#"{"uid":"#));
        read_frame(99_999);
    }
}
