//! `fanfare trade`: the trading room at a terminal, or through a pipe.
//!
//! One loop owns what is known and shown. Two threads feed it: one reads lines, one keeps the
//! connection up and reads messages. The reader of lines waits until its last line was dealt with,
//! so that an answer stands above the next prompt, and a script goes step by step.

mod board;
mod command;
mod connection;
mod input;
mod output;
mod session;
mod view;

use crate::cli::TradeOptions;
use crossbeam_channel::bounded;
use output::Output;
use session::Session;
use std::error::Error;

/// Events that may wait for the loop; the connection is read no further meanwhile.
const EVENTS_MAX: usize = 1024;

/// Runs until `quit` or the end of the input. Through a pipe, the first command that fails is the
/// end, and an error.
pub fn run(options: &TradeOptions) -> Result<(), Box<dyn Error>> {
    let (events, incoming) = bounded(EVENTS_MAX);
    let (done, lines_done) = bounded(1);
    let codes = command::Codes::default();
    let printer = input::start(events.clone(), lines_done, codes.clone())?;
    connection::start(options.addr, events)?;
    let output = match printer {
        Some(printer) => Output::live(printer),
        None => Output::plain(),
    };
    Session::new(options, output, codes).run(&incoming, &done)
}
