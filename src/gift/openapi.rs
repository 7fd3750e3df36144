//! The gift calls as the `OpenAPI` document has them.

use super::decode::{AROUND_MAX, OFFSET_MAX, PAGE_NUM_MAX, TOP_NUM_MAX};
use super::{REASON_BYTES, WORTH};
use crate::openapi::{
    COMMON, Part, answer, answer_in, any_int, body, data, error, idempotency_key, int, list, named,
    not_modified, object, query, request_id, required_query, text, word,
};
use serde_json::{Value, json};

/// All of them.
pub fn part() -> Part {
    Part {
        tag: "gift",
        about: "Gifts, the boards of who received most, and the journal behind them.",
        error: COMMON,
        public: json!({
            "/gift/send": { "post": send() },
            "/gift/top": { "get": top() },
            "/gift/rank": { "get": rank() },
            "/gift/worth": { "get": worth() },
            "/gift/journal": { "get": journal() },
            "/gift/fans": { "get": fans() },
            "/gift/stream": { "get": stream() },
            "/gift/add_test_data": test_data(),
        }),
        operator: json!({
            "/gift/revoke": { "post": revoke() },
            "/gift/config": { "get": config() },
        }),
        schemas: schemas(),
    }
}

fn send() -> Value {
    let gift = json!({
        "audience_id": named("Id"),
        "anchor_id": named("Id"),
        "worth": int(*WORTH.start(), *WORTH.end()),
        "request_id": request_id(),
    });
    let mut gift = object(gift, &["audience_id", "anchor_id", "worth"]);
    gift["description"] = json!("Old clients may write `auchor_id` for `anchor_id`.");
    json!({
        "summary": "Sends a gift; answered when it is durable.",
        "parameters": [idempotency_key()],
        "requestBody": body(&gift),
        "responses": {
            "200": done("The gift, from its journal entry.", &named("SentGift")),
            "409": error("The total would leave 64 bits, or the key named another gift.", COMMON),
        },
    })
}

fn revoke() -> Value {
    let reason = json!({
        "type": "string",
        "minLength": REASON_BYTES.start(),
        "description": format!("At most {} bytes.", REASON_BYTES.end()),
    });
    let fields = json!({ "id": named("Id"), "reason": reason, "request_id": request_id() });
    json!({
        "summary": "Takes a gift back, by an entry of its own in the journal.",
        "parameters": [idempotency_key()],
        "requestBody": body(&object(fields, &["id", "reason"])),
        "responses": {
            "200": done("The compensating entry.", &named("RevokedGift")),
            "404": error("There is no such gift.", COMMON),
            "409": error("It is itself a revoke, or the key named another command.", COMMON),
        },
    })
}

fn top() -> Value {
    let offset = query("offset", int(0, OFFSET_MAX), "Places to skip.");
    let at = query("at", int(0, i64::MAX), "Unix seconds: the period that held this moment.");
    let board = json!({
        "code": int(0, 0),
        "message": text(),
        "data": list(&named("AnchorPlace")),
        "from": any_int(),
        "until": any_int(),
    });
    let mut board = object(board, &["code", "message", "data"]);
    board["description"] = json!("`from` and `until` (unix seconds) where it is of a period.");
    json!({
        "summary": "Who received most.",
        "parameters": [num(TOP_NUM_MAX), offset, period(), at],
        "responses": {
            "200": answer("Places in order.", &board),
            "304": not_modified(),
            "404": error("The board of that time is no longer kept.", COMMON),
        },
    })
}

fn rank() -> Value {
    let around = query("around", int(0, AROUND_MAX), "Neighbours on each side; 2 unless told.");
    json!({
        "summary": "Where an anchor stands, and what is missing to the next.",
        "parameters": [anchor(), around, period()],
        "responses": {
            "200": data("The place and its neighbours.", &named("Standing")),
            "404": error("The anchor is not on this board.", COMMON),
        },
    })
}

fn worth() -> Value {
    let total = json!({ "anchor_id": any_int(), "total_worth": any_int() });
    json!({
        "summary": "What an anchor received in all.",
        "parameters": [anchor()],
        "responses": {
            "200": data("The total.", &object(total, &["anchor_id", "total_worth"])),
            "404": error("The anchor never had a gift.", COMMON),
        },
    })
}

