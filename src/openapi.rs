//! The description of the HTTP calls (`OpenAPI` 3.1): each domain writes its part, here they become
//! one document, made of the routes that a listener really has.

#![expect(clippy::needless_pass_by_value, reason = "a schema is written where it is used")]

use crate::http::Method;
use serde_json::{Map, Value, json};
use std::fmt::Write;

/// What one domain says about its calls.
pub struct Part {
    /// Groups its calls.
    pub tag: &'static str,
    /// What they are about, in a sentence.
    pub about: &'static str,
    /// The schema of its public errors, one of `schemas` or [`COMMON`].
    pub error: &'static str,
    /// Path items of the public listener: by path, then by method.
    pub public: Value,
    /// Those of the operator's.
    pub operator: Value,
    /// By name; names are shared by all parts.
    pub schemas: Value,
}

/// Whose calls a document describes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Listener {
    /// The one for all.
    Public,
    /// The operator's.
    Operator,
}

/// Also the tag of every call that only the operator's listener has.
const OPERATOR: &str = "operator";

/// The schema of errors that most calls share.
pub const COMMON: &str = "Error";

/// What the protocol may answer to any request, with the reason for people.
const ALWAYS: [(&str, &str); 9] = [
    ("400", "The request is malformed; the message names the field and what was expected."),
    ("401", "A token is asked for, and none that is known came."),
    ("403", "The token's scope is too small."),
    ("408", "The request took too long to arrive."),
    ("414", "The request line is too long."),
    ("429", "Too many requests of this token or address, or too often of this user."),
    ("431", "The header fields are too many or too long."),
    ("500", "A fault of ours. Whether it took effect is told by a retry with the same key."),
    ("503", "Overloaded, or the record is away: nothing happened. Come back after `Retry-After`."),
];

const TOO_LARGE: (&str, &str) = ("413", "The body is too long.");

/// Of a placeholder that is empty.
const NO_SUCH_PATH: (&str, &str) = ("404", "There is no such path.");

const ABOUT: &str = "\
Paths and fields that existing clients know. Ids are integers from 1 to 2^63-1, also accepted as \
decimal strings; all amounts are exact integers of 64 bits. Every GET also answers HEAD, every path \
OPTIONS. Unknown fields are ignored. Writes take an `Idempotency-Key`: sent again with it, they count \
once and get the first answer, marked `Idempotent-Replayed: true`. Answers with an `ETag` know \
`If-None-Match`, and gzip for who accepts it.";

/// The document of these routes. A route that no part describes stands there without a summary,
/// which a test finds.
pub fn document<'a>(
    routes: impl IntoIterator<Item = (Listener, Method, &'a str)>,
    parts: &[Part],
) -> Value {
    let routes: Vec<_> = routes.into_iter().collect();
    let is_public = |path| {
        routes.iter().any(|(listener, _, other)| *listener == Listener::Public && *other == path)
    };
    let (mut paths, mut tags) = (Map::new(), Vec::new());
    for &(listener, method, path) in &routes {
        let name = method.token().to_lowercase();
        let part = parts.iter().find(|part| part.paths(listener)[path].get(&name).is_some());
        let operation = match part {
            Some(part) => {
                tags.push(part.tag);
                let mut operation = operation(part, listener, method, path);
                if !is_public(path) && part.tag != OPERATOR {
                    operation["tags"] = json!([part.tag, OPERATOR]);
                }
                operation
            }
            None => json!({ "responses": { "default": { "description": "Not described." } } }),
        };
        let item = paths.entry(path).or_insert_with(|| json!({}));
        item[&name] = operation;
        // A path that both listeners have belongs to none.
        if !is_public(path) {
            item["servers"] = json!([{
                "url": "http://127.0.0.1:9464",
                "description": "The operator's listener (admin.listen)."
            }]);
        }
    }
    let about = |part: &Part| json!({ "name": part.tag, "description": part.about });
    let tags: Vec<_> = parts.iter().filter(|part| tags.contains(&part.tag)).map(about).collect();
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Fanfare",
            "version": env!("CARGO_PKG_VERSION"),
            "description": ABOUT,
            "license": { "name": "MIT OR Apache-2.0", "identifier": "MIT OR Apache-2.0" },
        },
        "servers": [{ "url": "/" }],
        // An empty alternative: tokens are off until the operator asks for them.
        "security": [{}, { "token": [] }],
        "tags": tags,
        "paths": paths,
        "components": {
            "securitySchemes": { "token": { "type": "http", "scheme": "bearer" } },
            "schemas": schemas(parts),
        },
    })
}

