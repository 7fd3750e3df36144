//! The least a TLV port can do: it answers heartbeats.

use super::{Answer, Deferral, Frame, Message, Peer, Service, id};

/// Answers heartbeats, whatever their data; refuses every other message.
#[derive(Clone, Copy, Debug, Default)]
pub struct Heartbeat;

impl Service for Heartbeat {
    fn call(&self, _: &Peer<'_>, message: &Message<'_>, _: Deferral<'_>) -> Answer {
        Answer::now(match message.id {
            id::HEARTBEAT => Frame::new(id::HEARTBEAT, "{}"),
            unknown => Frame::unknown_message(unknown),
        })
    }
}
