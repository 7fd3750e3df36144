//! The composition root: opens the stores, starts the loops, waits for the end.

#[cfg(feature = "cluster")]
mod cluster;
mod counter;
#[cfg(feature = "cluster")]
mod counter_on_cluster;
mod demo;
pub mod documents;
mod domain;
#[cfg(feature = "cluster")]
mod driven;
mod figures;
mod gift;
#[cfg(feature = "cluster")]
mod gift_on_cluster;
pub mod http_port;
mod packet;
#[cfg(feature = "cluster")]
mod packet_on_cluster;
mod ports;
mod rebuild_calls;
mod reload;
pub mod tools;
#[cfg(feature = "cluster")]
mod tortured;
mod trade;
pub mod visit;

use crate::access::Rules;
use crate::cli::ServeOptions;
use crate::config::{Backend, Config};
use crate::exec::{Notifier, Published, Threads};
use crate::hello::Directory;
use crate::http::SlowLog;
use crate::log::{self, Log};
use crate::net::{self, Control, EventLoop, Keepalive, LoopOptions};
use crate::ops::pprof::Profiling;
use crate::ops::{self, Desk, LastAudit, Metrics, Readiness};
use crate::profile::{CpuProfile, heap};
use crate::signal::{self, Handlers};
use crate::store::DataFolder;
use crate::supervisor::Supervisor;
use documents::Documents;
use domain::{Backing, Ground};
use ports::{Ports, Shared};
use reload::Reload;
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
    // The soft limit of open files is a default for shells; the hard one is the operator's word.
    if let Err(error) = rlimit::increase_nofile_limit(u64::MAX) {
        tracing::warn!(%error, "the limit of open files stays where it is");
    }
    if config.heap_profiling {
        heap::start().map_err(|error| format!("heap_profiling: {error}"))?;
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
    let supervisor = Arc::new(Supervisor::from_environment()?);
    let rules = Arc::new(Published::new(reload::rules(config)));
    watch_signals(config, options, (&control, &supervisor, &rules), log)?;
    let listeners = bind(config)?;
    let addresses = {
        let first = &listeners[0];
        let admin = first.admin.as_ref().expect("the first loop serves the operator");
        (first.http.local_addr()?, first.tlv.local_addr()?, admin.local_addr()?)
    };
    let notifier = Arc::new(Notifier::default());
    let Backing { domains, trades, parts, end } = open_domains(config, &notifier)?;
    let ports = Ports::new(config);
    let mut metrics = Metrics::starting();
    ports.show(&mut metrics);
    figures::log(&mut metrics, log.dropped_lines());
    let (mut served, mut missing, mut auditors, mut threads) = (vec![], parts, vec![], vec![]);
    for domain in domains {
        domain.served.show(&mut metrics);
        served.push(domain.served);
        missing.push(domain.part);
        auditors.push(domain.auditor);
        threads.push(domain.threads);
    }
    let last_audit = Arc::new(LastAudit::default());
    let audits = ops::audit::start(auditors, &last_audit)?;
    figures::audit(&mut metrics, &audits, last_audit);
    let (desk, desk_threads) = Desk::open()?;
    figures::desk(&mut metrics, &desk);
    let metrics = Arc::new(metrics);
    let shared = Arc::new(Shared {
        readiness: Arc::new(Readiness::new(Arc::clone(&control), missing)),
        domains: served,
        trades,
        rules,
        documents: Documents::default(),
        audits,
        directory: Directory::default(),
        ports,
        rates: figures::rates(&metrics),
        metrics,
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
    supervisor.ready("serving");
    supervisor.watch(Arc::clone(&control))?;
    let audience = demo::begin(options.demo, log, addresses, config.admin.token.expose())?;
    let result = wait_for(loops, &control);
    drop(audience);
    // The threads of a store end with its last handle; then all that was accepted is on disk.
    drop(shared);
    threads.into_iter().for_each(Threads::join);
    end();
    // It ended with the last route that could hand it a call.
    for thread in desk_threads {
        let _ = thread.join();
    }
    tracing::info!("stopped");
    result
}

/// From the first moment on: without a handler SIGHUP ends a process.
fn watch_signals(
    config: &Config,
    options: &ServeOptions,
    (control, supervisor, rules): (&Arc<Control>, &Arc<Supervisor>, &Arc<Published<Rules>>),
    log: &Log,
) -> std::io::Result<()> {
    let mut reload = Reload {
        sources: options.sources.clone(),
        config: config.clone(),
        rules: Arc::clone(rules),
        level: log.level(),
        supervisor: Arc::clone(supervisor),
    };
    let supervisor = Arc::clone(supervisor);
    let handlers = Handlers {
        reload: Box::new(move || reload.run()),
        stopping: Box::new(move || supervisor.stopping()),
    };
    signal::watch(Arc::clone(control), handlers)
}

/// What the configured backend serves.
fn open_domains(config: &Config, notifier: &Arc<Notifier>) -> Result<Backing, Box<dyn Error>> {
    match config.backend {
        Backend::Local => {
            let folder = DataFolder::open(Path::new(&config.data_dir))?;
            let ground = Ground { config, folder: &folder, notifier };
            // Gifts first: a folder whose journal is refused is left as it is.
            let mut domains =
                vec![gift::open(&ground)?, counter::open(&ground)?, packet::open(&ground)?];
            let (room, trades) = trade::open(&ground)?;
            domains.push(room);
            Ok(Backing { domains, trades: Some(trades), parts: vec![], end: Box::new(|| ()) })
        }
        #[cfg(feature = "cluster")]
        Backend::Cluster => cluster::open(config, notifier),
        #[cfg(not(feature = "cluster"))]
        Backend::Cluster => Err("this program was built without the cluster".into()),
    }
}

fn bind(config: &Config) -> Result<Vec<Listeners>, Box<dyn Error>> {
    let cores = thread::available_parallelism().map_or(1, usize::from);
    let loops = if config.loops == 0 { cores } else { config.loops };
    // A client that only listens lives for ever; one whose host is gone is found in time.
    let dead_after = config.tlv.dead_after.0;
    let keepalive = Keepalive {
        idle: dead_after / 2,
        interval: (dead_after / 6).max(Duration::from_secs(1)),
        give_up: dead_after,
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
