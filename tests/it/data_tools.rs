//! The operator's tools on real folders: audit, import, export and backup, beside a server and without.

use crate::audit::{tamper, tamper_with};
use crate::server::{Folder, Server, Start};
use rusqlite::Connection;
use serde_json::{Value, json};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

/// What a tool said.
#[derive(Debug)]
pub(crate) struct Said {
    pub(crate) code: Option<i32>,
    pub(crate) out: String,
    pub(crate) err: String,
}

/// Runs a tool on a data folder.
pub(crate) fn tool(args: &[&str], data: &Path, environment: &[(&str, &str)]) -> Said {
    let mut command = Command::new(env!("CARGO_BIN_EXE_fanfare"));
    command.args(args).arg("--data").arg(data).env_clear().envs(environment.iter().copied());
    let Output { status, stdout, stderr } = command.output().expect("the binary runs");
    let text = |bytes| String::from_utf8(bytes).expect("UTF-8");
    Said { code: status.code(), out: text(stdout), err: text(stderr) }
}

#[track_caller]
pub(crate) fn done(args: &[&str], data: &Path) -> String {
    let said = tool(args, data, &[]);
    assert_eq!((said.code, said.err.as_str()), (Some(0), ""), "{said:?}");
    said.out
}

#[track_caller]
pub(crate) fn refused(args: &[&str], data: &Path) -> String {
    let said = tool(args, data, &[]);
    assert_eq!((said.code, said.out.as_str()), (Some(1), ""), "{said:?}");
    assert!(said.err.starts_with("fanfare: "), "{said:?}");
    said.err
}

pub(crate) fn path(path: &Path) -> &str {
    path.to_str().expect("UTF-8")
}

/// A folder with a file to import; the data come beside it.
struct Import {
    folder: tempfile::TempDir,
}

impl Import {
    fn of(text: &str) -> Self {
        let import = Self { folder: tempfile::tempdir().expect("a temp folder") };
        import.write(text);
        import
    }

    fn write(&self, text: &str) {
        fs::write(self.file(), text).expect("written");
    }

    fn file(&self) -> PathBuf {
        self.folder.path().join("gifts.json")
    }

    fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    fn args(&self) -> [String; 2] {
        ["import".to_owned(), path(&self.file()).to_owned()]
    }

    #[track_caller]
    fn succeeds(&self) {
        let [command, file] = self.args();
        done(&[&command, &file], &self.data());
    }

    #[track_caller]
    fn fails(&self) -> String {
        let [command, file] = self.args();
        refused(&[&command, &file], &self.data())
    }

    fn server(&self) -> Server {
        Start::on(&self.data()).run()
    }
}

fn give(server: &Server, anchor: i64, audience: i64, worth: i64, key: Option<&str>) -> Value {
    let body = json!({"audience_id": audience, "anchor_id": anchor, "worth": worth}).to_string();
    let key = key.map(|key| ("Idempotency-Key", key));
    let reply = server.client().request("POST", "/gift/send", key.as_slice(), &body);
    assert_eq!(reply.status, 200, "{reply:?}");
    reply.json()["data"].clone()
}

fn top(server: &Server, period: &str) -> Value {
    server.client().get(&format!("/gift/top?num=1000&period={period}")).json()["data"].clone()
}

/// A stopped server's folder with gifts of several anchors and a revoke.
fn folder_with_gifts() -> Folder {
    let server = Server::start();
    for number in 1..=20 {
        give(&server, number % 4 + 1, number % 3 + 1, number, None);
    }
    let last = give(&server, 2, 1, 90_071_992_547, Some("key,\"quoted\""));
    let revoke = json!({"id": last["id"], "reason": "wrong, \"very\"\nwrong"}).to_string();
    assert_eq!(server.operator().post("/gift/revoke", &revoke).status, 200);
    server.stop()
}

#[test]
fn an_audit_of_a_folder_is_well_after_a_clean_end_and_after_a_kill() {
    let folder = folder_with_gifts();
    let table = done(&["audit"], &folder.data);
    assert!(table.starts_with("no server uses "), "{table}");
    assert!(table.contains("its checkpoint is of entry 22\ncheck "), "{table}");
    assert!(table.contains("gift: journal = boards (week)"), "{table}");
    assert!(table.contains("counter: likers = count"), "{table}");
    assert!(table.contains("trade: trades not rolled back = holdings"), "{table}");
    assert!(!table.contains("DIFFERS"), "{table}");
    let server = folder.start().run();
    give(&server, 1, 1, 1, None);
    let folder = server.kill();
    assert!(!done(&["audit"], &folder.data).contains("DIFFERS"));
    assert_eq!(give(&folder.start().run(), 1, 1, 1, None)["id"], 24, "it changed nothing");
}

