//! Rules about the code itself, so that review can talk about design instead.

use std::fs;
use std::path::{Path, PathBuf};

const FILE_LINES_MAX: usize = 500;
const FUNCTION_LINES_MAX: usize = 70;

/// Where Rust files live.
const CODE: [&str; 4] = ["src", "tests", "examples", "benches"];

/// Names that say nothing about what is inside.
const EMPTY_NAMES: [&str; 7] = ["util", "utils", "common", "helper", "helpers", "manager", "misc"];

/// Folders that exist on one machine only. Joined, so that this file does not find itself.
const MACHINE_PATHS: [&str; 3] =
    [concat!("/ho", "me/"), concat!("/ro", "ot/"), concat!("/wo", "rk/")];

/// Who may use whom: a folder or file, and the modules of ours that it may name. What is not
/// listed here (`main.rs`, `lib.rs`, `app`) may use everything.
const MAY_USE: &[(&str, &[&str])] = &[
    ("src/limits.rs", &[]),
    // What more than one domain counts and ranks by.
    ("src/calendar.rs", &[]),
    ("src/order.rs", &[]),
    ("src/session", &["limits"]),
    ("src/store", &["limits", "meter"]),
    // Figures of the operator, which anything may count.
    ("src/meter.rs", &[]),
    ("src/exec", &["store", "session", "limits", "meter"]),
    // `store` for its `RequestKey` alone: every write of every domain may carry one.
    ("src/http", &["session", "exec", "store", "limits", "meter"]),
    ("src/tlv", &["session", "exec", "limits", "meter"]),
    ("src/net", &["session", "exec", "limits", "meter"]),
    // What a domain says about its calls.
    ("src/openapi.rs", &["http"]),
    ("src/hello", &["http", "store", "exec", "session", "limits", "rng", "openapi"]),
    // `exec` to wake a loop once for many answers.
    ("src/cluster", &["exec", "store", "limits", "meter"]),
    (
        "src/gift",
        &[
            "cluster", "http", "store", "exec", "session", "limits", "meter", "rng", "calendar",
            "order", "openapi",
        ],
    ),
    (
        "src/counter",
        &[
            "cluster", "http", "store", "exec", "session", "limits", "meter", "rng", "calendar",
            "order", "openapi",
        ],
    ),
    (
        "src/packet",
        &["cluster", "http", "store", "exec", "session", "limits", "meter", "rng", "openapi"],
    ),
    (
        "src/trade",
        &["tlv", "http", "store", "exec", "session", "limits", "meter", "rng", "openapi"],
    ),
    // `config` for the words in which tokens are written.
    ("src/access", &["http", "exec", "config", "limits"]),
    // `store` for its `Clock` alone.
    ("src/web", &["http", "store", "session", "limits", "openapi"]),
    ("src/config.rs", &["limits"]),
    ("src/config", &["limits"]),
    ("src/log.rs", &["config", "limits"]),
    ("src/log", &[]),
    ("src/profile.rs", &["limits"]),
    ("src/profile", &["limits"]),
    ("src/signal.rs", &["net"]),
    ("src/supervisor.rs", &["net"]),
    (
        "src/ops",
        &[
            "http", "tlv", "net", "exec", "store", "session", "limits", "log", "meter", "profile",
            "openapi",
        ],
    ),
    ("src/cli", &["config", "limits"]),
    // From outside: of the server these know frames and message ids, and spell the rest anew.
    ("src/client", &["tlv", "trade", "limits"]),
    ("src/terminal", &["client", "cli"]),
    ("src/load", &["client", "cli", "progress"]),
    ("src/torture", &["client", "cli", "progress"]),
    ("src/progress.rs", &[]),
];

/// What else must not occur in a folder: sockets, threads and clocks belong to few.
const BANNED: &[(&str, &[&str])] = &[
    ("src/session", &["mio::", "TcpStream", "Instant::now", "SystemTime", "thread::"]),
    ("src/http", &["mio::", "TcpStream", "Instant::now", "SystemTime", "thread::"]),
    ("src/tlv", &["mio::", "TcpStream", "Instant::now", "SystemTime", "thread::"]),
    ("src/exec", &["mio::", "TcpStream"]),
    ("src/store", &["mio::"]),
    ("src/hello", &["mio::", "TcpStream", "Instant::now", "SystemTime", "thread::"]),
    ("src/gift", &["mio::", "TcpStream", "Instant::now"]),
    ("src/counter", &["mio::", "TcpStream", "Instant::now"]),
    ("src/packet", &["mio::", "TcpStream", "Instant::now"]),
    ("src/trade", &["mio::", "TcpStream", "Instant::now"]),
    ("src/web", &["mio::", "TcpStream", "Instant::now", "SystemTime", "thread::"]),
    ("src/calendar.rs", &["mio::", "TcpStream", "Instant::now", "SystemTime", "thread::"]),
    ("src/order.rs", &["mio::", "TcpStream", "Instant::now", "SystemTime", "thread::"]),
    ("src/access", &["mio::", "TcpStream", "Instant::now", "SystemTime", "thread::"]),
    ("src/config", &["mio::", "Instant::now", "thread::"]),
];

