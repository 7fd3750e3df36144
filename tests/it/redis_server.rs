//! Real Redis servers on free ports: single ones, and a cluster of three with replicas.

use std::collections::BTreeSet;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// After so long a server that a test waits for is not coming.
const PATIENCE: Duration = Duration::from_secs(30);

/// How soon a cluster's nodes call a silent one dead, in milliseconds: the least that still
/// survives a busy machine.
const NODE_TIMEOUT_MS: &str = "1000";

/// One server, without persistence; killed when dropped.
pub(crate) struct RedisServer {
    child: Child,
    port: u16,
    args: Vec<String>,
    folder: TempDir,
}

impl RedisServer {
    pub(crate) fn start(args: &[&str]) -> Self {
        Self::on(free_port(), args)
    }

    fn on(port: u16, args: &[&str]) -> Self {
        let args: Vec<String> = args.iter().map(|arg| (*arg).to_owned()).collect();
        let folder = tempfile::tempdir().expect("a temporary folder");
        let child = spawn(port, folder.path(), &args);
        let mut server = Self { child, port, args, folder };
        server.wait_ready();
        server
    }

    pub(crate) fn addr(&self) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], self.port))
    }

    pub(crate) fn url(&self) -> String {
        format!("redis://{}", self.addr())
    }

    /// Runs a command of a few words past all of the lane.
    #[track_caller]
    pub(crate) fn ask<T: redis::FromRedisValue>(&self, words: &[&str]) -> T {
        self.try_ask(words).unwrap_or_else(|error| panic!("{words:?}: {error}"))
    }

    pub(crate) fn try_ask<T: redis::FromRedisValue>(
        &self,
        words: &[&str],
    ) -> redis::RedisResult<T> {
        let client = redis::Client::open(self.url())?;
        let mut connection = client.get_connection_with_timeout(PATIENCE)?;
        let mut command = redis::cmd(words[0]);
        words[1..].iter().for_each(|word| {
            command.arg(*word);
        });
        command.query(&mut connection)
    }

    /// As a crash: the process is gone, its memory too.
    pub(crate) fn kill(&mut self) {
        self.child.kill().expect("it runs");
        self.child.wait().expect("it can be waited for");
    }

    /// Comes back at the same port with what its dump file holds: nothing, unless it was saved.
    pub(crate) fn start_again(&mut self) {
        self.child = spawn(self.port, self.folder.path(), &self.args);
        self.wait_ready();
    }

    pub(crate) fn restart_empty(&mut self) {
        self.kill();
        let _ = std::fs::remove_file(self.dump_file());
        self.start_again();
    }

    /// Keeps what it holds now, to go back to with [`RedisServer::roll_back`].
    pub(crate) fn dump(&self) {
        self.ask::<()>(&["SAVE"]);
    }

    /// Comes back with what it held at the last [`RedisServer::dump`].
    pub(crate) fn roll_back(&mut self) {
        self.kill();
        self.start_again();
    }

    /// Silent but not gone, until [`RedisServer::go_on`].
    pub(crate) fn stop(&self) {
        signal(&self.child, "-STOP");
    }

    pub(crate) fn go_on(&self) {
        signal(&self.child, "-CONT");
    }

    /// From now on it cannot write its dump, as on a full disk, and knows that.
    pub(crate) fn break_dumps(&self) {
        // A folder where the file should be: the save fails at its last step.
        std::fs::create_dir(self.dump_file()).expect("a folder");
        self.ask::<()>(&["CONFIG", "SET", "save", "3600 1"]);
        self.ask::<String>(&["BGSAVE"]);
        self.wait_saved("err");
    }

    /// Its dumps succeed again.
    pub(crate) fn mend_dumps(&self) {
        std::fs::remove_dir(self.dump_file()).expect("the folder in the way");
        self.ask::<String>(&["BGSAVE"]);
        self.wait_saved("ok");
    }

    fn wait_saved(&self, status: &str) {
        wait_for("a dump to end", || {
            let info: String = self.ask(&["INFO", "persistence"]);
            info.contains(&format!("rdb_last_bgsave_status:{status}"))
        });
    }

    fn dump_file(&self) -> PathBuf {
        self.folder.path().join("dump.rdb")
    }

    fn wait_ready(&mut self) {
        wait_for("redis-server to answer", || {
            if let Ok(Some(status)) = self.child.try_wait() {
                panic!("redis-server ended at once: {status}");
            }
            self.try_ask::<String>(&["PING"]).is_ok()
        });
    }
}

