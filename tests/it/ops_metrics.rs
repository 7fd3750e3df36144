//! `/metrics`: the page keeps to the grammar, and its figures move as the traffic does.

use crate::client::Client;
use crate::server::{Server, Start};
use crate::tlv_client::TlvClient;
use fanfare::tlv::Layout;
use std::collections::{BTreeMap, BTreeSet, HashSet};

/// A page that kept to the rules.
#[derive(Debug, Default)]
pub(crate) struct Page {
    /// Type by name.
    families: BTreeMap<String, String>,
    /// Value by name with labels, as they stand on the page.
    samples: BTreeMap<String, f64>,
}

impl Page {
    #[track_caller]
    pub(crate) fn of(server: &Server) -> Self {
        Self::scrape(&mut server.operator())
    }

    #[track_caller]
    fn scrape(operator: &mut Client) -> Self {
        let reply = operator.get("/metrics");
        assert_eq!(reply.status, 200);
        let kind = reply.header("Content-Type");
        assert_eq!(kind, Some("text/plain; version=0.0.4; charset=utf-8"));
        Self::parse(std::str::from_utf8(&reply.body).expect("UTF-8"))
    }

    /// Reads a page strictly: each family once, HELP and TYPE before its samples, nothing twice.
    #[track_caller]
    fn parse(text: &str) -> Self {
        assert!(text.ends_with('\n'), "the last line ends too");
        let mut page = Self::default();
        let (mut helped, mut family) = (String::new(), String::new());
        for line in text.lines() {
            if let Some(help) = line.strip_prefix("# HELP ") {
                let (name, help) = help.split_once(' ').expect("a help text");
                assert!(is_name(name) && help.ends_with('.'), "{line}");
                name.clone_into(&mut helped);
            } else if let Some(kind) = line.strip_prefix("# TYPE ") {
                let (name, kind) = kind.split_once(' ').expect("a type");
                assert_eq!(name, helped, "the help comes first");
                assert_eq!(kind == "counter", name.ends_with("_total"), "{line}");
                let before = page.families.insert(name.to_owned(), kind.to_owned());
                assert_eq!(before, None, "{name} comes twice");
                name.clone_into(&mut family);
            } else {
                let (at, value) = line.rsplit_once(' ').expect("a value");
                let (name, labels) = sample(at);
                let stem = match page.families[&family].as_str() {
                    "histogram" => ["_bucket", "_sum", "_count"]
                        .iter()
                        .find_map(|end| name.strip_suffix(end))
                        .expect("one of three"),
                    _ => name,
                };
                assert_eq!(stem, family, "samples follow their family");
                let names: HashSet<_> = labels.iter().map(|(name, _)| name).collect();
                assert_eq!(names.len(), labels.len(), "{line}");
                let value = value.parse().expect("a number");
                assert_eq!(page.samples.insert(at.to_owned(), value), None, "{at} comes twice");
            }
        }
        page.check_histograms();
        page
    }

    /// Buckets grow with their bounds, end at +Inf, and that is the count.
    fn check_histograms(&self) {
        let mut open: Option<(String, f64, f64)> = None;
        let mut bounds: BTreeMap<String, Vec<(f64, f64)>> = BTreeMap::new();
        for (at, value) in &self.samples {
            let (name, labels) = sample(at);
            let Some(stem) = name.strip_suffix("_bucket") else { continue };
            let bound = &labels.iter().find(|(name, _)| name == "le").expect("a bound").1;
            let bound = if bound == "+Inf" { f64::INFINITY } else { bound.parse().expect("one") };
            let others: Vec<_> = labels.iter().filter(|(name, _)| name != "le").collect();
            bounds.entry(format!("{stem}{others:?}")).or_default().push((bound, *value));
        }
        for (name, mut buckets) in bounds {
            buckets.sort_by(|a, b| a.0.total_cmp(&b.0));
            open.take();
            for (bound, count) in buckets {
                if let Some((_, before_bound, before)) = &open {
                    assert!(bound > *before_bound && count >= *before, "{name} at {bound}");
                }
                open = Some((name.clone(), bound, count));
            }
            let (_, bound, count) = open.clone().expect("buckets");
            assert!(bound.is_infinite(), "{name} ends at {bound}");
            let at = self.samples.iter().find(|(at, _)| {
                let (end, labels) = sample(at);
                let labels: Vec<_> = labels.iter().collect();
                end.strip_suffix("_count").is_some_and(|stem| format!("{stem}{labels:?}") == name)
            });
            assert!((at.expect("a count").1 - count).abs() < 0.5, "{name}");
        }
    }

    /// All samples of `name` that have these labels, added up.
    pub(crate) fn sum(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        let matching = self.samples.iter().filter(|(at, _)| {
            let (found, has) = sample(at);
            let has = |(name, value): &(&str, &str)| {
                has.iter().any(|(has, is)| has == name && is == value)
            };
            found == name && labels.iter().all(has)
        });
        // The sum of nothing would be -0.
        matching.fold(0.0, |sum, (_, value)| sum + value)
    }

