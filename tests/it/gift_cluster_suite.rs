//! The gift store of a cluster answers as the model: the suite of the local store, unchanged.

use crate::cluster_lanes::{PATIENCE, open_lanes};
use crate::gift_suite::{Backend, Setup, check_store};
use crate::mongo_server::fresh_database;
use crate::redis_server::{RedisServer, wait_for};
use fanfare::cluster::{LanesThreads, Tuning};
use fanfare::exec::{Answer, Notifier, Threads};
use fanfare::gift::cluster::{ClusterGifts, ClusterOptions};
use fanfare::gift::{Found, Read, Store, Write, Written};
use fanfare::store::StoreError;
use std::sync::Arc;
use std::sync::mpsc::channel;
use std::time::Duration;

/// The histories are of simulated years, which Redis does not know of: it must not forget boards
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
    gifts: Arc<Unmarked>,
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
        let second = Duration::from_secs(1);
        let tuning = Tuning {
            patience: PATIENCE,
            look_age_max: 2 * second,
            ..Tuning::taking_over_after(6 * second)
        };
        let options = ClusterOptions {
            zone: self.setup.zone.clone(),
            keep: self.setup.keep,
            expiry_margin_s: YEARS_S,
            tag: self.database.clone(),
            journal: "gifts".to_owned(),
            tuning,
            deadline: PATIENCE,
            stale_max: Duration::ZERO,
            op_patience: PATIENCE,
            clock: Arc::clone(&self.setup.clock) as _,
            notifier: Arc::new(Notifier::default()),
        };
        let (gifts, threads) = ClusterGifts::open(&lanes, options).expect("it opens");
        wait_for("a fresh view", || gifts.is_fresh());
        self.open = Some(Open { gifts: Arc::new(Unmarked(gifts)), threads, lanes: lane_threads });
    }

    fn stop(&mut self) {
        let Some(Open { gifts, threads, lanes }) = self.open.take() else { return };
        drop(gifts);
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
        Arc::clone(&self.open.as_ref().expect("open").gifts) as _
    }

    fn restart(&mut self) {
        self.stop();
        self.start();
    }
}

/// Asks again until an answer is unmarked: a busy machine may be late with a look at the members,
/// and a marked answer promises nothing.
struct Unmarked(ClusterGifts);

impl Store for Unmarked {
    fn write(&self, write: Write, then: Answer<Written>) {
        self.0.write(write, then);
    }

    fn read(
        &self,
        read: Read,
        _: &mut dyn FnMut() -> Answer<Found>,
    ) -> Option<Result<Found, StoreError>> {
        loop {
            let (sender, receiver) = channel();
            let now = self.0.read(read, &mut || {
                let sender = sender.clone();
                Box::new(move |found| sender.send(found).expect("it is waited for"))
            });
            let found = now.unwrap_or_else(|| receiver.recv().expect("every read is answered"));
            match found {
                Ok(Found::Stale { .. }) | Err(StoreError::Unavailable) => {
                    std::thread::sleep(Duration::from_millis(5));
                }
                found => return Some(found),
            }
        }
    }

    fn version(&self) -> u64 {
        self.0.version()
    }
}

#[test]
fn answers_as_the_model() {
    let redis = Arc::new(RedisServer::start(&[]));
    check_store(12, |setup| OneProcess::new(setup, &redis));
}
