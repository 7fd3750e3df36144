//! Acknowledged is durable, exactly once: the server is killed and its power is cut under load.

use crate::client::Client;
use crate::server::{Server, Start};
use fanfare::torture::power::{Bed, Dice};
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

const CLIENTS: usize = 16;
const ANCHORS: usize = 20;

/// One gift that a client sent under its own key.
#[derive(Clone, Debug)]
struct Attempt {
    key: String,
    body: String,
    anchor: usize,
    worth: i64,
    /// The id that the server answered.
    acknowledged: Option<i64>,
}

/// Sends until the server dies. `enough` is passed once so many gifts are acknowledged.
fn load(address: SocketAddr, round: u64, enough: usize, crash: impl FnOnce()) -> Vec<Attempt> {
    let acknowledged = AtomicUsize::new(0);
    thread::scope(|scope| {
        let clients: Vec<_> = (0..CLIENTS)
            .map(|client| {
                let acknowledged = &acknowledged;
                scope.spawn(move || send_until_death(address, round, client, acknowledged))
            })
            .collect();
        while acknowledged.load(Ordering::Relaxed) < enough {
            thread::yield_now();
        }
        crash();
        clients.into_iter().flat_map(|client| client.join().expect("no panic")).collect()
    })
}

fn send_until_death(
    address: SocketAddr,
    round: u64,
    client: usize,
    acknowledged: &AtomicUsize,
) -> Vec<Attempt> {
    let mut dice = Dice::new(round * 1_000 + client as u64 + 1);
    let mut connection = Client::connect(address);
    let mut attempts = Vec::new();
    loop {
        let anchor = usize::try_from(dice.below(ANCHORS as u64)).expect("small") + 1;
        let worth = i64::try_from(dice.below(9)).expect("small") + 1;
        let key = format!("{round}-{client}-{}", attempts.len());
        let body =
            json!({"audience_id": client + 1, "anchor_id": anchor, "worth": worth}).to_string();
        let headers = [("Idempotency-Key", key.as_str())];
        let reply = connection.try_request("POST", "/gift/send", &headers, &body);
        let id = match &reply {
            Ok(reply) if reply.status == 200 => reply.json()["data"]["id"].as_i64(),
            _ => None,
        };
        attempts.push(Attempt { key, body, anchor, worth, acknowledged: id });
        match reply {
            Ok(reply) if reply.status == 200 => acknowledged.fetch_add(1, Ordering::Relaxed),
            // 503 while it dies is an answer; only a broken connection ends the round.
            Ok(_) => continue,
            Err(_) => return attempts,
        };
    }
}

/// Every acknowledged gift is in the journal once; retries of the rest count once; the boards are
/// the journal.
#[track_caller]
fn verify(server: &Server, attempts: &[Attempt], what: &str) {
    let mut client = server.client();
    let ids: BTreeSet<i64> = journal(&mut client).into_iter().map(|(id, _, _)| id).collect();
    for attempt in attempts {
        if let Some(id) = attempt.acknowledged {
            assert!(ids.contains(&id), "{what}: lost {attempt:?}");
        }
    }
    for attempt in attempts {
        let headers = [("Idempotency-Key", attempt.key.as_str())];
        let reply = client.request("POST", "/gift/send", &headers, &attempt.body);
        assert_eq!(reply.status, 200, "{what}: {reply:?}");
        if attempt.acknowledged.is_some() {
            assert_eq!(reply.json()["data"]["id"].as_i64(), attempt.acknowledged, "{what}");
            assert_eq!(reply.header("Idempotent-Replayed"), Some("true"), "{what}");
        }
    }
    let mut expected: BTreeMap<usize, i64> = BTreeMap::new();
    for attempt in attempts {
        *expected.entry(attempt.anchor).or_default() += attempt.worth;
    }
    let mut journaled: BTreeMap<usize, i64> = BTreeMap::new();
    for (_, anchor, worth) in journal(&mut client) {
        *journaled.entry(anchor).or_default() += worth;
    }
    assert_eq!(journaled, expected, "{what}: journal against what was asked for");
    let top = client.get(&format!("/gift/top?num={ANCHORS}")).json();
    let board: BTreeMap<usize, i64> = top["data"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|place| {
            let anchor = place["anchor_id"].as_u64().expect("an id");
            (usize::try_from(anchor).expect("small"), place["total_worth"].as_i64().expect("exact"))
        })
        .collect();
    assert_eq!(board, expected, "{what}: board against journal");
}

