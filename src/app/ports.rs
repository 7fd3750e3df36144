//! What each loop serves: the public HTTP port, the TLV port, and on the first loop the operator's.

use super::Listeners;
use super::documents::{self, Calls, Documents};
use super::domain::Served;
use super::http_port::HttpPort;
use super::trade::Trades;
use crate::access::{Door, Paths, Rules};
use crate::config::{self, Config, Layout};
use crate::exec::{Follower, Notifier, Outbox, Published};
use crate::hello::Directory;
use crate::http::{
    Answer, FieldError, HttpLimits, HttpOptions, Method, Request, Router, Service, SlowLog,
};
use crate::limits::{TLV_DATA_BYTES_MAX, WRITE_TIMEOUT};
use crate::log::LevelSwitch;
use crate::net::{ConnectionLimit, EventLoop, PortOptions, Protocol};
use crate::openapi::Listener;
use crate::ops::audit::Audits;
use crate::ops::pprof::Profiling;
use crate::ops::{self, Desk, Gate, Metrics, Readiness};
use crate::session::{ConnId, HttpDate, Topic, Turn};
use crate::tlv::{self, TlvReply, TlvSession};
use crate::trade::api::Properties;
use crate::web;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::AtomicI64;

/// Connections of the operator's listener; a person, a few scrapers.
const ADMIN_CONNECTIONS_MAX: usize = 128;

/// Calls that need no token, beside the pages: for load balancers, and for who wants to know how to ask.
const FREE_PATHS: [&str; 3] = ["/health", "/api/v1/health", "/openapi.json"];

/// Everything that all loops share.
pub(super) struct Shared {
    pub(super) config: Config,
    pub(super) notifier: Arc<Notifier>,
    pub(super) domains: Vec<Arc<dyn Served>>,
    pub(super) trades: Option<Arc<Trades>>,
    pub(super) documents: Documents,
    /// Who may call the public listener.
    pub(super) rules: Arc<Published<Rules>>,
    pub(super) audits: Audits,
    pub(super) directory: Directory,
    pub(super) readiness: Arc<Readiness>,
    pub(super) ports: Ports,
    pub(super) metrics: Arc<Metrics>,
    pub(super) desk: Desk,
    pub(super) profiling: Profiling,
    /// For the live page.
    pub(super) rates: Arc<dyn Topic>,
    pub(super) slow: Arc<SlowLog>,
    pub(super) level: LevelSwitch,
    /// A developer's machine: profiles on the public listener too.
    pub(super) dev: bool,
}

impl Shared {
    /// Everything that the live page shows.
    fn topics(&self, query: &str) -> Result<Vec<Arc<dyn Topic>>, FieldError> {
        let domains = self.domains.iter().map(|domain| domain.topic(query));
        let mut topics: Vec<_> = domains.filter_map(Result::transpose).collect::<Result<_, _>>()?;
        topics.push(Arc::clone(&self.rates));
        Ok(topics)
    }
}

/// Limits and counters that hold over all loops.
pub(super) struct Ports {
    http: Arc<ConnectionLimit>,
    tlv: Arc<ConnectionLimit>,
    admin: Arc<ConnectionLimit>,
    uids: Arc<AtomicI64>,
}

impl Ports {
    pub(super) fn new(config: &Config) -> Self {
        Self {
            http: Arc::new(ConnectionLimit::new(config.http.max_connections)),
            tlv: Arc::new(ConnectionLimit::new(config.tlv.max_connections)),
            admin: Arc::new(ConnectionLimit::new(ADMIN_CONNECTIONS_MAX)),
            uids: Arc::default(),
        }
    }

    /// Adds the limits to what the operator sees.
    pub(super) fn show(&self, metrics: &mut Metrics) {
        for (listener, limit) in [("http", &self.http), ("tlv", &self.tlv), ("admin", &self.admin)]
        {
            metrics.add_limit(listener, Arc::clone(limit));
        }
    }
}

