//! A disk that is full, read-only, damaged or somebody else's: answers while it serves, a refusal
//! that says what and where at the start, and not one byte touched.

use crate::client::Client;
use crate::server::{Server, Start};
use rusqlite::Connection;
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;
use std::thread;
use tempfile::TempDir;

const ANCHORS: usize = 5;

/// Runs the server behind `setup`, a shell command in mount namespace of its own, with `$DIR` as
/// the folder: mounts made there are seen by nobody else and end with the server.
pub(crate) fn in_namespace(start: Start, dir: &Path, setup: &str) -> Start {
    let id = Command::new("id").arg("-u").output().expect("id runs").stdout;
    // Who is not root becomes it in a user namespace.
    let unshare = if id.trim_ascii() == b"0" { "-m" } else { "-Urm" };
    let script = format!("{setup} && exec \"$0\" \"$@\"");
    start.under("unshare", &[unshare, "sh", "-c", &script]).env("DIR", dir)
}

/// Sends a gift under a key; the id when it was acknowledged, `None` for a 503.
fn send(client: &mut Client, key: &str, anchor: usize) -> Option<i64> {
    let gift = json!({"audience_id": 1, "anchor_id": anchor, "worth": 3}).to_string();
    let reply = client.request("POST", "/gift/send", &[("Idempotency-Key", key)], &gift);
    if reply.status == 200 {
        return reply.json()["data"]["id"].as_i64();
    }
    assert_eq!(reply.status, 503, "{reply:?}");
    assert!(reply.header("Retry-After").is_some(), "{reply:?}");
    None
}

/// The ids in the journal; checks that totals, order and journal agree.
fn journal(client: &mut Client) -> BTreeSet<i64> {
    let mut ids = BTreeSet::new();
    let mut totals: BTreeMap<usize, i64> = BTreeMap::new();
    for anchor in 1..=ANCHORS {
        let mut before = String::new();
        loop {
            let page = client.get(&format!("/gift/journal?id={anchor}&num=100{before}")).json();
            for entry in page["data"].as_array().expect("a list") {
                assert!(ids.insert(entry["id"].as_i64().expect("an id")), "twice: {entry}");
                *totals.entry(anchor).or_default() += entry["worth"].as_i64().expect("exact");
            }
            let Some(next) = page.get("next") else { break };
            before = format!("&before={next}");
        }
    }
    let top = client.get("/gift/top?num=1000").json();
    let board = top["data"].as_array().expect("a list").iter().map(|place| {
        let anchor = place["anchor_id"].as_u64().and_then(|anchor| usize::try_from(anchor).ok());
        (anchor.expect("an id"), place["total_worth"].as_i64().expect("exact"))
    });
    assert_eq!(board.collect::<BTreeMap<_, _>>(), totals, "board against journal");
    ids
}

/// Writes until there is no room left.
pub(crate) fn fill(ballast: &Path) {
    let mut file = fs::File::create(ballast).expect("a new name needs no room");
    for size in [64 * 1024, 4096] {
        let piece = vec![1; size];
        loop {
            match file.write_all(&piece) {
                Ok(()) => {}
                Err(error) if error.kind() == ErrorKind::StorageFull => break,
                Err(error) => panic!("{error}"),
            }
        }
    }
}

/// Eight clients send until each was told 503 three times. Returns what was acknowledged.
fn send_until_full(
    server: &Server,
    round: usize,
    refused: &Mutex<Vec<(String, usize)>>,
) -> Vec<i64> {
    thread::scope(|scope| {
        let clients: Vec<_> = (0..8)
            .map(|name| {
                scope.spawn(move || {
                    let (mut client, mut acknowledged, mut refusals) = (server.client(), vec![], 0);
                    for count in 0.. {
                        let (key, anchor) =
                            (format!("{round}-{name}-{count}"), count % ANCHORS + 1);
                        if let Some(id) = send(&mut client, &key, anchor) {
                            acknowledged.push(id);
                            continue;
                        }
                        refused.lock().expect("no panic within").push((key, anchor));
                        refusals += 1;
                        if refusals == 3 {
                            break;
                        }
                    }
                    acknowledged
                })
            })
            .collect();
        clients.into_iter().flat_map(|client| client.join().expect("no panic")).collect()
    })
}

