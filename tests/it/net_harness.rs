//! A line protocol made for testing the event loop, its server and its client.

use fanfare::exec::{Delivery, Notifier, Outbox};
use fanfare::limits::SEND_BYTES_HIGH;
use fanfare::net::{
    ConnectionLimit, Control, EventLoop, LoopOptions, LoopStats, PortOptions, Protocol, bind,
};
use fanfare::session::{ConnId, Event, HttpDate, Phase, SendQueue, Session, Topic, Turn};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// What a connection over the limit reads.
pub(crate) const REFUSAL: &[u8] = b"full\n";

/// A request that the test answers itself.
pub(crate) struct Deferred {
    pub(crate) conn: ConnId,
    outbox: Outbox<String>,
}

impl Deferred {
    pub(crate) fn answer(&self, reply: &str) {
        self.outbox.post(Delivery::Reply { conn: self.conn, reply: reply.to_owned() });
    }
}

/// What the sessions of a test share.
#[derive(Clone)]
pub(crate) struct Script {
    /// `later` sends its right to answer here.
    pub(crate) deferred: Sender<Deferred>,
    /// `big` answers this.
    pub(crate) big: Arc<[u8]>,
    /// `follow` subscribes to this.
    pub(crate) topic: Option<Arc<dyn Topic>>,
    /// Silence for so long is answered with `idle` and the end.
    pub(crate) idle: Option<Duration>,
}

pub(crate) struct Lines {
    script: Script,
}

impl Protocol for Lines {
    type Session = LineSession;

    fn open(
        &mut self,
        conn: ConnId,
        _peer: SocketAddr,
        outbox: &Outbox<String>,
        turn: &mut Turn<'_>,
    ) -> LineSession {
        LineSession {
            conn,
            outbox: outbox.clone(),
            deadline: self.script.idle.map(|idle| turn.now + idle),
            script: self.script.clone(),
            input: Vec::new(),
            pending: 0,
            waiting: None,
            version: 0,
            input_ended: false,
            draining: false,
            phase: Phase::Open,
        }
    }

    fn refusal(&self, _: &HttpDate) -> Vec<u8> {
        REFUSAL.to_vec()
    }
}

pub(crate) struct LineSession {
    conn: ConnId,
    outbox: Outbox<String>,
    script: Script,
    input: Vec<u8>,
    pending: usize,
    /// The latest event, while older bytes wait.
    waiting: Option<Event>,
    version: u64,
    deadline: Option<Instant>,
    input_ended: bool,
    draining: bool,
    phase: Phase,
}

impl LineSession {
    fn advance(&mut self, turn: &mut Turn<'_>) {
        while self.phase == Phase::Open && turn.out.len() < SEND_BYTES_HIGH {
            let Some(end) = self.input.iter().position(|byte| *byte == b'\n') else { break };
            let line: Vec<u8> = self.input.drain(..=end).collect();
            self.command(std::str::from_utf8(&line).expect("tests send text").trim_end(), turn);
        }
        if turn.out.is_empty()
            && let Some(event) = self.waiting.take()
        {
            turn.out.push_shared(&event.bytes);
        }
        let nothing_owed = self.pending == 0 && !self.input.contains(&b'\n');
        if self.phase == Phase::Open && nothing_owed && (self.draining || self.input_ended) {
            self.phase = Phase::Finishing;
        }
    }

