//! Responses as values; the session encodes them.

use super::representation::{Coding, Representation};
use std::sync::Arc;
use std::time::Duration;

/// A status code with its reason phrase.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Status {
    /// Three digits.
    pub code: u16,
    /// RFC 9110 section 15.
    pub reason: &'static str,
}

macro_rules! statuses {
    ($($name:ident = $code:literal $reason:literal),* $(,)?) => {
        impl Status {
            $(#[doc = concat!(stringify!($code), " ", $reason)]
            pub const $name: Status = Status { code: $code, reason: $reason };)*
        }
    };
}

statuses! {
    OK = 200 "OK",
    NO_CONTENT = 204 "No Content",
    NOT_MODIFIED = 304 "Not Modified",
    BAD_REQUEST = 400 "Bad Request",
    UNAUTHORIZED = 401 "Unauthorized",
    FORBIDDEN = 403 "Forbidden",
    NOT_FOUND = 404 "Not Found",
    METHOD_NOT_ALLOWED = 405 "Method Not Allowed",
    REQUEST_TIMEOUT = 408 "Request Timeout",
    CONFLICT = 409 "Conflict",
    CONTENT_TOO_LARGE = 413 "Content Too Large",
    URI_TOO_LONG = 414 "URI Too Long",
    EXPECTATION_FAILED = 417 "Expectation Failed",
    TOO_MANY_REQUESTS = 429 "Too Many Requests",
    HEADERS_TOO_LARGE = 431 "Request Header Fields Too Large",
    INTERNAL_ERROR = 500 "Internal Server Error",
    NOT_IMPLEMENTED = 501 "Not Implemented",
    UNAVAILABLE = 503 "Service Unavailable",
    VERSION_NOT_SUPPORTED = 505 "HTTP Version Not Supported",
}

/// Media types that we send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ContentType {
    /// `application/json`
    Json,
    /// `text/plain; charset=utf-8`
    Text,
    /// `text/html; charset=utf-8`
    Html,
    /// `text/css; charset=utf-8`
    Css,
    /// `text/javascript; charset=utf-8`
    JavaScript,
    /// `text/event-stream`
    EventStream,
    /// The text format of Prometheus, version 0.0.4.
    Metrics,
    /// `image/svg+xml`
    Svg,
    /// `application/octet-stream`
    Bytes,
}

impl ContentType {
    /// The end of `Date`, the field of this type, and all of `Content-Length` but its value: in one
    /// piece, since every answer has it.
    pub(super) fn fields(self) -> &'static [u8] {
        macro_rules! fields {
            ($media:literal) => {
                concat!("\r\nContent-Type: ", $media, "\r\nContent-Length: ").as_bytes()
            };
        }
        match self {
            ContentType::Json => fields!("application/json"),
            ContentType::Text => fields!("text/plain; charset=utf-8"),
            ContentType::Html => fields!("text/html; charset=utf-8"),
            ContentType::Css => fields!("text/css; charset=utf-8"),
            ContentType::JavaScript => fields!("text/javascript; charset=utf-8"),
            ContentType::EventStream => fields!("text/event-stream"),
            ContentType::Metrics => fields!("text/plain; version=0.0.4; charset=utf-8"),
            ContentType::Svg => fields!("image/svg+xml"),
            ContentType::Bytes => fields!("application/octet-stream"),
        }
    }
}

