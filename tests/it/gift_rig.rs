//! The gift routes over any store, and a client that opens a connection for each request.

use crate::gift_model::{Model, ModelStore, TestClock};
use fanfare::calendar::{Calendar, Keep};
use fanfare::exec::{Delivery, Mailbox, mailbox};
use fanfare::gift::Store;
use fanfare::gift::api::{ApiOptions, ConfigView, operator_routes, public_routes};
use fanfare::gift::stream::Streams;
use fanfare::http::{HttpOptions, HttpReply, HttpSession, Router};
use fanfare::session::{ConnId, SendQueue, Session, Turn};
use jiff::tz::TimeZone;
use std::io::IoSlice;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

/// 2026-11-21T08:00:00Z, a Saturday.
pub(crate) const START_S: i64 = 1_795_248_000;

/// A router with public and operator calls, and a client that opens a connection for each request.
pub(crate) struct Rig {
    pub(crate) clock: Arc<TestClock>,
    pub(crate) streams: Arc<Streams>,
    router: Rc<Router>,
}

/// What came back.
pub(crate) struct Answered {
    pub(crate) status: String,
    pub(crate) headers: String,
    pub(crate) body: String,
}

impl Rig {
    pub(crate) fn new() -> Self {
        let clock = TestClock::at(START_S);
        let model = Model::new(Calendar::new(TimeZone::UTC), Keep::default());
        let store = ModelStore::new(model, Arc::clone(&clock));
        Self::over(&(Arc::new(store) as _), clock)
    }

    pub(crate) fn over(store: &Arc<dyn Store>, clock: Arc<TestClock>) -> Self {
        let streams = Arc::new(Streams::new(Arc::clone(store)));
        let options = ApiOptions {
            clock: Arc::clone(&clock) as _,
            streams: Arc::clone(&streams),
            test_data: Some(1),
            config: ConfigView { backend: "local".to_owned(), ..ConfigView::default() },
        };
        let router = operator_routes(Router::new(), store, &options);
        Self { clock, streams, router: Rc::new(public_routes(router, store, &options)) }
    }

    pub(crate) fn call(&self, head: &str, headers: &str, body: &str) -> Answered {
        let length = body.len();
        let request = format!(
            "{head} HTTP/1.1\r\nHost: a\r\n{headers}Content-Length: {length}\r\n\r\n{body}"
        );
        let (mailbox, outbox) = mailbox(|| {});
        let conn = ConnId { slot: 0, generation: 0 };
        let service = Rc::<Router>::clone(&self.router);
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

    pub(crate) fn send(&self, audience_id: i64, anchor_id: i64, worth: i64) {
        let gift =
            format!(r#"{{"audience_id":{audience_id},"anchor_id":{anchor_id},"worth":{worth}}}"#);
        assert_eq!(self.post("/gift/send", &gift).status, "200 OK", "{gift}");
    }

    /// Expects a 200 with these data.
    pub(crate) fn finds(&self, target: &str, data: &str) {
        let answer = self.get(target);
        assert_eq!(answer.status, "200 OK", "{target}: {}", answer.body);
        let expected = format!(r#"{{"code":0,"message":"success","data":{data}}}"#);
        assert_eq!(answer.body, expected, "{target}");
    }

    /// Expects a refusal that says this.
    pub(crate) fn refuses(answer: &Answered, status: &str, why: &str) {
        assert_eq!(answer.status, status, "{}", answer.body);
        let code = &status[..3];
        assert_eq!(answer.body, format!(r#"{{"code":{code},"message":"{why}"}}"#));
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
