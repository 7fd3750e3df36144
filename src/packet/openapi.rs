//! The calls about red packets as the `OpenAPI` document has them.

use super::{
    MAX_PER_USER, PACKET_FEN, REASON_BYTES, TIME_S, TOTAL_AMOUNT_FEN, TOTAL_COUNT, WALLET_LIMIT,
    WIN_PPM,
};
use crate::openapi::{
    COMMON, Part, answer, any_int, boolean, error, idempotency_key, int, list, named, object,
    query, request_id, text, word,
};
use serde_json::{Value, json};
use std::ops::RangeInclusive;

/// The shape of the public calls' errors.
const ERROR: &str = "PacketError";

/// All of them.
pub fn part() -> Part {
    Part {
        tag: "rain",
        about: "Red packets. Amounts are integers in fen; what became of a call is told by `code`.",
        error: ERROR,
        public: json!({
            "/snatch": { "post": snatch() },
            "/open": { "post": open() },
            "/get_wallet_list": { "post": wallet() },
            "/rain": { "get": rain() },
            "/rain/stream": { "get": {
                "summary": "Follows the rain: server-sent events.",
                "responses": { "200": crate::openapi::answer_in("text/event-stream", "Events without an end.") },
            } },
            "/rain/proof": { "get": proof() },
        }),
        operator: json!({
            "/rain": { "post": create() },
            "/rain/config": { "get": config(), "patch": change() },
        }),
        schemas: schemas(),
    }
}

fn snatch() -> Value {
    let got = json!({
        "envelope_id": any_int(), "max_count": any_int(), "cur_count": any_int(), "draw": any_int(),
    });
    json!({
        "summary": "Tries to get a packet.",
        "description": "Codes: 0 got · 2 busy · 3 no snatches left · 4 unlucky · 5 too fast · 6 no \
                        packets left · 7 not started · 8 ended · 9 paused.",
        "parameters": [idempotency_key()],
        "requestBody": form(json!({ "uid": named("Id"), "request_id": request_id() }), &["uid"]),
        "responses": {
            "200": outcome("What became of it.", &nullable(object(got, &["draw"]))),
            "409": error("The key named another command.", ERROR),
        },
    })
}

fn open() -> Value {
    let fields =
        json!({ "uid": named("Id"), "envelope_id": named("Id"), "request_id": request_id() });
    json!({
        "summary": "Opens a packet; it pays once, whatever the number of calls.",
        "description": "Codes: 0 paid · 10 no such packet · 11 not your packet.",
        "parameters": [idempotency_key()],
        "requestBody": form(fields, &["uid", "envelope_id"]),
        "responses": {
            "200": outcome("What was in it.", &nullable(object(json!({ "value": any_int() }), &["value"]))),
            "409": error("The key named another command.", ERROR),
        },
    })
}

fn wallet() -> Value {
    let fields =
        json!({ "uid": named("Id"), "limit": range(&WALLET_LIMIT), "before": named("Id") });
    let line = json!({
        "envelope_id": any_int(), "value": any_int(), "opened": boolean(), "snatch_time": any_int(),
    });
    let line = object(line, &["envelope_id", "opened", "snatch_time"]);
    let page = json!({ "amount": any_int(), "envelope_list": list(&line), "next": any_int() });
    json!({
        "summary": "A user's packets, newest first.",
        "requestBody": form(fields, &["uid"]),
        "responses": {
            "200": outcome("A page; `next` while there is more.", &object(page, &["amount", "envelope_list"])),
        },
    })
}

fn rain() -> Value {
    let point = json!({ "at": any_int(), "planned": any_int(), "granted": any_int() });
    let shown = json!({
        "id": any_int(),
        "state": word(&["none", "scheduled", "running", "paused", "ended"]),
        "starts_at": any_int(), "ends_at": any_int(), "max_per_user": any_int(),
        "total_count": any_int(), "left_count": any_int(), "commitment": text(),
        "curve": list(&object(point, &["at", "planned", "granted"])),
    });
    json!({
        "summary": "The newest rain, and its budget over time.",
        "responses": { "200": outcome("The state is `none` before the first.", &object(shown, &["state"])) },
    })
}

