//! Rains in the real binary: many at once, killed in the middle of fire, and proven afterwards.

use crate::client::Client;
use crate::server::{Folder, Server, Start};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::net::SocketAddr;
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::thread;

const FAR: i64 = 4_000_000_000;

/// A server whose limits no test meets by accident.
fn unlimited(start: Start) -> Start {
    ["user_rate", "user_burst", "global_rate", "global_burst"]
        .into_iter()
        .fold(start, |start, key| start.set(&format!("rain.{key}"), "100000000"))
}

/// The terms of a rain in which everybody wins; `changed` overrides some.
fn terms(id: i64, changed: &Value) -> Value {
    let mut terms = json!({
        "id": id, "total_amount_fen": 100_000, "total_count": 1_000, "min_fen": 1, "max_fen": 1_000,
        "win_ppm": 1_000_000, "max_per_user": 5, "starts_at": 0, "ends_at": FAR, "reason": "a test"
    });
    let fields = changed.as_object().expect("an object of terms");
    for (name, value) in fields {
        terms[name] = value.clone();
    }
    terms
}

#[track_caller]
fn begin(server: &Server, changed: &Value) {
    let made = server.operator().post("/rain", &terms(7, changed).to_string());
    assert_eq!((made.status, &made.json()["code"]), (200, &json!(0)), "{made:?}");
}

#[track_caller]
fn patch(server: &Server, change: &Value) -> Value {
    let mut change = change.clone();
    change["reason"] = json!("a test");
    let reply = server.operator().request("PATCH", "/rain/config", &[], &change.to_string());
    assert_eq!(reply.status, 200, "{reply:?}");
    reply.json()
}

fn snatch(client: &mut Client, uid: i64) -> Value {
    client.post("/snatch", &format!("uid={uid}")).json()
}

fn open(client: &mut Client, uid: i64, envelope_id: i64) -> Value {
    client.post("/open", &json!({ "uid": uid, "envelope_id": envelope_id }).to_string()).json()
}

fn wallet(client: &mut Client, uid: i64) -> Value {
    client.post("/get_wallet_list", &format!("uid={uid}")).json()["data"].clone()
}

#[track_caller]
fn check_audit(server: &Server) {
    let report = server.operator().get("/audit").json();
    assert_eq!(report["ok"], json!(true), "{report:#}");
}

/// Runs `ask` on so many connections at once; returns what each found.
fn at_once<T: Send>(
    address: SocketAddr,
    connections: i64,
    ask: impl Fn(&mut Client, i64) -> T + Sync,
) -> Vec<T> {
    thread::scope(|scope| {
        let ask = &ask;
        let threads: Vec<_> = (0..connections)
            .map(|number| scope.spawn(move || ask(&mut Client::connect(address), number)))
            .collect();
        threads.into_iter().map(|thread| thread.join().expect("no panic")).collect()
    })
}

#[test]
fn two_hundred_parallel_snatches_of_one_user_get_five_packets() {
    let server = unlimited(Start::fresh()).run();
    begin(&server, &json!({}));
    let answers = at_once(server.http, 200, |client, _| snatch(client, 42));
    let got: Vec<_> = answers.iter().filter(|answer| answer["code"] == 0).collect();
    let counts: BTreeSet<_> = got.iter().map(|got| got["data"]["cur_count"].as_i64()).collect();
    assert_eq!(counts, (1..=5).map(Some).collect(), "{got:?}");
    assert_eq!(got.len(), 5);
    assert!(got.iter().all(|got| got["data"]["max_count"] == 5));
    let refused = answers.iter().filter(|answer| answer["code"] == 3).count();
    assert_eq!(refused, 195);
    let ids: BTreeSet<_> = got.iter().map(|got| got["data"]["envelope_id"].as_i64()).collect();
    assert_eq!(ids.len(), 5);
    check_audit(&server);
}