impl Part {
    fn paths(&self, listener: Listener) -> &Value {
        match listener {
            Listener::Public => &self.public,
            Listener::Operator => &self.operator,
        }
    }

    /// Every call that it describes.
    pub fn calls(&self) -> impl Iterator<Item = (Listener, &str, &str)> {
        let listeners = [Listener::Public, Listener::Operator].into_iter();
        listeners.flat_map(move |listener| {
            let items = self.paths(listener).as_object().into_iter().flatten();
            items.flat_map(move |(path, item)| {
                let methods = item.as_object().into_iter().flatten();
                methods.map(move |(method, _)| (listener, method.as_str(), path.as_str()))
            })
        })
    }
}

/// One call: as its part describes it, with what is the same for all.
fn operation(part: &Part, listener: Listener, method: Method, path: &str) -> Value {
    let name = method.token().to_lowercase();
    let mut operation = part.paths(listener)[path][&name].clone();
    operation["tags"] = json!([part.tag]);
    operation["operationId"] = json!(operation_id(&name, path));
    let takes_body = operation.get("requestBody").is_some();
    let optional = [(takes_body, TOO_LARGE), (path.contains('{'), NO_SUCH_PATH)];
    let optional = optional.into_iter().filter_map(|(applies, answer)| applies.then_some(answer));
    // Operators read one kind of error, whatever the call is about.
    let schema = match listener {
        Listener::Public => part.error,
        Listener::Operator => COMMON,
    };
    for (status, why) in ALWAYS.into_iter().chain(optional) {
        if operation["responses"].get(status).is_none() {
            operation["responses"][status] = error(why, schema);
        }
    }
    operation
}

/// `getGiftTop` of `get` and `/gift/top`.
fn operation_id(method: &str, path: &str) -> String {
    let mut id = method.to_owned();
    for word in path.split(|char: char| !char.is_ascii_alphanumeric()) {
        let (first, rest) = word.split_at(word.len().min(1));
        write!(id, "{}{rest}", first.to_uppercase()).expect("a String takes all");
    }
    id
}

fn schemas(parts: &[Part]) -> Value {
    let mut all = Map::new();
    let error = object(json!({ "code": int(400, 599), "message": text() }), &["code", "message"]);
    all.insert(COMMON.to_owned(), error);
    all.insert("Id".to_owned(), id());
    for part in parts {
        for (name, schema) in part.schemas.as_object().into_iter().flatten() {
            let twice = all.insert(name.clone(), schema.clone());
            debug_assert!(twice.is_none_or(|twice| twice == *schema), "two schemas {name}");
        }
    }
    Value::Object(all)
}

/// An id as it is accepted.
fn id() -> Value {
    json!({
        "description": "An id. Its decimal string is the same id.",
        "anyOf": [int(1, i64::MAX), { "type": "string", "pattern": "^[1-9][0-9]{0,17}$" }],
    })
}

/// A whole number from `least` to `most`.
pub fn int(least: i64, most: i64) -> Value {
    json!({ "type": "integer", "minimum": least, "maximum": most })
}

/// Any whole number of 64 bits.
pub fn any_int() -> Value {
    json!({ "type": "integer", "format": "int64" })
}

/// Any text.
pub fn text() -> Value {
    json!({ "type": "string" })
}

/// True or false.
pub fn boolean() -> Value {
    json!({ "type": "boolean" })
}

/// One of these words.
pub fn word(words: &[&str]) -> Value {
    json!({ "type": "string", "enum": words })
}

/// The schema of that name.
pub fn named(name: &str) -> Value {
    json!({ "$ref": format!("#/components/schemas/{name}") })
}

/// A list.
pub fn list(of: &Value) -> Value {
    json!({ "type": "array", "items": of })
}

/// An object with these fields, of which some must be there.
pub fn object(fields: Value, required: &[&str]) -> Value {
    let mut object = json!({ "type": "object", "properties": fields });
    if !required.is_empty() {
        object["required"] = json!(required);
    }
    object
}

