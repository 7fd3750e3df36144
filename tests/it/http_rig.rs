//! A peer for HTTP sessions without a socket: bytes in, bytes out, time by hand.

use fanfare::exec::{Delivery, Mailbox, mailbox};
use fanfare::http::{
    Answer, HttpOptions, HttpReply, HttpSession, Method, Responder, Response, Router, Service,
    last_event_id,
};
use fanfare::session::{ConnId, Event, Phase, SendQueue, Session, Signal, Topic, Turn};
use std::cell::RefCell;
use std::io::IoSlice;
use std::rc::Rc;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// The date that every answer of these tests carries.
pub(crate) const DATE: &[u8; 29] = b"Sun, 06 Nov 1994 08:49:37 GMT";

/// Responders that wait for the test to answer them.
pub(crate) type Pending = Rc<RefCell<Vec<Responder>>>;

/// A topic whose state the test sets.
pub(crate) struct Board(Mutex<Event>);

impl Board {
    fn new() -> Arc<Self> {
        Arc::new(Self(Mutex::new(Event { version: 0, bytes: Arc::from([]) })))
    }

    pub(crate) fn set(&self, version: u64) -> Event {
        let bytes = format!("id: {version}\ndata: {version}\n\n").into_bytes().into();
        let event = Event { version, bytes };
        *self.0.lock().expect("no test panics while holding it") = event.clone();
        event
    }
}

impl Topic for Board {
    fn signal(&self) -> Signal {
        Signal(1)
    }

    fn event(&self) -> Event {
        self.0.lock().expect("no test panics while holding it").clone()
    }
}

/// One session and everything around it.
pub(crate) struct Peer {
    pub(crate) session: HttpSession,
    pub(crate) pending: Pending,
    pub(crate) board: Arc<Board>,
    /// What `/streams` follows beside it.
    pub(crate) encore: Arc<Board>,
    pub(crate) now: Instant,
    pub(crate) unsent: SendQueue,
    pub(crate) subscriptions: Vec<Arc<dyn Topic>>,
    mailbox: Mailbox<HttpReply>,
}

impl Peer {
    pub(crate) fn new() -> Self {
        Self::with_options(HttpOptions::default())
    }

    pub(crate) fn with_options(options: HttpOptions) -> Self {
        let pending = Pending::default();
        let (board, encore) = (Board::new(), Board::new());
        board.set(1);
        encore.set(101);
        let service = Rc::new(routes(&pending, &board, &encore));
        Self { pending, board, encore, ..Self::with_service(service, options) }
    }

    pub(crate) fn with_service(service: Rc<dyn Service>, options: HttpOptions) -> Self {
        let (mailbox, outbox) = mailbox(|| {});
        let now = Instant::now();
        let conn = ConnId { slot: 0, generation: 0 };
        Self {
            session: HttpSession::new(conn, service, outbox, Rc::new(options), now),
            pending: Pending::default(),
            board: Board::new(),
            encore: Board::new(),
            now,
            unsent: SendQueue::default(),
            subscriptions: Vec::new(),
            mailbox,
        }
    }

    pub(crate) fn turn(&mut self, call: impl FnOnce(&mut HttpSession, &mut Turn<'_>)) {
        let mut turn = Turn {
            now: self.now,
            date: DATE,
            out: &mut self.unsent,
            subscriptions: &mut self.subscriptions,
        };
        call(&mut self.session, &mut turn);
    }

    /// Bytes arrive; nothing is sent yet.
    pub(crate) fn receive(&mut self, bytes: impl AsRef<[u8]>) {
        self.turn(|session, turn| session.received(bytes.as_ref(), turn));
    }

    /// All unsent bytes go out.
    pub(crate) fn flush(&mut self) -> Vec<u8> {
        let mut sent = Vec::new();
        while !self.unsent.is_empty() {
            let mut slices = [IoSlice::new(&[]); 8];
            let used = self.unsent.gather(&mut slices);
            let before = sent.len();
            slices[..used].iter().for_each(|slice| sent.extend_from_slice(slice));
            self.unsent.advance(sent.len() - before);
            self.turn(Session::sent);
        }
        sent
    }

    /// What comes back for `bytes`, as text without the date line.
    pub(crate) fn say(&mut self, bytes: impl AsRef<[u8]>) -> String {
        self.receive(bytes);
        self.text()
    }

    pub(crate) fn text(&mut self) -> String {
        let date = format!("Date: {}\r\n", String::from_utf8_lossy(DATE));
        String::from_utf8_lossy(&self.flush()).replace(&date, "")
    }

    /// Answers the oldest or any other request that waits.
    pub(crate) fn answer(&mut self, index: usize, response: Response) {
        let responder = self.pending.borrow_mut().remove(index);
        responder.send(response);
        self.deliver();
    }

    /// Brings the session what workers have posted.
    pub(crate) fn deliver(&mut self) {
        for reply in self.replies() {
            self.turn(|session, turn| session.complete(reply, turn));
        }
    }

    /// Takes what workers have posted.
    pub(crate) fn replies(&mut self) -> Vec<HttpReply> {
        let deliveries = self.mailbox.drain();
        let replies = deliveries.filter_map(|delivery| match delivery {
            Delivery::Reply { reply, .. } => Some(reply),
            _ => None,
        });
        replies.collect()
    }

    pub(crate) fn push(&mut self, event: &Event) {
        let board = Arc::clone(&self.board);
        self.push_of(board, event);
    }

    pub(crate) fn push_of(&mut self, board: Arc<Board>, event: &Event) {
        let topic: Arc<dyn Topic> = board;
        self.turn(|session, turn| session.pushed(&topic, event, turn));
    }

    pub(crate) fn close(&mut self) {
        self.turn(Session::recv_closed);
    }

    /// Lets time pass and, as the loop does, wakes the session when its deadline is over.
    pub(crate) fn wait(&mut self, time: Duration) {
        self.now += time;
        if self.session.deadline().is_some_and(|deadline| deadline <= self.now) {
            self.turn(Session::expired);
        }
    }

    pub(crate) fn phase(&self) -> Phase {
        self.session.phase()
    }

    pub(crate) fn wants_input(&self) -> bool {
        self.session.wants_input(&self.unsent)
    }
}

/// `/echo` answers what it was sent; `/later` waits for the test; `/panic` fails; `/stream` follows a
/// board, `/streams` two.
fn routes(pending: &Pending, board: &Arc<Board>, encore: &Arc<Board>) -> Router {
    let (waiting, board) = (Rc::clone(pending), Arc::clone(board));
    let both: [Arc<dyn Topic>; 2] = [Arc::clone(&board) as _, Arc::clone(encore) as _];
    Router::new()
        .route(Method::Get, "/", |_, _| Answer::now(Response::json("{}")))
        .route_any("/echo", |request, _| {
            let mut body = request.query.as_bytes().to_vec();
            body.extend_from_slice(request.body);
            Answer::now(Response::json(body))
        })
        .route_any("/later", move |_, deferral| {
            deferral.later(|responder| waiting.borrow_mut().push(responder))
        })
        .route(Method::Get, "/panic", |_, _| panic!("as the test asked"))
        .route(Method::Get, "/large", |_, _| Answer::now(Response::json(vec![b'x'; 100_000])))
        .route(Method::Get, "/stream", move |request, _| {
            Answer::stream(Arc::clone(&board) as Arc<dyn Topic>, last_event_id(request))
        })
        .route(Method::Get, "/streams", move |_, _| Answer::streams(both.to_vec()))
}
