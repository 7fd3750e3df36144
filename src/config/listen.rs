//! An address to listen on, as it was written and as it was resolved.

use serde::{Serialize, Serializer};
use std::fmt;
use std::net::{SocketAddr, ToSocketAddrs};

/// `host:port` or `[IPv6]:port`. A name is resolved once, at the start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListenAddr {
    text: String,
    addr: SocketAddr,
}

impl ListenAddr {
    /// `None` when `text` is no address and no name that resolves.
    pub fn resolve(text: &str) -> Option<Self> {
        let addr = match text.parse() {
            Ok(addr) => addr,
            Err(_) => text.to_socket_addrs().ok()?.next()?,
        };
        Some(Self { text: text.to_owned(), addr })
    }

    /// Where to bind; port 0 asks the kernel for a free one.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// True when only this machine can reach it.
    pub fn is_loopback(&self) -> bool {
        self.addr.ip().is_loopback()
    }
}

impl fmt::Display for ListenAddr {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.text)
    }
}

impl Serialize for ListenAddr {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}
