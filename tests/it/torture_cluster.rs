//! `fanfare torture` on the servers of a cluster: only with consent, and with every promise kept.

use crate::mongo_server::{MongoServer, fresh_database};
use crate::redis_server::RedisServer;
use mongodb::bson::{Document, doc};
use mongodb::sync::Client as Mongo;
use std::fs;
use std::path::Path;
use std::process::{Command, Output};

fn torture(args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_fanfare"));
    command.arg("torture").args(args).output().expect("the binary runs")
}

#[track_caller]
fn refused(args: &[&str], why: &str) {
    let output = torture(args);
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && error.contains(why), "{args:?}: {error}");
}

fn text(path: &Path) -> &str {
    path.to_str().expect("UTF-8")
}

#[test]
fn every_acknowledged_write_of_a_cluster_is_there_once_whatever_falls() {
    let (redis, mongo) = (RedisServer::start(&[]), MongoServer::shared());
    let (folder, database) = (tempfile::tempdir().expect("a folder"), fresh_database());
    let (config, local) = (folder.path().join("cluster.toml"), folder.path().join("local.toml"));
    let uri = format!("mongodb://{}", mongo.addr());
    // Listeners, tokens and limits of the file are those of the operator's own processes.
    let file = format!(
        "backend = \"cluster\"\n[admin]\ntoken = \"sixteen-or-more-bytes\"\n\
         [api]\naddress_rate = 1\naddress_burst = 1\n\
         [cluster]\nredis = \"{}\"\nmongo = \"{uri}\"\ndatabase = \"{database}\"\n\
         takeover = \"6s\"\n[mongo]\nconnect_timeout = \"1s\"\noperation_timeout = \"2s\"\n",
        redis.url()
    );
    fs::write(&config, file).expect("written");
    fs::write(&local, "backend = \"local\"\n").expect("written");
    let consent = "--write-to-the-cluster";
    refused(&["--config", text(&config)], consent);
    refused(&[consent], "--config");
    refused(&["--config", text(&local), consent], "backend is not \"cluster\"");

    // As long as it takes to kill each process, then all at once, and to empty and to stop Redis.
    let seeded = ["--config", text(&config), consent, "--seed", "7", "--for", "1s"];
    let output = torture(&seeded);
    let report = String::from_utf8_lossy(&output.stdout);
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{error}\n{report}");
    for blows in ["4 kill -9", "1 Redis emptied", "1 Redis stopped", "found nothing"] {
        assert!(report.contains(blows), "{blows}: {report}");
    }
    let row = |name: &str| {
        let line = report.lines().find(|line| line.trim_start().starts_with(name));
        let words = line.expect("a row").split_whitespace();
        words.map(|word| word.replace(',', "")).collect::<Vec<_>>()
    };
    let (gifts_row, counters_row) = (row("gift"), row("counter"));
    for row in [&gifts_row, &counters_row] {
        assert_eq!(row[3..], ["0", "0", "0"], "{report}");
    }

    let count = |word: &str| word.parse::<usize>().expect("a count");
    let gifts = Mongo::with_uri_str(&uri).expect("an address").database(&database);
    let gifts = gifts.collection::<Document>("gifts").find(doc! {}).run().expect("it answers");
    let gifts = gifts.collect::<Result<Vec<_>, _>>().expect("documents");
    assert_eq!(gifts.len(), count(&gifts_row[1]) + count(&gifts_row[2]), "{report}");
    let anchors = gifts.iter().map(|gift| gift.get_i64("anchor_id").expect("an anchor"));
    assert!(anchors.min() > Some(1 << 62), "nobody's own anchors");
    refused(&seeded, "--seed: this cluster has seen it already");
}
