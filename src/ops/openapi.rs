//! The operator's calls, and those that every listener has, as the `OpenAPI` document has them.

use crate::limits::PROFILE_SECONDS_MAX;
use crate::openapi::{
    COMMON, Part, answer, answer_in, body, boolean, int, list, not_modified, object, query, text,
    word,
};
use serde_json::{Value, json};

/// What the operator's listener is asked.
pub fn part() -> Part {
    let level =
        object(json!({ "level": word(&["error", "warn", "info", "debug", "trace"]) }), &["level"]);
    let shown = object(json!({ "level": text() }), &["level"]);
    let live = object(json!({ "live": boolean() }), &["live"]);
    let mut operator = json!({
        "/health": { "get": health() },
        "/api/v1/health": { "get": health() },
        "/openapi.json": { "get": document() },
        "/livez": { "get": {
            "summary": "The process turns.",
            "responses": { "200": answer("It does.", &live) },
        } },
        "/readyz": { "get": ready() },
        "/metrics": { "get": {
            "summary": "Figures in the text format of Prometheus.",
            "responses": { "200": answer_in("text/plain", "All families.") },
        } },
        "/audit": { "get": audit() },
        "/debug/slow": { "get": slow() },
        "/log/level": {
            "get": {
                "summary": "What is logged.",
                "responses": { "200": answer("The level.", &shown) },
            },
            "put": {
                "summary": "Changes what is logged, until the next start.",
                "requestBody": body(&level),
                "responses": { "200": answer("The level.", &shown) },
            },
        },
    });
    let profiles = profiles();
    for (path, item) in profiles.as_object().into_iter().flatten() {
        operator[path] = item.clone();
    }
    Part {
        tag: "operator",
        about: "Health, figures and profiles of the process.",
        error: COMMON,
        public: {
            let mut public = profiles; // With --dev.
            public["/health"] = json!({ "get": health() });
            public["/api/v1/health"] = json!({ "get": health() });
            public["/openapi.json"] = json!({ "get": document() });
            public
        },
        operator,
        schemas: json!({}),
    }
}

fn health() -> Value {
    let fields =
        json!({ "status": word(&["ok"]), "service": word(&["fanfare"]), "version": text() });
    json!({
        "summary": "The server serves.",
        "security": [{}],
        "responses": { "200": answer("It does.", &object(fields, &["status", "service", "version"])) },
    })
}

fn document() -> Value {
    json!({
        "summary": "This document.",
        "security": [{}],
        "responses": {
            "200": answer("The calls of this listener; the operator's has all.", &json!({ "type": "object" })),
            "304": not_modified(),
        },
    })
}

fn ready() -> Value {
    let part = object(json!({ "part": text(), "reason": text() }), &["part", "reason"]);
    let fields = json!({ "ready": boolean(), "missing": list(&part) });
    let schema = object(fields, &["ready", "missing"]);
    json!({
        "summary": "Whether the process can do its work.",
        "responses": {
            "200": answer("It can.", &schema),
            // 503 is also what a full queue says.
            "503": answer("Something is missing.", &json!({ "type": "object" })),
        },
    })
}

fn audit() -> Value {
    let number = json!({ "type": "integer" });
    let check = json!({
        "name": text(), "left": number, "right": number, "ok": boolean(),
        "first_bad": { "type": ["integer", "string", "null"] },
    });
    let check = object(check, &["name", "left", "right", "ok", "first_bad"]);
    let report = object(json!({ "ok": boolean(), "checks": list(&check) }), &["ok", "checks"]);
    json!({
        "summary": "Recomputes every figure from its record, and compares.",
        "responses": { "200": answer("What was compared.", &report) },
    })
}

fn slow() -> Value {
    let request = json!({ "type": "object" });
    json!({
        "summary": "The last slow requests, newest first, and where their time went.",
        "responses": { "200": answer("Times in milliseconds.", &list(&request)) },
    })
}

/// Below `/debug/pprof/`; errors are texts, as `go tool pprof` reads them.
fn profiles() -> Value {
    let text_error = |about: &str| answer_in("text/plain", about);
    let call = |summary: &str, media: &str| {
        json!({
            "summary": summary,
            "responses": { "200": answer_in(media, "As `go tool pprof` reads it.") },
        })
    };
    let timed = |summary: &str, media: &str| {
        let mut timed = call(summary, media);
        let seconds = int(1, PROFILE_SECONDS_MAX);
        timed["parameters"] = json!([query("seconds", seconds, "How long to sample.")]);
        timed["responses"]["400"] = text_error("The time is out of range.");
        timed["responses"]["409"] = text_error("Another profile is under way.");
        timed["responses"]["500"] = text_error("It failed, or nothing ran meanwhile.");
        timed
    };
    let mut symbols = call("Names of addresses.", "text/plain");
    symbols["requestBody"] = json!({ "content": { "text/plain": { "schema": text() } } });
    let mut heap = call("What is allocated now, by function.", "application/octet-stream");
    heap["responses"]["409"] = text_error("The heap is not sampled, or a profile is under way.");
    heap["responses"]["500"] = text_error("It failed.");
    json!({
        "/debug/pprof/": { "get": call("What there is.", "text/plain") },
        "/debug/pprof/profile": { "get": timed("CPU time by function.", "application/octet-stream") },
        "/debug/pprof/flamegraph": { "get": timed("The same as a picture.", "image/svg+xml") },
        "/debug/pprof/cmdline": { "get": call("The command line.", "text/plain") },
        "/debug/pprof/symbol": {
            "get": call("Whether names are known.", "text/plain"),
            "post": symbols,
        },
        "/debug/pprof/heap": { "get": heap },
    })
}
