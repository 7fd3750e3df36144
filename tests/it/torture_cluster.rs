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
fn every_acknowledged_gift_of_a_cluster_is_there_once_whoever_is_killed() {
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

    // As long as it takes to kill each process, and then all at once.
    let seeded = ["--config", text(&config), consent, "--seed", "7", "--for", "1s"];
    let output = torture(&seeded);
    let report = String::from_utf8_lossy(&output.stdout);
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{error}\n{report}");
    assert!(report.contains("4 kill -9") && report.contains("found nothing"), "{report}");
    let line = report.lines().find(|line| line.trim_start().starts_with("gift")).expect("a row");
    let words: Vec<String> = line.split_whitespace().map(|word| word.replace(',', "")).collect();
    assert_eq!(words[3..], ["0", "0", "0"], "{report}");

    let count = |word: &str| word.parse::<usize>().expect("a count");
    let gifts = Mongo::with_uri_str(&uri).expect("an address").database(&database);
    let gifts = gifts.collection::<Document>("gifts").find(doc! {}).run().expect("it answers");
    let gifts = gifts.collect::<Result<Vec<_>, _>>().expect("documents");
    assert_eq!(gifts.len(), count(&words[1]) + count(&words[2]), "{report}");
    let anchors = gifts.iter().map(|gift| gift.get_i64("anchor_id").expect("an anchor"));
    assert!(anchors.min() > Some(1 << 62), "nobody's own anchors");
    refused(&seeded, "--seed: this cluster has seen it already");
}