#[test]
fn a_hundred_parallel_opens_pay_once() {
    let server = unlimited(Start::fresh()).run();
    begin(&server, &json!({}));
    let got = snatch(&mut server.client(), 42);
    let id = got["data"]["envelope_id"].as_i64().expect("a packet");
    let answers = at_once(server.http, 100, |client, _| {
        client.post("/open", &format!("uid=42&envelope_id={id}"))
    });
    let value = answers[0].json()["data"]["value"].clone();
    assert!(answers.iter().all(|answer| answer.json()["data"]["value"] == value));
    let paid = answers.iter().filter(|answer| answer.header("Idempotent-Replayed").is_none());
    assert_eq!(paid.count(), 1);
    let wallet = wallet(&mut server.client(), 42);
    assert_eq!(wallet["amount"], value);
    assert_eq!(wallet["envelope_list"][0]["value"], value);
    assert_eq!(open(&mut server.client(), 43, id)["code"], 11);
    assert_eq!(open(&mut server.client(), 42, id + 1)["code"], 10);
    check_audit(&server);
}

#[test]
fn three_in_ten_of_twenty_thousand_users_win() {
    let server = unlimited(Start::fresh()).run();
    let changed =
        json!({ "win_ppm": 300_000, "total_count": 20_000, "total_amount_fen": 2_000_000 });
    begin(&server, &changed);
    let won: i64 = at_once(server.http, 8, |client, number| {
        let users = (1..=2_500).map(|user| number * 2_500 + user);
        users.map(|uid| i64::from(snatch(client, uid)["code"] == 0)).sum::<i64>()
    })
    .into_iter()
    .sum();
    assert!((5_800..=6_200).contains(&won), "{won} of 20,000 won");
    let left = server.client().get("/rain").json()["data"]["left_count"].as_i64();
    assert_eq!(left, Some(20_000 - won));
}

/// Says that it is over when it is dropped.
struct Ending<'a>(&'a AtomicBool);

impl Drop for Ending<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

#[test]
fn a_budget_adjusted_in_the_middle_of_fire_is_spent_to_the_fen() {
    let server = unlimited(Start::fresh()).run();
    begin(&server, &json!({ "max_per_user": 1_000_000 }));
    let is_over = AtomicBool::new(false);
    let (snatched, allowed) = (AtomicI64::new(0), AtomicI64::new(45));
    let values = thread::scope(|scope| {
        let (is_over, snatched, allowed) = (&is_over, &snatched, &allowed);
        let http = server.http;
        // However this ends, the clients end too.
        let end = Ending(is_over);
        let clients: Vec<_> = (1..=6)
            .map(|uid| {
                scope.spawn(move || {
                    let mut client = Client::connect(http);
                    let mut packets = Vec::new();
                    loop {
                        let over = is_over.load(Ordering::SeqCst);
                        if !over
                            && snatched.load(Ordering::SeqCst) >= allowed.load(Ordering::SeqCst)
                        {
                            thread::yield_now();
                            continue;
                        }
                        let answer = snatch(&mut client, uid);
                        match answer["code"].as_i64() {
                            Some(0) => {
                                packets
                                    .push(answer["data"]["envelope_id"].as_i64().expect("an id"));
                                snatched.fetch_add(1, Ordering::SeqCst);
                            }
                            Some(6) if over => break,
                            _ => panic!("{answer}"),
                        }
                    }
                    let paid = packets.iter().map(|id| {
                        open(&mut client, uid, *id)["data"]["value"].as_i64().expect("a value")
                    });
                    (packets.len(), paid.sum::<i64>())
                })
            })
            .collect();
        for step in 1..=20 {
            while snatched.load(Ordering::SeqCst) < step * 40 {
                thread::yield_now();
            }
            patch(&server, &json!({ "total_amount_fen": 100_000 + step * 777 }));
            allowed.store((step + 1) * 45, Ordering::SeqCst);
        }
        let refused = json!({ "total_count": 1, "reason": "too low" }).to_string();
        let refused = server.operator().request("PATCH", "/rain/config", &[], &refused);
        assert_eq!(refused.status, 409, "{refused:?}");
        drop(end);
        clients.into_iter().map(|client| client.join().expect("no panic")).collect::<Vec<_>>()
    });
    let count: usize = values.iter().map(|(count, _)| count).sum();
    let fen: i64 = values.iter().map(|(_, fen)| fen).sum();
    assert_eq!((count, fen), (1_000, 100_000 + 20 * 777));
    check_audit(&server);
    let budget = server.operator().get("/rain/config").json()["data"]["budget"].clone();
    assert_eq!(budget["opened"], json!({ "count": 1_000, "fen": fen }));
    assert_eq!(budget["left"], json!({ "count": 0, "fen": 0 }));
}

