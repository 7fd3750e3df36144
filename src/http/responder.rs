//! The right to answer one request, once.

use super::Service;
use super::response::{HeaderValue, Response, Status};
use super::route_stats::Place;
use super::router::ErrorRenderer;
use crate::exec::{self, Delivery, Outbox, Stamps};
use crate::session::{ConnId, Topic};
use crate::store::StoreError;
use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded};
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

/// The place of one request in its connection's order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ticket(pub(super) u64);

/// The reply of a worker: which request of the connection, and what to send.
#[derive(Debug)]
pub struct HttpReply {
    pub(super) ticket: Ticket,
    pub(super) response: Response,
    /// When the steps of its job were.
    pub(super) stamps: Option<Stamps>,
}

/// A handler's decision. `Later` cannot be built without giving the responder away.
pub struct Answer {
    pub(super) decision: Decision,
    /// Where it is counted; the router knows.
    pub(super) place: Place,
    /// Lines for its head, whatever it says.
    pub(super) fields: Option<Arc<[u8]>>,
    /// For an answer that is worth its work only while somebody waits for it.
    pub(super) interest: Option<Interest>,
}

/// Fields that a service adds to many answers, encoded once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExtraFields(Arc<[u8]>);

impl ExtraFields {
    /// Names and values in order.
    pub fn new<'a>(fields: impl IntoIterator<Item = (&'static str, &'a HeaderValue)>) -> Self {
        let mut lines = String::new();
        for (name, value) in fields {
            lines.extend(["\r\n", name, ": ", value.as_str()]);
        }
        Self(lines.into_bytes().into())
    }
}

/// What a stream is of, and which event of it the client says it has.
pub(super) struct Follow {
    pub(super) topics: Vec<Arc<dyn Topic>>,
    pub(super) last_event: Option<u64>,
}

pub(super) enum Decision {
    Now(Response),
    Later,
    Stream(Follow),
}

impl Answer {
    /// Answers on the loop thread, without a thread hop.
    pub fn now(response: Response) -> Self {
        Self::of(Decision::Now(response))
    }

    /// Turns the connection into a stream of server-sent events that follows `topic`. The current
    /// event comes first, unless `last_event` says that the client has it.
    pub fn stream(topic: Arc<dyn Topic>, last_event: Option<u64>) -> Self {
        Self::of(Decision::Stream(Follow { topics: vec![topic], last_event }))
    }

    /// As `stream`, for several topics: browsers give a site few connections. Each event names its
    /// topic; there is no resuming, since one id cannot stand for the states of all.
    pub fn streams(topics: Vec<Arc<dyn Topic>>) -> Self {
        Self::of(Decision::Stream(Follow { topics, last_event: None }))
    }

    /// For a request whose handler panicked: our fault, and that of this request only.
    pub(super) fn after_panic(path: &str, render: ErrorRenderer) -> Self {
        tracing::error!(path, "a handler panicked; the request gets 500");
        Self::now(internal_error(render))
    }

    fn of(decision: Decision) -> Self {
        Self { decision, place: Place::default(), fields: None, interest: None }
    }

    /// Adds a field to an answer that is there already.
    #[must_use]
    pub fn with_header(mut self, name: &'static str, value: &str) -> Self {
        if let Decision::Now(response) = self.decision {
            self.decision = Decision::Now(response.with_header(name, value));
        }
        self
    }

    /// Adds fields to the answer, whatever it will say.
    #[must_use]
    pub fn with_fields(self, fields: &ExtraFields) -> Self {
        Self { fields: Some(Arc::clone(&fields.0)), ..self }
    }
}

/// Kept by the session while the client waits; dropped when it has gone, or the process stops.
pub(super) struct Interest {
    _waits: Sender<Infallible>,
}

/// Tells whoever works on a long answer whether somebody still waits for it.
pub struct Wanted {
    until: Receiver<Infallible>,
}

impl Wanted {
    /// Waits for `time`, or until nobody wants the answer any more; false then.
    pub fn wait(&self, time: Duration) -> bool {
        matches!(self.until.recv_timeout(time), Err(RecvTimeoutError::Timeout))
    }
}