fn journal() -> Value {
    let before = query("before", named("Id"), "The cursor `next` of the page before.");
    let page = json!({
        "code": int(0, 0),
        "message": text(),
        "data": list(&named("JournalEntry")),
        "next": any_int(),
    });
    json!({
        "summary": "What an anchor was given, newest first.",
        "parameters": [anchor(), num(PAGE_NUM_MAX), before],
        "responses": {
            "200": answer(
                "A page; `next` while there is more.",
                &object(page, &["code", "message", "data"]),
            ),
        },
    })
}

fn fans() -> Value {
    json!({
        "summary": "Who gave an anchor most.",
        "parameters": [anchor(), num(PAGE_NUM_MAX)],
        "responses": { "200": data("Places in order.", &list(&named("FanPlace"))) },
    })
}

fn stream() -> Value {
    let header = json!({
        "name": "Last-Event-ID",
        "in": "header",
        "description": "The version that the client shows.",
        "schema": text(),
    });
    json!({
        "summary": "Follows a board: server-sent events, the whole board whenever it changed.",
        "parameters": [num(TOP_NUM_MAX), period(), header],
        "responses": { "200": answer_in("text/event-stream", "Events `board`, without an end.") },
    })
}

/// Any method will do.
fn test_data() -> Value {
    let fields = object(json!({ "code": int(0, 0), "message": text() }), &["code", "message"]);
    let call = json!({
        "summary": "Sends a random gift (dev.test_data).",
        "responses": {
            "200": answer("Done.", &fields),
            "409": error("The total would leave 64 bits.", COMMON),
        },
    });
    json!({ "get": call, "post": call, "put": call, "patch": call, "delete": call })
}

fn config() -> Value {
    let addresses = list(&text());
    let view = json!({ "backend": text(), "redis": addresses, "mongo": addresses });
    json!({
        "summary": "Where gifts are kept, secrets hidden.",
        "responses": { "200": data("The record and the view.", &object(view, &["backend"])) },
    })
}

fn schemas() -> Value {
    let int = any_int();
    let sent = json!({ "id": int, "anchor_id": int, "worth": int, "time": int });
    let revoked = json!({
        "id": int, "revokes": int, "audience_id": int, "anchor_id": int, "worth": int, "time": int,
    });
    let entry = json!({
        "id": int, "audience_id": int, "auchor_id": int, "anchor_id": int, "worth": int,
        "time": int, "revokes": int,
    });
    let place = ["total_worth", "rank"];
    let neighbour = json!({
        "anchor_id": int, "total_worth": int, "rank": int,
        "distance": { "type": "integer", "minimum": 0 },
    });
    let neighbour = object(neighbour, &["anchor_id", "total_worth", "rank", "distance"]);
    let or_null = json!({ "anyOf": [neighbour, { "type": "null" }] });
    let standing = json!({
        "anchor_id": int, "total_worth": int, "rank": int, "reached_at_us": int,
        "ahead": or_null, "behind": or_null, "around": list(&named("AnchorPlace")),
    });
    let of_standing =
        ["anchor_id", "total_worth", "rank", "reached_at_us", "ahead", "behind", "around"];
    let ranked = |id: &str| {
        let fields = json!({ id: int, "total_worth": int, "rank": int });
        object(fields, &[id, place[0], place[1]])
    };
    json!({
        "SentGift": object(sent, &["id", "anchor_id", "worth", "time"]),
        "RevokedGift": object(revoked, &["id", "revokes", "audience_id", "anchor_id", "worth", "time"]),
        "JournalEntry": object(entry, &["id", "audience_id", "auchor_id", "anchor_id", "worth", "time"]),
        "AnchorPlace": ranked("anchor_id"),
        "FanPlace": ranked("audience_id"),
        "Standing": object(standing, &of_standing),
    })
}

/// The same, of a write that may be a replay.
fn done(about: &str, schema: &Value) -> Value {
    let mut answer = data(about, schema);
    answer["headers"] = json!({ "Idempotent-Replayed": {
        "description": "The write was done before; this is the first answer.",
        "schema": word(&["true"]),
    } });
    answer
}

fn anchor() -> Value {
    required_query("id", named("Id"), "The anchor.")
}

fn num(max: usize) -> Value {
    let max = i64::try_from(max).unwrap_or(i64::MAX);
    query("num", int(0, max), "How many; 10 unless told, and for 0.")
}

fn period() -> Value {
    let schema = word(&["all", "hour", "day", "week"]);
    query("period", schema, "The calendar's, in the configured time zone; all time unless told.")
}
