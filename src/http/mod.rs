//! HTTP/1.1 (RFC 9110, RFC 9112) as a value transformation: bytes to [`Request`], [`Response`] to
//! bytes. No sockets, threads or clocks.

mod request;
mod responder;
mod response;

pub use request::{Headers, Method, Request};
pub use responder::{Answer, Deferral, HttpReply, Responder, Ticket};
pub use response::{Body, ContentType, HeaderValue, Response, Status};

/// Answers requests; called on the loop thread, so it must not block.
pub trait Service {
    /// Decodes `request` and either answers now or hands the deferral to a worker.
    fn call(&self, request: &Request<'_>, deferral: Deferral<'_>) -> Answer;
}
