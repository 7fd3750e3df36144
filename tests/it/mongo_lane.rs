//! The lane to MongoDB against a server that speaks its protocol, and against what networks do.

use crate::fault_proxy::{Fault, FaultProxy};
use crate::mongo_server::{MongoServer, fresh_database};
use crate::redis_server::wait_for;
use crossbeam_channel::{Receiver, unbounded};
use fanfare::store::lane::{LaneError, LaneThreads, Late, Shed, ShedReason, Watch};
use fanfare::store::mongo::{
    Find, Index, Inserted, Mongo, MongoError, MongoLane, MongoOptions, MongoWorker,
};
use mongodb::bson::{Document, doc};
use std::collections::BTreeSet;
use std::fs;
use std::net::SocketAddr;
use std::sync::{Arc, Barrier};
use std::time::Duration;

type Task = Box<dyn FnOnce(&Mongo) + Send>;

/// Does whatever it is told.
struct Errands;

impl MongoWorker for Errands {
    type Job = Task;

    fn run(&mut self, mongo: &Mongo, batch: &mut Vec<Task>) {
        batch.drain(..).for_each(|task| task(mongo));
    }
}

/// A lane and a database of its own.
struct Rig {
    lane: MongoLane<Task>,
    threads: LaneThreads,
}

impl Rig {
    fn to(addr: SocketAddr) -> Self {
        Self::with(&options(addr))
    }

    fn with(options: &MongoOptions) -> Self {
        let (lane, threads) = MongoLane::open(options, |_| Errands).expect("a server that is fit");
        Self { lane, threads }
    }

    /// Gives a task to the lane; what it returns can be received.
    fn give<T: Send + 'static>(
        &self,
        task: impl FnOnce(&Mongo) -> T + Send + 'static,
    ) -> Result<Receiver<T>, ShedReason> {
        let (done, result) = unbounded();
        let task: Task = Box::new(move |mongo| {
            // Nobody may be listening any more.
            let _ = done.send(task(mongo));
        });
        self.lane.submit(task).map(|()| result).map_err(|Shed { reason, .. }| reason)
    }

    #[track_caller]
    fn ask<T: Send + 'static>(&self, task: impl FnOnce(&Mongo) -> T + Send + 'static) -> T {
        self.give(task).expect("the lane takes it").recv().expect("the thread answers")
    }

    fn insert(&self, documents: &[Document]) -> Vec<Inserted> {
        let documents = documents.to_vec();
        self.ask(move |mongo| mongo.insert_many("gifts", &documents))
    }

    /// Asks until MongoDB answers again.
    fn wait_until_back(&self) {
        wait_for("MongoDB to be found again", || {
            self.give(Mongo::ping).is_ok_and(|answer| answer.recv() == Ok(Ok(())))
        });
    }
}

fn options(addr: SocketAddr) -> MongoOptions {
    MongoOptions {
        uri: format!("mongodb://{addr}"),
        database: fresh_database(),
        threads: 10,
        connect_timeout: Duration::from_secs(1),
        operation_timeout: Duration::from_secs(5),
        queue_jobs_max: 64,
        batch_jobs_max: 1,
    }
}

fn ids(count: i64) -> Vec<Document> {
    (0..count).map(|id| doc! { "_id": id }).collect()
}

#[test]
fn ten_sockets_carry_work_and_the_others_are_the_monitors() {
    let proxy = FaultProxy::marking(MongoServer::shared().addr(), b"insert\0");
    let rig = Rig::to(proxy.addr());
    for round in 0..3 {
        let together = Arc::new(Barrier::new(10));
        let answers: Vec<_> = (0..10)
            .map(|thread| {
                let together = Arc::clone(&together);
                let give = rig.give(move |mongo| {
                    together.wait();
                    mongo.insert_many("gifts", &[doc! { "_id": round * 10 + thread }])
                });
                give.expect("room for ten")
            })
            .collect();
        // With the answers held back for a moment no connection can serve two of them.
        for answer in answers {
            assert_eq!(answer.recv(), Ok(vec![Inserted::Done]));
        }
        proxy.set(Fault::Delay(Duration::from_millis(50)));
    }
    let work = proxy.marked();
    assert_eq!(work.len(), 10, "sockets that carried inserts");
    let open = established(proxy.addr());
    assert!(work.is_subset(&open), "they are kept");
    let monitors = open.difference(&work).count();
    assert!(
        (1..=2).contains(&monitors),
        "{monitors} other sockets: one heartbeat, one for its rtt"
    );
}

