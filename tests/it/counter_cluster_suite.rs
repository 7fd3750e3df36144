//! The counter store of a cluster answers as the model: the suite of the local store, unchanged.

use crate::cluster_lanes::{OneProcess, PATIENCE, YEARS_S, patient};
use crate::counter_suite::{Backend, Setup, check_store};
use crate::redis_server::{RedisServer, wait_for};
use fanfare::counter::Store;
use fanfare::counter::cluster::{ClusterCounters, ClusterOptions};
use fanfare::exec::Notifier;
use std::sync::Arc;
use std::time::Duration;

fn process(setup: Setup, redis: &Arc<RedisServer>) -> OneProcess<ClusterCounters> {
    OneProcess::start(
        redis,
        Box::new(move |lanes, database| {
            let options = ClusterOptions {
                zone: setup.zone.clone(),
                expiry_margin_s: YEARS_S,
                // The histories mix what a unique type forbids.
                types: Arc::default(),
                tag: database.to_owned(),
                journal: "counters".to_owned(),
                tuning: patient(),
                deadline: PATIENCE,
                stale_max: Duration::ZERO,
                op_patience: PATIENCE,
                clock: Arc::clone(&setup.clock) as _,
                notifier: Arc::new(Notifier::default()),
            };
            let (counters, threads) = ClusterCounters::open(lanes, options).expect("it opens");
            wait_for("a fresh view", || counters.is_fresh());
            (counters, threads)
        }),
    )
}

impl Backend for OneProcess<ClusterCounters> {
    fn store(&self) -> Arc<dyn Store> {
        Arc::clone(OneProcess::store(self)) as _
    }

    fn restart(&mut self) {
        OneProcess::restart(self);
    }

    /// Whatever a history did, the view is the journal.
    fn finish(&mut self) {
        let checks = OneProcess::store(self).auditor().audit().expect("both can be read");
        assert_eq!(checks.len(), 4, "{checks:?}");
        assert!(checks.iter().all(|check| check.ok), "{checks:#?}");
    }
}

#[test]
fn answers_as_the_model() {
    let redis = Arc::new(RedisServer::start(&[]));
    check_store(12, |setup| process(setup, &redis));
}
