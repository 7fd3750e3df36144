//! Red packets in this process: their store as configured, the rain of the file, calls and figures.

use super::domain::{Domain, Ground, Served};
use crate::config::{self, Config};
use crate::http::{FieldError, JsonTopic, Router};
use crate::ops::{Kind, Metrics, Page, Part};
use crate::packet::api;
use crate::packet::gate::GateOptions;
use crate::packet::local::{LocalOptions, LocalPackets};
use crate::packet::stream;
use crate::packet::{Author, Manage, Managed, Store, Sum, Terms};
use crate::session::Topic;
use crate::store::{Clock, SystemClock};
use std::error::Error;
use std::num::NonZeroU32;
use std::sync::{Arc, mpsc};
use std::time::Duration;

/// Opens the store that the configuration names, and makes the rain that it names.
pub(super) fn open(ground: &Ground<'_>) -> Result<Domain, Box<dyn Error>> {
    let Ground { config, folder, .. } = ground;
    let (store, threads) = LocalPackets::open(folder, &local_options(config))?;
    let made = make_rain(&*store, &config.rain);
    let auditor = store.auditor()?;
    let health = Arc::clone(&store);
    let part = Part::new("packet", move || health.health().stopped().map(str::to_owned));
    let shared: Arc<dyn Store> = Arc::clone(&store) as Arc<dyn Store>;
    let stream = Arc::new(stream::topic(&shared, Arc::new(SystemClock)));
    let served = Arc::new(Packets { local: store, shared, stream });
    made?;
    Ok(Domain { served, part, auditor, threads })
}

fn local_options(config: &Config) -> LocalOptions {
    LocalOptions {
        idempotency_keep: config.idempotency.keep.0,
        expire_after: expire_after(config),
        readers: config.readers,
        ..LocalOptions::new(gate(&config.rain))
    }
}

/// The limits in front of a rain.
pub(super) fn gate(rain: &config::Rain) -> GateOptions {
    let positive = |number: usize| {
        let number = u32::try_from(number).unwrap_or(u32::MAX);
        NonZeroU32::new(number).unwrap_or(NonZeroU32::MIN)
    };
    GateOptions {
        user_rate: positive(rain.user_rate),
        user_burst: positive(rain.user_burst),
        global_rate: positive(rain.global_rate),
        global_burst: positive(rain.global_burst),
    }
}

/// After the end of a rain, until its unopened packets are returned.
pub(super) fn expire_after(config: &Config) -> Option<Duration> {
    let expire_after = config.rain.expire_after.0;
    (!expire_after.is_zero()).then_some(expire_after)
}

/// What the terms of the file say; whether they can be is another matter.
fn terms(rain: &config::Rain) -> Terms {
    Terms {
        total_amount_fen: number(rain.total_amount_fen),
        total_count: number(rain.total_count),
        min_fen: number(rain.min_fen),
        max_fen: number(rain.max_fen),
        win_ppm: number(rain.win_ppm),
        max_per_user: number(rain.max_per_user),
        // The past means now.
        starts_at: rain.starts_at.map_or(0, config::Moment::unix_s),
        ends_at: rain.ends_at.map_or(0, config::Moment::unix_s),
        paused: false,
        pacing: rain.pacing,
    }
}

fn number(number: usize) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// Whether the file's rain is possible, as far as that can be told without the data: an error that
/// names the figures.
pub(super) fn check_rain(rain: &config::Rain) -> Result<(), String> {
    if rain.id == 0 {
        return Ok(());
    }
    terms(rain).check(Sum::default()).map_err(|reason| format!("rain.id = {}: {reason}", rain.id))
}

/// Makes the rain of the file if its id is new; an operator's changes to an old one stay.
pub(super) fn make_rain(store: &dyn Store, rain: &config::Rain) -> Result<(), Box<dyn Error>> {
    if rain.id == 0 {
        return Ok(());
    }
    let (id, terms) = (number(rain.id), terms(rain));
    let reason = "the configuration file".to_owned();
    let manage = Manage::Create { id, terms, by: Author::File, reason, key: None };
    let (sender, receiver) = mpsc::channel();
    store.manage(
        manage,
        Box::new(move |managed| {
            // The other end waits below.
            let _ = sender.send(managed);
        }),
    );
    match receiver.recv()?? {
        // Last night's file starts all the same: the rest of the show does not hang on it.
        Managed::Impossible(_) if terms.ends_at <= SystemClock.now_us() / 1_000_000 => {
            tracing::warn!(rain = id, "not made, since its end (rain.ends_at) has passed");
            Ok(())
        }
        Managed::Impossible(reason) => Err(format!("rain.id = {id}: {reason}").into()),
        Managed::NotEnded { id: other } => {
            tracing::warn!(rain = id, other, "not made, since another rain has not ended");
            Ok(())
        }
        // There was one of this id, or there is now.
        _ => Ok(()),
    }
}

struct Packets {
    local: Arc<LocalPackets>,
    /// The same store, as its calls know it.
    shared: Arc<dyn Store>,
    stream: Arc<JsonTopic>,
}

impl Served for Packets {
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
        let executors = Arc::clone(&self.local);
        metrics.add_executors(move || executors.executors().into());
        let packets = Arc::clone(&self.local);
        metrics.add_source(move |page| write_figures(page, &packets));
    }
}

/// The newest rain, snatches by outcome, limits, keys and commits.
fn write_figures(page: &mut Page, packets: &LocalPackets) {
    let figures = packets.figures();
    write_snatches(page, figures.snatches);
    let mut one = |name, help, value: i64| {
        page.family(name, Kind::Gauge, help).value(&[], value);
    };
    let handed_out = figures.handed_out;
    one(
        "fanfare_rain_handed_out_packets",
        "Packets of the newest rain that users got.",
        handed_out.count,
    );
    one("fanfare_rain_handed_out_fen", "What is in them, in fen.", handed_out.fen);
    one(
        "fanfare_rain_left_packets",
        "Packets of the newest rain that are left.",
        figures.left_count,
    );
    one("fanfare_rain_hit_ppm", "Winning draws of a million.", figures.hit_ppm);
    one("fanfare_rain_version", "The newest version of the rain's terms.", figures.version);
    let count = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
    let limited = figures.limited_users as u64;
    one(
        "fanfare_rain_limited_users",
        "Users who snatched within the last seconds.",
        count(limited),
    );
    let mut store = |name, help, value: i64| {
        page.family(name, Kind::Gauge, help).value(&[("store", "packet")], value);
    };
    let help = "Request keys that a retry would be known by.";
    store("fanfare_idempotency_keys", help, count(figures.keys_held));
    let help = "1 when the store takes no more writes, because its disk failed.";
    let stopped = packets.health().stopped().is_some();
    store("fanfare_store_stopped", help, i64::from(stopped));
    let help = "From the first row of a commit until it is durable, or has failed.";
    page.family("fanfare_store_commit_duration_seconds", Kind::Histogram, help)
        .durations(&[("store", "packet")], &figures.commits);
}

/// How snatches ended, whatever the backend.
pub(super) fn write_snatches(page: &mut Page, snatches: Vec<(&'static str, u64)>) {
    let help = "Snatches by how they ended.";
    let mut family = page.family("fanfare_rain_snatches_total", Kind::Counter, help);
    for (outcome, count) in snatches {
        family.value(&[("outcome", outcome)], count);
    }
}
