//! `GET /metrics`: the figures of all loops, executors and stores, added up when they are asked for.
//!
//! Nothing here is on the way of a request. Loops and workers count in places of their own, each
//! with one writer; the page reads them.

use super::desk::Desk;
use super::page::{Family, Kind, Labels, Page};
use super::process::Process;
use crate::exec::Executor;
use crate::http::{Answer, ContentType, Method, Response, RouteStats, Router};
use crate::meter::{Counter, Tally};
use crate::net::{ConnectionLimit, LoopStats};
use crate::tlv::MessageStats;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Writes families of its own.
type Source = Box<dyn Fn(&mut Page) + Send + Sync>;
/// Tells how the executors of a part stand.
type Executors = Box<dyn Fn() -> Vec<Executor> + Send + Sync>;

/// Where the figures come from; shared by all loops.
pub struct Metrics {
    process: Process,
    /// Added to once per loop, at its start.
    loops: Mutex<Loops>,
    limits: Vec<(&'static str, Arc<ConnectionLimit>)>,
    executors: Vec<Executors>,
    sources: Vec<Source>,
}

#[derive(Default)]
struct Loops {
    /// By the loop's number.
    stats: BTreeMap<usize, Arc<LoopStats>>,
    /// By listener; one for each loop.
    routes: Vec<(&'static str, Arc<RouteStats>)>,
    /// Of the trading room; one for each loop that had a connection of it.
    messages: Vec<Arc<MessageStats>>,
}

/// Adds the figures of one kind of request to a family: its labels, durations and shed requests.
type Show = fn(&mut Family<'_>, Labels<'_>, &(Tally, u64));

/// A figure that every loop has: its name, kind, help, and where it stands.
type LoopFigure = (&'static str, Kind, &'static str, fn(&LoopStats) -> &Counter);

const LOOP_FIGURES: &[LoopFigure] = &[
    ("fanfare_connections", Kind::Gauge, "Connections open now.", |stats| &stats.open),
    (
        "fanfare_connections_accepted_total",
        Kind::Counter,
        "Connections accepted and served.",
        |stats| &stats.accepted,
    ),
    (
        "fanfare_connections_refused_total",
        Kind::Counter,
        "Connections turned away: over the limit, or no descriptor left.",
        |stats| &stats.refused,
    ),
    (
        "fanfare_connections_slow_total",
        Kind::Counter,
        "Connections closed because their peer took no bytes.",
        |stats| &stats.closed_slow,
    ),
    (
        "fanfare_connections_panicked_total",
        Kind::Counter,
        "Connections closed because our code panicked.",
        |stats| &stats.panicked,
    ),
    ("fanfare_received_bytes_total", Kind::Counter, "Bytes read from sockets.", |stats| {
        &stats.bytes_in
    }),
    ("fanfare_sent_bytes_total", Kind::Counter, "Bytes written to sockets.", |stats| {
        &stats.bytes_out
    }),
    ("fanfare_loop_turns_total", Kind::Counter, "Turns of the event loop.", |stats| &stats.turns),
];

impl Metrics {
    /// Without any source but the process itself.
    pub fn starting() -> Self {
        let process = Process::starting();
        let (limits, executors, sources) = (Vec::new(), Vec::new(), Vec::new());
        Self { process, loops: Mutex::default(), limits, executors, sources }
    }

    /// Adds the limit of a listener, shown with how much of it is in use.
    pub fn add_limit(&mut self, listener: &'static str, limit: Arc<ConnectionLimit>) {
        self.limits.push((listener, limit));
    }

    /// Adds the executors of a part; asked at every scrape, on the desk's thread.
    pub fn add_executors(&mut self, now: impl Fn() -> Vec<Executor> + Send + Sync + 'static) {
        self.executors.push(Box::new(now));
    }

    /// Adds a part's own families; asked at every scrape, on the desk's thread.
    pub fn add_source(&mut self, source: impl Fn(&mut Page) + Send + Sync + 'static) {
        self.sources.push(Box::new(source));
    }

    /// Adds a loop that has started.
    pub fn add_loop(&self, number: usize, stats: Arc<LoopStats>) {
        self.loops().stats.insert(number, stats);
    }

    /// Adds one loop's routes of a listener.
    pub fn add_routes(&self, listener: &'static str, stats: Arc<RouteStats>) {
        self.loops().routes.push((listener, stats));
    }

    /// Adds one loop's messages of the trading room.
    pub fn add_messages(&self, stats: Arc<MessageStats>) {
        self.loops().messages.push(stats);
    }

    /// How many requests to a route of `listener` were answered with 2xx, on all loops.
    pub fn succeeded(&self, listener: &str, method: Method, pattern: &str) -> u64 {
        let loops = self.loops();
        let stats = loops.routes.iter().filter(|(name, _)| *name == listener);
        stats.map(|(_, stats)| stats.succeeded(method, pattern)).sum()
    }

    /// The page as of now.
    pub fn page(&self) -> String {
        let mut page = Page::default();
        self.write_loops(&mut page);
        self.write_requests(&mut page);
        self.write_messages(&mut page);
        self.write_executors(&mut page);
        for source in &self.sources {
            source(&mut page);
        }
        self.process.write(&mut page);
        let help = "Which program this is; always 1.";
        let build = [("version", env!("CARGO_PKG_VERSION")), ("profile", PROFILE)];
        page.family("fanfare_build_info", Kind::Gauge, help).value(&build, 1);
        page.into_text()
    }

