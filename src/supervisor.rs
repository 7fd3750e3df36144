//! Tells the service manager how the process is: ready, alive, reloading, stopping (`sd_notify(3)`,
//! `sd_watchdog_enabled(3)`). Where there is no manager, nobody is told.

use crate::net::{Control, RunPhase};
use rustix::time::{ClockId, clock_gettime};
use std::ffi::OsString;
use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::process;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

/// The way to the service manager.
pub struct Supervisor {
    socket: Option<UnixDatagram>,
    /// The manager takes us for dead when it hears nothing for so long.
    watchdog: Option<Duration>,
}

impl Supervisor {
    /// As the manager that started this process asked for.
    pub fn from_environment() -> io::Result<Self> {
        let socket = std::env::var_os("NOTIFY_SOCKET").map(|path| connect(&path)).transpose()?;
        let number = |name| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
        let is_for_us = number("WATCHDOG_PID").is_none_or(|pid| pid == u64::from(process::id()));
        let watchdog = number("WATCHDOG_USEC").filter(|us| *us > 0 && is_for_us);
        Ok(Self { socket, watchdog: watchdog.map(Duration::from_micros) })
    }

    /// It serves, `what` being where.
    pub fn ready(&self, what: &str) {
        self.tell(&format!("READY=1\nSTATUS={what}"));
    }

    /// It reads its configuration again; `ready` ends that.
    pub fn reloading(&self) {
        let now = clock_gettime(ClockId::Monotonic);
        let us = i128::from(now.tv_sec) * 1_000_000 + i128::from(now.tv_nsec) / 1_000;
        self.tell(&format!("RELOADING=1\nMONOTONIC_USEC={us}"));
    }

    /// It answers what is in flight and ends.
    pub fn stopping(&self) {
        self.tell("STOPPING=1");
    }

    /// Says, for as long as the process lives, that it is alive: as long as every loop turns. One
    /// that hangs silences us, and the manager starts the process anew.
    pub fn watch(self: &Arc<Self>, control: Arc<Control>) -> io::Result<()> {
        let Some(timeout) = self.watchdog else { return Ok(()) };
        let supervisor = Arc::clone(self);
        thread::Builder::new().name("watchdog".to_owned()).spawn(move || {
            loop {
                let before = control.turns();
                control.wake();
                // Three chances before the manager loses patience.
                thread::sleep(timeout / 3);
                let have_turned = before.iter().zip(control.turns()).all(|(old, new)| *old < new);
                // While it stops, loops end; the manager's time for that counts then.
                if have_turned || control.phase() != RunPhase::Running {
                    supervisor.tell("WATCHDOG=1");
                } else {
                    tracing::error!("an event loop hangs");
                }
            }
        })?;
        Ok(())
    }

    /// A manager that does not listen is its own problem.
    fn tell(&self, state: &str) {
        if let Some(socket) = &self.socket {
            let _ = socket.send(state.as_bytes());
        }
    }
}

/// A path, or `@` and a name that is in no file system.
fn connect(path: &OsString) -> io::Result<UnixDatagram> {
    let address = match path.as_bytes() {
        [b'@', name @ ..] => SocketAddr::from_abstract_name(name)?,
        _ => SocketAddr::from_pathname(path)?,
    };
    let socket = UnixDatagram::unbound()?;
    socket.connect_addr(&address)?;
    // A full queue of the manager must not hold us up.
    socket.set_nonblocking(true)?;
    Ok(socket)
}
