//! The README's commands, run as they stand: what a reader copies must work.
//!
//! curl gets a configuration file that leads the default ports to a server of the test; the
//! program's own commands run in a folder of their own, beside that server or without one. A command
//! of no known kind fails the test: then it is to be taught here.

use crate::client::Client;
use crate::server::{Server, Start};
use crate::tlv_client::TlvClient;
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use tempfile::TempDir;

/// First words of commands that only tools outside of this test can run, and why.
const ELSEWHERE: [(&str, &str); 9] = [
    ("cargo", "builds"),
    ("./bench.sh", "takes minutes; its own tests are figures"),
    ("tests/run.sh", "runs this test"),
    ("tests/soak.sh", "takes hours"),
    ("docker", "needs its daemon and base images"),
    ("systemctl", "needs systemd as process 1"),
    ("go", "is run by ops_pprof.rs"),
    ("redis-server", "is started by cluster_process.rs"),
    ("mongod", "cannot be had from a package registry"),
];

/// What a person sits before or what takes minutes. Here only its options are looked at; it is run,
/// for seconds, by `clients_process.rs`.
const VISITS: [&str; 3] = ["fanfare trade", "fanfare load", "fanfare torture"];

/// Commands of one machine's administrator.
const ADMINISTRATION: [&str; 4] = ["sudo ", "install ", "journalctl ", "apt-get "];

/// A line of the README that is a command.
#[derive(Debug)]
struct Line {
    number: usize,
    text: String,
}

/// The commands of all `sh` blocks, without their comments; a backslash joins lines.
fn commands() -> Vec<Line> {
    let readme = fs::read_to_string("README.md").expect("the README");
    let (mut found, mut inside, mut open) = (Vec::<Line>::new(), false, false);
    for (index, line) in readme.lines().enumerate() {
        if line.starts_with("```") {
            inside = line == "```sh";
            continue;
        }
        let text = without_comment(line);
        if !inside || text.is_empty() {
            continue;
        }
        let joined = text.strip_suffix('\\');
        let text = joined.unwrap_or(text).trim();
        match found.last_mut() {
            Some(last) if open => last.text.extend([" ", text]),
            _ => found.push(Line { number: index + 1, text: text.to_owned() }),
        }
        open = joined.is_some();
    }
    found
}

/// A `#` behind a space begins one, unless it is in quotes.
fn without_comment(line: &str) -> &str {
    let mut quote = None;
    let mut before = ' ';
    for (at, char) in line.char_indices() {
        match quote {
            Some(open) if open == char => quote = None,
            None if char == '\'' || char == '"' => quote = Some(char),
            None if char == '#' && before.is_whitespace() => return line[..at].trim(),
            _ => {}
        }
        before = char;
    }
    line.trim()
}

/// Every word of a command that is an address of ours: its listener's port, and its path.
fn calls(text: &str) -> Vec<(String, String, String)> {
    let words: Vec<_> =
        text.split_whitespace().map(|word| word.trim_matches(['\'', '"'])).collect();
    let option = |name: &str| words.iter().position(|word| *word == name).map(|at| words[at + 1]);
    let has_body =
        ["-d", "--data", "--json", "--data-binary"].iter().any(|name| words.contains(name));
    let method = option("-X").or(option("--request")).unwrap_or(match () {
        () if words.contains(&"-I") || words.contains(&"--head") => "HEAD",
        () if has_body => "POST",
        () => "GET",
    });
    let target = |word: &&str| {
        let rest = word.strip_prefix("http://").unwrap_or(word);
        let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
        let (name, port) = host.split_once(':')?;
        let is_ours = matches!(name, "localhost" | "127.0.0.1") && matches!(port, "8080" | "9464");
        let path = path.split(['?', '#']).next().unwrap_or_default();
        is_ours.then(|| (method.to_owned(), port.to_owned(), format!("/{path}")))
    };
    words.iter().filter_map(target).collect()
}

/// Where commands run: a folder with what they read, and the default ports led to a server.
struct Desk {
    folder: TempDir,
    server: Server,
}

