//! The composition root: opens the stores, starts the loops, waits for the end.

mod figures;
pub mod http_port;
mod ports;
pub mod tools;

use crate::calendar::Keep;
use crate::cli::ServeOptions;
use crate::config::{Backend, Config};
use crate::exec::Notifier;
use crate::gift;
use crate::gift::api::{ApiOptions, ConfigView};
use crate::gift::local::{LocalGifts, LocalOptions, LocalThreads};
use crate::gift::stream::Streams;
use crate::hello::Directory;
use crate::http::SlowLog;
use crate::log::{self, Log};
use crate::net::{self, Control, EventLoop, Keepalive, LoopOptions};
use crate::ops::pprof::Profiling;
use crate::ops::{self, Desk, LastAudit, Metrics, Part, Readiness};
use crate::profile::CpuProfile;
use crate::signal;
use crate::store::{Clock, DataFolder, SystemClock};
use ports::{Ports, Shared};
use std::error::Error;
use std::net::TcpListener;
use std::path::Path;
use std::sync::{Arc, mpsc};
use std::thread::{self, Builder, JoinHandle};
use std::time::Duration;

/// The sockets of one loop.
struct Listeners {
    http: TcpListener,
    tlv: TcpListener,
    /// The first loop serves the operator too.
    admin: Option<TcpListener>,
}

/// Serves until SIGTERM or SIGINT, and through the drain that follows.
pub fn serve(config: &Config, options: &ServeOptions) -> Result<(), Box<dyn Error>> {
    let log = log::start(&config.log)?;
    let Backend::Local = config.backend;
    // The soft limit of open files is a default for shells; the hard one is the operator's word.
    if let Err(error) = rlimit::increase_nofile_limit(u64::MAX) {
        tracing::warn!(%error, "the limit of open files stays where it is");
    }
    let profile = options.cpu_profile.as_deref().map(CpuProfile::start).transpose()?;
    let result = run(config, options, &log);
    if let Some(profile) = profile {
        profile.finish()?;
    }
    result
}

fn run(config: &Config, options: &ServeOptions, log: &Log) -> Result<(), Box<dyn Error>> {
    let control = Control::new();
    signal::watch(Arc::clone(&control))?;
    let listeners = bind(config)?;
    let addresses = {
        let first = &listeners[0];
        let admin = first.admin.as_ref().expect("the first loop serves the operator");
        (first.http.local_addr()?, first.tlv.local_addr()?, admin.local_addr()?)
    };
    let notifier = Arc::new(Notifier::default());
    let folder = DataFolder::open(Path::new(&config.data_dir))?;
    let (gifts, gift_threads) = open_gifts(config, &folder, &notifier)?;
    let last_audit = Arc::new(LastAudit::default());
    let audits = ops::audit::start(vec![gifts.auditor()?], &last_audit)?;
    let health = Arc::clone(&gifts);
    let part = Part::new("gift", move || health.health().stopped().map(str::to_owned));
    let ports = Ports::new(config);
    let mut metrics = Metrics::starting();
    ports.show(&mut metrics);
    figures::gift(&mut metrics, &gifts);
    figures::log(&mut metrics, log.dropped_lines());
    let (desk, desk_threads) = Desk::open()?;
    figures::audit(&mut metrics, &audits, last_audit);
    let gifts: Arc<dyn gift::Store> = gifts;
    let shared = Arc::new(Shared {
        readiness: Arc::new(Readiness::new(Arc::clone(&control), vec![part])),
        gift_options: gift_options(config, &gifts),
        gifts,
        audits,
        directory: Directory::default(),
        ports,
        metrics: Arc::new(metrics),
        desk,
        profiling: Profiling::default(),
        slow: Arc::new(SlowLog::new(config.slow_request.0)),
        level: log.level(),
        dev: options.dev,
        notifier,
        config: config.clone(),
    });
    let loops = start_loops(listeners, &shared, &control)?;
    log.announce_ready(addresses.0, addresses.1, addresses.2);
    let result = wait_for(loops, &control);
    // The threads of the store end with its last handle; then all that was accepted is on disk.
    drop(shared);
    gift_threads.join();
    // It ended with the last route that could hand it a call.
    for thread in desk_threads {
        let _ = thread.join();
    }
    tracing::info!("stopped");
    result
}

