//! The limits and timeouts of an HTTP listener; the defaults are those of the contract.

use crate::limits;
use std::time::Duration;

/// How much one request may bring.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpLimits {
    /// Bytes of the request line, its CRLF not counted: 414 beyond.
    pub request_line_bytes: usize,
    /// Bytes of all header fields with their CRLFs: 431 beyond.
    pub header_bytes: usize,
    /// Header fields: 431 beyond. At most [`limits::HEADER_SLOTS_MAX`] take effect.
    pub header_count: usize,
    /// Bytes of the decoded body: 413 beyond.
    pub body_bytes: usize,
}

impl Default for HttpLimits {
    fn default() -> Self {
        Self {
            request_line_bytes: limits::REQUEST_LINE_BYTES_MAX,
            header_bytes: limits::HEADER_BYTES_MAX,
            header_count: limits::HEADER_COUNT_MAX,
            body_bytes: limits::BODY_BYTES_MAX,
        }
    }
}

/// What all sessions of a listener share.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpOptions {
    /// How much one request may bring.
    pub limits: HttpLimits,
    /// A connection without a request is closed, silently, after this long.
    pub idle_timeout: Duration,
    /// From the first byte of a head to its blank line: 408 beyond, however the bytes trickle.
    pub head_timeout: Duration,
    /// From the end of a head to the last byte of its body: 408 beyond.
    pub body_timeout: Duration,
    /// A silent event stream gets a comment this often, so that proxies keep it open.
    pub stream_keep_alive: Duration,
}

impl Default for HttpOptions {
    fn default() -> Self {
        Self {
            limits: HttpLimits::default(),
            idle_timeout: Duration::from_secs(60),
            head_timeout: Duration::from_secs(10),
            body_timeout: Duration::from_secs(30),
            stream_keep_alive: Duration::from_secs(15),
        }
    }
}
