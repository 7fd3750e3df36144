//! What all domains have in common here: writes with a key, on accounts with balances.

use crate::client::http::{Answer, HttpConnection, request};
use std::io;
use std::net::SocketAddr;
use std::thread;
use std::time::{Duration, Instant};

/// A server that says nothing for so long has hung.
pub(super) const ANSWER_TIMEOUT: Duration = Duration::from_secs(60);

/// A server that still refuses, or is behind, after so long has not recovered.
pub(super) const RECOVERY_MAX: Duration = Duration::from_secs(60);

/// Until something is tried again.
pub(super) const RETRY_PAUSE: Duration = Duration::from_millis(5);

/// Where a server listens.
#[derive(Clone, Copy, Debug)]
pub(super) struct Addresses {
    pub(super) http: SocketAddr,
    pub(super) tlv: SocketAddr,
    pub(super) admin: SocketAddr,
}

/// One write: an anchor gets worth, a counter grows, a user snatches, a customer buys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Deed {
    /// From 1.
    pub(super) account: u32,
    /// What the balance grows by.
    pub(super) amount: i64,
    /// Its request id.
    pub(super) key: String,
}

/// What a server said to a deed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reply {
    /// It took effect, now or earlier.
    Done {
        /// The name that the server gave it, where it gives one.
        id: Option<i64>,
        /// It had taken effect before.
        replayed: bool,
    },
    /// Not now.
    Refused,
}

/// A kind of write.
pub(super) trait Domain: Send + Sync {
    /// For the table.
    fn name(&self) -> &'static str;

    /// Makes ready what writes need; false: this server does not serve it.
    fn prepare(&self, server: &Addresses) -> io::Result<bool>;

    /// A connection to write on.
    fn connect(&self, server: &Addresses) -> io::Result<Box<dyn Hand>>;

    /// Accounts are 1 up to this.
    fn accounts(&self) -> u32;

    /// Amounts are 1 up to this.
    fn amount_max(&self) -> i64;
}

/// A connection that writes and reads balances. An error of the kind `Other` says that the server
/// answered what it must not; any other, that the connection broke.
pub(super) trait Hand {
    fn act(&mut self, deed: &Deed) -> io::Result<Reply>;
    fn balance(&mut self, account: u32) -> io::Result<i64>;
}

/// A connection for HTTP.
pub(super) fn http(server: &Addresses) -> io::Result<HttpConnection> {
    HttpConnection::open(server.http, ANSWER_TIMEOUT)
}

/// Posts under a key. `Ok(None)`: not now.
pub(super) fn post<'a>(
    connection: &'a mut HttpConnection,
    path: &str,
    key: &str,
    body: &str,
) -> io::Result<Option<Answer<'a>>> {
    let answer = connection.exchange(&request("POST", path, &[("Idempotency-Key", key)], body))?;
    match answer.status {
        200 => Ok(Some(answer)),
        429 | 503 => Ok(None),
        _ => Err(wrong(path, &answer)),
    }
}

/// The JSON of an answer that is not behind, as that of a cluster may be for a while after a blow;
/// `None` for 404.
pub(super) fn fresh(
    connection: &mut HttpConnection,
    target: &str,
) -> io::Result<Option<serde_json::Value>> {
    let start = Instant::now();
    while start.elapsed() < RECOVERY_MAX {
        let answer = connection.get(target)?;
        match answer.status {
            _ if answer.stale || answer.status == 503 => thread::sleep(RETRY_PAUSE),
            404 => return Ok(None),
            200 => {
                let value = serde_json::from_slice(answer.body);
                return value.map(Some).map_err(|_| wrong(target, &answer));
            }
            _ => return Err(wrong(target, &answer)),
        }
    }
    let seconds = RECOVERY_MAX.as_secs();
    Err(io::Error::other(format!("{target} is still behind {seconds} s after the blow")))
}

/// The server answered what it must not.
pub(super) fn wrong(what: &str, answer: &Answer<'_>) -> io::Error {
    let body = String::from_utf8_lossy(answer.body);
    io::Error::other(format!("{what} answered {}: {body}", answer.status))
}
