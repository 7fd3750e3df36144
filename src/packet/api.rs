//! The HTTP edge of red packets: routes, and what each outcome looks like as a response.

use super::wire::{self, Code};
use super::{Found, Manage, Managed, Opened, Read, Refusal, Snatched, Store, decode};
use crate::http::{
    Answer, Body, Deferral, FieldError, JsonTopic, Method, Request, Response, Router, Status,
    last_event_id,
};
use crate::session::Topic;
use crate::store::StoreError;
use std::sync::Arc;

/// Public calls that ask with POST and change nothing.
pub const READING_POSTS: &[&str] = &["/get_wallet_list"];

/// Adds the public calls; `stream` is what `GET /rain/stream` follows.
#[must_use]
pub fn public_routes(router: Router, store: &Arc<dyn Store>, stream: &Arc<JsonTopic>) -> Router {
    let stream = Arc::clone(stream);
    let of = || Arc::clone(store);
    let (snatches, opens) = (of(), of());
    ["/snatch", "/open", "/get_wallet_list"]
        .into_iter()
        .fold(router, |router, path| router.errors(path, public_error))
        .errors("/rain", public_error)
        .route(Method::Post, "/snatch", move |request, deferral| {
            snatch(&*snatches, request, deferral)
        })
        .route(Method::Post, "/open", move |request, deferral| match decode::open(request) {
            Err(error) => Answer::now(refused(&error)),
            Ok(open) => deferral.later(|responder| {
                opens.open(open, Box::new(move |opened| responder.send(opened_response(opened))));
            }),
        })
        .route(Method::Post, "/get_wallet_list", read(of(), decode::wallet))
        .route(Method::Get, "/rain", read(of(), |_| Ok(Read::Rain)))
        .route(Method::Get, "/rain/stream", move |request, _| {
            Answer::stream(Arc::clone(&stream) as Arc<dyn Topic>, last_event_id(request))
        })
        .route(Method::Get, "/rain/proof", read(of(), |request| decode::proof(request.query)))
}

/// Adds the operator's calls.
#[must_use]
pub fn operator_routes(router: Router, store: &Arc<dyn Store>) -> Router {
    let of = || Arc::clone(store);
    let figures = of();
    router
        .route(Method::Post, "/rain", manage(of(), decode::create))
        .route(Method::Patch, "/rain/config", manage(of(), decode::change))
        .route(Method::Get, "/rain/config", move |_, deferral| {
            ask(&*figures, Read::Config, deferral, operator_found)
        })
}

fn snatch(store: &dyn Store, request: &Request<'_>, deferral: Deferral<'_>) -> Answer {
    let snatch = match decode::snatch(request) {
        Ok(snatch) => snatch,
        Err(error) => return Answer::now(refused(&error)),
    };
    offer(deferral, snatched_response, |later| store.snatch(snatch, later))
}

/// A handler that decodes the request and asks the store.
fn read(
    store: Arc<dyn Store>,
    decode: impl Fn(&Request<'_>) -> Result<Read, FieldError> + 'static,
) -> impl Fn(&Request<'_>, Deferral<'_>) -> Answer {
    move |request, deferral| match decode(request) {
        Err(error) => Answer::now(refused(&error)),
        Ok(read) => ask(&*store, read, deferral, found_response),
    }
}

fn ask(
    store: &dyn Store,
    read: Read,
    deferral: Deferral<'_>,
    render: fn(Result<Found, StoreError>) -> Response,
) -> Answer {
    offer(deferral, render, |later| store.read(read, later))
}

/// Lets a store answer at once, or take the right to answer later.
fn offer<T: 'static>(
    deferral: Deferral<'_>,
    render: fn(Result<T, StoreError>) -> Response,
    ask: impl FnOnce(&mut dyn FnMut() -> crate::exec::Answer<T>) -> Option<Result<T, StoreError>>,
) -> Answer {
    let (mut deferral, mut deferred) = (Some(deferral), None);
    let now = ask(&mut || {
        let mut taken = None;
        let deferral = deferral.take().expect("a store takes one answer for one question");
        deferred = Some(deferral.later(|responder| taken = Some(responder)));
        let responder = taken.expect("`later` calls back at once");
        Box::new(move |outcome| responder.send(render(outcome)))
    });
    match (deferred, now) {
        // Once a responder is out, it is the one that answers.
        (Some(deferred), _) => deferred,
        (None, Some(outcome)) => Answer::now(render(outcome)),
        (None, None) => {
            tracing::error!("a store neither answered nor took an answer");
            Answer::now(failed(StoreError::Broken))
        }
    }
}

