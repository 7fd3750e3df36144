//! What is asked of a server from outside: a terminal, loads, torture.

use crate::cli::{Client, Load};
use crate::{load, terminal, torture};
use std::error::Error;
use std::path::Path;

/// Does it, to its end.
pub fn run(client: &Client) -> Result<(), Box<dyn Error>> {
    match client {
        Client::Trade(options) => terminal::run(options),
        Client::Load(Load::Rain(options)) => load::rain::run(options),
        Client::Load(Load::Trade(options)) if options.scenario => {
            load::trade::scenario::run(options)
        }
        Client::Load(Load::Trade(options)) => load::trade::run(options),
        Client::Torture(options) => torture::run(options, view),
    }
}

/// The view of the cluster that a file describes, for those who want to do something to it.
fn view(file: &Path) -> Result<Box<dyn torture::View>, Box<dyn Error>> {
    #[cfg(feature = "cluster")]
    return super::tortured::view(file);
    #[cfg(not(feature = "cluster"))]
    Err(format!("{}: this program was built without the cluster", file.display()).into())
}
