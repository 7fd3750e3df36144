//! `GET /debug/slow`: the last slow requests and where their time went.

use super::desk::Desk;
use crate::http::{Method, Response, Router, SlowLog, SlowRequest, ms};
use serde_json::{Map, Value, json};
use std::sync::Arc;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

/// `/debug/slow`.
pub fn routes(router: Router, slow: &Arc<SlowLog>, desk: &Desk) -> Router {
    let (slow, desk) = (Arc::clone(slow), desk.clone());
    router.route(Method::Get, "/debug/slow", move |_, deferral| {
        let slow = Arc::clone(&slow);
        desk.answer(deferral, move || Response::json(page(&slow.newest())))
    })
}

fn page(requests: &[SlowRequest]) -> String {
    let (now, wall) = (Instant::now(), SystemTime::now());
    let object = |request: &SlowRequest| {
        let ago = now.saturating_duration_since(request.times.ended);
        let at = wall.checked_sub(ago).and_then(|at| at.duration_since(UNIX_EPOCH).ok());
        let mut object = Map::new();
        object.insert("time_ms".into(), json!(at.map(|at| at.as_millis())));
        object.insert("route".into(), json!(request.route));
        object.insert("method".into(), json!(request.method));
        object.insert("status".into(), json!(request.status));
        for (name, time) in request.times.parts() {
            object.insert(format!("{name}_ms"), json!(ms(time)));
        }
        Value::Object(object)
    };
    Value::Array(requests.iter().map(object).collect()).to_string()
}
