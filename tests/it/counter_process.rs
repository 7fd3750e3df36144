//! Counters against the whole process: races, kills, a full disk and hostile clients, on real
//! sockets.

use crate::client::Client;
use crate::disk_faults::{fill, in_namespace};
use crate::server::{Server, Start};
use crate::soak::figure;
use serde_json::json;
use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};
use std::thread;
use tempfile::TempDir;

const INCREMENT: &str = "/api/v1/counter/increment";

fn start() -> Server {
    Start::fresh().set("counter.types.like.unique", "true").run()
}

#[track_caller]
fn count(client: &mut Client, counter: &str) -> i64 {
    let reply = client.get(&format!("/api/v1/counter/{counter}"));
    assert_eq!(reply.status, 200, "{reply:?}");
    reply.json()["data"]["count"].as_i64().expect("a count")
}

#[track_caller]
fn audit_is_well(server: &Server) {
    let report = server.operator().get("/audit").json();
    assert_eq!(report["ok"], true, "{report:#}");
}

#[test]
fn a_hundred_users_who_like_and_unlike_at_once_count_once_each() {
    let server = start();
    let liking = Mutex::new(0);
    thread::scope(|scope| {
        for user in 1..=100 {
            let (server, liking) = (&server, &liking);
            scope.spawn(move || {
                let mut client = server.client();
                // Everybody ends liking or not, by the parity of the name; each step is sent twice.
                for step in 0..6 + user % 2 {
                    let delta = if step % 2 == 0 { 1 } else { -1 };
                    let like = json!({
                        "resource_id": "post", "counter_type": "like", "user_id": user,
                        "delta": delta,
                    });
                    for _ in 0..2 {
                        let reply = client.post(INCREMENT, &like.to_string());
                        assert_eq!(reply.status, 200, "{reply:?}");
                        let now = reply.json()["data"]["count"].as_i64().expect("a count");
                        assert!((0..=100).contains(&now), "{now} of a hundred users");
                    }
                }
                *liking.lock().expect("no panic within") += user % 2;
            });
        }
    });
    let liking = *liking.lock().expect("no panic within");
    let mut client = server.client();
    assert_eq!((count(&mut client, "post/like"), liking), (50, 50));
    for user in 1..=100 {
        let reply = client.get(&format!("/api/v1/counter/post/like/users/{user}"));
        assert_eq!(reply.json()["data"]["counted"], user % 2 == 1, "user {user}");
    }
    audit_is_well(&server);
    // Kept by name: it owns the data.
    let folder = server.stop();
    let server = folder.start().set("counter.types.like.unique", "true").run();
    assert_eq!(count(&mut server.client(), "post/like"), 50);
    audit_is_well(&server);
}

/// Sends increments of one hot and one cold counter until the server dies; adds up what was sent
/// and what was acknowledged. Several requests are under way at once on each connection.
fn increment_until_death(server: &Server, sent: &AtomicI64, acknowledged: &AtomicI64) {
    let mut client = server.client();
    for n in 0.. {
        let resource = if n % 2 == 0 { "hot-one".to_owned() } else { format!("r{}", n % 200) };
        let body = json!({"resource_id": resource, "counter_type": "view"}).to_string();
        sent.fetch_add(1, Ordering::SeqCst);
        match client.try_request("POST", INCREMENT, &[], &body) {
            Ok(reply) if reply.status == 200 => acknowledged.fetch_add(1, Ordering::SeqCst),
            Ok(_) => continue,
            Err(_) => return,
        };
    }
}

#[test]
fn kill_9_during_increments_keeps_what_was_acknowledged_and_adds_nothing() {
    let (sent, acknowledged) = (AtomicI64::new(0), AtomicI64::new(0));
    let folder = Server::start().stop();
    // Of all three rounds; the soak takes a million.
    let increments = figure("FANFARE_INCREMENTS", 6_000);
    for round in 1..=3 {
        let server = folder.start().run();
        let id = server.id().to_string();
        thread::scope(|scope| {
            for _ in 0..16 {
                scope.spawn(|| increment_until_death(&server, &sent, &acknowledged));
            }
            while acknowledged.load(Ordering::SeqCst) < round * increments / 3 {
                thread::yield_now();
            }
            let status = std::process::Command::new("kill").args(["-9", &id]).status();
            assert!(status.expect("kill runs").success());
        });
        drop(server);
        let server = folder.start().run();
        let mut client = server.client();
        let mut stored = count(&mut client, "hot-one/view");
        for resource in 0..200 {
            stored += count(&mut client, &format!("r{resource}/view"));
        }
        let (sent, acknowledged) =
            (sent.load(Ordering::SeqCst), acknowledged.load(Ordering::SeqCst));
        assert!(acknowledged <= stored && stored <= sent, "{acknowledged} {stored} {sent}");
        let listed = client.get("/api/v1/counter/hot/view?limit=1000").json();
        let listed = listed["data"].as_array().expect("a list");
        let listed: i64 = listed.iter().map(|one| one["count"].as_i64().expect("a count")).sum();
        assert_eq!(listed, stored, "the list against the counts");
        audit_is_well(&server);
        server.stop();
    }
}

