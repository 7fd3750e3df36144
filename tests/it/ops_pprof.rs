//! `/debug/pprof/`: profiles that `go tool pprof` reads, one at a time, for as long as somebody waits.

use crate::client::{Client, Reply};
use crate::server::{Server, Start};
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

/// Keeps a server busy from two connections while `work` runs.
fn under_load<T>(server: &Server, work: impl FnOnce() -> T) -> T {
    /// Ends the load even where `work` panics: a failed test must not wait for ever.
    struct Stop<'a>(&'a AtomicBool);
    impl Drop for Stop<'_> {
        fn drop(&mut self) {
            self.0.store(true, Ordering::Relaxed);
        }
    }
    let stop = AtomicBool::new(false);
    let load = || {
        let mut client = server.client();
        while !stop.load(Ordering::Relaxed) {
            assert_eq!(client.get("/gift/top?num=10").status, 200);
            let gift = r#"{"audience_id":1,"anchor_id":7,"worth":5}"#;
            assert_eq!(client.post("/gift/send", gift).status, 200);
        }
    };
    thread::scope(|scope| {
        scope.spawn(load);
        scope.spawn(load);
        let _stop = Stop(&stop);
        work()
    })
}

#[track_caller]
fn check_failure(reply: &Reply, status: u16, part: &str) {
    let text = String::from_utf8_lossy(&reply.body);
    assert_eq!(reply.status, status, "{text}");
    assert_eq!(reply.header("X-Go-Pprof"), Some("1"), "without it go shows no reason");
    assert!(text.contains(part), "{text}");
}

/// What `go` says; it must be there: profiles are promised in its words.
#[track_caller]
fn go(args: &[&str]) -> String {
    let output = Command::new("go").args(args).env("PPROF_NO_BROWSER", "1").output();
    let output = output.expect("go is needed for this test: apt-get install golang-go");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{error}{text}");
    text
}

#[test]
fn go_reads_the_profile_and_names_our_functions() {
    let server = Server::start();
    let folder = tempfile::tempdir().expect("a temporary folder");
    let url = format!("http://{}/debug/pprof/profile?seconds=2", server.admin);
    let temp = folder.path().to_str().expect("UTF-8");
    let text = under_load(&server, || {
        let save = format!("-output={temp}/top.txt");
        go(&["tool", "pprof", "-top", "-nodecount=400", &save, &url]);
        std::fs::read_to_string(folder.path().join("top.txt")).expect("written")
    });
    assert!(text.contains("Type: cpu"), "{text}");
    for name in ["fanfare::net::event_loop", "fanfare::http"] {
        assert!(text.contains(name), "{name} is not in\n{text}");
    }
}

/// A server that notes one allocation for every 4 KiB, if its build can.
fn start_sampling() -> Start {
    let sampling = cfg!(feature = "heap-profiles").to_string();
    let start = Start::fresh().set("heap_profiling", &sampling);
    start.env("_RJEM_MALLOC_CONF", "lg_prof_sample:12")
}

#[cfg(feature = "heap-profiles")]
#[test]
fn go_reads_the_heap_and_names_our_functions() {
    let server = start_sampling().run();
    let folder = tempfile::tempdir().expect("a temporary folder");
    let url = format!("http://{}/debug/pprof/heap", server.admin);
    let temp = folder.path().to_str().expect("UTF-8");
    let save = format!("-output={temp}/top.txt");
    go(&["tool", "pprof", "-top", "-nodecount=400", &save, &url]);
    let text = std::fs::read_to_string(folder.path().join("top.txt")).expect("written");
    assert!(text.contains("Type: inuse_space"), "{text}");
    for name in ["fanfare::net::event_loop", "fanfare::net::timers"] {
        assert!(text.contains(name), "{name} is not in\n{text}");
    }
    for name in ["_rjem_", "prof_backtrace"] {
        assert!(!text.contains(name), "{name}, the allocator's own, is in\n{text}");
    }
}

#[cfg(feature = "heap-profiles")]
#[test]
fn heap_and_cpu_take_turns_and_dev_serves_both_in_public() {
    let server = start_sampling().arg("--dev").run();
    let waits = begin_profile(&server, "");
    check_failure(&server.operator().get("/debug/pprof/heap"), 409, "another profile");
    drop(waits);
    let mut client = server.client();
    let reply = loop {
        let reply = client.get("/debug/pprof/heap");
        if reply.status != 409 {
            break reply;
        }
    };
    assert_eq!(reply.status, 200);
    assert_eq!(reply.header("Content-Type"), Some("application/octet-stream"));
    assert!(reply.body.len() > 1_000, "only {} bytes", reply.body.len());
}

#[cfg(not(feature = "heap-profiles"))]
#[test]
fn a_build_without_heap_profiles_refuses_to_start_with_them() {
    let error = Start::fresh().set("heap_profiling", "true").refused();
    assert!(error.contains("heap_profiling"), "{error}");
}

