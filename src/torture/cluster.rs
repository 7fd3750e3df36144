//! `fanfare torture --config`: three processes of its own on the servers of a real cluster, killed in
//! turn under gifts. Redis and MongoDB are the operator's: nothing is done to them but to write.

use super::crew::Crew;
use super::deed::{ANSWER_TIMEOUT, Addresses, Domain};
use super::gift::Gifts;
use super::power::Dice;
use super::server::Server;
use super::{CALM_MORE_MS, CALM_MS, report};
use crate::client::http::HttpConnection;
use crate::progress;
use serde_json::Value;
use std::error::Error;
use std::io::{self, Write};
use std::path::Path;
use std::time::{Duration, Instant};
use tempfile::TempDir;

const PROCESSES: usize = 3;

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
pub(super) fn run(config: &Path, duration: Duration, seed: u64) -> Result<(), Box<dyn Error>> {
    let mut processes = Processes::start(config)?;
    let first = processes.addresses()[0];
    refuse_unless_cluster(config, first)?;
    let gifts = Gifts::among_others(seed);
    refuse_unless_new(&gifts, first)?;
    let mut crew = Crew::new(vec![Box::new(gifts)], seed);
    let (mut dice, mut kills) = (Dice::new(seed), 0);
    let bar = progress::seconds("torturing", duration.as_secs());
    let start = Instant::now();
    let result = loop {
        bar.set_position(start.elapsed().as_secs());
        bar.set_message(format!("{kills} kills, {} writes", crew.acknowledged()));
        let calm = Duration::from_millis(CALM_MS + dice.below(CALM_MORE_MS));
        // One after the other, and then all at once.
        let turn = kills % (PROCESSES + 1);
        let victims = if turn < PROCESSES { vec![turn] } else { (0..PROCESSES).collect() };
        kills += 1;
        if let Err(error) = round(&mut crew, &mut processes, &victims, calm) {
            break Err(error);
        }
        // Not before each was killed, and all of them.
        if start.elapsed() >= duration && kills > PROCESSES {
            break Ok(());
        }
    };
    bar.finish_and_clear();
    writeln!(io::stdout(), "{}", report::text(&crew, &[("kill -9", kills)], seed))?;
    result?;
    Ok(report::judge(&crew)?)
}

fn round(
    crew: &mut Crew,
    processes: &mut Processes<'_>,
    victims: &[usize],
    calm: Duration,
) -> Result<(), Box<dyn Error>> {
    let addresses = processes.addresses();
    crew.write(&addresses, calm, || processes.kill(victims))?;
    for &index in victims {
        processes.start_one(index)?;
    }
    Ok(crew.verify(&processes.addresses())?)
}

fn refuse_unless_cluster(config: &Path, server: Addresses) -> Result<(), Box<dyn Error>> {
    let mut operator = HttpConnection::open(server.admin, ANSWER_TIMEOUT)?;
    let answer: Value = serde_json::from_slice(operator.get("/gift/config")?.body)?;
    if answer["data"]["backend"] == "cluster" {
        return Ok(());
    }
    let name = config.display();
    Err(format!(
        "{name}: backend is not \"cluster\"; without --config a server of its own is tortured"
    )
    .into())
}

/// A run of the same seed has been here: its gifts would be taken for doubled ones.
fn refuse_unless_new(gifts: &Gifts, server: Addresses) -> Result<(), Box<dyn Error>> {
    if gifts.connect(&server)?.balance(1)? == 0 {
        return Ok(());
    }
    Err("--seed: this cluster has seen it already".into())
}