#[test]
fn a_full_disk_refuses_writes_serves_reads_and_heals_by_itself() {
    let folder = TempDir::new().expect("a temporary folder");
    let data = folder.path().join("data");
    let setup = "mount -t tmpfs -o size=6m none \"$DIR\"";
    let server = in_namespace(Start::on(&data), folder.path(), setup).run();
    // The mount is the server's own: this is the way in.
    let root = PathBuf::from(format!("/proc/{}/root", server.id()));
    let inside = root.join(folder.path().strip_prefix("/").expect("absolute"));
    let ballast = inside.join("ballast");

    let (mut acknowledged, refused) = (BTreeSet::new(), Mutex::new(Vec::new()));
    for round in 0..3 {
        let mut client = server.client();
        acknowledged.extend(send(&mut client, &format!("{round}-first"), 1));
        fill(&ballast);
        acknowledged.extend(send_until_full(&server, round, &refused));
        for target in ["/gift/worth?id=1", "/gift/rank?id=1", "/gift/fans?id=1", "/hello"] {
            assert_eq!(client.get(target).status, 200, "{target}");
        }
        assert_eq!(journal(&mut client), acknowledged, "while the disk is full");

        fs::remove_file(&ballast).expect("it is there");
        let retried = std::mem::take(&mut *refused.lock().expect("no panic within"));
        for (key, anchor) in retried {
            acknowledged.insert(send(&mut client, &key, anchor).expect("there is room again"));
        }
        assert_eq!(journal(&mut client), acknowledged, "when there is room again");
    }
    // What a crash would leave now must hold all of it.
    let copy = TempDir::new().expect("a temporary folder");
    copy_files(&inside.join("data"), copy.path());
    drop(server);
    let server = Start::on(copy.path()).run();
    assert_eq!(journal(&mut server.client()), acknowledged, "after a crash");
}

fn copy_files(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("writable");
    for entry in fs::read_dir(from).expect("readable") {
        let entry = entry.expect("readable");
        fs::copy(entry.path(), to.join(entry.file_name())).expect("a plain file");
    }
}

/// Every file with its content, but the lock, which is made by whoever looks.
fn content(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let entries = fs::read_dir(folder).expect("readable").map(|entry| entry.expect("readable"));
    let files = entries.filter(|entry| entry.file_name() != "fanfare.lock");
    files.map(|entry| (entry.path(), fs::read(entry.path()).expect("a file"))).collect()
}

/// A folder with a journal of some pages, ended in order.
fn made() -> crate::server::Folder {
    let server = Server::start();
    let gift = r#"{"audience_id":1,"anchor_id":7,"worth":5}"#;
    let one = format!(
        "POST /gift/send HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n{gift}",
        gift.len()
    );
    let mut client = server.client();
    for _ in 0..20 {
        client.send(one.repeat(50).as_bytes()).expect("sent");
        for _ in 0..50 {
            assert_eq!(client.reply_to("POST").expect("an answer").status, 200);
        }
    }
    server.stop()
}

/// Breaks a copy of `whole`, and checks that the server refuses it as `expected` and leaves it.
#[track_caller]
fn check_refusal(whole: &Path, damage: impl FnOnce(&Path), expected: &str) {
    let copy = TempDir::new().expect("a temporary folder");
    copy_files(whole, copy.path());
    let journal = copy.path().join("gift.db");
    damage(&journal);
    let before = content(copy.path());
    let error = Start::on(copy.path()).refused();
    assert!(error.contains(expected), "{expected:?} in {error}");
    assert!(error.contains(journal.to_str().expect("UTF-8")), "where: {error}");
    let after = content(copy.path());
    assert_eq!(before.keys().collect::<Vec<_>>(), after.keys().collect::<Vec<_>>());
    assert!(before == after, "{expected}: the files were touched");
}

fn overwrite(path: &Path, at: usize, bytes: usize) {
    let mut content = fs::read(path).expect("readable");
    assert!(content.len() >= at + bytes, "only {} bytes", content.len());
    for byte in &mut content[at..at + bytes] {
        *byte ^= 0xff;
    }
    fs::write(path, content).expect("writable");
}

fn truncate(path: &Path, bytes: u64) {
    fs::File::options().write(true).open(path).and_then(|file| file.set_len(bytes)).expect("cut");
}

/// Changes one entry of an index: the pages stay well-formed, but the journal's own table and its
/// index by anchor no longer tell the same.
fn damage_index(path: &Path) {
    const PAGE: usize = 4096;
    const INDEX_LEAF: u8 = 0x0a;
    let mut content = fs::read(path).expect("readable");
    let pages = content.chunks(PAGE);
    let is_used_leaf = |page: &[u8]| page[0] == INDEX_LEAF && page[3..5] != [0, 0];
    let start = pages.clone().position(is_used_leaf).expect("an index has leaves") * PAGE;
    // The pointer to the first cell, which begins with the size of what follows.
    let pointer = u16::from_be_bytes([content[start + 8], content[start + 9]]);
    let cell = start + usize::from(pointer);
    let last = cell + usize::from(content[cell]);
    content[last] ^= 1;
    fs::write(path, content).expect("writable");
}

