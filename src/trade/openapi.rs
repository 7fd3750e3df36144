//! The room's one HTTP call as the `OpenAPI` document has it; its messages are TLV.

use super::REASON_BYTES;
use crate::openapi::{
    COMMON, Part, any_int, body, data, error, idempotency_key, named, object, request_id,
};
use serde_json::json;

/// The operator's rollback.
pub fn part() -> Part {
    let reason = json!({
        "type": "string",
        "minLength": REASON_BYTES.start(),
        "description": format!("At most {} bytes.", REASON_BYTES.end()),
    });
    let fields = json!({ "trade_id": named("Id"), "reason": reason, "request_id": request_id() });
    let done = json!({ "trade_id": any_int(), "holding": object(json!({}), &[]) });
    let done = object(done, &["trade_id", "holding"]);
    Part {
        tag: "trade",
        about: "The trading room; all but this goes over TLV.",
        error: COMMON,
        public: json!({ "/trade/stream": { "get": {
                "summary": "Follows the room: server-sent events.",
                "responses": { "200": crate::openapi::answer_in("text/event-stream", "Events without an end.") },
            } } }),
        operator: json!({ "/trade/rollback": { "post": {
            "summary": "Takes a trade back: restores the holding, and tells the clients.",
            "parameters": [idempotency_key()],
            "requestBody": body(&object(fields, &["trade_id", "reason"])),
            "responses": {
                "200": data("The holding after it.", &done),
                "404": error("There is no such trade.", COMMON),
                "409": error("Later trades make it impossible, or the key named another.", COMMON),
            },
        } } }),
        schemas: json!({}),
    }
}
