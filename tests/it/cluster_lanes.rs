//! The lanes of one process within the test, on real servers.

use crate::mongo_server::MongoServer;
use crate::redis_server::RedisServer;
use fanfare::cluster::{Lanes, LanesThreads};
use fanfare::store::mongo::MongoOptions;
use fanfare::store::redis::RedisOptions;
use std::time::Duration;

/// More than a busy machine takes for anything.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// Opens them on a database of the shared MongoDB.
pub(crate) fn open_lanes(database: &str, redis: &RedisServer) -> (Lanes, LanesThreads) {
    let mongo = MongoOptions {
        uri: format!("mongodb://{}", MongoServer::shared().addr()),
        database: database.to_owned(),
        threads: 3,
        connect_timeout: PATIENCE,
        operation_timeout: PATIENCE,
        queue_jobs_max: 64,
        batch_jobs_max: 1,
    };
    let redis = RedisOptions {
        urls: vec![redis.url()],
        threads: 2,
        connect_timeout: PATIENCE,
        timeout: PATIENCE,
        queue_jobs_max: 64,
        batch_jobs_max: 64,
    };
    Lanes::open(&mongo, &redis).expect("servers that are fit")
}
