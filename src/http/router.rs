//! Finds the handler of a request by path and method; answers 404, 405 and OPTIONS by itself.

use super::Service;
use super::percent;
use super::query::Query;
use super::request::{Method, Request};
use super::responder::{Answer, Deferral};
use super::response::{Response, Status};
use super::route::Route;
use super::route_stats::{Place, RouteStats};
use super::slow_log::{SlowLog, SlowRequest};
use super::times::Times;
use std::collections::BTreeSet;
use std::rc::Rc;
use std::sync::Arc;

/// Answers the requests of one route.
pub type Handler = Box<dyn Fn(&Request<'_>, Deferral<'_>) -> Answer>;

/// Makes the error answers below a prefix, where the contract wants another envelope.
pub type ErrorRenderer = fn(Status, &str) -> Response;

/// Routes, built once at start.
///
/// A path without placeholders is found first, by its raw bytes; then the routes are tried in the
/// order of precedence: from the left, text before a placeholder. The first that matches decides:
/// a method that it lacks is 405, even if a less precise route has it.
#[derive(Default)]
pub struct Router {
    /// Sorted by segments, hence by precedence.
    routes: Vec<Route>,
    /// Routes without placeholders, by the length of their path: most requests need one look.
    by_length: Vec<Vec<usize>>,
    renderers: Vec<(Box<str>, ErrorRenderer)>,
    stats: Option<Arc<RouteStats>>,
    slow: Option<Arc<SlowLog>>,
}

impl Router {
    /// A router without routes: all is 404.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a handler. Placeholders in braces match one segment that is not empty, and reach the
    /// handler decoded, in order, in [`Request::params`]. GET also answers HEAD.
    ///
    /// # Panics
    /// On a malformed pattern, or one that has this method already.
    #[must_use]
    pub fn route(
        mut self,
        method: Method,
        pattern: &str,
        handler: impl Fn(&Request<'_>, Deferral<'_>) -> Answer + 'static,
    ) -> Self {
        let number = u16::try_from(self.routes.len() + 1).expect("a program has few routes");
        let route = Route::new(pattern, number);
        let found = self.routes.binary_search_by(|other| other.segments.cmp(&route.segments));
        let index = found.unwrap_or_else(|index| {
            self.routes.insert(index, route);
            index
        });
        let route = &mut self.routes[index];
        let is_new = route.handlers.iter().all(|(other, _)| *other != method);
        assert!(is_new, "{pattern} has two handlers for one method");
        route.handlers.push((method, Box::new(handler)));
        self.index_static_paths();
        self
    }

    /// Adds one handler for GET, POST, PUT, PATCH and DELETE.
    #[must_use]
    pub fn route_any(
        mut self,
        pattern: &str,
        handler: impl Fn(&Request<'_>, Deferral<'_>) -> Answer + 'static,
    ) -> Self {
        let handler = Rc::new(handler);
        let all = [Method::Get, Method::Post, Method::Put, Method::Patch, Method::Delete];
        for method in all {
            let handler = Rc::clone(&handler);
            self = self.route(method, pattern, move |request, deferral| handler(request, deferral));
        }
        self
    }

    /// Lets `renderer` make the router's own error answers for `prefix` and what is below it.
    #[must_use]
    pub fn errors(mut self, prefix: &str, renderer: ErrorRenderer) -> Self {
        self.renderers.push((prefix.into(), renderer));
        // The longest prefix is the first that fits.
        self.renderers.sort_by_key(|(prefix, _)| std::cmp::Reverse(prefix.len()));
        self
    }

    /// Counts the answers of all routes from now on, and notes those that take long; to be called
    /// when the routes are complete.
    #[must_use]
    pub fn counted(mut self, slow: &Arc<SlowLog>) -> (Self, Arc<RouteStats>) {
        let mut routes: Vec<&Route> = self.routes.iter().collect();
        routes.sort_by_key(|route| route.number);
        let stats = RouteStats::new(routes.into_iter().map(|route| route.pattern.clone()));
        self.stats = Some(Arc::clone(&stats));
        self.slow = Some(Arc::clone(slow));
        (self, stats)
    }

    /// Every method and pattern, in the order of precedence.
    pub fn routes(&self) -> impl Iterator<Item = (Method, &str)> {
        let routes = self.routes.iter();
        routes.flat_map(|route| {
            route.handlers.iter().map(move |(method, _)| (*method, &*route.pattern))
        })
    }

    fn index_static_paths(&mut self) {
        self.by_length.clear();
        for (index, route) in self.routes.iter().enumerate().filter(|(_, route)| route.is_static())
        {
            let length = route.pattern.len();
            if self.by_length.len() <= length {
                self.by_length.resize(length + 1, Vec::new());
            }
            self.by_length[length].push(index);
        }
    }

