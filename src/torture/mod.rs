//! `fanfare torture`: writes to a server of its own, kills it, cuts its power, fills its disk, and
//! counts what became of the writes.
//!
//! Every write has a request id. After each blow all writes of the round are sent again, as clients
//! do that saw no answer: an acknowledged one must be answered as it was the first time, and each must
//! count once, whatever happened. Then balances are compared with the sums of all that was ever asked.

mod cluster;
mod counter;
mod crew;
mod deed;
mod gift;
pub mod power;
mod rain;
mod report;
mod server;
mod trade;

use crate::cli::TortureOptions;
use crate::progress;
use crew::Crew;
use deed::Domain;
use power::{Bed, Dice};
use server::Server;
use std::error::Error;
use std::io::{self, Write};
use std::path::Path;
use std::time::{Duration, Instant};

/// How long clients write before a blow falls: from, and up to so much more.
const CALM_MS: u64 = 300;
const CALM_MORE_MS: u64 = 1_500;

/// How long a disk stays full.
const FULL: Duration = Duration::from_millis(700);

/// What is done to the server, in turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Blow {
    /// `kill -9`.
    Kill,
    /// `kill -9`, and what was not synced is gone, or some sectors of it.
    PowerCut,
    /// Writes to the data folder fail for want of room, for a while.
    DiskFull,
}

impl Blow {
    const ALL: [Blow; 3] = [Blow::PowerCut, Blow::DiskFull, Blow::Kill];

    fn name(self) -> &'static str {
        match self {
            Blow::Kill => "kill -9",
            Blow::PowerCut => "power cuts",
            Blow::DiskFull => "full disks",
        }
    }
}

/// The Redis of a cluster, for what is done to it.
pub trait View {
    /// Takes away all that the cluster keeps there, and nothing else.
    fn empty(&self) -> io::Result<()>;
    /// Has it answer nobody for some seconds; returns when it goes on.
    fn stop(&self) -> io::Result<()>;
}

/// Runs for the time that was asked for; fails when a promise broke. `view` reaches the Redis of the
/// cluster that a configuration file describes.
pub fn run(
    options: &TortureOptions,
    view: impl FnOnce(&Path) -> Result<Box<dyn View>, Box<dyn Error>>,
) -> Result<(), Box<dyn Error>> {
    let seed = options.seed.unwrap_or_else(|| fastrand::u64(1..1 << 32));
    if let Some(config) = &options.config {
        return cluster::run(config, &*view(config)?, options.duration, seed);
    }
    let bed = Bed::new(options.dir.as_deref())?;
    let mut dice = Dice::new(seed);
    let mut server = Server::start(&bed)?;
    let mut domains: Vec<Box<dyn Domain>> = Vec::new();
    for domain in all_domains() {
        if domain.prepare(&server.addresses).map_err(|error| server.explain(&error))? {
            domains.push(domain);
        }
    }
    let mut crew = Crew::new(domains, seed);
    let mut blows: Vec<Blow> = Vec::new();
    let bar = progress::seconds("torturing", options.duration.as_secs());
    let start = Instant::now();
    let result = loop {
        let blow = Blow::ALL[blows.len() % Blow::ALL.len()];
        bar.set_position(start.elapsed().as_secs());
        bar.set_message(format!("{} blows, {} writes", blows.len(), crew.acknowledged()));
        let calm = Duration::from_millis(CALM_MS + dice.below(CALM_MORE_MS));
        blows.push(blow);
        match round(&mut crew, server, &bed, blow, calm, &mut dice) {
            Ok(next) => server = next,
            Err(error) => break Err(error),
        }
        if start.elapsed() >= options.duration {
            break Ok(());
        }
    };
    bar.finish_and_clear();
    let counts = Blow::ALL.map(|blow| (blow.name(), blows.iter().filter(|b| **b == blow).count()));
    writeln!(io::stdout(), "{}", report::text(&crew, &counts, seed))?;
    if let Err(error) = result {
        let folder = bed.keep();
        return Err(format!("{error}\nthe folder is kept: {}", folder.display()).into());
    }
    report::judge(&crew).map_err(|error| {
        let folder = bed.keep();
        format!("{error}; the folder is kept: {}", folder.display()).into()
    })
}

fn all_domains() -> [Box<dyn Domain>; 4] {
    [
        Box::new(gift::Gifts::alone()),
        Box::new(counter::Counters::alone()),
        Box::new(rain::Rain),
        Box::new(trade::Room),
    ]
}

/// Writes, strikes, and sees what is left. Returns the server that runs afterwards.
fn round(
    crew: &mut Crew,
    server: Server,
    bed: &Bed,
    blow: Blow,
    calm: Duration,
    dice: &mut Dice,
) -> Result<Server, Box<dyn Error>> {
    let mut server = match blow {
        Blow::Kill | Blow::PowerCut => {
            let addresses = server.addresses;
            crew.write(&[addresses], calm, || server.kill())?;
            if blow == Blow::PowerCut {
                bed.cut_power(dice)?;
            }
            Server::start(bed)?
        }
        Blow::DiskFull => {
            crew.write(&[server.addresses], calm, || {
                bed.set_fault("full")?;
                std::thread::sleep(FULL);
                bed.set_fault("")
            })?;
            server
        }
    };
    crew.verify(&[server.addresses]).map_err(|error| server.explain(&error))?;
    Ok(server)
}
