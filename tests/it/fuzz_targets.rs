//! Bodies of the fuzz targets as plain functions: `tests/fuzz` runs them for hours, the corpus test
//! and proptest for a moment. Each panics on what must never happen.

use fanfare::exec::{Delivery, Mailbox, mailbox};
use fanfare::http::{
    Answer, HttpLimits, HttpOptions, HttpReply, HttpSession, Method, Names, Object, Query,
    Responder, Response, Router, parse_id,
};
use fanfare::session::{ConnId, Phase, SendQueue, Session, Turn};
use std::cell::RefCell;
use std::io::IoSlice;
use std::rc::Rc;
use std::time::Instant;

/// Any bytes as the beginning of a connection: the same answers however they are cut.
pub(crate) fn http_head(data: &[u8]) {
    assert_cuts_do_not_matter(data, 1);
}

/// Any bytes as a chunked body, with a request behind it.
pub(crate) fn http_chunked(data: &[u8]) {
    let head = b"POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
    let next = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n";
    assert_cuts_do_not_matter(&[head.as_slice(), data, next].concat(), 1);
}

/// The first byte says how the rest is cut.
pub(crate) fn http_connection(data: &[u8]) {
    if let Some((&step, bytes)) = data.split_first() {
        assert_cuts_do_not_matter(bytes, usize::from(step).max(1));
    }
}

/// Whatever we take as an object, a lenient parser takes too, and reads the same from it.
pub(crate) fn http_json(data: &[u8]) {
    let Ok(object) = Object::parse(data) else { return };
    let lenient: serde_json::Value =
        serde_json::from_slice(data).expect("what the strict parser takes is JSON");
    let fields = lenient.as_object().expect("what the strict parser takes is an object");
    for (name, value) in fields {
        assert!(object.get(name).is_some(), "{name} is lost");
        let text = object.get(name).and_then(|ours| ours.as_str());
        assert_eq!(text, value.as_str(), "{name}");
    }
    for name in ["a", "worth", "id"] {
        let field = fields.get(name);
        if let Ok(number) = object.int(name, i64::MIN..=i64::MAX) {
            assert_eq!(number, field.and_then(serde_json::Value::as_i64), "{name}");
        }
        read_everything(&object, name);
    }
    read_everything(&object, ["a", "b"]);
}

fn read_everything(object: &Object<'_>, names: impl Names) {
    if let Ok(Some(id)) = object.id(names) {
        assert!(id > 0, "ids are positive");
    }
    let errors = [
        object.string(names).err(),
        object.bool(names).err(),
        object.array(names).err(),
        object.int(names, 1..=9).err(),
    ];
    for error in errors.into_iter().flatten() {
        assert!(error.to_string().contains(": expected "), "{error}");
    }
}

/// Any text as a query: no panic, and what is plain comes back as it is.
pub(crate) fn http_query(data: &[u8]) {
    let Ok(query) = Query::form(data) else { return };
    for name in ["a", "num", "id"] {
        let found = query.get(name);
        if let Ok(Some(value)) = &found
            && let Ok(Some(id)) = query.id(name)
        {
            assert_eq!(id.to_string(), **value, "ids are canonical");
            assert_eq!(parse_id(value), Some(id));
        }
        let number = query.int(name, 1..=9);
        assert!(number.is_err() || found.is_ok(), "a number is a value first");
    }
}

fn assert_cuts_do_not_matter(data: &[u8], step: usize) {
    let whole = converse([data]);
    let cut = converse(data.chunks(step));
    assert!(
        whole == cut,
        "whole:\n{}\nby {step}:\n{}",
        String::from_utf8_lossy(&whole.0),
        String::from_utf8_lossy(&cut.0)
    );
}

/// Feeds the pieces to a session as the loop would, answering what waits when it wants no more
/// input; returns what it wrote, and whether the connection was still open at the end.
pub(crate) fn converse<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> (Vec<u8>, bool) {
    let mut talk = Talk::new();
    for piece in pieces {
        while talk.session.phase() == Phase::Open && !talk.session.wants_input(&talk.unsent) {
            assert!(talk.make_progress(), "a session that takes nothing waits for something");
        }
        if talk.session.phase() == Phase::Open {
            talk.turn(|session, turn| session.received(piece, turn));
        }
    }
    while talk.make_progress() {}
    let is_open = talk.session.phase() == Phase::Open;
    talk.turn(Session::recv_closed);
    while talk.make_progress() {}
    assert_ne!(talk.session.phase(), Phase::Open, "nothing is left to wait for");
    (talk.written, is_open)
}

struct Talk {
    session: HttpSession,
    unsent: SendQueue,
    written: Vec<u8>,
    pending: Rc<RefCell<Vec<Responder>>>,
    mailbox: Mailbox<HttpReply>,
    now: Instant,
}

impl Talk {
    fn new() -> Self {
        let (mailbox, outbox) = mailbox(|| {});
        let pending = Rc::new(RefCell::new(Vec::new()));
        let waiting = Rc::clone(&pending);
        let service = Router::new()
            .route(Method::Get, "/", |_, _| Answer::now(Response::json("{}")))
            .route_any("/echo", |request, _| Answer::now(Response::json(request.body.to_vec())))
            .route_any("/later", move |_, deferral| {
                deferral.later(|responder| waiting.borrow_mut().push(responder))
            });
        let limits = HttpLimits { body_bytes: 4_096, ..HttpLimits::default() };
        let options = Rc::new(HttpOptions { limits, ..HttpOptions::default() });
        let conn = ConnId { slot: 0, generation: 0 };
        let now = Instant::now();
        let session = HttpSession::new(conn, Rc::new(service), outbox, options, now);
        Self { session, unsent: SendQueue::default(), written: Vec::new(), pending, mailbox, now }
    }

    fn turn(&mut self, call: impl FnOnce(&mut HttpSession, &mut Turn<'_>)) {
        let date = b"Sun, 06 Nov 1994 08:49:37 GMT";
        let mut turn =
            Turn { now: self.now, date, out: &mut self.unsent, subscriptions: &mut Vec::new() };
        call(&mut self.session, &mut turn);
    }

    /// Sends what is unsent, or answers the newest request that waits. False: neither was there.
    fn make_progress(&mut self) -> bool {
        if !self.unsent.is_empty() {
            let mut slices = [IoSlice::new(&[]); 8];
            let used = self.unsent.gather(&mut slices);
            let before = self.written.len();
            slices[..used].iter().for_each(|slice| self.written.extend_from_slice(slice));
            self.unsent.advance(self.written.len() - before);
            self.turn(Session::sent);
            return true;
        }
        let Some(responder) = self.pending.borrow_mut().pop() else { return false };
        responder.send(Response::json("[]"));
        let deliveries: Vec<_> = self.mailbox.drain().collect();
        for delivery in deliveries {
            if let Delivery::Reply { reply, .. } = delivery {
                self.turn(|session, turn| session.complete(reply, turn));
            }
        }
        true
    }
}
