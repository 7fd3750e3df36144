//! The packet store of a cluster answers as the model: the suite of the local store, unchanged.

use crate::packet_cluster_rig::OneProcess;
use crate::packet_suite::{Backend, check_store};
use crate::redis_server::RedisServer;
use fanfare::packet::Store;
use std::sync::Arc;

impl Backend for OneProcess {
    fn store(&self) -> Arc<dyn Store> {
        OneProcess::store(self)
    }

    fn tick(&self) {
        OneProcess::tick(self);
    }

    fn restart(&mut self) {
        OneProcess::restart(self);
    }
}

#[test]
fn answers_as_the_model_does() {
    let redis = Arc::new(RedisServer::start(&[]));
    check_store(24, |clock| OneProcess::new(clock, &redis));
}
