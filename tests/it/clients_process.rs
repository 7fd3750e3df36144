//! The commands that visit a server, as processes, against a real one.

use crate::server::{Server, Start};
use crate::trade_terminal::Terminal;
use fanfare::client::room::{Message, Request, Side, Stock};
use fanfare::client::room_link::RoomLink;
use serde_json::json;
use std::io::{Read, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Output, Stdio};
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(60);

fn fanfare(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_fanfare")).args(args).output().expect("the binary runs")
}

/// Standard output of a run that must succeed.
#[track_caller]
fn succeed(args: &[&str]) -> String {
    let output = fanfare(args);
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{args:?}: {error}\n{text}");
    text
}

#[test]
fn ten_clients_go_through_the_scenarios() {
    let server = Server::start();
    let table = succeed(&["load", "trade", "--scenario", "--addr", &server.tlv.to_string()]);
    let lines: Vec<Vec<&str>> =
        table.lines().skip(1).map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(lines.len(), 10, "{table}");
    assert!(lines.iter().all(|line| line[1..] == ["ok"; 5]), "{table}");
}

#[test]
fn a_load_on_the_room_is_measured_and_drawn() {
    let server = Server::start();
    let charts = tempfile::tempdir().expect("a temp folder");
    let charts = charts.path().to_str().expect("UTF-8");
    let address = server.tlv.to_string();
    let table = succeed(&[
        "load",
        "trade",
        "--addr",
        &address,
        "--clients",
        "1,3",
        "--push-rate",
        "5,20",
        "--push-clients",
        "2",
        "--interval",
        "20ms..60ms",
        "--for",
        "1s",
        "--charts",
        charts,
    ]);
    for words in ["by the number of clients", "by the frequency of pushes", "gaps in the pushes"] {
        assert!(table.contains(words), "{table}");
    }
    for chart in ["trade-clients.svg", "trade-pushes.svg"] {
        let svg = std::fs::read_to_string(format!("{charts}/{chart}")).expect("written");
        assert!(svg.contains("answer p99") && svg.contains("push p99"), "{chart}");
    }
}

/// A server on which it rains: so many packets, and many snatches for everybody.
fn rainy(packets: u32) -> Server {
    let server = Start::fresh().set("rain.user_rate", "1000000").set("rain.user_burst", "1000000");
    let server = server.run();
    let rain = json!({
        "id": 1, "total_amount_fen": packets * 100, "total_count": packets, "min_fen": 1,
        "max_fen": 1_000, "win_ppm": 500_000, "max_per_user": 5, "starts_at": 1,
        "ends_at": 4_102_444_800_u64, "paused": false, "pacing": false, "reason": "a test",
    });
    let answer = server.operator().post("/rain", &rain.to_string());
    assert_eq!(answer.status, 200, "{answer:?}");
    server
}

#[test]
fn a_load_on_the_rain_adds_up_until_the_last_packet() {
    let server = rainy(300);
    let (address, operator) = (server.http.to_string(), server.admin.to_string());
    let load = [
        "load",
        "rain",
        "--addr",
        &address,
        "--admin",
        &operator,
        "--users",
        "200",
        "--connections",
        "8",
        "--for",
        "2s",
    ];
    let report = succeed(&load);
    for words in ["/snatch 0 success", "/open 0 success", "the operator's audit", "amount"] {
        assert!(report.contains(words), "{words} in {report}");
    }
    assert!(!report.contains("DIFFERS") && !report.contains("not made"), "{report}");
    // Nobody else snatched, so the rain has as many fewer packets as were told of.
    let left = server.client().get("/rain").json()["data"]["left_count"].as_i64();
    let line = report.lines().find(|line| line.contains("/snatch 0 success"));
    let told = line.and_then(|line| line.split_whitespace().last()?.replace(',', "").parse().ok());
    assert_eq!(left.zip(told), Some((300 - told.unwrap_or(0), told.unwrap_or(0))), "{report}");
}

#[test]
fn a_load_without_a_rain_says_how_to_make_one() {
    let server = Server::start();
    let output = fanfare(&["load", "rain", "--addr", &server.http.to_string()]);
    assert_eq!(output.status.code(), Some(1));
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(error.contains("no rain is running") && error.contains("POST /rain"), "{error}");
}

#[test]
fn a_script_trades_and_sees_the_rollback_of_its_trade() {
    let server = Server::start();
    let mut terminal = Terminal::start(server.tlv, "912345678901");
    terminal.expect(&["no positions", "0 positions, total market value 0.00"]);
    // 600000 costs exactly 10.00.
    terminal.type_line("buy 600000 200");
    let done = terminal.line();
    let trade = done.strip_prefix("done, trade ").and_then(|rest| rest.split_once(':'));
    let trade = trade.expect("the trade's number").0.to_owned();
    terminal.expect(&[
        &format!("trade {trade}: bought 200 of 600000 at 10.00"),
        "holding 600000: 200 (new), worth 2,000.00",
    ]);
    let id: i64 = trade.parse().expect("a number");
    let rollback = json!({"trade_id": id, "reason": "a slip"}).to_string();
    let answer = server.operator().post("/trade/rollback", &rollback);
    assert_eq!(answer.status, 200, "{answer:?}");
    terminal
        .expect(&[&format!("trade {trade} was rolled back: a slip"), "holding 600000: none left"]);
    terminal.type_line("history 1");
    terminal.expect(&["trade time side code shares price"]);
    assert!(terminal.line().ends_with("bought 600000 200 10.00 rolled back"));
    assert_eq!(terminal.end(), (String::new(), Some(0), String::new()));
}

