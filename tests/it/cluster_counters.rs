//! Counters over several processes: what one of them took, all of them know; and nothing that was
//! acknowledged is lost, whatever goes away.

use crate::client::{Client, Reply};
use crate::cluster_rig::{Processes, Rig};
use crate::mongo_server::MongoServer;
use crate::redis_server::{RedisServer, wait_for, wait_for_more};
use crate::soak::figure;
use serde_json::{Value, json};
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::thread;
use std::time::Duration;

const INCREMENT: &str = "/api/v1/counter/increment";

trait Counters {
    fn count(&self, index: usize, counter: &str) -> i64;
    fn audits_are_well(&self);
}

impl Counters for Rig {
    fn count(&self, index: usize, counter: &str) -> i64 {
        count_of(&self.unmarked(index, &format!("/api/v1/counter/{counter}")))
    }

    fn audits_are_well(&self) {
        for index in 0..self.processes.addresses().len() {
            let mut report = Value::Null;
            wait_for("an audit without a difference", || {
                report = self.operator(index).get("/audit").json();
                report["ok"] == true
            });
            let checks = report["checks"].as_array().expect("checks");
            let of_counters = |check: &&Value| {
                check["name"].as_str().is_some_and(|name| name.starts_with("counter: "))
            };
            assert_eq!(checks.iter().filter(of_counters).count(), 4, "{report:#}");
        }
    }
}

fn count_of(answer: &Value) -> i64 {
    answer["data"]["count"].as_i64().unwrap_or_else(|| panic!("no count in {answer}"))
}

fn change(resource: &str, counter_type: &str, delta: i64) -> Value {
    json!({"resource_id": resource, "counter_type": counter_type, "delta": delta})
}

fn like(resource: &str, user: i64, delta: i64) -> String {
    let mut change = change(resource, "like", delta);
    change["user_id"] = user.into();
    change.to_string()
}

#[track_caller]
fn done(reply: &Reply) -> i64 {
    assert_eq!(reply.status, 200, "{reply:?}");
    count_of(&reply.json())
}

#[test]
fn what_one_process_counted_all_know() {
    let rig = Rig::start();
    let mut follower = rig.client(2);
    let follow = b"GET /api/v1/counter/stream?type=view HTTP/1.1\r\nHost: test\r\n\r\n";
    follower.send(follow).expect("sent");
    assert!(follower.line().expect("an answer").starts_with("HTTP/1.1 200"));
    while !follower.line().expect("a head").is_empty() {}

    for (at, (resource, delta)) in [("a", 3), ("b", 5), ("c", -1), ("a", 1)].iter().enumerate() {
        let reply =
            rig.client(at % 3).post(INCREMENT, &change(resource, "view", *delta).to_string());
        assert_eq!(reply.status, 200, "{reply:?}");
    }
    for index in 0..3 {
        assert_eq!(rig.count(index, "a/view"), 4);
        assert_eq!(rig.count(index, "c/view"), -1);
        assert_eq!(rig.count(index, "nobody/view"), 0);
        for period in ["all", "hour", "day", "week"] {
            let hot = rig.unmarked(index, &format!("/api/v1/counter/hot/view?period={period}"));
            let place = |resource, count, rank| json!({"resource_id": resource, "counter_type": "view", "count": count, "rank": rank});
            assert_eq!(hot["data"], json!([place("b", 5, 1), place("a", 4, 2)]), "{period}");
        }
        let queries = json!({"queries": [
            {"resource_id": "b", "counter_type": "view"}, {"resource_id": "x", "counter_type": "like"},
            {"resource_id": "b", "counter_type": "view"}, {"resource_id": "a", "counter_type": "view"},
        ]});
        let batch = rig.client(index).post("/api/v1/counter/batch", &queries.to_string()).json();
        let counts: Vec<_> =
            batch["data"].as_array().expect("a list").iter().map(|of| &of["count"]).collect();
        assert_eq!(counts, [5, 0, 5, 4]);
    }
    // The follower sees the newest state, whatever it saw on the way.
    loop {
        let event = follower.event().expect("an event");
        let data = event.iter().find_map(|line| line.strip_prefix("data: ")).expect("data");
        let list: Value = serde_json::from_str(data).expect("JSON");
        if list["data"][1]["count"] == 4 {
            break;
        }
    }

    // A like is a like, whichever process it goes to.
    assert_eq!(done(&rig.client(0).post(INCREMENT, &like("a", 7, 1))), 1);
    assert_eq!(done(&rig.client(1).post(INCREMENT, &like("a", 7, 1))), 1);
    assert_eq!(done(&rig.client(2).post(INCREMENT, &like("a", 8, 1))), 2);
    let of_user = "/api/v1/counter/a/like/users/7";
    assert_eq!(rig.unmarked(1, of_user)["data"]["counted"], true);
    assert_eq!(done(&rig.client(2).request("DELETE", of_user, &[], "")), 1);
    assert_eq!(done(&rig.client(0).request("DELETE", of_user, &[], "")), 1);
    assert_eq!(rig.unmarked(0, of_user)["data"]["counted"], false);

    // What an operator sets, all see.
    let why = json!({"resource_id": "a", "counter_type": "like", "reason": "a test"}).to_string();
    let reset = rig.operator(1).post("/api/v1/counter/reset", &why);
    assert_eq!((done(&reset), &reset.json()["data"]["correction"]), (0, &json!(-1)));
    let of_user = "/api/v1/counter/a/like/users/8";
    assert_eq!(rig.unmarked(0, of_user)["data"]["counted"], false, "nobody is counted any more");
    assert_eq!(done(&rig.client(2).post(INCREMENT, &like("a", 8, 1))), 1);
    let recount = rig.operator(0).post("/api/v1/counter/recount", &why);
    assert_eq!((done(&recount), &recount.json()["data"]["correction"]), (1, &json!(0)));
    rig.audits_are_well();
}

