//! The process as one of a cluster: the lanes to Redis and `MongoDB`, and the domains on them.

use super::domain::{Backing, Domain, Ground};
use super::trade::Trades;
use super::{counter_on_cluster, gift_on_cluster, packet_on_cluster, trade};
use crate::cluster::Lanes;
use crate::config::Config;
use crate::exec::Notifier;
use crate::limits::{BATCH_JOBS_MAX, LANE_JOBS_MAX, QUEUE_JOBS_MAX};
use crate::ops::Part;
use crate::store::mongo::MongoOptions;
use crate::store::redis::RedisOptions;
use crate::store::{DataFolder, OpenError};
use std::error::Error;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// What a client library may hold a thread back at the end.
const END_PATIENCE: Duration = Duration::from_secs(5);

/// Opens the lanes, refusing servers that cannot be used, and then the domains.
pub(super) fn open(config: &Config, notifier: &Arc<Notifier>) -> Result<Backing, Box<dyn Error>> {
    let (lanes, threads) = Lanes::open(&mongo_options(config), &redis_options(config))?;
    let mut domains = vec![
        gift_on_cluster::open(config, &lanes, notifier)?,
        counter_on_cluster::open(config, &lanes, notifier)?,
        packet_on_cluster::open(config, &lanes)?,
    ];
    let trades = open_room(config, notifier)?.map(|(room, trades)| {
        domains.push(room);
        trades
    });
    let (redis, mongo) = (lanes.redis.clone(), lanes.mongo.clone());
    let away = |name: &'static str, is_away: Box<dyn Fn() -> bool + Send + Sync>| {
        Part::new(name, move || is_away().then(|| "it does not answer".to_owned()))
    };
    let parts = vec![
        away("redis", Box::new(move || redis.is_away())),
        away("mongo", Box::new(move || mongo.is_away())),
    ];
    let end = Box::new(move || {
        drop(lanes);
        let stuck = threads.join(END_PATIENCE);
        if stuck > 0 {
            tracing::warn!(stuck, "threads that wait for a server end with the process");
        }
    });
    Ok(Backing { domains, trades, parts, end })
}

type OpenRoom = (Domain, Arc<Trades>);

/// The room's record is a file of one process: who comes second to a folder serves none.
fn open_room(
    config: &Config,
    notifier: &Arc<Notifier>,
) -> Result<Option<OpenRoom>, Box<dyn Error>> {
    match DataFolder::open(Path::new(&config.data_dir)) {
        Ok(folder) => trade::open(&Ground { config, folder: &folder, notifier }).map(Some),
        Err(OpenError::InUse { path }) => {
            let folder = path.display();
            tracing::warn!(%folder, "another process has this data_dir, and with it the trading room");
            Ok(None)
        }
        Err(error) => Err(error.into()),
    }
}

fn mongo_options(config: &Config) -> MongoOptions {
    MongoOptions {
        uri: config.cluster.mongo.expose().to_owned(),
        database: config.cluster.database.clone(),
        threads: config.mongo.threads,
        connect_timeout: config.mongo.connect_timeout.0,
        operation_timeout: config.mongo.operation_timeout.0,
        queue_jobs_max: LANE_JOBS_MAX,
        batch_jobs_max: 1,
    }
}

/// How this configuration reaches Redis.
pub(super) fn redis_options(config: &Config) -> RedisOptions {
    RedisOptions {
        urls: config.cluster.redis.expose_each(),
        threads: config.redis.threads,
        connect_timeout: config.redis.connect_timeout.0,
        timeout: config.redis.timeout.0,
        queue_jobs_max: QUEUE_JOBS_MAX,
        batch_jobs_max: BATCH_JOBS_MAX,
    }
}