#[test]
fn every_file_says_what_it_is_for_and_stays_short() {
    let mut complaints = Vec::new();
    for (path, text) in code() {
        let name = path.display();
        if !text.starts_with("//! ") {
            complaints.push(format!("{name}: say in a //! line what this file is for"));
        }
        if text.lines().count() > FILE_LINES_MAX {
            complaints.push(format!("{name}: over {FILE_LINES_MAX} lines"));
        }
        let stem = path.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
        if EMPTY_NAMES.contains(&stem) {
            complaints.push(format!("{name}: name the thing that is inside"));
        }
        let long = long_functions(&text).into_iter();
        complaints
            .extend(long.map(|line| format!("{name}:{line}: over {FUNCTION_LINES_MAX} lines")));
    }
    assert!(complaints.is_empty(), "\n{}", complaints.join("\n"));
}

#[test]
fn every_layer_keeps_to_those_below() {
    let mut complaints = Vec::new();
    for (path, text) in code() {
        complaints.extend(layer_complaints(&path, &text));
    }
    assert!(complaints.is_empty(), "\n{}", complaints.join("\n"));
}

#[test]
fn no_file_knows_the_machine_it_was_written_on() {
    let mut complaints = Vec::new();
    for path in files(Path::new("."), &|path| !is_foreign(path)) {
        // What is not text (a picture, a fuzz corpus) names no path that a person would read.
        let Ok(text) = fs::read_to_string(&path) else { continue };
        for (number, line) in text.lines().enumerate() {
            if MACHINE_PATHS.iter().any(|mark| mentions(line, mark)) {
                complaints.push(format!("{}:{}: {line}", path.display(), number + 1));
            }
        }
    }
    assert!(complaints.is_empty(), "\n{}", complaints.join("\n"));
}

/// Breaches of `MAY_USE` and `BANNED` in one file.
fn layer_complaints(path: &Path, text: &str) -> Vec<String> {
    let name = path.display();
    // Tests may look at the product from anywhere.
    let text = text.split("\n#[cfg(test)]\nmod tests {").next().unwrap_or(text);
    let mut complaints = Vec::new();
    for (folder, allowed) in MAY_USE.iter().filter(|(folder, _)| path.starts_with(folder)) {
        let own = Path::new(folder).file_stem().and_then(|stem| stem.to_str());
        for module in used_modules(text) {
            if Some(module) != own && !allowed.contains(&module) {
                complaints.push(format!("{name}: {folder} must not know {module}"));
            }
        }
    }
    for (folder, words) in BANNED.iter().filter(|(folder, _)| path.starts_with(folder)) {
        for word in words.iter().filter(|word| text.contains(**word)) {
            complaints.push(format!("{name}: {word} does not belong in {folder}"));
        }
    }
    if path.ends_with("local.rs") && text.contains("cluster::") {
        complaints.push(format!("{name}: the local store must not know the cluster"));
    }
    complaints
}

/// The top-level modules that are named as `crate::module`, or within `use crate::{…}`.
fn used_modules(text: &str) -> Vec<&str> {
    let mut modules = Vec::new();
    for rest in text.split("crate::").skip(1) {
        if let Some(group) = rest.strip_prefix('{') {
            modules.extend(group_heads(group));
        } else {
            modules.push(head(rest));
        }
    }
    // Names that begin upper-case are macros' and types' paths, not modules.
    modules.retain(|module| module.starts_with(|first: char| first.is_ascii_lowercase()));
    modules
}

