//! The HTTP edge of counters: routes, and what each outcome looks like as a response.

use super::decode::{self, Dialect};
use super::hot_cache::{Asked, HotCache};
use super::stream::Streams;
use super::wire::{self, Named};
use super::{Found, Read, Store, Types, Write, Written};
use crate::http::{
    Answer, Body, Deferral, FieldError, Method, Request, Response, Router, Status, last_event_id,
};
use crate::session::Topic;
use crate::store::{Clock, StoreError};
use std::sync::Arc;

/// Public calls that ask with POST and change nothing.
pub const READING_POSTS: &[&str] = &["/api/v1/counter/batch"];

/// Below this the public listener's errors have the counters' own shape.
const PREFIX: &str = "/api/v1";

/// What the routes need beside the store.
#[derive(Clone)]
pub struct ApiOptions {
    /// Tells the `timestamp` of answers.
    pub clock: Arc<dyn Clock>,
    /// Which types count users.
    pub types: Arc<Types>,
    /// The topics of `GET /api/v1/counter/stream`, shared by all loops.
    pub streams: Arc<Streams>,
}

/// What every handler of one loop needs. Each loop has its own, so that the loops do not count
/// references to the same thing.
struct Calls {
    store: Arc<dyn Store>,
    options: ApiOptions,
    /// Makes the error answers: clients and operators read different ones.
    error: fn(Status, &str) -> Response,
    hot_cache: HotCache,
}

type Decoded<T> = Result<T, FieldError>;

/// Adds the public counter calls.
#[must_use]
pub fn public_routes(router: Router, store: &Arc<dyn Store>, options: &ApiOptions) -> Router {
    let calls = Arc::new(Calls::new(store, options, wire::error));
    let of = || Arc::clone(&calls);
    let streams = Arc::clone(&options.streams);
    let (adds, reads, batches, hots, asks, leaves) = (of(), of(), of(), of(), of(), of());
    router
        .errors(PREFIX, wire::error)
        .errors("/health", wire::error)
        .route(Method::Post, "/api/v1/counter/increment", move |request, deferral| {
            let decoded = decode::increment(&adds.options.types, request);
            adds.write(decoded, deferral, counted)
        })
        .route(
            Method::Get,
            "/api/v1/counter/{resource_id}/{counter_type}",
            move |request, deferral| reads.count(decode::count(request), deferral),
        )
        .route(Method::Post, "/api/v1/counter/batch", move |request, deferral| {
            batches.batch(decode::batch(request), deferral)
        })
        .route(Method::Get, "/api/v1/counter/hot/{counter_type}", move |request, deferral| {
            hots.hot(decode::hot(request), deferral)
        })
        .route(Method::Get, "/api/v1/counter/stream", move |request, _| follow(&streams, request))
        .route(Method::Get, USERS, move |request, deferral| {
            asks.is_counted(decode::is_counted(request), deferral)
        })
        .route(Method::Delete, USERS, move |request, deferral| {
            leaves.write(decode::leave(request), deferral, counted)
        })
}

const USERS: &str = "/api/v1/counter/{resource_id}/{counter_type}/users/{user_id}";

/// Adds the operator's counter calls.
#[must_use]
pub fn operator_routes(router: Router, store: &Arc<dyn Store>, options: &ApiOptions) -> Router {
    let calls = Arc::new(Calls::new(store, options, Response::error));
    let recounts = Arc::clone(&calls);
    router
        .route(Method::Post, "/api/v1/counter/recount", move |request, deferral| {
            let decoded = decode::recount(&recounts.options.types, request);
            recounts.write(decoded, deferral, corrected)
        })
        .route(Method::Post, "/api/v1/counter/reset", move |request, deferral| {
            calls.write(decode::reset(request), deferral, corrected)
        })
}

/// What `GET /api/v1/counter/stream` with this query follows; `None` when it names no type.
pub fn topic(streams: &Streams, query: &str) -> Result<Option<Arc<dyn Topic>>, FieldError> {
    let list = decode::stream(query)?;
    Ok(list.map(|(counter_type, period, num)| streams.topic(counter_type, period, num)))
}

fn follow(streams: &Streams, request: &Request<'_>) -> Answer {
    let refused =
        |error: &FieldError| Answer::now(wire::error(Status::BAD_REQUEST, &error.to_string()));
    match topic(streams, request.query) {
        Ok(Some(topic)) => Answer::stream(topic, last_event_id(request)),
        Ok(None) => refused(&FieldError::required("type", "the name of a counter type")),
        Err(error) => refused(&error),
    }
}

/// How the outcome of a write that took place is told: count, correction, second.
type Told = fn(&Named, Option<i64>, i64, i64) -> Vec<u8>;

fn counted(named: &Named, count: Option<i64>, _: i64, now_s: i64) -> Vec<u8> {
    wire::count(named, count, now_s)
}

fn corrected(named: &Named, count: Option<i64>, correction: i64, now_s: i64) -> Vec<u8> {
    wire::corrected(named, count, correction, now_s)
}

impl Calls {
    fn new(
        store: &Arc<dyn Store>,
        options: &ApiOptions,
        error: fn(Status, &str) -> Response,
    ) -> Self {
        let (store, options) = (Arc::clone(store), options.clone());
        Self { store, options, error, hot_cache: HotCache::default() }
    }