/// Local ends of the connections to `server`, as the kernel lists them.
pub(crate) fn established(server: SocketAddr) -> BTreeSet<SocketAddr> {
    const ESTABLISHED: &str = "01";
    let parse = |text: &str| -> Option<SocketAddr> {
        let (address, port) = text.split_once(':')?;
        let address = u32::from_str_radix(address, 16).ok()?.swap_bytes();
        Some((std::net::Ipv4Addr::from(address), u16::from_str_radix(port, 16).ok()?).into())
    };
    let table = fs::read_to_string("/proc/self/net/tcp").expect("Linux");
    table
        .lines()
        .filter_map(|line| {
            let mut fields = line.split_whitespace().skip(1);
            let (local, remote) = (parse(fields.next()?)?, parse(fields.next()?)?);
            (remote == server && fields.next()? == ESTABLISHED).then_some(local)
        })
        .collect()
}

#[test]
fn duplicates_are_told_per_document() {
    let rig = Rig::to(MongoServer::shared().addr());
    rig.insert(&[doc! { "_id": 1 }, doc! { "_id": 3 }]);
    assert_eq!(
        rig.insert(&ids(5)),
        [Inserted::Done, Inserted::Duplicate, Inserted::Done, Inserted::Duplicate, Inserted::Done]
    );
    assert_eq!(rig.insert(&ids(5)), vec![Inserted::Duplicate; 5]);
    let many = rig.insert(&ids(2_500));
    assert_eq!(
        many.iter().filter(|fate| **fate == Inserted::Done).count(),
        2_495,
        "over several commands"
    );
    assert_eq!(many[..5], vec![Inserted::Duplicate; 5]);
}

#[test]
fn reads_and_updates_do_what_the_store_needs() {
    let rig = Rig::to(MongoServer::shared().addr());
    rig.ask(|mongo| {
        let index = Index { keys: doc! { "writer": 1, "seq": 1 }, unique: true, sparse: false };
        mongo.create_index("gifts", &index).expect("made");
        mongo.create_index("gifts", &index).expect("there already");
        let gift = |id, writer, seq, worth: i64| doc! { "_id": id, "writer": writer, "seq": seq, "worth": worth };
        let gifts = [gift("a", 1, 1, 5), gift("b", 1, 2, 7), gift("c", 2, 1, i64::MAX - 1)];
        assert_eq!(mongo.insert_many("gifts", &gifts), vec![Inserted::Done; 3]);
        let second = gift("d", 1, 2, 9);
        assert_eq!(mongo.insert_many("gifts", &[second]), [Inserted::Duplicate]);

        let find = Find {
            filter: doc! { "writer": 1 },
            sort: doc! { "seq": -1 },
            fields: doc! { "_id": 1 },
            limit: 1,
        };
        assert_eq!(mongo.find("gifts", &find), Ok(vec![doc! { "_id": "b" }]));

        let sums = mongo.aggregate(
            "gifts",
            vec![
                doc! { "$group": { "_id": "$writer", "sum": { "$sum": "$worth" } } },
                doc! { "$sort": { "_id": 1 } },
            ],
        );
        let sums = sums.expect("summed");
        assert_eq!(sums[0], doc! { "_id": 1, "sum": 12_i64 });
        assert_eq!(sums[1].get_i64("sum"), Ok(i64::MAX - 1), "exact beyond 2^53");

        let beat = || mongo.upsert("writers", doc! { "_id": 7_i64 }, doc! { "$inc": { "beat": 1 } });
        assert_eq!((beat(), beat()), (Ok(true), Ok(false)));
        let lease = |holder: i64| {
            mongo.find_one_and_update(
                "leases",
                doc! { "_id": 1, "holder": 0_i64 },
                doc! { "$set": { "holder": holder } },
                false,
            )
        };
        assert_eq!(lease(5), Ok(None));
        mongo.insert_many("leases", &[doc! { "_id": 1, "holder": 0_i64 }]);
        assert_eq!(lease(5), Ok(Some(doc! { "_id": 1, "holder": 0_i64 })), "as it was");
        assert_eq!(lease(6), Ok(None), "it is taken");
        let taken = mongo.find_one_and_update(
            "leases",
            doc! { "_id": 1, "holder": 0_i64 },
            doc! { "$set": { "holder": 6_i64 } },
            true,
        );
        assert_eq!(taken, Err(MongoError::Duplicate), "an upsert that comes second");
        assert_eq!(mongo.delete_many("gifts", doc! { "writer": 1 }), Ok(2));
    });
}

