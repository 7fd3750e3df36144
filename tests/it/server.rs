//! The real binary on free ports with a folder of its own, ended by its process id.

use crate::client::Client;
use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use tempfile::TempDir;

/// How a server is to be started.
pub(crate) struct Start {
    command: Command,
    folder: Option<TempDir>,
    data: PathBuf,
}

/// A running server; killed when dropped.
pub(crate) struct Server {
    child: Child,
    /// Kept open, so that the server's log never meets a closed pipe; mostly unread on purpose.
    stdout: BufReader<ChildStdout>,
    pub(crate) http: SocketAddr,
    pub(crate) tlv: SocketAddr,
    pub(crate) admin: SocketAddr,
    folder: Option<TempDir>,
    data: PathBuf,
}

impl Start {
    /// With a fresh folder.
    pub(crate) fn fresh() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let data = folder.path().join("data");
        Self { folder: Some(folder), ..Self::on(&data) }
    }

    /// On a folder that the test owns.
    pub(crate) fn on(data: &Path) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_fanfare"));
        command.arg("serve").arg("--data").arg(data);
        command.env("FANFARE__HTTP__LISTEN", "127.0.0.1:0");
        command.env("FANFARE__TLV__LISTEN", "127.0.0.1:0");
        command.env("FANFARE__ADMIN__LISTEN", "127.0.0.1:0");
        command.env("FANFARE__LOOPS", "2");
        command.stdin(Stdio::null()).stdout(Stdio::piped());
        Self { command, folder: None, data: data.to_owned() }
    }

    /// Sets `key` (such as `http.max_body`) through the environment.
    pub(crate) fn set(mut self, key: &str, value: &str) -> Self {
        let name = format!("FANFARE__{}", key.to_uppercase().replace('.', "__"));
        self.command.env(name, value);
        self
    }

    /// Sets an environment variable.
    pub(crate) fn env(mut self, name: &str, value: impl AsRef<std::ffi::OsStr>) -> Self {
        self.command.env(name, value);
        self
    }

    /// Adds an argument.
    pub(crate) fn arg(mut self, arg: &str) -> Self {
        self.command.arg(arg);
        self
    }

    /// Runs `program` with the server's command line behind `args`, such as a limit-setting shell.
    pub(crate) fn under(mut self, program: &str, args: &[&str]) -> Self {
        let mut wrapped = Command::new(program);
        wrapped.args(args).arg(self.command.get_program()).args(self.command.get_args());
        for (name, value) in self.command.get_envs() {
            if let Some(value) = value {
                wrapped.env(name, value);
            }
        }
        wrapped.stdin(Stdio::null()).stdout(Stdio::piped());
        self.command = wrapped;
        self
    }

    /// Waits until the server says that it is ready.
    #[track_caller]
    pub(crate) fn run(mut self) -> Server {
        let mut child = self.command.spawn().expect("the binary starts");
        let mut stdout = BufReader::new(child.stdout.take().expect("piped"));
        let ready = loop {
            let mut line = String::new();
            let read = stdout.read_line(&mut line).expect("readable output");
            assert!(read > 0, "the server ended before it was ready: {:?}", child.wait());
            if line.starts_with("fanfare ready ") {
                break line;
            }
        };
        let address = |name: &str| -> SocketAddr {
            let field = ready.split_whitespace().find_map(|field| field.strip_prefix(name));
            field.unwrap_or_else(|| panic!("{name} in {ready:?}")).parse().expect("an address")
        };
        Server {
            http: address("http="),
            tlv: address("tlv="),
            admin: address("admin="),
            child,
            stdout,
            folder: self.folder,
            data: self.data,
        }
    }

    /// Runs a server that is expected to end by itself; returns its status and standard error.
    pub(crate) fn run_to_end(mut self) -> (ExitStatus, String) {
        let output = self.command.stderr(Stdio::piped()).output().expect("the binary starts");
        (output.status, String::from_utf8_lossy(&output.stderr).into_owned())
    }
}

