//! The limits and timeouts of an HTTP listener; the defaults are those of the contract.

use crate::limits::{self, BODIES_BYTES_MAX};
use std::cell::Cell;
use std::rc::Rc;
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
    /// Answers tell in `Server-Timing` where their time went.
    pub server_timing: bool,
    /// Memory for all bodies that are on their way; clones share it.
    pub room: BodyRoom,
}

impl Default for HttpOptions {
    fn default() -> Self {
        Self {
            limits: HttpLimits::default(),
            idle_timeout: Duration::from_secs(60),
            head_timeout: Duration::from_secs(10),
            body_timeout: Duration::from_secs(30),
            stream_keep_alive: Duration::from_secs(15),
            server_timing: false,
            room: BodyRoom::default(),
        }
    }
}

/// Bytes of bodies that are on their way, of all sessions on a loop that share it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BodyRoom(Rc<Cell<usize>>);

impl BodyRoom {
    /// Takes `bytes` more; false when that is more than there may be. One body alone always fits,
    /// however long the config lets it be.
    pub(super) fn take(&self, bytes: usize, body_bytes_max: usize) -> bool {
        let taken = self.0.get().saturating_add(bytes);
        let fits = taken <= BODIES_BYTES_MAX.max(body_bytes_max);
        if fits {
            self.0.set(taken);
        }
        fits
    }

    /// Gives back what was taken.
    pub(super) fn give_back(&self, bytes: usize) {
        let left = self.0.get().checked_sub(bytes);
        self.0.set(left.expect("only what was taken is given back"));
    }
}