#[test]
fn an_audit_of_a_folder_names_who_was_tampered_with() {
    let worth = "UPDATE gift SET worth = worth + 1 WHERE anchor_id IN (3, 4)";
    for (file, sql, check) in [
        ("gift.db", worth, "boards (all)"),
        ("gift.db", worth, "boards (day)"),
        ("gift.db", "UPDATE gift SET audience_id = 99 WHERE anchor_id = 3", "fans"),
        ("gift-checkpoint.db", "UPDATE board SET total = 1 WHERE anchor_id = 3", "boards (week)"),
        ("gift-checkpoint.db", "UPDATE fan SET reached_us = 1 WHERE anchor_id >= 3", "fans"),
        ("gift-checkpoint.db", "DELETE FROM board WHERE anchor_id = 3 AND period = 0", "(all)"),
    ] {
        let folder = folder_with_gifts();
        tamper_with(&folder.data.join(file), sql);
        let said = tool(&["audit"], &folder.data, &[]);
        assert_eq!(said.code, Some(1), "{said:?}");
        assert!(said.err.starts_with("fanfare: the audit failed: "), "{said:?}");
        let row = said.out.lines().find(|row| row.contains(check)).expect("the check is there");
        let words: Vec<&str> = row.split_whitespace().collect();
        assert!(words.ends_with(&["DIFFERS", "3"]), "{sql}: {said:#?}");
    }
}

#[test]
fn an_audit_asks_the_server_that_uses_the_folder() {
    let token = ("FANFARE__ADMIN__TOKEN", "sixteen-or-more-bytes");
    let server = Start::fresh().set("admin.token", token.1).run();
    give(&server, 7, 1, 5, None);
    let listen = server.admin.to_string();
    let listen = ("FANFARE__ADMIN__LISTEN", listen.as_str());
    let said = tool(&["audit"], server.data(), &[listen, token]);
    assert_eq!((said.code, said.err.as_str()), (Some(0), ""), "{said:?}");
    assert!(said.out.contains("gift: journal = boards (all)"), "{said:?}");

    tamper(server.data(), "UPDATE gift SET worth = 6");
    let said = tool(&["audit"], server.data(), &[listen, token]);
    assert_eq!(said.code, Some(1), "{said:?}");
    assert!(said.out.contains("DIFFERS  7\n"), "{said:?}");

    let said = tool(&["audit"], server.data(), &[listen]);
    assert!(said.code == Some(1) && said.err.contains("admin.token"), "{said:?}");
    let said = tool(&["audit"], server.data(), &[("FANFARE__ADMIN__LISTEN", "127.0.0.1:0")]);
    assert!(said.code == Some(1) && said.err.contains("name the port"), "{said:?}");
}

#[test]
fn an_audit_makes_no_folder() {
    let folder = tempfile::tempdir().expect("a temp folder");
    let data = folder.path().join("nowhere");
    refused(&["audit"], &data);
    refused(&["export", "journal"], &data);
    refused(&["backup", path(&folder.path().join("copy.db"))], &data);
    assert!(!data.exists());
}

const OLD_GIFTS: &str = r#"{"_id":{"$oid":"616d3fff0000000000000001"},"audienceid":1001,"anchorid":7,"worth":5,"time":1634551711}
{"_id":{"$oid":"616d3fff0000000000000002"},"audienceid":{"$numberLong":"1002"},"anchorid":{"$numberInt":"7"},"worth":{"$numberLong":"6"},"time":{"$date":"2021-10-18T09:28:31Z"}}

{"_id":{"$oid":"616d3fff0000000000000003"},"audienceid":1001,"anchorid":8,"worth":11,"time":1634551711000}
"#;

#[test]
fn imported_gifts_are_on_the_board_with_their_own_times() {
    let lines: Vec<&str> = OLD_GIFTS.lines().filter(|line| !line.is_empty()).collect();
    for text in [OLD_GIFTS.to_owned(), format!("[{}]\n", lines.join(",\n"))] {
        let import = Import::of(&text);
        import.succeeds();
        assert!(!done(&["audit"], &import.data()).contains("DIFFERS"));
        let server = import.server();
        // Both have 11 and got there at 10:08:31; the line of 7 came first.
        let expected = json!([
            {"anchor_id": 7, "total_worth": 11, "rank": 1},
            {"anchor_id": 8, "total_worth": 11, "rank": 2},
        ]);
        assert_eq!(top(&server, "all"), expected);
        assert_eq!(top(&server, "hour"), json!([]));
        let journal = server.client().get("/gift/journal?id=7").json();
        let times: Vec<_> = journal["data"].as_array().expect("a list").iter().collect();
        assert_eq!(
            (&times[0]["time"], &times[1]["time"]),
            (&json!(1_634_551_711), &json!(1_634_549_311))
        );
        assert_eq!(times[0]["audience_id"], 1001);
        assert_eq!(give(&server, 7, 1, 1, None)["id"], 4, "it goes on behind them");
    }
}

