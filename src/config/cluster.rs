//! The cluster of the configuration: where its servers are, and how they are talked to.

use super::reader::Reader;
use super::{Addresses, DAY, HOUR, Span};
use serde::Serialize;
use std::ops::RangeInclusive;
use std::time::Duration;

/// What one step over the network may take.
const NETWORK: RangeInclusive<Duration> = Duration::from_millis(10)..=Duration::from_secs(60);

/// The processes that serve together; only with the cluster as backend.
#[derive(Clone, Debug, Serialize)]
pub struct Cluster {
    /// Where Redis is.
    pub redis: Addresses,
    /// Where `MongoDB` is.
    pub mongo: Addresses,
    /// The database of all collections.
    pub database: String,
    /// The collection of the gift journal.
    pub gifts: String,
    /// The collection of the rains; others begin with its name.
    pub rains: String,
    /// The collection of the counters' journal.
    pub counters: String,
    /// What the names of all keys in Redis begin with.
    pub prefix: String,
    /// How old a board may be that is shown while Redis is away.
    pub stale_max: Span,
    /// After that a request is answered, whatever becomes of it.
    pub deadline: Span,
    /// How long a process must be silent before others take over what it left.
    pub takeover: Span,
}

/// The lane to `MongoDB`.
#[derive(Clone, Debug, Serialize)]
pub struct Mongo {
    /// Threads, and so connections that carry work.
    pub threads: usize,
    /// To connect, and to find a server that may take writes.
    pub connect_timeout: Span,
    /// What the server may spend on one operation.
    pub operation_timeout: Span,
}

/// The lane to Redis.
#[derive(Clone, Debug, Serialize)]
pub struct Redis {
    /// Threads; each has a connection to every node that it needs.
    pub threads: usize,
    /// To connect.
    pub connect_timeout: Span,
    /// For the answers to a pipeline.
    pub timeout: Span,
}

impl Cluster {
    pub(super) fn take(from: &mut Reader<'_>) -> Self {
        Self {
            redis: from.addresses("cluster.redis", &["redis://", "rediss://"]),
            mongo: from.addresses("cluster.mongo", &["mongodb://", "mongodb+srv://"]),
            database: from.name("cluster.database"),
            gifts: from.name("cluster.gifts"),
            rains: from.name("cluster.rains"),
            counters: from.name("cluster.counters"),
            prefix: from.name("cluster.prefix"),
            stale_max: from.duration("cluster.stale_max", Duration::ZERO..=DAY),
            deadline: from.duration("cluster.deadline", Duration::from_millis(100)..=HOUR),
            takeover: from.duration("cluster.takeover", Duration::from_secs(6)..=HOUR),
        }
    }

    /// Rules between its keys.
    pub(super) fn check(&self, reader: &mut Reader<'_>) {
        if self.counters == self.gifts {
            reader.refuse("cluster.counters", "another collection than cluster.gifts");
        }
        if [&self.gifts, &self.counters].contains(&&self.rains) {
            let expected = "another collection than cluster.gifts and cluster.counters";
            reader.refuse("cluster.rains", expected);
        }
    }
}

impl Mongo {
    pub(super) fn take(from: &mut Reader<'_>) -> Self {
        Self {
            threads: from.integer("mongo.threads", 1..=10),
            connect_timeout: from.duration("mongo.connect_timeout", NETWORK),
            operation_timeout: from.duration("mongo.operation_timeout", NETWORK),
        }
    }
}

impl Redis {
    pub(super) fn take(from: &mut Reader<'_>) -> Self {
        Self {
            threads: from.integer("redis.threads", 1..=64),
            connect_timeout: from.duration("redis.connect_timeout", NETWORK),
            timeout: from.duration("redis.timeout", NETWORK),
        }
    }
}
