//! Rains on a cluster of real processes: killed, without Redis, without `MongoDB`, behind networks
//! that cut and drop. `FANFARE_CLUSTER_ROUNDS` takes everything as often, with 20,000 users.

use crate::client::Client;
use crate::cluster_rig::Processes;
use crate::fault_proxy::{Fault, FaultProxy};
use crate::mongo_server::MongoServer;
use crate::packet_cluster_rain::{Promised, Rainfall, snatch_once};
use crate::redis_server::{RedisCluster, RedisServer, wait_for};
use serde_json::{Value, json};
use std::net::SocketAddr;

fn rounds() -> Option<usize> {
    std::env::var("FANFARE_CLUSTER_ROUNDS").ok()?.parse().ok()
}

/// One rain after the other over the same servers.
struct Season {
    processes: Processes,
    rains: i64,
}

impl Season {
    fn over(processes: Processes) -> Self {
        Self { processes, rains: 0 }
    }

    /// Lets one fall with `fault` in its midst.
    #[track_caller]
    fn fall(&mut self, what: &str, fault: impl FnOnce(&Processes, &Promised)) {
        let is_large = rounds().is_some();
        if is_large && self.rains > 0 {
            // The server that stands for MongoDB looks through all packets where MongoDB has an index.
            self.processes = self.processes.start_anew();
        }
        self.rains += 1;
        // Of the large ones, every user is there before the last packet is gone.
        let (users, packets, win_ppm) =
            if is_large { (20_000, 4_000, 200_000) } else { (90, 160, 700_000) };
        let processes = &self.processes;
        let rain = Rainfall { processes, id: self.rains, users, packets, win_ppm };
        rain.fall(what, |promised| fault(processes, promised));
    }
}

#[test]
fn processes_and_servers_come_and_go() {
    let (mut redis, mut mongo) = (RedisServer::start(&[]), MongoServer::on_disk());
    let processes = Processes::start(redis.url(), mongo.addr(), mongo.addr());
    let mut season = Season::over(processes);
    for round in 0..rounds().unwrap_or(1) {
        season.fall(&format!("{round} nothing"), |_, _| {});
        season.fall(&format!("{round} killed"), |processes, rain| {
            processes.kill(0);
            rain.wait_more(50);
            processes.start_one(0);
        });
        season.fall(&format!("{round} flushed"), |_, rain| {
            redis.ask::<()>(&["FLUSHALL"]);
            rain.wait_more(40);
            redis.ask::<()>(&["FLUSHALL"]);
        });
        season.fall(&format!("{round} rolled back"), |_, rain| {
            redis.dump();
            rain.wait_more(60);
            redis.roll_back();
        });
        season.fall(&format!("{round} record killed"), |_, rain| {
            mongo.kill();
            mongo.start_again();
            rain.wait_more(20);
        });
        season.fall(&format!("{round} all at once"), |processes, rain| {
            redis.dump();
            rain.wait_more(30);
            processes.kill(1);
            redis.roll_back();
            mongo.kill();
            mongo.start_again();
            processes.start_one(1);
        });
    }
}

#[test]
fn networks_do_what_networks_do() {
    let (redis, mongo) = (RedisServer::start(&[]), MongoServer::on_disk());
    let (view, record) = (FaultProxy::before(redis.addr()), FaultProxy::before(mongo.addr()));
    let url = format!("redis://{}", view.addr());
    let processes = Processes::start(url, record.addr(), mongo.addr());
    let mut season = Season::over(processes);
    let faults = [
        ("cut in the middle of an answer", Fault::CutAfter(7)),
        ("answers dropped", Fault::DropAnswer),
    ];
    for round in 0..rounds().unwrap_or(1) {
        for (name, fault) in &faults {
            for (whose, proxy) in [("view", &view), ("record", &record)] {
                season.fall(&format!("{round} {whose} {name}"), |_, _| {
                    let before = proxy.reads();
                    proxy.set(*fault);
                    wait_for("requests to meet the fault", || proxy.reads() > before + 20);
                    proxy.set(Fault::None);
                });
            }
        }
    }
}

#[test]
fn a_node_of_a_redis_cluster_fails_over() {
    let (mut redis, mongo) = (RedisCluster::start(), MongoServer::shared());
    let processes = Processes::start(redis.urls().join(","), mongo.addr(), mongo.addr());
    let mut season = Season::over(processes);
    for round in 0..rounds().unwrap_or(1) {
        season.fall(&format!("{round} failed over"), |processes, rain| {
            let tag = processes.tag("rain");
            let owner = redis.owner(&tag);
            redis.nodes[owner].kill();
            wait_for("a replica to take over", || redis.owner(&tag) != owner);
            rain.wait_more(20);
            redis.nodes[owner].start_again();
        });
        redis.wait_healthy();
    }
}

struct Steady {
    redis: RedisServer,
    mongo: MongoServer,
    processes: Processes,
}

