//! Sockets: the only user of mio. What it learns it passes to a [`Session`], and the bytes back.
//!
//! [`EventLoop`] owns one thread's ports. A port (`port.rs`) is one listener, its protocol and
//! all that belongs to its connections: slots, timers, topics, the mailbox for workers' answers.
//!
//! [`Session`]: crate::session::Session

mod acceptor;
mod connection;
mod control;
mod event_loop;
mod groups;
mod listener;
mod port;
mod refusals;
mod slots;
mod stats;
mod timers;
mod topics;

pub use control::{Control, RunPhase};
pub use event_loop::{EventLoop, LoopOptions};
pub use listener::{Keepalive, bind};
pub use port::{PortOptions, Protocol};
pub use stats::{ConnectionLimit, LoopStats};