/// All entries as (id, anchor, worth).
fn journal(client: &mut Client) -> Vec<(i64, usize, i64)> {
    let mut entries = Vec::new();
    for anchor in 1..=ANCHORS {
        let mut before = String::new();
        loop {
            let target = format!("/gift/journal?id={anchor}&num=100{before}");
            let page = client.get(&target).json();
            for entry in page["data"].as_array().expect("a list") {
                let id = entry["id"].as_i64().expect("an id");
                entries.push((id, anchor, entry["worth"].as_i64().expect("exact")));
            }
            let Some(next) = page.get("next") else { break };
            before = format!("&before={}", next.to_string().trim_matches('"'));
        }
    }
    entries
}

/// How many rounds: few in the test run, many in the soak.
fn rounds() -> u64 {
    std::env::var("CRASH_ROUNDS").ok().and_then(|text| text.parse().ok()).unwrap_or(3)
}

#[test]
fn kill_9_under_load_loses_nothing_and_doubles_nothing() {
    let folder = Server::start().stop();
    let mut attempts = Vec::new();
    for round in 1..=rounds() {
        let server = folder.start().run();
        let id = server.id().to_string();
        attempts.extend(load(server.http, round, 500, || {
            let status = Command::new("kill").args(["-9", &id]).status().expect("kill runs");
            assert!(status.success());
        }));
        drop(server);
        let server = folder.start().run();
        verify(&server, &attempts, &format!("round {round}"));
        // Every other round goes on from a graceful end, which writes a checkpoint.
        if round % 2 == 0 {
            server.stop();
        }
    }
}

/// A server on a folder whose power can be cut.
fn start_on(bed: &Bed) -> Start {
    let start = Start::on(&bed.live());
    bed.environment().into_iter().fold(start, |start, (name, value)| start.env(name, value))
}

fn bed() -> Bed {
    Bed::new(None).expect("a temporary folder")
}

#[test]
fn a_power_cut_under_load_loses_nothing_and_doubles_nothing() {
    let bed = bed();
    let mut attempts = Vec::new();
    for round in 1..=rounds() {
        let seed = round * 7_919;
        let server = start_on(&bed).run();
        let id = server.id().to_string();
        attempts.extend(load(server.http, 1_000 + round, 300, || {
            let status = Command::new("kill").args(["-9", &id]).status().expect("kill runs");
            assert!(status.success());
        }));
        drop(server);
        bed.cut_power(&mut Dice::new(seed)).expect("cut");
        let server = start_on(&bed).run();
        verify(&server, &attempts, &format!("round {round}, seed {seed}"));
        drop(server);
        bed.cut_power(&mut Dice::new(seed + 1)).expect("cut");
    }
}

#[test]
fn a_failed_sync_ends_acknowledging_and_says_so() {
    let bed = bed();
    let server = start_on(&bed).run();
    let mut client = server.client();
    let gift = r#"{"audience_id":1,"anchor_id":7,"worth":5}"#;
    assert_eq!(client.post("/gift/send", gift).status, 200);
    bed.set_fault("fail").expect("writable");
    let refused = client.post("/gift/send", gift);
    assert_eq!(refused.status, 503, "{refused:?}");
    assert!(refused.header("Retry-After").is_some());
    // The kernel may have dropped the dirty pages: a later sync that succeeds proves nothing.
    bed.set_fault("").expect("writable");
    assert_eq!(client.post("/gift/send", gift).status, 503);
    assert_eq!(client.get("/gift/worth?id=7").json()["data"]["total_worth"], 5);
    let ready = server.operator().get("/readyz");
    assert_eq!(ready.status, 503);
    assert!(String::from_utf8_lossy(&ready.body).contains("gift"), "{ready:?}");
    drop(server);
    let server = start_on(&bed).run();
    assert_eq!(server.operator().get("/readyz").status, 200);
    assert_eq!(server.client().post("/gift/send", gift).status, 200);
}

#[test]
fn reads_go_on_while_a_sync_takes_its_time() {
    let bed = bed();
    let server = start_on(&bed).run();
    let mut writer = server.client();
    let gift = r#"{"audience_id":1,"anchor_id":7,"worth":5}"#;
    assert_eq!(writer.post("/gift/send", gift).status, 200);
    bed.set_fault("hold").expect("writable");
    let length = gift.len();
    let request =
        format!("POST /gift/send HTTP/1.1\r\nHost: test\r\nContent-Length: {length}\r\n\r\n{gift}");
    writer.send(request.as_bytes()).expect("sent");
    let mut reader = server.client();
    for _ in 0..50 {
        assert_eq!(reader.get("/gift/worth?id=7").json()["data"]["total_worth"], 5);
        assert_eq!(reader.get("/gift/journal?id=7").status, 200);
    }
    bed.set_fault("").expect("writable");
    assert_eq!(writer.reply_to("POST").expect("an answer").status, 200);
    assert_eq!(reader.get("/gift/worth?id=7").json()["data"]["total_worth"], 10);
}
