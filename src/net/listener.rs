//! Listening sockets: one for each loop on the same port, and no port that is somebody else's.

use crate::limits::LISTEN_BACKLOG;
use socket2::{Domain, Protocol, Socket, TcpKeepalive, Type};
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::time::Duration;

/// How dead peers are found on connections that may be silent for long.
#[derive(Clone, Copy, Debug)]
pub struct Keepalive {
    /// Silence before the first probe.
    pub idle: Duration,
    /// Between probes.
    pub interval: Duration,
    /// Unanswered data or probes for so long end the connection (`TCP_USER_TIMEOUT`).
    pub give_up: Duration,
}

/// Binds `count` non-blocking listeners to `address`; with port 0 to one port of the kernel's
/// choice. Fails with `AddrInUse` when another socket listens there.
pub fn bind(
    address: SocketAddr,
    count: usize,
    keepalive: Option<Keepalive>,
) -> io::Result<Vec<TcpListener>> {
    // Without SO_REUSEPORT, so that a port on which another process listens is refused: with it
    // the kernel would split the connections between the two, silently. It does not listen, and
    // is held until ours do, so that the port cannot be lost in between.
    let probe = socket(address).and_then(|probe| probe.bind(&address.into()).map(|()| probe));
    let probe = probe.map_err(|error| named(address, &error))?;
    let bound = probe.local_addr()?.as_socket().unwrap_or(address);
    (0..count).map(|_| listen(bound, keepalive).map_err(|error| named(bound, &error))).collect()
}

fn listen(address: SocketAddr, keepalive: Option<Keepalive>) -> io::Result<TcpListener> {
    let socket = socket(address)?;
    socket.set_reuse_port(true)?;
    socket.set_nonblocking(true)?;
    // Accepted sockets inherit what is set here, which saves system calls for each.
    socket.set_tcp_nodelay(true)?;
    if let Some(keepalive) = keepalive {
        let probes = TcpKeepalive::new().with_time(keepalive.idle);
        socket.set_tcp_keepalive(&probes.with_interval(keepalive.interval))?;
        socket.set_tcp_user_timeout(Some(keepalive.give_up))?;
    }
    socket.bind(&address.into())?;
    socket.listen(LISTEN_BACKLOG)?;
    Ok(socket.into())
}

fn socket(address: SocketAddr) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    // A restart must not wait for the last connections of its predecessor to leave TIME_WAIT.
    socket.set_reuse_address(true)?;
    Ok(socket)
}

/// An error that says which address, since a server has several.
fn named(address: SocketAddr, error: &io::Error) -> io::Error {
    let reason = match error.kind() {
        io::ErrorKind::AddrInUse => format!("{address} is in use by another socket"),
        _ => format!("cannot listen on {address}: {error}"),
    };
    io::Error::new(error.kind(), reason)
}