#[test]
fn a_malformed_line_is_named_and_nothing_is_imported() {
    let import = Import::of(&OLD_GIFTS.replace("\"worth\":11", "\"worth\":1.5"));
    let error = import.fails();
    assert!(error.contains("gifts.json: line 4: worth: expected a whole number"), "{error}");
    import.write(OLD_GIFTS);
    import.succeeds();
}

#[test]
fn an_import_counts_once() {
    let import = Import::of(OLD_GIFTS);
    import.succeeds();
    let error = import.fails();
    assert!(error.contains("has 3 entries already") && error.contains("--append"), "{error}");
    let file = import.file();
    let append = ["import", path(&file), "--append"];
    let error = refused(&append, &import.data());
    assert!(error.contains("the journal goes up to 2021-10-18T10:08:31"), "{error}");

    import.write(&OLD_GIFTS.replace("1634551711", "1634551712").replace("09:28:31", "10:30:00"));
    done(&append, &import.data());
    let error = refused(&append, &import.data());
    assert!(error.contains("can only be added behind it"), "{error}");
    let server = import.server();
    assert_eq!(server.client().get("/gift/worth?id=7").json()["data"]["total_worth"], 22);
}

#[test]
fn an_import_waits_for_no_server_and_overflows_no_total() {
    let import = Import::of(OLD_GIFTS);
    let server = import.server();
    assert!(import.fails().contains("is in use by another process"));
    drop(server);
    let largest = |time| format!(r#"{{"audienceid":1,"anchorid":7,"worth":1,"time":{time}}}"#);
    import.write(&largest(1));
    import.succeeds();
    tamper(&import.data(), &format!("UPDATE gift SET worth = {}", i64::MAX));
    import.write(&largest(2));
    let error = refused(&["import", path(&import.file()), "--append"], &import.data());
    assert!(error.contains("the total of anchor 7 would leave"), "{error}");
    import.write("");
    done(&["import", path(&import.file()), "--append"], &import.data());
}

#[test]
fn an_export_has_every_line_and_can_be_imported_elsewhere() {
    let folder = folder_with_gifts();
    let server = folder.start().run();
    let text = done(&["export", "journal"], &folder.data);
    let lines: Vec<Value> =
        text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert_eq!(lines.len(), 22);
    let journal = Connection::open(folder.data.join("gift.db")).expect("the journal opens");
    for (line, id) in lines.iter().zip(1..) {
        let sql = "SELECT json_object('id', id, 'audience_id', audience_id, 'anchor_id', anchor_id,
                   'worth', worth, 'time_us', time_us, 'revokes', revokes,
                   'request_id', request_id, 'reason', reason) FROM gift WHERE id = ?1";
        let row: String = journal.query_row(sql, [id], |row| row.get(0)).expect("a row");
        assert_eq!(*line, serde_json::from_str::<Value>(&row).expect("JSON"));
    }
    assert_eq!(lines[20]["request_id"], "key,\"quoted\"");
    assert_eq!(
        (&lines[21]["revokes"], &lines[21]["worth"]),
        (&json!(21), &json!(-90_071_992_547_i64))
    );

    let gifts = lines.iter().filter(|line| line["worth"].as_i64() > Some(0));
    let documents = gifts.map(|line| {
        let time = json!({"$date": {"$numberLong": (line["time_us"].as_i64().expect("exact") / 1000).to_string()}});
        json!({"audienceid": line["audience_id"], "anchorid": line["anchor_id"],
               "worth": line["worth"], "time": time})
        .to_string()
    });
    let import = Import::of(&documents.collect::<Vec<_>>().join("\n"));
    import.succeeds();
    let other = import.server();
    let revoke = json!({"id": 21, "reason": "as there"}).to_string();
    assert_eq!(other.operator().post("/gift/revoke", &revoke).status, 200);
    assert_eq!(top(&other, "all"), top(&server, "all"));
}

