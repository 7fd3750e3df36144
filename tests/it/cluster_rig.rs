//! Three real processes of a cluster under load, and what must be true of them after anything that
//! may happen to one, to Redis or to MongoDB.

use crate::client::{Client, Reply};
use crate::mongo_server::{MongoServer, fresh_database};
use crate::redis_server::{RedisServer, wait_for, wait_for_more};
use crate::server::{Server, Start};
use mongodb::bson::{Document, doc};
use mongodb::sync::Client as Mongo;
use serde_json::{Value, json};
use std::cmp::Reverse;
use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, HashSet};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::Duration;

/// Clients; each gives to an anchor of its own, one gift after the other.
const CLIENTS: usize = 6;

/// Processes.
const PROCESSES: usize = 3;

/// The processes, where clients find them.
pub(crate) struct Processes {
    servers: Mutex<Vec<Option<Server>>>,
    redis: String,
    mongo: SocketAddr,
    direct_mongo: SocketAddr,
    database: String,
    prefix: String,
}

/// Processes that are well, on a Redis of their own and the shared MongoDB.
pub(crate) struct Rig {
    pub(crate) redis: RedisServer,
    pub(crate) processes: Processes,
}

impl Rig {
    pub(crate) fn start() -> Self {
        let (redis, mongo) = (RedisServer::start(&[]), MongoServer::shared());
        let processes = Processes::start(redis.url(), mongo.addr(), mongo.addr());
        Self { redis, processes }
    }

    pub(crate) fn client(&self, index: usize) -> Client {
        Client::connect(self.processes.addresses()[index].0)
    }

    pub(crate) fn operator(&self, index: usize) -> Client {
        Client::connect(self.processes.addresses()[index].1)
    }

    pub(crate) fn unmarked(&self, index: usize, target: &str) -> Value {
        unmarked(self.processes.addresses()[index].0, target)
    }
}

/// What a load has been promised.
#[derive(Default)]
pub(crate) struct Promises {
    /// Key, anchor and id of each acknowledged gift.
    acknowledged: Mutex<Vec<(String, usize, i64)>>,
    count: AtomicUsize,
    degraded: AtomicUsize,
    unmarked_reads: AtomicUsize,
    marked_reads: AtomicUsize,
    stop: AtomicBool,
}

impl Processes {
    /// Starts them. `redis` are addresses, `mongo` may be a proxy before `direct_mongo`.
    pub(crate) fn start(redis: String, mongo: SocketAddr, direct_mongo: SocketAddr) -> Self {
        let (database, prefix) = (fresh_database(), "fanfare".to_owned());
        Self { servers: Mutex::default(), redis, mongo, direct_mongo, database, prefix }.started()
    }

    /// Others on the same servers, which know nothing of what these did.
    pub(crate) fn start_anew(&self) -> Self {
        let (redis, database) = (self.redis.clone(), fresh_database());
        let prefix = database.clone();
        Self { servers: Mutex::default(), redis, database, prefix, ..*self }.started()
    }

    fn started(self) -> Self {
        self.servers().resize_with(PROCESSES, || None);
        for index in 0..PROCESSES {
            self.start_one(index);
        }
        self.wait_ready();
        self
    }

    /// The tag of the keys that one of their stores has in Redis.
    pub(crate) fn tag(&self, store: &str) -> String {
        format!("{{{}:{store}}}", self.prefix)
    }

    /// Starts one that is down.
    pub(crate) fn start_one(&self, index: usize) {
        let server = self.configured().run();
        self.servers()[index] = Some(server);
    }

    /// One more of the same cluster, not started.
    pub(crate) fn configured(&self) -> Start {
        // Limits that no test meets by accident.
        let limits = ["user_rate", "user_burst", "global_rate", "global_burst"];
        let fresh = limits
            .into_iter()
            .fold(Start::fresh(), |start, limit| start.set(&format!("rain.{limit}"), "100000000"));
        fresh
            .set("backend", "cluster")
            .set("cluster.redis", &self.redis)
            .set("cluster.mongo", &format!("mongodb://{}", self.mongo))
            .set("cluster.database", &self.database)
            .set("cluster.prefix", &self.prefix)
            .set("cluster.takeover", "6s")
            .set("counter.types.like.unique", "true")
            .set("mongo.connect_timeout", "1s")
            .set("mongo.operation_timeout", "2s")
    }

