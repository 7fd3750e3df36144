//! SIGTERM and SIGINT: the first drains, the second exits at once. SIGPIPE is ignored by Rust's
//! start-up code already.

use crate::net::Control;
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use std::io;
use std::sync::Arc;
use std::thread;

/// Watches for signals on a thread of its own, for the life of the process.
pub fn watch(control: Arc<Control>) -> io::Result<()> {
    let mut signals = Signals::new([SIGTERM, SIGINT])?;
    thread::Builder::new().name("signals".to_owned()).spawn(move || {
        let mut asked = false;
        for signal in signals.forever() {
            if asked {
                // The shell's way to say which signal ended a process: 130 and 143.
                signal_hook::low_level::exit(128 + signal);
            }
            asked = true;
            tracing::info!(
                signal,
                "stopping: answers what is in flight; a second signal exits at once"
            );
            control.drain();
        }
    })?;
    Ok(())
}
