//! Lets scripts of configured origins read our answers (the Fetch standard, section 3.2).

use crate::http::{ExtraFields, HeaderValue, Method, Request};

/// What a script may read of an answer beside the few fields that it always may.
const EXPOSED: &str = "Age, ETag, Idempotent-Replayed, Retry-After, Server-Timing, Warning, \
                       WWW-Authenticate, X-Degraded";
/// What a script may send.
const HEADERS: &str = "Authorization, Content-Type, Idempotency-Key, If-None-Match, Last-Event-ID";
const METHODS: &str = "GET, HEAD, POST, PUT, PATCH, DELETE";
/// How long a browser need not ask again, in seconds; two hours are the most that Chromium takes.
const MAX_AGE_S: &str = "7200";

/// The fields for each origin, made once.
#[derive(Default)]
pub(super) struct Cors {
    origins: Vec<Origin>,
    /// Of answers to everybody else, so that a cache does not give them to a script.
    others: Option<ExtraFields>,
}

struct Origin {
    name: String,
    answer: ExtraFields,
    preflight: ExtraFields,
}

impl Cors {
    /// For these origins; one that is `*` stands for all.
    pub(super) fn new(origins: &[String]) -> Self {
        let vary = HeaderValue::new("Origin").expect("clean ASCII");
        let others = ExtraFields::new([("Vary", &vary)]);
        Self {
            origins: origins.iter().filter_map(|origin| Origin::new(origin)).collect(),
            others: (!origins.is_empty()).then_some(others),
        }
    }

    /// True when no origin is configured: nothing has to be added to any answer.
    pub(super) fn is_off(&self) -> bool {
        self.origins.is_empty()
    }

    /// What the answer to `request` gets, whatever it says.
    pub(super) fn fields(&self, request: &Request<'_>) -> Option<&ExtraFields> {
        let Some(name) = request.headers.get("origin") else { return self.others.as_ref() };
        let fits = |origin: &&Origin| origin.name == "*" || origin.name.as_bytes() == name;
        let Some(origin) = self.origins.iter().find(fits) else { return self.others.as_ref() };
        Some(if asks_first(request) { &origin.preflight } else { &origin.answer })
    }
}

/// Whether a browser asks what it may send; it cannot send credentials with that.
pub(super) fn asks_first(request: &Request<'_>) -> bool {
    request.method == Method::Options
        && request.headers.get("access-control-request-method").is_some()
}

impl Origin {
    fn new(name: &str) -> Option<Self> {
        let value = HeaderValue::new(name)?;
        let clean = |text| HeaderValue::new(text).expect("clean ASCII");
        let (vary, exposed) = (clean("Origin"), clean(EXPOSED));
        let (methods, headers, max_age) = (clean(METHODS), clean(HEADERS), clean(MAX_AGE_S));
        let allow = [("Access-Control-Allow-Origin", &value), ("Vary", &vary)];
        let answer = [("Access-Control-Expose-Headers", &exposed)];
        let preflight = [
            ("Access-Control-Allow-Methods", &methods),
            ("Access-Control-Allow-Headers", &headers),
            ("Access-Control-Max-Age", &max_age),
        ];
        Some(Self {
            name: name.to_owned(),
            answer: ExtraFields::new(allow.into_iter().chain(answer)),
            preflight: ExtraFields::new(allow.into_iter().chain(preflight)),
        })
    }
}
