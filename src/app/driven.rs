//! What every domain on the cluster shows of its driver, and how an operator has it rebuilt.

use crate::cluster::{Figures, Lanes, Tuning};
use crate::config::Config;
use crate::http::{Answer, Method, Response, Router};
use crate::ops::{Kind, Page};
use serde_json::json;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// How a driver is to be run, as configured.
pub(super) fn tuning(config: &Config) -> Tuning {
    Tuning::taking_over_after(config.cluster.takeover.0)
}

/// Until a server is found, a connection is made, and the server gives up.
pub(super) fn op_patience(config: &Config) -> Duration {
    config.mongo.connect_timeout.0 * 2 + config.mongo.operation_timeout.0
}

/// Adds `POST path`, which begins a rebuild, and `GET path`, which tells how far it is.
pub(super) fn rebuild_routes(
    router: Router,
    path: &'static str,
    figures: &Arc<Figures>,
    begin: impl Fn() + Send + Sync + 'static,
) -> Router {
    let (asked, seen) = (Arc::clone(figures), Arc::clone(figures));
    router
        .route(Method::Post, path, move |_, _| {
            // The count first: the answer tells what the count must exceed.
            let answer = rebuild_state(&asked);
            begin();
            Answer::now(answer)
        })
        .route(Method::Get, path, move |_, _| Answer::now(rebuild_state(&seen)))
}

/// Batches read and to be read by a rebuild under way, and how many were finished.
fn rebuild_state(figures: &Figures) -> Response {
    let [read, of] = [0, 1].map(|part| figures.rebuild[part].load(Ordering::Relaxed));
    let data = json!({ "read": read, "of": of, "finished": figures.rebuilt.get() });
    Response::json(json!({ "code": 0, "message": "success", "data": data }).to_string())
}

/// A driver at a scrape.
pub(super) struct Driven<'a> {
    /// Its name, a label.
    pub(super) store: &'static str,
    pub(super) figures: &'a Figures,
    /// Reads can be answered without a mark.
    pub(super) is_fresh: bool,
    /// Writes without an answer.
    pub(super) pending: usize,
}

impl Driven<'_> {
    /// Adds its figures to the families that all drivers share.
    pub(super) fn write(&self, page: &mut Page) {
        let &Self { store, figures, .. } = self;
        let mut of_store = |name, kind, help, value: u64| {
            page.family(name, kind, help).value(&[("store", store)], value);
        };
        let help =
            "Batches in the journal that are not known to be in the view: how far fences lag.";
        let lag = figures.lag_batches.load(Ordering::Relaxed);
        of_store("fanfare_cluster_fence_lag_batches", Kind::Gauge, help, lag);
        let help = "1 while writes are acknowledged before the view shows them.";
        let behind = u64::from(figures.is_behind.load(Ordering::Relaxed));
        of_store("fanfare_cluster_behind", Kind::Gauge, help, behind);
        let help = "1 while reads of the view can be answered without a mark.";
        of_store("fanfare_cluster_fresh", Kind::Gauge, help, u64::from(self.is_fresh));
        let help = "Writes without an answer.";
        of_store("fanfare_cluster_pending_writes", Kind::Gauge, help, self.pending as u64);
        let help = "Writes acknowledged before the view showed them.";
        of_store("fanfare_cluster_degraded_total", Kind::Counter, help, figures.degraded.get());
        let help = "Writes that were not answered before cluster.deadline.";
        of_store("fanfare_cluster_late_total", Kind::Counter, help, figures.late.get());
        let help = "How often others took this process for gone.";
        of_store("fanfare_cluster_retired_total", Kind::Counter, help, figures.retired.get());
        let help = "Journal documents inserted together.";
        page.family("fanfare_cluster_round_documents", Kind::Histogram, help)
            .histogram(&[("store", store)], &figures.rounds.tally());
        let help = "From handing a command to a lane until its answer, reads of the view aside.";
        let mut trips = page.family("fanfare_backend_round_trip_seconds", Kind::Histogram, help);
        for (backend, trip) in [("mongo", &figures.mongo), ("redis", &figures.redis)] {
            trips.durations(&[("backend", backend), ("store", store)], &trip.tally());
        }
    }
}

/// The lanes that all drivers share.
pub(super) fn write_lanes(page: &mut Page, lanes: &Lanes) {
    let help = "Jobs that wait for a thread of a lane.";
    let mut depths = page.family("fanfare_lane_depth", Kind::Gauge, help);
    depths.value(&[("backend", "mongo")], lanes.mongo.depth());
    depths.value(&[("backend", "redis")], lanes.redis.depth());
}
