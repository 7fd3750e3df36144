//! mio and httparse alone: every request is parsed, none is looked at.

use httparse::{EMPTY_HEADER, Request, Status};
use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Token};
use std::io::{self, ErrorKind, Read, Write};

const LISTENER: Token = Token(usize::MAX);
const READ_BYTES: usize = 64 * 1024;
const EVENTS_PER_TURN: usize = 1024;
const HEADERS_MAX: usize = 64;

struct Connection {
    stream: TcpStream,
    /// The beginning of a request whose end has not come.
    rest: Vec<u8>,
}

struct Server {
    poll: Poll,
    /// By token.
    connections: Vec<Option<Connection>>,
    free: Vec<usize>,
    scratch: Box<[u8]>,
    answer: Vec<u8>,
    out: Vec<u8>,
}

fn main() -> io::Result<()> {
    let listener = peers::listen()?;
    peers::announce("mio-httparse", &listener)?;
    let mut listener = TcpListener::from_std(listener);
    let poll = Poll::new()?;
    poll.registry().register(&mut listener, LISTENER, Interest::READABLE)?;
    let mut server = Server {
        poll,
        connections: Vec::new(),
        free: Vec::new(),
        scratch: vec![0; READ_BYTES].into(),
        answer: peers::answer(&peers::body()?),
        out: Vec::new(),
    };
    let mut events = Events::with_capacity(EVENTS_PER_TURN);
    loop {
        match server.poll.poll(&mut events, None) {
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            result => result?,
        }
        for event in &events {
            match event.token() {
                LISTENER => server.accept(&listener)?,
                Token(slot) => server.respond(slot),
            }
        }
    }
}

impl Server {
    fn accept(&mut self, listener: &TcpListener) -> io::Result<()> {
        loop {
            let mut stream = match listener.accept() {
                Ok((stream, _)) => stream,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            };
            let slot = self.free.pop().unwrap_or_else(|| {
                self.connections.push(None);
                self.connections.len() - 1
            });
            self.poll.registry().register(&mut stream, Token(slot), Interest::READABLE)?;
            self.connections[slot] = Some(Connection { stream, rest: Vec::new() });
        }
    }

    fn respond(&mut self, slot: usize) {
        let Some(connection) = &mut self.connections[slot] else { return };
        self.out.clear();
        let goes_on = loop {
            match connection.stream.read(&mut self.scratch) {
                Ok(0) => break false,
                Ok(count) => {
                    let fresh = &self.scratch[..count];
                    let goes_on = connection.take(fresh, &self.answer, &mut self.out);
                    // A short read has emptied the socket.
                    if !goes_on || count < self.scratch.len() {
                        break goes_on;
                    }
                }
                Err(error) => break error.kind() == ErrorKind::WouldBlock,
            }
        };
        let sent = self.out.is_empty()
            || connection.stream.write(&self.out).is_ok_and(|count| count == self.out.len());
        if !goes_on || !sent {
            self.connections[slot] = None;
            self.free.push(slot);
        }
    }
}

impl Connection {
    /// Answers each complete request; false when the connection is to end.
    fn take(&mut self, fresh: &[u8], answer: &[u8], out: &mut Vec<u8>) -> bool {
        let kept = std::mem::take(&mut self.rest);
        let joined = if kept.is_empty() { None } else { Some([&*kept, fresh].concat()) };
        let mut input = joined.as_deref().unwrap_or(fresh);
        while !input.is_empty() {
            let mut headers = [EMPTY_HEADER; HEADERS_MAX];
            let mut request = Request::new(&mut headers);
            let size = match request.parse(input) {
                Ok(Status::Complete(size)) => size,
                Ok(Status::Partial) => {
                    self.rest = input.to_vec();
                    return true;
                }
                Err(_) => return false,
            };
            out.extend_from_slice(answer);
            let asks_close = request.headers.iter().any(|field| {
                field.name.eq_ignore_ascii_case("connection")
                    && field.value.eq_ignore_ascii_case(b"close")
            });
            if asks_close {
                return false;
            }
            input = &input[size..];
        }
        true
    }
}