impl Desk {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let server = Start::on(&folder.path().join("data"))
            .arg("--dev")
            .set("idempotency.keep", "24h")
            .run();
        let path = folder.path();
        let curl = format!(
            "connect-to = localhost:8080:{http}\nconnect-to = 127.0.0.1:8080:{http}\n\
             connect-to = localhost:9464:{admin}\nconnect-to = 127.0.0.1:9464:{admin}\n\
             fail-with-body\nsilent\nshow-error\nmax-time = 15\n",
            http = server.http,
            admin = server.admin,
        );
        fs::write(path.join(".curlrc"), curl).expect("written");
        fs::write(path.join("live.toml"), "readers = 3\n").expect("written");
        fs::write(
            path.join("gifts.json"),
            "{\"audienceid\":1,\"anchorid\":7,\"worth\":5,\"time\":1700000000}\n",
        )
        .expect("written");
        fs::create_dir(path.join("backups")).expect("a folder");
        let bin = path.join("bin");
        fs::create_dir(&bin).expect("a folder");
        std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_fanfare"), bin.join("fanfare"))
            .expect("a link");
        // The trade that the operator's example takes back.
        let mut trader = TlvClient::login(server.tlv, "000000000001");
        trader.ask(4, r#"{"exchange_type":"1","stock_code":"600001","quantity":200}"#);
        Self { folder, server }
    }

    /// A shell with this command, in `folder`.
    fn shell(&self, text: &str, folder: &Path) -> Command {
        // Absolute names of the README lie in the test's folder.
        let text = text.replace(" /backups/", &format!(" {}/backups/", self.path().display()));
        let mut command = Command::new("bash");
        let path = std::env::var("PATH").unwrap_or_default();
        command
            .args(["-euo", "pipefail", "-c", &text])
            .current_dir(folder)
            .env("HOME", self.path())
            .env("CURL_HOME", self.path())
            .env("PATH", format!("{}:{path}", self.path().join("bin").display()))
            .stdin(Stdio::null());
        command
    }

    /// As `shell`, with the server's own operator listener for tools that ask it.
    fn run(&self, text: &str, folder: &Path) -> Output {
        let mut command = self.shell(text, folder);
        command.env("FANFARE__ADMIN__LISTEN", self.server.admin.to_string());
        command.output().expect("bash runs")
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    /// A folder that no server uses.
    fn fresh(&self, line: &Line) -> PathBuf {
        let path = self.path().join(format!("line-{}", line.number));
        fs::create_dir_all(&path).expect("a folder");
        for name in ["live.toml", "gifts.json"] {
            fs::copy(self.path().join(name), path.join(name)).expect("copied");
        }
        path
    }

    fn curl(&self, line: &Line) -> Result<(), String> {
        let endless = line.text.contains(" -N ") || line.text.contains("--no-buffer");
        let text = if endless { format!("{} --max-time 2", line.text) } else { line.text.clone() };
        let output = self.run(&text, self.path());
        let came = !output.stdout.is_empty();
        match output.status.code() {
            Some(0) => Ok(()),
            Some(28) if endless && came => Ok(()),
            _ => Err(told(&output)),
        }
    }

    /// A command that is understood up to its end, where it is asked for help instead.
    fn asked_for_help(&self, line: &Line) -> Result<(), String> {
        let output = self.run(&format!("{} --help", line.text), self.path());
        if output.status.success() { Ok(()) } else { Err(told(&output)) }
    }

    /// A command of ours that serves, or that does its work and ends.
    fn fanfare(&self, line: &Line) -> Result<(), String> {
        let words: Vec<_> = line.text.split_whitespace().collect();
        let at = words.iter().position(|word| *word == "fanfare").unwrap_or(0);
        let needs_server = ["audit", "backup", "export", "verify-rain"]
            .contains(words.get(at + 1).unwrap_or(&""))
            && !line.text.contains("--data");
        let last = line.text.rsplit("&&").next().unwrap_or_default();
        let serves =
            last.split_whitespace().find(|word| !word.contains('=')) == Some("fanfare")
                && last.split_whitespace().skip_while(|word| *word != "fanfare").nth(1).is_none_or(
                    |word| word.starts_with('-') && word != "--help" || word == "serve",
                );
        if serves {
            return self.serve(line);
        }
        let folder = if needs_server || line.text.contains("restored") {
            self.path().to_owned()
        } else {
            self.fresh(line)
        };
        let output = self.run(&line.text, &folder);
        if output.status.success() { Ok(()) } else { Err(told(&output)) }
    }

    /// Starts it on ports of its own, and stops it once it is ready.
    fn serve(&self, line: &Line) -> Result<(), String> {
        let folder =
            if line.text.contains("restored") { self.path().to_owned() } else { self.fresh(line) };
        // What the line itself sets wins over these.
        // In the place of the shell, so that a signal to it reaches the program.
        let text = match line.text.rsplit_once("&& ") {
            Some((first, last)) => format!("{first}&& exec {last}"),
            None => line.text.clone(),
        };
        let mut command = self.shell(&text, &folder);
        for key in ["HTTP", "TLV", "ADMIN"] {
            command.env(format!("FANFARE__{key}__LISTEN"), "127.0.0.1:0");
        }
        crate::server::run_until_ready(command)
    }
}

/// A client that always asks, so that a profile has something to show; until dropped.
struct Load(Arc<AtomicBool>);

impl Load {
    fn on(address: SocketAddr) -> Self {
        let goes_on = Arc::new(AtomicBool::new(true));
        let asks = Arc::clone(&goes_on);
        thread::spawn(move || {
            let mut client = Client::connect(address);
            while asks.load(Ordering::Relaxed) {
                // The server may end before we do.
                if client.try_request("GET", "/gift/top", &[], "").is_err() {
                    return;
                }
            }
        });
        Self(goes_on)
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Relaxed);
    }
}