    fn command(&mut self, line: &str, turn: &mut Turn<'_>) {
        match line.split_once(' ').unwrap_or((line, "")) {
            ("echo", text) => turn.out.extend(format!("{text}\n").as_bytes()),
            ("big", _) => turn.out.push_shared(&self.script.big),
            ("name", _) => {
                let ConnId { slot, generation } = self.conn;
                turn.out.extend(format!("{slot}.{generation}\n").as_bytes());
            }
            ("later", _) => {
                self.pending += 1;
                let deferred = Deferred { conn: self.conn, outbox: self.outbox.clone() };
                self.script.deferred.send(deferred).expect("the test waits for it");
            }
            ("follow", _) => {
                turn.out.extend(b"following\n");
                turn.subscriptions.extend(self.script.topic.clone());
            }
            ("bye", _) => {
                turn.out.extend(b"bye\n");
                self.phase = Phase::Finishing;
            }
            ("wrong", _) => {
                turn.out.extend(b"wrong\n");
                self.phase = Phase::Lingering;
            }
            ("abort", _) => self.phase = Phase::Aborted,
            _ => panic!("a bug in a session: {line}"),
        }
    }
}

impl Session for LineSession {
    type Reply = String;

    fn received(&mut self, bytes: &[u8], turn: &mut Turn<'_>) {
        self.input.extend_from_slice(bytes);
        self.deadline = self.script.idle.map(|idle| turn.now + idle);
        self.advance(turn);
    }

    fn recv_closed(&mut self, turn: &mut Turn<'_>) {
        self.input_ended = true;
        self.advance(turn);
    }

    fn complete(&mut self, reply: String, turn: &mut Turn<'_>) {
        assert!(self.pending > 0, "a reply that nobody asked for");
        self.pending -= 1;
        turn.out.extend(format!("{reply}\n").as_bytes());
        self.advance(turn);
    }

    fn pushed(&mut self, _topic: &Arc<dyn Topic>, event: &Event, turn: &mut Turn<'_>) {
        if event.version > self.version {
            self.version = event.version;
            self.waiting = Some(event.clone());
        }
        self.advance(turn);
    }

    fn sent(&mut self, turn: &mut Turn<'_>) {
        self.advance(turn);
    }

    fn expired(&mut self, turn: &mut Turn<'_>) {
        turn.out.extend(b"idle\n");
        self.phase = Phase::Finishing;
        self.deadline = None;
    }

    fn drain(&mut self, turn: &mut Turn<'_>) {
        self.draining = true;
        self.advance(turn);
    }

    fn wants_input(&self, out: &SendQueue) -> bool {
        self.phase == Phase::Open && out.len() < SEND_BYTES_HIGH && self.pending < 8
    }

    fn deadline(&self) -> Option<Instant> {
        self.deadline
    }

    fn phase(&self) -> Phase {
        self.phase
    }
}

/// What a test changes about its server.
pub(crate) struct Settings {
    pub(crate) address: &'static str,
    pub(crate) connections_max: usize,
    pub(crate) write_timeout: Duration,
    pub(crate) drain_timeout: Duration,
    pub(crate) idle: Option<Duration>,
    pub(crate) big: usize,
    pub(crate) topic: Option<Arc<dyn Topic>>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            address: "127.0.0.1:0",
            connections_max: 100_000,
            write_timeout: Duration::from_secs(60),
            drain_timeout: Duration::from_secs(60),
            idle: None,
            big: 8 << 20,
            topic: None,
        }
    }
}

