//! Red packets of a cluster in this process: their store as configured, the rain of the file, calls
//! and figures.

use super::domain::{Domain, Served};
use super::driven;
use super::packet::{expire_after, gate, make_rain, write_snatches};
use crate::cluster::Lanes;
use crate::config::Config;
use crate::http::{FieldError, JsonTopic, Router};
use crate::ops::{Kind, Metrics, Page, Part};
use crate::packet::cluster::{ClusterOptions, ClusterPackets};
use crate::packet::{Store, api, stream};
use crate::session::Topic;
use crate::store::SystemClock;
use std::error::Error;
use std::sync::Arc;

/// Opens the store over the lanes, and makes the rain that the configuration names.
pub(super) fn open(config: &Config, lanes: &Lanes) -> Result<Domain, Box<dyn Error>> {
    let (store, threads) = ClusterPackets::open(lanes, &cluster_options(config))?;
    let made = make_rain(&*store, &config.rain);
    let auditor = store.auditor();
    let known = Arc::clone(&store);
    let part = Part::new("packet", move || {
        let why = "the newest rain is not known yet";
        (!known.is_known()).then(|| why.to_owned())
    });
    let shared: Arc<dyn Store> = Arc::clone(&store) as Arc<dyn Store>;
    let stream = Arc::new(stream::topic(&shared, Arc::new(SystemClock)));
    let served = Arc::new(PacketsOnCluster { store, shared, stream });
    made?;
    Ok(Domain { served, part, auditor, threads })
}

fn cluster_options(config: &Config) -> ClusterOptions {
    ClusterOptions {
        expire_after: expire_after(config),
        tag: format!("{}:rain", config.cluster.prefix),
        rains: config.cluster.rains.clone(),
        deadline: config.cluster.deadline.0,
        op_patience: driven::op_patience(config),
        ..ClusterOptions::new(gate(&config.rain))
    }
}

struct PacketsOnCluster {
    store: Arc<ClusterPackets>,
    /// The same store, as its calls know it.
    shared: Arc<dyn Store>,
    stream: Arc<JsonTopic>,
}

impl Served for PacketsOnCluster {
    fn public_routes(&self, router: Router) -> Router {
        api::public_routes(router, &self.shared, &self.stream)
    }

    fn reading_posts(&self) -> &'static [&'static str] {
        api::READING_POSTS
    }

    fn operator_routes(&self, router: Router) -> Router {
        api::operator_routes(router, &self.shared)
    }

    fn topic(&self, _: &str) -> Result<Option<Arc<dyn Topic>>, FieldError> {
        Ok(Some(Arc::clone(&self.stream) as Arc<dyn Topic>))
    }

    fn show(&self, metrics: &mut Metrics) {
        let executors = Arc::clone(&self.store);
        metrics.add_executors(move || executors.executors().into());
        let packets = Arc::clone(&self.store);
        metrics.add_source(move |page| write_figures(page, &packets));
    }
}

/// The newest rain as this process last saw it, and the snatches that it answered.
fn write_figures(page: &mut Page, packets: &ClusterPackets) {
    let figures = packets.figures();
    write_snatches(page, figures.snatches);
    let mut one = |name, help, value: i64| {
        page.family(name, Kind::Gauge, help).value(&[], value);
    };
    let help = "Packets of the newest rain that users got.";
    one("fanfare_rain_handed_out_packets", help, figures.handed_count);
    let help = "Packets of the newest rain that are left.";
    one("fanfare_rain_left_packets", help, figures.left_count);
    one("fanfare_rain_hit_ppm", "Winning draws of a million.", figures.hit_ppm);
    one("fanfare_rain_version", "The newest version of the rain's terms.", figures.version);
    let help = "Users who snatched within the last seconds.";
    let limited = i64::try_from(figures.limited_users).unwrap_or(i64::MAX);
    one("fanfare_rain_limited_users", help, limited);
    let help = "Times that Redis had forgotten what it handed out, and the pool was made anew.";
    page.family("fanfare_rain_pools_rebuilt_total", Kind::Counter, help)
        .value(&[], figures.rebuilt);
}