    fn loops(&self) -> MutexGuard<'_, Loops> {
        self.loops.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn write_loops(&self, page: &mut Page) {
        let loops = self.loops();
        for &(name, kind, help, of) in LOOP_FIGURES {
            let mut family = page.family(name, kind, help);
            for (number, stats) in &loops.stats {
                family.value(&[("loop", &number.to_string())], of(stats).get());
            }
        }
        drop(loops);
        let mut family =
            page.family("fanfare_listener_connections", Kind::Gauge, "Connections open now.");
        for (listener, limit) in &self.limits {
            family.value(&[("listener", listener)], limit.open());
        }
        let mut family = page.family(
            "fanfare_listener_connections_max",
            Kind::Gauge,
            "Connections that may be open.",
        );
        for (listener, limit) in &self.limits {
            family.value(&[("listener", listener)], limit.max());
        }
    }

    fn write_requests(&self, page: &mut Page) {
        let loops = self.loops();
        let mut all: BTreeMap<[&str; 4], (Tally, u64)> = BTreeMap::new();
        for (listener, stats) in &loops.routes {
            for line in stats.lines() {
                let key = [*listener, line.route, line.method, line.status];
                let fresh = || (Tally::empty(line.durations.bounds), 0);
                let (durations, shed) = all.entry(key).or_insert_with(fresh);
                durations.add(&line.durations);
                *shed += line.shed;
            }
        }
        let families: [(&str, Kind, &str, Show); 3] = [
            (
                "fanfare_http_requests_total",
                Kind::Counter,
                "Requests answered.",
                |family, at, of| {
                    family.value(at, of.0.count());
                },
            ),
            (
                "fanfare_http_request_duration_seconds",
                Kind::Histogram,
                "From a complete request to its answer. What is answered in the turn of the loop in \
                 which it came counts as 0.",
                |family, at, of| family.durations(at, &of.0),
            ),
            (
                "fanfare_http_requests_shed_total",
                Kind::Counter,
                "Requests answered 503 for want of room or of a store.",
                |family, at, of| {
                    if at[3].1 == "5xx" {
                        family.value(&at[..3], of.1);
                    }
                },
            ),
        ];
        for (name, kind, help, show) in families {
            let mut family = page.family(name, kind, help);
            for ([listener, route, method, status], of) in &all {
                let at = [
                    ("listener", *listener),
                    ("route", *route),
                    ("method", *method),
                    ("status", *status),
                ];
                show(&mut family, &at, of);
            }
        }
    }

    fn write_messages(&self, page: &mut Page) {
        let loops = self.loops();
        // By id, answered and refused; without one, all ids that nobody here answers.
        let mut all: BTreeMap<Option<u32>, [u64; 2]> = BTreeMap::new();
        for line in loops.messages.iter().flat_map(|stats| stats.lines()) {
            let sums = all.entry(line.id).or_default();
            sums[0] += line.answered;
            sums[1] += line.refused;
        }
        let pushes: u64 = loops.messages.iter().map(|stats| stats.pushes()).sum();
        drop(loops);
        let help = "Messages of the trading room that were answered, by id; refused: with an error \
                    frame. Ids that have no meaning are `other`.";
        let mut family = page.family("fanfare_tlv_messages_total", Kind::Counter, help);
        for (id, sums) in all {
            let id = id.map_or_else(|| "other".to_owned(), |id| id.to_string());
            for (outcome, sum) in ["answered", "refused"].into_iter().zip(sums) {
                family.value(&[("message", id.as_str()), ("outcome", outcome)], sum);
            }
        }
        let help = "Frames of the trading room that were pushed, connection by connection.";
        page.one("fanfare_tlv_pushes_total", Kind::Counter, help, pushes);
    }

    fn write_executors(&self, page: &mut Page) {
        let executors: Vec<Executor> = self.executors.iter().flat_map(|now| now()).collect();
        let mut family =
            page.family("fanfare_executor_queue_jobs", Kind::Gauge, "Jobs that wait for a worker.");
        for executor in &executors {
            family.value(&[("executor", executor.name)], executor.depth);
        }
        let help = "Jobs that may wait; one more is refused.";
        let mut family = page.family("fanfare_executor_queue_jobs_max", Kind::Gauge, help);
        for executor in &executors {
            family.value(&[("executor", executor.name)], executor.depth_max);
        }
        let help = "Jobs that a worker took at once.";
        let mut family = page.family("fanfare_executor_batch_jobs", Kind::Histogram, help);
        for executor in &executors {
            family.histogram(&[("executor", executor.name)], &executor.batches);
        }
    }
}

const PROFILE: &str = if cfg!(debug_assertions) { "debug" } else { "release" };

/// `/metrics`.
pub fn routes(router: Router, metrics: &Arc<Metrics>, desk: &Desk) -> Router {
    let (metrics, desk) = (Arc::clone(metrics), desk.clone());
    router.route(Method::Get, "/metrics", move |_, deferral| -> Answer {
        let metrics = Arc::clone(&metrics);
        desk.answer(deferral, move || Response {
            content_type: ContentType::Metrics,
            ..Response::json(metrics.page())
        })
    })
}