/// One loop with one port on a thread of its own.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    /// A second port of the same loop.
    pub(crate) other: SocketAddr,
    pub(crate) control: Arc<Control>,
    pub(crate) stats: Arc<LoopStats>,
    pub(crate) limit: Arc<ConnectionLimit>,
    pub(crate) notifier: Arc<Notifier>,
    pub(crate) big: Arc<[u8]>,
    deferred: Mutex<Receiver<Deferred>>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    pub(crate) fn start(settings: Settings) -> Self {
        let address = settings.address.parse().expect("an address");
        let listener = bind(address, 1, None).expect("a free port").remove(0);
        let address = listener.local_addr().expect("bound");
        let second = bind(settings.address.parse().expect("an address"), 1, None);
        let second = second.expect("a free port").remove(0);
        let other = second.local_addr().expect("bound");
        let control = Control::new();
        let limit = Arc::new(ConnectionLimit::new(settings.connections_max));
        let notifier = Arc::new(Notifier::default());
        let big: Arc<[u8]> = (0..=250_u8).cycle().take(settings.big).collect();
        let (deferred, receiver) = channel();
        let script =
            Script { deferred, big: Arc::clone(&big), topic: settings.topic, idle: settings.idle };
        let (told, stats) = channel();
        let shared = (Arc::clone(&control), Arc::clone(&limit), Arc::clone(&notifier));
        let thread = std::thread::spawn(move || {
            let (control, limit, notifier) = shared;
            let options = LoopOptions { control, drain_timeout: settings.drain_timeout };
            let mut event_loop = EventLoop::new(options).expect("a loop");
            let write_timeout = settings.write_timeout;
            for listener in [listener, second] {
                let (limit, script) = (Arc::clone(&limit), script.clone());
                let options = PortOptions { limit, write_timeout, notifier: Some(&notifier) };
                event_loop.add_port(listener, Lines { script }, options).expect("a port");
            }
            told.send(event_loop.stats()).expect("the test waits");
            event_loop.run().expect("a loop does not fail");
        });
        let stats = stats.recv().expect("the loop starts");
        let (deferred, thread) = (Mutex::new(receiver), Some(thread));
        Self { address, other, control, stats, limit, notifier, big, deferred, thread }
    }

    pub(crate) fn connect(&self) -> Client {
        Client::connect(self.address)
    }

    /// The next request that asked to be answered later.
    pub(crate) fn deferred(&self) -> Deferred {
        let receiver = self.deferred.lock().expect("no test panics in here");
        receiver.recv_timeout(PATIENCE).expect("a request is answered later")
    }

    /// Waits until the loop has returned.
    pub(crate) fn join(&mut self) {
        self.thread.take().expect("joined once").join().expect("the loop does not panic");
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.control.stop();
        if let Some(thread) = self.thread.take() {
            let result = thread.join();
            assert!(result.is_ok() || std::thread::panicking(), "the loop does not panic");
        }
    }
}

/// A test that waits for longer has failed.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// Waits for what other threads bring about and only a counter shows.
pub(crate) fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let start = Instant::now();
    while !is_so() {
        assert!(start.elapsed() < PATIENCE, "waited in vain: {what}");
        std::thread::sleep(Duration::from_millis(1));
    }
}

pub(crate) struct Client {
    stream: BufReader<TcpStream>,
}

impl Client {
    pub(crate) fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).expect("the server listens");
        stream.set_read_timeout(Some(PATIENCE)).expect("a socket");
        stream.set_write_timeout(Some(PATIENCE)).expect("a socket");
        stream.set_nodelay(true).expect("a socket");
        Self { stream: BufReader::with_capacity(512, stream) }
    }

    pub(crate) fn socket(&self) -> &TcpStream {
        self.stream.get_ref()
    }

    pub(crate) fn send(&mut self, text: &str) {
        self.stream.get_mut().write_all(text.as_bytes()).expect("the server is there");
    }

    /// A line without its end; empty at the end of the stream.
    pub(crate) fn line(&mut self) -> String {
        let mut line = String::new();
        self.stream.read_line(&mut line).expect("an answer");
        line.trim_end().to_owned()
    }

    pub(crate) fn ask(&mut self, text: &str) -> String {
        self.send(text);
        self.line()
    }

    pub(crate) fn bytes(&mut self, count: usize) -> Vec<u8> {
        let mut bytes = vec![0; count];
        self.stream.read_exact(&mut bytes).expect("that many bytes");
        bytes
    }

    /// Everything until the server closes, be it with a reset.
    pub(crate) fn rest(&mut self) -> Vec<u8> {
        let mut bytes = Vec::new();
        match self.stream.read_to_end(&mut bytes) {
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {
                panic!("the server does not close")
            }
            Ok(_) | Err(_) => bytes,
        }
    }
}
