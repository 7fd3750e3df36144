//! The calls by which an operator has a view in Redis made anew; only a process of a cluster has them.

use crate::openapi::{COMMON, Part, data, int, object};
use serde_json::{Value, json};

/// Where boards are.
pub(super) const BOARDS: &str = "/gift/rebuild";

/// Where counters are.
pub(super) const COUNTERS: &str = "/api/v1/counter/rebuild";

/// Describes both.
pub(super) fn part() -> Part {
    let count = int(0, i64::MAX);
    let state = json!({ "read": count, "of": count, "finished": count });
    let state = object(state, &["read", "of", "finished"]);
    let about = "Batches of the journal that are read, and are to be, 0 while no rebuild is under \
                 way; and how many rebuilds this process has finished.";
    let state = data(about, &state);
    let call = |summary: String| json!({ "summary": summary, "responses": { "200": state } });
    let calls = |what: &str| -> Value {
        json!({
            "post": call(format!("Begins to make {what} anew from the journal, while they serve.")),
            "get": call(format!("How far the rebuild of {what} is.")),
        })
    };
    Part {
        tag: "cluster",
        about: "What is asked of the view in Redis.",
        error: COMMON,
        public: json!({}),
        operator: json!({ BOARDS: calls("boards"), COUNTERS: calls("counters") }),
        schemas: json!({}),
    }
}
