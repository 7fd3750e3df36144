//! The pages and their stream as the `OpenAPI` document has them.

use super::FILES;
use crate::http::ContentType;
use crate::openapi::{COMMON, Part, answer_in, int, not_modified, query, word};
use serde_json::{Value, json};

/// What a browser asks for.
pub fn part() -> Part {
    let mut public = json!({ "/live/stream": { "get": stream() } });
    for (path, content_type, _) in FILES {
        public[path] = json!({ "get": file(path, *content_type) });
    }
    Part {
        tag: "pages",
        about: "The live page, the overlay for broadcasts, and the stream behind both.",
        error: COMMON,
        public,
        operator: json!({}),
        schemas: json!({}),
    }
}

fn file(path: &str, content_type: ContentType) -> Value {
    let summary = match path {
        "/" => "The live page.",
        "/overlay" => "The board as a transparent overlay.",
        _ => "A file of the pages.",
    };
    let answer = answer_in(media(content_type), "The file, which is part of the program.");
    json!({ "summary": summary, "responses": { "200": answer, "304": not_modified() } })
}

fn media(content_type: ContentType) -> &'static str {
    match content_type {
        ContentType::Html => "text/html",
        ContentType::Css => "text/css",
        ContentType::JavaScript => "text/javascript",
        ContentType::Svg => "image/svg+xml",
        _ => "application/octet-stream",
    }
}

fn stream() -> Value {
    let period = word(&["all", "hour", "day", "week"]);
    json!({
        "summary": "Everything that the live page shows: server-sent events without an end.",
        "parameters": [
            query("num", int(0, 1_000), "Places of the board; 10 unless told."),
            query("period", period, "Of the board; all time unless told."),
        ],
        "responses": {
            "200": answer_in("text/event-stream", "Events `board`, `rates` and those of other domains."),
        },
    })
}