    /// The same for figures that are whole numbers.
    #[track_caller]
    pub(crate) fn count(&self, name: &str, labels: &[(&str, &str)]) -> u64 {
        self.sum(name, labels).to_string().parse().expect("a whole number")
    }

    /// Every name that a query can use.
    fn names(&self) -> BTreeSet<String> {
        let ends = |kind: &str| match kind {
            "histogram" => ["_bucket", "_sum", "_count"].as_slice(),
            _ => [""].as_slice(),
        };
        let families = self.families.iter();
        let names = families
            .flat_map(|(name, kind)| ends(kind).iter().map(move |end| format!("{name}{end}")));
        names.collect()
    }
}

fn is_name(name: &str) -> bool {
    let mut chars = name.chars();
    chars.next().is_some_and(|first| first.is_ascii_lowercase())
        && chars.all(|char| char.is_ascii_lowercase() || char.is_ascii_digit() || char == '_')
}

/// Takes `name{label="value",…}` apart.
fn sample(text: &str) -> (&str, Vec<(String, String)>) {
    let Some((name, rest)) = text.split_once('{') else {
        assert!(is_name(text), "{text}");
        return (text, Vec::new());
    };
    assert!(is_name(name), "{text}");
    let mut rest = rest.strip_suffix('}').expect("labels end");
    let mut labels = Vec::new();
    while !rest.is_empty() {
        let (label, behind) = rest.split_once("=\"").expect("a label");
        assert!(is_name(label), "{text}");
        let mut value = String::new();
        let mut chars = behind.char_indices();
        rest = loop {
            match chars.next().expect("a value ends") {
                (at, '"') => break &behind[at + 1..],
                (_, '\\') => match chars.next().expect("something is escaped").1 {
                    'n' => value.push('\n'),
                    char @ ('"' | '\\') => value.push(char),
                    char => panic!("\\{char} in {text}"),
                },
                (_, char) => value.push(char),
            }
        };
        labels.push((label.to_owned(), value));
        let more = rest.strip_prefix(',');
        assert!(more.is_some() || rest.is_empty(), "{text}");
        rest = more.unwrap_or_default();
    }
    (name, labels)
}

const REQUESTS: &str = "fanfare_http_requests_total";