impl Start {
    /// Runs a server that must refuse to start; returns what it says. One that starts all the same
    /// is ended, so that the test fails instead of waiting for ever.
    #[track_caller]
    pub(crate) fn refused(mut self) -> String {
        let mut child = self.command.stderr(Stdio::piped()).spawn().expect("the binary starts");
        let stdout = BufReader::new(child.stdout.take().expect("piped"));
        let ready =
            stdout.lines().map_while(Result::ok).any(|line| line.starts_with("fanfare ready "));
        if ready {
            child.kill().expect("it runs");
        }
        let output = child.wait_with_output().expect("a child of ours");
        assert!(!ready, "it started where it had to refuse");
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(1), "{error}");
        error
    }
}

/// Runs a command that serves, and stops it with SIGTERM once it says that it is ready.
pub(crate) fn run_until_ready(mut command: Command) -> Result<(), String> {
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().map_err(|error| error.to_string())?;
    let stdout = BufReader::new(child.stdout.take().expect("piped"));
    let mut lines = stdout.lines().map_while(Result::ok);
    let is_ready = lines.any(|line| line.starts_with("fanfare ready "));
    if is_ready {
        let stopped = Command::new("kill").arg(child.id().to_string()).status();
        stopped.map_err(|error| error.to_string())?;
        // Read to the end, or a full pipe would keep it from ending.
        lines.for_each(drop);
    }
    let output = child.wait_with_output().map_err(|error| error.to_string())?;
    if is_ready && output.status.success() {
        return Ok(());
    }
    Err(format!("{}: {}", output.status, String::from_utf8_lossy(&output.stderr)))
}

impl Server {
    /// A server with the defaults of the tests.
    #[track_caller]
    pub(crate) fn start() -> Self {
        Start::fresh().run()
    }

    /// A connection to the public listener.
    pub(crate) fn client(&self) -> Client {
        Client::connect(self.http)
    }

    /// A connection to the operator listener.
    pub(crate) fn operator(&self) -> Client {
        Client::connect(self.admin)
    }

    /// Waits for the next line of its log.
    pub(crate) fn log_line(&mut self) -> String {
        let mut line = String::new();
        let read = self.stdout.read_line(&mut line).expect("readable output");
        assert!(read > 0, "the server ended");
        line
    }

    /// The process id.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// The data folder.
    pub(crate) fn data(&self) -> &Path {
        &self.data
    }

    /// `kill -9`; returns the folder, so that the next server can start on it.
    pub(crate) fn kill(mut self) -> Folder {
        self.child.kill().expect("it runs");
        self.child.wait().expect("a child of ours");
        self.into_folder()
    }

    /// Sends a signal by name, such as `TERM`.
    pub(crate) fn signal(&self, name: &str) {
        let id = self.id().to_string();
        let status = Command::new("kill").args(["-s", name, &id]).status().expect("kill runs");
        assert!(status.success(), "the server still runs");
    }

    /// SIGTERM, then waits for the end.
    #[track_caller]
    pub(crate) fn stop(mut self) -> Folder {
        self.signal("TERM");
        let status = self.child.wait().expect("a child of ours");
        assert!(status.success(), "a graceful end exits with 0, not {status}");
        self.into_folder()
    }

    /// SIGTERM, then all of the log that nobody has read yet, to its end.
    #[track_caller]
    pub(crate) fn stop_and_read(mut self) -> String {
        self.signal("TERM");
        let mut log = String::new();
        self.stdout.read_to_string(&mut log).expect("UTF-8");
        assert!(self.wait().success(), "a graceful end exits with 0");
        log
    }

    /// Waits for the end after a signal.
    pub(crate) fn wait(&mut self) -> ExitStatus {
        self.child.wait().expect("a child of ours")
    }

    fn into_folder(mut self) -> Folder {
        Folder { data: self.data.clone(), _folder: self.folder.take() }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Harmless when it has ended: std remembers that it was waited for.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A data folder that outlives its server.
pub(crate) struct Folder {
    pub(crate) data: PathBuf,
    _folder: Option<TempDir>,
}

impl Folder {
    /// Prepares the next server on the same data.
    pub(crate) fn start(&self) -> Start {
        Start::on(&self.data)
    }
}
