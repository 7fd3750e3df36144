//! What the project is installed with: the Dockerfile, the compose file and the systemd unit, as far as
//! they can be followed without Docker and without being started by systemd.

use crate::server::Server;
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::chown;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::thread;

const FANFARE: &str = env!("CARGO_BIN_EXE_fanfare");

/// Whom the image's base runs as.
const NONROOT: u32 = 65_532;

/// What the image's base brings beside the C library's loader.
const BASE_LIBRARIES: [&str; 3] = ["libc.so.6", "libm.so.6", "libgcc_s.so.1"];

fn run(command: &mut Command) -> Output {
    command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"))
}

#[track_caller]
fn succeed(command: &mut Command) -> String {
    let Output { status, stdout, stderr } = run(command);
    let (out, err) = (String::from_utf8_lossy(&stdout), String::from_utf8_lossy(&stderr));
    assert!(status.success(), "{command:?}: {err}\n{out}");
    out.into_owned()
}

/// Instruction and argument, with lines joined and comments left out.
fn instructions(dockerfile: &str) -> Vec<(String, String)> {
    let lines = dockerfile.lines().filter(|line| !line.starts_with('#'));
    let joined = lines.collect::<Vec<_>>().join("\n").replace("\\\n", " ");
    let parts = joined.lines().filter_map(|line| line.trim().split_once(' '));
    parts.map(|(word, rest)| (word.to_owned(), rest.trim().to_owned())).collect()
}

fn only<'a>(instructions: &'a [(String, String)], word: &str) -> &'a str {
    let mut found = instructions.iter().filter(|(other, _)| other == word);
    let (_, rest) = found.next().unwrap_or_else(|| panic!("no {word}"));
    assert!(found.next().is_none(), "one {word}");
    rest
}

fn compose() -> Value {
    let text = fs::read_to_string("compose.yaml").expect("it is there");
    let file = config::File::from_str(&text, config::FileFormat::Yaml);
    let parsed = config::Config::builder().add_source(file).build().expect("YAML");
    parsed.try_deserialize().expect("it has text keys")
}

fn words(list: &Value) -> Vec<&str> {
    let list = list.as_array().expect("a list");
    list.iter().map(|word| word.as_str().expect("a text")).collect()
}

#[test]
fn the_image_is_built_from_what_is_there() {
    let dockerfile = fs::read_to_string("Dockerfile").expect("it is there");
    let steps = instructions(&dockerfile);
    let build: String =
        steps.iter().filter(|(word, _)| word == "RUN").map(|(_, rest)| rest.as_str()).collect();
    assert!(build.contains("cargo build --release --locked --bin fanfare"), "{build}");
    // What SQLite and jemalloc are compiled with; the slim image has neither.
    for package in ["gcc", "libc6-dev", "make"] {
        assert!(build.split_whitespace().any(|word| word == package), "{package} in {build}");
    }
    assert!(Path::new("Cargo.lock").exists(), "--locked needs it");
    let ignored = fs::read_to_string(".dockerignore").expect("it is there");
    for line in ignored.lines().filter(|line| !line.starts_with('#')) {
        let needed = ["Cargo.toml", "Cargo.lock", "src", "fanfare.toml"];
        assert!(!needed.iter().any(|name| line.trim_start_matches('/') == *name), "{line}");
    }
    // The stages are of one Debian, so that the C library is not newer than the base's.
    let bases: Vec<_> = steps.iter().filter(|(word, _)| word == "FROM").collect();
    assert!(bases[0].1.contains("bookworm") && bases[1].1.contains("debian12"), "{bases:?}");
    let defaults = fs::read_to_string("fanfare.toml").expect("it is there");
    for port in only(&steps, "EXPOSE").split_whitespace() {
        assert!(defaults.contains(&format!(":{port}\"")), "{port}");
    }
}

