//! Replays the seed corpora of `tests/fuzz` through the fuzz targets' own functions.

use crate::fuzz_targets;
use std::path::Path;

fn replay(target: &str, run: impl Fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz/corpus").join(target);
    let entries = std::fs::read_dir(&folder).expect("every target has a corpus");
    let mut count = 0;
    for entry in entries {
        let path = entry.expect("the folder is readable").path();
        let seed = std::fs::read(&path).expect("the seed is readable");
        // Every prefix too: an end in the middle is what a cut connection looks like.
        for size in 0..=seed.len() {
            run(&seed[..size]);
        }
        count += 1;
    }
    assert!(count > 0, "the corpus of {target} is empty");
}

#[test]
fn replays_heads() {
    replay("http_head", fuzz_targets::http_head);
}

#[test]
fn replays_chunked_bodies() {
    replay("http_chunked", fuzz_targets::http_chunked);
}

#[test]
fn replays_json() {
    replay("http_json", fuzz_targets::http_json);
}

#[test]
fn replays_queries() {
    replay("http_query", fuzz_targets::http_query);
}

#[test]
fn replays_connections() {
    replay("http_connection", fuzz_targets::http_connection);
}
