//! The limit: a responder that parses nothing. Every blank line that it reads is a request.
//!
//! `limit BODY_FILE [close]`: with `close` it ends each connection after the first read.
//!
//! It is no server: a request that arrives in two pieces is counted by where its end is, and an
//! answer that the kernel does not take at once is cut off.

use memchr::memmem::Finder;
use rustix::event::epoll::{self, CreateFlags, Event, EventData, EventFlags};
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags, SocketFlags, accept_with, recv, send};
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, OwnedFd};

const LISTENER: u64 = u64::MAX;
const READ_BYTES: usize = 64 * 1024;
const EVENTS_PER_TURN: usize = 1024;

struct Limit {
    poll: OwnedFd,
    /// By their numbers.
    connections: Vec<Option<OwnedFd>>,
    scratch: Box<[u8]>,
    blank_line: Finder<'static>,
    answer_bytes: usize,
    /// As often as a read can bring a request.
    answers: Vec<u8>,
    closes: bool,
}

fn main() -> io::Result<()> {
    let listener = peers::listen()?;
    peers::announce("limit", &listener)?;
    let poll = epoll::create(CreateFlags::CLOEXEC)?;
    epoll::add(&poll, &listener, EventData::new_u64(LISTENER), EventFlags::IN | EventFlags::ET)?;
    let answer = peers::answer(&peers::body()?);
    let mut limit = Limit {
        poll,
        connections: Vec::new(),
        scratch: vec![0; READ_BYTES].into(),
        blank_line: Finder::new(b"\r\n\r\n"),
        answer_bytes: answer.len(),
        answers: answer.repeat(64),
        closes: std::env::args().nth(2).as_deref() == Some("close"),
    };
    let mut events = [MaybeUninit::<Event>::uninit(); EVENTS_PER_TURN];
    loop {
        let ready = match epoll::wait(&limit.poll, events.as_mut_slice(), None) {
            Err(Errno::INTR) => continue, // A tracer came or went.
            result => result?.0,
        };
        for event in ready {
            match event.data.u64() {
                LISTENER => limit.accept(&listener)?,
                number => limit.respond(usize::try_from(number).map_err(io::Error::other)?),
            }
        }
    }
}

impl Limit {
    fn accept(&mut self, listener: &std::net::TcpListener) -> io::Result<()> {
        loop {
            let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
            let connection = match accept_with(listener, flags) {
                Err(Errno::AGAIN) => return Ok(()),
                accepted => accepted?,
            };
            let number = usize::try_from(connection.as_raw_fd()).map_err(io::Error::other)?;
            let data = EventData::new_u64(number as u64);
            epoll::add(&self.poll, &connection, data, EventFlags::IN | EventFlags::ET)?;
            if self.connections.len() <= number {
                self.connections.resize_with(number + 1, || None);
            }
            self.connections[number] = Some(connection);
        }
    }

    fn respond(&mut self, number: usize) {
        let Some(connection) = &self.connections[number] else { return };
        let count = match recv(connection, &mut *self.scratch, RecvFlags::empty()) {
            Ok((count @ 1.., _)) => count,
            // What woke it was read in the turn before.
            Err(Errno::AGAIN | Errno::INTR) => return,
            _ => {
                self.connections[number] = None;
                return;
            }
        };
        let requests = self.blank_line.find_iter(&self.scratch[..count]).count();
        let answers = &self.answers[..requests * self.answer_bytes];
        let sent = send(connection, answers, SendFlags::NOSIGNAL);
        if self.closes || sent != Ok(answers.len()) {
            self.connections[number] = None;
        }
    }
}
