//! The audit: silent while boards and journal agree, under load too, and exact when they do not.

use crate::gift_local_rig::{Rig, START_US};
use crate::server::{Server, Start};
use fanfare::gift::Written;
use fanfare::store::{Audit, BadId, Check};
use rusqlite::Connection;
use serde_json::{Value, json};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

const HOUR_US: i64 = 3_600_000_000;

/// The names of the checks that failed, with the id that each names.
fn failures(checks: &[Check]) -> Vec<(&str, Option<BadId>)> {
    let failed = checks.iter().filter(|check| !check.ok);
    failed.map(|check| (check.name.as_str(), check.first_bad.clone())).collect()
}

#[track_caller]
fn assert_well(auditor: &mut dyn Audit) -> Vec<Check> {
    let checks = auditor.audit().expect("readable");
    assert_eq!(failures(&checks), [], "{checks:#?}");
    assert!(checks.iter().all(|check| check.left == check.right), "{checks:#?}");
    checks
}

fn figure(checks: &[Check], name: &str) -> i128 {
    let check = checks.iter().find(|check| check.name == name);
    check.unwrap_or_else(|| panic!("no check {name}")).left
}

fn audit(server: &Server) -> Value {
    let reply = server.operator().get("/audit");
    assert_eq!(reply.status, 200, "{reply:?}");
    reply.json()
}

/// The first id that a check names.
#[track_caller]
fn bad(report: &Value, name: &str) -> Value {
    let checks = report["checks"].as_array().expect("a list");
    let check = checks.iter().find(|check| check["name"] == name).expect("the check is there");
    assert_eq!(check["ok"], check["first_bad"].is_null(), "{check}");
    check["first_bad"].clone()
}

/// Changes the journal as an operator's shell could.
pub(crate) fn tamper(data: &Path, sql: &str) {
    tamper_with(&data.join("gift.db"), sql);
}

/// Changes another file.
pub(crate) fn tamper_with(file: &Path, sql: &str) {
    let journal = Connection::open(file).expect("the file opens");
    journal.busy_timeout(std::time::Duration::from_secs(60)).expect("a busy time-out");
    assert!(journal.execute(sql, []).expect("good SQL") > 0, "{sql} changes something");
}

fn send(server: &Server, anchor: i64, audience: i64, worth: i64) -> i64 {
    let body = json!({"audience_id": audience, "anchor_id": anchor, "worth": worth}).to_string();
    let reply = server.client().post("/gift/send", &body);
    assert_eq!(reply.status, 200, "{reply:?}");
    reply.json()["data"]["id"].as_i64().expect("an id")
}

#[test]
fn an_empty_store_is_well() {
    let server = Server::start();
    let report = audit(&server);
    assert_eq!(report["ok"], true, "{report}");
    let checks = report["checks"].as_array().expect("a list");
    for check in checks {
        assert_eq!(check["left"], check["right"], "{check}");
        // The room's customers begin with holdings.
        let is_empty = !check["name"].as_str().expect("a name").starts_with("trade: ");
        assert!(!is_empty || check["left"] == 0, "{check}");
        assert_eq!((&check["ok"], &check["first_bad"]), (&json!(true), &Value::Null), "{check}");
    }
    assert_eq!(server.client().get("/audit").status, 404, "not in public");
}

#[test]
fn all_is_well_under_load_and_the_figures_are_what_was_sent() {
    let server = Server::start();
    let done = AtomicBool::new(false);
    let sent: i64 = thread::scope(|scope| {
        let senders: Vec<_> = (1..=6_i64)
            .map(|sender| {
                let (server, done) = (&server, &done);
                scope.spawn(move || {
                    let (mut client, mut sent) = (server.client(), 0);
                    for number in 0.. {
                        if done.load(Ordering::Relaxed) {
                            break;
                        }
                        let worth = number % 9 + 1;
                        let body = json!({
                            "audience_id": sender, "anchor_id": number * sender % 40 + 1,
                            "worth": worth,
                        });
                        assert_eq!(client.post("/gift/send", &body.to_string()).status, 200);
                        sent += worth;
                    }
                    sent
                })
            })
            .collect();
        for _ in 0..25 {
            let report = audit(&server);
            if report["ok"] != true {
                done.store(true, Ordering::Relaxed);
                panic!("{report:#}");
            }
        }
        done.store(true, Ordering::Relaxed);
        senders.into_iter().map(|sender| sender.join().expect("no panic")).sum()
    });
    let report = audit(&server);
    assert_eq!(report["ok"], true, "{report:#}");
    for check in report["checks"].as_array().expect("a list") {
        if check["name"].as_str().expect("a name").contains("boards (all)") {
            assert_eq!((&check["left"], &check["right"]), (&json!(sent), &json!(sent)));
        }
    }
}

#[test]
fn many_audits_at_once_are_all_answered() {
    let server = Server::start();
    send(&server, 7, 1, 5);
    let mut operators: Vec<_> = (0..20).map(|_| server.operator()).collect();
    for operator in &mut operators {
        operator.send(b"GET /audit HTTP/1.1\r\nHost: test\r\n\r\n").expect("sent");
    }
    for operator in &mut operators {
        let reply = operator.reply_to("GET").expect("an answer");
        assert_eq!((reply.status, &reply.json()["ok"]), (200, &json!(true)));
    }
}