/// A folder with what the last stage has: loader, libraries, binary and data, of nobody.
fn image(volume: &str) -> tempfile::TempDir {
    let root = tempfile::tempdir().expect("a temp folder");
    let place = |from: &Path, to: &str| {
        let to = root.path().join(to.trim_start_matches('/'));
        fs::create_dir_all(to.parent().expect("a folder")).expect("creatable");
        fs::copy(from, &to).unwrap_or_else(|error| panic!("{}: {error}", from.display()));
    };
    for line in succeed(Command::new("ldd").arg(FANFARE)).lines() {
        let mut words = line.split_whitespace();
        let name = words.next().expect("a library");
        if name.starts_with('/') {
            place(Path::new(name), name);
        } else if let Some(file) = words.nth(1).filter(|file| file.starts_with('/')) {
            assert!(BASE_LIBRARIES.contains(&name), "the base has no {name}");
            place(Path::new(file), file);
        }
    }
    place(Path::new(FANFARE), "/usr/local/bin/fanfare");
    let data = root.path().join(volume.trim_start_matches('/'));
    fs::create_dir(&data).expect("creatable");
    chown(&data, Some(NONROOT), Some(NONROOT)).expect("this test must run as root");
    root
}

#[test]
fn the_image_serves_as_nobody_without_a_shell() {
    let dockerfile = fs::read_to_string("Dockerfile").expect("it is there");
    let steps = instructions(&dockerfile);
    let list = |word| -> Vec<String> { serde_json::from_str(only(&steps, word)).expect("a list") };
    let (entry, command, volume) = (list("ENTRYPOINT"), list("CMD"), only(&steps, "VOLUME"));
    let copied = |to: &str| steps.iter().any(|(word, rest)| word == "COPY" && rest.ends_with(to));
    assert!(copied(&format!(" {}", entry[0])) && copied(&format!(" {volume}")), "{steps:?}");
    let root = image(volume);
    let mut child = Command::new("/usr/sbin/chroot")
        .arg(format!("--userspec={NONROOT}:{NONROOT}"))
        .arg(root.path())
        .args(entry.iter().chain(&command))
        .env_clear()
        .env("FANFARE__HTTP__LISTEN", "127.0.0.1:0")
        .env("FANFARE__TLV__LISTEN", "127.0.0.1:0")
        .env("FANFARE__ADMIN__LISTEN", "127.0.0.1:0")
        .stdout(Stdio::piped())
        .spawn()
        .expect("coreutils are there");
    let mut said =
        BufReader::new(child.stdout.take().expect("piped")).lines().map_while(Result::ok);
    let ready = said.find(|line| line.starts_with("fanfare ready "));
    // What it says to its end has to go somewhere.
    let rest = thread::spawn(move || said.count());
    succeed(Command::new("kill").args(["-TERM", &child.id().to_string()]));
    let status = child.wait().expect("it ends");
    rest.join().expect("no panic");
    assert!(ready.is_some() && status.success(), "{status}");
    let volume = root.path().join(volume.trim_start_matches('/'));
    assert!(volume.join("gift.db").exists(), "the data are in the volume");
}

#[test]
fn the_composed_processes_have_a_configuration_that_is_right() {
    let compose = compose();
    let services = compose["services"].as_object().expect("a map");
    for (name, service) in services {
        for needed in service["depends_on"].as_object().into_iter().flat_map(|needs| needs.keys()) {
            assert!(services[needed].get("healthcheck").is_some(), "{name} waits for {needed}");
        }
    }
    let environment = &compose["services"]["fanfare-1"]["environment"];
    let environment: BTreeMap<&str, &str> = environment
        .as_object()
        .expect("a map")
        .iter()
        .map(|(key, value)| (key.as_str(), value.as_str().expect("a text")))
        .collect();
    let effect = succeed(Command::new(FANFARE).arg("check").env_clear().envs(&environment));
    assert!(effect.contains("backend = \"cluster\""), "{effect}");
    assert!(effect.contains("redis = \"redis://redis:6379\""), "{effect}");
}

/// Runs a service's command against a server of the test, with some words in the place of others.
fn command_of(compose: &Value, service: &str, server: &Server) -> Vec<String> {
    let words = words(&compose["services"][service]["command"]);
    assert!(words.contains(&"fanfare-1:8999"), "{words:?}");
    let here = server.tlv.to_string();
    words.iter().map(|word| word.replace("fanfare-1:8999", &here)).collect()
}

