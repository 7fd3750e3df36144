//! The red-packet calls as the `OpenAPI` document has them.

use super::{
    MAX_PER_USER, PACKET_FEN, REASON_BYTES, TIME_S, TOTAL_AMOUNT_FEN, TOTAL_COUNT, WALLET_LIMIT,
    WIN_PPM,
};
use crate::openapi::{
    COMMON, Part, answer, answer_in, any_int, body, boolean, error, idempotency_key, int, list,
    named, object, query, request_id, text, word,
};
use serde_json::{Value, json};
use std::ops::RangeInclusive;

/// The schema of public errors.
const ERROR: &str = "PacketError";

/// All of them.
pub fn part() -> Part {
    Part {
        tag: "rain",
        about: "Red packets: snatched, opened, and proven to be fair.",
        error: ERROR,
        public: json!({
            "/snatch": { "post": snatch() },
            "/open": { "post": open() },
            "/get_wallet_list": { "post": wallet() },
            "/rain": { "get": rain() },
            "/rain/stream": { "get": {
                "summary": "Follows the rain: server-sent events.",
                "responses": { "200": answer_in("text/event-stream", "Events without an end.") },
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
    let fields = json!({ "uid": named("Id"), "request_id": request_id() });
    let about = "`code` 0 and a packet; or 7 not started, 8 ended, 9 paused, 2 busy, 5 too fast (both \
                 with `Retry-After`), 3 no snatches left, 6 no packets left, 4 unlucky with its draw.";
    json!({
        "summary": "Tries to get a packet; one that is answered is durable.",
        "parameters": [idempotency_key()],
        "requestBody": form(&object(fields, &["uid"])),
        "responses": { "200": outcome(about, &["SnatchedPacket", "Draw"]) },
    })
}

fn open() -> Value {
    let fields =
        json!({ "uid": named("Id"), "envelope_id": named("Id"), "request_id": request_id() });
    let about = "`code` 0 and what was in it, however often it is opened; or 10 no such packet, 11 not \
                 your packet.";
    json!({
        "summary": "Opens a packet and pays it, once.",
        "parameters": [idempotency_key()],
        "requestBody": form(&object(fields, &["uid", "envelope_id"])),
        "responses": {
            "200": outcome(about, &["OpenedPacket"]),
            "409": error("The key named another packet.", ERROR),
        },
    })
}

fn wallet() -> Value {
    let fields = json!({
        "uid": named("Id"),
        "limit": int(*WALLET_LIMIT.start(), *WALLET_LIMIT.end()),
        "before": named("Id"),
    });
    json!({
        "summary": "A user's packets of all rains, newest first.",
        "requestBody": form(&object(fields, &["uid"])),
        "responses": {
            "200": data("A page; `next` while there is more.", &named("Wallet")),
        },
    })
}

fn rain() -> Value {
    json!({
        "summary": "The newest rain: its state, what is left, its commitment and its curve.",
        "responses": { "200": data("The rain; only `state` before the first.", &named("Rain")) },
    })
}

fn proof() -> Value {
    json!({
        "summary": "Everything that a rain was made of, once it is over.",
        "parameters": [query("id", named("Id"), "Which rain; the newest unless told.")],
        "responses": {
            "200": data("Seed, versions of the terms and chunks.", &named("RainProof")),
            "403": error("It goes on, and its seed is secret.", ERROR),
            "404": error("There is no such rain.", ERROR),
        },
    })
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
    json!({
        "summary": "Makes the next rain.",
        "parameters": [idempotency_key()],
        "requestBody": body(&object(fields, &required)),
        "responses": {
            "200": data("What is in effect.", &named("RainConfig")),
            "409": error("The figures contradict each other, another rain goes on, or the id is taken.", COMMON),
        },
    })
}

fn config() -> Value {
    json!({
        "summary": "The terms of the newest rain, their history, and what became of the budget.",
        "responses": {
            "200": data("What is in effect.", &named("RainConfig")),
            "404": error("There is no rain yet.", COMMON),
        },
    })
}

fn change() -> Value {
    let mut fields = terms();
    fields["reason"] = reason();
    fields["request_id"] = request_id();
    json!({
        "summary": "Changes terms while it rains.",
        "parameters": [idempotency_key()],
        "requestBody": body(&object(fields, &["reason"])),
        "responses": {
            "200": data("What is in effect.", &named("RainConfig")),
            "404": error("There is no rain yet.", COMMON),
            "409": error("The figures contradict each other or what has happened; the old stay.", COMMON),
        },
    })
}

fn terms() -> Value {
    let number = |range: RangeInclusive<i64>| int(*range.start(), *range.end());
    json!({
        "total_amount_fen": number(TOTAL_AMOUNT_FEN),
        "total_count": number(TOTAL_COUNT),
        "min_fen": number(PACKET_FEN),
        "max_fen": number(PACKET_FEN),
        "win_ppm": number(WIN_PPM),
        "max_per_user": number(MAX_PER_USER),
        "starts_at": number(TIME_S),
        "ends_at": number(TIME_S),
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
    let int = any_int();
    let got = json!({ "envelope_id": int, "max_count": int, "cur_count": int, "draw": int });
    let held = json!({ "envelope_id": int, "value": int, "opened": boolean(), "snatch_time": int });
    let held = object(held, &["envelope_id", "opened", "snatch_time"]);
    let wallet = json!({ "amount": int, "envelope_list": list(&held), "next": int });
    let or_null = json!({ "anyOf": [int, { "type": "null" }] });
    let point = object(
        json!({ "at": int, "planned": int, "granted": or_null }),
        &["at", "planned", "granted"],
    );
    let rain = json!({
        "id": int, "state": word(&["none", "scheduled", "running", "paused", "ended"]),
        "starts_at": int, "ends_at": int, "max_per_user": int, "total_count": int,
        "left_count": int, "commitment": text(), "version": int, "version_hash": text(),
        "curve": list(&point),
    });
    let all_terms = object(terms(), &[]);
    let sum = object(json!({ "count": int, "fen": int }), &["count", "fen"]);
    let budget = json!({ "handed_out": sum, "left": sum, "opened": sum, "returned": sum });
    let terms_or_null = json!({ "anyOf": [all_terms, { "type": "null" }] });
    let history = json!({
        "version": int, "at": int, "by": word(&["file", "operator", "pacing"]), "reason": text(),
        "hit_ppm": int, "before": terms_or_null, "after": all_terms,
    });
    let config = json!({
        "id": int, "config": all_terms, "budget": object(budget, &[]),
        "history": list(&object(history, &["version", "at", "reason", "before", "after"])),
    });
    let version = json!({
        "version": int, "at": int, "by": text(), "reason": text(), "first_draw": int,
        "hit_ppm": int, "config": all_terms, "hash": text(),
    });
    let chunk = json!({
        "number": int, "version": int, "left_count": int, "left_fen": int,
        "draws": list(&int), "amounts": list(&int), "skipped": list(&int),
    });
    let proof = json!({
        "id": int, "seed": text(), "commitment": text(),
        "versions": list(&object(version, &[])), "chunks": list(&object(chunk, &[])),
    });
    let error = json!({ "code": int, "msg": text(), "data": {} });
    json!({
        "SnatchedPacket": object(got, &["envelope_id", "max_count", "cur_count", "draw"]),
        "Draw": object(json!({ "draw": int }), &["draw"]),
        "OpenedPacket": object(json!({ "value": int }), &["value"]),
        "Wallet": object(wallet, &["amount", "envelope_list"]),
        "Rain": object(rain, &["state"]),
        "RainConfig": object(config, &["id", "config", "budget", "history"]),
        "RainProof": object(proof, &["id", "seed", "commitment", "versions", "chunks"]),
        ERROR: object(error, &["code", "msg"]),
    })
}

/// A body in JSON or as a form, told apart by its content.
fn form(schema: &Value) -> Value {
    let mut body = body(schema);
    body["content"]["application/x-www-form-urlencoded"] = json!({ "schema": schema });
    body
}

/// The envelope of an answer with data.
fn data(about: &str, schema: &Value) -> Value {
    let fields = json!({ "code": int(0, 0), "msg": text(), "data": schema });
    answer(about, &object(fields, &["code", "msg", "data"]))
}

/// The envelope of an answer that has one of these data, or none.
fn outcome(about: &str, schemas: &[&str]) -> Value {
    let mut of: Vec<_> = schemas.iter().map(|name| named(name)).collect();
    of.push(json!({ "type": "null" }));
    let any = json!({ "anyOf": of });
    let fields = json!({ "code": int(0, 12), "msg": text(), "data": any });
    answer(about, &object(fields, &["code", "msg", "data"]))
}
