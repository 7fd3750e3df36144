//! HTTP/1.1 (RFC 9110, RFC 9112) as a value transformation: bytes to [`Request`], [`Response`] to
//! bytes. No sockets, threads or clocks.

mod body;
mod chunked;
mod encode;
mod event_stream;
mod extras;
mod field_error;
mod head;
mod head_scan;
mod host;
mod json;
mod json_parse;
mod json_topic;
mod options;
mod percent;
mod query;
mod reply_queue;
mod representation;
mod request;
mod request_key;
mod responder;
mod response;
mod route;
mod route_stats;
mod router;
mod session;
mod slow_log;
mod times;

pub use encode::refusal;
pub use event_stream::{event_bytes, last_event_id};
pub use field_error::FieldError;
pub use json::{Names, Object, Value, parse_id};
pub use json_topic::{JsonTopic, ReadJson};
pub use options::{BodyRoom, HttpLimits, HttpOptions};
pub use query::Query;
pub use representation::{Coding, Representation};
pub use request::{Headers, Method, Request};
pub use request_key::request_key;
pub use responder::{Answer, Deferral, ExtraFields, HttpReply, Responder, Ticket, Wanted};
pub use response::{Body, ContentType, HeaderValue, Response, Status};
pub use route_stats::{Line, Place, RouteStats};
pub use router::{ErrorRenderer, Handler, Router};
pub use session::HttpSession;
pub use slow_log::{SlowLog, SlowRequest};
pub use times::{Times, ms};

/// Answers requests; called on the loop thread, so it must not block.
pub trait Service {
    /// Decodes `request` and either answers now or hands the deferral to a worker.
    fn call(&self, request: &Request<'_>, deferral: Deferral<'_>) -> Answer;

    /// Makes the error answers of whoever the path belongs to, where nobody else does: the request
    /// was refused before a route saw it, or its answer got lost.
    fn renderer(&self, _path: &str) -> ErrorRenderer {
        Response::error
    }

    /// An answer is on its way: counts it. It has no `times` when it came in the turn of its
    /// request.
    fn answered(&self, _place: Place, _code: u16, _times: Option<&Times>) {}
}

/// A request that the protocol itself refuses: what the answer says. The connection ends with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Refusal(Status, &'static str);
