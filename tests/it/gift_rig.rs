//! The gift routes over any store, and a client that opens a connection for each request.

use crate::gift_model::{Model, ModelStore, TestClock};
use crate::router_rig::{Answered, Caller};
use fanfare::calendar::{Calendar, Keep};
use fanfare::gift::Store;
use fanfare::gift::api::{ApiOptions, ConfigView, operator_routes, public_routes};
use fanfare::gift::stream::Streams;
use fanfare::http::Router;
use jiff::tz::TimeZone;
use std::sync::Arc;

/// 2026-11-21T08:00:00Z, a Saturday.
pub(crate) const START_S: i64 = 1_795_248_000;

/// A router with public and operator calls, and a client that opens a connection for each request.
pub(crate) struct Rig {
    pub(crate) clock: Arc<TestClock>,
    pub(crate) streams: Arc<Streams>,
    caller: Caller,
}

impl Rig {
    pub(crate) fn new() -> Self {
        let clock = TestClock::at(START_S);
        let model = Model::new(Calendar::new(TimeZone::UTC), Keep::default());
        let store = ModelStore::new(model, Arc::clone(&clock));
        Self::over(&(Arc::new(store) as _), clock)
    }

    pub(crate) fn over(store: &Arc<dyn Store>, clock: Arc<TestClock>) -> Self {
        let streams = Arc::new(Streams::new(Arc::clone(store)));
        let options = ApiOptions {
            clock: Arc::clone(&clock) as _,
            streams: Arc::clone(&streams),
            test_data: Some(1),
            config: ConfigView { backend: "local".to_owned(), ..ConfigView::default() },
        };
        let router = operator_routes(Router::new(), store, &options);
        Self { clock, streams, caller: Caller::new(public_routes(router, store, &options)) }
    }

    pub(crate) fn call(&self, head: &str, headers: &str, body: &str) -> Answered {
        self.caller.call(head, headers, body)
    }

    pub(crate) fn get(&self, target: &str) -> Answered {
        self.caller.get(target)
    }

    pub(crate) fn post(&self, target: &str, body: &str) -> Answered {
        self.caller.post(target, body)
    }

    pub(crate) fn send(&self, audience_id: i64, anchor_id: i64, worth: i64) {
        let gift =
            format!(r#"{{"audience_id":{audience_id},"anchor_id":{anchor_id},"worth":{worth}}}"#);
        assert_eq!(self.post("/gift/send", &gift).status, "200 OK", "{gift}");
    }

    /// Expects a 200 with these data.
    pub(crate) fn finds(&self, target: &str, data: &str) {
        let answer = self.get(target);
        assert_eq!(answer.status, "200 OK", "{target}: {}", answer.body);
        let expected = format!(r#"{{"code":0,"message":"success","data":{data}}}"#);
        assert_eq!(answer.body, expected, "{target}");
    }

    /// Expects a refusal that says this.
    pub(crate) fn refuses(answer: &Answered, status: &str, why: &str) {
        assert_eq!(answer.status, status, "{}", answer.body);
        let code = &status[..3];
        assert_eq!(answer.body, format!(r#"{{"code":{code},"message":"{why}"}}"#));
    }
}
