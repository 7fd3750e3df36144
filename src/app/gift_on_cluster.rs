//! Gifts of a cluster in this process: their store as configured, their calls, their figures.

use super::domain::{Domain, Served};
use super::driven::{self, Driven};
use super::gift::{api_options, keep};
use super::rebuild_calls;
use crate::cluster::Lanes;
use crate::config::Config;
use crate::exec::Notifier;
use crate::gift::Store;
use crate::gift::api::{self, ApiOptions, ConfigView};
use crate::gift::cluster::{ClusterGifts, ClusterOptions, Rules};
use crate::http::{FieldError, Router};
use crate::ops::{Metrics, Part};
use crate::session::Topic;
use crate::store::SystemClock;
use std::error::Error;
use std::sync::Arc;

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
    ClusterOptions {
        zone: config.time_zone.clone(),
        keep: keep(config),
        expiry_margin_s: Rules::EXPIRY_MARGIN_S,
        tag: format!("{}:gift", config.cluster.prefix),
        journal: config.cluster.gifts.clone(),
        tuning: driven::tuning(config),
        deadline: config.cluster.deadline.0,
        stale_max: config.cluster.stale_max.0,
        op_patience: driven::op_patience(config),
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
        let store = Arc::clone(&self.store);
        let router = api::operator_routes(router, &self.shared, &self.options);
        driven::rebuild_routes(router, rebuild_calls::BOARDS, self.store.figures(), move || {
            store.rebuild();
        })
    }

    fn topic(&self, query: &str) -> Result<Option<Arc<dyn Topic>>, FieldError> {
        api::topic(&self.options.streams, query).map(Some)
    }

    fn show(&self, metrics: &mut Metrics) {
        let (store, lanes) = (Arc::clone(&self.store), self.lanes.clone());
        metrics.add_source(move |page| {
            let (is_fresh, pending) = (store.is_fresh(), store.pending());
            Driven { store: "gift", figures: store.figures(), is_fresh, pending }.write(page);
            driven::write_lanes(page, &lanes);
        });
    }
}
