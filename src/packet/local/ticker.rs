//! Tells the bookkeeper the time, once a second, and lets the limits forget.

use super::bookkeeper::{Command, Outcome};
use super::shared::Shared;
use crate::exec::{Job, Queue};
use crossbeam_channel::{RecvTimeoutError, Sender, bounded};
use std::convert::Infallible;
use std::io;
use std::sync::Arc;
use std::thread::{Builder, JoinHandle};
use std::time::Duration;

/// Starts the thread; it ends when what comes back is dropped.
pub(super) fn start(
    every: Duration,
    writes: &Queue<Job<Command, Outcome>>,
    shared: &Arc<Shared>,
) -> io::Result<(Sender<Infallible>, JoinHandle<()>)> {
    let (until, ended) = bounded::<Infallible>(0);
    let (writes, shared) = (writes.clone(), Arc::clone(shared));
    let thread = Builder::new().name("packet-tick".into()).spawn(move || {
        while matches!(ended.recv_timeout(every), Err(RecvTimeoutError::Timeout)) {
            shared.gate.forget();
            // A tick that finds the queue full is made up for by the next.
            Job::submit(&writes, Command::Tick, Box::new(|_| {}));
        }
    })?;
    Ok((until, thread))
}
