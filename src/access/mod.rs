//! The door of the public listener: who may call what, and how often, and which scripts may read
//! the answers. Open unless the operator says otherwise.

mod cors;
mod forwarded;
mod rate;
mod rules;
pub mod token;

pub use rules::Rules;

use crate::exec::{Follower, Published};
use crate::http::{
    Answer, Deferral, ErrorRenderer, Method, Place, Request, Router, Service, Status, Times,
};
use rules::{Need, Refusal};
use std::sync::Arc;

/// A router behind the rules of access.
pub struct Door {
    router: Router,
    rules: Follower<Rules>,
    paths: Paths,
}

/// What the door knows of the calls behind it.
#[derive(Clone, Debug, Default)]
pub struct Paths {
    /// Calls that ask with POST because their question is long: they need `read` alone.
    pub reading_posts: Vec<&'static str>,
    /// What anybody may have without a token, since it tells nothing.
    pub free: Vec<&'static str>,
}

impl Door {
    /// The door before `router`, under whatever rules are in effect at each request.
    pub fn new(router: Router, rules: &Arc<Published<Rules>>, paths: Paths) -> Self {
        Self { router, rules: Follower::new(rules), paths }
    }

    fn need(&self, request: &Request<'_>) -> Need {
        // A browser asks first, and without credentials.
        if request.method == Method::Options || self.paths.free.contains(&request.path) {
            return Need::Nothing;
        }
        let is_question =
            request.method == Method::Post && self.paths.reading_posts.contains(&request.path);
        if request.method.is_safe() || is_question { Need::Read } else { Need::Write }
    }

    fn refuse(&self, request: &Request<'_>, refusal: Refusal) -> Answer {
        let refuse = |status, why| self.router.refuse(request, status, why);
        match refusal {
            Refusal::Unauthorized => {
                let answer = refuse(Status::UNAUTHORIZED, "a token is needed, as a bearer");
                answer.with_header("WWW-Authenticate", "Bearer")
            }
            Refusal::Forbidden => {
                let answer = refuse(Status::FORBIDDEN, "the token's scope is too small");
                let value = "Bearer error=\"insufficient_scope\"";
                answer.with_header("WWW-Authenticate", value)
            }
            Refusal::TooMany(wait) => {
                let answer = refuse(Status::TOO_MANY_REQUESTS, "too many requests");
                // Rounded up: who comes back in that time must find a place.
                let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
                answer.with_header("Retry-After", &seconds.max(1).to_string())
            }
        }
    }
}

impl Service for Door {
    fn call(&self, request: &Request<'_>, deferral: Deferral<'_>) -> Answer {
        let rules = self.rules.get();
        if rules.is_open {
            return self.router.call(request, deferral);
        }
        let answer = match rules.check(request, self.need(request)) {
            Ok(()) => self.router.call(request, deferral),
            Err(refusal) => self.refuse(request, refusal),
        };
        match rules.cors.fields(request) {
            Some(fields) => answer.with_fields(fields),
            None => answer,
        }
    }

    fn renderer(&self, path: &str) -> ErrorRenderer {
        self.router.renderer(path)
    }

    fn answered(&self, place: Place, code: u16, times: Option<&Times>) {
        self.router.answered(place, code, times);
    }
}
