//! The HTTP edge of gifts: routes, and what each outcome looks like as a response.

use super::stream::Streams;
use super::top_cache::{TopBodies, TopCache};
use super::{Found, Gift, Read, Store, Write, Written, decode, wire};
use crate::http::{
    Answer, Body, Deferral, FieldError, Method, Representation, Request, Response, Router, Status,
    last_event_id,
};
use crate::rng::SplitMix;
use crate::session::Topic;
use crate::store::{Clock, StoreError};
use std::cell::RefCell;
use std::sync::Arc;

/// What the routes need beside the store.
#[derive(Clone)]
pub struct ApiOptions {
    /// Tells when a period is over.
    pub clock: Arc<dyn Clock>,
    /// The topics of `GET /gift/stream`, shared by all loops.
    pub streams: Arc<Streams>,
    /// Serves `/gift/add_test_data` on the public port, with gifts drawn from this seed.
    pub test_data: Option<u64>,
    /// What `GET /gift/config` shows.
    pub config: ConfigView,
}

/// Where gifts are kept, as the operator may see it: whoever makes it leaves out the secrets.
#[derive(Clone, Debug, Default, serde::Serialize)]
pub struct ConfigView {
    /// `local` or `cluster`.
    pub backend: String,
    /// Addresses of Redis.
    pub redis: Vec<String>,
    /// Addresses of `MongoDB`.
    pub mongo: Vec<String>,
}

/// Adds the public gift calls.
#[must_use]
pub fn public_routes(router: Router, store: &Arc<dyn Store>, options: &ApiOptions) -> Router {
    let cache = TopCache::new(Arc::clone(store), Arc::clone(&options.clock));
    let bodies = Arc::new(TopBodies::default());
    let of = || Arc::clone(store);
    let (writes, boards, streams) = (of(), of(), Arc::clone(&options.streams));
    let router = router
        .route(Method::Post, "/gift/send", move |request, deferral| {
            write(&*writes, decode::send(request), deferral)
        })
        .route(Method::Get, "/gift/top", move |request, deferral| {
            answer_top(&*boards, (&cache, &bodies), request, deferral)
        })
        .route(Method::Get, "/gift/rank", read(of(), decode::rank))
        .route(Method::Get, "/gift/worth", read(of(), decode::worth))
        .route(Method::Get, "/gift/journal", read(of(), decode::journal))
        .route(Method::Get, "/gift/fans", read(of(), decode::fans))
        .route(Method::Get, "/gift/stream", move |request, _| follow(&streams, request));
    let Some(seed) = options.test_data else { return router };
    let (store, dice) = (of(), RefCell::new(SplitMix::new(seed)));
    router.route_any("/gift/add_test_data", move |_, deferral| {
        deferral.later(|responder| {
            let write = Write::Send { gift: random_gift(&mut dice.borrow_mut()), key: None };
            let render = |written: Result<Written, StoreError>| match written {
                Ok(Written::Done { .. }) => Response::json(wire::SUCCESS),
                other => written_response(other),
            };
            store.write(write, Box::new(move |written| responder.send(render(written))));
        })
    })
}

/// Adds the operator's gift calls.
#[must_use]
pub fn operator_routes(router: Router, store: &Arc<dyn Store>, options: &ApiOptions) -> Router {
    let store = Arc::clone(store);
    let config: Arc<[u8]> = wire::config(&options.config).into();
    router
        .route(Method::Post, "/gift/revoke", move |request, deferral| {
            write(&*store, decode::revoke(request), deferral)
        })
        .route(Method::Get, "/gift/config", move |_, _| {
            Answer::now(Response::json(Arc::clone(&config)))
        })
}

fn write(store: &dyn Store, write: Result<Write, FieldError>, deferral: Deferral<'_>) -> Answer {
    match write {
        Err(error) => Answer::now(refused(&error)),
        Ok(write) => deferral.later(|responder| {
            store.write(write, Box::new(move |written| responder.send(written_response(written))));
        }),
    }
}

/// A handler that decodes the query and asks the store.
fn read(
    store: Arc<dyn Store>,
    decode: fn(&str) -> Result<Read, FieldError>,
) -> impl Fn(&Request<'_>, Deferral<'_>) -> Answer {
    move |request, deferral| match decode(request.query) {
        Err(error) => Answer::now(refused(&error)),
        Ok(read) => {
            let render = move |found| found_response(read, found);
            ask(&*store, read, deferral, render, render)
        }
    }
}