#[test]
fn an_old_server_is_refused_with_what_to_do() {
    let server = MongoServer::old();
    let refusal = MongoLane::open(&options(server.addr()), |_| Errands).err();
    let refusal = refusal.expect("too old").to_string();
    assert!(refusal.contains("4.4 or newer is needed: upgrade it"), "{refusal}");
}

#[test]
fn no_complaint_shows_the_password() {
    let good = options(SocketAddr::from(([127, 0, 0, 1], 1)));
    let uris = ["mongodb://me:hunter2@127.0.0.1:1/", "mongodb://me:hunter2@@/", "hunter2"];
    for uri in uris {
        let options = MongoOptions { uri: uri.to_owned(), ..good.clone() };
        let refusal = MongoLane::open(&options, |_| Errands).err().expect("nobody is there");
        assert!(matches!(refusal, LaneError::Options { .. } | LaneError::Away { .. }));
        let said = format!("{refusal} {refusal:?} {options:?}");
        assert!(!said.contains("hunter2"), "{said}");
    }
    for threads in [0, 11] {
        let options = MongoOptions { threads, ..good.clone() };
        let refusal = MongoLane::open(&options, |_| Errands).err();
        assert!(matches!(refusal, Some(LaneError::Options { .. })), "{threads} threads");
    }
}

#[test]
fn a_black_hole_delays_nobody_beyond_the_deadline_and_heals() {
    let proxy = FaultProxy::before(MongoServer::shared().addr());
    let rig = Rig::to(proxy.addr());
    let watch = Watch::start(Duration::from_millis(100), 64).expect("a thread");
    proxy.set(Fault::BlackHole);
    let (said, heard) = unbounded();
    let (finished, fates) = unbounded();
    for id in 0..12 {
        let said = said.clone();
        let waiting = watch.expect(move |answer| said.send(answer).expect("the test listens"));
        let finished = finished.clone();
        let given = rig.give(move |mongo| {
            let fate = mongo.insert_many("gifts", &[doc! { "_id": id }]);
            finished.send(fate.clone()).expect("the test listens");
            waiting.send(fate)
        });
        given.expect("room for twelve");
    }
    for _ in 0..12 {
        assert_eq!(heard.recv(), Ok(Err(Late)), "no thread has come back by then");
    }
    for _ in 0..12 {
        let fate = fates.recv().expect("the driver gives up");
        assert!(matches!(fate[..], [Inserted::Unknown | Inserted::NotSent]), "{fate:?}");
    }
    assert!(rig.lane.is_away());
    wait_for("the breaker to refuse", || matches!(rig.give(|_| ()), Err(ShedReason::Away)));
    proxy.set(Fault::None);
    rig.wait_until_back();
    assert!(!rig.lane.is_away());
    assert_eq!(rig.insert(&[doc! { "_id": 100 }]), [Inserted::Done]);
}

