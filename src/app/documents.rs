//! `/openapi.json` of both listeners: made of the routes that they really have.

use super::rebuild_calls;
use crate::http::{Answer, Method, Representation, Response, Router};
use crate::openapi::{self, Listener, Part};
use crate::{counter, gift, hello, ops, packet, trade, web};
use std::iter;
use std::sync::{Arc, OnceLock};

const PATH: &str = "/openapi.json";

/// The calls of a listener: what its document is made of.
pub(super) type Calls = Vec<(Listener, Method, String)>;

/// Encoded by the first loop that starts, shared by all.
#[derive(Default)]
pub(super) struct Documents {
    public: OnceLock<Arc<Representation>>,
    operator: OnceLock<Arc<Representation>>,
}

/// All calls of `router`, and the one that describes them.
pub(super) fn calls(listener: Listener, router: &Router) -> Calls {
    let all = router.routes().map(|(method, path)| (listener, method, path.to_owned()));
    all.chain(iter::once((listener, Method::Get, PATH.to_owned()))).collect()
}

impl Documents {
    /// Adds the description of `calls` to the router of `listener`.
    pub(super) fn add_to(&self, router: Router, listener: Listener, calls: &Calls) -> Router {
        let document = match listener {
            Listener::Public => &self.public,
            Listener::Operator => &self.operator,
        };
        let document = Arc::clone(document.get_or_init(|| Arc::new(encode(calls))));
        router.route(Method::Get, PATH, move |_, _| {
            Answer::now(Response::json(Arc::clone(&document)))
        })
    }
}

/// What each domain says about its calls, whether they are served here or not.
pub fn parts() -> Vec<Part> {
    vec![
        gift::openapi::part(),
        counter::openapi::part(),
        packet::openapi::part(),
        rebuild_calls::part(),
        trade::openapi::part(),
        hello::openapi::part(),
        web::openapi::part(),
        ops::openapi::part(),
    ]
}

fn encode(calls: &Calls) -> Representation {
    let calls = calls.iter().map(|(listener, method, path)| (*listener, *method, path.as_str()));
    // At the start, where a loop has nobody to keep waiting.
    Representation::with_gzip(openapi::document(calls, &parts()).to_string().into_bytes())
}
