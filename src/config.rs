//! What the operator decided: defaults, file, environment and flags, read once, checked and typed.
//!
//! `fanfare.toml` is the lowest layer, word for word, so the documented defaults are the real ones.

mod addresses;
mod api;
mod cluster;
mod layers;
mod listen;
mod moment;
mod rain;
mod reader;
mod show;
mod span;

pub use addresses::Addresses;
pub use api::{Api, ApiToken};
pub use cluster::{Cluster, Mongo, Redis};
pub use layers::{Flags, Sources};
pub use listen::ListenAddr;
pub use moment::Moment;
pub use rain::Rain;
pub use reader::{ConfigErrors, Secret};
pub use span::{Patience, Span};

use crate::limits::TLV_DATA_BYTES_LEAST;
use ipnet::IpNet;
use jiff::tz::TimeZone;
use layers::Layers;
use reader::Reader;
use serde::Serialize;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

/// The file that documents every key, and at the same time the defaults.
pub const DEFAULTS: &str = include_str!("../fanfare.toml");

/// Where `--dev` and `--demo` listen when nobody said where: they serve what must not be public.
const DEV_LISTEN: &str = "127.0.0.1:8080";
const DEV_TLV_LISTEN: &str = "127.0.0.1:8999";

const NETWORKS: &str = "addresses or networks, such as [\"10.0.0.0/8\"]";
const ORIGINS: &str = "origins, such as [\"https://live.example.com\"], or [\"*\"]";

/// How many trades `--demo` makes up a second when nobody said otherwise.
const DEMO_TRADES_PER_S: i64 = 8;

const HOUR: Duration = Duration::from_secs(3_600);
const DAY: Duration = Duration::from_secs(86_400);

/// Everything that can be configured. Plain values: parts are handed to whoever needs them.
#[derive(Clone, Debug, Serialize)]
pub struct Config {
    /// The folder of the journals.
    pub data_dir: String,
    /// The system of record.
    pub backend: Backend,
    /// The calendar of the boards.
    #[serde(serialize_with = "show::time_zone")]
    pub time_zone: TimeZone,
    /// Event loop threads; 0 is one per core.
    pub loops: usize,
    /// Threads that read what is not in memory.
    pub readers: usize,
    /// How long answers in flight may take after the first signal.
    pub drain_timeout: Span,
    /// From when on a request is remembered as slow.
    pub slow_request: Span,
    /// Answers tell where their time went.
    pub server_timing: bool,
    /// Who is believed about the address of a client.
    pub trusted_proxies: Vec<IpNet>,
    /// What is allocated is sampled, for `/debug/pprof/heap`.
    pub heap_profiling: bool,
    /// The public listener.
    pub http: Http,
    /// Who may call the public listener.
    pub api: Api,
    /// The listener for TLV connections.
    pub tlv: Tlv,
    /// The operator's listener.
    pub admin: Admin,
    /// Gift boards.
    pub gift: Gift,
    /// Red-packet rain.
    pub rain: Rain,
    /// The trading room.
    pub trade: Trade,
    /// Counters.
    pub counter: Counter,
    /// Retried writes.
    pub idempotency: Idempotency,
    /// What only a developer's machine should do.
    pub dev: Dev,
    /// The processes that serve together.
    pub cluster: Cluster,
    /// The lane to `MongoDB`.
    pub mongo: Mongo,
    /// The lane to Redis.
    pub redis: Redis,
    /// Log lines.
    pub log: Log,
}

/// Which system of record serves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Backend {
    /// Memory and SQLite in `data_dir`.
    Local,
    /// `MongoDB` and Redis, shared by any number of processes.
    Cluster,
}

/// The public HTTP listener and the limits of its connections.
#[derive(Clone, Debug, Serialize)]
pub struct Http {
    /// Where to listen.
    pub listen: ListenAddr,
    /// Open connections of all loops together.
    pub max_connections: usize,
    /// Bytes of the request line.
    pub max_request_line: usize,
    /// Bytes of all header fields together.
    pub max_header_bytes: usize,
    /// Header fields.
    pub max_header_count: usize,
    /// Bytes of a request body.
    pub max_body: usize,
    /// Between requests.
    pub idle_timeout: Span,
    /// From the first byte of a request until its head is complete.
    pub head_timeout: Span,
    /// From the end of the head until the body is complete.
    pub body_timeout: Span,
    /// Without progress while bytes wait for the client.
    pub write_timeout: Span,
    /// Origins whose scripts may read answers.
    pub cors_origins: Vec<String>,
}

/// The TLV listener and the limits of its connections.
#[derive(Clone, Debug, Serialize)]
pub struct Tlv {
    /// Where to listen.
    pub listen: ListenAddr,
    /// Open connections of all loops together.
    pub max_connections: usize,
    /// The layout of frame headers.
    pub layout: Layout,
    /// Bytes of one frame's data.
    pub max_data: usize,
    /// Unsent bytes of a connection beyond which a push closes it.
    pub max_queue: usize,
    /// Closes who sends nothing for so long.
    pub idle: Patience,
    /// How long until a peer is found whose host is gone.
    pub dead_after: Span,
}

