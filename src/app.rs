//! The composition root: opens the stores, starts the loops, waits for the end.

#[cfg(feature = "cluster")]
mod cluster;
mod domain;
mod figures;
mod gift;
#[cfg(feature = "cluster")]
mod gift_on_cluster;
pub mod http_port;
mod ports;
pub mod tools;

use crate::cli::ServeOptions;
use crate::config::{Backend, Config};
use crate::exec::{Notifier, Threads};
use crate::hello::Directory;
use crate::http::SlowLog;
use crate::log::{self, Log};
use crate::net::{self, Control, EventLoop, Keepalive, LoopOptions};
use crate::ops::pprof::Profiling;
use crate::ops::{self, Desk, LastAudit, Metrics, Readiness};
use crate::profile::CpuProfile;
use crate::signal;
use crate::store::DataFolder;
use domain::{Backing, Ground};
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
    let Backing { domains, parts, end } = open_domains(config, &notifier)?;
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
    let shared = Arc::new(Shared {
        readiness: Arc::new(Readiness::new(Arc::clone(&control), missing)),
        domains: served,
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

/// What the configured backend serves.
fn open_domains(config: &Config, notifier: &Arc<Notifier>) -> Result<Backing, Box<dyn Error>> {
    match config.backend {
        Backend::Local => {
            let folder = DataFolder::open(Path::new(&config.data_dir))?;
            let ground = Ground { config, folder: &folder, notifier };
            let domains = vec![gift::open(&ground)?];
            Ok(Backing { domains, parts: vec![], end: Box::new(|| ()) })
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