fn open_gifts(
    config: &Config,
    folder: &Arc<DataFolder>,
    notifier: &Arc<Notifier>,
) -> Result<(Arc<LocalGifts>, LocalThreads), Box<dyn Error>> {
    Ok(LocalGifts::open(folder, &local_options(config, notifier))?)
}

/// How the gift store is to be run; also for tools that work on its files.
pub(crate) fn local_options(config: &Config, notifier: &Arc<Notifier>) -> LocalOptions {
    let keep = &config.gift.keep;
    let seconds = |span: &Duration| i64::try_from(span.as_secs()).unwrap_or(i64::MAX);
    LocalOptions {
        zone: config.time_zone.clone(),
        keep: Keep {
            hour_s: seconds(&keep.hour),
            day_s: seconds(&keep.day),
            week_s: seconds(&keep.week),
        },
        idempotency_keep: config.idempotency.keep.0,
        readers: config.readers,
        ..LocalOptions::new(Arc::clone(notifier))
    }
}

fn gift_options(config: &Config, gifts: &Arc<dyn gift::Store>) -> ApiOptions {
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

fn bind(config: &Config) -> Result<Vec<Listeners>, Box<dyn Error>> {
    let cores = thread::available_parallelism().map_or(1, usize::from);
    let loops = if config.loops == 0 { cores } else { config.loops };
    // A client that only listens lives for ever; one whose host is gone is found in a minute.
    let keepalive = Keepalive {
        idle: Duration::from_secs(30),
        interval: Duration::from_secs(10),
        give_up: Duration::from_secs(60),
    };
    let http = net::bind(config.http.listen.addr(), loops, None)?;
    let tlv = net::bind(config.tlv.listen.addr(), loops, Some(keepalive))?;
    let mut admin = net::bind(config.admin.listen.addr(), 1, None)?.into_iter();
    let pairs = http.into_iter().zip(tlv);
    Ok(pairs.map(|(http, tlv)| Listeners { http, tlv, admin: admin.next() }).collect())
}

type Loop = JoinHandle<std::io::Result<()>>;

/// Starts a thread for each set of listeners; returns when all of them have their ports.
fn start_loops(
    listeners: Vec<Listeners>,
    shared: &Arc<Shared>,
    control: &Arc<Control>,
) -> std::io::Result<Vec<Loop>> {
    let (started, starts) = mpsc::channel();
    let count = listeners.len();
    let mut loops = Vec::with_capacity(count);
    for (index, listeners) in listeners.into_iter().enumerate() {
        let (shared, started) = (Arc::clone(shared), started.clone());
        let drain_timeout = shared.config.drain_timeout.0;
        let options = LoopOptions { control: Arc::clone(control), drain_timeout };
        let thread = Builder::new().name(format!("loop-{index}"));
        loops.push(thread.spawn(move || {
            let mut event_loop = EventLoop::new(options)?;
            shared.metrics.add_loop(index, event_loop.stats());
            ports::add(&mut event_loop, listeners, &shared)?;
            // Sent once all is set up; dropped without a word when a step before failed.
            let _ = started.send(());
            drop(started);
            event_loop.run()
        })?);
    }
    drop(started);
    // A loop that failed to start shows when it is waited for.
    starts.iter().take(count).count();
    Ok(loops)
}

/// Waits for all loops. One that fails takes the others with it: half a server would answer half
/// of its clients.
fn wait_for(loops: Vec<Loop>, control: &Arc<Control>) -> Result<(), Box<dyn Error>> {
    let mut result = Ok(());
    for event_loop in loops {
        let ended = event_loop.join();
        let failed = match ended {
            Ok(Ok(())) => continue,
            Ok(Err(error)) => error.to_string(),
            Err(_) => "it panicked".to_owned(),
        };
        tracing::error!(failed, "an event loop failed; stopping");
        control.stop();
        result = Err(format!("an event loop failed: {failed}").into());
    }
    result
}
