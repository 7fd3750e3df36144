//! Whole processes on real servers: whatever goes away comes back, and no promise is broken.
//!
//! `FANFARE_CLUSTER_ROUNDS=n` takes everything that can happen n times over; without it, what takes
//! longest is left to tests/soak.sh.

use crate::client::Client;
use crate::cluster_rig::{Processes, unmarked};
use crate::fault_proxy::{Fault, FaultProxy};
use crate::mongo_lane::established;
use crate::mongo_server::MongoServer;
use crate::redis_server::{RedisCluster, RedisServer, wait_for};
use crate::server::Start;
use serde_json::json;
use std::thread::sleep;
use std::time::Duration;

/// How often to take everything; `None` for the short half.
fn rounds() -> Option<usize> {
    std::env::var("FANFARE_CLUSTER_ROUNDS").ok()?.parse().ok()
}

#[test]
fn processes_and_servers_come_and_go() {
    let (mut redis, mut mongo) = (RedisServer::start(&[]), MongoServer::on_disk());
    let processes = Processes::start(redis.url(), mongo.addr(), mongo.addr());
    for round in 0..rounds().unwrap_or(1) {
        processes.under_load(&format!("{round} killed"), |load| {
            processes.kill(0);
            load.wait_more(50);
            processes.start_one(0);
        });
        processes.under_load(&format!("{round} flushed"), |_| redis.ask(&["FLUSHALL"]));
        redis.dump();
        processes.under_load(&format!("{round} rolled back"), |_| redis.roll_back());
        processes.under_load(&format!("{round} emptied"), |_| redis.restart_empty());
        processes.under_load(&format!("{round} record killed"), |_| {
            mongo.kill();
            mongo.start_again();
        });
        if rounds().is_none() {
            continue;
        }
        processes.under_load(&format!("{round} view stopped"), |_| {
            redis.stop();
            sleep(Duration::from_secs(5));
            redis.go_on();
        });
        processes.under_load(&format!("{round} record stopped"), |_| {
            mongo.stop();
            sleep(Duration::from_secs(5));
            mongo.go_on();
        });
        processes.under_load(&format!("{round} view away"), |_| {
            redis.kill();
            sleep(Duration::from_secs(10));
            redis.start_again();
        });
        processes.under_load(&format!("{round} all at once"), |_| {
            redis.kill();
            mongo.kill();
            processes.kill(1);
            redis.start_again();
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
    let mut faults = vec![
        ("cut in the middle of an answer", Fault::CutAfter(7)),
        ("answers dropped", Fault::DropAnswer),
    ];
    if rounds().is_some() {
        faults.push(("slow", Fault::Delay(Duration::from_millis(200))));
        faults.push(("a black hole", Fault::BlackHole));
    }
    for round in 0..rounds().unwrap_or(1) {
        for (name, fault) in &faults {
            for (whose, proxy) in [("view", &view), ("record", &record)] {
                processes.under_load(&format!("{round} {whose} {name}"), |_| {
                    proxy.set(*fault);
                    sleep(Duration::from_secs(if rounds().is_some() { 4 } else { 1 }));
                    proxy.set(Fault::None);
                });
            }
        }
    }
}

#[test]
fn a_node_of_a_redis_cluster_fails_over() {
    let mut redis = RedisCluster::start();
    let mongo = MongoServer::shared();
    let processes = Processes::start(redis.urls().join(","), mongo.addr(), mongo.addr());
    processes.under_load("failed over", |load| {
        let owner = redis.owner("{fanfare:gift}");
        redis.nodes[owner].kill();
        wait_for("a replica to take over", || redis.owner("{fanfare:gift}") != owner);
        load.wait_more(20);
        redis.nodes[owner].start_again();
    });
}

#[test]
fn without_redis_boards_are_shown_with_their_age_and_writes_go_on() {
    let (mut redis, mongo) = (RedisServer::start(&[]), MongoServer::shared());
    let processes = Processes::start(redis.url(), mongo.addr(), mongo.addr());
    let (http, admin) = processes.addresses()[0];
    let gift = r#"{"audience_id":1,"anchor_id":7,"worth":5}"#;
    assert_eq!(Client::connect(http).post("/gift/send", gift).status, 200);
    let board = unmarked(http, "/gift/top?num=3");
    redis.kill();
    let mut client = Client::connect(http);
    wait_for("a write to be acknowledged without the board", || {
        let reply = client.post("/gift/send", gift);
        reply.status == 200 && reply.header("X-Degraded") == Some("redis")
    });
    let reply = client.get("/gift/top?num=3");
    assert_eq!((reply.status, reply.header("X-Degraded")), (200, Some("redis")), "{reply:?}");
    assert!(reply.header("Warning").is_some_and(|it| it.starts_with("110 ")), "{reply:?}");
    assert!(reply.header("Age").is_some_and(|it| it.parse::<u64>().is_ok()), "{reply:?}");
    assert_eq!(reply.json(), board, "the last known one");
    let unknown = client.get("/gift/top?num=17");
    assert_eq!((unknown.status, unknown.header("Retry-After")), (503, Some("1")), "never asked");
    assert_eq!(client.get("/gift/journal?id=7").status, 200);
    let missing = Client::connect(admin).get("/readyz");
    assert_eq!(missing.status, 503);
    let missing = missing.json()["missing"].to_string();
    assert!(missing.contains("redis") && !missing.contains("mongo"), "{missing}");
    redis.start_again();
    processes.wait_ready();
    let total = unmarked(http, "/gift/worth?id=7")["data"]["total_worth"].as_i64();
    let journal = Client::connect(http).get("/gift/fans?id=7").json();
    assert_eq!(total, journal["data"][0]["total_worth"].as_i64());
}

#[test]
fn without_mongodb_writes_are_refused_and_boards_go_on() {
    let (redis, mut mongo) = (RedisServer::start(&[]), MongoServer::on_disk());
    let processes = Processes::start(redis.url(), mongo.addr(), mongo.addr());
    let (http, admin) = processes.addresses()[0];
    let gift = r#"{"audience_id":1,"anchor_id":7,"worth":5}"#;
    let mut client = Client::connect(http);
    assert_eq!(client.post("/gift/send", gift).status, 200);
    mongo.kill();
    let reply = client.post("/gift/send", gift);
    assert_eq!((reply.status, reply.header("Retry-After")), (503, Some("1")), "{reply:?}");
    assert_eq!(client.get("/gift/top").status, 200);
    assert_eq!(client.get("/gift/journal?id=7").status, 503);
    wait_for("it to be missed", || {
        let missing = Client::connect(admin).get("/readyz");
        missing.status == 503 && missing.json()["missing"].to_string().contains("mongo")
    });
    mongo.start_again();
    processes.wait_ready();
    assert_eq!(client.post("/gift/send", gift).status, 200);
}

#[test]
fn ten_sockets_carry_work_whatever_is_asked() {
    const DATABASE: &str = "as_many_sockets";
    let redis = RedisServer::start(&[]);
    // The driver's monitors ask for nothing in our database.
    let record = FaultProxy::marking(MongoServer::shared().addr(), DATABASE.as_bytes());
    let server = Start::fresh()
        .set("backend", "cluster")
        .set("cluster.redis", &redis.url())
        .set("cluster.mongo", &format!("mongodb://{}", record.addr()))
        .set("cluster.database", DATABASE)
        .run();
    // Long enough for all threads to be busy at the same time.
    record.set(Fault::Delay(Duration::from_millis(20)));
    let ask_all = || {
        std::thread::scope(|scope| {
            for client in 1..=20 {
                let server = &server;
                scope.spawn(move || ask_for_all_kinds(&mut server.client(), client));
            }
        });
    };
    // Ten at least: sooner or later all threads are busy at once.
    wait_for("ten busy threads", || {
        ask_all();
        record.marked().len() >= 10
    });
    // And no more than that.
    ask_all();
    let (work, open) = (record.marked(), established(record.addr()));
    assert_eq!(work.len(), 10, "sockets that carried work");
    assert!(work.is_subset(&open), "they are kept");
    let monitors = open.difference(&work).count();
    assert!((1..=2).contains(&monitors), "{monitors}: one heartbeat, one for its rtt");
}

/// Writes of gifts and counters, and reads of the journal, all of which need MongoDB.
fn ask_for_all_kinds(connection: &mut Client, client: usize) {
    for anchor in 1..=10 {
        let gift = json!({"audience_id": client, "anchor_id": anchor, "worth": 5});
        assert_eq!(connection.post("/gift/send", &gift.to_string()).status, 200);
        let seen = json!({"resource_id": client, "counter_type": "view"});
        let increment = "/api/v1/counter/increment";
        assert_eq!(connection.post(increment, &seen.to_string()).status, 200);
        let fans = format!("/gift/fans?id={anchor}&num={client}");
        assert_eq!(connection.get(&fans).status, 200);
    }
}

#[test]
fn servers_that_cannot_be_used_are_refused_with_what_to_do() {
    let (redis, mongo) = (RedisServer::start(&[]), MongoServer::shared());
    let start = |redis: &str, mongo: String| {
        Start::fresh()
            .set("backend", "cluster")
            .set("cluster.redis", redis)
            .set("cluster.mongo", &mongo)
            .set("redis.connect_timeout", "1s")
            .set("mongo.connect_timeout", "1s")
            .refused()
    };
    let server = Start::fresh()
        .set("backend", "cluster")
        .set("cluster.redis", &redis.url())
        .set("cluster.mongo", &format!("mongodb://{}", mongo.addr()))
        .set("cluster.database", "one_calendar")
        .run();
    let said = Start::fresh()
        .set("backend", "cluster")
        .set("cluster.redis", &redis.url())
        .set("cluster.mongo", &format!("mongodb://{}", mongo.addr()))
        .set("cluster.database", "one_calendar")
        .set("time_zone", "Asia/Tokyo")
        .refused();
    assert!(said.contains("give this one the same time_zone") && said.contains("UTC"), "{said}");
    drop(server);
    let good = |mongo: &MongoServer| format!("mongodb://{}", mongo.addr());
    let evicting = RedisServer::start(&["--maxmemory-policy", "allkeys-lru"]);
    let said = start(&evicting.url(), good(mongo));
    assert!(said.contains("CONFIG SET maxmemory-policy noeviction"), "{said}");
    let old = MongoServer::old();
    let said = start(&redis.url(), good(&old));
    assert!(said.contains("4.4 or newer is needed: upgrade it"), "{said}");
    let said = start("redis://:secret@127.0.0.1:1", good(mongo));
    assert!(said.contains("Redis does not answer"), "{said}");
    assert!(!said.contains("secret"), "{said}");
    let said = start(&redis.url(), "mongodb://user:secret@127.0.0.1:1".to_owned());
    assert!(said.contains("MongoDB does not answer") && !said.contains("secret"), "{said}");
}