/// An offer to answer later; costs nothing unless taken.
pub struct Deferral<'a> {
    conn: ConnId,
    ticket: Ticket,
    outbox: &'a Outbox<HttpReply>,
    /// Who knows how the errors of the path look; asked when an answer can get lost.
    service: &'a dyn Service,
    path: &'a str,
}

impl<'a> Deferral<'a> {
    pub(super) fn new(
        conn: ConnId,
        ticket: Ticket,
        outbox: &'a Outbox<HttpReply>,
        (service, path): (&'a dyn Service, &'a str),
    ) -> Self {
        Self { conn, ticket, outbox, service, path }
    }

    /// Gives the responder to `submit`, which passes it to a worker.
    pub fn later(self, submit: impl FnOnce(Responder)) -> Answer {
        submit(self.responder());
        Answer::of(Decision::Later)
    }

    /// As `later`, for work that takes seconds: it can ask whether the client still waits. One that
    /// has sent its last byte counts as gone.
    pub fn while_wanted(self, submit: impl FnOnce(Responder, Wanted)) -> Answer {
        let (waits, until) = bounded(0);
        submit(self.responder(), Wanted { until });
        Answer { interest: Some(Interest { _waits: waits }), ..Answer::of(Decision::Later) }
    }

    /// Asks a store that answers at once what it knows, or takes an answer for later. `later`
    /// renders what is found later; `now` gets what is known at once, and `later` to render it with
    /// if that is all it takes.
    pub fn now_or_later<F: 'static, L>(
        self,
        read: impl FnOnce(&mut dyn FnMut() -> exec::Answer<F>) -> Option<Result<F, StoreError>>,
        now: impl FnOnce(Result<F, StoreError>, L) -> Response,
        later: L,
    ) -> Answer
    where
        L: FnOnce(Result<F, StoreError>) -> Response + Send + 'static,
    {
        let (mut offer, mut deferred) = (Some((self, later)), None);
        let found = read(&mut || {
            let taken = offer.take().expect("a store takes one answer for one question");
            let (deferral, later) = taken;
            let mut responder = None;
            deferred = Some(deferral.later(|right| responder = Some(right)));
            let responder = responder.expect("`later` calls back at once");
            Box::new(move |found| responder.send(later(found)))
        });
        match (deferred, found, offer) {
            // Once a responder is out, it is the one that answers.
            (Some(deferred), ..) => deferred,
            (None, Some(found), Some((_, later))) => Answer::now(now(found, later)),
            _ => {
                tracing::error!("a store neither answered nor took an answer");
                Answer::now(Response::error(Status::INTERNAL_ERROR, "internal error"))
            }
        }
    }

    fn responder(&self) -> Responder {
        Responder {
            conn: self.conn,
            ticket: self.ticket,
            outbox: Some(self.outbox.clone()),
            render: self.service.renderer(self.path),
        }
    }
}

/// Answers one request from any thread. Dropped unanswered (a worker failed, a queue was closed),
/// it answers 500: a client never hangs because of our bug.
pub struct Responder {
    conn: ConnId,
    ticket: Ticket,
    /// `None` once answered.
    outbox: Option<Outbox<HttpReply>>,
    /// For the answer of one that gets lost.
    render: ErrorRenderer,
}

impl Responder {
    /// Answers; consumes the right to do so.
    pub fn send(mut self, response: Response) {
        self.post(response);
    }

    fn post(&mut self, response: Response) {
        if let Some(outbox) = self.outbox.take() {
            let reply = HttpReply { ticket: self.ticket, response, stamps: Stamps::current() };
            outbox.post(Delivery::Reply { conn: self.conn, reply });
        }
    }
}

impl Drop for Responder {
    fn drop(&mut self) {
        if self.outbox.is_some() {
            tracing::error!("a request was dropped unanswered; it gets 500");
            self.post(internal_error(self.render));
        }
    }
}

fn internal_error(render: ErrorRenderer) -> Response {
    render(Status::INTERNAL_ERROR, "internal error")
}