/// Gives a loop its ports. Runs on the loop's thread.
pub(super) fn add(
    event_loop: &mut EventLoop,
    listeners: Listeners,
    shared: &Arc<Shared>,
) -> io::Result<()> {
    let config = &shared.config;
    let options = Rc::new(http_options(config));
    let write_timeout = config.http.write_timeout.0;
    let port = |limit: &Arc<ConnectionLimit>, notifier| PortOptions {
        limit: Arc::clone(limit),
        write_timeout,
        notifier,
    };
    let reading_posts = shared.domains.iter().flat_map(|domain| domain.reading_posts().iter());
    let router = public_routes(shared);
    let public_calls = documents::calls(Listener::Public, &router);
    let router = described(router, Listener::Public, &public_calls, shared);
    let router = counted(router, "http", shared);
    let paths = Paths {
        reading_posts: reading_posts.copied().collect(),
        free: FREE_PATHS.into_iter().chain(web::paths()).collect(),
    };
    let door = Door::new(router, &shared.rules, paths);
    let public = HttpPort::new(Rc::new(door), Rc::clone(&options));
    let notifier = Some(&*shared.notifier);
    event_loop.add_port(listeners.http, public, port(&shared.ports.http, notifier))?;
    if let Some(listener) = listeners.admin {
        let router = operator_routes(shared);
        let mut calls = documents::calls(Listener::Operator, &router);
        calls.extend(public_calls);
        let router = described(router, Listener::Operator, &calls, shared);
        let service: Rc<dyn Service> = Rc::new(counted(router, "admin", shared));
        let rules = Follower::new(&shared.rules);
        let is_callers_token = Box::new(move |request: &Request<'_>| rules.get().knows(request));
        let service = Gate::around(service, config.admin.token.expose(), is_callers_token);
        event_loop.add_watching_port(
            listener,
            HttpPort::new(service, options),
            port(&shared.ports.admin, None),
        )?;
    }
    let tlv = Tlv { shared: Arc::clone(shared), port: None };
    let limit = Arc::clone(&shared.ports.tlv);
    let options = PortOptions { limit, write_timeout: WRITE_TIMEOUT, notifier: None };
    let outbox = event_loop.add_port(listeners.tlv, tlv, options)?;
    if let Some(trades) = &shared.trades {
        trades.add_loop(outbox);
    }
    Ok(())
}

fn public_routes(shared: &Arc<Shared>) -> Router {
    let hello = Arc::clone(shared);
    let router = ops::health(Router::new())
        .route(Method::Get, "/hello", move |_, _| Answer::now(hello.directory.hello()));
    let domains = shared.domains.iter();
    let mut router = domains.fold(router, |router, domain| domain.public_routes(router));
    let live = Arc::clone(shared);
    router = web::routes(router, move |query| live.topics(query));
    if shared.dev {
        router = ops::pprof::routes(router, &shared.profiling, &shared.desk);
    }
    router
}

fn operator_routes(shared: &Arc<Shared>) -> Router {
    let router = ops::routes(Router::new(), &shared.readiness);
    let router = ops::audit::route(router, &shared.audits);
    let router = ops::metrics_routes(router, &shared.metrics, &shared.desk);
    let router = ops::pprof::routes(router, &shared.profiling, &shared.desk);
    let router = ops::slow::routes(router, &shared.slow, &shared.desk);
    let router = ops::log_level::routes(router, &shared.level, &shared.desk);
    let domains = shared.domains.iter();
    domains.fold(router, |router, domain| domain.operator_routes(router))
}

/// Adds the description of these calls; the operator's has the public ones too.
fn described(router: Router, listener: Listener, calls: &Calls, shared: &Shared) -> Router {
    shared.documents.add_to(router, listener, calls)
}

/// The complete router of a listener, its answers shown to the operator.
fn counted(router: Router, listener: &'static str, shared: &Shared) -> Router {
    let (router, stats) = router.counted(&shared.slow);
    shared.metrics.add_routes(listener, stats);
    router
}

fn http_options(config: &Config) -> HttpOptions {
    let http = &config.http;
    HttpOptions {
        limits: HttpLimits {
            request_line_bytes: http.max_request_line,
            header_bytes: http.max_header_bytes,
            header_count: http.max_header_count,
            body_bytes: http.max_body,
        },
        idle_timeout: http.idle_timeout.0,
        head_timeout: http.head_timeout.0,
        body_timeout: http.body_timeout.0,
        server_timing: config.server_timing,
        ..HttpOptions::default()
    }
}

type Room = tlv::Router<Properties>;

/// The trading room's port.
struct Tlv {
    shared: Arc<Shared>,
    /// Made with the first connection, which brings the outbox.
    port: Option<Rc<tlv::Port<Room>>>,
}

impl Protocol for Tlv {
    type Session = TlvSession<Room>;

    fn open(
        &mut self,
        conn: ConnId,
        _: SocketAddr,
        outbox: &Outbox<TlvReply>,
        turn: &mut Turn<'_>,
    ) -> TlvSession<Room> {
        let shared = &self.shared;
        let port = self.port.get_or_insert_with(|| {
            let config = &shared.config.tlv;
            let uids = Arc::clone(&shared.ports.uids);
            let room = shared.trades.as_ref();
            // Without a room heartbeats are answered, and every other message is refused.
            let router = room.map_or_else(tlv::Router::new, |trades| trades.router());
            let stats = tlv::MessageStats::new(router.ids());
            shared.metrics.add_messages(Arc::clone(&stats));
            let port = tlv::Port::new(router, outbox.clone(), uids)
                .with_stats(stats)
                .with_layout(layout(config))
                .with_data_bytes_max(config.max_data)
                .with_queue_bytes_max(config.max_queue)
                .with_idle(config.idle.0.map(|idle| idle.0));
            Rc::new(port)
        });
        TlvSession::new(conn, Rc::clone(port), turn.now)
    }

    /// In the layout that is configured; nobody knows yet which one the client speaks.
    fn refusal(&self, _: &HttpDate) -> Vec<u8> {
        let layout = layout(&self.shared.config.tlv).unwrap_or(tlv::Layout::Big);
        layout.frame(&tlv::Frame::error(0, "busy", "there are too many connections"))
    }
}

/// `None` finds out.
fn layout(config: &config::Tlv) -> Option<tlv::Layout> {
    match config.layout {
        Layout::Auto => None,
        Layout::Big => Some(tlv::Layout::Big),
        Layout::Little => Some(tlv::Layout::Little),
    }
}

const _: () = assert!(TLV_DATA_BYTES_MAX <= tlv::Layout::DETECTABLE_DATA_BYTES_MAX);