/// The trading room.
#[derive(Clone, Debug, Serialize)]
pub struct Trade {
    /// Quantities are multiples of it.
    pub lot: usize,
    /// How many pushes a customer may have missed and still resume.
    pub keep_pushes: usize,
    /// Everybody hears who comes and goes.
    pub presence: bool,
    /// Trades made up for the seeded customers.
    pub sim: Sim,
}

/// Trades made up for the seeded customers.
#[derive(Clone, Debug, Serialize)]
pub struct Sim {
    /// How many a second; 0 is none.
    pub rate: usize,
}

/// Which frame header clients send.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Layout {
    /// The first frame of a connection decides.
    Auto,
    /// Id, then length, big-endian.
    Big,
    /// Length, then id, little-endian.
    Little,
}

/// The operator's listener.
#[derive(Clone, Debug, Serialize)]
pub struct Admin {
    /// Where to listen; another address than loopback only with a token.
    pub listen: ListenAddr,
    /// What operators must present.
    pub token: Secret,
}

/// Gift boards.
#[derive(Clone, Debug, Serialize)]
pub struct Gift {
    /// How long past periods can be read.
    pub keep: Keep,
}

/// How long the boards of past periods can be read.
#[derive(Clone, Debug, Serialize)]
pub struct Keep {
    /// Boards of an hour.
    pub hour: Span,
    /// Boards of a day.
    pub day: Span,
    /// Boards of an ISO week.
    pub week: Span,
}

/// Counters.
#[derive(Clone, Debug, Serialize)]
pub struct Counter {
    /// Types that are known by name; all others are free, and count everything.
    pub types: BTreeMap<String, CounterType>,
}

/// One type of counter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct CounterType {
    /// Counts a user once.
    pub unique: bool,
}

/// Retried writes.
#[derive(Clone, Debug, Serialize)]
pub struct Idempotency {
    /// How long a key is remembered.
    pub keep: Span,
}

/// What only a developer's machine should do.
#[derive(Clone, Debug, Serialize)]
pub struct Dev {
    /// Serves `/gift/add_test_data`.
    pub test_data: bool,
}

/// Log lines.
#[derive(Clone, Debug, Serialize)]
pub struct Log {
    /// The least severe level that is written.
    pub level: Level,
    /// How a line looks.
    pub format: Format,
    /// Lines that may wait for standard output.
    pub queue_lines: usize,
}

/// Severity, from rare to chatty.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
#[expect(missing_docs, reason = "the names are the words of every logger")]
pub enum Level {
    Error,
    Warn,
    Info,
    Debug,
    Trace,
}

impl Level {
    /// As the file and the operator write it.
    pub fn word(self) -> &'static str {
        match self {
            Level::Error => "error",
            Level::Warn => "warn",
            Level::Info => "info",
            Level::Debug => "debug",
            Level::Trace => "trace",
        }
    }
}

/// How a log line looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// For people.
    Text,
    /// An object a line.
    Json,
}

impl Default for Config {
    fn default() -> Self {
        Self::load(&Sources::default()).expect("the defaults are valid: a test loads them")
    }
}

impl Config {
    /// Reads and checks all layers. Reports every error it finds, not only the first.
    pub fn load(sources: &Sources) -> Result<Self, ConfigErrors> {
        let layers = Layers::read(sources);
        let mut reader = Reader::new(&layers);
        let config = Self::take(&mut reader);
        if reader.is_clean() {
            config.check(&mut reader, sources.flags.dev);
        }
        reader.finish().map(|()| config)
    }

    /// The effective configuration as TOML, secrets hidden.
    pub fn to_toml(&self) -> String {
        show::toml(self)
    }

    /// The keys whose values differ, dotted.
    pub fn differences(&self, other: &Self) -> Vec<String> {
        let mut keys = show::differences(self, other);
        // A secret is shown the same, whatever it is.
        if self.admin.token != other.admin.token {
            keys.push("admin.token".to_owned());
        }
        keys
    }