/// The first name of every member of a group, whatever braces those members have of their own.
fn group_heads(group: &str) -> Vec<&str> {
    let mut heads = Vec::new();
    let mut depth = 0;
    let mut start = 0;
    for (at, char) in group.char_indices() {
        match char {
            '{' => depth += 1,
            '}' if depth == 0 => {
                heads.push(head(group[start..at].trim_start()));
                break;
            }
            '}' => depth -= 1,
            ',' if depth == 0 => {
                heads.push(head(group[start..at].trim_start()));
                start = at + 1;
            }
            _ => {}
        }
    }
    heads
}

fn head(path: &str) -> &str {
    let end = path.find(|char: char| !char.is_ascii_alphanumeric() && char != '_');
    &path[..end.unwrap_or(path.len())]
}

/// Line numbers of functions over the limit; rustfmt guarantees the closing brace's indent.
fn long_functions(text: &str) -> Vec<usize> {
    let lines: Vec<&str> = text.lines().collect();
    let mut found = Vec::new();
    for (start, line) in lines.iter().enumerate() {
        let code = line.trim_start();
        let is_function = code.starts_with("fn ")
            || ["pub", "const ", "unsafe ", "extern "].iter().any(|word| code.starts_with(word))
                && code.contains("fn ");
        // A declaration without a body ends in a semicolon, perhaps some lines further down.
        let signature = lines[start..].iter().find(|line| line.ends_with(['{', ';', '}']));
        if !is_function || signature.is_none_or(|line| !line.ends_with('{')) {
            continue;
        }
        let close = format!("{}}}", &line[..line.len() - code.len()]);
        let length = lines[start..].iter().position(|line| *line == close).unwrap_or(0);
        if length > FUNCTION_LINES_MAX {
            found.push(start + 1);
        }
    }
    found
}

/// True when `line` holds `mark` at the start of a path: `/dev/…` within a longer path is not ours
/// to judge, and neither is a route or an address.
fn mentions(line: &str, mark: &str) -> bool {
    line.match_indices(mark).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        !before.is_some_and(|char| char.is_alphanumeric() || "._-~/}$".contains(char))
    })
}

/// Not written by us: build output, version control, data.
fn is_foreign(path: &Path) -> bool {
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    matches!(name, "target" | ".git" | "data" | "corpus" | "artifacts" | "flamegraphs")
}

/// Every Rust file, with its text.
fn code() -> Vec<(PathBuf, String)> {
    let is_rust = |path: &Path| path.extension().is_some_and(|end| end == "rs");
    let is_ours = |path: &Path| if path.is_dir() { !is_foreign(path) } else { is_rust(path) };
    let folders = CODE.iter().map(Path::new).filter(|folder| folder.is_dir());
    let paths = folders.flat_map(|folder| files(folder, &is_ours));
    paths
        .map(|path| {
            let text = fs::read_to_string(&path).expect("readable source");
            (path, text)
        })
        .collect()
}

/// The files below `folder` that are `wanted`, as are the folders on the way.
fn files(folder: &Path, wanted: &dyn Fn(&Path) -> bool) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).expect("readable folder") {
        let path = entry.expect("readable entry").path();
        if !wanted(&path) {
            continue;
        }
        if path.is_dir() {
            found.extend(files(&path, wanted));
        } else if path.is_file() {
            found.push(path);
        }
    }
    found
}

#[test]
fn the_rules_find_what_they_are_for() {
    let complaints = |path: &str, text: &str| layer_complaints(Path::new(path), text).len();
    assert_eq!(complaints("src/session/mod.rs", "use crate::limits::A;"), 0);
    assert_eq!(complaints("src/session/mod.rs", "use crate::net::A;"), 1);
    assert_eq!(complaints("src/http/a.rs", "use crate::{limits::{A, B}, exec, net::C};"), 1);
    assert_eq!(complaints("src/http/a.rs", "let now = Instant::now();"), 1);
    assert_eq!(complaints("src/gift/local.rs", "use super::cluster::View;"), 1);
    assert_eq!(
        complaints(
            "src/gift/api.rs",
            "use crate::gift::A;\n#[cfg(test)]\nmod tests {\nuse crate::net;"
        ),
        0
    );
    assert_eq!(complaints("src/app.rs", "use crate::net::A;"), 0);
    let body = "    1;\n".repeat(FUNCTION_LINES_MAX);
    assert_eq!(long_functions(&format!("fn a() {{\n{body}}}\n")), [1]);
    assert_eq!(long_functions("pub fn a() {\n}\n"), [0_usize; 0]);
    let mark = MACHINE_PATHS[0];
    assert!(mentions(&format!("see {mark}me/notes"), mark));
    assert!(!mentions(&format!("GET /api{mark}"), mark));
}
