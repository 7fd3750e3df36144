//! Gifts of a cluster in this process: their store as configured, their calls, their figures.

use super::domain::{Domain, Served};
use super::gift::{api_options, keep};
use crate::cluster::{Lanes, Tuning};
use crate::config::Config;
use crate::exec::Notifier;
use crate::gift::Store;
use crate::gift::api::{self, ApiOptions, ConfigView};
use crate::gift::cluster::{ClusterGifts, ClusterOptions, Rules};
use crate::http::{Answer, FieldError, Method, Response, Router};
use crate::ops::{Kind, Metrics, Page, Part};
use crate::session::Topic;
use crate::store::SystemClock;
use serde_json::json;
use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// Opens the store over the lanes.
pub(super) fn open(
    config: &Config,
    lanes: &Lanes,
    notifier: &Arc<Notifier>,
) -> Result<Domain, Box<dyn Error>> {
    let (store, threads) = ClusterGifts::open(lanes, cluster_options(config, notifier))?;
    let store = Arc::new(store);
    let auditor = store.auditor();
    let fresh = Arc::clone(&store);
    let part = Part::new("gift", move || {
        let why = "its boards may lack what was acknowledged lately; answers say so";
        (!fresh.is_fresh()).then(|| why.to_owned())
    });
    let shared: Arc<dyn Store> = Arc::clone(&store) as Arc<dyn Store>;
    let view = ConfigView {
        backend: "cluster".to_owned(),
        redis: config.cluster.redis.shown_each(),
        mongo: vec![config.cluster.mongo.shown()],
    };
    let options = ApiOptions { config: view, ..api_options(config, &shared) };
    let lanes = lanes.clone();
    let served = Arc::new(GiftsOnCluster { store, shared, options, lanes });
    Ok(Domain { served, part, auditor, threads })
}

fn cluster_options(config: &Config, notifier: &Arc<Notifier>) -> ClusterOptions {
    let mongo = &config.mongo;
    ClusterOptions {
        zone: config.time_zone.clone(),
        keep: keep(config),
        expiry_margin_s: Rules::EXPIRY_MARGIN_S,
        tag: format!("{}:gift", config.cluster.prefix),
        journal: config.cluster.gifts.clone(),
        tuning: Tuning::taking_over_after(config.cluster.takeover.0),
        deadline: config.cluster.deadline.0,
        stale_max: config.cluster.stale_max.0,
        // Until a server is found, a connection is made, and the server gives up.
        op_patience: mongo.connect_timeout.0 * 2 + mongo.operation_timeout.0,
        clock: Arc::new(SystemClock),
        notifier: Arc::clone(notifier),
    }
}

struct GiftsOnCluster {
    store: Arc<ClusterGifts>,
    /// The same store, as its calls know it.
    shared: Arc<dyn Store>,
    options: ApiOptions,
    lanes: Lanes,
}

impl Served for GiftsOnCluster {
    fn public_routes(&self, router: Router) -> Router {
        api::public_routes(router, &self.shared, &self.options)
    }

    fn operator_routes(&self, router: Router) -> Router {
        let (asked, seen) = (Arc::clone(&self.store), Arc::clone(&self.store));
        api::operator_routes(router, &self.shared, &self.options)
            .route(Method::Post, "/gift/rebuild", move |_, _| {
                // The count first: the answer tells what the count must exceed.
                let answer = rebuild_state(&asked);
                asked.rebuild();
                Answer::now(answer)
            })
            .route(Method::Get, "/gift/rebuild", move |_, _| Answer::now(rebuild_state(&seen)))
    }

    fn topic(&self, query: &str) -> Result<Option<Arc<dyn Topic>>, FieldError> {
        api::topic(&self.options.streams, query).map(Some)
    }

    fn show(&self, metrics: &mut Metrics) {
        let (store, lanes) = (Arc::clone(&self.store), self.lanes.clone());
        metrics.add_source(move |page| write_figures(page, &store, &lanes));
    }
}

/// Batches read and to be read by a rebuild under way, and how many were finished.
fn rebuild_state(store: &ClusterGifts) -> Response {
    let figures = store.figures();
    let [read, of] = [0, 1].map(|part| figures.rebuild[part].load(Ordering::Relaxed));
    let data = json!({ "read": read, "of": of, "finished": figures.rebuilt.get() });
    Response::json(json!({ "code": 0, "message": "success", "data": data }).to_string())
}

fn write_figures(page: &mut Page, store: &ClusterGifts, lanes: &Lanes) {
    let figures = store.figures();
    let mut of_store = |name, kind, help, value: u64| {
        page.family(name, kind, help).value(&[("store", "gift")], value);
    };
    let help = "Batches in the journal that are not known to be on the boards: how far fences lag.";
    let lag = figures.lag_batches.load(Ordering::Relaxed);
    of_store("fanfare_cluster_fence_lag_batches", Kind::Gauge, help, lag);
    let help = "1 while writes are acknowledged before the boards show them.";
    let behind = u64::from(figures.is_behind.load(Ordering::Relaxed));
    of_store("fanfare_cluster_behind", Kind::Gauge, help, behind);
    let help = "1 while board reads can be answered without a mark.";
    of_store("fanfare_cluster_fresh", Kind::Gauge, help, u64::from(store.is_fresh()));
    let help = "Writes without an answer.";
    of_store("fanfare_cluster_pending_writes", Kind::Gauge, help, store.pending() as u64);
    let help = "Writes acknowledged before the boards showed them.";
    of_store("fanfare_cluster_degraded_total", Kind::Counter, help, figures.degraded.get());
    let help = "Writes that were not answered before cluster.deadline.";
    of_store("fanfare_cluster_late_total", Kind::Counter, help, figures.late.get());
    let help = "How often others took this process for gone.";
    of_store("fanfare_cluster_retired_total", Kind::Counter, help, figures.retired.get());
    let help = "Journal documents inserted together.";
    page.family("fanfare_cluster_round_documents", Kind::Histogram, help)
        .histogram(&[("store", "gift")], &figures.rounds.tally());
    let help = "From handing a command to a lane until its answer, board reads aside.";
    let mut trips = page.family("fanfare_backend_round_trip_seconds", Kind::Histogram, help);
    for (backend, trip) in [("mongo", &figures.mongo), ("redis", &figures.redis)] {
        trips.durations(&[("backend", backend), ("store", "gift")], &trip.tally());
    }
    let help = "Jobs that wait for a thread of a lane.";
    let mut depths = page.family("fanfare_lane_depth", Kind::Gauge, help);
    depths.value(&[("backend", "mongo")], lanes.mongo.depth());
    depths.value(&[("backend", "redis")], lanes.redis.depth());
}