/// What clients were told of their packets: by id, the owner.
type Told = BTreeMap<i64, i64>;

/// Snatches on some connections until the server is killed under them.
fn storm_until_killed(server: Server) -> (Folder, Told) {
    let answered = AtomicI64::new(0);
    let http = server.http;
    thread::scope(|scope| {
        let answered = &answered;
        let clients: Vec<_> = (0..16)
            .map(|number| {
                scope.spawn(move || {
                    let (mut client, mut told) = (Client::connect(http), Told::new());
                    for uid in (1..).map(|n| n * 16 + number) {
                        let body = format!("uid={uid}");
                        let Ok(reply) = client.try_request("POST", "/snatch", &[], &body) else {
                            break;
                        };
                        if let Some(id) = reply.json()["data"]["envelope_id"].as_i64() {
                            told.insert(id, uid);
                        }
                        answered.fetch_add(1, Ordering::SeqCst);
                    }
                    told
                })
            })
            .collect();
        while answered.load(Ordering::SeqCst) < 3_000 {
            thread::yield_now();
        }
        let folder = server.kill();
        let told = clients.into_iter().flat_map(|client| client.join().expect("no panic"));
        (folder, told.collect())
    })
}

#[test]
fn after_a_kill_every_packet_that_a_client_saw_opens_once_and_the_budget_is_spent() {
    let server = unlimited(Start::fresh()).run();
    let changed = json!({ "win_ppm": 500_000, "total_count": 6_000, "total_amount_fen": 600_000 });
    begin(&server, &changed);
    let (folder, told) = storm_until_killed(server);
    assert!(told.len() > 1_000, "{} packets", told.len());
    let server = unlimited(folder.start()).run();
    check_audit(&server);
    let mut client = server.client();
    for (&id, &uid) in &told {
        let body = format!("uid={uid}&envelope_id={id}");
        let first = client.post("/open", &body);
        assert_eq!(first.json()["code"], 0, "{first:?}");
        assert_eq!(first.header("Idempotent-Replayed"), None);
    }
    // The rest is snatched; users of before the kill may have packets that they never heard of.
    patch(&server, &json!({ "win_ppm": 1_000_000 }));
    at_once(server.http, 8, |client, number| {
        for uid in (1_000_000..).map(|n| n * 8 + number) {
            if snatch(client, uid)["code"] == 6 {
                break;
            }
        }
    });
    let budget = server.operator().get("/rain/config").json()["data"]["budget"].clone();
    assert_eq!(budget["handed_out"], json!({ "count": 6_000, "fen": 600_000 }));
    check_audit(&server);
    patch(&server, &json!({ "ends_at": 0 }));
    check_proof(&server, 6_000, 600_000);
}

/// The proof holds: for our verifier, and for a stranger's script.
#[track_caller]
fn check_proof(server: &Server, count: i64, fen: i64) {
    let proof = server.client().get("/rain/proof?id=7");
    assert_eq!(proof.status, 200, "{}", String::from_utf8_lossy(&proof.body));
    let file = server.data().join("proof.json");
    fs::write(&file, &proof.body).expect("written");
    let shown = format!("rain 7 holds: {count} packets");
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/verify_rain.py");
    let mut stranger = Command::new("python3");
    stranger.arg(script);
    let mut ours = Command::new(env!("CARGO_BIN_EXE_fanfare"));
    ours.arg("verify-rain");
    for command in [&mut stranger, &mut ours] {
        let output = command.arg(&file).output().expect("python3: apt-get install python3");
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
        assert!(said.contains(&shown) && said.contains(&format!("{fen} fen")), "{said}");
    }
    let mut forged = proof.json();
    forged["data"]["chunks"][0]["amounts"][0] = json!(1_000_000);
    fs::write(&file, forged.to_string()).expect("written");
    let output = Command::new(env!("CARGO_BIN_EXE_fanfare")).arg("verify-rain").arg(&file).output();
    let output = output.expect("the binary starts");
    assert_eq!(output.status.code(), Some(1));
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(error.contains(" fen, but 1000000 were given") && !error.contains("Some"), "{error}");
}

