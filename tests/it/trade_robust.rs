//! The trading room under what goes wrong: a killed process, readers that do not read, crowds that
//! come and go, hosts that vanish.

use crate::server::{Server, Start};
use crate::soak::figure;
use crate::tlv_client::TlvClient;
use fanfare::tlv::Layout;
use serde_json::{Value, json};
use socket2::{Domain, Socket, Type};
use std::collections::HashMap;
use std::fs;
use std::io::Read;
use std::net::{SocketAddr, TcpStream};
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::{Duration, Instant};

const STOCK: &str = r#""exchange_type":"1","stock_code":"600000""#;

fn customer(number: usize) -> String {
    format!("9{number:011}")
}

fn order(quantity: usize, key: Option<&str>) -> String {
    let key = key.map(|key| format!(",\"request_id\":{key:?}")).unwrap_or_default();
    format!("{{{STOCK},\"quantity\":{quantity}{key}}}")
}

/// Trades until the server is gone; what was acknowledged: key, trade and quantity.
fn trade_until_the_end(
    addr: SocketAddr,
    number: usize,
    done: &AtomicUsize,
) -> Vec<(String, i64, usize)> {
    let mut client = TlvClient::login(addr, &customer(number));
    let mut acknowledged = Vec::new();
    for n in 0.. {
        let (key, quantity) = (format!("k{n}"), n % 7 + 1);
        match client.try_ask(4, &order(quantity, Some(&key))) {
            Ok((4, data)) => {
                acknowledged.push((key, data["trade_id"].as_i64().expect("an id"), quantity));
                done.fetch_add(1, Ordering::Relaxed);
            }
            Ok(other) => panic!("no answer to a buy: {other:?}"),
            Err(_) => break,
        }
    }
    acknowledged
}

#[test]
fn every_acknowledged_fill_is_there_once_after_kill_9() {
    const CLIENTS: usize = 100;
    let server = Server::start();
    let (addr, done) = (server.tlv, Arc::new(AtomicUsize::new(0)));
    let clients: Vec<_> = (0..CLIENTS)
        .map(|number| {
            let done = Arc::clone(&done);
            thread::spawn(move || trade_until_the_end(addr, number, &done))
        })
        .collect();
    while done.load(Ordering::Relaxed) < 2_000 {
        assert!(clients.iter().all(|client| !client.is_finished()), "a client failed");
        thread::yield_now();
    }
    let folder = server.kill();
    let acknowledged: Vec<_> =
        clients.into_iter().map(|client| client.join().expect("no client panics")).collect();
    let server = folder.start().run();
    for (number, fills) in acknowledged.iter().enumerate() {
        let mut client = TlvClient::login(server.tlv, &customer(number));
        let (mut trades, mut before) = (HashMap::new(), String::new());
        loop {
            let page = client.ask(6, &format!("{{\"limit\":50{before}}}"));
            for trade in page["trades"].as_array().expect("a list") {
                let id = trade["trade_id"].as_i64().expect("an id");
                assert!(trades.insert(id, trade["quantity"].clone()).is_none(), "{id} twice");
            }
            let Some(next) = page.get("next") else { break };
            before = format!(",\"before\":{next}");
        }
        for (key, trade_id, quantity) in fills {
            assert_eq!(trades.get(trade_id), Some(&json!(quantity)), "{key} of {number} is lost");
        }
        // At most the one under way was written without being answered.
        assert!(trades.len() <= fills.len() + 1, "{} of {}", trades.len(), fills.len());
        let bought: i64 = trades.values().filter_map(Value::as_i64).sum();
        let held = client.ask(3, "");
        let held = held["holdings"].get(0).map_or(0, |held| held["quantity"].as_i64().unwrap_or(0));
        assert_eq!(held, bought, "holdings = trades");
        if let Some((key, trade_id, quantity)) = fills.last() {
            let again = client.ask(4, &order(*quantity, Some(key)));
            assert_eq!((&again["trade_id"], &again["replayed"]), (&json!(trade_id), &json!(true)));
        }
    }
    assert_eq!(server.operator().get("/audit").json()["ok"], true);
}

/// A connection whose own buffers are as small as the kernel allows.
fn small_reader(addr: SocketAddr) -> TcpStream {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
    socket.set_recv_buffer_size(4_096).expect("a socket option");
    socket.connect(&addr.into()).expect("the server listens");
    socket.into()
}