    fn find_static(&self, path: &str) -> Option<&Route> {
        let candidates = self.by_length.get(path.len())?;
        candidates.iter().map(|&index| &self.routes[index]).find(|route| *route.pattern == *path)
    }

    /// Tries the routes in order, with what their placeholders match.
    fn call_matching(&self, request: &Request<'_>, deferral: Deferral<'_>) -> Answer {
        let relative = request.path.strip_prefix('/').unwrap_or(request.path);
        let is_encoded = memchr::memchr(b'%', relative.as_bytes()).is_some();
        if is_encoded && !relative.split('/').all(is_clean) {
            return self.refuse(request, Status::BAD_REQUEST, "the path is malformed");
        }
        for route in &self.routes {
            if let Some(params) = route.matches(relative, percent::decode) {
                let request = Request { params: params.as_slice(), ..*request };
                return self.call_route(route, &request, deferral);
            }
        }
        self.refuse(request, Status::NOT_FOUND, "no such path")
    }

    fn call_route(&self, route: &Route, request: &Request<'_>, deferral: Deferral<'_>) -> Answer {
        let mut answer = self.call_handler(route, request, deferral);
        answer.place = Place::of(route.number, request.method);
        answer
    }

    fn call_handler(&self, route: &Route, request: &Request<'_>, deferral: Deferral<'_>) -> Answer {
        if let Some(handler) = route.handler(request.method) {
            return handler(request, deferral);
        }
        let allow = allowed([route]);
        if request.method == Method::Options {
            return options(&allow);
        }
        let why = "the method is not allowed here";
        let render = self.renderer_of(request.path);
        Answer::now(render(Status::METHOD_NOT_ALLOWED, why).with_header("Allow", &allow))
    }

    /// An error in the words of whoever the path belongs to, for a request that no route sees.
    pub fn refuse(&self, request: &Request<'_>, status: Status, why: &str) -> Answer {
        let answer = Answer::now(self.renderer_of(request.path)(status, why));
        Answer { place: Place::of(0, request.method), ..answer }
    }

    fn renderer_of(&self, path: &str) -> ErrorRenderer {
        let fits = |prefix: &str| {
            let below = path.strip_prefix(prefix);
            below.is_some_and(|below| below.is_empty() || below.starts_with('/'))
        };
        let found = self.renderers.iter().find(|(prefix, _)| fits(prefix));
        found.map_or(Response::error, |(_, renderer)| *renderer)
    }
}

/// True for a segment that decodes to text without control characters.
fn is_clean(segment: &str) -> bool {
    percent::decode(segment).is_some_and(|text| !text.chars().any(char::is_control))
}

/// The value of `Allow`, sorted.
fn allowed<'a>(routes: impl IntoIterator<Item = &'a Route>) -> String {
    let handlers = routes.into_iter().flat_map(|route| &route.handlers);
    let mut tokens: BTreeSet<_> = handlers.map(|(method, _)| method.token()).collect();
    if tokens.contains("GET") {
        tokens.insert("HEAD");
    }
    tokens.insert("OPTIONS");
    tokens.into_iter().collect::<Vec<_>>().join(", ")
}

fn options(allow: &str) -> Answer {
    let response = Response { status: Status::NO_CONTENT, ..Response::default() };
    Answer::now(response.with_header("Allow", allow))
}

impl Service for Router {
    fn call(&self, request: &Request<'_>, deferral: Deferral<'_>) -> Answer {
        // Also where no handler looks: what is malformed anywhere is refused.
        if memchr::memchr(b'%', request.query.as_bytes()).is_some()
            && let Err(error) = Query::new(request.query).get("")
        {
            return self.refuse(request, Status::BAD_REQUEST, &error.to_string());
        }
        match self.find_static(request.path) {
            Some(route) => self.call_route(route, request, deferral),
            None if request.path == "*" => options(&allowed(&self.routes)),
            None => self.call_matching(request, deferral),
        }
    }

    fn renderer(&self, path: &str) -> ErrorRenderer {
        self.renderer_of(path)
    }

    fn answered(&self, place: Place, code: u16, times: Option<&Times>) {
        let Some(stats) = &self.stats else { return };
        stats.count(place, code, times.map(|times| times.total));
        if let (Some(slow), Some(times)) = (&self.slow, times)
            && slow.is_slow(times)
        {
            let (route, method) = stats.names(place);
            slow.push(SlowRequest { route: route.into(), method, status: code, times: *times });
        }
    }
}
