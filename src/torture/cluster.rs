//! `fanfare torture --config`: three processes of its own on the servers of a real cluster, killed in
//! turn under gifts and increments; its Redis loses what the cluster keeps there, and stands still.
//! To `MongoDB` nothing is done but to write.

use super::counter::Counters;
use super::crew::Crew;
use super::deed::{Addresses, Domain};
use super::gift::Gifts;
use super::power::Dice;
use super::server::Server;
use super::{CALM_MORE_MS, CALM_MS, View, report};
use crate::progress;
use std::error::Error;
use std::io::{self, Write};
use std::path::Path;
use std::time::{Duration, Instant};
use tempfile::TempDir;

const PROCESSES: usize = 3;

/// How long clients write on after Redis was emptied.
const EMPTIED: Duration = Duration::from_millis(700);

/// What is done to the cluster, in turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Blow {
    /// `kill -9` of one process, or of all.
    Kill(Option<usize>),
    /// What the cluster keeps in Redis is taken away.
    Empty,
    /// Redis answers nobody for some seconds.
    Stop,
}

impl Blow {
    const ALL: [Blow; PROCESSES + 3] = [
        Blow::Kill(Some(0)),
        Blow::Empty,
        Blow::Kill(Some(1)),
        Blow::Stop,
        Blow::Kill(Some(2)),
        Blow::Kill(None),
    ];

    fn victims(self) -> Vec<usize> {
        match self {
            Blow::Kill(Some(one)) => vec![one],
            Blow::Kill(None) => (0..PROCESSES).collect(),
            Blow::Empty | Blow::Stop => Vec::new(),
        }
    }
}

/// The processes; what is of each alone goes with its folder.
struct Processes<'a> {
    config: &'a Path,
    folders: Vec<TempDir>,
    servers: Vec<Option<Server>>,
}

impl<'a> Processes<'a> {
    fn start(config: &'a Path) -> Result<Self, Box<dyn Error>> {
        let folders =
            (0..PROCESSES).map(|_| tempfile::tempdir()).collect::<io::Result<Vec<_>>>()?;
        let mut processes = Self { config, folders, servers: Vec::new() };
        for index in 0..PROCESSES {
            processes.servers.push(None);
            processes.start_one(index)?;
        }
        Ok(processes)
    }

    fn start_one(&mut self, index: usize) -> Result<(), Box<dyn Error>> {
        self.servers[index] = Some(Server::join(self.config, self.folders[index].path())?);
        Ok(())
    }

    fn addresses(&self) -> Vec<Addresses> {
        self.servers.iter().flatten().map(|server| server.addresses).collect()
    }

    /// `kill -9` of some.
    fn kill(&mut self, indexes: &[usize]) -> io::Result<()> {
        for &index in indexes {
            if let Some(server) = self.servers[index].take() {
                server.kill()?;
            }
        }
        Ok(())
    }
}

/// Runs for that time, with writes to the cluster that `config` names; fails when a promise broke.
pub(super) fn run(
    config: &Path,
    view: &dyn View,
    duration: Duration,
    seed: u64,
) -> Result<(), Box<dyn Error>> {
    let mut processes = Processes::start(config)?;
    let first = processes.addresses()[0];
    let (gifts, counters) = (Gifts::among_others(seed), Counters::among_others(seed));
    refuse_unless_new(&gifts, first)?;
    let mut crew = Crew::new(vec![Box::new(gifts), Box::new(counters)], seed);
    let (mut dice, mut blows) = (Dice::new(seed), Vec::new());
    let bar = progress::seconds("torturing", duration.as_secs());
    let start = Instant::now();
    let result = loop {
        let blow = Blow::ALL[blows.len() % Blow::ALL.len()];
        bar.set_position(start.elapsed().as_secs());
        bar.set_message(format!("{} blows, {} writes", blows.len(), crew.acknowledged()));
        let calm = Duration::from_millis(CALM_MS + dice.below(CALM_MORE_MS));
        blows.push(blow);
        if let Err(error) = round(&mut crew, &mut processes, view, blow, calm) {
            break Err(error);
        }
        // Not before everything happened once.
        if start.elapsed() >= duration && blows.len() >= Blow::ALL.len() {
            break Ok(());
        }
    };
    bar.finish_and_clear();
    let count = |is: fn(&Blow) -> bool| blows.iter().filter(|blow| is(blow)).count();
    let counts = [
        ("kill -9", count(|blow| matches!(blow, Blow::Kill(_)))),
        ("Redis emptied", count(|blow| *blow == Blow::Empty)),
        ("Redis stopped", count(|blow| *blow == Blow::Stop)),
    ];
    writeln!(io::stdout(), "{}", report::text(&crew, &counts, seed))?;
    result?;
    Ok(report::judge(&crew)?)
}

fn round(
    crew: &mut Crew,
    processes: &mut Processes<'_>,
    view: &dyn View,
    blow: Blow,
    calm: Duration,
) -> Result<(), Box<dyn Error>> {
    let addresses = processes.addresses();
    crew.write(&addresses, calm, || match blow {
        Blow::Kill(_) => processes.kill(&blow.victims()),
        Blow::Empty => {
            view.empty()?;
            std::thread::sleep(EMPTIED);
            Ok(())
        }
        Blow::Stop => view.stop(),
    })?;
    for index in blow.victims() {
        processes.start_one(index)?;
    }
    Ok(crew.verify(&processes.addresses())?)
}

/// A run of the same seed has been here: its gifts would be taken for doubled ones.
fn refuse_unless_new(gifts: &Gifts, server: Addresses) -> Result<(), Box<dyn Error>> {
    if gifts.connect(&server)?.balance(1)? == 0 {
        return Ok(());
    }
    Err("--seed: this cluster has seen it already".into())
}
