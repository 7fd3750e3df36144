//! A client of a router without a socket: it opens a connection for each request.

use fanfare::exec::{Delivery, Mailbox, mailbox};
use fanfare::http::{HttpOptions, HttpReply, HttpSession, Router};
use fanfare::session::{ConnId, SendQueue, Session, Turn};
use std::io::IoSlice;
use std::rc::Rc;
use std::time::Instant;

/// What came back.
pub(crate) struct Answered {
    pub(crate) status: String,
    pub(crate) headers: String,
    pub(crate) body: String,
}

/// Calls the routes of one router.
pub(crate) struct Caller(Rc<Router>);

impl Caller {
    pub(crate) fn new(router: Router) -> Self {
        Self(Rc::new(router))
    }

    /// `head` is method and target, such as `GET /gift/top`.
    pub(crate) fn call(&self, head: &str, headers: &str, body: &str) -> Answered {
        let length = body.len();
        let request = format!(
            "{head} HTTP/1.1\r\nHost: a\r\n{headers}Content-Length: {length}\r\n\r\n{body}"
        );
        let (mailbox, outbox) = mailbox(|| {});
        let conn = ConnId { slot: 0, generation: 0 };
        let service = Rc::<Router>::clone(&self.0);
        let options = Rc::new(HttpOptions::default());
        let mut session = HttpSession::new(conn, service, outbox, options, Instant::now());
        let answer = converse(&mut session, &mailbox, request.as_bytes());
        let (head, body) = answer.split_once("\r\n\r\n").expect("an answer has a head");
        let (line, headers) = head.split_once("\r\n").expect("a head has fields");
        let status = line.strip_prefix("HTTP/1.1 ").expect("it speaks HTTP");
        Answered { status: status.to_owned(), headers: headers.to_owned(), body: body.to_owned() }
    }

    pub(crate) fn get(&self, target: &str) -> Answered {
        self.call(&format!("GET {target}"), "", "")
    }

    pub(crate) fn post(&self, target: &str, body: &str) -> Answered {
        self.call(&format!("POST {target}"), "", body)
    }
}

fn converse(session: &mut HttpSession, mailbox: &Mailbox<HttpReply>, bytes: &[u8]) -> String {
    let (mut out, mut subscriptions) = (SendQueue::default(), Vec::new());
    let mut turn = Turn {
        now: Instant::now(),
        date: b"Sun, 06 Nov 1994 08:49:37 GMT",
        out: &mut out,
        subscriptions: &mut subscriptions,
    };
    session.received(bytes, &mut turn);
    let replies: Vec<_> = mailbox.drain().collect();
    for reply in replies {
        if let Delivery::Reply { reply, .. } = reply {
            session.complete(reply, &mut turn);
        }
    }
    let mut sent = Vec::new();
    while !out.is_empty() {
        let mut slices = [IoSlice::new(&[]); 4];
        let used = out.gather(&mut slices);
        let before = sent.len();
        slices[..used].iter().for_each(|slice| sent.extend_from_slice(slice));
        out.advance(sent.len() - before);
    }
    String::from_utf8(sent).expect("answers are UTF-8")
}
