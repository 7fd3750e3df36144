//! Gifts in this process: their store as configured, their calls, their figures.

use super::domain::{Domain, Ground, Served};
use super::figures::Record;
use crate::calendar::Keep;
use crate::config::Config;
use crate::exec::Notifier;
use crate::gift::Store;
use crate::gift::api::{self, ApiOptions, ConfigView};
use crate::gift::local::{LocalGifts, LocalOptions};
use crate::gift::stream::Streams;
use crate::http::{FieldError, Router};
use crate::ops::{Kind, Metrics, Page, Part};
use crate::session::Topic;
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

    fn topic(&self, query: &str) -> Result<Option<Arc<dyn Topic>>, FieldError> {
        api::topic(&self.options.streams, query).map(Some)
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
    Record {
        store: "gift",
        newest: figures.journal_position,
        folded: figures.checkpoint_position,
        keys_held: figures.keys_held,
        health: gifts.health(),
        commits: &figures.commits,
    }
    .write(page);
}
