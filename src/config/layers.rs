//! The layers of the configuration, lowest first: defaults, file, environment, flags. Knows where
//! each value came from and refuses keys that nobody knows.

use config::{FileFormat, Map, Source, Value, ValueKind};
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

/// Two underscores also behind the name, so that `FANFARE_VERSION` and the like stay free for
/// others.
const PREFIX: &str = "FANFARE__";
const SEPARATOR: &str = "__";

/// What is around a name of the operator's own in a key.
pub(super) const TYPE_KEY: (&str, &str) = ("counter.types.", ".unique");

/// Similarity from which a suggestion helps more than it puzzles.
const SUGGESTION_MIN: f64 = 0.8;

/// Where to read from; all of it a value, so that tests need no process of their own.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sources {
    /// `--config`.
    pub file: Option<PathBuf>,
    /// The variables of the process; only those that begin with `FANFARE__` are looked at.
    pub environment: Vec<(OsString, OsString)>,
    /// The command line.
    pub flags: Flags,
}

/// What the command line says about the configuration.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Flags {
    /// `--listen`.
    pub listen: Option<String>,
    /// `--data`.
    pub data: Option<String>,
    /// `--dev`.
    pub dev: bool,
    /// `--demo`.
    pub demo: bool,
}

/// Dotted keys and their values.
pub(super) type Flat = BTreeMap<String, Value>;

/// All layers merged, with what each brought.
pub(super) struct Layers {
    /// What is in effect.
    pub(super) merged: Flat,
    /// What was wrong with a layer as a whole, or with a name in it.
    pub(super) errors: Vec<String>,
    file: Flat,
    file_name: String,
    environment: Flat,
    flags: Flat,
}

impl Layers {
    /// Reads and merges. Errors are collected; what could be read is there nevertheless.
    pub(super) fn read(sources: &Sources) -> Self {
        let defaults = parse(super::DEFAULTS, FileFormat::Toml).expect("a test parses it");
        let known = flatten(&defaults);
        let mut errors = Vec::new();
        let mut builder = config::Config::builder().add_source(defaults);
        let mut layers = Self {
            merged: Flat::new(),
            errors: Vec::new(),
            file: Flat::new(),
            file_name: String::new(),
            environment: Flat::new(),
            flags: Flat::new(),
        };
        if let Some(path) = &sources.file {
            layers.file_name = path.display().to_string();
            match read_file(path) {
                Ok(file) => {
                    layers.file = flatten(&file);
                    builder = builder.add_source(file);
                }
                Err(why) => errors.push(format!("{}: {why}", layers.file_name)),
            }
            for key in layers.file.keys().filter(|key| !is_known(key, &known)) {
                errors.push(format!("{}: {}", layers.file_name, unknown(key, &known)));
            }
        }
        layers.environment = environment(&sources.environment, &known, &mut errors);
        layers.flags = flags(&sources.flags, |key| {
            layers.file.contains_key(key) || layers.environment.contains_key(key)
        });
        for (key, value) in layers.environment.iter().chain(&layers.flags) {
            builder = builder.set_override(key, value.clone()).expect("a known key is a good path");
        }
        match builder.build() {
            Ok(merged) => layers.merged = flatten(&merged),
            Err(error) => errors.push(format!("{}: {error}", layers.file_name)),
        }
        layers.errors = errors;
        layers
    }

    /// Who set `key`, in words that lead the operator there.
    pub(super) fn origin(&self, key: &str) -> String {
        if self.flags.contains_key(key) {
            "command line".to_owned()
        } else if self.environment.contains_key(key) {
            variable(key)
        } else if self.file.contains_key(key) {
            self.file_name.clone()
        } else {
            "default".to_owned()
        }
    }

    /// Environment values are text, whatever they mean.
    pub(super) fn is_text_only(&self, key: &str) -> bool {
        self.environment.contains_key(key)
    }
}

fn read_file(path: &Path) -> Result<config::Config, String> {
    let format = match path.extension().and_then(|extension| extension.to_str()) {
        Some("toml") => FileFormat::Toml,
        Some("yaml" | "yml") => FileFormat::Yaml,
        Some("json") => FileFormat::Json,
        _ => return Err("expected a file that ends in .toml, .yaml, .yml or .json".to_owned()),
    };
    let text = fs::read_to_string(path).map_err(|error| format!("cannot be read: {error}"))?;
    parse(&text, format).map_err(|error| without_excerpt(&error.to_string()))
}

