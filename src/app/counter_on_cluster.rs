//! Counters of a cluster in this process: their store as configured, their calls, their figures.

use super::counter::{api_options, types};
use super::domain::{Domain, Served};
use super::driven::{self, Driven};
use super::rebuild_calls;
use crate::cluster::Lanes;
use crate::config::Config;
use crate::counter::Store;
use crate::counter::api::{self, ApiOptions};
use crate::counter::cluster::{ClusterCounters, ClusterOptions, Rules};
use crate::exec::Notifier;
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
    let (store, threads) = ClusterCounters::open(lanes, cluster_options(config, notifier))?;
    let store = Arc::new(store);
    let auditor = store.auditor();
    let fresh = Arc::clone(&store);
    let part = Part::new("counter", move || {
        let why = "its figures may lack what was acknowledged lately; answers say so";
        (!fresh.is_fresh()).then(|| why.to_owned())
    });
    let shared: Arc<dyn Store> = Arc::clone(&store) as Arc<dyn Store>;
    let options = api_options(config, &shared);
    let served = Arc::new(CountersOnCluster { store, shared, options });
    Ok(Domain { served, part, auditor, threads })
}

fn cluster_options(config: &Config, notifier: &Arc<Notifier>) -> ClusterOptions {
    ClusterOptions {
        zone: config.time_zone.clone(),
        expiry_margin_s: Rules::EXPIRY_MARGIN_S,
        types: types(config),
        tag: format!("{}:counter", config.cluster.prefix),
        journal: config.cluster.counters.clone(),
        tuning: driven::tuning(config),
        deadline: config.cluster.deadline.0,
        stale_max: config.cluster.stale_max.0,
        op_patience: driven::op_patience(config),
        clock: Arc::new(SystemClock),
        notifier: Arc::clone(notifier),
    }
}

struct CountersOnCluster {
    store: Arc<ClusterCounters>,
    /// The same store, as its calls know it.
    shared: Arc<dyn Store>,
    options: ApiOptions,
}

impl Served for CountersOnCluster {
    fn public_routes(&self, router: Router) -> Router {
        api::public_routes(router, &self.shared, &self.options)
    }

    fn reading_posts(&self) -> &'static [&'static str] {
        api::READING_POSTS
    }

    fn operator_routes(&self, router: Router) -> Router {
        let store = Arc::clone(&self.store);
        let router = api::operator_routes(router, &self.shared, &self.options);
        driven::rebuild_routes(router, rebuild_calls::COUNTERS, self.store.figures(), move || {
            store.rebuild();
        })
    }

    fn topic(&self, query: &str) -> Result<Option<Arc<dyn Topic>>, FieldError> {
        api::topic(&self.options.streams, query)
    }

    fn show(&self, metrics: &mut Metrics) {
        let store = Arc::clone(&self.store);
        metrics.add_source(move |page| {
            let (is_fresh, pending) = (store.is_fresh(), store.pending());
            Driven { store: "counter", figures: store.figures(), is_fresh, pending }.write(page);
        });
    }
}
