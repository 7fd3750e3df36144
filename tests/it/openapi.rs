//! The document of the calls against the router: each says what the other has.

use crate::cluster_rig::Rig;
use crate::server::Start;
use serde_json::Value;
use std::collections::BTreeSet;

/// The calls of a document, each as `GET /path`.
fn calls(document: &Value) -> BTreeSet<String> {
    let paths = document["paths"].as_object().expect("paths");
    let of_item = |(path, item): (&String, &Value)| {
        let methods = item.as_object().expect("an item").keys();
        let methods = methods.filter(|name| *name != "servers");
        methods.map(|method| format!("{} {path}", method.to_uppercase())).collect::<Vec<_>>()
    };
    paths.iter().flat_map(of_item).collect()
}

/// The documents of both listeners, of a process that stands alone and of one of a cluster.
fn documents() -> [Value; 4] {
    let (alone, rig) = (Start::fresh().arg("--dev").run(), Rig::start());
    [alone.client(), alone.operator(), rig.client(0), rig.operator(0)]
        .map(|mut client| client.get("/openapi.json").json())
}

#[test]
fn every_route_is_described() {
    for document in documents() {
        assert_eq!(document["openapi"], "3.1.0");
        let mut complaints = Vec::new();
        for (path, item) in document["paths"].as_object().expect("paths") {
            for (method, operation) in item.as_object().expect("an item") {
                if method == "servers" {
                    continue;
                }
                let name = format!("{} {path}", method.to_uppercase());
                if operation["summary"].as_str().is_none_or(str::is_empty) {
                    complaints.push(format!("{name} is served and not described"));
                }
                let has_answer = |responses: &serde_json::Map<String, Value>| {
                    responses.keys().any(|status| matches!(status.as_str(), "200" | "501"))
                };
                if !operation["responses"].as_object().is_some_and(has_answer) {
                    complaints.push(format!("{name} has no successful answer"));
                }
                complaints.extend(lost_parameters(&name, path, operation));
            }
        }
        complaints.extend(lost_references(&document));
        assert!(complaints.is_empty(), "\n{}", complaints.join("\n"));
    }
}

/// Placeholders of the path that are not described, and the reverse.
fn lost_parameters(name: &str, path: &str, operation: &Value) -> Option<String> {
    let placeholders: BTreeSet<_> = path
        .split('/')
        .filter_map(|part| part.strip_prefix('{').and_then(|part| part.strip_suffix('}')))
        .collect();
    let parameters = operation["parameters"].as_array().cloned().unwrap_or_default();
    let described: BTreeSet<_> = parameters
        .iter()
        .filter(|parameter| parameter["in"] == "path")
        .filter_map(|parameter| parameter["name"].as_str())
        .collect();
    (placeholders != described).then(|| format!("{name}: {placeholders:?} and {described:?}"))
}

/// Names of schemas that are not there.
fn lost_references(document: &Value) -> Vec<String> {
    let mut lost = Vec::new();
    let mut open = vec![document];
    while let Some(value) = open.pop() {
        if let Some(name) = value.get("$ref").and_then(Value::as_str)
            && document.pointer(&name[1..]).is_none()
        {
            lost.push(format!("{name} is not there"));
        }
        match value {
            Value::Object(fields) => open.extend(fields.values()),
            Value::Array(items) => open.extend(items),
            _ => {}
        }
    }
    lost
}

#[test]
fn every_description_is_of_a_route() {
    let documents = documents().map(|document| calls(&document));
    let routes: BTreeSet<_> = documents.iter().flatten().cloned().collect();
    let parts = fanfare::app::documents::parts();
    let described = parts.iter().flat_map(|part| {
        part.calls().map(|(_, method, path)| format!("{} {path}", method.to_uppercase()))
    });
    let lost: Vec<_> = described.filter(|call| !routes.contains(call)).collect();
    assert!(lost.is_empty(), "described and not served: {lost:?}");
    for [public, operator] in documents.as_chunks().0 {
        assert!(operator.is_superset(public), "the operator's document has all");
    }
}

#[test]
fn the_router_answers_as_the_document_says() {
    let server = Start::fresh().arg("--dev").run();
    let mut client = server.client();
    let document = client.get("/openapi.json");
    assert!(document.header("ETag").is_some());
    for (path, item) in document.json()["paths"].as_object().expect("paths") {
        let target: Vec<_> =
            path.split('/').map(|part| if part.starts_with('{') { "7" } else { part }).collect();
        let reply = client.request("OPTIONS", &target.join("/"), &[], "");
        assert_eq!(reply.status, 204, "{path}");
        let allow: BTreeSet<_> = reply.header("Allow").expect("Allow").split(", ").collect();
        let mut expected: BTreeSet<_> =
            item.as_object().expect("an item").keys().map(|name| name.to_uppercase()).collect();
        expected.insert("OPTIONS".to_owned());
        if expected.contains("GET") {
            expected.insert("HEAD".to_owned());
        }
        assert_eq!(allow, expected.iter().map(String::as_str).collect(), "{path}");
    }
}
