//! SIGTERM and SIGINT: the first drains, the second exits at once. SIGHUP reads the configuration
//! again. SIGPIPE is ignored by Rust's start-up code already.

use crate::net::Control;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use std::io;
use std::sync::Arc;
use std::thread;

/// What else happens at a signal; called on the thread that watches.
pub struct Handlers {
    /// At every SIGHUP.
    pub reload: Box<dyn FnMut() + Send>,
    /// At the first SIGTERM or SIGINT.
    pub stopping: Box<dyn FnOnce() + Send>,
}

impl Default for Handlers {
    /// Nothing.
    fn default() -> Self {
        Self { reload: Box::new(|| ()), stopping: Box::new(|| ()) }
    }
}

/// Watches for signals on a thread of its own, for the life of the process.
pub fn watch(control: Arc<Control>, handlers: Handlers) -> io::Result<()> {
    let Handlers { mut reload, stopping } = handlers;
    let mut signals = Signals::new([SIGTERM, SIGINT, SIGHUP])?;
    thread::Builder::new().name("signals".to_owned()).spawn(move || {
        let mut stopping = Some(stopping);
        for signal in signals.forever() {
            if signal == SIGHUP {
                reload();
                continue;
            }
            let Some(stopping) = stopping.take() else {
                // The shell's way to say which signal ended a process: 130 and 143.
                signal_hook::low_level::exit(128 + signal)
            };
            tracing::info!(
                signal,
                "stopping: answers what is in flight; a second signal exits at once"
            );
            stopping();
            control.drain();
        }
    })?;
    Ok(())
}
