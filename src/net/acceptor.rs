//! Takes connections from one listener, and survives running out of descriptors.

use super::refusals;
use super::stats::LoopStats;
use mio::net::{TcpListener, TcpStream};
use std::fs::File;
use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// Out of descriptors: of the process, and of the machine.
const EMFILE: i32 = 24;
const ENFILE: i32 = 23;
/// No new event comes for what waits in the backlog, so we ask again by the clock.
const RETRY_AFTER: Duration = Duration::from_millis(100);
/// Errors of single connections in a row, after which the rest waits for the next turn.
const ERRORS_PER_CALL_MAX: usize = 64;

pub(super) struct Acceptor {
    listener: TcpListener,
    /// The backlog may hold connections: readiness is reported once, so we remember it.
    pending: bool,
    retry_at: Option<Instant>,
    /// Given up when there is no descriptor left, so that the next in line can be refused
    /// instead of waiting without an answer.
    spare: Option<File>,
}

impl Acceptor {
    pub(super) fn new(listener: TcpListener) -> Self {
        Self { listener, pending: true, retry_at: None, spare: spare() }
    }

    pub(super) fn set_pending(&mut self) {
        self.pending = true;
    }

    /// True when another call may find a connection.
    pub(super) fn is_pending(&self) -> bool {
        self.pending
    }

    /// When to ask again although no event came.
    pub(super) fn retry_at(&self) -> Option<Instant> {
        self.retry_at
    }

    /// True when there may be a connection, or it is time to ask again.
    pub(super) fn is_due(&mut self, now: Instant) -> bool {
        if self.retry_at.is_some_and(|at| at <= now) {
            self.retry_at = None;
            self.pending = true;
            if self.spare.is_none() {
                self.spare = spare();
            }
        }
        self.pending
    }

    /// The next connection; those for which there is no descriptor get a `refusal`.
    pub(super) fn next(
        &mut self,
        now: Instant,
        stats: &LoopStats,
        refusal: impl Fn() -> Vec<u8>,
    ) -> Option<(TcpStream, SocketAddr)> {
        if !self.pending {
            return None;
        }
        for _ in 0..ERRORS_PER_CALL_MAX {
            let error = match self.listener.accept() {
                Ok(accepted) => return Some(accepted),
                Err(error) => error,
            };
            match (error.kind(), error.raw_os_error()) {
                (ErrorKind::WouldBlock, _) => {
                    self.pending = false;
                    return None;
                }
                // The peer left before we came, or its network failed: nobody to serve.
                (
                    ErrorKind::Interrupted
                    | ErrorKind::ConnectionAborted
                    | ErrorKind::ConnectionReset
                    | ErrorKind::HostUnreachable
                    | ErrorKind::NetworkUnreachable
                    | ErrorKind::NetworkDown,
                    _,
                ) => (),
                (_, Some(EMFILE | ENFILE)) if self.shed(&refusal()) => stats.refused.add(1),
                _ => {
                    self.back_off(now, &error);
                    return None;
                }
            }
        }
        None
    }

    /// Refuses one connection with the descriptor kept for this. False when that was impossible.
    fn shed(&mut self, refusal: &[u8]) -> bool {
        if self.spare.take().is_none() {
            return false;
        }
        // The socket is dropped here, or there is again no descriptor for the spare.
        let shed = self.listener.accept().map(|(stream, _)| refusals::send(&stream, refusal));
        self.spare = spare();
        shed.is_ok()
    }

    fn back_off(&mut self, now: Instant, error: &io::Error) {
        tracing::warn!(%error, "cannot accept connections for the moment");
        self.pending = false;
        self.retry_at = Some(now + RETRY_AFTER);
    }

    pub(super) fn listener_mut(&mut self) -> &mut TcpListener {
        &mut self.listener
    }
}

fn spare() -> Option<File> {
    File::open("/dev/null").ok()
}
