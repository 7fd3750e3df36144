//! One process of a cluster within the test, on real servers: its lanes, and a store on them.

use crate::mongo_server::{MongoServer, fresh_database};
use crate::redis_server::RedisServer;
use fanfare::cluster::{Lanes, LanesThreads, Tuning};
use fanfare::exec::Threads;
use fanfare::store::mongo::MongoOptions;
use fanfare::store::redis::RedisOptions;
use std::sync::Arc;
use std::time::Duration;

/// More than a busy machine takes for anything.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// Histories are of simulated years, which Redis does not know of: it must not forget boards whose
/// end, by its own clock, is long past.
pub(crate) const YEARS_S: i64 = 100 * 366 * 86_400;

/// Opens a store over lanes, with keys under the name of the database.
type Make<S> = Box<dyn Fn(&Lanes, &str) -> (S, Threads)>;

/// The store is another one after each restart.
pub(crate) struct OneProcess<S> {
    database: String,
    redis: Arc<RedisServer>,
    make: Make<S>,
    open: Option<(Arc<S>, Threads, LanesThreads)>,
}

impl<S> OneProcess<S> {
    pub(crate) fn start(redis: &Arc<RedisServer>, make: Make<S>) -> Self {
        let (database, redis) = (fresh_database(), Arc::clone(redis));
        let mut process = Self { database, redis, make, open: None };
        process.restart();
        process
    }

    pub(crate) fn store(&self) -> &Arc<S> {
        &self.open.as_ref().expect("open").0
    }

    pub(crate) fn restart(&mut self) {
        self.stop();
        let (lanes, lane_threads) = open_lanes(&self.database, &self.redis);
        let (store, threads) = (self.make)(&lanes, &self.database);
        self.open = Some((Arc::new(store), threads, lane_threads));
    }

    fn stop(&mut self) {
        let Some((store, threads, lanes)) = self.open.take() else { return };
        drop(store);
        threads.join();
        assert_eq!(lanes.join(PATIENCE), 0, "no thread is left behind");
    }
}

impl<S> Drop for OneProcess<S> {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Acknowledges when the view holds it, whatever the machine is busy with.
pub(crate) fn patient() -> Tuning {
    Tuning {
        patience: PATIENCE,
        look_age_max: PATIENCE,
        pass_every: Duration::from_millis(100),
        ..Tuning::taking_over_after(2 * PATIENCE)
    }
}

/// On a database of the shared MongoDB.
fn open_lanes(database: &str, redis: &RedisServer) -> (Lanes, LanesThreads) {
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
