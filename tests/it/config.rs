//! The layers of the configuration, the defaults and what every wrong value is told.

use fanfare::config::{Backend, Config, DEFAULTS, Flags, Format, Layout, Level, Sources};
use fanfare::limits;
use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs;
use std::time::Duration;
use tempfile::TempDir;

/// A file of that name with that text; the folder lives as long as the guard.
fn file(name: &str, text: &str) -> (TempDir, Sources) {
    let folder = tempfile::tempdir().expect("a temp folder");
    let path = folder.path().join(name);
    fs::write(&path, text).expect("written");
    (folder, Sources { file: Some(path), ..Sources::default() })
}

fn variables(pairs: &[(&str, &str)]) -> Vec<(OsString, OsString)> {
    pairs.iter().map(|(name, value)| (name.into(), value.into())).collect()
}

fn from_environment(pairs: &[(&str, &str)]) -> Result<Config, Vec<String>> {
    let sources = Sources { environment: variables(pairs), ..Sources::default() };
    Config::load(&sources).map_err(|errors| errors.0)
}

fn from_file(name: &str, text: &str) -> Result<Config, Vec<String>> {
    let (_folder, sources) = file(name, text);
    Config::load(&sources).map_err(|errors| errors.0)
}

/// The errors about a TOML file, without the file's name in front of them.
fn errors(text: &str) -> Vec<String> {
    let (folder, sources) = file("f.toml", text);
    let prefix = format!("{}: ", folder.path().join("f.toml").display());
    let errors = Config::load(&sources).expect_err("an error").0;
    errors.iter().map(|line| line.replace(&prefix, "")).collect()
}

/// The dotted keys of TOML text, in our own plain subset: one `key = value` a line.
fn keys(text: &str) -> BTreeSet<String> {
    let mut section = String::new();
    let mut keys = BTreeSet::new();
    for line in text.lines().map(str::trim).filter(|line| !line.starts_with('#')) {
        if let Some(name) = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            section = format!("{name}.");
        } else if let Some((key, _)) = line.split_once(" = ") {
            assert!(keys.insert(format!("{section}{key}")), "{section}{key} comes twice");
        }
    }
    keys
}

#[test]
fn the_commented_file_names_every_key_and_no_other() {
    assert_eq!(keys(DEFAULTS), keys(&Config::default().to_toml()));
}

#[test]
fn the_defaults_are_those_that_the_limits_state() {
    let config = Config::default();
    assert_eq!(config.http.max_request_line, limits::REQUEST_LINE_BYTES_MAX);
    assert_eq!(config.http.max_header_bytes, limits::HEADER_BYTES_MAX);
    assert_eq!(config.http.max_header_count, limits::HEADER_COUNT_MAX);
    assert_eq!(config.http.max_body, limits::BODY_BYTES_MAX);
    assert_eq!(config.backend, Backend::Local);
    assert_eq!(config.tlv.layout, Layout::Auto);
    assert_eq!(*config.gift.keep.week, Duration::from_hours(371 * 24));
    assert_eq!((config.log.level, config.log.format), (Level::Info, Format::Text));
}

#[test]
fn what_check_prints_can_be_read_back() {
    let shown = Config::default().to_toml();
    let (_folder, sources) = file("shown.toml", &shown);
    assert_eq!(Config::load(&sources).expect("its own output").to_toml(), shown);
}

#[test]
fn flags_win_over_environment_over_file_over_defaults() {
    let text = "data_dir = \"file\"\nreaders = 5\nloops = 5\n[http]\nlisten = \"127.0.0.5:5\"\n";
    let (_folder, mut sources) = file("f.toml", text);
    sources.environment = variables(&[
        ("FANFARE__DATA_DIR", "environment"),
        ("FANFARE__READERS", "6"),
        ("FANFARE_LOOPS", "9"),
        ("FANFARE", "9"),
    ]);
    sources.flags = Flags { data: Some("flag".to_owned()), ..Flags::default() };
    let config = Config::load(&sources).expect("a good configuration");
    assert_eq!(config.data_dir, "flag");
    assert_eq!(config.readers, 6);
    assert_eq!(config.loops, 5);
    assert_eq!(config.http.listen.to_string(), "127.0.0.5:5");
    assert_eq!(config.tlv.listen.to_string(), "0.0.0.0:8999");
}

