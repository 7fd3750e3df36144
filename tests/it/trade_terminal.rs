//! `fanfare trade` through a pipe, against a room that says what each test wants it to.

use fanfare::client::frames::{FrameReader, encode};
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::thread::{self, JoinHandle};

/// The client, with both ends of its pipes.
pub(crate) struct Terminal {
    child: Child,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
}

impl Terminal {
    pub(crate) fn start(room: SocketAddr, customer: &str) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_fanfare"))
            .args(["trade", "--addr", &room.to_string(), "--customer", customer])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the binary starts");
        let input = child.stdin.take();
        let output = BufReader::new(child.stdout.take().expect("piped"));
        Self { child, input, output }
    }

    pub(crate) fn type_line(&mut self, line: &str) {
        let input = self.input.as_mut().expect("not ended yet");
        writeln!(input, "{line}").expect("the client reads");
    }

    /// The next line, with its blanks squeezed.
    #[track_caller]
    pub(crate) fn line(&mut self) -> String {
        let mut line = String::new();
        let read = self.output.read_line(&mut line).expect("readable");
        assert!(read > 0, "the client ended: {}", self.error());
        line.split_whitespace().collect::<Vec<_>>().join(" ")
    }

    #[track_caller]
    pub(crate) fn expect(&mut self, lines: &[&str]) {
        for expected in lines {
            assert_eq!(self.line(), *expected);
        }
    }

    /// Ends the input; returns the rest of the output, the exit status and standard error.
    pub(crate) fn end(mut self) -> (String, Option<i32>, String) {
        drop(self.input.take());
        let mut rest = String::new();
        self.output.read_to_string(&mut rest).expect("readable");
        let error = self.error();
        (rest, self.child.wait().expect("a child of ours").code(), error)
    }

    fn error(&mut self) -> String {
        let mut text = String::new();
        if let Some(mut error) = self.child.stderr.take() {
            error.read_to_string(&mut text).expect("readable");
        }
        text
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        // Harmless when it has ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The room's side of one connection.
struct Visit {
    stream: TcpStream,
    frames: FrameReader,
}

impl Visit {
    fn of(listener: &TcpListener) -> Self {
        let (stream, _) = listener.accept().expect("a client");
        Self { stream, frames: FrameReader::default() }
    }

    /// The next request must be this one; returns its data.
    #[track_caller]
    fn hear(&mut self, expected: u32) -> Value {
        let mut buffer = [0; 4_096];
        loop {
            if let Some((id, data)) = self.frames.next_frame().expect("frames") {
                assert_eq!(id, expected);
                return serde_json::from_slice(data).expect("JSON");
            }
            let count = self.stream.read(&mut buffer).expect("readable");
            assert!(count > 0, "the client left before message {expected}");
            self.frames.extend(&buffer[..count]);
        }
    }

    fn say(&mut self, messages: &[(u32, Value)]) {
        let mut bytes = Vec::new();
        for (id, data) in messages {
            encode(*id, data.to_string().as_bytes(), &mut bytes);
        }
        self.stream.write_all(&bytes).expect("the client reads");
    }

    /// Takes a login, and the pull behind it, with these holdings.
    #[track_caller]
    fn greet(&mut self, seq: i64, rows: &[Value]) {
        let login = self.hear(2);
        assert_eq!(login["last_seq"], Value::Null, "the first login resumes nothing");
        self.say(&[(1, json!({"uid": 7})), (2, logged_in(seq, rows.len()))]);
        self.give_holdings(rows);
    }

    #[track_caller]
    fn give_holdings(&mut self, rows: &[Value]) {
        assert_eq!(self.hear(3)["page"], 0);
        self.say(&[(3, page(0, 1, rows))]);
    }

    /// Until the client leaves.
    fn see_off(&mut self) {
        let _ = self.stream.read_to_end(&mut Vec::new());
    }
}

fn logged_in(seq: i64, positions: usize) -> Value {
    let customer_id = "000000000001";
    json!({"customer_id": customer_id, "seq": seq, "positions": positions, "total_value_fen": 0})
}

fn page(page: u32, pages: u32, rows: &[Value]) -> Value {
    json!({"page": page, "pages": pages, "holdings": rows, "total_value_fen": 0})
}

fn row(code: &str, quantity: i64) -> Value {
    json!({"exchange_type": "1", "stock_code": code, "quantity": quantity,
        "last_price_fen": 1_000, "market_value_fen": quantity * 1_000})
}

fn numbered(seq: i64, mut data: Value) -> Value {
    data["seq"] = json!(seq);
    data
}

fn trade(seq: i64, trade_id: i64, quantity: i64) -> (u32, Value) {
    let data = json!({"seq": seq, "trade_id": trade_id, "exchange_type": "1",
        "stock_code": "600001", "side": "1", "quantity": quantity, "price_fen": 1_000,
        "time_ms": 0});
    (101, data)
}

fn holding(seq: i64, quantity: i64) -> (u32, Value) {
    (102, numbered(seq, row("600001", quantity)))
}

fn fill(seq: i64, trade_id: i64, quantity: i64, held: i64) -> (u32, Value) {
    let data = json!({"trade_id": trade_id, "seq": seq, "quantity": quantity, "price_fen": 1_000,
        "holding": row("600001", held)});
    (4, data)
}

/// A room that plays `script`, and a client in it.
fn in_room(script: impl FnOnce(&TcpListener) + Send + 'static) -> (Terminal, JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("bound");
    let room = thread::spawn(move || script(&listener));
    (Terminal::start(address, "000000000001"), room)
}

const EMPTY: [&str; 2] = ["no positions", "0 positions, total market value 0.00"];

#[test]
fn a_trade_and_its_pushes_are_shown_before_the_next_command_runs() {
    let (mut terminal, room) = in_room(|listener| {
        let mut visit = Visit::of(listener);
        visit.greet(0, &[]);
        let asked = visit.hear(4);
        assert_eq!((&asked["stock_code"], &asked["quantity"]), (&json!("600001"), &json!(200)));
        assert_eq!(asked["exchange_type"], "1");
        visit.say(&[fill(1, 17, 200, 200)]);
        visit.say(&[trade(1, 17, 200)]);
        visit.say(&[holding(2, 200)]);
        visit.see_off();
    });
    terminal.type_line("buy 600001 200");
    terminal.type_line("holding 600001");
    terminal.expect(&EMPTY);
    terminal.expect(&[
        "done, trade 17: bought 200 of 600001 at 10.00",
        "trade 17: bought 200 of 600001 at 10.00",
        "holding 600001: 200 (new), worth 2,000.00",
        "600001 in Shanghai: 200 at 10.00, worth 2,000.00",
    ]);
    assert_eq!(terminal.end(), (String::new(), Some(0), String::new()));
    room.join().expect("the room saw what it expected");
}

#[test]
fn what_the_room_refuses_ends_a_script_with_1() {
    let (mut terminal, room) = in_room(|listener| {
        let mut visit = Visit::of(listener);
        visit.greet(0, &[]);
        visit.hear(5);
        let refusal = json!({"request": 5, "code": "not_held", "message": "none are held"});
        visit.say(&[(0, refusal)]);
        visit.see_off();
    });
    terminal.type_line("sell 600001 5");
    terminal.type_line("buy 600001 5");
    terminal.expect(&EMPTY);
    let (rest, status, error) = terminal.end();
    assert_eq!((rest.as_str(), status), ("", Some(1)));
    assert_eq!(error, "fanfare: none are held (not_held)\n");
    room.join().expect("the second command was not sent");
}

#[test]
fn a_lost_connection_is_resumed_and_the_trade_under_way_counts_once() {
    let (mut terminal, room) = in_room(|listener| {
        let mut visit = Visit::of(listener);
        visit.greet(5, &[row("600001", 100)]);
        visit.say(&[trade(6, 16, 50), holding(7, 150)]);
        let asked = visit.hear(4);
        // Made, but the answer is lost with the connection.
        drop(visit);
        let mut visit = Visit::of(listener);
        assert_eq!(visit.hear(2)["last_seq"], 7);
        visit.say(&[(1, json!({"uid": 8})), (2, logged_in(9, 1))]);
        visit.say(&[trade(8, 17, 200), holding(9, 350)]);
        assert_eq!(visit.hear(4)["request_id"], asked["request_id"], "the same trade");
        let (id, answer) = fill(8, 17, 200, 350);
        let mut answer = answer;
        answer["replayed"] = json!(true);
        visit.say(&[(id, answer)]);
        visit.see_off();
    });
    terminal.expect(&["code exchange shares last price market value"]);
    terminal.expect(&["600001 Shanghai 100 10.00 1,000.00"]);
    terminal.expect(&["1 position, total market value 1,000.00"]);
    terminal.expect(&["trade 16: bought 50 of 600001 at 10.00"]);
    terminal.expect(&["holding 600001: 100 -> 150, worth 1,500.00"]);
    terminal.type_line("buy 600001 200");
    assert!(terminal.line().starts_with("connection lost ("));
    terminal.expect(&[
        "connected again",
        "trade 17: bought 200 of 600001 at 10.00",
        "holding 600001: 150 -> 350, worth 3,500.00",
        "done, trade 17: bought 200 of 600001 at 10.00",
    ]);
    assert_eq!(terminal.end(), (String::new(), Some(0), String::new()));
    room.join().expect("the room saw what it expected");
}

#[test]
fn a_resync_pulls_the_holdings_again() {
    let (mut terminal, room) = in_room(|listener| {
        let mut visit = Visit::of(listener);
        visit.greet(5, &[]);
        drop(visit);
        let mut visit = Visit::of(listener);
        assert_eq!(visit.hear(2)["last_seq"], 5);
        let mut login = logged_in(90_000, 1);
        login["resync"] = json!(true);
        visit.say(&[(2, login)]);
        visit.give_holdings(&[row("600001", 300)]);
        visit.say(&[holding(90_001, 400)]);
        visit.see_off();
    });
    terminal.expect(&EMPTY);
    assert!(terminal.line().starts_with("connection lost ("));
    terminal.expect(&["connected again", "holding 600001: 300 -> 400, worth 4,000.00"]);
    assert_eq!(terminal.end().1, Some(0));
    room.join().expect("the room saw what it expected");
}

#[test]
fn pages_that_moved_under_the_pull_are_pulled_again() {
    let (mut terminal, room) = in_room(|listener| {
        let mut visit = Visit::of(listener);
        visit.hear(2);
        visit.say(&[(1, json!({"uid": 7})), (2, logged_in(0, 3))]);
        assert_eq!(visit.hear(3)["page"], 0);
        // The first row goes while the second page is asked for: one row would be left out.
        visit.say(&[(3, page(0, 2, &[row("600001", 1), row("600002", 2)])), holding(1, 0)]);
        assert_eq!(visit.hear(3)["page"], 1);
        visit.say(&[(3, page(1, 2, &[row("600004", 4)]))]);
        assert_eq!(visit.hear(3)["page"], 0);
        visit.say(&[(3, page(0, 2, &[row("600002", 2), row("600003", 3)]))]);
        assert_eq!(visit.hear(3)["page"], 1);
        visit.say(&[(3, page(1, 2, &[row("600004", 4)]))]);
        visit.see_off();
    });
    terminal.expect(&["holding 600001: none left"]);
    terminal.line();
    for (code, quantity) in [("600002", 2), ("600003", 3), ("600004", 4)] {
        assert!(terminal.line().starts_with(&format!("{code} Shanghai {quantity} ")));
    }
    terminal.expect(&["3 positions, total market value 90.00"]);
    assert_eq!(terminal.end().1, Some(0));
    room.join().expect("the room saw what it expected");
}

#[test]
fn a_rollback_is_told_with_its_reason() {
    let (mut terminal, room) = in_room(|listener| {
        let mut visit = Visit::of(listener);
        visit.greet(0, &[]);
        let rollback = json!({"seq": 3, "trade_id": 17, "reason": "a slip"});
        visit.say(&[trade(1, 17, 200), holding(2, 200), (103, rollback), holding(4, 0)]);
        visit.see_off();
    });
    terminal.expect(&EMPTY);
    terminal.expect(&[
        "trade 17: bought 200 of 600001 at 10.00",
        "holding 600001: 200 (new), worth 2,000.00",
        "trade 17 was rolled back: a slip",
        "holding 600001: none left",
    ]);
    assert_eq!(terminal.end().1, Some(0));
    room.join().expect("the room saw what it expected");
}

#[test]
fn nobody_there_and_wrong_words_are_errors() {
    let free = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
    let address = free.expect("a free port");
    let (rest, status, error) = Terminal::start(address, "000000000001").end();
    assert_eq!((rest.as_str(), status), ("", Some(1)));
    assert!(error.starts_with(&format!("fanfare: {address}: ")), "{error}");

    let (mut terminal, room) = in_room(|listener| {
        let mut visit = Visit::of(listener);
        visit.greet(0, &[]);
        visit.see_off();
    });
    terminal.expect(&EMPTY);
    terminal.type_line("# a comment, and a blank line");
    terminal.type_line("");
    terminal.type_line("by 600001 200");
    let (_, status, error) = terminal.end();
    assert_eq!(status, Some(1));
    assert_eq!(error, "fanfare: by is no command; help lists them\n");
    room.join().expect("the room saw what it expected");
}
