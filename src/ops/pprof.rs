//! `/debug/pprof/`: where the CPU's time goes, as `go tool pprof` asks for it, and as a picture; and
//! where memory went.

use super::desk::Desk;
use crate::http::{
    Answer, ContentType, Deferral, Method, Query, Request, Responder, Response, Router, Status,
    Wanted,
};
use crate::limits::{PROFILE_SECONDS_MAX, SYMBOLS_MAX};
use crate::profile::{Sampler, Samples, heap};
use std::env;
use std::ffi::c_void;
use std::fmt::Write;
use std::ptr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::Builder;
use std::time::Duration;

const INDEX: &str = "\
profile?seconds=30      CPU time by function, for go tool pprof
flamegraph?seconds=10   the same as a picture (SVG)
cmdline                 the command line, its words apart by NUL
symbol                  names of addresses: POST 0x1+0x2
heap                    what is allocated now, by function, for go tool pprof
";

/// Whether a profile is under way; one at a time in a process, whoever asks on which loop.
#[derive(Clone, Debug, Default)]
pub struct Profiling(Arc<AtomicBool>);

/// The turn of one profile; given back when dropped.
struct Turn(Arc<AtomicBool>);

impl Profiling {
    fn begin(&self) -> Option<Turn> {
        let was = self.0.swap(true, Ordering::AcqRel);
        (!was).then(|| Turn(Arc::clone(&self.0)))
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Release);
    }
}

/// What to make of the samples.
type Render = fn(&Samples) -> Result<Response, String>;

/// All calls below `/debug/pprof/`.
pub fn routes(router: Router, profiling: &Profiling, desk: &Desk) -> Router {
    let (for_go, for_people, desk) = (profiling.clone(), profiling.clone(), desk.clone());
    let for_heap = profiling.clone();
    router
        .errors("/debug/pprof", failure)
        .route(Method::Get, "/debug/pprof/", |_, _| Answer::now(text(INDEX)))
        .route(Method::Get, "/debug/pprof/profile", move |request, deferral| {
            profile(&for_go, request, 30, pprof, deferral)
        })
        .route(Method::Get, "/debug/pprof/flamegraph", move |request, deferral| {
            profile(&for_people, request, 10, flamegraph, deferral)
        })
        .route(Method::Get, "/debug/pprof/cmdline", |_, _| Answer::now(text(command_line())))
        .route(Method::Get, "/debug/pprof/symbol", |_, _| Answer::now(text("num_symbols: 1\n")))
        .route(Method::Post, "/debug/pprof/symbol", move |request, deferral| {
            let asked = String::from_utf8_lossy(request.body).into_owned();
            desk.answer(deferral, move || text(symbols(&asked)))
        })
        .route(Method::Get, "/debug/pprof/heap", move |_, deferral| {
            heap_profile(&for_heap, deferral)
        })
}

/// Starts a thread that samples for as long as was asked and somebody waits.
fn profile(
    profiling: &Profiling,
    request: &Request<'_>,
    default_s: i64,
    render: Render,
    deferral: Deferral<'_>,
) -> Answer {
    let seconds = Query::new(request.query).int("seconds", 1..=PROFILE_SECONDS_MAX);
    let seconds = match seconds {
        Ok(seconds) => seconds.unwrap_or(default_s).unsigned_abs(),
        Err(error) => return Answer::now(failure(Status::BAD_REQUEST, &error.to_string())),
    };
    let Some(turn) = profiling.begin() else {
        return Answer::now(failure(Status::CONFLICT, "another profile is under way"));
    };
    let time = Duration::from_secs(seconds);
    deferral.while_wanted(|responder, wanted| {
        let thread = Builder::new().name("profile".to_owned());
        // Without a thread the responder is dropped with the closure, which answers 500.
        let started = thread.spawn(move || sample(time, turn, render, &wanted, responder));
        if let Err(error) = started {
            tracing::error!(%error, "no thread for a profile");
        }
    })
}