#[test]
fn toml_yaml_and_json_say_the_same() {
    for (name, text) in [
        ("f.toml", "loops = 2\n[gift.keep]\nhour = \"72h\"\n"),
        ("f.yaml", "loops: 2\ngift:\n  keep:\n    hour: 72h\n"),
        ("f.yml", "{loops: 2, gift: {keep: {hour: 72h}}}"),
        ("f.json", r#"{"loops": 2, "gift": {"keep": {"hour": "72h"}}}"#),
    ] {
        let (_folder, sources) = file(name, text);
        let config = Config::load(&sources).expect(name);
        assert_eq!((config.loops, *config.gift.keep.hour), (2, Duration::from_hours(72)), "{name}");
    }
}

#[test]
fn a_file_that_cannot_be_understood_is_refused_by_name() {
    let missing = Sources { file: Some("no/such.toml".into()), ..Sources::default() };
    let text = Config::load(&missing).expect_err("missing").to_string();
    assert!(text.starts_with("no/such.toml: cannot be read: "), "{text}");
    let (_folder, sources) = file("f.ini", "");
    let text = Config::load(&sources).expect_err("no such format").to_string();
    assert!(text.ends_with("expected a file that ends in .toml, .yaml, .yml or .json"), "{text}");
    for (name, text) in [("f.toml", "a = = 1"), ("f.yaml", "a: [1"), ("f.json", "{")] {
        let (_folder, sources) = file(name, text);
        let error = Config::load(&sources).expect_err("broken").to_string();
        assert!(error.contains(name), "{error}");
    }
}

#[test]
fn a_broken_file_is_told_by_its_line_and_not_quoted() {
    let found = errors("loops = 1\n[admin]\ntoken = \"sixteen-or-more-bytes\n");
    assert_eq!(found.len(), 1);
    assert!(found[0].contains("line 3") && !found[0].contains("sixteen"), "{found:?}");
}

#[test]
fn an_unknown_key_is_refused_and_the_nearest_named() {
    for (text, expected) in [
        ("lops = 1", "there is no key lops; did you mean loops?"),
        ("[tlv]\nlistn = \"x\"", "there is no key tlv.listn; did you mean tlv.listen?"),
        ("[http]\nmax-body = 1", "there is no key http.max-body; did you mean http.max_body?"),
        ("[HTTP]\nmax_body = 1", "there is no key HTTP.max_body; did you mean http.max_body?"),
        ("xyzzy = 1", "there is no key xyzzy; fanfare.toml names them all"),
        ("dev = true", "dev is a section; its keys are dev.test_data"),
    ] {
        assert_eq!(errors(text), [expected], "{text}");
    }
}

#[test]
fn types_of_counters_have_names_of_the_operators_own() {
    let text = "[counter.types.like]\nunique = true\n[counter.types.\"a.b\"]\nunique = false\n\
                [counter.types.\"点赞\"]\nunique = true";
    let config = from_file("types.toml", text).expect("all are names");
    let unique: Vec<_> =
        config.counter.types.iter().map(|(name, of)| (name.as_str(), of.unique)).collect();
    assert_eq!(unique, [("a.b", false), ("like", true), ("点赞", true)]);
    let shown = from_file("shown.toml", &config.to_toml()).expect("what it shows can be read");
    assert_eq!(shown.counter.types, config.counter.types);
    let set = from_environment(&[("FANFARE__COUNTER__TYPES__LIKE__UNIQUE", "true")]);
    assert!(set.expect("a variable can name one").counter.types["like"].unique);
    for (text, expected) in [
        (
            "[counter.types.like]\nuniqe = true",
            "there is no key counter.types.like.uniqe; fanfare.toml names them all",
        ),
        (
            "[counter.types.like]\nunique = 1",
            "counter.types.like.unique = 1: expected true or false",
        ),
        (
            "[counter.types.\"\\t\"]\nunique = true",
            "counter.types.\t.unique = true: expected a type's name of 1 to 128 bytes without \
             control characters",
        ),
    ] {
        let errors = errors(text);
        assert!(errors.len() == 1 && errors[0].contains(expected), "{text}: {errors:?}");
    }
}

#[test]
fn an_unknown_variable_is_refused_and_the_nearest_named() {
    for (name, expected) in [
        ("FANFARE__LOPS", "sets no key; did you mean FANFARE__LOOPS (loops)?"),
        ("FANFARE__loops", "sets no key; did you mean FANFARE__LOOPS (loops)?"),
        ("FANFARE__HTTP_LISTEN", "sets no key; did you mean FANFARE__HTTP__LISTEN (http.listen)?"),
        ("FANFARE__", "sets no key; fanfare.toml names them all"),
    ] {
        let errors = from_environment(&[(name, "1")]).expect_err("an error");
        assert_eq!(errors, [format!("{name}: {expected}")]);
    }
}

#[test]
fn a_wrong_value_is_told_what_is_allowed() {
    for (text, expected) in [
        ("loops = 1025", "loops = 1025: expected a whole number from 0 to 1024"),
        ("loops = 1.0", "loops = 1: expected a whole number from 0 to 1024"),
        ("loops = \"2\"", "loops = \"2\": expected a whole number from 0 to 1024"),
        ("readers = 0", "readers = 0: expected a whole number from 1 to 64"),
        ("readers = [1]", "readers = […]: expected a whole number from 1 to 64"),
        ("http.max_body = 0", "http.max_body = 0: expected a whole number from 1 to 67108864"),
        (
            "drain_timeout = 10",
            "drain_timeout = 10: expected a duration such as \"10s\", from 0s to 1h",
        ),
        (
            "drain_timeout = \"2h\"",
            "drain_timeout = \"2h\": expected a duration such as \"10s\", from 0s to 1h",
        ),
        (
            "idempotency.keep = \"23h\"",
            "idempotency.keep = \"23h\": expected a duration such as \"10s\", from 1d to 3660d",
        ),
        (
            "tlv.layout = \"mixed\"",
            "tlv.layout = \"mixed\": expected \"auto\" or \"big\" or \"little\"",
        ),
        (
            "[cluster]\nredis = \"http://secret@a\"",
            "cluster.redis = ***: expected redis://host:port, several separated by commas",
        ),
        (
            "[cluster]\ngifts = \"a b\"",
            "cluster.gifts = \"a b\": expected 1 to 48 letters, digits, _ or -",
        ),
        (
            "[cluster]\ncounters = \"gifts\"",
            "cluster.counters = \"gifts\": expected another collection than cluster.gifts",
        ),
        ("[mongo]\nthreads = 11", "mongo.threads = 11: expected a whole number from 1 to 10"),
        ("dev.test_data = 1", "dev.test_data = 1: expected true or false"),
        ("dev.test_data = \"true\"", "dev.test_data = \"true\": expected true or false"),
        ("data_dir = \"\"", "data_dir = \"\": expected the name of a folder"),
        (
            "time_zone = \"Asia/Tokio\"",
            "time_zone = \"Asia/Tokio\": expected an IANA time zone, such as \"Asia/Tokyo\"",
        ),
        (
            "http.listen = \":8080\"",
            "http.listen = \":8080\": expected host:port, such as 127.0.0.1:8080 or [::1]:0",
        ),
        (
            "tlv.listen = \"127.0.0.1\"",
            "tlv.listen = \"127.0.0.1\": expected host:port, such as 127.0.0.1:8080 or [::1]:0",
        ),
    ] {
        assert_eq!(errors(text), [expected], "{text}");
    }
}

#[test]
fn a_backend_that_this_program_has_not_is_refused() {
    let expected = if cfg!(feature = "cluster") {
        "backend = \"redis\": expected \"local\" or \"cluster\""
    } else {
        "backend = \"redis\": expected \"local\""
    };
    let errors = errors("backend = \"redis\"");
    assert!(errors.len() == 1 && errors[0].ends_with(expected), "{errors:?}");
}

#[test]
fn variables_are_text_and_mean_what_their_key_means() {
    let config = from_environment(&[
        ("FANFARE__LOOPS", "4"),
        ("FANFARE__DEV__TEST_DATA", "true"),
        ("FANFARE__GIFT__KEEP__DAY", "40d"),
        ("FANFARE__TLV__LAYOUT", "little"),
        ("FANFARE__DATA_DIR", "1"),
        ("OTHER", "1"),
    ])
    .expect("a good configuration");
    assert_eq!((config.loops, config.dev.test_data), (4, true));
    assert_eq!(*config.gift.keep.day, Duration::from_hours(40 * 24));
    assert_eq!((config.tlv.layout, config.data_dir.as_str()), (Layout::Little, "1"));
    let errors = from_environment(&[("FANFARE__LOOPS", "")]).expect_err("an error");
    assert_eq!(errors, ["FANFARE__LOOPS: loops = \"\": expected a whole number from 0 to 1024"]);
}

#[test]
fn several_errors_are_told_at_once() {
    let found = errors("loops = -1\nreaders = 0\nlops = 1\n[http]\nmax_body = 0\n");
    assert_eq!(found.len(), 4, "{found:?}");
}

#[test]
fn an_operator_listener_open_to_others_needs_a_token() {
    let open = "admin.listen = \"0.0.0.0:9464\"\n";
    let refusal = "admin.listen = \"0.0.0.0:9464\": expected a loopback address, unless \
                   admin.token is set";
    assert_eq!(errors(open), [refusal]);
    let (_folder, sources) = file("f.toml", &format!("{open}admin.token = \"0123456789abcdef\""));
    let config = Config::load(&sources).expect("a token is set");
    assert_eq!(config.admin.token.expose(), "0123456789abcdef");
    assert_eq!(format!("{:?}", config.admin.token), "\"***\"");
}

#[test]
fn a_bad_token_is_refused_without_being_shown() {
    for bad in ["has a space within", "umlauts-are-höllish"] {
        let found = errors(&format!("admin.token = \"{bad}\""));
        assert_eq!(
            found,
            ["admin.token = ***: expected nothing or 1 to 256 visible ASCII characters"]
        );
    }
}

#[test]
fn two_listeners_cannot_share_an_address() {
    let text = "http.listen = \"127.0.0.1:7000\"\ntlv.listen = \"0.0.0.0:7000\"\n";
    let refusal = "tlv.listen = \"0.0.0.0:7000\": expected another address than http.listen \
                   (127.0.0.1:7000)";
    assert_eq!(errors(text), [refusal]);
    let free = "http.listen = \"127.0.0.1:0\"\ntlv.listen = \"127.0.0.1:0\"\n";
    let (_folder, sources) = file("f.toml", free);
    Config::load(&sources).expect("port 0 is another port each time");
}

#[test]
fn dev_turns_test_data_on_and_stays_on_this_machine() {
    let flags = Flags { dev: true, ..Flags::default() };
    let config = Config::load(&Sources { flags: flags.clone(), ..Sources::default() });
    let config = config.expect("a good configuration");
    assert!(config.dev.test_data);
    assert_eq!(config.http.listen.to_string(), "127.0.0.1:8080");
    assert_eq!(config.tlv.listen.to_string(), "127.0.0.1:8999");
    let (_folder, chosen) = file("f.toml", "http.listen = \"127.0.0.2:80\"");
    let chosen = Config::load(&Sources { flags: flags.clone(), ..chosen }).expect("loopback too");
    assert_eq!(chosen.http.listen.to_string(), "127.0.0.2:80");
    let environment = variables(&[("FANFARE__HTTP__LISTEN", "0.0.0.0:8080")]);
    let open = Sources { flags, environment, ..Sources::default() };
    let errors = Config::load(&open).expect_err("open to all").0;
    assert!(errors[0].starts_with("FANFARE__HTTP__LISTEN: http.listen = \"0.0.0.0:8080\": "));
}

#[test]
fn the_ranges_of_a_rain_are_those_of_its_terms() {
    use fanfare::packet::{MAX_PER_USER, PACKET_FEN, TOTAL_AMOUNT_FEN, TOTAL_COUNT, WIN_PPM};
    for (key, range) in [
        ("TOTAL_AMOUNT_FEN", TOTAL_AMOUNT_FEN),
        ("TOTAL_COUNT", TOTAL_COUNT),
        ("MIN_FEN", PACKET_FEN),
        ("MAX_FEN", PACKET_FEN),
        ("WIN_PPM", WIN_PPM),
        ("MAX_PER_USER", MAX_PER_USER),
    ] {
        let set = |value: i64| {
            let (name, value) = (format!("FANFARE__RAIN__{key}"), value.to_string());
            from_environment(&[(&name, &value)]).is_ok()
        };
        assert!(set(*range.start()) && set(*range.end()), "{key}");
        assert!(!set(range.start() - 1) && !set(range.end() + 1), "{key}");
    }
}