#[test]
fn a_key_counts_once_whichever_process_it_goes_to() {
    let rig = Rig::start();
    let headers = [("Idempotency-Key", "one-for-all")];
    let body = change("post", "view", 5).to_string();
    let replies = thread::scope(|scope| {
        let calls: Vec<_> = (0..9)
            .map(|call| {
                let (mut client, headers, body) = (rig.client(call % 3), &headers, &body);
                scope.spawn(move || client.request("POST", INCREMENT, headers, body))
            })
            .collect();
        calls.into_iter().map(|call| call.join().expect("no panic")).collect::<Vec<_>>()
    });
    assert!(replies.iter().all(|reply| done(reply) == 5), "{replies:?}");
    let is_first = |reply: &&Reply| reply.header("Idempotent-Replayed").is_none();
    assert_eq!(replies.iter().filter(is_first).count(), 1, "{replies:?}");
    for other in [change("post", "view", 6), change("other", "view", 5)] {
        let reply = rig.client(1).request("POST", INCREMENT, &headers, &other.to_string());
        assert_eq!(reply.status, 409, "{reply:?}");
    }
    assert_eq!((rig.count(2, "post/view"), rig.count(0, "other/view")), (5, 0));
}

#[test]
fn who_would_leave_64_bits_is_refused_whichever_process_is_asked() {
    let rig = Rig::start();
    let large = change("post", "view", i64::MAX).to_string();
    let replies = thread::scope(|scope| {
        let calls: Vec<_> = (0..6)
            .map(|call| {
                let (mut client, large) = (rig.client(call % 3), &large);
                scope.spawn(move || client.post(INCREMENT, large).status)
            })
            .collect();
        calls.into_iter().map(|call| call.join().expect("no panic")).collect::<Vec<_>>()
    });
    let count = |status| replies.iter().filter(|found| **found == status).count();
    assert_eq!((count(200), count(409)), (1, 5), "{replies:?}");
    for index in 0..3 {
        assert_eq!(rig.count(index, "post/view"), i64::MAX);
        let one = change("post", "view", 1).to_string();
        assert_eq!(rig.client(index).post(INCREMENT, &one).status, 409);
    }
    assert_eq!(
        done(&rig.client(1).post(INCREMENT, &change("post", "view", -1).to_string())),
        i64::MAX - 1
    );
    rig.audits_are_well();
}

