//! The trading room in this process: its store as configured, its messages, its figures.

use super::domain::{Domain, Ground, Served};
use crate::config::{Backend, Config};
use crate::exec::Outbox;
use crate::http::{self, FieldError, JsonTopic};
use crate::ops::{Kind, Metrics, Page, Part};
use crate::session::Topic;
use crate::store::{Clock, SystemClock};
use crate::tlv::{Router, TlvReply};
use crate::trade::activity;
use crate::trade::api::{self, ApiOptions, Properties};
use crate::trade::local::{LocalOptions, LocalTrades};
use crate::trade::sim::{self, Simulator};
use crate::trade::{Room, Store};
use std::error::Error;
use std::sync::Arc;

/// Opens the room. It lives in one process, whatever the backend of the other domains is.
pub(super) fn open(ground: &Ground<'_>) -> Result<(Domain, Arc<Trades>), Box<dyn Error>> {
    let Ground { config, folder, .. } = ground;
    if config.backend != Backend::Local {
        tracing::warn!("the trading room lives in this process alone, not in the cluster");
    }
    let room = Room::new();
    let options = local_options(config, &room);
    let lot = options.lot;
    let (store, mut threads) = LocalTrades::open(folder, &options)?;
    let auditor = store.auditor()?;
    let health = Arc::clone(&store);
    let part = Part::new("trade", move || health.health().stopped().map(str::to_owned));
    let shared: Arc<dyn Store> = Arc::clone(&store) as Arc<dyn Store>;
    room.serve(&shared);
    if config.trade.sim.rate > 0 {
        let simulator = Simulator::new(SystemClock.now_us().unsigned_abs(), lot);
        threads.add(sim::start(&shared, simulator, config.trade.sim.rate as u64)?);
    }
    let options = ApiOptions {
        room,
        data_bytes_max: config.tlv.max_data,
        lot,
        keep_pushes: i64::try_from(config.trade.keep_pushes).unwrap_or(i64::MAX),
        presence: config.trade.presence,
    };
    let online = Arc::clone(&options.room);
    let activity = Arc::clone(options.room.activity());
    let stream = activity::topic(activity, Arc::new(SystemClock), move || online.customers());
    let served = Arc::new(Trades { local: store, shared, options, stream: Arc::new(stream) });
    let domain = Domain { served: Arc::clone(&served) as Arc<dyn Served>, part, auditor, threads };
    Ok((domain, served))
}

pub(super) fn local_options(config: &Config, room: &Arc<Room>) -> LocalOptions {
    LocalOptions {
        lot: i64::try_from(config.trade.lot).unwrap_or(i64::MAX),
        idempotency_keep: config.idempotency.keep.0,
        readers: config.readers,
        ..LocalOptions::new(Arc::clone(room) as _)
    }
}

/// The room as the loops and the operator see it.
pub(super) struct Trades {
    local: Arc<LocalTrades>,
    /// The same store, as its messages know it.
    shared: Arc<dyn Store>,
    options: ApiOptions,
    /// What the room does as a whole.
    stream: Arc<JsonTopic>,
}

impl Trades {
    /// The messages of the room, for one loop.
    pub(super) fn router(&self) -> Router<Properties> {
        api::router(&self.shared, &self.options)
    }

    /// Lets the room push to the connections of a loop.
    pub(super) fn add_loop(&self, outbox: Outbox<TlvReply>) {
        self.options.room.everyone().add_loop(outbox);
    }
}

impl Served for Trades {
    /// Its public listener is that of TLV; HTTP shows what everybody may know.
    fn public_routes(&self, router: http::Router) -> http::Router {
        api::public_routes(router, &self.stream)
    }

    fn operator_routes(&self, router: http::Router) -> http::Router {
        api::operator_routes(router, &self.shared)
    }

    fn topic(&self, _: &str) -> Result<Option<Arc<dyn Topic>>, FieldError> {
        Ok(Some(Arc::clone(&self.stream) as Arc<dyn Topic>))
    }

    fn show(&self, metrics: &mut Metrics) {
        let executors = Arc::clone(&self.local);
        metrics.add_executors(move || executors.executors().into());
        let (trades, room) = (Arc::clone(&self.local), Arc::clone(&self.options.room));
        metrics.add_source(move |page| write_figures(page, &trades, &room));
    }
}

/// Customers, journal, keys and commits.
fn write_figures(page: &mut Page, trades: &LocalTrades, room: &Room) {
    let figures = trades.figures();
    let help = "Customers who ever traded.";
    page.one("fanfare_trade_customers", Kind::Gauge, help, figures.customers);
    let help = "Customers with a connection that is logged in.";
    page.one("fanfare_trade_customers_online", Kind::Gauge, help, room.customers());
    let mut store = |name, help, value: i64| {
        page.family(name, Kind::Gauge, help).value(&[("store", "trade")], value);
    };
    let help = "Number of the newest durable journal entry.";
    store("fanfare_journal_position", help, figures.journal_position);
    let help = "Request keys that a retry would be known by.";
    store("fanfare_idempotency_keys", help, i64::try_from(figures.keys_held).unwrap_or(i64::MAX));
    let help = "1 when the store takes no more writes, because its disk failed.";
    let stopped = trades.health().stopped().is_some();
    store("fanfare_store_stopped", help, i64::from(stopped));
    let help = "From the first row of a commit until it is durable, or has failed.";
    page.family("fanfare_store_commit_duration_seconds", Kind::Histogram, help)
        .durations(&[("store", "trade")], &figures.commits);
}
