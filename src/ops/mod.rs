//! The operator's listener: is the process alive, can it do its work, what does it do, and do its
//! figures add up.

pub mod audit;
mod desk;
mod gate;
mod last_audit;
pub mod log_level;
mod metrics;
pub mod openapi;
mod page;
pub mod pprof;
mod process;
pub mod slow;

pub use desk::Desk;
pub use gate::Gate;
pub use last_audit::LastAudit;
pub use metrics::{Metrics, routes as metrics_routes};
pub use page::{Family, Kind, Labels, Page};

use crate::http::{Answer, Method, Response, Router, Status};
use crate::net::{Control, RunPhase};
use serde_json::json;
use std::sync::Arc;

/// One part of the process that can stop working while the process lives.
pub struct Part {
    name: &'static str,
    missing: Box<dyn Fn() -> Option<String> + Send + Sync>,
}

impl Part {
    /// `missing` tells why the part does not work; it is asked on a loop and must not block.
    pub fn new(
        name: &'static str,
        missing: impl Fn() -> Option<String> + Send + Sync + 'static,
    ) -> Self {
        Self { name, missing: Box::new(missing) }
    }
}

/// What `/readyz` looks at; shared by all loops.
pub struct Readiness {
    control: Arc<Control>,
    parts: Vec<Part>,
}

impl Readiness {
    /// Ready while the process serves and no part is missing.
    pub fn new(control: Arc<Control>, parts: Vec<Part>) -> Self {
        Self { control, parts }
    }

    /// `{"ready","missing":[{"part","reason"}]}`, with 503 when anything is missing.
    fn response(&self) -> Response {
        let mut missing: Vec<_> = self
            .parts
            .iter()
            .filter_map(|part| {
                (part.missing)().map(|reason| json!({ "part": part.name, "reason": reason }))
            })
            .collect();
        if self.control.phase() != RunPhase::Running {
            missing.push(json!({ "part": "process", "reason": "it is draining" }));
        }
        let status = if missing.is_empty() { Status::OK } else { Status::UNAVAILABLE };
        let body = json!({ "ready": missing.is_empty(), "missing": missing }).to_string();
        Response { status, ..Response::json(body) }
    }
}

/// `/health` and `/api/v1/health` on the public listener and the operator's: the answer of an event
/// loop that turns.
pub fn health(router: Router) -> Router {
    let body = json!({
        "status": "ok",
        "service": "fanfare",
        "version": env!("CARGO_PKG_VERSION"),
    });
    let body: Arc<[u8]> = Arc::from(body.to_string().into_bytes());
    ["/health", "/api/v1/health"].into_iter().fold(router, |router, path| {
        let body = Arc::clone(&body);
        router.route(Method::Get, path, move |_, _| Answer::now(Response::json(Arc::clone(&body))))
    })
}

/// `/livez`, `/readyz` and `/health`.
pub fn routes(router: Router, readiness: &Arc<Readiness>) -> Router {
    let readiness = Arc::clone(readiness);
    health(router)
        .route(Method::Get, "/livez", |_, _| Answer::now(Response::json(r#"{"live":true}"#)))
        .route(Method::Get, "/readyz", move |_, _| Answer::now(readiness.response()))
}
