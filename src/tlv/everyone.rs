//! The way to all loops: pushes to every member of a group, wherever its connection lives.

use super::frame::Frame;
use super::responder::TlvReply;
use crate::exec::{Delivery, Outbox};
use crate::session::Group;
use std::sync::{Arc, PoisonError, RwLock};

/// The TLV ports of all loops; each joins at its start.
#[derive(Default)]
pub struct Everyone {
    /// Written once per loop, read once per push.
    loops: RwLock<Vec<Outbox<TlvReply>>>,
}

impl Everyone {
    /// Adds a loop.
    pub fn add_loop(&self, outbox: Outbox<TlvReply>) {
        self.loops.write().unwrap_or_else(PoisonError::into_inner).push(outbox);
    }

    /// Pushes to every member of the group, on all loops.
    pub fn push(&self, group: Group, frame: &Frame) {
        for outbox in self.loops.read().unwrap_or_else(PoisonError::into_inner).iter() {
            let frame = frame.clone();
            let reply = Arc::new(move || TlvReply::Push(frame.clone()));
            outbox.post(Delivery::Tell { group, reply });
        }
    }
}
