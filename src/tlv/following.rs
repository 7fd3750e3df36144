//! Where one connection stands in the feed that it follows, and what it is sent next.

use super::feed::{Feed, Numbered, Recent};
use super::frame::{Frame, HEADER_BYTES};
use super::responder::{Ticket, TlvReply};
use crate::exec::{Delivery, Outbox};
use crate::limits::FEED_RESUME_BYTES;
use crate::session::{ConnId, SendQueue};
use std::sync::Arc;

/// One connection's place. Boxed by its session, so that who follows nothing pays a pointer.
pub(super) struct Following {
    pub(super) feed: Arc<Feed>,
    /// The number of the last frame that was sent.
    cursor: i64,
    /// It has had everything once: from then on a frame is queued as soon as it is there. Before, it
    /// catches up at the pace of its client.
    is_live: bool,
    /// The record is being read on behalf of this.
    reading: Option<Ticket>,
}

/// A part of the record, read for a connection.
#[derive(Debug)]
pub struct Page {
    ticket: Ticket,
    /// `None` when it could not be read.
    frames: Option<Vec<Numbered>>,
}

/// Why a connection cannot go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lost {
    /// Its client does not read what it follows.
    TooSlow,
    /// The record cannot be read; the client comes back with the number of its last frame.
    NoRecord,
}

impl Following {
    pub(super) fn new(feed: Arc<Feed>, cursor: i64) -> Self {
        Self { feed, cursor, is_live: false, reading: None }
    }

    /// True when a frame of that number would be sent by the next [`Following::send`].
    pub(super) fn is_live(&self) -> bool {
        self.is_live
    }

    /// Sends what there is before the number `end`: all of it to who keeps up, as much as there is
    /// room for to who catches up. False: the record has to be read first.
    pub(super) fn send(
        &mut self,
        end: i64,
        queue_bytes_max: usize,
        out: &mut SendQueue,
        mut encode: impl FnMut(&Frame, &mut SendQueue),
    ) -> Result<bool, Lost> {
        if self.reading.is_some() {
            return Ok(true);
        }
        let Self { feed, cursor, is_live, .. } = self;
        let mut is_full = false;
        let recent = feed.each_after(*cursor, |numbered| {
            if numbered.seq >= end {
                return false;
            }
            let size = HEADER_BYTES + numbered.frame.data.bytes().len();
            let max = if *is_live { queue_bytes_max } else { FEED_RESUME_BYTES };
            is_full = out.len() + size > max && (*is_live || !out.is_empty());
            if is_full {
                return false;
            }
            encode(&numbered.frame, out);
            *cursor = numbered.seq;
            true
        });
        if is_full && *is_live {
            return Err(Lost::TooSlow);
        }
        match recent {
            Recent::UpToDate => *is_live = true,
            Recent::Stopped => {}
            Recent::Forgotten => {
                *is_live = false;
                return Ok(out.len() > FEED_RESUME_BYTES);
            }
        }
        Ok(true)
    }

    /// Has the record read on from here; the page comes as a reply to `conn`.
    pub(super) fn read(&mut self, ticket: Ticket, conn: ConnId, outbox: &Outbox<TlvReply>) {
        self.reading = Some(ticket);
        let outbox = outbox.clone();
        self.feed.read(
            self.cursor,
            Box::new(move |frames| {
                let reply = TlvReply::Page(Page { ticket, frames });
                outbox.post(Delivery::Reply { conn, reply });
            }),
        );
    }

    /// Forgets a page that comes at a bad time; it is asked for again.
    pub(super) fn put_off(&mut self, page: &Page) {
        if self.reading == Some(page.ticket) {
            self.reading = None;
        }
    }

    /// Sends a page of the record, if this waits for it.
    pub(super) fn take(
        &mut self,
        page: Page,
        out: &mut SendQueue,
        mut encode: impl FnMut(&Frame, &mut SendQueue),
    ) -> Result<(), Lost> {
        if self.reading != Some(page.ticket) {
            return Ok(());
        }
        self.reading = None;
        let frames = page.frames.ok_or(Lost::NoRecord)?;
        if frames.first().is_none_or(|first| first.seq != self.cursor + 1) {
            // Without progress this would ask for ever.
            tracing::error!(feed = self.feed.key(), after = self.cursor, "the record has a gap");
            return Err(Lost::NoRecord);
        }
        for numbered in frames {
            encode(&numbered.frame, out);
            self.cursor = numbered.seq;
        }
        Ok(())
    }
}