impl Drop for RedisServer {
    fn drop(&mut self) {
        // A stopped process takes no other signal but this one.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Three primaries with a replica each.
pub(crate) struct RedisCluster {
    pub(crate) nodes: Vec<RedisServer>,
}

impl RedisCluster {
    pub(crate) fn start() -> Self {
        let args = ["--cluster-enabled", "yes", "--cluster-node-timeout", NODE_TIMEOUT_MS];
        let nodes: Vec<RedisServer> =
            (0..6).map(|_| RedisServer::on(free_cluster_port(), &args)).collect();
        let addresses = nodes.iter().map(|node| node.addr().to_string());
        let output = Command::new("redis-cli")
            .args(["--cluster", "create"])
            .args(addresses)
            .args(["--cluster-replicas", "1", "--cluster-yes"])
            .output()
            .unwrap_or_else(|error| missing("redis-cli", &error));
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "the cluster was not made: {said}");
        let cluster = Self { nodes };
        cluster.wait_healthy();
        cluster
    }

    pub(crate) fn urls(&self) -> Vec<String> {
        self.nodes.iter().take(3).map(RedisServer::url).collect()
    }

    /// The node that serves `key` now, by its place in `nodes`.
    pub(crate) fn owner(&self, key: &str) -> usize {
        let serves = |node: &RedisServer| {
            // A primary of another slot answers MOVED, and so does a replica of this one.
            node.try_ask::<Option<String>>(&["GET", key]).is_ok()
        };
        let mut owner = None;
        wait_for("somebody to serve the key", || {
            owner = self.nodes.iter().position(serves);
            owner.is_some()
        });
        owner.expect("just found")
    }

    /// Another primary.
    pub(crate) fn owner_other_than(&self, one: usize) -> usize {
        let is_primary = |node: &RedisServer| {
            node.ask::<String>(&["INFO", "replication"]).contains("role:master")
        };
        let others = self.nodes.iter().enumerate().filter(|(index, _)| *index != one);
        let mut primaries = others.filter(|(_, node)| is_primary(node));
        primaries.next().expect("three of them").0
    }

    /// Until all nodes name the same primaries for the same slots, since the same epoch.
    pub(crate) fn wait_agreed(&self) {
        // Id and epoch, then the slots.
        let view = |node: &RedisServer| -> BTreeSet<String> {
            let nodes: String = node.ask(&["CLUSTER", "NODES"]);
            let serving = nodes.lines().map(|line| line.split(' ').collect::<Vec<_>>());
            let serving = serving.filter(|fields| fields.len() > 8);
            serving.map(|line| format!("{} {} {:?}", line[0], line[6], &line[8..])).collect()
        };
        wait_for("the nodes to agree", || {
            let views: BTreeSet<_> = self.nodes.iter().map(view).collect();
            views.len() == 1
        });
    }

    /// Until every primary has a replica in step, so that a failover loses no slot.
    pub(crate) fn wait_healthy(&self) {
        wait_for("the cluster to be whole", || {
            self.nodes.iter().all(|node| {
                let info: String = node.ask(&["CLUSTER", "INFO"]);
                let replication: String = node.ask(&["INFO", "replication"]);
                info.contains("cluster_state:ok")
                    && (replication.contains("master_link_status:up")
                        || replication.contains("state=online"))
            })
        });
    }
}

fn spawn(port: u16, folder: &Path, args: &[String]) -> Child {
    Command::new("redis-server")
        .args(["--port", &port.to_string(), "--bind", "127.0.0.1"])
        .args(["--save", "", "--appendonly", "no", "--dir"])
        .arg(folder)
        .args(args)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .spawn()
        .unwrap_or_else(|error| missing("redis-server", &error))
}

fn missing(command: &str, error: &std::io::Error) -> ! {
    panic!("{command} does not start ({error}): apt-get install redis-server, or tests/run.sh")
}

fn signal(child: &Child, signal: &str) {
    let status = Command::new("kill").args([signal, &child.id().to_string()]).status();
    assert!(status.is_ok_and(|status| status.success()), "kill {signal}");
}

/// A port that was free a moment ago; two tests at once get two, since the kernel counts on.
pub(crate) fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("bound").port()
}

/// A cluster node listens at 10,000 above its port as well, which must be below 65,536 and free.
fn free_cluster_port() -> u16 {
    loop {
        let port = free_port();
        if port < 55_000 && TcpListener::bind(("127.0.0.1", port + 10_000)).is_ok() {
            return port;
        }
    }
}

/// Looks until `done`: for what has no event of its own to wait for.
#[track_caller]
pub(crate) fn wait_for(what: &str, mut done: impl FnMut() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !done() {
        assert!(Instant::now() < end, "waited in vain for {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Looks until `count` is `more` than now, for as long as it grows.
#[track_caller]
pub(crate) fn wait_for_more(what: &str, more: usize, count: impl Fn() -> usize) {
    wait_to_reach(what, count().saturating_add(more), count);
}

/// Looks until `count` is `enough`, for as long as it grows: how long that takes is the machine's
/// business.
#[track_caller]
pub(crate) fn wait_to_reach(what: &str, enough: usize, count: impl Fn() -> usize) {
    let mut reached = count();
    while reached < enough {
        let before = reached;
        wait_for(what, || {
            reached = count();
            reached > before
        });
    }
}
