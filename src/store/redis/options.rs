//! Where Redis is, and how long its lane waits for what.

use super::node::Link;
use crate::store::lane::LaneError;
use redis::{ConnectionInfo, IntoConnectionInfo};
use std::fmt;
use std::time::Duration;

/// What a lane is opened with.
#[derive(Clone)]
pub struct RedisOptions {
    /// `redis://` or `rediss://`, with user, password and database where needed. One address of a
    /// single server, or any of a Redis Cluster; which of both it is the server says itself. The
    /// nodes of a cluster share user, password and TLS of the first. TLS trusts whom the system
    /// trusts (`SSL_CERT_FILE` names others).
    pub urls: Vec<String>,
    /// Threads; each has a connection to every node that it needs.
    pub threads: usize,
    /// To connect, and then to introduce oneself.
    pub connect_timeout: Duration,
    /// For the answers to a batch.
    pub timeout: Duration,
    /// Jobs that may wait for one thread.
    pub queue_jobs_max: usize,
    /// Jobs of one pipeline.
    pub batch_jobs_max: usize,
}

/// Without the addresses, which hold passwords.
impl fmt::Debug for RedisOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisOptions").field("threads", &self.threads).finish_non_exhaustive()
    }
}

impl RedisOptions {
    /// Connects to the first address that answers and refuses a server that must not be used. An
    /// [`LaneError::Away`] need not hinder a start: the lane heals by itself.
    pub fn check(&self) -> Result<(), LaneError> {
        let mut last = None;
        for seed in self.seeds()? {
            match Link::connect(&seed, self) {
                Ok(Link { is_cluster: false, .. }) if self.urls.len() > 1 => {
                    return Err(not_a_cluster());
                }
                Ok(_) => return Ok(()),
                Err(unfit @ LaneError::Unfit { .. }) => return Err(unfit),
                Err(error) => last = Some(error),
            }
        }
        Err(last.expect("at least one address"))
    }

    /// The addresses, understood.
    pub(super) fn seeds(&self) -> Result<Vec<ConnectionInfo>, LaneError> {
        if self.threads == 0 || self.queue_jobs_max == 0 || self.batch_jobs_max == 0 {
            return Err(refused("threads, queue and batch must be at least 1"));
        }
        if self.urls.is_empty() {
            return Err(refused("no address"));
        }
        // The client's complaint may quote the address, and with it the password.
        let parse = |url: &String| {
            url.as_str().into_connection_info().map_err(|_| {
                refused("an address is not of the form redis://user:password@host:port/database")
            })
        };
        self.urls.iter().map(parse).collect()
    }
}

pub(super) fn not_a_cluster() -> LaneError {
    LaneError::Unfit {
        lane: "Redis",
        reason: "several addresses, but the server is not part of a Redis Cluster: give one".into(),
    }
}

fn refused(reason: &str) -> LaneError {
    LaneError::Options { lane: "Redis", reason: reason.to_owned() }
}
