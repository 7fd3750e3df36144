//! What the peers share: where they listen, what they answer, and the line that says they do.
//!
//! Each is started with the file of a body and answers every request with it, from one thread.

use socket2::{Domain, Socket, Type};
use std::io::{self, Error};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};

/// More than the connections of any load.
const BACKLOG: i32 = 4096;

/// The content of the file that the command line names first.
pub fn body() -> io::Result<Vec<u8>> {
    let path = std::env::args_os().nth(1);
    std::fs::read(path.ok_or_else(|| Error::other("the first argument is the file of a body"))?)
}

/// All bytes of the answer, with the fields that Fanfare sends. The date stands still: the peers
/// that use this one are there to be cheap.
#[must_use]
pub fn answer(body: &[u8]) -> Vec<u8> {
    let head = format!(
        "HTTP/1.1 200 OK\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    [head.as_bytes(), body].concat()
}

/// A listener on a free loopback port. Its connections inherit what is set here.
pub fn listen() -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
    socket.set_nonblocking(true)?;
    socket.set_tcp_nodelay(true)?;
    socket.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

/// Tells bench.sh where to send requests.
#[expect(clippy::print_stdout, reason = "a line on standard output is the interface")]
pub fn announce(name: &str, listener: &TcpListener) -> io::Result<()> {
    println!("{name} ready http={}", listener.local_addr()?);
    Ok(())
}
