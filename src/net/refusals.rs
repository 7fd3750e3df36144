//! Connections over the limit: told so, then closed in a way that lets the telling arrive.

use crate::limits::{LINGER_TIME_MAX, REFUSALS_HELD_MAX};
use mio::net::TcpStream;
use std::collections::VecDeque;
use std::io::{ErrorKind, Read, Write};
use std::net::Shutdown;
use std::time::{Duration, Instant};

/// They are few and soon gone: looking at them by the clock is cheaper than slots of their own.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// Refused connections whose peers have not closed yet. Closing at once would answer the request
/// that is on its way with a reset, and the reset would destroy the refusal (RFC 9112 9.6).
#[derive(Default)]
pub(super) struct Refusals {
    held: VecDeque<(TcpStream, Instant)>,
    next_look: Option<Instant>,
}

impl Refusals {
    pub(super) fn refuse(&mut self, stream: TcpStream, refusal: &[u8], now: Instant) {
        if send(&stream, refusal) {
            return;
        }
        if self.held.len() == REFUSALS_HELD_MAX {
            self.held.pop_front();
        }
        self.held.push_back((stream, now + LINGER_TIME_MAX));
        self.next_look.get_or_insert(now + LOOK_EVERY);
    }

    pub(super) fn next_look(&self) -> Option<Instant> {
        self.next_look
    }

    pub(super) fn look(&mut self, now: Instant) {
        if self.next_look.is_none_or(|at| at > now) {
            return;
        }
        self.held.retain(|(stream, until)| *until > now && !discard(stream));
        self.next_look = (!self.held.is_empty()).then(|| now + LOOK_EVERY);
    }
}

/// Writes `refusal` and ends our side. True when nothing is left to wait for.
pub(super) fn send(mut stream: &TcpStream, refusal: &[u8]) -> bool {
    // A new socket has an empty send buffer, so one write takes all of it; if not, the peer
    // reads the close, which says enough.
    stream.write(refusal).is_err() || stream.shutdown(Shutdown::Write).is_err() || discard(stream)
}

/// Reads what the peer sent and forgets it; one small piece, it is owed no work. True when the
/// peer has closed.
fn discard(mut stream: &TcpStream) -> bool {
    let mut scratch = [0; 4096];
    match stream.read(&mut scratch) {
        Ok(count) => count == 0,
        Err(error) => !matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted),
    }
}
