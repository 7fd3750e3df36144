//! Real servers that speak MongoDB's wire protocol (`tests/mongo/`), killed and started again on
//! the same data.

use crate::redis_server::wait_for;
use mongodb::bson::doc;
use mongodb::sync::Client;
use std::io::{BufRead, BufReader};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use tempfile::TempDir;

/// One server; killed when dropped, and by itself when the tests end.
pub(crate) struct MongoServer {
    child: Child,
    /// The server ends when this is closed.
    _stdin: ChildStdin,
    addr: SocketAddr,
    folder: Option<TempDir>,
}

impl MongoServer {
    /// One for all tests that leave it as it is; each takes a database of its own.
    pub(crate) fn shared() -> &'static Self {
        static SHARED: OnceLock<MongoServer> = OnceLock::new();
        SHARED.get_or_init(|| Self::spawn(None, 0, "5.0"))
    }

    /// One that survives being killed.
    pub(crate) fn on_disk() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        Self::spawn(Some(folder), 0, "5.0")
    }

    /// One that is too old.
    pub(crate) fn old() -> Self {
        Self::spawn(None, 0, "3.6")
    }

    pub(crate) fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// As a crash.
    pub(crate) fn kill(&mut self) {
        self.child.kill().expect("it runs");
        self.child.wait().expect("it can be waited for");
    }

    /// Comes back at the same port with the same data.
    pub(crate) fn start_again(&mut self) {
        let folder = self.folder.take();
        // The old connections may hold the port for a moment.
        let port = self.addr.port();
        wait_for("the port to be free", || TcpStream::connect(self.addr).is_err());
        *self = Self::spawn(folder, port, "5.0");
    }

    /// Silent but not gone, until [`MongoServer::go_on`].
    pub(crate) fn stop(&self) {
        self.signal("-STOP");
    }

    pub(crate) fn go_on(&self) {
        self.signal("-CONT");
    }

    fn signal(&self, signal: &str) {
        let status = Command::new("kill").args([signal, &self.child.id().to_string()]).status();
        assert!(status.is_ok_and(|status| status.success()), "kill {signal}");
    }

    fn spawn(folder: Option<TempDir>, port: u16, version: &str) -> Self {
        let built = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/mongo-server");
        assert!(
            built.join("Launcher.class").exists(),
            "the MongoDB-wire server is not built: apt-get install default-jdk-headless maven, \
             then tests/mongo/build.sh (tests/run.sh does both)"
        );
        let data = folder.as_ref().map_or_else(|| PathBuf::from("-"), |it| it.path().join("data"));
        let classes = format!("{0}:{0}/lib/*", built.display());
        let mut child = Command::new("java")
            .args(["-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-Xmx256m", "-cp", &classes])
            .arg("Launcher")
            .arg(data)
            .args([&port.to_string(), version])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap_or_else(|error| {
                panic!("java does not start ({error}): apt-get install default-jdk-headless")
            });
        let stdin = child.stdin.take().expect("piped");
        let mut line = String::new();
        let mut stdout = BufReader::new(child.stdout.take().expect("piped"));
        stdout.read_line(&mut line).expect("readable output");
        let port = line.trim().strip_prefix("ready ").and_then(|port| port.parse().ok());
        let port = port.unwrap_or_else(|| panic!("the server did not start: {line:?}"));
        let addr = SocketAddr::from(([127, 0, 0, 1], port));
        if version == "5.0" {
            warm_up(addr);
        }
        Self { child, _stdin: stdin, addr, folder }
    }
}

impl Drop for MongoServer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The first answers of a new server are slow enough, on a busy machine, to pass for none.
fn warm_up(addr: SocketAddr) {
    let uri = format!("mongodb://{addr}/?connectTimeoutMS=30000&serverSelectionTimeoutMS=30000");
    let client = Client::with_uri_str(uri).expect("an address");
    client.database("warm").run_command(doc! { "ping": 1 }).run().expect("it answers");
}

/// A name for a database that no other test has.
pub(crate) fn fresh_database() -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    format!("test_{}", NEXT.fetch_add(1, Ordering::Relaxed))
}