fn proof() -> Value {
    json!({
        "summary": "All that proves an ended rain, for `fanfare verify-rain` and for strangers.",
        "parameters": [query("id", named("Id"), "Which rain; the newest unless told.")],
        "responses": {
            "200": outcome("Seed, terms and records.", &object(json!({}), &[])),
            "403": error("The rain has not ended, or the token's scope is too small.", ERROR),
            "404": error("There is no such rain.", ERROR),
        },
    })
}

fn config() -> Value {
    operator("The terms of the newest rain, and how they became so.", None)
}

fn change() -> Value {
    let mut fields = terms();
    fields["reason"] = reason();
    fields["request_id"] = request_id();
    let body = object(fields, &["reason"]);
    operator("Changes the terms of the rain.", Some(body))
}

fn create() -> Value {
    let mut fields = terms();
    fields["id"] = named("Id");
    fields["reason"] = reason();
    fields["request_id"] = request_id();
    let required = [
        "id",
        "total_amount_fen",
        "total_count",
        "min_fen",
        "max_fen",
        "win_ppm",
        "max_per_user",
        "starts_at",
        "ends_at",
        "reason",
    ];
    operator("Makes the next rain.", Some(object(fields, &required)))
}

/// A call of the operator's, whose errors are as all of theirs.
fn operator(summary: &str, body: Option<Value>) -> Value {
    let view = json!({
        "id": any_int(), "config": object(terms(), &[]), "budget": object(json!({}), &[]),
        "history": list(&object(json!({}), &[])),
    });
    let mut call = json!({
        "summary": summary,
        "responses": {
            "200": outcome("The rain as it is now.", &object(view, &["id", "config", "history"])),
            "404": error("There is no rain yet.", COMMON),
        },
    });
    if let Some(body) = body {
        call["parameters"] = json!([idempotency_key()]);
        call["requestBody"] = crate::openapi::body(&body);
        let why =
            "The terms cannot be met, a rain has not ended, or the key named another command.";
        call["responses"]["409"] = error(why, COMMON);
    }
    for (status, why) in [
        ("400", "A figure is out of its range."),
        ("500", "A fault of ours."),
        ("503", "Try again."),
    ] {
        call["responses"][status] = error(why, COMMON);
    }
    call
}

fn terms() -> Value {
    json!({
        "total_amount_fen": range(&TOTAL_AMOUNT_FEN),
        "total_count": range(&TOTAL_COUNT),
        "min_fen": range(&PACKET_FEN),
        "max_fen": range(&PACKET_FEN),
        "win_ppm": range(&WIN_PPM),
        "max_per_user": range(&MAX_PER_USER),
        "starts_at": range(&TIME_S),
        "ends_at": range(&TIME_S),
        "paused": boolean(),
        "pacing": boolean(),
    })
}

fn reason() -> Value {
    json!({
        "type": "string",
        "minLength": REASON_BYTES.start(),
        "description": format!("At most {} bytes.", REASON_BYTES.end()),
    })
}

fn schemas() -> Value {
    let refused = json!({ "code": int(1, 599), "msg": text(), "data": { "type": "null" } });
    json!({ ERROR: object(refused, &["code", "msg"]) })
}

/// JSON or a form, as the content says.
fn form(fields: Value, required: &[&str]) -> Value {
    let schema = object(fields, required);
    json!({ "required": true, "content": {
        "application/json": { "schema": schema },
        "application/x-www-form-urlencoded": { "schema": schema },
    } })
}

/// The envelope of every outcome.
fn outcome(about: &str, data: &Value) -> Value {
    let fields = json!({ "code": int(0, 12), "msg": text(), "data": data });
    answer(about, &object(fields, &["code", "msg"]))
}

fn nullable(schema: Value) -> Value {
    json!({ "anyOf": [schema, { "type": "null" }] })
}

fn range(range: &RangeInclusive<i64>) -> Value {
    int(*range.start(), *range.end())
}