#[test]
fn a_hundred_users_who_like_and_unlike_everywhere_at_once_count_once_each() {
    let rig = Rig::start();
    thread::scope(|scope| {
        for user in 1..=100 {
            let rig = &rig;
            scope.spawn(move || {
                let mut clients = [0, 1, 2].map(|index| rig.client(index));
                // Everybody ends liking or not, by the parity of the name; each step is sent to two
                // processes at once, and one of them is told that there was nothing to change.
                for step in 0..4 + user % 2 {
                    let delta = if step % 2 == 0 { 1 } else { -1 };
                    let body = like("post", user, delta);
                    let first = usize::try_from(user + step).expect("small");
                    let head = format!(
                        "POST {INCREMENT} HTTP/1.1\r\nHost: test\r\nContent-Length: {}\r\n\r\n{body}",
                        body.len(),
                    );
                    for client in [first, first + 1] {
                        clients[client % 3].send(head.as_bytes()).expect("sent");
                    }
                    for client in [first, first + 1] {
                        let reply = clients[client % 3].reply_to("POST").expect("an answer");
                        assert_eq!(reply.status, 200, "{reply:?}");
                        // Marked ones tell no count.
                        if let Some(now) = reply.json()["data"]["count"].as_i64() {
                            assert!((0..=100).contains(&now), "{now} of a hundred users");
                        }
                    }
                }
            });
        }
    });
    for index in 0..3 {
        assert_eq!(rig.count(index, "post/like"), 50);
        for user in 1..=100 {
            let of_user = format!("/api/v1/counter/post/like/users/{user}");
            assert_eq!(rig.unmarked(index, &of_user)["data"]["counted"], user % 2 == 1, "{user}");
        }
    }
    rig.audits_are_well();
}

/// What was sent, and what was promised, of one counter.
#[derive(Default)]
struct Promises {
    sent: AtomicI64,
    acknowledged: AtomicI64,
    stop: AtomicBool,
}

impl Promises {
    fn wait_more(&self, increments: usize) {
        wait_for_more("more increments to be acknowledged", increments, || {
            usize::try_from(self.acknowledged.load(Ordering::Relaxed)).expect("a count")
        });
    }

    /// Adds to one counter of all, through any process, until it is told to stop.
    fn keep_adding(&self, processes: &Processes, adder: usize) {
        let mut client: Option<Client> = None;
        for round in 0.. {
            if self.stop.load(Ordering::Acquire) {
                return;
            }
            let addresses = processes.addresses();
            let (http, _) = addresses[(adder + round) % addresses.len()];
            let Some(line) = client.take().or_else(|| Client::try_connect(http).ok()) else {
                continue;
            };
            client = self.add(line);
            if client.is_none() || round % 50 == 49 {
                client = None;
                thread::sleep(Duration::from_millis(5));
            }
        }
    }

    fn add(&self, mut client: Client) -> Option<Client> {
        self.sent.fetch_add(1, Ordering::Relaxed);
        let body = change("post", "view", 1).to_string();
        let reply = client.try_request("POST", INCREMENT, &[], &body).ok()?;
        match reply.status {
            200 => self.acknowledged.fetch_add(1, Ordering::Relaxed),
            status => {
                assert_eq!(status, 503, "{reply:?}");
                return None;
            }
        };
        Some(client)
    }
}

#[test]
fn of_one_counter_no_acknowledged_increment_is_lost() {
    let (redis, mut mongo) = (RedisServer::start(&[]), MongoServer::on_disk());
    let processes = Processes::start(redis.url(), mongo.addr(), mongo.addr());
    let mut rig = Rig { redis, processes };
    let promises = Promises::default();
    // A tenth of what a single process is given: each of twelve clients waits for its answer.
    let some = figure("FANFARE_INCREMENTS", 30_000) / 10 / 5;
    rig.redis.dump();
    thread::scope(|scope| {
        let (promises, processes) = (&promises, &rig.processes);
        for adder in 0..12 {
            scope.spawn(move || promises.keep_adding(processes, adder));
        }
        promises.wait_more(some);
        processes.kill(0);
        promises.wait_more(some);
        rig.redis.ask::<()>(&["FLUSHALL"]);
        promises.wait_more(some);
        processes.start_one(0);
        // A failover to a replica that has seen less.
        rig.redis.roll_back();
        promises.wait_more(some);
        mongo.kill();
        mongo.start_again();
        promises.wait_more(some);
        promises.stop.store(true, Ordering::Release);
    });
    rig.processes.wait_ready();
    rig.audits_are_well();
    let of = |count: &AtomicI64| count.load(Ordering::Relaxed);
    let (sent, acknowledged) = (of(&promises.sent), of(&promises.acknowledged));
    let found: Vec<i64> = (0..3).map(|index| rig.count(index, "post/view")).collect();
    let documents = rig.processes.documents("counters").len();
    eprintln!("{acknowledged} acknowledged <= {found:?} <= {sent} sent, in {documents} documents");
    assert!(found.iter().all(|count| (acknowledged..=sent).contains(count)));
    assert!(found.iter().all(|count| *count == found[0]), "{found:?}");
    assert!(i64::try_from(documents).expect("few") < acknowledged, "increments were not summed");
}

