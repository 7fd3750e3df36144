//! The commands that visit a server, as processes, against a real one.

use crate::server::Server;
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
    for domain in ["gift", "trade"] {
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
