//! The packet store of one process of a cluster, on real servers, opened and closed at will.

use crate::gift_model::TestClock;
use crate::mongo_server::{MongoServer, fresh_database};
use crate::packet_suite::EXPIRE_S;
use crate::redis_server::RedisServer;
use fanfare::cluster::{Lanes, LanesThreads};
use fanfare::exec::Threads;
use fanfare::packet::Store;
use fanfare::packet::cluster::{ClusterOptions, ClusterPackets};
use fanfare::packet::gate::GateOptions;
use fanfare::store::mongo::MongoOptions;
use fanfare::store::redis::RedisOptions;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::mpsc::channel;
use std::time::Duration;

/// More than a busy machine takes for anything.
const PATIENCE: Duration = Duration::from_secs(60);

/// One process of a cluster; the store is another one after each restart.
pub(crate) struct OneProcess {
    clock: Arc<TestClock>,
    database: String,
    redis: Arc<RedisServer>,
    open: Option<Open>,
}

struct Open {
    packets: Arc<ClusterPackets>,
    threads: Threads,
    lanes: LanesThreads,
}

/// Ways to the shared `MongoDB` and to `redis`.
pub(crate) fn lanes(database: &str, redis: &RedisServer) -> (Lanes, LanesThreads) {
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

impl OneProcess {
    pub(crate) fn new(clock: Arc<TestClock>, redis: &Arc<RedisServer>) -> Self {
        let (database, redis) = (fresh_database(), Arc::clone(redis));
        let mut process = Self { clock, database, redis, open: None };
        process.start();
        process
    }

    pub(crate) fn packets(&self) -> &Arc<ClusterPackets> {
        &self.open.as_ref().expect("open").packets
    }

    pub(crate) fn tick(&self) {
        let (sender, receiver) = channel();
        self.packets().tick(Box::new(move |ticked| {
            sender.send(ticked).expect("the test waits for it");
        }));
        receiver.recv().expect("answered").expect("the store is well");
    }

    #[track_caller]
    pub(crate) fn check_audit(&self) {
        let checks = self.packets().auditor().audit().expect("servers answer");
        assert!(checks.iter().all(|check| check.ok), "{checks:#?}");
    }

    fn start(&mut self) {
        let (lanes, lane_threads) = lanes(&self.database, &self.redis);
        let no_limit = NonZeroU32::new(1_000_000_000).expect("above 0");
        let gate = GateOptions {
            user_rate: no_limit,
            user_burst: no_limit,
            global_rate: no_limit,
            global_burst: no_limit,
        };
        let options = ClusterOptions {
            expire_after: Some(Duration::from_secs(EXPIRE_S.unsigned_abs())),
            tag: self.database.clone(),
            deadline: PATIENCE,
            op_patience: PATIENCE,
            tick: None,
            clock: Arc::clone(&self.clock) as _,
            ..ClusterOptions::new(gate)
        };
        let (packets, threads) = ClusterPackets::open(&lanes, &options).expect("it opens");
        self.open = Some(Open { packets, threads, lanes: lane_threads });
    }

    fn stop(&mut self) {
        let Some(Open { packets, threads, lanes }) = self.open.take() else { return };
        assert_eq!(Arc::strong_count(&packets), 1, "a handle keeps the threads alive");
        drop(packets);
        threads.join();
        assert_eq!(lanes.join(PATIENCE), 0, "no thread is left behind");
    }

    pub(crate) fn store(&self) -> Arc<dyn Store> {
        Arc::<ClusterPackets>::clone(self.packets())
    }

    pub(crate) fn restart(&mut self) {
        self.stop();
        self.start();
        self.check_audit();
    }
}

impl Drop for OneProcess {
    fn drop(&mut self) {
        self.stop();
    }
}