#[test]
fn without_redis_counts_are_shown_with_their_age_and_writes_go_on() {
    let mut rig = Rig::start();
    assert_eq!(done(&rig.client(0).post(INCREMENT, &change("post", "view", 2).to_string())), 2);
    assert_eq!(done(&rig.client(0).post(INCREMENT, &like("post", 7, 1))), 1);
    assert_eq!(rig.count(0, "post/view"), 2);
    rig.redis.kill();
    let mut client = rig.client(0);
    let mut added = 0;
    wait_for("an increment to be acknowledged without the view", || {
        let reply = client.post(INCREMENT, &change("post", "view", 1).to_string());
        added += i64::from(reply.status == 200);
        reply.status == 200
            && reply.header("X-Degraded") == Some("redis")
            && reply.json()["data"]["count"].is_null()
    });
    // Whether a user is counted is still known: by the journal.
    for (delta, user) in [(1, 7), (-1, 7), (1, 8)] {
        let reply = client.post(INCREMENT, &like("post", user, delta));
        assert_eq!((reply.status, reply.header("X-Degraded")), (200, Some("redis")), "{reply:?}");
    }
    let reply = client.get("/api/v1/counter/post/view");
    assert_eq!((reply.status, reply.header("X-Degraded")), (200, Some("redis")), "{reply:?}");
    assert!(reply.header("Warning").is_some_and(|it| it.starts_with("110 ")), "{reply:?}");
    assert!(reply.header("Age").is_some_and(|it| it.parse::<u64>().is_ok()), "{reply:?}");
    assert_eq!(count_of(&reply.json()), 2, "the last known one");
    let unknown = client.get("/api/v1/counter/never/view");
    assert_eq!((unknown.status, unknown.header("Retry-After")), (503, Some("1")), "never asked");
    let missing = rig.operator(0).get("/readyz");
    assert_eq!(missing.status, 503);
    assert!(missing.json()["missing"].to_string().contains("counter"), "{missing:?}");
    rig.redis.start_again();
    rig.processes.wait_ready();
    let found = rig.count(1, "post/view");
    assert!(found >= 2 + added, "{found} of at least {}", 2 + added);
    assert_eq!(rig.count(2, "post/like"), 1);
    assert_eq!(rig.unmarked(1, "/api/v1/counter/post/like/users/7")["data"]["counted"], false);
    rig.audits_are_well();
}

#[test]
fn an_audit_finds_what_was_changed_and_a_rebuild_heals_it() {
    let rig = Rig::start();
    for n in 1..=20 {
        done(&rig.client(0).post(INCREMENT, &change(&format!("r{n}"), "view", n).to_string()));
        done(&rig.client(1).post(INCREMENT, &like("post", n, 1)));
    }
    rig.audits_are_well();
    // Somebody takes a place off the list of all time.
    let current: String = rig.redis.ask(&["GET", "{fanfare:counter}:current"]);
    let places = format!("{{fanfare:counter}}:{current}:all:0:Tview:places");
    let first: Vec<String> = rig.redis.ask(&["ZRANGE", &places, "0", "0"]);
    assert_eq!(rig.redis.ask::<i64>(&["ZREM", &places, &first[0]]), 1);
    let found = rig.operator(0).get("/audit").json();
    assert_eq!(found["ok"], false, "{found}");
    let check = |found: &Value| {
        let checks = found["checks"].as_array().cloned().unwrap_or_default();
        checks.into_iter().find(|check| check["name"] == "counter: journal = counters")
    };
    assert_eq!(check(&found).expect("it is there")["first_bad"], "r20/view", "{found}");

    let (_, admin) = rig.processes.addresses()[2];
    let tool = Command::new(env!("CARGO_BIN_EXE_fanfare"))
        .arg("rebuild")
        .env("FANFARE__BACKEND", "cluster")
        .env("FANFARE__ADMIN__LISTEN", admin.to_string())
        .output()
        .expect("the binary starts");
    assert!(tool.status.success(), "{tool:?}");
    rig.audits_are_well();
    let hot = rig.unmarked(1, "/api/v1/counter/hot/view?limit=1");
    assert_eq!(hot["data"][0]["resource_id"], "r20");
    assert_eq!(rig.count(0, "post/like"), 20);
    let metrics = rig.operator(2).get("/metrics");
    let metrics = String::from_utf8(metrics.body).expect("text");
    for line in [
        "fanfare_cluster_fence_lag_batches{store=\"counter\"} 0",
        "fanfare_cluster_fresh{store=\"counter\"} 1",
        "fanfare_audit_ok{check=\"counter: likers = count\"} 1",
    ] {
        assert!(metrics.lines().any(|found| found == line), "{line} is not in\n{metrics}");
    }
}