#[test]
fn the_composed_clients_go_through_the_scenarios() {
    let server = Server::start();
    let table =
        succeed(Command::new(FANFARE).args(command_of(&compose(), "trade-scenario", &server)));
    assert_eq!(table.matches(" ok").count(), 10 * 5, "{table}");
}

#[test]
fn the_composed_load_is_one_that_the_program_knows() {
    let server = Server::start();
    let mut words = command_of(&compose(), "trade-load", &server);
    // As long as it takes to see that it runs.
    for (word, short) in [("--for", "1s"), ("--clients", "1,2"), ("--interval", "20ms..60ms")] {
        let at = words.iter().position(|other| other == word).expect("it is said");
        words[at + 1] = short.to_owned();
    }
    words.extend(["--push-clients".to_owned(), "2".to_owned()]);
    let table = succeed(Command::new(FANFARE).args(words));
    assert!(table.contains("by the number of clients"), "{table}");
}

/// A folder in which the unit finds what it names.
fn unit_in(root: &Path) -> PathBuf {
    let unit = root.join("etc/systemd/system/fanfare.service");
    for (from, to) in [
        ("src/ops/systemd/fanfare.service", unit.clone()),
        (FANFARE, root.join("usr/local/bin/fanfare")),
        ("/bin/kill", root.join("bin/kill")),
    ] {
        fs::create_dir_all(to.parent().expect("a folder")).expect("creatable");
        fs::copy(from, &to).unwrap_or_else(|error| panic!("{from}: {error}"));
    }
    unit
}

fn systemd_analyze(words: &[&str], root: &Path) -> Output {
    let output = Command::new("systemd-analyze")
        .arg(words[0])
        .args(&words[1..])
        .arg(format!("--root={}", root.display()))
        .arg("fanfare.service")
        .output();
    output.expect("systemd is installed: apt install systemd")
}

#[test]
fn the_unit_is_one_that_systemd_reads_whole_and_finds_hardened() {
    let root = tempfile::tempdir().expect("a temp folder");
    let unit = unit_in(root.path());
    // What it names but does not bring, such as sysinit.target, is the machine's.
    let verify = ["verify", "--recursive-errors=no"];
    let verified = systemd_analyze(&verify, root.path());
    let said = String::from_utf8_lossy(&verified.stderr);
    assert!(verified.status.success() && said.is_empty(), "{said}");
    // 0 is what may do nothing, 100 what may do everything.
    let harden = ["security", "--offline=yes", "--threshold=15"];
    let hardened = systemd_analyze(&harden, root.path());
    let said = String::from_utf8_lossy(&hardened.stdout);
    assert!(hardened.status.success(), "{said}");

    let text = fs::read_to_string(&unit).expect("it is there");
    let misspelt = text.replace("RestartSec=", "RestartSeconds=");
    fs::write(&unit, misspelt).expect("writable");
    assert!(!systemd_analyze(&verify, root.path()).status.success(), "it would be noticed");
}

#[test]
fn the_unit_names_its_own_folders_and_leaves_time_to_stop() {
    let unit = fs::read_to_string("src/ops/systemd/fanfare.service").expect("it is there");
    let value = |key: &str| {
        let line = unit.lines().find_map(|line| line.strip_prefix(&format!("{key}=")));
        line.unwrap_or_else(|| panic!("no {key}")).to_owned()
    };
    let start = value("ExecStart");
    assert_eq!(
        start,
        format!(
            "/usr/local/bin/fanfare serve --config /etc/{}/fanfare.toml --data /var/lib/{}",
            value("ConfigurationDirectory"),
            value("StateDirectory")
        )
    );
    // Longer than the server takes to stop.
    let drain = fs::read_to_string("fanfare.toml").expect("it is there");
    let drain = drain.lines().find_map(|line| line.strip_prefix("drain_timeout = \""));
    let seconds = |text: &str| {
        humantime::parse_duration(text).unwrap_or_else(|error| panic!("{text}: {error}"))
    };
    let drain = drain.and_then(|rest| rest.split('"').next()).expect("it is documented");
    assert!(seconds(&value("TimeoutStopSec")) > seconds(drain));
}
