//! The server under torture: this very program, on free loopback ports, in a folder of its own.

use super::deed::Addresses;
use super::power::Bed;
use std::error::Error;
use std::io::{self, BufRead, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::thread;

/// Begins the line that says where it listens.
const READY: &str = "fanfare ready ";

/// Snatches of one user a second: no limit.
const RATE: &str = "1000000";

/// See the module documentation. It ends with its owner.
pub(super) struct Server {
    child: Child,
    pub(super) addresses: Addresses,
}

impl Server {
    /// Starts it and waits until it is ready.
    pub(super) fn start(bed: &Bed) -> Result<Self, Box<dyn Error>> {
        let mut command = on_loopback(&bed.live())?;
        // What the caller has set is for its own server.
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("FANFARE__") {
                command.env_remove(name);
            }
        }
        command.env("FANFARE__TLV__LISTEN", "127.0.0.1:0");
        command.env("FANFARE__ADMIN__LISTEN", "127.0.0.1:0");
        // Limits of one user would only make it write less.
        command.env("FANFARE__RAIN__USER_RATE", RATE);
        command.env("FANFARE__RAIN__USER_BURST", RATE);
        for (name, value) in bed.environment() {
            command.env(name, value);
        }
        Self::spawn(command)
    }

    /// Starts one more process of the cluster that a configuration names, as the environment
    /// completes it, and waits until it is ready. Its own listeners are free ports of loopback, open
    /// to whoever is on this machine.
    pub(super) fn join(config: &Path, data: &Path) -> Result<Self, Box<dyn Error>> {
        let mut command = on_loopback(data)?;
        command.arg("--config").arg(config);
        for name in ["FANFARE__TLV__LISTEN", "FANFARE__ADMIN__LISTEN"] {
            command.env(name, "127.0.0.1:0");
        }
        for name in ["FANFARE__ADMIN__TOKEN", "FANFARE__API__TOKENS"] {
            command.env(name, "");
        }
        command.env("FANFARE__API__ADDRESS_RATE", "0");
        Self::spawn(command)
    }

    fn spawn(mut command: Command) -> Result<Self, Box<dyn Error>> {
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn()?;
        let Some(stdout) = child.stdout.take() else { return Err("no standard output".into()) };
        let mut lines = BufReader::new(stdout);
        match addresses(&mut lines) {
            Ok(addresses) => {
                // Its log goes on, and must not meet a closed pipe.
                thread::spawn(move || io::copy(&mut lines, &mut io::sink()));
                Ok(Self { child, addresses })
            }
            Err(why) => {
                let _ = child.kill();
                let _ = child.wait();
                Err(why)
            }
        }
    }

    /// `kill -9`.
    pub(super) fn kill(mut self) -> io::Result<()> {
        self.child.kill()?;
        self.child.wait().map(drop)
    }

    /// An error, and whether the server ended by itself meanwhile.
    pub(super) fn explain(&mut self, error: &io::Error) -> String {
        match self.child.try_wait() {
            Ok(Some(status)) => format!("{error}; the server had ended ({status})"),
            _ => error.to_string(),
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Harmless when it has ended: std remembers that it was waited for.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// This program, as a server on a free port.
fn on_loopback(data: &Path) -> io::Result<Command> {
    let mut command = Command::new(std::env::current_exe()?);
    command.args(["serve", "--listen", "127.0.0.1:0", "--data"]).arg(data);
    Ok(command)
}

fn addresses(lines: &mut BufReader<ChildStdout>) -> Result<Addresses, Box<dyn Error>> {
    let mut line = String::new();
    while !line.starts_with(READY) {
        line.clear();
        if lines.read_line(&mut line)? == 0 {
            return Err("the server did not start; its words are above".into());
        }
    }
    let address = |name: &str| -> Result<SocketAddr, Box<dyn Error>> {
        let field = line.split_whitespace().find_map(|field| field.strip_prefix(name));
        Ok(field.ok_or("the ready line lacks an address")?.parse()?)
    };
    Ok(Addresses { http: address("http=")?, tlv: address("tlv=")?, admin: address("admin=")? })
}