/// Asks the store; `now` makes the response when it knows at once, and `later` otherwise.
fn ask(
    store: &dyn Store,
    read: Read,
    deferral: Deferral<'_>,
    now: impl FnOnce(Found) -> Response,
    later: impl FnOnce(Found) -> Response + Send + 'static,
) -> Answer {
    deferral.now_or_later(
        |later| store.read(read, later),
        |found, _| found.map_or_else(failed, now),
        move |found| found.map_or_else(failed, later),
    )
}

fn answer_top(
    store: &dyn Store,
    (cache, bodies): (&TopCache, &Arc<TopBodies>),
    request: &Request<'_>,
    deferral: Deferral<'_>,
) -> Answer {
    let query = match decode::top(request.query) {
        Ok(query) => query,
        Err(error) => return Answer::now(refused(&error)),
    };
    if let Some(body) = cache.get(&query) {
        return Answer::now(Response::json(body));
    }
    let (version, read) = (store.version(), Read::Top(query));
    let now = |found| match found {
        Found::Top { places, span, .. } => {
            Response::json(cache.encode(version, query, &places, span))
        }
        other => found_response(read, other),
    };
    let bodies = Arc::clone(bodies);
    ask(store, read, deferral, now, move |found| match found {
        Found::Top { places, span, .. } => Response::json(bodies.encode(&places, span)),
        other => found_response(read, other),
    })
}

/// What `GET /gift/stream` with this query follows.
pub fn topic(streams: &Streams, query: &str) -> Result<Arc<dyn Topic>, FieldError> {
    let (period, num) = decode::stream(query)?;
    Ok(streams.topic(period, num))
}

fn follow(streams: &Streams, request: &Request<'_>) -> Answer {
    let topic = match topic(streams, request.query) {
        Ok(topic) => topic,
        Err(error) => return Answer::now(refused(&error)),
    };
    Answer::stream(topic, last_event_id(request))
}

fn refused(error: &FieldError) -> Response {
    Response::error(Status::BAD_REQUEST, &error.to_string())
}

fn failed(error: StoreError) -> Response {
    match error {
        StoreError::Unavailable => Response::unavailable("gifts cannot be reached, try again"),
        StoreError::Broken => Response::error(Status::INTERNAL_ERROR, "internal error"),
    }
}

fn written_response(written: Result<Written, StoreError>) -> Response {
    let conflict = |why| Response::error(Status::CONFLICT, why);
    match written {
        Err(error) => failed(error),
        Ok(Written::Done { entry, replayed }) => {
            let encode = if entry.revokes.is_some() { wire::revoked } else { wire::sent };
            let response = Response::json(encode(&entry));
            if replayed { response.with_header("Idempotent-Replayed", "true") } else { response }
        }
        Ok(Written::Overflow) => conflict("worth: the total would leave the range of an i64"),
        Ok(Written::KeyConflict) => conflict("the idempotency key was used for another request"),
        Ok(Written::UnknownGift) => Response::error(Status::NOT_FOUND, "id: no such gift"),
        Ok(Written::NotAGift) => conflict("id: a revoke cannot be revoked"),
        Ok(Written::Degraded(written)) => {
            written_response(Ok(*written)).with_header("X-Degraded", "redis")
        }
    }
}

fn found_response(read: Read, found: Found) -> Response {
    let not_found = |why| Response::error(Status::NOT_FOUND, why);
    let body: Body = match found {
        Found::Top { places, span, .. } => Representation::new(wire::top(&places, span)).into(),
        Found::Future => {
            return refused(&FieldError::new("at", "unix seconds, not in the future"));
        }
        Found::NotKept => return not_found("at: the board of that time is no longer kept"),
        Found::Rank(Some(standing)) => wire::standing(&standing).into(),
        Found::Rank(None) => return not_found("id: the anchor is not on this board"),
        Found::Worth(total) => match (total, read) {
            (Some(total), Read::Worth { anchor_id }) => wire::worth(anchor_id, total).into(),
            _ => return not_found("id: the anchor never had a gift"),
        },
        Found::Journal { entries, next } => wire::journal(&entries, next).into(),
        Found::Fans(places) => wire::fans(&places).into(),
        Found::Stale { found, age } => {
            return found_response(read, *found).stale(age);
        }
    };
    Response::json(body)
}

/// Gifts for trying things out: nobody's money depends on them.
fn random_gift(dice: &mut SplitMix) -> Gift {
    Gift {
        audience_id: dice.within(1_000..=1_999),
        anchor_id: dice.within(1..=99),
        worth: dice.within(1..=9),
    }
}