/// The TOML parser quotes the line in question, which may hold a secret; its number is enough.
fn without_excerpt(error: &str) -> String {
    let lines = error.lines().map(str::trim).filter(|line| !line.is_empty() && !line.contains('|'));
    lines.collect::<Vec<_>>().join(": ")
}

fn parse(text: &str, format: FileFormat) -> Result<config::Config, config::ConfigError> {
    config::Config::builder().add_source(config::File::from_str(text, format)).build()
}

fn flatten(config: &config::Config) -> Flat {
    let mut flat = Flat::new();
    let root = config.collect().expect("a built configuration can be collected");
    spread("", root, &mut flat);
    flat
}

fn spread(prefix: &str, table: Map<String, Value>, flat: &mut Flat) {
    for (key, value) in table {
        let path = if prefix.is_empty() { key } else { format!("{prefix}.{key}") };
        match value.kind {
            ValueKind::Table(inner) => spread(&path, inner, flat),
            _ => drop(flat.insert(path, value)),
        }
    }
}

fn environment(variables: &[(OsString, OsString)], known: &Flat, errors: &mut Vec<String>) -> Flat {
    let mut flat = Flat::new();
    for (name, value) in variables {
        let name = name.to_string_lossy();
        let Some(rest) = name.strip_prefix(PREFIX) else { continue };
        let key = rest.to_lowercase().replace(SEPARATOR, ".");
        // Such a name must be one that a variable can have, and a path of the layers.
        let is_plain =
            |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
        if !is_known(&key, known) || !key.bytes().all(is_plain) || variable(&key) != name {
            errors.push(format!("{name}: {}", unknown_variable(&key, known)));
        } else if let Some(value) = value.to_str() {
            flat.insert(key, Value::from(value));
        } else {
            errors.push(format!("{name}: expected UTF-8"));
        }
    }
    flat
}

fn is_known(key: &str, known: &Flat) -> bool {
    known.contains_key(key) || within(TYPE_KEY, key).is_some()
}

/// The name within a key, between the `(before, after)` that surround it.
pub(super) fn within<'k>((before, after): (&str, &str), key: &'k str) -> Option<&'k str> {
    key.strip_prefix(before)?.strip_suffix(after)
}

fn flags(flags: &Flags, is_set: impl Fn(&str) -> bool) -> Flat {
    let mut flat = Flat::new();
    // The default address is open to all; who named none for these means this machine.
    let is_own = flags.dev || flags.demo;
    let is_private = is_own && !is_set("http.listen");
    let listen = flags.listen.as_deref().or(is_private.then_some(super::DEV_LISTEN));
    if let Some(listen) = listen {
        flat.insert("http.listen".to_owned(), Value::from(listen));
    }
    if let Some(data) = &flags.data {
        flat.insert("data_dir".to_owned(), Value::from(data.as_str()));
    }
    if is_own && !is_set("tlv.listen") {
        flat.insert("tlv.listen".to_owned(), Value::from(super::DEV_TLV_LISTEN));
    }
    if flags.demo && !is_set("trade.sim.rate") {
        flat.insert("trade.sim.rate".to_owned(), Value::from(super::DEMO_TRADES_PER_S));
    }
    if flags.dev {
        flat.insert("dev.test_data".to_owned(), Value::from(true));
    }
    flat
}

fn variable(key: &str) -> String {
    format!("{PREFIX}{}", key.replace('.', SEPARATOR).to_uppercase())
}

fn unknown(key: &str, known: &Flat) -> String {
    let inside = format!("{key}.");
    let members: Vec<&str> =
        known.keys().filter(|name| name.starts_with(&inside)).map(String::as_str).collect();
    if !members.is_empty() {
        return format!("{key} is a section; its keys are {}", members.join(", "));
    }
    match nearest(key, known.keys().map(String::as_str)) {
        Some(name) => format!("there is no key {key}; did you mean {name}?"),
        None => format!("there is no key {key}; fanfare.toml names them all"),
    }
}

fn unknown_variable(key: &str, known: &Flat) -> String {
    match nearest(key, known.keys().map(String::as_str)) {
        Some(name) => format!("sets no key; did you mean {} ({name})?", variable(name)),
        None => "sets no key; fanfare.toml names them all".to_owned(),
    }
}

/// The candidate that is most like `word`, unless none is like it at all.
pub(super) fn nearest<'a>(
    word: &str,
    candidates: impl Iterator<Item = &'a str>,
) -> Option<&'a str> {
    let word = word.to_lowercase();
    candidates
        .map(|name| (strsim::jaro_winkler(&word, &name.to_lowercase()), name))
        .filter(|(similarity, _)| *similarity >= SUGGESTION_MIN)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, name)| name)
}
