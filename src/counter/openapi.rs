//! The counter calls as the `OpenAPI` document has them.

use super::REASON_BYTES;
use super::decode::{BATCH_MAX, HOT_MAX};
use crate::openapi::{
    COMMON, Part, answer, any_int, body, boolean, error, idempotency_key, int, list, named, object,
    query, request_id, segment, text, word,
};
use serde_json::{Value, json};

/// The shape of the public calls' errors.
const ERROR: &str = "CounterError";

/// All of them.
pub fn part() -> Part {
    Part {
        tag: "counter",
        about: "Likes, views, follows: a count for each resource and type.",
        error: ERROR,
        public: json!({
            "/api/v1/counter/increment": { "post": increment() },
            "/api/v1/counter/batch": { "post": batch() },
            "/api/v1/counter/{resource_id}/{counter_type}": { "get": count() },
            "/api/v1/counter/stream": { "get": {
                "summary": "Follows a hot list: server-sent events.",
                "responses": { "200": crate::openapi::answer_in("text/event-stream", "Events without an end.") },
            } },
            "/api/v1/counter/hot/{counter_type}": { "get": hot() },
            "/api/v1/counter/{resource_id}/{counter_type}/users/{user_id}": {
                "get": is_counted(), "delete": leave(),
            },
        }),
        operator: json!({
            "/api/v1/counter/recount": { "post": correction("Sets the count of a unique type to its users.") },
            "/api/v1/counter/reset": { "post": correction("Sets a counter to 0.") },
        }),
        schemas: schemas(),
    }
}

fn increment() -> Value {
    let fields = json!({
        "resource_id": named("CounterId"),
        "counter_type": named("CounterId"),
        "user_id": named("CounterId"),
        "increment": any_int(),
        "delta": any_int(),
        "once": boolean(),
        "request_id": request_id(),
    });
    let mut fields = object(fields, &["resource_id", "counter_type"]);
    fields["description"] = json!(
        "`delta` is another name of `increment`; absent or 0 is 1. With `once`, or a type that \
         counts users, `user_id` is needed, and the increment is 1 or -1."
    );
    json!({
        "summary": "Counts.",
        "parameters": [idempotency_key()],
        "requestBody": body(&fields),
        "responses": {
            "200": answer("The counter.", &data(&named("Counter"))),
            "409": error("The count would leave 64 bits, or the key named another command.", ERROR),
        },
    })
}

fn batch() -> Value {
    let one = object(
        json!({ "resource_id": named("CounterId"), "counter_type": named("CounterId") }),
        &["resource_id", "counter_type"],
    );
    let some = json!({ "type": "array", "items": one, "minItems": 1, "maxItems": BATCH_MAX });
    let ask = |name: &str| {
        let mut ask = object(json!({ name: some }), &[name]);
        ask["additionalProperties"] = json!(false);
        ask
    };
    let results = json!({ "results": list(&named("Counter")), "total": int(1, 1_000) });
    let results = object(results, &["results", "total"]);
    let found = json!({ "anyOf": [list(&named("Counter")), results] });
    json!({
        "summary": "Looks up to 1,000 counters up, in the order asked.",
        "requestBody": body(&json!({ "oneOf": [ask("queries"), ask("items")] })),
        "responses": { "200": answer("A list for `queries`, an object for `items`.", &data(&found)) },
    })
}

fn count() -> Value {
    json!({
        "summary": "Where a counter stands; 0 if nobody ever counted.",
        "parameters": [resource(), counter_type()],
        "responses": { "200": answer("The counter.", &data(&named("Counter"))) },
    })
}

fn hot() -> Value {
    let limit = query("limit", int(1, HOT_MAX), "How many; 10 unless told.");
    let period = word(&["all", "hour", "day", "week"]);
    let period =
        query("period", period, "The increments within the calendar's; all time unless told.");
    let place = json!({
        "resource_id": named("CounterId"),
        "counter_type": named("CounterId"),
        "count": any_int(),
        "rank": int(1, HOT_MAX),
    });
    let place = object(place, &["resource_id", "counter_type", "count", "rank"]);
    json!({
        "summary": "The resources that are counted most.",
        "parameters": [counter_type(), limit, period],
        "responses": { "200": answer("Places in order.", &data(&list(&place))) },
    })
}

fn is_counted() -> Value {
    let counted = object(json!({ "counted": boolean() }), &["counted"]);
    let found = object(json!({ "success": boolean(), "data": counted }), &["success", "data"]);
    json!({
        "summary": "Whether a user is counted, where users are.",
        "parameters": [resource(), counter_type(), user()],
        "responses": { "200": answer("Yes or no.", &found) },
    })
}

fn leave() -> Value {
    json!({
        "summary": "Takes a user's count back; changes nothing where there is none.",
        "parameters": [resource(), counter_type(), user(), idempotency_key()],
        "responses": {
            "200": answer("The counter.", &data(&named("Counter"))),
            "409": error("The key named another command.", ERROR),
        },
    })
}

/// A call of the operator's, whose errors are as all of theirs.
fn correction(summary: &str) -> Value {
    let reason = json!({
        "type": "string",
        "minLength": REASON_BYTES.start(),
        "description": format!("At most {} bytes.", REASON_BYTES.end()),
    });
    let fields = json!({
        "resource_id": named("CounterId"),
        "counter_type": named("CounterId"),
        "reason": reason,
        "request_id": request_id(),
    });
    json!({
        "summary": summary,
        "parameters": [idempotency_key()],
        "requestBody": body(&object(fields, &["resource_id", "counter_type", "reason"])),
        "responses": {
            "200": answer("The counter and what was corrected.", &data(&named("Counter"))),
            "404": error("There is no such counter.", COMMON),
            "409": error("The key named another command.", COMMON),
        },
    })
}

fn schemas() -> Value {
    let string = json!({ "type": "string", "minLength": 1, "maxLength": 128, "pattern": "^[^\\x00-\\x1f\\x7f-\\x9f]+$" });
    let count = json!({ "type": ["integer", "null"], "format": "int64" });
    let counter = json!({
        "resource_id": named("CounterId"),
        "counter_type": named("CounterId"),
        "count": count,
        "current_value": count,
        "success": boolean(),
        "timestamp": any_int(),
        "correction": any_int(),
    });
    let fields = ["resource_id", "counter_type", "count", "current_value", "success", "timestamp"];
    let refused = json!({ "error": text(), "code": int(400, 599), "message": text() });
    json!({
        "CounterId": {
            "description": "A number from 1 to 2^63-1, or text of 1 to 128 bytes without controls.",
            "anyOf": [int(1, i64::MAX), string],
        },
        "Counter": object(counter, &fields),
        ERROR: object(refused, &["error", "code", "message"]),
    })
}

fn data(schema: &Value) -> Value {
    let fields = json!({ "success": boolean(), "status": word(&["success"]), "data": schema });
    object(fields, &["success", "status", "data"])
}

fn resource() -> Value {
    segment("resource_id", named("CounterId"), "What is counted.")
}

fn counter_type() -> Value {
    segment("counter_type", named("CounterId"), "How it is counted, such as `like`.")
}

fn user() -> Value {
    segment("user_id", named("CounterId"), "Who counts.")
}