/// Content of an answer.
#[derive(Clone, Debug)]
pub enum Body {
    /// Made for this answer.
    Owned(Vec<u8>),
    /// Encoded once for many answers.
    Shared(Arc<[u8]>),
    /// The same, with an `ETag`, and in gzip for who accepts it.
    Tagged(Arc<Representation>, Coding),
    /// Part of the program.
    Static(&'static [u8]),
}

impl Body {
    /// The content.
    pub fn bytes(&self) -> &[u8] {
        match self {
            Body::Owned(bytes) => bytes,
            Body::Shared(bytes) => bytes,
            Body::Tagged(representation, coding) => representation.bytes(*coding),
            Body::Static(bytes) => bytes,
        }
    }
}

impl Default for Body {
    fn default() -> Self {
        Body::Static(b"")
    }
}

impl From<Vec<u8>> for Body {
    fn from(bytes: Vec<u8>) -> Self {
        Body::Owned(bytes)
    }
}

impl From<String> for Body {
    fn from(text: String) -> Self {
        Body::Owned(text.into_bytes())
    }
}

impl From<Arc<[u8]>> for Body {
    fn from(bytes: Arc<[u8]>) -> Self {
        Body::Shared(bytes)
    }
}

impl From<Arc<Representation>> for Body {
    fn from(representation: Arc<Representation>) -> Self {
        Body::Tagged(representation, Coding::Identity)
    }
}

impl From<Representation> for Body {
    fn from(representation: Representation) -> Self {
        Arc::new(representation).into()
    }
}

impl From<&'static str> for Body {
    fn from(text: &'static str) -> Self {
        Body::Static(text.as_bytes())
    }
}

/// A field value that cannot break out of its line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeaderValue(Box<str>);

impl HeaderValue {
    /// `None` when `text` holds anything but visible ASCII, spaces and tabs: no CR, LF or NUL ever
    /// reaches the wire through a value.
    pub fn new(text: &str) -> Option<Self> {
        let clean = text.bytes().all(|byte| byte == b'\t' || (b' '..=b'~').contains(&byte));
        clean.then(|| Self(text.into()))
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// What goes back for one request. The session adds `Date`, `Content-Length` and `Connection`.
#[derive(Clone, Debug, Default)]
pub struct Response {
    /// Status line.
    pub status: Status,
    /// Media type of the body.
    pub content_type: ContentType,
    /// Content.
    pub body: Body,
    /// Further fields, in order.
    pub headers: Vec<(&'static str, HeaderValue)>,
}

impl Default for Status {
    fn default() -> Self {
        Status::OK
    }
}

#[expect(clippy::derivable_impls, reason = "the default is a decision, not the first variant")]
impl Default for ContentType {
    fn default() -> Self {
        ContentType::Json
    }
}

impl Response {
    /// 200 with a JSON body that is already encoded.
    pub fn json(body: impl Into<Body>) -> Self {
        Self { body: body.into(), ..Self::default() }
    }

    /// An error in the common envelope, `{"code":…,"message":…}`, the code being the status.
    pub fn error(status: Status, message: &str) -> Self {
        let body = serde_json::json!({ "code": status.code, "message": message }).to_string();
        Self { status, body: body.into(), ..Self::default() }
    }

    /// 503: the limit is reached or the store is away; asks to come back in a second.
    pub fn unavailable(message: &str) -> Self {
        Self::error(Status::UNAVAILABLE, message).with_header("Retry-After", "1")
    }

    /// Adds a field.
    ///
    /// # Panics
    /// When `value` holds a control character: our own text never does, and text of clients is
    /// checked with [`HeaderValue::new`] by whoever passes it on.
    #[must_use]
    pub fn with_header(mut self, name: &'static str, value: &str) -> Self {
        let value = HeaderValue::new(value).expect("header values we write are clean ASCII");
        self.headers.push((name, value));
        self
    }

    /// Marked as one that may lack what was acknowledged in the last `age`, since Redis is away.
    #[must_use]
    pub fn stale(self, age: Duration) -> Self {
        // RFC 9111 has an age in whole seconds, and no warnings any more; 7234 names this one.
        self.with_header("X-Degraded", "redis")
            .with_header("Age", &age.as_secs().to_string())
            .with_header("Warning", "110 fanfare \"Response is Stale\"")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_value_cannot_split_the_response() {
        for bad in ["a\r\nSet-Cookie: x", "a\n", "\r", "\0", "ä", "\u{7f}"] {
            assert_eq!(HeaderValue::new(bad), None, "{bad:?}");
        }
        assert!(HeaderValue::new("GET, HEAD\t").is_some());
    }
}
