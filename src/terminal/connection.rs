//! Keeps the connection up: connects, reads, and connects again after a while that grows.

use crate::client::room::Message;
use crate::client::room_link::RoomLink;
use crossbeam_channel::Sender;
use std::io;
use std::net::{SocketAddr, TcpStream};
use std::thread;
use std::time::Duration;

/// The first wait after a connection was lost, and the longest.
const WAIT_MIN: Duration = Duration::from_millis(250);
const WAIT_MAX: Duration = Duration::from_secs(10);

/// What the loop hears.
pub(super) enum Event {
    /// A line was typed, or read from a script.
    Line(String),
    /// No line will follow.
    EndOfInput,
    /// Connected; this is where to write.
    Up(TcpStream),
    /// The server said something.
    Message(Message),
    /// Not connected, and why; another try follows.
    Down(String),
}

/// Starts the thread; it ends with the process, or when nobody listens any more.
pub(super) fn start(address: SocketAddr, events: Sender<Event>) -> io::Result<()> {
    thread::Builder::new().name("connection".into()).spawn(move || keep(address, &events))?;
    Ok(())
}

fn keep(address: SocketAddr, events: &Sender<Event>) {
    let mut wait = WAIT_MIN;
    loop {
        let Err(error) = read(address, events, &mut wait) else { return };
        if events.send(Event::Down(format!("{address}: {error}"))).is_err() {
            return;
        }
        // Many clients of a server that restarts should not come back at the same instant.
        thread::sleep(wait.mul_f64(0.5 + fastrand::f64() / 2.0));
        wait = (wait * 2).min(WAIT_MAX);
    }
}

/// One connection to its end, which is an error; `Ok`: nobody listens any more.
fn read(address: SocketAddr, events: &Sender<Event>, wait: &mut Duration) -> io::Result<()> {
    let mut link = RoomLink::open(address)?;
    if events.send(Event::Up(link.sender()?)).is_err() {
        return Ok(());
    }
    loop {
        let message = link.receive(None)?;
        *wait = WAIT_MIN;
        if events.send(Event::Message(message)).is_err() {
            return Ok(());
        }
    }
}