    /// `kill -9`.
    pub(crate) fn kill(&self, index: usize) {
        let server = self.servers()[index].take();
        server.expect("it runs").kill();
    }

    /// Addresses of the public and the operator's listener, of those that run.
    pub(crate) fn addresses(&self) -> Vec<(SocketAddr, SocketAddr)> {
        self.servers().iter().flatten().map(|server| (server.http, server.admin)).collect()
    }

    fn servers(&self) -> std::sync::MutexGuard<'_, Vec<Option<Server>>> {
        self.servers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Until every process says that nothing is missing.
    pub(crate) fn wait_ready(&self) {
        wait_for("every process to be ready", || {
            self.addresses()
                .into_iter()
                .all(|(_, admin)| Client::connect(admin).get("/readyz").status == 200)
        });
    }

    /// Runs a load, and `fault` in its midst; then checks that every promise was kept.
    #[track_caller]
    pub(crate) fn under_load(&self, what: &str, fault: impl FnOnce(&Promises)) {
        let promises = Promises::default();
        thread::scope(|scope| {
            for client in 0..CLIENTS {
                let promises = &promises;
                scope.spawn(move || promises.keep_giving(self, what, client));
            }
            promises.wait_more(100);
            fault(&promises);
            // Whatever happened, the load goes on as before.
            promises.wait_more(200);
            promises.stop.store(true, Ordering::Release);
        });
        self.verify(what, &promises);
    }

    fn verify(&self, what: &str, promises: &Promises) {
        self.wait_ready();
        let documents = self.documents("gifts");
        let ids: HashSet<i64> = documents.iter().map(|found| number(found, "id")).collect();
        assert_eq!(ids.len(), documents.len(), "{what}: an id is given twice");
        let by_name: BTreeMap<&str, i64> = documents
            .iter()
            .map(|found| (found.get_str("_id").expect("a name"), number(found, "id")))
            .collect();
        for (key, _, id) in promises.acknowledged().iter() {
            let name = format!("gift/send/key/{key}");
            assert_eq!(by_name.get(name.as_str()), Some(id), "{what}: {key} is not as promised");
        }
        let board = board_of(&documents);
        for (http, admin) in self.addresses() {
            wait_for("an audit without a difference", || {
                let report = Client::connect(admin).get("/audit");
                report.status == 200 && report.json()["ok"] == true
            });
            let shown = unmarked(http, "/gift/top?num=1000");
            assert_eq!(shown["data"], board, "{what}: the board is not the journal");
        }
        let of = |count: &AtomicUsize| count.load(Ordering::Relaxed);
        eprintln!(
            "{what}: {} acknowledged, {} of them marked; {} unmarked and {} marked reads",
            of(&promises.count),
            of(&promises.degraded),
            of(&promises.unmarked_reads),
            of(&promises.marked_reads),
        );
        assert!(of(&promises.unmarked_reads) > 0, "{what}: no answer was checked");
    }

    /// All documents of a collection, past the processes.
    pub(crate) fn documents(&self, collection: &str) -> Vec<Document> {
        let uri = format!("mongodb://{}", self.direct_mongo);
        let client = Mongo::with_uri_str(uri).expect("an address");
        let journal = client.database(&self.database).collection::<Document>(collection);
        let found = journal.find(doc! {}).run().expect("it answers");
        found.collect::<Result<_, _>>().expect("documents")
    }
}

impl Promises {
    fn acknowledged(&self) -> std::sync::MutexGuard<'_, Vec<(String, usize, i64)>> {
        self.acknowledged.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Until so many more gifts are acknowledged.
    pub(crate) fn wait_more(&self, gifts: usize) {
        let count = || self.count.load(Ordering::Relaxed);
        wait_for_more("more gifts to be acknowledged", gifts, count);
    }