#[test]
fn names_the_anchor_whose_journal_was_changed_behind_the_servers_back() {
    let server = Server::start();
    for anchor in 1..=9 {
        for audience in 1..=3 {
            send(&server, anchor, audience, anchor * 10);
        }
    }
    assert_eq!(audit(&server)["ok"], true);
    tamper(server.data(), "UPDATE gift SET worth = worth + 1 WHERE anchor_id IN (4, 6)");
    let report = audit(&server);
    assert_eq!(report["ok"], false, "{report:#}");
    for period in ["all", "hour", "day", "week"] {
        let name = format!("gift: journal = boards ({period})");
        assert_eq!(bad(&report, &name), 4, "{report:#}");
    }
    assert_ne!(bad(&report, "gift: newest id = entries, unchanged"), Value::Null);
    // It stays known until somebody has looked at it.
    assert_eq!(audit(&server)["ok"], false);
}

#[test]
fn names_the_first_line_that_is_missing_or_breaks_a_rule() {
    let name = "gift: newest id = entries, unchanged";
    for (sql, id) in [
        ("DELETE FROM gift WHERE id = 5", 5),
        ("DELETE FROM gift WHERE id > 17", 18),
        ("UPDATE gift SET worth = 0 WHERE id = 6", 6),
        ("UPDATE gift SET time_us = 1 WHERE id = 9", 9),
        ("UPDATE gift SET revokes = 3 WHERE id = 11", 11),
    ] {
        let server = Server::start();
        for number in 1..=20 {
            assert_eq!(send(&server, 7, number, 2), number);
        }
        tamper(server.data(), sql);
        let report = audit(&server);
        assert_eq!(bad(&report, name), id, "{sql}: {report:#}");
    }
}

#[test]
fn the_token_guards_it() {
    let server = Start::fresh().set("admin.token", "sixteen-or-more-bytes").run();
    let refused = server.operator().get("/audit");
    assert_eq!((refused.status, &refused.json()["code"]), (401, &serde_json::json!(401)));
    // As `go tool pprof` reads it.
    let refused = server.operator().get("/debug/pprof/profile?seconds=1");
    assert_eq!((refused.status, refused.header("X-Go-Pprof")), (401, Some("1")));
    assert_eq!(refused.body, b"the operator's token is needed\n");
    assert_eq!(refused.header("WWW-Authenticate"), Some("Bearer"));
}

#[test]
fn revokes_idle_spans_and_forgotten_ones_are_no_differences() {
    let mut rig = Rig::opened();
    let mut auditor = rig.gifts().auditor().expect("it opens");
    assert_well(&mut *auditor);
    let mut dice = 0x5EED_u64;
    eprintln!("seed {dice:#x}");
    let mut below = |bound: u64| {
        dice = dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        i64::try_from((dice >> 33) % bound).expect("small")
    };
    for step in 0..120 {
        // Two and a half days a dozen: hours, then days are forgotten.
        rig.clock.set_us(START_US + step * 5 * HOUR_US + below(1_000_000));
        for _ in 0..below(6) {
            rig.give(below(5) + 1, below(12) + 1, below(9) + 1);
        }
        let known = rig.gifts().auditor().expect("it opens").audit().expect("readable");
        let newest = i64::try_from(figure(&known, "gift: newest id = entries, unchanged"));
        let newest = newest.expect("small");
        if newest > 0 {
            let target = below(u64::try_from(newest).expect("positive")) + 1;
            let taken = rig.revoke(target, "a test", None);
            assert!(matches!(taken, Written::Done { .. } | Written::NotAGift), "{taken:?}");
        }
        // One that has seen all, one that comes fresh.
        let kept = assert_well(&mut *auditor);
        let fresh = assert_well(&mut *rig.gifts().auditor().expect("it opens"));
        for (kept, fresh) in kept.iter().zip(&fresh).filter(|(k, _)| !k.name.contains("fans")) {
            assert_eq!(kept, fresh);
        }
        if step % 40 == 39 {
            drop(auditor);
            rig.reopen();
            auditor = rig.gifts().auditor().expect("it opens");
        }
    }
    drop(auditor);
}

#[test]
fn two_hundred_thousand_gifts_are_audited_and_one_wrong_one_is_found() {
    let rows = 200_000_i64;
    let mut rig = Rig::opened();
    rig.close();
    let journal = Connection::open(rig.file("gift.db")).expect("the journal opens");
    let sql = "WITH RECURSIVE n(id) AS (SELECT 1 UNION ALL SELECT id + 1 FROM n WHERE id < ?1)
               INSERT INTO gift SELECT id, id % 1009 + 1, id % 3001 + 1, id % 9 + 1, ?2 + id,
                                       NULL, NULL, NULL FROM n";
    journal.execute(sql, [rows, START_US - rows - 1]).expect("inserted");
    rig.open();
    let mut auditor = rig.gifts().auditor().expect("it opens");
    let checks = assert_well(&mut *auditor);
    let worth: i64 = (1..=rows).map(|id| id % 9 + 1).sum();
    assert_eq!(figure(&checks, "gift: newest id = entries, unchanged"), i128::from(rows));
    assert_eq!(figure(&checks, "gift: journal = boards (all)"), i128::from(worth));
    rig.give(1, 1, 1);
    let checks = assert_well(&mut *auditor);
    assert_eq!(figure(&checks, "gift: journal = boards (all)"), i128::from(worth) + 1);

    let wrong = "UPDATE gift SET worth = worth + 1 WHERE id = 123456";
    assert_eq!(journal.execute(wrong, []).expect("good SQL"), 1);
    let checks = auditor.audit().expect("readable");
    let anchor = 123_456 % 3001 + 1;
    let expected = ("gift: journal = boards (all)", Some(BadId::Number(anchor)));
    assert!(failures(&checks).contains(&expected), "{checks:#?}");
}
