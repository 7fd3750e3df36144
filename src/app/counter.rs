//! Counters in this process: their store as configured, their calls, their figures.

use super::domain::{Domain, Ground, Served};
use super::figures::Record;
use crate::config::Config;
use crate::counter::api::{self, ApiOptions};
use crate::counter::local::{LocalCounters, LocalOptions};
use crate::counter::stream::Streams;
use crate::counter::{Id, Store, Types};
use crate::http::{FieldError, Router};
use crate::ops::{Kind, Metrics, Page, Part};
use crate::session::Topic;
use crate::store::{Clock, SystemClock};
use std::error::Error;
use std::sync::Arc;

/// Opens the store that the configuration names.
pub(super) fn open(ground: &Ground<'_>) -> Result<Domain, Box<dyn Error>> {
    let Ground { config, folder, notifier } = ground;
    let options = LocalOptions { notifier: Arc::clone(notifier), ..local_options(config) };
    let (store, threads) = LocalCounters::open(folder, &options)?;
    let auditor = store.auditor()?;
    let health = Arc::clone(&store);
    let part = Part::new("counter", move || health.health().stopped().map(str::to_owned));
    let shared: Arc<dyn Store> = Arc::clone(&store) as Arc<dyn Store>;
    let options = api_options(config, &shared);
    let configured = configured_types(config);
    let served = Arc::new(Counters { local: store, shared, options, configured });
    Ok(Domain { served, part, auditor, threads })
}

/// How the counter store is to be run; also for tools that work on its files.
pub(super) fn local_options(config: &Config) -> LocalOptions {
    LocalOptions {
        zone: config.time_zone.clone(),
        idempotency_keep: config.idempotency.keep.0,
        types: types(config),
        ..LocalOptions::default()
    }
}

/// Which types count users.
pub(super) fn types(config: &Config) -> Arc<Types> {
    let types = config.counter.types.iter();
    let unique = types.filter(|(_, counter_type)| counter_type.unique).map(|(name, _)| id(name));
    Arc::new(Types { unique: unique.collect() })
}

/// What the calls need beside the store.
pub(super) fn api_options(config: &Config, counters: &Arc<dyn Store>) -> ApiOptions {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let streams = Arc::new(Streams::new(Arc::clone(counters), Arc::clone(&clock)));
    ApiOptions { clock, types: types(config), streams }
}

/// The types that may be labels, with the labels.
fn configured_types(config: &Config) -> Vec<(Id, String)> {
    config.counter.types.keys().map(|name| (id(name), name.clone())).collect()
}

fn id(name: &str) -> Id {
    Id::from_text(name).expect("the configuration has checked the names of types")
}

struct Counters {
    local: Arc<LocalCounters>,
    /// The same store, as its calls know it.
    shared: Arc<dyn Store>,
    options: ApiOptions,
    configured: Vec<(Id, String)>,
}

impl Served for Counters {
    fn public_routes(&self, router: Router) -> Router {
        api::public_routes(router, &self.shared, &self.options)
    }

    fn reading_posts(&self) -> &'static [&'static str] {
        api::READING_POSTS
    }

    fn operator_routes(&self, router: Router) -> Router {
        api::operator_routes(router, &self.shared, &self.options)
    }

    fn topic(&self, query: &str) -> Result<Option<Arc<dyn Topic>>, FieldError> {
        api::topic(&self.options.streams, query)
    }

    fn show(&self, metrics: &mut Metrics) {
        let executor = Arc::clone(&self.local);
        metrics.add_executors(move || vec![executor.executor()]);
        let (counters, configured) = (Arc::clone(&self.local), self.configured.clone());
        metrics.add_source(move |page| write_figures(page, &counters, &configured));
    }
}

/// Counters by type, counted users, journal, keys and commits.
fn write_figures(page: &mut Page, counters: &LocalCounters, configured: &[(Id, String)]) {
    let types: Vec<_> = configured.iter().map(|(id, _)| id.clone()).collect();
    let figures = counters.figures(&types);
    page.one("fanfare_counters", Kind::Gauge, "Counters that were ever written.", figures.counters);
    let help = "Users that are counted, by all counters together.";
    page.one("fanfare_counter_users", Kind::Gauge, help, figures.users);
    let help = "Counters of a configured type.";
    let mut of_type = page.family("fanfare_counters_of_type", Kind::Gauge, help);
    for ((_, name), count) in configured.iter().zip(&figures.of_types) {
        of_type.value(&[("type", name)], count);
    }
    Record {
        store: "counter",
        newest: figures.journal_position,
        folded: figures.folded_position,
        keys_held: figures.keys_held,
        health: counters.health(),
        commits: &figures.commits,
    }
    .write(page);
}