fn told(output: &Output) -> String {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    format!("{}: {}{}", output.status, text(&output.stderr), text(&output.stdout))
}

/// The first word that is no assignment, without a pipe's later commands.
fn program(text: &str) -> &str {
    text.split_whitespace().find(|word| !word.contains('=')).unwrap_or_default()
}

#[test]
fn every_command_works_as_it_stands() {
    let desk = Desk::new();
    let mut failures = Vec::new();
    let _load = Load::on(desk.server.http);
    for line in commands() {
        let program = program(&line.text);
        let result = match program {
            _ if VISITS.iter().any(|visit| line.text.contains(visit)) => desk.asked_for_help(&line),
            // Run by cluster_process.rs, with a Redis and a MongoDB-wire server.
            _ if line.text.contains("cluster.toml") => Ok(()),
            "curl" => desk.curl(&line),
            "fanfare" | "mkdir" => desk.fanfare(&line),
            _ if ELSEWHERE.iter().any(|(name, _)| *name == program) => Ok(()),
            _ if ADMINISTRATION.iter().any(|start| line.text.starts_with(start)) => Ok(()),
            _ => Err(format!("{program}: teach tests/it/readme.rs how to run it")),
        };
        if let Err(why) = result {
            failures.push(format!("README.md:{}: {}\n    {why}", line.number, line.text));
        }
    }
    assert!(failures.is_empty(), "\n{}", failures.join("\n"));
}

#[test]
fn every_call_of_the_readme_is_in_the_document() {
    let server = Start::fresh().arg("--dev").run();
    let documents = BTreeMap::from([
        ("8080", server.client().get("/openapi.json").json()),
        ("9464", server.operator().get("/openapi.json").json()),
    ]);
    let mut complaints = Vec::new();
    let mut count = 0;
    for line in commands() {
        for (method, port, path) in calls(&line.text) {
            count += 1;
            let method = if method == "HEAD" { "GET".to_owned() } else { method };
            if !describes(&documents[&*port], &method, &path) {
                let text = &line.text;
                complaints.push(format!("README.md:{}: {method} {path}: {text}", line.number));
            }
        }
    }
    assert!(complaints.is_empty(), "\n{}", complaints.join("\n"));
    assert!(count > 10, "only {count} calls were found");
}

/// Whether a document has this call, placeholders standing for any segment.
fn describes(document: &Value, method: &str, path: &str) -> bool {
    let fits = |pattern: &str| {
        let (pattern, path): (Vec<_>, Vec<_>) =
            (pattern.split('/').collect(), path.split('/').collect());
        let same = |(part, asked): (&&str, &&str)| part.starts_with('{') || part == asked;
        pattern.len() == path.len() && pattern.iter().zip(&path).all(same)
    };
    let paths = document["paths"].as_object().expect("paths");
    let method = method.to_lowercase();
    paths.iter().any(|(pattern, item)| fits(pattern) && item.get(&method).is_some())
}

#[test]
fn commands_are_read_as_a_shell_reads_them() {
    assert_eq!(without_comment("curl a # why"), "curl a");
    assert_eq!(without_comment("curl 'a # b' -d \"#\""), "curl 'a # b' -d \"#\"");
    let (get, post) = ("GET".to_owned(), "POST".to_owned());
    let public = "8080".to_owned();
    assert_eq!(
        calls("curl 'localhost:8080/gift/top?num=10'"),
        [(get, public.clone(), "/gift/top".to_owned())]
    );
    assert_eq!(
        calls("curl localhost:8080/gift/send -d '{}'"),
        [(post, public, "/gift/send".to_owned())]
    );
}