/// A parameter in the query that may be left out.
pub fn query(name: &str, schema: Value, about: &str) -> Value {
    json!({ "name": name, "in": "query", "description": about, "schema": schema })
}

/// A parameter in the query that must be there.
pub fn required_query(name: &str, schema: Value, about: &str) -> Value {
    let mut parameter = query(name, schema, about);
    parameter["required"] = json!(true);
    parameter
}

/// A part of the path.
pub fn segment(name: &str, schema: Value, about: &str) -> Value {
    let required = true;
    json!({ "name": name, "in": "path", "required": required, "description": about, "schema": schema })
}

/// The header that makes a write safe to repeat.
pub fn idempotency_key() -> Value {
    json!({
        "name": "Idempotency-Key",
        "in": "header",
        "description": "Sent again with it, the write counts once. The body may name it instead.",
        "schema": { "type": "string", "pattern": "^[!-~]{1,64}$" },
    })
}

/// The same as a field of the body.
pub fn request_id() -> Value {
    json!({ "type": "string", "pattern": "^[!-~]{1,64}$" })
}

/// A JSON body, which must be there.
pub fn body(schema: &Value) -> Value {
    json!({ "required": true, "content": { "application/json": { "schema": schema } } })
}

/// An answer in JSON.
pub fn answer(about: &str, schema: &Value) -> Value {
    json!({ "description": about, "content": { "application/json": { "schema": schema } } })
}

/// An answer in JSON in the envelope that gifts and operators' calls share.
pub fn data(about: &str, schema: &Value) -> Value {
    let fields = json!({ "code": int(0, 0), "message": text(), "data": schema });
    answer(about, &object(fields, &["code", "message", "data"]))
}

/// An answer of another media type.
pub fn answer_in(media: &str, about: &str) -> Value {
    json!({ "description": about, "content": { media: { "schema": text() } } })
}

/// The answer to a client that has this state already.
pub fn not_modified() -> Value {
    json!({ "description": "The client has it: its `If-None-Match` names this state." })
}

/// An error with this schema.
pub fn error(about: &str, schema: &str) -> Value {
    answer(about, &named(schema))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part() -> Part {
        Part {
            tag: "gift",
            about: "Gifts.",
            error: COMMON,
            public: json!({ "/gift/top": { "get": {
                "summary": "The board.",
                "responses": { "200": answer("The board.", &named("Board")) },
            } } }),
            operator: json!({ "/gift/revoke": { "post": {
                "summary": "Takes a gift back.",
                "requestBody": body(&named("Board")),
                "responses": { "404": error("No such gift.", COMMON) },
            } } }),
            schemas: json!({ "Board": object(json!({ "id": int(1, 9) }), &["id"]) }),
        }
    }

    #[test]
    fn a_document_describes_the_routes_that_are_there() {
        let routes = [
            (Listener::Public, Method::Get, "/gift/top"),
            (Listener::Public, Method::Post, "/gift/top"),
            (Listener::Operator, Method::Post, "/gift/revoke"),
        ];
        let document = document(routes, &[part()]);
        let top = &document["paths"]["/gift/top"];
        assert_eq!(top["get"]["operationId"], "getGiftTop");
        assert_eq!(
            top["get"]["responses"]["503"]["content"]["application/json"]["schema"]["$ref"],
            "#/components/schemas/Error"
        );
        assert!(top["get"]["responses"].get("413").is_none(), "it takes no body");
        assert!(top["post"].get("summary").is_none(), "nobody described it");
        let revoke = &document["paths"]["/gift/revoke"];
        assert_eq!(revoke["servers"][0]["url"], "http://127.0.0.1:9464");
        assert_eq!(revoke["post"]["responses"]["404"]["description"], "No such gift.");
        assert!(revoke["post"]["responses"].get("413").is_some());
        assert!(document["components"]["schemas"]["Board"].is_object());
    }

    #[test]
    fn a_part_lists_its_calls() {
        let part = part();
        let calls: Vec<_> = part.calls().collect();
        let expected =
            [(Listener::Public, "get", "/gift/top"), (Listener::Operator, "post", "/gift/revoke")];
        assert_eq!(calls, expected);
    }
}