#[test]
fn an_export_as_csv_quotes_what_needs_it() {
    let folder = folder_with_gifts();
    let file = folder.data.join("journal.csv");
    let args = ["export", "journal", "--format", "csv", "--output", path(&file)];
    assert_eq!(done(&args, &folder.data), "");
    let text = fs::read_to_string(&file).expect("written");
    let mut lines = text.lines();
    let head = "id,audience_id,anchor_id,worth,time_us,revokes,request_id,reason";
    assert_eq!(lines.next(), Some(head));
    let first: Vec<&str> = lines.next().expect("a gift").split(',').collect();
    assert_eq!((&first[..4], &first[5..]), (&["1", "2", "2", "1"][..], &["", "", ""][..]));
    let mut last = lines.skip(19);
    assert!(last.next().expect("a gift").ends_with(",,\"key,\"\"quoted\"\"\","));
    assert!(last.next().expect("a revoke").ends_with(",21,,\"wrong, \"\"very\"\""));
    assert_eq!(last.next(), Some("wrong\""));
    let again = refused(&args, &folder.data);
    assert!(again.contains("journal.csv: "), "{again}");
    assert_eq!(fs::read_to_string(&file).expect("as it was"), text);
}

#[test]
fn a_backup_under_writes_is_the_board_of_one_moment() {
    let server = Server::start();
    let copies = tempfile::tempdir().expect("a temp folder");
    let done_writing = AtomicBool::new(false);
    thread::scope(|scope| {
        for writer in 1..=4_i64 {
            let (server, done_writing) = (&server, &done_writing);
            scope.spawn(move || {
                let mut client = server.client();
                for number in 1.. {
                    if done_writing.load(Ordering::Relaxed) {
                        break;
                    }
                    let body = json!({"audience_id": writer, "anchor_id": number % 30 + 1, "worth": writer});
                    assert_eq!(client.post("/gift/send", &body.to_string()).status, 200);
                }
            });
        }
        let mut newest = Vec::new();
        for number in 0..5 {
            let copy = copies.path().join(format!("{number}.db"));
            let said = tool(&["backup", path(&copy)], server.data(), &[]);
            if said.code != Some(0) {
                done_writing.store(true, Ordering::Relaxed);
                panic!("{said:?}");
            }
            newest.push(said.out.trim_end().rsplit(' ').next().map(str::to_owned));
        }
        done_writing.store(true, Ordering::Relaxed);
        assert!(
            newest.is_sorted_by_key(|id| id.as_ref().map(|id| id.parse::<i64>().expect("an id")))
        );
    });
    for number in 0..5 {
        let data = copies.path().join(format!("restored-{number}"));
        fs::create_dir(&data).expect("creatable");
        fs::copy(copies.path().join(format!("{number}.db")), data.join("gift.db")).expect("copied");
        assert!(!done(&["audit"], &data).contains("DIFFERS"));
        let restored = Start::on(&data).run();
        let total: i64 = (1..=30).map(|anchor| worth_of(&restored, anchor)).sum();
        let journal = Connection::open(data.join("gift.db")).expect("the journal opens");
        let sum = "SELECT coalesce(sum(worth), 0) FROM gift";
        assert_eq!(Ok(total), journal.query_row(sum, [], |row| row.get::<_, i64>(0)));
    }
}

fn worth_of(server: &Server, anchor: i64) -> i64 {
    let reply = server.client().get(&format!("/gift/worth?id={anchor}"));
    if reply.status == 404 {
        0
    } else {
        reply.json()["data"]["total_worth"].as_i64().expect("exact")
    }
}

#[test]
fn a_restored_backup_serves_the_same_boards_and_keys() {
    let folder = folder_with_gifts();
    let server = folder.start().run();
    let copies = tempfile::tempdir().expect("a temp folder");
    let copy = copies.path().join("gift.db");
    assert!(done(&["backup", path(&copy)], server.data()).ends_with("up to entry 22\n"));
    let names: Vec<_> = fs::read_dir(copies.path()).expect("readable").collect();
    assert_eq!(names.len(), 1, "nothing is left beside it: {names:?}");
    let before = fs::read(&copy).expect("readable");
    let error = refused(&["backup", path(&copy)], server.data());
    assert!(error.contains("exists already"), "{error}");
    assert_eq!(fs::read(&copy).expect("readable"), before);

    let restored = Start::on(copies.path()).run();
    for period in ["all", "hour", "day", "week"] {
        assert_eq!(top(&restored, period), top(&server, period), "{period}");
    }
    let fans = |server: &Server| server.client().get("/gift/fans?id=2").json();
    assert_eq!(fans(&restored), fans(&server));
    let body = json!({"audience_id": 1, "anchor_id": 2, "worth": 90_071_992_547_i64}).to_string();
    let key = [("Idempotency-Key", "key,\"quoted\"")];
    let again = restored.client().request("POST", "/gift/send", &key, &body);
    assert_eq!(again.header("Idempotent-Replayed"), Some("true"), "{again:?}");
}