    /// One gift after the other, each until it is acknowledged; between them reads, through any
    /// process: what is not marked shows exactly what this client was promised.
    fn keep_giving(&self, processes: &Processes, what: &str, client: usize) {
        let anchor = client + 1;
        let mut line = Line::default();
        // Earlier loads on the same cluster gave to the same anchors.
        let before = worth(&unmarked_any(processes, &format!("/gift/worth?id={anchor}")));
        let mut given = 0;
        while !self.stop.load(Ordering::Acquire) {
            let key = format!("{}-{client}-{given}", what.replace(' ', "-"));
            let gift = json!({"audience_id": client + 1, "anchor_id": anchor, "worth": 1});
            let headers = [("Idempotency-Key", key.as_str())];
            let reply = loop {
                let call = ("POST", "/gift/send", &headers[..], gift.to_string());
                match line.call(processes, client + given, call) {
                    Some(reply) if reply.status == 200 => break reply,
                    Some(reply) => assert_eq!(reply.status, 503, "{what}: {reply:?}"),
                    None => {}
                }
                thread::sleep(Duration::from_millis(5));
            };
            given += 1;
            self.degraded
                .fetch_add(usize::from(reply.header("X-Degraded").is_some()), Ordering::Relaxed);
            let id = reply.json()["data"]["id"].as_i64().expect("an id");
            self.acknowledged().push((key, anchor, id));
            self.count.fetch_add(1, Ordering::Relaxed);
            let call = ("GET", &*format!("/gift/worth?id={anchor}"), &[][..], String::new());
            match line.call(processes, given * 7 + client, call) {
                Some(reply) if reply.status == 200 && reply.header("Warning").is_none() => {
                    let shown = worth(&reply.json());
                    let expected = before + i64::try_from(given).expect("small");
                    assert_eq!(shown, expected, "{what}: an unmarked answer to client {client}");
                    self.unmarked_reads.fetch_add(1, Ordering::Relaxed);
                }
                _ => {
                    self.marked_reads.fetch_add(1, Ordering::Relaxed);
                }
            }
        }
    }
}

/// A client's connections, one for each process, made when needed.
#[derive(Default)]
struct Line(BTreeMap<SocketAddr, Client>);

impl Line {
    /// Asks one of the processes; `None` when it did not answer.
    fn call(
        &mut self,
        processes: &Processes,
        pick: usize,
        (method, target, headers, body): (&str, &str, &[(&str, &str)], String),
    ) -> Option<Reply> {
        let addresses = processes.addresses();
        let (http, _) = addresses[pick % addresses.len()];
        let client = match self.0.entry(http) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(place) => place.insert(Client::try_connect(http).ok()?),
        };
        let reply = client.try_request(method, target, headers, &body);
        if reply.is_err() {
            self.0.remove(&http);
        }
        reply.ok()
    }
}

/// Asks until the answer is not marked.
pub(crate) fn unmarked(http: SocketAddr, target: &str) -> Value {
    let mut answer = Value::Null;
    wait_for("an unmarked answer", || {
        let reply = Client::connect(http).get(target);
        let is_marked = reply.header("Warning").is_some() || reply.status == 503;
        answer = reply.json();
        !is_marked
    });
    answer
}

fn unmarked_any(processes: &Processes, target: &str) -> Value {
    unmarked(processes.addresses()[0].0, target)
}

/// 0 for an anchor that nobody gave to.
fn worth(answer: &Value) -> i64 {
    answer["data"]["total_worth"].as_i64().unwrap_or(0)
}

fn number(document: &Document, field: &str) -> i64 {
    document.get_i64(field).expect("a number")
}

/// The board as the journal has it, as it is answered.
fn board_of(documents: &[Document]) -> Value {
    let mut totals: BTreeMap<i64, (i64, i64)> = BTreeMap::new();
    for found in documents {
        let (total, time_us) = totals.entry(number(found, "anchor_id")).or_default();
        *total += number(found, "worth");
        *time_us = number(found, "time_us").max(*time_us);
    }
    let mut places: Vec<_> =
        totals.into_iter().map(|(id, (total, time_us))| (Reverse(total), time_us, id)).collect();
    places.sort_unstable();
    let place = |((Reverse(total), _, id), rank)| json!({"anchor_id": id, "total_worth": total, "rank": rank});
    places.into_iter().zip(1..).map(place).collect()
}
