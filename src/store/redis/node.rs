//! One server and the connection to it: made when needed, looked at before use, dropped after any
//! error, made again after a pause.

use super::options::RedisOptions;
use crate::store::lane::{LaneError, back_off};
use redis::{Client, Connection, ConnectionInfo, RedisError, Value};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// The pause after a first failure, and the longest.
const PAUSE_FIRST: Duration = Duration::from_millis(50);
/// See [`PAUSE_FIRST`]; a server that is back is found at most so much later.
const PAUSE_LONGEST: Duration = Duration::from_secs(2);

/// What may not wait less: zero would mean for ever.
const WAIT_LEAST: Duration = Duration::from_millis(1);

/// One server.
///
/// Invariant: a link that erred is gone. What it would still bring belongs to commands that were
/// given up, and would be taken for the answers to later ones.
pub(super) struct Node {
    info: ConnectionInfo,
    /// Counts new connections: whoever answers over one may be another server than before, or one
    /// that has forgotten something.
    changes: Arc<AtomicU64>,
    link: Option<Link>,
    failures: u32,
    retry_at: Option<Instant>,
}

/// A connection to a server that may be used.
pub(super) struct Link {
    connection: Connection,
    pub(super) is_cluster: bool,
}

impl Node {
    pub(super) fn new(info: ConnectionInfo, changes: Arc<AtomicU64>) -> Self {
        Self { info, changes, link: None, failures: 0, retry_at: None }
    }

    /// The connection there is, or a new one when the time for a try has come.
    pub(super) fn link(&mut self, options: &RedisOptions) -> Option<&mut Link> {
        let due = self.retry_at.is_none_or(|at| at <= Instant::now());
        if self.link.is_none() && due {
            match Link::connect(&self.info, options) {
                Ok(link) => {
                    // Before anything is asked over it.
                    self.changes.fetch_add(1, Ordering::AcqRel);
                    self.link = Some(link);
                }
                Err(error) => {
                    if self.failures == 0 {
                        tracing::warn!(%error, "Redis is away; trying again until it is back");
                    }
                    self.lost();
                }
            }
        }
        self.link.as_mut()
    }

    /// The connection there is.
    pub(super) fn open_link(&mut self) -> Option<&mut Link> {
        self.link.as_mut()
    }

    /// An answer came.
    pub(super) fn answered(&mut self) {
        self.failures = 0;
        self.retry_at = None;
    }

    /// Something went wrong: drops the connection and pauses.
    pub(super) fn lost(&mut self) {
        self.link = None;
        self.failures = self.failures.saturating_add(1);
        self.retry_at = Some(Instant::now() + back_off(self.failures, PAUSE_FIRST, PAUSE_LONGEST));
    }
}

impl Link {
    /// Connects and looks whether the server may be used.
    pub(super) fn connect(
        info: &ConnectionInfo,
        options: &RedisOptions,
    ) -> Result<Self, LaneError> {
        let client = Client::open(info.clone()).map_err(|error| away(&error))?;
        let mut connection = client
            .get_connection_with_timeout(options.connect_timeout)
            .map_err(|error| away(&error))?;
        // The client leaves a new connection without either.
        let timed = connection.set_read_timeout(Some(options.timeout.max(WAIT_LEAST)));
        let timed = timed
            .and_then(|()| connection.set_write_timeout(Some(options.timeout.max(WAIT_LEAST))));
        timed.map_err(|error| away(&error))?;
        let info: String =
            redis::cmd("INFO").query(&mut connection).map_err(|error| away(&error))?;
        let is_cluster = look(&info)?;
        Ok(Self { connection, is_cluster })
    }

    /// Sends whole commands.
    pub(super) fn send(&mut self, bytes: &[u8]) -> Result<(), RedisError> {
        self.connection.send_packed_command(bytes)
    }

    /// From here to `deadline` its answers may take.
    pub(super) fn wait_until(&mut self, deadline: Instant) -> Result<(), RedisError> {
        let left = deadline.saturating_duration_since(Instant::now());
        self.connection.set_read_timeout(Some(left.max(WAIT_LEAST)))
    }

    /// The answer to the next command, past `others` before it.
    pub(super) fn receive(&mut self, others: usize) -> Result<Value, RedisError> {
        for _ in 0..others {
            self.receive_one()?;
        }
        self.receive_one()
    }

    fn receive_one(&mut self) -> Result<Value, RedisError> {
        loop {
            let value = self.connection.recv_response()?;
            // Not the answer to anything.
            if !matches!(value, Value::Push { .. }) {
                return Ok(value);
            }
        }
    }
}

/// Reads `INFO`: refuses what must not be used; tells whether it is part of a cluster.
fn look(info: &str) -> Result<bool, LaneError> {
    let field = |name: &str| {
        info.lines().find_map(|line| line.trim().strip_prefix(name)?.strip_prefix(':'))
    };
    if field("loading") == Some("1") {
        return Err(not_now("it is loading its data"));
    }
    let is_cluster = field("cluster_enabled") == Some("1");
    // In a cluster a replica sends us to its primary.
    if !is_cluster && field("role") == Some("slave") {
        return Err(not_now("it is a replica, which takes no writes"));
    }
    match field("maxmemory_policy") {
        Some("noeviction") => Ok(is_cluster),
        policy => Err(LaneError::Unfit {
            lane: "Redis",
            reason: format!(
                "its maxmemory-policy is {}, with which it would silently forget parts of boards: \
                 set it to noeviction (redis-cli CONFIG SET maxmemory-policy noeviction, and the \
                 same in redis.conf)",
                policy.unwrap_or("unknown")
            ),
        }),
    }
}

fn away(error: &RedisError) -> LaneError {
    not_now(&error.to_string())
}

fn not_now(reason: &str) -> LaneError {
    LaneError::Away { lane: "Redis", reason: reason.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn looks_at_what_a_server_says_of_itself() {
        let info =
            |policy: &str, rest: &str| format!("# Memory\r\nmaxmemory_policy:{policy}\r\n{rest}");
        assert!(matches!(look(&info("noeviction", "role:master\r\n")), Ok(false)));
        assert!(matches!(look(&info("noeviction", "role:slave\r\ncluster_enabled:1")), Ok(true)));
        let unfit = look(&info("allkeys-lru", "role:master\r\n"));
        assert!(matches!(unfit, Err(LaneError::Unfit { .. })));
        for passing in ["role:slave\r\n", "loading:1\r\n"] {
            let away = look(&info("noeviction", passing));
            assert!(matches!(away, Err(LaneError::Away { .. })), "{passing}");
        }
    }
}
