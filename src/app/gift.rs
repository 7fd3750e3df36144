//! Gifts in this process: their store as configured, their calls, their figures.

use super::domain::{Domain, Ground, Served};
use crate::calendar::Keep;
use crate::config::Config;
use crate::exec::Notifier;
use crate::gift::Store;
use crate::gift::api::{self, ApiOptions, ConfigView};
use crate::gift::local::{LocalGifts, LocalOptions};
use crate::gift::stream::Streams;
use crate::http::Router;
use crate::ops::{Kind, Metrics, Page, Part};
use crate::store::{Clock, SystemClock};
use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

/// Opens the store that the configuration names.
pub(super) fn open(ground: &Ground<'_>) -> Result<Domain, Box<dyn Error>> {
    let Ground { config, folder, notifier } = ground;
    let (store, threads) = LocalGifts::open(folder, &local_options(config, notifier))?;
    let auditor = store.auditor()?;
    let health = Arc::clone(&store);
    let part = Part::new("gift", move || health.health().stopped().map(str::to_owned));
    let shared: Arc<dyn Store> = Arc::clone(&store) as Arc<dyn Store>;
    let options = api_options(config, &shared);
    let served = Arc::new(Gifts { local: store, shared, options });
    Ok(Domain { served, part, auditor, threads })
}

/// How the gift store is to be run; also for tools that work on its files.
pub(super) fn local_options(config: &Config, notifier: &Arc<Notifier>) -> LocalOptions {
    LocalOptions {
        zone: config.time_zone.clone(),
        keep: keep(config),
        idempotency_keep: config.idempotency.keep.0,
        readers: config.readers,
        ..LocalOptions::new(Arc::clone(notifier))
    }
}

/// How long boards of past periods are kept.
pub(super) fn keep(config: &Config) -> Keep {
    let keep = &config.gift.keep;
    let seconds = |span: &Duration| i64::try_from(span.as_secs()).unwrap_or(i64::MAX);
    Keep { hour_s: seconds(&keep.hour), day_s: seconds(&keep.day), week_s: seconds(&keep.week) }
}

/// What the calls need beside the store.
pub(super) fn api_options(config: &Config, gifts: &Arc<dyn Store>) -> ApiOptions {
    let clock = Arc::new(SystemClock);
    // Test data are random gifts, other ones after each start.
    let seed = clock.now_us().unsigned_abs();
    ApiOptions {
        streams: Arc::new(Streams::new(Arc::clone(gifts))),
        test_data: config.dev.test_data.then_some(seed),
        config: ConfigView { backend: "local".to_owned(), ..ConfigView::default() },
        clock,
    }
}

struct Gifts {
    local: Arc<LocalGifts>,
    /// The same store, as its calls know it.
    shared: Arc<dyn Store>,
    options: ApiOptions,
}

impl Served for Gifts {
    fn public_routes(&self, router: Router) -> Router {
        api::public_routes(router, &self.shared, &self.options)
    }

    fn operator_routes(&self, router: Router) -> Router {
        api::operator_routes(router, &self.shared, &self.options)
    }

    fn show(&self, metrics: &mut Metrics) {
        let executors = Arc::clone(&self.local);
        metrics.add_executors(move || executors.executors().into());
        let gifts = Arc::clone(&self.local);
        metrics.add_source(move |page| write_figures(page, &gifts));
    }
}

/// Boards, journal, keys and commits.
fn write_figures(page: &mut Page, gifts: &LocalGifts) {
    let figures = gifts.figures();
    let mut board = |name, help, value: usize| {
        page.family(name, Kind::Gauge, help).value(&[("board", "gift")], value);
    };
    let help = "Places on the board of all time.";
    board("fanfare_board_places", help, figures.listed);
    let help = "Boards of hours, days and weeks that are kept.";
    board("fanfare_board_spans", help, figures.span_boards);
    let (newest, folded) = (figures.journal_position, figures.checkpoint_position);
    let mut store = |name, help, value: i64| {
        page.family(name, Kind::Gauge, help).value(&[("store", "gift")], value);
    };
    store("fanfare_journal_position", "Number of the newest durable journal entry.", newest);
    let help = "Number of the newest journal entry in the checkpoint.";
    store("fanfare_checkpoint_position", help, folded);
    let help = "Journal entries that the checkpoint does not contain yet.";
    store("fanfare_checkpoint_lag_entries", help, (newest - folded).max(0));
    let help = "Request keys that a retry would be known by.";
    store("fanfare_idempotency_keys", help, i64::try_from(figures.keys_held).unwrap_or(i64::MAX));
    let help = "1 when the store takes no more writes, because its disk failed.";
    let stopped = gifts.health().stopped().is_some();
    store("fanfare_store_stopped", help, i64::from(stopped));
    let help = "From the first row of a commit until it is durable, or has failed.";
    page.family("fanfare_store_commit_duration_seconds", Kind::Histogram, help)
        .durations(&[("store", "gift")], &figures.commits);
}