fn resident_kib(server: &Server) -> i64 {
    let status = fs::read_to_string(format!("/proc/{}/status", server.id())).expect("it runs");
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).expect("Linux");
    line.split_whitespace().nth(1).and_then(|kib| kib.parse().ok()).expect("a number")
}

fn descriptors(server: &Server) -> usize {
    fs::read_dir(format!("/proc/{}/fd", server.id())).expect("it runs").count()
}

#[test]
fn slow_readers_cost_a_bounded_queue_and_harm_nobody() {
    const QUEUE_BYTES: i64 = 65_536;
    let queue = QUEUE_BYTES.to_string();
    let server = Start::fresh().set("tlv.max_queue", &queue).run();
    let (addr, name) = (server.tlv, customer(1));
    let mut trader = TlvClient::login(addr, &name);
    trader.ask(4, &order(1, None));
    // They read a byte now and then, and follow what is traded.
    let slow: Vec<_> = (0..20)
        .map(|_| {
            let mut client = TlvClient::on(small_reader(addr), Layout::Big);
            client.ask(2, &format!(r#"{{"customer_id":"{name}"}}"#));
            client
        })
        .collect();
    let mut good = TlvClient::login(addr, &name);
    let before = resident_kib(&server);
    let going = Arc::new(AtomicBool::new(true));
    let trickle = {
        let going = Arc::clone(&going);
        thread::spawn(move || {
            let mut lost = 0;
            while going.load(Ordering::Relaxed) {
                lost = slow.iter().filter(|client| client.read_one_byte().is_err()).count();
                thread::sleep(Duration::from_millis(1));
            }
            lost
        })
    };
    // Enough to fill the kernel's buffers and the queue: what a socket takes is about 4 MB at most.
    let reader = thread::spawn(move || {
        for seq in 3..2 * 20_000 {
            assert_eq!(good.next().1["seq"], seq, "a good reader gets everything in order");
        }
    });
    for _ in 1..20_000 {
        trader.ask(4, &order(1, None));
        trader.pushes.clear();
    }
    reader.join().expect("the good reader is not harmed");
    let grown = resident_kib(&server) - before;
    going.store(false, Ordering::Relaxed);
    let lost = trickle.join().expect("no panic");
    // Twenty queues, and what any server grows by under load: far below the 150 MB of all pushes.
    assert!(grown < 20 * QUEUE_BYTES / 1_024 + 40_000, "{grown} KiB more, {lost} closed");
    assert_eq!(trader.ask(99_999, ""), json!({}));
    let position = trader.ask(3, "")["holdings"][0]["quantity"].clone();
    assert_eq!(position, 20_000);
}

/// Reads at most so many bytes a second, and comes back when it was closed for it; how often it was.
fn crawl(addr: SocketAddr, login: &str, bytes_per_s: u64, going: &AtomicBool) -> usize {
    let pause = Duration::from_nanos(1_000_000_000 / bytes_per_s);
    let mut closed = 0;
    while going.load(Ordering::Relaxed) {
        let mut client = TlvClient::on(small_reader(addr), Layout::Big);
        client.ask(2, login);
        while going.load(Ordering::Relaxed) {
            if client.read_one_byte().is_err() {
                closed += 1;
                break;
            }
            thread::sleep(pause);
        }
    }
    closed
}

/// A thousand pushes a second for as long as the soak wants, a few hundred at least.
#[test]
fn memory_stays_flat_while_slow_readers_come_back_again_and_again() {
    const TRADES_PER_S: usize = 500;
    const QUEUE_BYTES: i64 = 65_536;
    let seconds = figure("FANFARE_SLOW_READER_SECONDS", 2);
    let server = Start::fresh().set("tlv.max_queue", &QUEUE_BYTES.to_string()).run();
    let (addr, name) = (server.tlv, customer(1));
    let login = format!(r#"{{"customer_id":"{name}"}}"#);
    let mut trader = TlvClient::login(addr, &name);
    trader.ask(4, &order(1, None));
    let count = seconds * TRADES_PER_S;
    let mut good = TlvClient::login(addr, &name);
    let reader = thread::spawn(move || {
        for seq in 3..=2 * (count + 1) {
            assert_eq!(good.next().1["seq"], seq, "a good reader gets everything in order");
        }
    });
    let going = Arc::new(AtomicBool::new(true));
    let slow: Vec<_> = (0..20)
        .map(|_| {
            let (login, going) = (login.clone(), Arc::clone(&going));
            thread::spawn(move || crawl(addr, &login, 1_000, &going))
        })
        .collect();
    let (begin, mut resident) = (Instant::now(), Vec::new());
    for n in 0..count {
        trader.ask(4, &order(1, None));
        trader.pushes.clear();
        if n % TRADES_PER_S == 0 {
            resident.push(resident_kib(&server));
        }
        // No faster than that; a slow machine takes longer.
        let due = Duration::from_secs(1) * u32::try_from(n).expect("few") / 500;
        thread::sleep(due.saturating_sub(begin.elapsed()));
    }
    reader.join().expect("the good reader is not harmed");
    going.store(false, Ordering::Relaxed);
    let closed: usize = slow.into_iter().map(|one| one.join().expect("no panic")).sum();
    // Behind the first quarter everything has its size: queues, buffers, the pages of the record.
    let (early, late) = (resident[resident.len() / 4], resident[resident.len() - 1]);
    eprintln!("{closed} closed; KiB by the second: {resident:?}");
    assert!(late - early < 20 * QUEUE_BYTES / 1_024 + 8_192, "{resident:?} KiB, {closed} closed");
    assert_eq!(trader.ask(3, "")["holdings"][0]["quantity"], count + 1);
}

#[test]
fn who_reads_too_slowly_is_closed_and_resumes() {
    let server = Start::fresh().set("tlv.max_queue", "16384").run();
    let name = customer(1);
    let login = format!(r#"{{"customer_id":"{name}"}}"#);
    let mut slow = TlvClient::on(small_reader(server.tlv), Layout::Little);
    slow.ask(2, &login);
    let mut trader = TlvClient::login(server.tlv, &name);
    // Until it is closed, which frees its descriptor.
    let open = descriptors(&server);
    let mut bought = 0;
    while descriptors(&server) == open {
        for _ in 0..100 {
            trader.ask(4, &order(1, None));
            trader.pushes.clear();
        }
        bought += 100;
        assert!(bought < 200_000, "it is never closed");
    }
    let mut seq = 0;
    while let Ok((_, push)) = slow.try_next() {
        seq += 1;
        assert_eq!(push["seq"], seq, "what it got had no gaps");
    }
    let mut resumed = TlvClient::connect(server.tlv, Layout::Big);
    // What it had is far behind what is kept, or near enough.
    let login = format!(r#"{{"customer_id":"{name}","last_seq":{seq}}}"#);
    let answer = resumed.ask(2, &login);
    let last = answer["seq"].as_i64().expect("a number");
    assert_eq!(last, 2 * bought);
    if answer.get("resync").is_none() {
        for expected in seq + 1..=last {
            assert_eq!(resumed.next().1["seq"], expected);
        }
    }
    assert_eq!(resumed.ask(99_999, ""), json!({}));
}

/// 5,000 connections, and in the soak ten times as many.
#[test]
fn crowds_that_come_and_go_leave_neither_descriptors_nor_memory_behind() {
    let rounds = figure("FANFARE_CROWDS", 20);
    let server = Server::start();
    let mut client = TlvClient::login(server.tlv, &customer(0));
    let before = descriptors(&server);
    let mut resident = Vec::new();
    for _ in 0..rounds {
        let crowd: Vec<_> = (0..250)
            .map(|n| {
                TlvClient::connect(
                    server.tlv,
                    if n % 2 == 0 { Layout::Big } else { Layout::Little },
                )
            })
            .collect();
        for (n, mut one) in crowd.into_iter().enumerate() {
            match n % 3 {
                // Gone at once, after a login, or in the middle of a frame.
                0 => drop(one),
                1 => {
                    one.ask(2, &format!(r#"{{"customer_id":"{}"}}"#, customer(n)));
                }
                _ => {
                    let _ = one.try_send(4, &order(1, None));
                }
            }
        }
        wait_for_descriptors(&server, &mut client, before);
        resident.push(resident_kib(&server));
    }
    // The first crowds make what the later ones use again. What each connection left behind would be
    // four times as much.
    let (early, late) = (resident[rounds / 4], resident[rounds - 1]);
    eprintln!("{} connections; KiB by the crowd: {resident:?}", rounds * 250);
    let connections = i64::try_from((rounds - rounds / 4) * 250).expect("few");
    assert!(late - early < 2_048 + connections * 64 / 1_024, "{resident:?} KiB");
}

/// They close in the server's own time; an answer on each loop's turn shows how far it is.
fn wait_for_descriptors(server: &Server, client: &mut TlvClient, wanted: usize) {
    for _ in 0..100_000 {
        if descriptors(server) <= wanted {
            return;
        }
        client.ask(99_999, "");
    }
    panic!("{} descriptors, {wanted} before", descriptors(server));
}

/// Runs a command of iproute2 that must succeed.
fn ip(command: &str) {
    let output = Command::new("ip").args(command.split(' ')).output();
    let output = output.expect("iproute2 is installed: apt install iproute2");
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "ip {command}: {error} (this test must run as root)");
}

/// A host of its own at the end of a virtual cable; removed with it.
struct Host(String);

impl Host {
    fn new(number: u32) -> Self {
        let name = format!("fanfare{number}");
        ip(&format!("netns add {name}"));
        let host = Self(name.clone());
        let (ours, theirs) = (format!("ff{number}a"), format!("ff{number}b"));
        ip(&format!("link add {ours} type veth peer name {theirs}"));
        ip(&format!("link set {theirs} netns {name}"));
        ip(&format!("addr add {}/30 dev {ours}", Self::address(number, 1)));
        ip(&format!("link set {ours} up"));
        ip(&format!("-n {name} addr add {}/30 dev {theirs}", Self::address(number, 2)));
        ip(&format!("-n {name} link set {theirs} up"));
        host
    }

    fn address(number: u32, side: u32) -> String {
        let number = number % 16_384;
        format!("10.213.{}.{}", number / 64, number % 64 * 4 + side)
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        // The cable goes with the host at its end.
        let _ = Command::new("ip").args(["netns", "del", &self.0]).status();
    }
}

#[test]
fn a_peer_whose_host_is_gone_is_found_while_one_that_only_listens_stays() {
    let number = std::process::id();
    let host = Host::new(number);
    let address = format!("{}:0", Host::address(number, 1));
    let server =
        Start::fresh().env("FANFARE__TLV__LISTEN", &address).set("tlv.dead_after", "3s").run();
    let before = descriptors(&server);
    // Logs in, says so, and then only listens: one on the host that will vanish, one here.
    let script = format!(
        "exec 3<>/dev/tcp/{}/{}; printf '\\0\\0\\0\\2\\0\\0\\0\\36{{\"customer_id\":\"900000000001\"}}' >&3; \
         head -c 26 <&3 >/dev/null; echo here; exec cat <&3 >/dev/null",
        server.tlv.ip(),
        server.tlv.port()
    );
    let mut gone = Command::new("ip")
        .args(["netns", "exec", &host.0, "bash", "-c", &script])
        .stdout(std::process::Stdio::piped())
        .spawn()
        .expect("iproute2 and bash are installed");
    let mut said = [0; 5];
    gone.stdout.as_mut().expect("piped").read_exact(&mut said).expect("it is logged in");
    let mut listener = TlvClient::login(server.tlv, &customer(2));
    assert_eq!(descriptors(&server), before + 2);
    ip(&format!("-n {} link set ff{number}b down", host.0));
    let (tell, found) = mpsc::channel();
    let id = server.id();
    thread::spawn(move || {
        // The kernel ends it; the process then closes its descriptor.
        let count = || fs::read_dir(format!("/proc/{id}/fd")).map_or(0, Iterator::count);
        while count() > before + 1 {
            thread::sleep(Duration::from_millis(50));
        }
        let _ = tell.send(());
    });
    // Three seconds are configured; a loaded machine may be late, a minute late is never.
    let found = found.recv_timeout(Duration::from_secs(60));
    let _ = gone.kill();
    let _ = gone.wait();
    found.expect("the host that is gone was not found");
    let mut trader = TlvClient::login(server.tlv, &customer(2));
    trader.ask(4, &order(1, None));
    assert_eq!(listener.next().0, 101, "who only listens still hears");
}
