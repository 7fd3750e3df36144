//! The directory of users as the `OpenAPI` document has it.

use crate::openapi::{COMMON, Part, answer, int, not_modified, object, text};
use serde_json::json;

/// Its one call.
pub fn part() -> Part {
    let user = json!({
        "Id": int(0, i64::from(u32::MAX)),
        "Name": text(),
        "Age": int(0, i64::from(u32::MAX)),
        "Content": text(),
    });
    let user = object(user, &["Id", "Name", "Age", "Content"]);
    let users = json!({ "type": "object", "additionalProperties": user });
    Part {
        tag: "hello",
        about: "A large answer, for trying slow readers.",
        error: COMMON,
        public: json!({ "/hello": { "get": {
            "summary": "A hundred users by nick, about 225 kB.",
            "responses": { "200": answer("The directory.", &users), "304": not_modified() },
        } } }),
        operator: json!({}),
        schemas: json!({}),
    }
}