fn newer(path: &Path) {
    let journal = Connection::open(path).expect("a database");
    let version: i32 = journal.query_row("PRAGMA user_version", [], |row| row.get(0)).expect("one");
    journal.pragma_update(None, "user_version", version + 1).expect("writable");
}

#[test]
fn a_journal_that_makes_no_sense_is_refused_and_left_as_it_is() {
    let folder = made();
    let whole = &folder.data;
    let size = fs::metadata(whole.join("gift.db")).expect("a journal").len();
    let middle = usize::try_from(size / 2).expect("small");
    assert!(size > 10 * 4096, "{size}");
    check_refusal(whole, |path| truncate(path, size - 4096), "damaged");
    check_refusal(whole, |path| truncate(path, size / 2 + 100), "damaged");
    check_refusal(whole, |path| truncate(path, 50), "damaged");
    check_refusal(whole, |path| overwrite(path, 0, 4), "is not a file that this program made");
    check_refusal(whole, |path| overwrite(path, 18, 1), "damaged");
    check_refusal(whole, |path| overwrite(path, 18, 30), "damaged");
    check_refusal(whole, damage_index, "damaged");
    check_refusal(whole, |path| overwrite(path, middle - middle % 4096, 2048), "damaged");
    check_refusal(whole, |path| overwrite(path, 4096, 8), "damaged");
    check_refusal(whole, newer, "start the newer version");
    let text = |path: &Path| fs::write(path, "a shopping list\n".repeat(99)).expect("writable");
    check_refusal(whole, text, "is not a file that this program made");
    let other = |path: &Path| {
        fs::remove_file(path).expect("it is there");
        let made = Connection::open(path).and_then(|db| db.execute_batch("CREATE TABLE t (a)"));
        made.expect("writable");
    };
    check_refusal(whole, other, "is not a file that this program made");
    // The folder itself is as good as before.
    let server = Start::on(whole).run();
    assert_eq!(server.client().get("/gift/worth?id=7").json()["data"]["total_worth"], 5_000);
}

#[test]
fn a_newer_journal_is_refused_also_when_its_log_was_not_moved() {
    let server = Server::start();
    let gift = r#"{"audience_id":1,"anchor_id":7,"worth":5}"#;
    assert_eq!(server.client().post("/gift/send", gift).status, 200);
    let folder = server.kill();
    // Its version stands in the log only, as a crash of the newer program would leave it.
    let keep_log = |path: &Path| {
        let journal = Connection::open(path).expect("a database");
        let version: i32 =
            journal.query_row("PRAGMA user_version", [], |row| row.get(0)).expect("one");
        journal.pragma_update(None, "user_version", version + 1).expect("writable");
        let wal = path.with_extension("db-wal");
        let (file, log) = (fs::read(path).expect("a file"), fs::read(&wal).expect("a log"));
        drop(journal);
        fs::write(path, file).expect("writable");
        fs::write(wal, log).expect("writable");
    };
    let copy = TempDir::new().expect("a temporary folder");
    copy_files(&folder.data, copy.path());
    let journal = copy.path().join("gift.db");
    keep_log(&journal);
    let before = content(copy.path());
    let error = Start::on(copy.path()).refused();
    assert!(error.contains("start the newer version"), "{error}");
    for (path, bytes) in before {
        assert!(fs::read(&path).expect("still there") == bytes, "{} was touched", path.display());
    }
}

#[test]
fn a_read_only_folder_or_file_is_refused() {
    let folder = made();
    let before = content(&folder.data);
    for name in ["", "gift.db"] {
        let path = folder.data.join(name);
        let setup = "mount --bind \"$DIR\" \"$DIR\" && mount -o remount,bind,ro \"$DIR\"";
        let error = in_namespace(Start::on(&folder.data), &path, setup).refused();
        let place = path.to_str().expect("UTF-8").trim_end_matches('/');
        assert!(error.contains(place), "{place} in {error}");
        assert!(error.to_lowercase().contains("read-only"), "{error}");
        assert!(before == content(&folder.data), "{name:?}: the files were touched");
    }
}

#[test]
fn a_second_process_on_the_folder_is_refused() {
    let server = Server::start();
    let gift = r#"{"audience_id":1,"anchor_id":7,"worth":5}"#;
    assert_eq!(server.client().post("/gift/send", gift).status, 200);
    let before = content(server.data());
    let error = Start::on(server.data()).refused();
    assert!(error.contains("is in use by another process"), "{error}");
    assert!(error.contains(server.data().to_str().expect("UTF-8")), "{error}");
    assert!(before == content(server.data()), "the files were touched");
    assert_eq!(server.client().post("/gift/send", gift).status, 200);
}