impl Steady {
    /// With a rain in which everybody wins.
    fn start() -> Self {
        let (redis, mongo) = (RedisServer::start(&[]), MongoServer::on_disk());
        let processes = Processes::start(redis.url(), mongo.addr(), mongo.addr());
        let terms = json!({
            "id": 1, "total_amount_fen": 10_000, "total_count": 100, "min_fen": 1, "max_fen": 1_000,
            "win_ppm": 1_000_000, "max_per_user": 2, "starts_at": 0, "ends_at": 4_000_000_000_i64,
            "reason": "a test"
        });
        // A busy machine may be late with an answer.
        let admin = processes.addresses()[0].1;
        wait_for("a rain to be made", || {
            let headers = [("Idempotency-Key", "the-rain")];
            let mut operator = Client::connect(admin);
            operator.request("POST", "/rain", &headers, &terms.to_string()).status == 200
        });
        for (http, _) in processes.addresses() {
            wait_for("every process to know the rain", || {
                Client::connect(http).get("/rain").json()["data"]["id"] == 1
            });
        }
        Self { redis, mongo, processes }
    }

    fn http(&self, index: usize) -> SocketAddr {
        self.processes.addresses()[index].0
    }

    fn change(&self, index: usize, change: &Value) {
        let admin = self.processes.addresses()[index].1;
        let mut change = change.clone();
        change["reason"] = json!("a test");
        let reply =
            Client::connect(admin).request("PATCH", "/rain/config", &[], &change.to_string());
        assert_eq!(reply.status, 200, "{reply:?}");
    }
}

fn code(http: SocketAddr, uid: i64) -> i64 {
    snatch_once(http, uid).json()["code"].as_i64().expect("a code")
}

#[test]
fn limits_and_terms_hold_across_processes_at_once() {
    let steady = Steady::start();
    let (one, two, three) = (steady.http(0), steady.http(1), steady.http(2));
    assert_eq!([one, two, three].map(|http| code(http, 7)), [0, 0, 3], "two packets, wherever");
    steady.change(1, &json!({ "max_per_user": 3 }));
    assert_eq!([one, two].map(|http| code(http, 7)), [0, 3], "a raise counts at once");
    steady.change(2, &json!({ "win_ppm": 0 }));
    assert_eq!([one, two, three].map(|http| code(http, 8)), [4, 4, 4], "nobody wins any more");
    // Whoever wins gets one of new amounts.
    steady.change(0, &json!({ "win_ppm": 1_000_000, "min_fen": 900, "total_amount_fen": 90_000 }));
    let got = snatch_once(two, 9).json();
    let envelope = got["data"]["envelope_id"].as_i64().expect("a packet");
    let body = json!({ "uid": 9, "envelope_id": envelope }).to_string();
    let value = Client::connect(three).post("/open", &body).json()["data"]["value"].clone();
    assert!(value.as_i64() >= Some(900), "{value}");
    // The other processes show it, and pay nothing again.
    let again = Client::connect(one).post("/open", &body);
    assert_eq!(again.header("Idempotent-Replayed"), Some("true"), "{again:?}");
    let shown = Client::connect(one).post("/get_wallet_list", "uid=9").json();
    assert_eq!(shown["data"]["amount"], value);
    let stranger = json!({ "uid": 10, "envelope_id": envelope }).to_string();
    assert_eq!(Client::connect(two).post("/open", &stranger).json()["code"], 11);
}

#[test]
fn without_redis_snatches_are_busy_and_wallets_go_on() {
    let mut steady = Steady::start();
    let http = steady.http(0);
    let got = snatch_once(http, 1).json();
    let envelope = got["data"]["envelope_id"].as_i64().expect("a packet");
    steady.redis.kill();
    wait_for("a snatch to be told that all are busy", || {
        let reply = snatch_once(http, 2);
        assert_eq!(reply.header("Retry-After"), Some("1"), "{reply:?}");
        (reply.status, &reply.json()["code"]) == (200, &json!(2))
    });
    let body = json!({ "uid": 1, "envelope_id": envelope }).to_string();
    let mut opened = Value::Null;
    wait_for("the packet to be opened", || {
        opened = Client::connect(http).post("/open", &body).json();
        opened["code"] == 0
    });
    let wallet = Client::connect(steady.http(1)).post("/get_wallet_list", "uid=1").json();
    assert_eq!(wallet["data"]["amount"], opened["data"]["value"]);
    let missing = Client::connect(steady.processes.addresses()[0].1).get("/readyz");
    assert!(missing.json()["missing"].to_string().contains("redis"), "{missing:?}");
    steady.redis.start_again();
    wait_for("snatches to go on", || code(http, 2) == 0);
    steady.processes.wait_ready();
}

#[test]
fn without_mongodb_nothing_is_granted() {
    let mut steady = Steady::start();
    let http = steady.http(0);
    assert_eq!(code(http, 1), 0);
    steady.mongo.kill();
    let reply = snatch_once(http, 2);
    assert_eq!((reply.status, reply.header("Retry-After")), (503, Some("1")), "{reply:?}");
    assert_eq!(Client::connect(http).post("/get_wallet_list", "uid=1").status, 503);
    assert_eq!(Client::connect(http).get("/rain").status, 200);
    steady.mongo.start_again();
    wait_for("snatches to go on", || code(http, 3) == 0);
}
