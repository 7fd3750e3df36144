//! The gift store of a cluster answers as the model: the suite of the local store, unchanged.

use crate::cluster_lanes::{OneProcess, PATIENCE, YEARS_S, patient};
use crate::gift_suite::{Backend, Setup, check_store};
use crate::redis_server::{RedisServer, wait_for};
use fanfare::exec::{Answer, Notifier};
use fanfare::gift::cluster::{ClusterGifts, ClusterOptions};
use fanfare::gift::{Found, Read, Store, Write, Written};
use fanfare::store::StoreError;
use std::sync::Arc;
use std::sync::mpsc::channel;
use std::time::Duration;

fn process(setup: Setup, redis: &Arc<RedisServer>) -> OneProcess<Unmarked> {
    OneProcess::start(
        redis,
        Box::new(move |lanes, database| {
            let options = ClusterOptions {
                zone: setup.zone.clone(),
                keep: setup.keep,
                expiry_margin_s: YEARS_S,
                tag: database.to_owned(),
                journal: "gifts".to_owned(),
                tuning: patient(),
                deadline: PATIENCE,
                stale_max: Duration::ZERO,
                op_patience: PATIENCE,
                clock: Arc::clone(&setup.clock) as _,
                notifier: Arc::new(Notifier::default()),
            };
            let (gifts, threads) = ClusterGifts::open(lanes, options).expect("it opens");
            wait_for("a fresh view", || gifts.is_fresh());
            (Unmarked(gifts), threads)
        }),
    )
}

impl Backend for OneProcess<Unmarked> {
    fn store(&self) -> Arc<dyn Store> {
        Arc::clone(OneProcess::store(self)) as _
    }

    fn restart(&mut self) {
        OneProcess::restart(self);
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
    check_store(12, |setup| process(setup, &redis));
}