fn sample(time: Duration, turn: Turn, render: Render, wanted: &Wanted, responder: Responder) {
    let sampler = match Sampler::start() {
        Ok(sampler) => sampler,
        Err(error) => {
            let why = format!("cannot profile now ({error}); does --cpu-profile run?");
            return responder.send(failure(Status::CONFLICT, &why));
        }
    };
    if !wanted.wait(time) {
        tracing::info!("a profile ends early: nobody waits for it");
    }
    let result = sampler.finish();
    // The names cost time, the next profile need not wait for them to be sent.
    let response = result.map_err(|error| error.to_string()).and_then(|samples| render(&samples));
    drop(turn);
    responder.send(response.unwrap_or_else(|error| failure(Status::INTERNAL_ERROR, &error)));
}

/// Starts a thread that writes down what is allocated: names are slow to look up. It takes the turn
/// of a profile, during which the heap stands still.
fn heap_profile(profiling: &Profiling, deferral: Deferral<'_>) -> Answer {
    if !heap::is_started() {
        let why = "the heap is not sampled: set heap_profiling = true and start again";
        return Answer::now(failure(Status::CONFLICT, why));
    }
    let Some(turn) = profiling.begin() else {
        return Answer::now(failure(Status::CONFLICT, "another profile is under way"));
    };
    deferral.later(|responder| {
        let thread = Builder::new().name("profile".to_owned());
        let started = thread.spawn(move || {
            let profile = heap::profile();
            drop(turn);
            responder.send(match profile {
                Ok(body) => attachment(body, "heap"),
                Err(error) => failure(Status::INTERNAL_ERROR, &error.to_string()),
            });
        });
        if let Err(error) = started {
            tracing::error!(%error, "no thread for a profile");
        }
    })
}

fn pprof(samples: &Samples) -> Result<Response, String> {
    let body = samples.to_pprof().map_err(|error| error.to_string())?;
    Ok(attachment(body, "profile"))
}

/// A file for a program to read.
fn attachment(body: Vec<u8>, name: &str) -> Response {
    let response = Response { content_type: ContentType::Bytes, ..Response::json(body) };
    response.with_header("Content-Disposition", &format!("attachment; filename=\"{name}\""))
}

fn flamegraph(samples: &Samples) -> Result<Response, String> {
    let stacks = samples.stacks();
    if stacks.is_empty() {
        return Err("nothing ran meanwhile: there is no picture of nothing".to_owned());
    }
    let mut svg = Vec::new();
    let mut options = inferno::flamegraph::Options::default();
    "Fanfare, CPU time".clone_into(&mut options.title);
    let lines = stacks.iter().map(String::as_str);
    inferno::flamegraph::from_lines(&mut options, lines, &mut svg)
        .map_err(|error| error.to_string())?;
    Ok(Response { content_type: ContentType::Svg, ..Response::json(svg) })
}

fn command_line() -> String {
    let words: Vec<_> = env::args_os().map(|word| word.to_string_lossy().into_owned()).collect();
    words.join("\0")
}

/// A line for each address with a name; addresses in hexadecimal, apart by `+`.
fn symbols(asked: &str) -> String {
    let mut lines = String::from("num_symbols: 1\n");
    for word in asked.trim().split('+').take(SYMBOLS_MAX) {
        let digits = word.trim().trim_start_matches("0x");
        let Ok(address) = usize::from_str_radix(digits, 16) else { continue };
        let mut name = None;
        backtrace::resolve(ptr::without_provenance_mut::<c_void>(address), |symbol| {
            name = name.take().or_else(|| symbol.name().map(|name| name.to_string()));
        });
        if let Some(name) = name {
            writeln!(lines, "{address:#x} {name}").expect("a string takes everything");
        }
    }
    lines
}

fn text(body: impl Into<crate::http::Body>) -> Response {
    Response { content_type: ContentType::Text, ..Response::json(body) }
}

/// As `go tool pprof` shows it: it prints the body only where the header stands.
fn failure(status: Status, why: &str) -> Response {
    Response { status, ..text(format!("{why}\n")) }.with_header("X-Go-Pprof", "1")
}
