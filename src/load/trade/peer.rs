//! One connection of the load, without blocking: what it has asked and not heard of.

use crate::client::frames::FrameReader;
use crate::client::room::{Message, Request};
use mio::net::TcpStream;
use mio::{Interest, Registry, Token};
use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// To reach a server on this machine, or in the same network.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// See the module documentation.
pub(super) struct Peer {
    stream: TcpStream,
    frames: FrameReader,
    unsent: Vec<u8>,
    /// When each request was asked that has no answer yet, oldest first.
    asked: VecDeque<Instant>,
}

impl Peer {
    pub(super) fn connect(
        address: SocketAddr,
        token: usize,
        registry: &Registry,
    ) -> io::Result<Self> {
        let stream = std::net::TcpStream::connect_timeout(&address, CONNECT_TIMEOUT)?;
        stream.set_nodelay(true)?;
        stream.set_nonblocking(true)?;
        let mut stream = TcpStream::from_std(stream);
        registry.register(&mut stream, Token(token), Interest::READABLE | Interest::WRITABLE)?;
        let (frames, unsent, asked) = (FrameReader::default(), Vec::new(), VecDeque::new());
        Ok(Self { stream, frames, unsent, asked })
    }

    /// Requests without an answer.
    pub(super) fn unanswered(&self) -> usize {
        self.asked.len()
    }

    /// Sends, or keeps what the socket does not take. `now` is when the answer is waited for from.
    pub(super) fn ask(&mut self, request: &Request, now: Instant) -> io::Result<()> {
        self.unsent.extend_from_slice(&request.encode());
        self.asked.push_back(now);
        self.send_rest()
    }

    /// Goes on with what the socket did not take.
    pub(super) fn send_rest(&mut self) -> io::Result<()> {
        while !self.unsent.is_empty() {
            match self.stream.write(&self.unsent) {
                Ok(count) => drop(self.unsent.drain(..count)),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Reads all there is. `hear` gets each message, and when it was asked for, if it was.
    pub(super) fn read(
        &mut self,
        buffer: &mut [u8],
        mut hear: impl FnMut(Message, Option<Instant>),
    ) -> io::Result<()> {
        loop {
            match self.stream.read(buffer) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(count) => self.frames.extend(&buffer[..count]),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            }
            while let Some((id, data)) = self.frames.next_frame()? {
                let message = Message::decode(id, data)
                    .map_err(|why| io::Error::new(io::ErrorKind::InvalidData, why))?;
                let unasked = message.seq().is_some()
                    || matches!(message, Message::Welcome | Message::Other(_));
                let asked = if unasked { None } else { self.asked.pop_front() };
                hear(message, asked);
            }
        }
    }
}