    fn write(
        self: &Arc<Self>,
        decoded: Decoded<(Named, Write)>,
        deferral: Deferral<'_>,
        told: Told,
    ) -> Answer {
        let (named, write) = match decoded {
            Ok(decoded) => decoded,
            Err(error) => return self.refuse(&error),
        };
        let calls = Arc::clone(self);
        deferral.later(|responder| {
            let then = move |written| responder.send(calls.written(&named, &written, told));
            self.store.write(write, Box::new(then));
        })
    }

    fn count(self: &Arc<Self>, decoded: Decoded<(Named, Read)>, deferral: Deferral<'_>) -> Answer {
        match decoded {
            Err(error) => self.refuse(&error),
            Ok((named, read)) => self.read(&read, deferral, move |found, now_s| match found {
                Found::Count(count) => Some(wire::count(&named, Some(count), now_s).into()),
                _ => None,
            }),
        }
    }

    fn batch(
        self: &Arc<Self>,
        decoded: Decoded<(Dialect, Vec<Named>)>,
        deferral: Deferral<'_>,
    ) -> Answer {
        let (dialect, named) = match decoded {
            Ok(decoded) => decoded,
            Err(error) => return self.refuse(&error),
        };
        let encode = if dialect == Dialect::Items { wire::items } else { wire::queries };
        let read = Read::Counts(named.iter().map(|named| named.counter.clone()).collect());
        self.read(&read, deferral, move |found, now_s| match found {
            Found::Counts(counts) => Some(encode(&named, &counts, now_s).into()),
            _ => None,
        })
    }

    fn hot(self: &Arc<Self>, decoded: Decoded<(Asked, Read)>, deferral: Deferral<'_>) -> Answer {
        match decoded {
            Err(error) => self.refuse(&error),
            Ok((asked, read)) => {
                let calls = Arc::clone(self);
                self.read(&read, deferral, move |found, _| match found {
                    Found::Hot(places) => Some(calls.hot_cache.body(&asked, places).into()),
                    _ => None,
                })
            }
        }
    }

    fn is_counted(self: &Arc<Self>, decoded: Decoded<Read>, deferral: Deferral<'_>) -> Answer {
        match decoded {
            Err(error) => self.refuse(&error),
            Ok(read) => self.read(&read, deferral, |found, _| match found {
                Found::IsCounted(counted) => Some(wire::is_counted(counted).into()),
                _ => None,
            }),
        }
    }

    /// Asks the store. `encode` gets what it found, and the second of the answer.
    fn read(
        self: &Arc<Self>,
        read: &Read,
        deferral: Deferral<'_>,
        encode: impl FnOnce(Found, i64) -> Option<Body> + Send + 'static,
    ) -> Answer {
        let calls = Arc::clone(self);
        let render = move |found: Result<Found, StoreError>| {
            let (found, age) = match found {
                Ok(Found::Stale { found, age }) => (Ok(*found), Some(age)),
                found => (found, None),
            };
            let response = match found.map(|found| encode(found, calls.now_s())) {
                Ok(Some(body)) => Response::json(body),
                Ok(None) => calls.failed(StoreError::Broken),
                Err(error) => calls.failed(error),
            };
            match age {
                Some(age) => response.stale(age),
                None => response,
            }
        };
        deferral.now_or_later(
            |later| self.store.read(read, later),
            |found, render| render(found),
            render,
        )
    }

    fn written(
        &self,
        named: &Named,
        written: &Result<Written, StoreError>,
        told: Told,
    ) -> Response {
        let conflict = |why| (self.error)(Status::CONFLICT, why);
        match *written {
            Err(error) => self.failed(error),
            Ok(Written::Done { count, correction, replayed }) => {
                let response = Response::json(told(named, count, correction, self.now_s()));
                let response = match count {
                    None => response.with_header("X-Degraded", "redis"),
                    Some(_) => response,
                };
                if replayed {
                    response.with_header("Idempotent-Replayed", "true")
                } else {
                    response
                }
            }
            Ok(Written::Overflow) => {
                conflict("increment: the count would leave the range of an i64")
            }
            Ok(Written::KeyConflict) => {
                conflict("the idempotency key was used for another request")
            }
            Ok(Written::UnknownCounter) => {
                (self.error)(Status::NOT_FOUND, "there is no such counter")
            }
            Ok(Written::Full) => {
                (self.error)(Status::UNAVAILABLE, "there are as many counters or users as may be")
                    .with_header("Retry-After", "60")
            }
        }
    }

    fn refuse(&self, error: &FieldError) -> Answer {
        Answer::now((self.error)(Status::BAD_REQUEST, &error.to_string()))
    }

    fn failed(&self, error: StoreError) -> Response {
        match error {
            StoreError::Unavailable => {
                (self.error)(Status::UNAVAILABLE, "counters cannot be reached, try again")
                    .with_header("Retry-After", "1")
            }
            StoreError::Broken => (self.error)(Status::INTERNAL_ERROR, "internal error"),
        }
    }

    fn now_s(&self) -> i64 {
        self.options.clock.now_us().div_euclid(1_000_000)
    }
}