    fn take(from: &mut Reader<'_>) -> Self {
        let day_to_years = DAY..=3_660 * DAY;
        let cluster = cfg!(feature = "cluster").then_some(Backend::Cluster);
        let backends = [("local", Some(Backend::Local)), ("cluster", cluster)];
        Self {
            data_dir: from.path("data_dir"),
            backend: from.word("backend", &backends),
            time_zone: from.time_zone("time_zone"),
            loops: from.integer("loops", 0..=1_024),
            readers: from.integer("readers", 1..=64),
            drain_timeout: from.duration("drain_timeout", Duration::ZERO..=HOUR),
            slow_request: from.duration("slow_request", Duration::ZERO..=HOUR),
            server_timing: from.flag("server_timing"),
            trusted_proxies: from.list("trusted_proxies", NETWORKS, api::network),
            heap_profiling: from.flag("heap_profiling"),
            http: Http::take(from),
            api: Api::take(from),
            tlv: Tlv::take(from),
            admin: Admin {
                listen: from.listen("admin.listen"),
                token: from.secret("admin.token", 1..=256),
            },
            gift: Gift {
                keep: Keep {
                    hour: from.duration("gift.keep.hour", HOUR..=3_660 * DAY),
                    day: from.duration("gift.keep.day", day_to_years.clone()),
                    week: from.duration("gift.keep.week", 7 * DAY..=3_660 * DAY),
                },
            },
            rain: Rain::take(from),
            trade: Trade {
                lot: from.integer("trade.lot", 1..=1_000_000),
                keep_pushes: from.integer("trade.keep_pushes", 0..=1_000_000_000),
                presence: from.flag("trade.presence"),
                sim: Sim { rate: from.integer("trade.sim.rate", 0..=100_000) },
            },
            counter: Counter { types: from.counter_types() },
            idempotency: Idempotency { keep: from.duration("idempotency.keep", day_to_years) },
            dev: Dev { test_data: from.flag("dev.test_data") },
            cluster: Cluster::take(from),
            mongo: Mongo::take(from),
            redis: Redis::take(from),
            log: Log::take(from),
        }
    }

    /// Rules between keys.
    fn check(&self, reader: &mut Reader<'_>, dev: bool) {
        if dev && !self.http.listen.is_loopback() {
            let why = "a loopback address such as 127.0.0.1:8080, because --dev serves test data \
                       to whoever can reach it";
            reader.refuse("http.listen", why);
        }
        if !self.admin.listen.is_loopback() && self.admin.token.is_empty() {
            reader.refuse("admin.listen", "a loopback address, unless admin.token is set");
        }
        self.rain.check(reader);
        self.cluster.check(reader);
        let listeners = [
            ("http.listen", self.http.listen.addr()),
            ("tlv.listen", self.tlv.listen.addr()),
            ("admin.listen", self.admin.listen.addr()),
        ];
        for (index, (name, addr)) in listeners.iter().enumerate() {
            for (other, taken) in &listeners[..index] {
                if collide(*addr, *taken) {
                    reader.refuse(name, &format!("another address than {other} ({taken})"));
                }
            }
        }
    }
}

impl Http {
    fn take(from: &mut Reader<'_>) -> Self {
        let wait = Duration::from_millis(1)..=DAY;
        Self {
            listen: from.listen("http.listen"),
            max_connections: from.integer("http.max_connections", 1..=1_000_000),
            max_request_line: from.integer("http.max_request_line", 64..=65_536),
            max_header_bytes: from.integer("http.max_header_bytes", 256..=1_048_576),
            max_header_count: from.integer("http.max_header_count", 1..=1_000),
            max_body: from.integer("http.max_body", 1..=67_108_864),
            idle_timeout: from.duration("http.idle_timeout", wait.clone()),
            head_timeout: from.duration("http.head_timeout", wait.clone()),
            body_timeout: from.duration("http.body_timeout", wait.clone()),
            write_timeout: from.duration("http.write_timeout", wait),
            cors_origins: from.list("http.cors_origins", ORIGINS, api::origin),
        }
    }
}

impl Tlv {
    fn take(from: &mut Reader<'_>) -> Self {
        let layouts = [
            ("auto", Some(Layout::Auto)),
            ("big", Some(Layout::Big)),
            ("little", Some(Layout::Little)),
        ];
        Self {
            listen: from.listen("tlv.listen"),
            max_connections: from.integer("tlv.max_connections", 1..=1_000_000),
            layout: from.word("tlv.layout", &layouts),
            // Far below 2^24: up to there no frame header fits both layouts.
            max_data: from.integer("tlv.max_data", TLV_DATA_BYTES_LEAST..=1_048_576),
            max_queue: from.integer("tlv.max_queue", 16_384..=1_073_741_824),
            idle: from.patience("tlv.idle", Duration::from_secs(1)..=30 * DAY),
            // The kernel counts keep-alive in whole seconds.
            dead_after: from.duration("tlv.dead_after", Duration::from_secs(2)..=DAY),
        }
    }
}

impl Log {
    fn take(from: &mut Reader<'_>) -> Self {
        let levels = [
            ("error", Some(Level::Error)),
            ("warn", Some(Level::Warn)),
            ("info", Some(Level::Info)),
            ("debug", Some(Level::Debug)),
            ("trace", Some(Level::Trace)),
        ];
        let formats = [("text", Some(Format::Text)), ("json", Some(Format::Json))];
        Self {
            level: from.word("log.level", &levels),
            format: from.word("log.format", &formats),
            queue_lines: from.integer("log.queue_lines", 1..=1_000_000),
        }
    }
}

/// True when both cannot be listened on at once. Port 0 never collides: the kernel picks.
fn collide(a: SocketAddr, b: SocketAddr) -> bool {
    let same_host = a.ip() == b.ip() || a.ip().is_unspecified() || b.ip().is_unspecified();
    a.port() != 0 && a.port() == b.port() && same_host
}