#[test]
fn a_full_queue_sheds_and_stuck_threads_hold_no_shutdown() {
    let proxy = FaultProxy::before(MongoServer::shared().addr());
    let one = MongoOptions { threads: 1, queue_jobs_max: 2, ..options(proxy.addr()) };
    let rig = Rig::with(&one);
    let (release, held) = unbounded::<()>();
    let (begun, begins) = unbounded();
    rig.give(move |_| (begun.send(()), held.recv().is_err())).expect("the thread is free");
    begins.recv().expect("it begins");
    rig.give(|_| ()).expect("the first place");
    rig.give(|_| ()).expect("the second place");
    assert_eq!(rig.give(|_| ()).err(), Some(ShedReason::Full));
    assert_eq!((rig.lane.depth(), rig.lane.busy(), rig.lane.threads()), (2, 1, 1));
    drop(rig.lane);
    assert_eq!(rig.threads.join(Duration::from_millis(10)), 1, "left behind");
    drop(release);
    let rig = Rig::with(&one);
    drop(rig.lane);
    assert_eq!(rig.threads.join(Duration::from_secs(60)), 0);
}

#[test]
fn a_late_result_is_still_seen_by_the_worker() {
    let proxy = FaultProxy::before(MongoServer::shared().addr());
    let rig = Rig::to(proxy.addr());
    let watch = Watch::start(Duration::from_millis(20), 64).expect("a thread");
    let (said, heard) = unbounded();
    let waiting = watch.expect(move |answer| said.send(answer).expect("the test listens"));
    proxy.set(Fault::Delay(Duration::from_millis(200)));
    let result = rig.give(move |mongo| {
        let fates = mongo.insert_many("gifts", &ids(1));
        (waiting.send(()), fates)
    });
    assert_eq!(heard.recv(), Ok(Err(Late)));
    let (in_time, fates) = result.expect("taken").recv().expect("answered");
    assert_eq!((in_time, fates), (false, vec![Inserted::Done]));
}

#[test]
fn a_dropped_answer_is_unknown_and_the_retry_finds_it_done() {
    let proxy = FaultProxy::before(MongoServer::shared().addr());
    for fault in [Fault::DropAnswer, Fault::CutAfter(10)] {
        proxy.set(Fault::None);
        let rig = Rig::to(proxy.addr());
        proxy.set(fault);
        assert_eq!(rig.insert(&ids(2)), vec![Inserted::Unknown; 2], "{fault:?}");
        proxy.set(Fault::None);
        rig.wait_until_back();
        assert_eq!(rig.insert(&ids(2)), vec![Inserted::Duplicate; 2], "{fault:?}");
    }
}

#[test]
fn a_restart_of_the_server_heals_without_one_of_ours() {
    let mut server = MongoServer::on_disk();
    let rig = Rig::to(server.addr());
    assert_eq!(rig.insert(&ids(3)), vec![Inserted::Done; 3]);
    server.kill();
    let gone = rig.insert(&ids(4));
    assert!(gone.iter().all(|fate| matches!(fate, Inserted::Unknown | Inserted::NotSent)));
    server.start_again();
    rig.wait_until_back();
    let fates = rig.insert(&ids(4));
    assert_eq!(fates[..3], vec![Inserted::Duplicate; 3], "what was acknowledged is still there");
    assert_eq!(fates[3], Inserted::Done);
    // A server that is silent but not gone gives up its connections, and is found again too.
    server.stop();
    let silent = rig.insert(&ids(5));
    assert!(silent.iter().all(|fate| matches!(fate, Inserted::Unknown | Inserted::NotSent)));
    server.go_on();
    rig.wait_until_back();
    assert_ne!(rig.insert(&ids(5))[4], Inserted::Unknown);
}

#[test]
fn a_worker_that_panics_is_made_anew() {
    let rig = Rig::with(&MongoOptions { threads: 1, ..options(MongoServer::shared().addr()) });
    let lost = rig.give(|_| -> () { panic!("as the test wants") }).expect("taken");
    assert!(lost.recv().is_err());
    assert_eq!(rig.ask(Mongo::ping), Ok(()));
}