#[test]
fn what_was_drawn_before_a_kill_is_never_drawn_again() {
    let server = unlimited(Start::fresh()).run();
    begin(&server, &json!({ "win_ppm": 100_000 }));
    let folder = server.kill();
    let mut seen = BTreeSet::new();
    for _ in 0..4 {
        let server = unlimited(folder.start()).run();
        let draws = at_once(server.http, 4, |client, number| {
            let draws =
                (1..=50).map(|n| snatch(client, number * 1_000 + n)["data"]["draw"].clone());
            draws.map(|draw| draw.as_i64().expect("each answer has its draw")).collect::<Vec<_>>()
        });
        for draw in draws.concat() {
            assert!(seen.insert(draw), "draw {draw} came twice");
        }
        drop(server.kill());
    }
    assert_eq!(seen.len(), 800);
}

#[test]
fn the_rain_of_the_file_is_made_once_and_a_patch_outlives_restarts() {
    let with_rain = |start: Start| {
        unlimited(start).set("rain.id", "9").set("rain.ends_at", "2096-01-01T00:00:00Z")
    };
    let server = with_rain(Start::fresh()).run();
    let rain = server.client().get("/rain").json()["data"].clone();
    assert_eq!((&rain["id"], &rain["state"]), (&json!(9), &json!("running")));
    patch(&server, &json!({ "total_amount_fen": 1_000_001 }));
    let before = server.operator().get("/rain/config").json();
    let folder = server.stop();
    let server = with_rain(folder.start()).run();
    assert_eq!(server.operator().get("/rain/config").json(), before);
    assert_eq!(before["data"]["config"]["total_amount_fen"], 1_000_001);
    assert_eq!(before["data"]["history"][0]["by"], "file");
    assert_eq!(server.client().get("/rain").json()["data"]["commitment"], rain["commitment"]);
}

#[test]
fn a_file_with_a_rain_that_cannot_be_is_refused() {
    let start = Start::fresh().set("rain.id", "9").set("rain.ends_at", "2096-01-01T00:00:00Z");
    let error = start.set("rain.min_fen", "5000").refused();
    assert!(error.contains("rain.id = 9: 1000000 fen left are too little for 1000"), "{error}");
    let (status, error) = Start::fresh().set("rain.id", "9").run_to_end();
    assert_eq!(status.code(), Some(2), "{error}");
    assert!(error.contains("rain.ends_at"), "{error}");
    let check = |ends_at: &str, min_fen: &str| {
        let mut check = Command::new(env!("CARGO_BIN_EXE_fanfare"));
        check.arg("check").env("FANFARE__RAIN__ID", "9");
        check.env("FANFARE__RAIN__ENDS_AT", ends_at).env("FANFARE__RAIN__MIN_FEN", min_fen);
        let output = check.output().expect("the binary starts");
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    let (code, error) = check("2096-01-01T00:00:00Z", "5000");
    assert_eq!(code, Some(2), "{error}");
    assert!(error.contains("rain.id = 9: 1000000 fen left are too little for 1000"), "{error}");
    assert_eq!(check("2096-01-01T00:00:00Z", "1"), (Some(0), String::new()));
}

#[test]
fn a_file_with_the_rain_of_last_night_starts_without_it() {
    let start = Start::fresh().set("rain.id", "9").set("rain.ends_at", "2020-01-01T00:00:00Z");
    let server = start.run();
    assert_eq!(server.client().get("/rain").json()["data"]["state"], "none");
    // Its name is still free.
    begin(&server, &json!({ "id": 9 }));
    assert_eq!(server.client().get("/rain").json()["data"]["id"], 9);
}
