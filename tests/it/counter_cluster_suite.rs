//! The counter store of a cluster answers as the model: the suite of the local store, unchanged.

use crate::cluster_lanes::{PATIENCE, open_lanes};
use crate::counter_suite::{Backend, Setup, check_store};
use crate::mongo_server::fresh_database;
use crate::redis_server::{RedisServer, wait_for};
use fanfare::cluster::{LanesThreads, Tuning};
use fanfare::counter::Store;
use fanfare::counter::cluster::{ClusterCounters, ClusterOptions};
use fanfare::exec::{Notifier, Threads};
use std::sync::Arc;
use std::time::Duration;

/// The histories are of simulated months, which Redis does not know of: it must not forget windows
/// whose end, by its own clock, is long past.
const YEARS_S: i64 = 100 * 366 * 86_400;

/// One process of a cluster; the store is another one after each restart.
struct OneProcess {
    setup: Setup,
    database: String,
    redis: Arc<RedisServer>,
    open: Option<Open>,
}

struct Open {
    counters: Arc<ClusterCounters>,
    threads: Threads,
    lanes: LanesThreads,
}

impl OneProcess {
    fn new(setup: Setup, redis: &Arc<RedisServer>) -> Self {
        let mut process =
            Self { setup, database: fresh_database(), redis: Arc::clone(redis), open: None };
        process.start();
        process
    }

    fn start(&mut self) {
        let (lanes, lane_threads) = open_lanes(&self.database, &self.redis);
        // A busy machine may be late with a look at the members; the answers that are compared here
        // are those without a mark.
        let tuning = Tuning {
            patience: PATIENCE,
            look_age_max: PATIENCE,
            pass_every: Duration::from_millis(100),
            ..Tuning::taking_over_after(2 * PATIENCE)
        };
        let options = ClusterOptions {
            zone: self.setup.zone.clone(),
            expiry_margin_s: YEARS_S,
            // The histories mix what a unique type forbids.
            types: Arc::default(),
            tag: self.database.clone(),
            journal: "counters".to_owned(),
            tuning,
            deadline: PATIENCE,
            stale_max: Duration::ZERO,
            op_patience: PATIENCE,
            clock: Arc::clone(&self.setup.clock) as _,
            notifier: Arc::new(Notifier::default()),
        };
        let (counters, threads) = ClusterCounters::open(&lanes, options).expect("it opens");
        wait_for("a fresh view", || counters.is_fresh());
        self.open = Some(Open { counters: Arc::new(counters), threads, lanes: lane_threads });
    }

    fn stop(&mut self) {
        let Some(Open { counters, threads, lanes }) = self.open.take() else { return };
        drop(counters);
        threads.join();
        assert_eq!(lanes.join(PATIENCE), 0, "no thread is left behind");
    }
}

impl Drop for OneProcess {
    fn drop(&mut self) {
        self.stop();
    }
}

impl Backend for OneProcess {
    fn store(&self) -> Arc<dyn Store> {
        Arc::clone(&self.open.as_ref().expect("open").counters) as _
    }

    fn restart(&mut self) {
        self.stop();
        self.start();
    }

    /// Whatever a history did, the view is the journal.
    fn finish(&mut self) {
        let open = self.open.as_ref().expect("open");
        let checks = open.counters.auditor().audit().expect("both can be read");
        assert_eq!(checks.len(), 4, "{checks:?}");
        assert!(checks.iter().all(|check| check.ok), "{checks:#?}");
    }
}

#[test]
fn answers_as_the_model() {
    let redis = Arc::new(RedisServer::start(&[]));
    check_store(12, |setup| OneProcess::new(setup, &redis));
}