#[test]
fn a_client_resumes_when_its_server_comes_back() {
    let server = Server::start();
    let address = server.tlv;
    let mut terminal = Terminal::start(address, "912345678902");
    terminal.expect(&["no positions", "0 positions, total market value 0.00"]);
    terminal.type_line("buy 600000 5");
    for _ in 0..3 {
        terminal.line();
    }
    let folder = server.kill();
    assert!(terminal.line().starts_with("connection lost ("));
    let _server = folder.start().set("tlv.listen", &address.to_string()).run();
    terminal.expect(&["connected again"]);
    terminal.type_line("holdings");
    terminal.line();
    terminal.expect(&["600000 Shanghai 5 10.00 50.00", "1 position, total market value 50.00"]);
    assert_eq!(terminal.end().1, Some(0));
}

#[test]
fn torture_finds_every_promise_kept() {
    let report = succeed(&["torture", "--for", "4s", "--seed", "7"]);
    assert!(report.contains("(seed 7)") && report.contains("the audit found nothing"), "{report}");
    for domain in ["gift", "counter", "rain", "trade"] {
        let line = report.lines().find(|line| line.trim_start().starts_with(domain));
        let line = line.unwrap_or_else(|| panic!("{domain} in {report}"));
        let words: Vec<&str> = line.split_whitespace().collect();
        assert_ne!(words[1], "0", "{line}");
        assert_eq!(words[3..], ["0"; 3], "{line}");
    }
}

#[test]
fn completions_know_the_commands() {
    for (shell, word) in [("bash", "torture"), ("zsh", "torture"), ("fish", "torture")] {
        assert!(succeed(&["completions", shell]).contains(word), "{shell}");
    }
}

#[test]
fn a_wrong_option_is_named() {
    for (args, option) in [
        (&["load", "trade", "--interval", "2s..1s"][..], "--interval"),
        (&["load", "trade", "--clients", "0"], "--clients"),
        (&["load", "rain", "--for", "soon"], "--for"),
        (&["trade", "--customer", "7"], "--customer"),
        (&["torture", "--dir", "/proc/none"], "--dir"),
    ] {
        let output = fanfare(args);
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success() && error.contains(option), "{args:?}: {error}");
    }
}

/// The client on a terminal of its own, which `script` makes.
struct Screen {
    child: Child,
    keys: ChildStdin,
    output: ChildStdout,
    seen: String,
}

impl Screen {
    fn start(server: &Server, customer: &str) -> Self {
        let program = env!("CARGO_BIN_EXE_fanfare");
        let command = format!("{program} trade --addr {} --customer {customer}", server.tlv);
        let mut child = Command::new("script")
            .args(["-qefc", &command, "/dev/null"])
            .env("TERM", "xterm")
            .env("XDG_STATE_HOME", server.data())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("script runs");
        let (keys, output) = (child.stdin.take(), child.stdout.take());
        let (keys, output) = (keys.expect("piped"), output.expect("piped"));
        Self { child, keys, output, seen: String::new() }
    }

    /// Waits for words behind those that were waited for before.
    fn wait_for(&mut self, words: &str) {
        let mut buffer = [0; 4_096];
        loop {
            if let Some(at) = self.seen.find(words) {
                self.seen.drain(..at + words.len());
                return;
            }
            let count = self.output.read(&mut buffer).expect("readable");
            assert!(count > 0, "the client ended before {words:?}; left: {:?}", self.seen);
            self.seen.push_str(&String::from_utf8_lossy(&buffer[..count]));
        }
    }

    /// One key after the other, as people do.
    fn press(&mut self, keys: &str) {
        for key in keys.chars() {
            write!(self.keys, "{key}").expect("the client reads");
            if !key.is_control() {
                self.wait_for(&key.to_string());
            }
        }
    }
}

#[test]
fn pushes_appear_above_the_line_that_is_being_typed() {
    let server = Server::start();
    let mut screen = Screen::start(&server, "912345678903");
    screen.wait_for("no positions");
    screen.wait_for("fanfare> ");
    screen.press("hist");
    let mut other = RoomLink::open(server.tlv).expect("connected");
    let login = Request::Login { customer_id: "912345678903".into(), last_seq: None };
    other.ask(&login, PATIENCE).expect("logged in");
    let trade = |side, request_id: &str| {
        let (stock, request_id) = (Stock::of_code("600000"), request_id.to_owned());
        Request::Trade { side, stock, quantity: 300, request_id }
    };
    let bought = other.ask(&trade(Side::Buy, "a"), PATIENCE).expect("an answer");
    let Message::Filled(bought) = bought else { panic!("{bought:?}") };
    screen.wait_for("1 position, total market value 3,000.00");
    screen.wait_for(&format!("trade {}: bought 300 of 600000 at 10.00", bought.trade_id));
    // The prompt comes back with what had been typed, and typing goes on there.
    screen.wait_for("fanfare> hist");
    screen.press("ory\r");
    screen.wait_for("bought");
    screen.wait_for("fanfare> ");
    let rollback = json!({"trade_id": bought.trade_id, "reason": "a slip"}).to_string();
    assert_eq!(server.operator().post("/trade/rollback", &rollback).status, 200);
    screen.wait_for("\u{1b}[2J");
    screen.wait_for("no positions");
    let left = screen.seen.clone();
    assert!(!left.contains(&format!("trade {}: bought", bought.trade_id)), "{left:?}");
    screen.wait_for("was rolled back: a slip");
    screen.wait_for("fanfare> ");
    screen.press("quit\r");
    assert!(screen.child.wait().expect("a child of ours").success());
}