#[test]
fn a_flamegraph_is_a_picture_with_our_functions_in_it() {
    let server = Server::start();
    let reply = under_load(&server, || server.operator().get("/debug/pprof/flamegraph?seconds=1"));
    assert_eq!((reply.status, reply.header("Content-Type")), (200, Some("image/svg+xml")));
    let svg = String::from_utf8(reply.body).expect("UTF-8");
    assert!(svg.contains("<svg") && svg.contains("fanfare::http"), "{svg}");
}

/// Asks until a profile starts: what is returned is the connection that waits for it.
fn begin_profile(server: &Server, fields: &str) -> Client {
    let mut client = server.operator();
    let head = "GET /debug/pprof/profile?seconds=3000 HTTP/1.1\r\nHost: a\r\n";
    client.send(format!("{head}{fields}\r\n").as_bytes()).expect("sent");
    let mut other = server.operator();
    // Both connections are on the one loop that serves operators, but not in a known order.
    loop {
        let reply = other.get("/debug/pprof/flamegraph?seconds=1");
        if reply.status == 409 {
            check_failure(&reply, 409, "another profile is under way");
            return client;
        }
    }
}

/// For so many seconds, set by `PROFILE_SECONDS`: 1 unless told, more in `tests/soak.sh`.
#[test]
fn profiles_one_after_the_other_under_load_harm_nobody() {
    let seconds = std::env::var("PROFILE_SECONDS").map_or(Ok(1), |text| text.parse::<u64>());
    let mut left = seconds.expect("PROFILE_SECONDS is a number");
    let server = start_sampling().run();
    under_load(&server, || {
        let mut operator = server.operator();
        while left > 0 {
            let next = left.min(30);
            left -= next;
            let reply = operator.get(&format!("/debug/pprof/profile?seconds={next}"));
            assert_eq!(reply.status, 200);
            let heap = if cfg!(feature = "heap-profiles") { 200 } else { 409 };
            assert_eq!(operator.get("/debug/pprof/heap").status, heap);
        }
    });
    server.stop();
}

#[test]
fn one_profile_at_a_time_and_a_client_that_hangs_up_ends_its_own() {
    let server = Server::start();
    let mut operator = server.operator();
    // One that asked for the end of its connection is still heard when it goes first.
    for fields in ["", "Connection: close\r\n"] {
        drop(begin_profile(&server, fields));
        // The next begins as soon as the first was noticed to be unwanted.
        let status = loop {
            let reply = operator.get("/debug/pprof/profile?seconds=1");
            if reply.status != 409 {
                break reply.status;
            }
        };
        assert_eq!(status, 200);
    }
}

#[test]
fn a_process_that_stops_waits_for_no_profile() {
    let server = Server::start();
    let mut client = begin_profile(&server, "");
    server.stop();
    let reply = client.reply_to("GET").expect("what was sampled so far");
    assert_eq!(reply.status, 200);
}

#[test]
fn a_silent_profile_outlives_every_time_out_of_the_listener() {
    let quick =
        ["http.idle_timeout", "http.head_timeout", "http.body_timeout", "http.write_timeout"];
    let start = quick.iter().fold(Start::fresh(), |start, key| start.set(key, "50ms"));
    let server = start.run();
    let reply = server.operator().get("/debug/pprof/profile?seconds=1");
    assert_eq!(reply.status, 200);
    assert_eq!(reply.header("Content-Type"), Some("application/octet-stream"));
}

#[test]
fn the_small_calls_answer_as_go_expects() {
    let server = Server::start();
    let mut operator = server.operator();
    let text = |reply: Reply| String::from_utf8(reply.body).expect("UTF-8");
    assert!(text(operator.get("/debug/pprof/")).contains("flamegraph"));
    let line = text(operator.get("/debug/pprof/cmdline"));
    assert!(line.contains("fanfare\0serve\0--data\0"), "{line:?}");
    assert_eq!(text(operator.get("/debug/pprof/symbol")), "num_symbols: 1\n");
    let symbols = text(operator.post("/debug/pprof/symbol", "0x1+zz+0x2"));
    assert_eq!(symbols, "num_symbols: 1\n", "no function is there");
    check_failure(&operator.get("/debug/pprof/heap"), 409, "heap_profiling");
    check_failure(&operator.get("/debug/pprof/mutex"), 404, "no such path");
    check_failure(&operator.post("/debug/pprof/profile", ""), 405, "not allowed");
    for wrong in ["0", "-1", "x", "3601", "1&seconds=2"] {
        let target = format!("/debug/pprof/profile?seconds={wrong}");
        check_failure(&operator.get(&target), 400, "seconds");
    }
    assert_eq!(server.client().get("/debug/pprof/").status, 404, "not in public");
}

#[test]
fn dev_serves_profiles_in_public_and_a_profile_of_the_run_excludes_others() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("cpu.pprof");
    let start = Start::fresh().arg("--dev").arg("--cpu-profile");
    let server = start.arg(file.to_str().expect("UTF-8")).run();
    let mut client = server.client();
    assert_eq!(client.get("/debug/pprof/").status, 200);
    check_failure(&client.get("/debug/pprof/profile?seconds=1"), 409, "--cpu-profile");
    server.stop();
    assert!(file.exists());
}