#[test]
fn figures_move_as_the_traffic_does() {
    let server = Server::start();
    let mut client = server.client();
    for worth in 1..=3 {
        let gift = format!(r#"{{"audience_id":1,"anchor_id":{worth},"worth":{worth}}}"#);
        let key = format!("key-{worth}");
        let reply = client.request("POST", "/gift/send", &[("Idempotency-Key", &key)], &gift);
        assert_eq!(reply.status, 200);
    }
    for _ in 0..5 {
        client.get("/gift/top?num=10");
    }
    client.request("HEAD", "/gift/top", &[], "");
    client.get("/no/such/path?chosen=by-a-client");
    client.post("/gift/top", "{}");
    client.get("/gift/worth?id=x");
    let refused = server.client().request("GET", "/a\u{7f}b", &[], "");
    assert_eq!(refused.status, 400);
    // The connection that was refused is seen to be closed a turn or two later.
    let mut operator = server.operator();
    let page = loop {
        let page = Page::scrape(&mut operator);
        if page.count("fanfare_listener_connections", &[("listener", "http")]) == 1 {
            break page;
        }
    };
    let requests = |route, method, status| {
        let labels =
            [("listener", "http"), ("route", route), ("method", method), ("status", status)];
        let taken = page.count("fanfare_http_request_duration_seconds_count", &labels);
        let count = page.count(REQUESTS, &labels);
        assert_eq!(taken, count, "each request has a duration");
        count
    };
    let counts = [
        requests("/gift/send", "POST", "2xx"),
        requests("/gift/top", "GET", "2xx"),
        requests("/gift/top", "HEAD", "2xx"),
        requests("/gift/top", "POST", "4xx"),
        requests("/gift/worth", "GET", "4xx"),
        requests("unmatched", "GET", "4xx"),
        requests("unmatched", "unknown", "4xx"),
    ];
    assert_eq!(counts, [3, 5, 1, 1, 1, 1, 1]);
    assert_eq!(page.count(REQUESTS, &[("listener", "http")]), 13);
    let took = page.sum("fanfare_http_request_duration_seconds_sum", &[("route", "/gift/send")]);
    assert!(took > 0.0, "a commit takes time");
    assert_eq!(page.count("fanfare_audit_ok", &[]), 0, "nobody has asked for an audit");
    let gift = |name| page.count(name, &[("store", "gift")]);
    assert_eq!(gift("fanfare_journal_position"), 3);
    assert_eq!(gift("fanfare_checkpoint_lag_entries"), 3);
    assert_eq!(gift("fanfare_idempotency_keys"), 3);
    assert_eq!(gift("fanfare_store_commit_duration_seconds_count"), 3);
    assert_eq!(page.count("fanfare_executor_batch_jobs_sum", &[("executor", "gift")]), 3);
    assert_eq!(page.count("fanfare_board_places", &[]), 3);
    assert_eq!(page.count("fanfare_connections", &[]), 2, "ours and the scraper's");
    for name in [
        "fanfare_received_bytes_total",
        "fanfare_sent_bytes_total",
        "fanfare_loop_turns_total",
        "process_resident_memory_bytes",
        "process_open_fds",
        "process_max_fds",
        "process_threads",
        "process_start_time_seconds",
    ] {
        assert!(page.sum(name, &[]) > 0.0, "{name}");
    }
    assert_eq!(page.count("fanfare_build_info", &[("version", env!("CARGO_PKG_VERSION"))]), 1);
}

#[test]
fn messages_of_the_room_are_counted_by_id_and_outcome() {
    let server = Server::start();
    let mut client = TlvClient::connect(server.tlv, Layout::Big);
    client.refused(4, "{}");
    let mut other = TlvClient::login(server.tlv, "900000000001");
    client.ask(2, r#"{"customer_id":"900000000001"}"#);
    client.ask(4, r#"{"exchange_type":"1","stock_code":"600000","quantity":3}"#);
    client.refused(5, r#"{"exchange_type":"1","stock_code":"600000","quantity":4}"#);
    for _ in 0..4 {
        client.ask(99_999, "");
    }
    assert_eq!(client.refused(77, ""), "unknown_message");
    // Each connection of the customer hears of the trade and of the position.
    for _ in 0..2 {
        other.next();
    }
    let page = Page::of(&server);
    let count = |message, outcome| {
        page.count("fanfare_tlv_messages_total", &[("message", message), ("outcome", outcome)])
    };
    let counts = [
        count("2", "answered"),
        count("4", "answered"),
        count("4", "refused"),
        count("5", "answered"),
        count("5", "refused"),
        count("99999", "answered"),
        count("other", "answered"),
        count("other", "refused"),
    ];
    assert_eq!(counts, [2, 1, 1, 0, 1, 4, 0, 1]);
    assert_eq!(page.count("fanfare_tlv_pushes_total", &[]), 4);
}

#[test]
fn every_executor_shows_its_queue_and_batches() {
    let server = Server::start();
    Page::of(&server);
    let page = Page::of(&server);
    for executor in ["gift", "gift-read", "audit", "operator"] {
        let at = [("executor", executor)];
        assert!(page.count("fanfare_executor_queue_jobs_max", &at) > 0, "{executor}");
    }
    // The scrape before this one.
    let scrapes = page.count("fanfare_executor_batch_jobs_sum", &[("executor", "operator")]);
    assert!(scrapes > 0);
}

#[test]
fn an_audit_leaves_its_findings_in_the_figures() {
    let server = Server::start();
    server.client().post("/gift/send", r#"{"audience_id":1,"anchor_id":7,"worth":5}"#);
    let report = server.operator().get("/audit").json();
    let checks = report["checks"].as_array().expect("checks");
    let page = Page::of(&server);
    for check in checks {
        let name = check["name"].as_str().expect("a name");
        assert_eq!(page.count("fanfare_audit_ok", &[("check", name)]), 1, "{name}");
        assert_eq!(page.count("fanfare_audit_drift", &[("check", name)]), 0, "{name}");
    }
    assert!(!checks.is_empty() && page.count("fanfare_audit_timestamp_seconds", &[]) > 0);
}

#[test]
fn a_refused_connection_is_counted() {
    let server = Start::fresh().set("http.max_connections", "1").run();
    let mut first = server.client();
    first.get("/health");
    let refused = server.client().reply_to("GET").expect("a refusal");
    assert_eq!(refused.status, 503);
    let page = Page::of(&server);
    assert_eq!(page.count("fanfare_connections_refused_total", &[]), 1);
    assert_eq!(page.count("fanfare_listener_connections_max", &[("listener", "http")]), 1);
}

/// The names of metrics in a text: words that begin like ours or a process's.
fn used_names(text: &str) -> BTreeSet<String> {
    let words = text.split(|char: char| !char.is_ascii_alphanumeric() && char != '_');
    let is_ours = |word: &&str| word.starts_with("fanfare_") || word.starts_with("process_");
    words.filter(is_ours).map(str::to_owned).collect()
}

#[test]
fn dashboard_and_alerts_use_names_that_exist() {
    let known = Page::of(&Server::start()).names();
    let dashboard = include_str!("../../src/ops/grafana/fanfare.json");
    let parsed: serde_json::Value = serde_json::from_str(dashboard).expect("JSON");
    assert!(parsed["panels"].as_array().is_some_and(|panels| panels.len() > 8));
    for text in [dashboard, include_str!("../../src/ops/alerts.yaml")] {
        let used = used_names(text);
        assert!(used.len() > 4, "{used:?}");
        let unknown: Vec<_> = used.difference(&known).collect();
        assert!(unknown.is_empty(), "{unknown:?}");
    }
}
