//! Who is at the other end, with what is known of them and the means to send there unasked.

use super::feed::Feeds;
use super::following::Following;
use super::frame::Frame;
use super::responder::TlvReply;
use crate::exec::{Delivery, Outbox};
use crate::session::{ConnId, Group};

/// A connection as its service sees it, for one call.
pub struct Peer<'a, P> {
    /// The number that the welcome told the client; unique in the process.
    pub uid: i64,
    /// Its name on this loop.
    pub conn: ConnId,
    /// What the service keeps of it.
    pub properties: &'a mut P,
    pub(super) following: &'a mut Option<Box<Following>>,
    pub(super) outbox: &'a Outbox<TlvReply>,
}

impl<P> Peer<'_, P> {
    /// Something to keep, and to push with from any thread.
    pub fn pusher(&self) -> Pusher {
        Pusher { conn: self.conn, outbox: self.outbox.clone() }
    }

    /// Follows the feed of that key, and no other any more. `start` is called once nothing of it can
    /// be missed: it tells the number of the feed's newest frame, and of the last one that the client
    /// has. True for the first follower of all loops.
    pub fn follow(&mut self, feeds: &Feeds, key: u64, start: impl FnOnce() -> (i64, i64)) -> bool {
        // First the place where news is heard, then the wish to hear any: else the first news could
        // come before the place, and there is no second one until somebody has heard it.
        self.join(Group(key));
        let (feed, is_first) = feeds.join(key, self.outbox);
        let (last, cursor) = start();
        feed.advance_to(last);
        *self.following = Some(Box::new(Following::new(feed, cursor)));
        is_first
    }

    /// Follows nothing any more. True when this was the last follower of its feed.
    pub fn unfollow(&mut self, feeds: &Feeds) -> bool {
        let Some(following) = self.following.take() else { return false };
        let feed = &following.feed;
        self.leave(feed.group());
        feeds.leave(feed.key(), self.outbox)
    }

    /// From now on the connection gets what is pushed to this group.
    pub fn join(&self, group: Group) {
        self.outbox.post(Delivery::Join { conn: self.conn, group });
    }

    /// No longer.
    pub fn leave(&self, group: Group) {
        self.outbox.post(Delivery::Leave { conn: self.conn, group });
    }
}

/// Sends frames to one connection that did not ask for them, in the order of the calls and behind
/// the answers that were sent before. Once the connection is gone it does nothing.
#[derive(Clone)]
pub struct Pusher {
    conn: ConnId,
    outbox: Outbox<TlvReply>,
}

impl Pusher {
    /// Pushes. A reader that has fallen too far behind is closed instead, so that none is left out
    /// unnoticed.
    pub fn push(&self, frame: Frame) {
        self.post(TlvReply::Push(frame));
    }

    /// Sends what was pushed and answered so far, then closes.
    pub fn close(&self) {
        self.post(TlvReply::Close);
    }

    fn post(&self, reply: TlvReply) {
        self.outbox.post(Delivery::Reply { conn: self.conn, reply });
    }
}
