//! `fanfare rebuild`: has a process of a cluster make boards and counters anew, and shows how far it is.

use super::super::rebuild_calls;
use super::{operator_client, progress, say};
use crate::config::Config;
use serde::Deserialize;
use std::error::Error;
use std::thread;
use std::time::Duration;

/// What is made anew, one after the other.
const VIEWS: [(&str, &str); 2] =
    [("boards", rebuild_calls::BOARDS), ("counters", rebuild_calls::COUNTERS)];

/// Between two looks.
const PAUSE: Duration = Duration::from_millis(100);

#[derive(Deserialize)]
struct Answer {
    data: State,
}

/// What the process tells of its rebuilds.
#[derive(Deserialize)]
struct State {
    /// Batches of the journal that were read.
    read: u64,
    /// Batches to read; 0 while no rebuild is under way.
    of: u64,
    /// Rebuilds since the start.
    finished: u64,
}

/// Begins, and waits for the end.
pub(super) fn run(config: &Config) -> Result<(), Box<dyn Error>> {
    for (name, path) in VIEWS {
        rebuild(config, path)?;
        say(&format!("the {name} are made anew from the journal\n"))?;
    }
    Ok(())
}

fn rebuild(config: &Config, path: &str) -> Result<(), Box<dyn Error>> {
    let state = |body: Vec<u8>| serde_json::from_slice(&body).map(|answer: Answer| answer.data);
    let before = state(operator_client::post(config, path)?)?.finished;
    let bar = progress::items("reading batches", 0);
    loop {
        let State { read, of, finished } = state(operator_client::get(config, path)?)?;
        if finished > before {
            break;
        }
        if of > 0 {
            bar.set_length(of);
            bar.set_position(read);
        }
        thread::sleep(PAUSE);
    }
    bar.finish_and_clear();
    Ok(())
}
