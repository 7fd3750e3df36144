//! Clients that others write: the Python and Go of the README, and one made with zinx.

use crate::server::Server;
use std::fs;
use std::path::Path;
use std::process::{Command, Output};

/// The block of that language in the README's section on the room, with another port.
fn example(language: &str, port: u16) -> String {
    let readme = include_str!("../../README.md");
    let section = readme.split("\n## Trading room\n").nth(1).expect("the README has the section");
    let section = section.split("\n## ").next().unwrap_or(section);
    let block = section.split(&format!("```{language}\n")).nth(1).expect("it has the block");
    let block = block.split("```").next().expect("a block ends");
    assert!(block.contains("8999"), "the example goes to the usual port");
    block.replace("8999", &port.to_string())
}

#[track_caller]
fn lines(output: &Output) -> Vec<String> {
    let (text, error) = (&output.stdout, String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{error}");
    String::from_utf8_lossy(text).lines().map(str::to_owned).collect()
}

#[test]
fn the_python_of_the_readme_trades() {
    let server = Server::start();
    let script = example("python", server.tlv.port());
    let output = Command::new("python3").args(["-c", &script]).output();
    let lines = lines(&output.expect("python3 is installed: apt install python3"));
    let ids: Vec<_> = lines.iter().map(|line| line.split(',').next().unwrap_or(line)).collect();
    assert_eq!(ids, ["(1", "(2", "(3", "(4", "(101", "(102"], "{lines:?}");
}

/// Builds a Go module; fetches what it needs through the module proxy.
fn build(folder: &Path, binary: &Path) {
    let mut build = Command::new("go");
    let output = build
        .current_dir(folder)
        .args(["build", "-o"])
        .arg(binary)
        .arg(".")
        .output()
        .expect("go is installed: apt install golang-go");
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "zinx is fetched through the Go module proxy: {error}");
}

#[test]
fn zinx_clients_of_both_layouts_log_in_pull_trade_and_hear_of_it() {
    let server = Server::start();
    let folder = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/zinx"));
    let temp = tempfile::tempdir().expect("a temp folder");
    let binary = temp.path().join("client");
    build(folder, &binary);
    for (layout, customer) in [(None, "900000000001"), (Some("-old"), "900000000002")] {
        let port = server.tlv.port().to_string();
        let output = Command::new(&binary)
            .args(["-port", &port, "-customer", customer])
            .args(layout)
            .output()
            .expect("it was built");
        let lines = lines(&output);
        let frames: Vec<_> = lines.iter().filter(|line| line.contains(" {")).collect();
        // It handles each on a goroutine of its own, so the order on the wire is lost.
        let id = |line: &&String| line.split(' ').next().and_then(|id| id.parse::<u32>().ok());
        let mut ids: Vec<_> = frames.iter().copied().filter_map(|line| id(&line)).collect();
        ids.sort_unstable();
        assert_eq!(ids, [1, 2, 3, 4, 5, 101, 101, 102, 102], "{layout:?}: {lines:?}");
        for (start, part) in [
            ("4 ", r#""market_value_fen":200000"#),
            ("5 ", r#""quantity":0"#),
            ("101 ", r#""side":"1""#),
            ("101 ", r#""side":"2""#),
            ("102 ", r#""seq":4"#),
        ] {
            assert!(
                frames.iter().any(|line| line.starts_with(start) && line.contains(part)),
                "{part}"
            );
        }
    }
    // The few lines of the README, as they stand.
    let example = example("go", server.tlv.port());
    let module = temp.path().join("readme");
    fs::create_dir(&module).expect("a temp folder");
    for name in ["go.mod", "go.sum"] {
        fs::copy(folder.join(name), module.join(name)).expect("copied");
    }
    fs::write(module.join("main.go"), example).expect("written");
    let binary = temp.path().join("example");
    build(&module, &binary);
    let lines = lines(&Command::new(&binary).output().expect("it was built"));
    assert!(lines.iter().any(|line| line.starts_with("101 {")), "{lines:?}");
}
