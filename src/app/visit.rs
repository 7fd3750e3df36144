//! What is asked of a server from outside: a terminal, loads, torture.

use crate::cli::{Client, Load};
use crate::{load, terminal, torture};
use std::error::Error;

/// Does it, to its end.
pub fn run(client: &Client) -> Result<(), Box<dyn Error>> {
    match client {
        Client::Trade(options) => terminal::run(options),
        Client::Load(Load::Rain(options)) => load::rain::run(options),
        Client::Load(Load::Trade(options)) if options.scenario => {
            load::trade::scenario::run(options)
        }
        Client::Load(Load::Trade(options)) => load::trade::run(options),
        Client::Torture(options) => torture::run(options),
    }
}