#[test]
fn a_full_disk_refuses_increments_serves_counts_and_heals_by_itself() {
    let folder = TempDir::new().expect("a temporary folder");
    let data = folder.path().join("data");
    let setup = "mount -t tmpfs -o size=8m none \"$DIR\"";
    let server = in_namespace(Start::on(&data), folder.path(), setup).run();
    let root = PathBuf::from(format!("/proc/{}/root", server.id()));
    let inside = root.join(folder.path().strip_prefix("/").expect("absolute"));
    let ballast = inside.join("ballast");
    let mut client = server.client();
    let mut acknowledged = 0;
    let long = "x".repeat(100);
    for round in 0..2 {
        fill(&ballast);
        let mut refusals = 0;
        for n in 0.. {
            let body = json!({"resource_id": format!("{long}{round}-{n}"), "counter_type": "view"});
            let reply = client.post(INCREMENT, &body.to_string());
            if reply.status == 200 {
                acknowledged += 1;
                continue;
            }
            assert_eq!(reply.status, 503, "{reply:?}");
            assert!(reply.header("Retry-After").is_some(), "{reply:?}");
            refusals += 1;
            if refusals == 3 {
                break;
            }
        }
        let hot = client.get("/api/v1/counter/hot/view?limit=1").json();
        assert_eq!(
            hot["data"].as_array().map(Vec::len),
            Some(usize::from(acknowledged + round > 0))
        );
        std::fs::remove_file(&ballast).expect("it is there");
        let body = r#"{"resource_id":"after","counter_type":"view"}"#;
        assert_eq!(client.post(INCREMENT, body).status, 200);
        assert_eq!(count(&mut client, "after/view"), round + 1);
    }
    audit_is_well(&server);
    let metrics = server.operator().get("/metrics");
    let metrics = String::from_utf8(metrics.body).expect("UTF-8");
    let counters = format!("\nfanfare_counters {}\n", acknowledged + 1);
    assert!(metrics.contains(&counters), "refused counters are none: {counters}");
}

#[test]
fn figures_name_configured_types_only() {
    let server = start();
    let mut client = server.client();
    for (resource, of) in [("1", "like"), ("2", "like"), ("1", "secret")] {
        let body = json!({"resource_id": resource, "counter_type": of, "user_id": 1});
        assert_eq!(client.post(INCREMENT, &body.to_string()).status, 200);
    }
    let metrics = server.operator().get("/metrics");
    let metrics = String::from_utf8(metrics.body).expect("UTF-8");
    for line in [
        "fanfare_counters 3",
        "fanfare_counter_users 2",
        "fanfare_counters_of_type{type=\"like\"} 2",
        "fanfare_journal_position{store=\"counter\"} ",
        "fanfare_journal_position{store=\"gift\"} ",
    ] {
        assert!(metrics.contains(&format!("\n{line}")), "{line}");
    }
    assert!(!metrics.contains("secret"), "what a client chose is no label");
}

#[test]
fn hostile_input_is_refused_and_the_server_lives() {
    let server = start();
    let mut client = server.client();
    let deep = format!(r#"{{"resource_id":{}"#, "[".repeat(100_000));
    let long = format!(r#"{{"resource_id":"{}","counter_type":"v"}}"#, "x".repeat(500_000));
    let bodies: [&[u8]; 9] = [
        b"",
        b"{",
        b"\xff\xfe",
        deep.as_bytes(),
        long.as_bytes(),
        br#"{"resource_id":7,"resource_id":8,"counter_type":"v"}"#,
        br#"{"resource_id":7,"counter_type":"v","increment":99999999999999999999}"#,
        br#"{"resource_id":{"$ne":1},"counter_type":"v"}"#,
        b"{\"resource_id\":\"\xc3\",\"counter_type\":\"v\"}",
    ];
    for body in bodies {
        let head = format!(
            "POST {INCREMENT} HTTP/1.1\r\nHost: test\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        client.send(&[head.as_bytes(), body].concat()).expect("sent");
        let reply = client.reply_to("POST").expect("an answer");
        assert_eq!(reply.status, 400, "{reply:?}");
        assert_eq!((&reply.json()["code"], reply.json()["error"].is_string()), (&json!(400), true));
    }
    for target in ["a%zz/v", "%00/v", "a/%0d%0aX: y", "a/%C3"] {
        let reply = client.get(&format!("/api/v1/counter/{target}").replace(' ', "%20"));
        assert_eq!(reply.status, 400, "{target}: {reply:?}");
    }
    for statement in ["'; DROP TABLE entry; --", "\" OR 1=1", "${jndi:ldap://x}", "../../etc"] {
        let body = json!({"resource_id": statement, "counter_type": statement});
        assert_eq!(client.post(INCREMENT, &body.to_string()).status, 200);
        let query = json!({"items": [{"resource_id": statement, "counter_type": statement}]});
        let found = client.post("/api/v1/counter/batch", &query.to_string()).json();
        assert_eq!(found["data"]["results"][0]["resource_id"], statement);
        assert_eq!(found["data"]["results"][0]["count"], 1);
    }
    audit_is_well(&server);
}

#[test]
fn writes_beyond_the_queue_are_told_to_come_back_and_all_are_answered() {
    let server = start();
    let (done, refused) = (AtomicUsize::new(0), AtomicUsize::new(0));
    thread::scope(|scope| {
        for _ in 0..32 {
            scope.spawn(|| {
                let mut client = server.client();
                let body = r#"{"resource_id":"hot-one","counter_type":"view"}"#;
                for _ in 0..50 {
                    match client.post(INCREMENT, body).status {
                        200 => done.fetch_add(1, Ordering::Relaxed),
                        503 => refused.fetch_add(1, Ordering::Relaxed),
                        other => panic!("{other}"),
                    };
                }
            });
        }
    });
    let done = done.load(Ordering::Relaxed);
    assert_eq!(done + refused.load(Ordering::Relaxed), 1_600);
    let count = count(&mut server.client(), "hot-one/view");
    assert_eq!(usize::try_from(count), Ok(done));
}
