//! A server in a process of its own, so that its descriptors, memory and signals are its own. The
//! process is this test binary, asked to run one of the ignored tests below.

use crate::net_harness::{Server, Settings};
use std::io::{BufRead, BufReader, Lines, Read, Write};
use std::net::SocketAddr;
use std::process::{Child, ChildStdout, Command, Stdio};

pub(crate) struct ServerProcess {
    child: Child,
    /// Held, so that it can print.
    _output: Lines<BufReader<ChildStdout>>,
    pub(crate) address: SocketAddr,
}

impl ServerProcess {
    pub(crate) fn with_descriptors(descriptors: u64) -> Self {
        let descriptors = descriptors.to_string();
        let environment = [("FANFARE_TEST_DESCRIPTORS", descriptors.as_str())];
        Self::start("net_process::process_with_few_descriptors", &environment)
    }

    pub(crate) fn start(test: &str, environment: &[(&str, &str)]) -> Self {
        let mut child = Command::new(std::env::current_exe().expect("this test"))
            .args(["--exact", test, "--ignored", "--nocapture"])
            .envs(environment.iter().copied())
            .env("FANFARE_TEST_PROCESS", "1")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("this test again");
        let mut output = BufReader::new(child.stdout.take().expect("piped")).lines();
        let address = output.by_ref().map_while(Result::ok).find_map(|line| {
            line.split("address=").nth(1).map(|address| address.parse().expect("an address"))
        });
        Self { child, _output: output, address: address.expect("it says where it listens") }
    }

    /// Memory that the process holds, in bytes.
    pub(crate) fn resident(&self) -> usize {
        let statm = std::fs::read_to_string(format!("/proc/{}/statm", self.child.id()));
        let statm = statm.expect("it runs");
        let pages = statm.split(' ').nth(1).and_then(|pages| pages.parse::<usize>().ok());
        pages.expect("a number") * 4096
    }

    pub(crate) fn signal(&self, name: &str) {
        let id = self.child.id().to_string();
        let status = Command::new("kill").args(["-s", name, &id]).status().expect("kill exists");
        assert!(status.success());
    }

    /// Its exit code; `None` when a signal ended it.
    pub(crate) fn wait(&mut self) -> Option<i32> {
        self.child.wait().expect("a child").code()
    }
}

impl Drop for ServerProcess {
    fn drop(&mut self) {
        drop(self.child.stdin.take()); // Its sign to end.
        let _ = self.child.wait();
    }
}

/// Says where the server of this process listens.
pub(crate) fn tell(address: SocketAddr) {
    let mut stdout = std::io::stdout().lock();
    let told = writeln!(stdout, "\naddress={address}").and_then(|()| stdout.flush());
    told.expect("the parent reads");
}

#[test]
#[ignore = "runs in the process that other tests start"]
fn process_with_few_descriptors() {
    let Ok(descriptors) = std::env::var("FANFARE_TEST_DESCRIPTORS") else { return };
    let descriptors = descriptors.parse().expect("a number");
    rlimit::setrlimit(rlimit::Resource::NOFILE, descriptors, descriptors).expect("fewer");
    // With a deadline for each connection, since a server has one; too late to pass.
    let idle = Some(std::time::Duration::from_secs(3_600));
    let server = Server::start(Settings { big: 0, idle, ..Settings::default() });
    tell(server.address);
    let _ = std::io::stdin().read(&mut [0]);
}

#[test]
#[ignore = "runs in the process that other tests start"]
fn process_until_signalled() {
    if std::env::var_os("FANFARE_TEST_PROCESS").is_some() {
        crate::net_signals::serve_until_signalled();
    }
}
