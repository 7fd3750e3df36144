//! Joins the HTTP protocol to the event loop: neither knows the other.

use crate::exec::Outbox;
use crate::http::{self, HttpOptions, HttpReply, HttpSession, Service};
use crate::net::Protocol;
use crate::session::{ConnId, HttpDate, Turn};
use std::net::SocketAddr;
use std::rc::Rc;

/// Makes the HTTP sessions of one port of one loop.
pub struct HttpPort {
    service: Rc<dyn Service>,
    options: Rc<HttpOptions>,
}

impl HttpPort {
    /// All its connections are answered by `service`.
    pub fn new(service: Rc<dyn Service>, options: Rc<HttpOptions>) -> Self {
        Self { service, options }
    }
}

impl Protocol for HttpPort {
    type Session = HttpSession;

    fn open(
        &mut self,
        conn: ConnId,
        peer: SocketAddr,
        outbox: &Outbox<HttpReply>,
        turn: &mut Turn<'_>,
    ) -> HttpSession {
        let (service, options) = (Rc::clone(&self.service), Rc::clone(&self.options));
        HttpSession::new(conn, service, outbox.clone(), options, turn.now).with_peer(peer.ip())
    }

    fn refusal(&self, date: &HttpDate) -> Vec<u8> {
        http::refusal("too many connections", date)
    }
}
