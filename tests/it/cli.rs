//! The real binary: what it prints, where, and with which exit status.

use std::fs;
use std::process::{Command, Output};

/// Runs the binary in an empty environment, so that the caller's variables play no part.
fn fanfare(args: &[&str], environment: &[(&str, &str)]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_fanfare"))
        .args(args)
        .env_clear()
        .envs(environment.iter().copied())
        .output()
        .expect("the binary runs")
}

fn stdout(output: &Output) -> &str {
    str::from_utf8(&output.stdout).expect("UTF-8")
}

fn stderr(output: &Output) -> &str {
    str::from_utf8(&output.stderr).expect("UTF-8")
}

#[test]
fn says_its_version() {
    let output = fanfare(&["--version"], &[]);
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(stdout(&output), concat!("fanfare ", env!("CARGO_PKG_VERSION"), "\n"));
}

#[test]
fn help_names_every_flag_on_standard_output() {
    for command in [&["--help"] as &[_], &["serve", "--help"], &["check", "--help"]] {
        let output = fanfare(command, &[]);
        assert_eq!(output.status.code(), Some(0));
        for flag in ["--config", "--listen", "--data", "--cpu-profile", "--dev"] {
            assert!(stdout(&output).contains(flag), "{command:?} lacks {flag}");
        }
    }
}

#[test]
fn check_prints_what_is_in_effect_and_hides_the_token() {
    let folder = tempfile::tempdir().expect("a temp folder");
    let file = folder.path().join("live.toml");
    fs::write(&file, "loops = 3\n[admin]\ntoken = \"sixteen-or-more-bytes\"\n").expect("written");
    let file = file.to_str().expect("UTF-8");
    let args = ["check", "--config", file, "--listen", "127.0.0.1:0", "--data", "elsewhere"];
    let output = fanfare(&args, &[("FANFARE__TLV__LISTEN", "[::1]:0")]);
    assert_eq!(stderr(&output), "");
    assert_eq!(output.status.code(), Some(0));
    for line in [
        "loops = 3",
        "data_dir = \"elsewhere\"",
        "listen = \"127.0.0.1:0\"",
        "listen = \"[::1]:0\"",
        "token = \"***\"",
    ] {
        assert!(stdout(&output).lines().any(|shown| shown == line), "lacks {line}");
    }
    assert!(!stdout(&output).contains("sixteen"));
}

#[test]
fn a_wrong_configuration_ends_with_2_and_says_everything_that_is_wrong() {
    let environment =
        [("FANFARE__TLV__LISTN", "x"), ("FANFARE__LOOPS", "-1"), ("FANFARE_VERSION", "9")];
    for command in ["serve", "check"] {
        let output = fanfare(&[command], &environment);
        assert_eq!(output.status.code(), Some(2));
        assert_eq!(stdout(&output), "");
        let mut lines: Vec<&str> = stderr(&output).lines().collect();
        lines.sort_unstable();
        assert_eq!(
            lines,
            [
                "fanfare: FANFARE__LOOPS: loops = \"-1\": expected a whole number from 0 to 1024",
                "fanfare: FANFARE__TLV__LISTN: sets no key; did you mean FANFARE__TLV__LISTEN \
                 (tlv.listen)?",
            ]
        );
    }
}

#[test]
fn a_wrong_command_line_ends_with_2() {
    for args in [&["--lisen", "x"] as &[_], &["sreve"], &["--listen"], &["check", "more"]] {
        let output = fanfare(args, &[]);
        assert_eq!(output.status.code(), Some(2), "{args:?}");
        assert!(stderr(&output).starts_with("fanfare: "), "{}", stderr(&output));
        assert_eq!(stdout(&output), "");
    }
}

#[test]
fn dev_listens_on_loopback_only() {
    let output = fanfare(&["check", "--dev"], &[]);
    assert!(stdout(&output).contains("listen = \"127.0.0.1:8080\""));
    assert!(stdout(&output).contains("test_data = true"));
    let output = fanfare(&["check", "--dev", "--listen", "0.0.0.0:0"], &[]);
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("http.listen = \"0.0.0.0:0\": expected a loopback address"));
}