/// A handler that decodes what an operator asks and has it done; the answer shows the new figures.
fn manage(
    store: Arc<dyn Store>,
    decode: fn(&Request<'_>) -> Result<Manage, FieldError>,
) -> impl Fn(&Request<'_>, Deferral<'_>) -> Answer {
    move |request, deferral| match decode(request) {
        Err(error) => Answer::now(Response::error(Status::BAD_REQUEST, &error.to_string())),
        Ok(manage) => deferral.later(|responder| {
            let figures = Arc::clone(&store);
            let then = move |managed: Result<Managed, StoreError>| {
                let replayed = match managed {
                    Ok(Managed::Done { replayed }) => replayed,
                    other => return responder.send(managed_refusal(other)),
                };
                let mut responder = Some(responder);
                let found = figures.read(Read::Config, &mut || {
                    let responder = responder.take().expect("one answer for one question");
                    Box::new(move |found| {
                        responder.send(marked(operator_found(found), replayed));
                    })
                });
                if let (Some(found), Some(responder)) = (found, responder) {
                    responder.send(marked(operator_found(found), replayed));
                }
            };
            store.manage(manage, Box::new(then));
        }),
    }
}

fn refused(error: &FieldError) -> Response {
    with_status(Status::BAD_REQUEST, wire::error(wire::BAD_PARAMETER, &error.to_string()))
}

fn failed(error: StoreError) -> Response {
    let body = Code::INTERNAL.bare;
    match error {
        StoreError::Unavailable => {
            with_status(Status::UNAVAILABLE, body).with_header("Retry-After", "1")
        }
        StoreError::Broken => with_status(Status::INTERNAL_ERROR, body),
    }
}

fn public_error(status: Status, message: &str) -> Response {
    let code = if status == Status::BAD_REQUEST { wire::BAD_PARAMETER } else { status.code };
    with_status(status, wire::error(code, message))
}

fn with_status(status: Status, body: impl Into<Body>) -> Response {
    Response { status, ..Response::json(body) }
}

fn marked(response: Response, replayed: bool) -> Response {
    if replayed { response.with_header("Idempotent-Replayed", "true") } else { response }
}

fn snatched_response(snatched: Result<Snatched, StoreError>) -> Response {
    match snatched {
        Err(error) => failed(error),
        Ok(Snatched::Got { envelope_id, draw, max_count, cur_count, replayed }) => {
            let body = wire::got(envelope_id, max_count, cur_count, draw);
            marked(Response::json(body), replayed)
        }
        Ok(Snatched::Unlucky { draw }) => Response::json(wire::unlucky(draw)),
        Ok(Snatched::Refused(refusal)) => refusal_response(refusal),
    }
}

fn refusal_response(refusal: Refusal) -> Response {
    let (code, again) = match refusal {
        Refusal::NotStarted => (Code::NOT_STARTED, false),
        Refusal::Ended => (Code::ENDED, false),
        Refusal::Paused => (Code::PAUSED, false),
        Refusal::Busy => (Code::BUSY, true),
        Refusal::TooFast => (Code::TOO_FAST, true),
        Refusal::NoSnatches => (Code::NO_SNATCHES, false),
        Refusal::NoPackets => (Code::NO_PACKETS, false),
    };
    let response = Response::json(code.bare);
    // Buckets fill every second.
    if again { response.with_header("Retry-After", "1") } else { response }
}

fn opened_response(opened: Result<Opened, StoreError>) -> Response {
    match opened {
        Err(error) => failed(error),
        Ok(Opened::Paid { value_fen, replayed }) => {
            marked(Response::json(wire::opened(value_fen)), replayed)
        }
        Ok(Opened::NoSuchPacket) => Response::json(Code::NO_SUCH_PACKET.bare),
        Ok(Opened::NotYours) => Response::json(Code::NOT_YOURS.bare),
        Ok(Opened::KeyConflict) => public_error(Status::CONFLICT, KEY_CONFLICT),
    }
}

const KEY_CONFLICT: &str = "the idempotency key was used for another request";

fn found_response(found: Result<Found, StoreError>) -> Response {
    match found {
        Err(error) => failed(error),
        Ok(Found::Wallet { amount_fen, packets, next }) => {
            Response::json(wire::wallet(amount_fen, &packets, next))
        }
        Ok(Found::Rain(None)) => Response::json(wire::no_rain()),
        Ok(Found::Rain(Some(shown))) => Response::json(wire::rain(&shown)),
        Ok(Found::Proof(body)) => Response::json(body),
        Ok(Found::NotEnded) => {
            public_error(Status::FORBIDDEN, "id: the proof is secret until the rain has ended")
        }
        Ok(Found::NoRain | Found::Config(_)) => {
            public_error(Status::NOT_FOUND, "id: there is no such rain")
        }
    }
}

fn operator_found(found: Result<Found, StoreError>) -> Response {
    match found {
        Ok(Found::Config(Some(figures))) => Response::json(wire::figures(&figures)),
        Ok(_) => Response::error(Status::NOT_FOUND, "there is no rain yet"),
        Err(error) => operator_failed(error),
    }
}

fn operator_failed(error: StoreError) -> Response {
    match error {
        StoreError::Unavailable => Response::unavailable("rains cannot be reached, try again"),
        StoreError::Broken => Response::error(Status::INTERNAL_ERROR, "internal error"),
    }
}

fn managed_refusal(managed: Result<Managed, StoreError>) -> Response {
    let conflict = |why: &str| Response::error(Status::CONFLICT, why);
    match managed {
        Err(error) => operator_failed(error),
        Ok(Managed::Impossible(reason)) => conflict(&reason.to_string()),
        Ok(Managed::NoRain) => Response::error(Status::NOT_FOUND, "there is no rain yet"),
        Ok(Managed::NotEnded { id }) => conflict(&format!("rain {id} has not ended yet")),
        Ok(Managed::TakenId) => conflict("id: there was a rain of this id already"),
        Ok(Managed::KeyConflict | Managed::Done { .. }) => conflict(KEY_CONFLICT),
    }
}
