//! One blocking connection to a trading room.

use super::frames::FrameReader;
use super::room::{Message, Request};
use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

/// To reach a server on this machine, or in the same network.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// See the module documentation. After an error the connection is of no more use.
pub struct RoomLink {
    stream: TcpStream,
    frames: FrameReader,
    /// Pushes that came while an answer was waited for.
    early: VecDeque<Message>,
}

impl RoomLink {
    /// Connects. The welcome comes once something was sent.
    pub fn open(address: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect_timeout(&address, CONNECT_TIMEOUT)?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, frames: FrameReader::default(), early: VecDeque::new() })
    }

    /// The sending half, for another thread; shutting it down ends this one's waiting too.
    pub fn sender(&self) -> io::Result<TcpStream> {
        self.stream.try_clone()
    }

    /// Asks, and waits for the answer; pushes that come before it are kept for [`Self::push`].
    pub fn ask(&mut self, request: &Request, timeout: Duration) -> io::Result<Message> {
        self.stream.write_all(&request.encode())?;
        let deadline = Instant::now() + timeout;
        loop {
            match self.receive(Some(deadline))? {
                Message::Welcome | Message::Other(_) => {}
                push if push.seq().is_some() => self.early.push_back(push),
                answer => return Ok(answer),
            }
        }
    }

    /// Drops the pushes that were kept.
    pub fn forget_pushes(&mut self) {
        self.early.clear();
    }

    /// The next push.
    pub fn push(&mut self, timeout: Duration) -> io::Result<Message> {
        if let Some(push) = self.early.pop_front() {
            return Ok(push);
        }
        let deadline = Instant::now() + timeout;
        loop {
            match self.receive(Some(deadline))? {
                Message::Welcome | Message::Other(_) => {}
                message => return Ok(message),
            }
        }
    }

    /// The next message; without a deadline it waits for ever.
    pub fn receive(&mut self, deadline: Option<Instant>) -> io::Result<Message> {
        let mut buffer = [0; 16 << 10];
        loop {
            if let Some((id, data)) = self.frames.next_frame()? {
                return Message::decode(id, data)
                    .map_err(|why| io::Error::new(io::ErrorKind::InvalidData, why));
            }
            if let Some(deadline) = deadline {
                let left = deadline.saturating_duration_since(Instant::now());
                if left.is_zero() {
                    return Err(io::Error::new(io::ErrorKind::TimedOut, "no answer in time"));
                }
                self.stream.set_read_timeout(Some(left))?;
            }
            match self.stream.read(&mut buffer) {
                Ok(0) => {
                    let why = "the server closed the connection";
                    return Err(io::Error::new(io::ErrorKind::UnexpectedEof, why));
                }
                Ok(count) => self.frames.extend(&buffer[..count]),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }
}
