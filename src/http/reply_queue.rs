//! Puts answers back into request order: workers finish in any order, HTTP answers in one.

use super::extras::Extras;
use super::head::Connection;
use super::responder::{Decision, HttpReply, Interest, Ticket};
use super::route_stats::Place;
use crate::exec::Stamps;
use crate::limits::PIPELINE_DEPTH_MAX;
use std::collections::VecDeque;
use std::time::Instant;

/// What the answer to one request must look like, whatever it says.
#[derive(Debug)]
pub(super) struct Manner {
    /// It was HEAD: no content.
    pub(super) head_only: bool,
    pub(super) connection: Connection,
    /// Where the answer is counted.
    pub(super) place: Place,
    /// For the few requests that ask for more than their answer.
    pub(super) extras: Option<Box<Extras>>,
}

impl Manner {
    /// Of an answer that no route made.
    pub(super) fn plain(head_only: bool, connection: Connection) -> Self {
        Self { head_only, connection, place: Place::default(), extras: None }
    }

    /// The lines that a service added, each after its CRLF.
    pub(super) fn extra_fields(&self) -> &[u8] {
        self.extras.as_ref().and_then(|extras| extras.fields.as_deref()).unwrap_or_default()
    }
}

/// One request that is not yet answered on the wire.
pub(super) struct Slot {
    pub(super) manner: Manner,
    /// Requests behind an unanswered one that is not safe must wait.
    pub(super) is_safe: bool,
    /// [`Decision::Later`] while a worker has it.
    pub(super) decision: Decision,
    /// When the request was complete.
    pub(super) since: Instant,
    /// When the steps of its job were, once it is done.
    pub(super) stamps: Option<Stamps>,
    /// What tells a worker that the client still waits.
    pub(super) interest: Option<Interest>,
}

impl Slot {
    /// Of a request that came at `since`, and that others need not wait for.
    pub(super) fn new(manner: Manner, decision: Decision, since: Instant) -> Self {
        Self { manner, is_safe: true, decision, since, stamps: None, interest: None }
    }
}

/// Open requests of one connection, oldest first.
///
/// Invariant: `slots[i]` answers ticket `next - slots.len() + i`. An empty queue owns no heap.
#[derive(Default)]
pub(super) struct ReplyQueue {
    slots: VecDeque<Slot>,
    next: u64,
}

impl ReplyQueue {
    /// True when no further request may be taken on.
    pub(super) fn is_full(&self) -> bool {
        self.slots.len() >= PIPELINE_DEPTH_MAX
    }

    /// True when every request has been answered.
    pub(super) fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    /// True when nothing is allocated, as it must be when idle.
    pub(super) fn owns_no_heap(&self) -> bool {
        self.slots.capacity() == 0
    }

    /// True while a write is under way. Nothing is taken on behind it, so it is the last.
    pub(super) fn awaits_write(&self) -> bool {
        let pending = |slot: &Slot| !slot.is_safe && matches!(slot.decision, Decision::Later);
        self.slots.back().is_some_and(pending)
    }

    /// The name of the next request. An answer given at once needs no slot: then its ticket is
    /// spent, and a second answer to it finds nobody.
    pub(super) fn issue(&mut self) -> Ticket {
        self.next += 1;
        Ticket(self.next - 1)
    }

    /// Keeps a place for the ticket that was just issued.
    pub(super) fn push(&mut self, slot: Slot) {
        assert!(!self.is_full(), "the session stops parsing when the queue is full");
        self.slots.push_back(slot);
    }

    /// Stores the reply of a worker. False when nobody waits for it any more.
    pub(super) fn fill(&mut self, reply: HttpReply) -> bool {
        let HttpReply { ticket, response, stamps } = reply;
        let first = self.next - self.slots.len() as u64;
        let index = ticket.0.checked_sub(first).and_then(|index| usize::try_from(index).ok());
        match index.and_then(|index| self.slots.get_mut(index)) {
            Some(slot) if matches!(slot.decision, Decision::Later) => {
                slot.decision = Decision::Now(response);
                slot.stamps = stamps;
                slot.interest = None;
                true
            }
            _ => false,
        }
    }

    /// True while a worker wants to know whether the client still waits: its end must be seen then.
    pub(super) fn has_interest(&self) -> bool {
        self.slots.iter().any(|slot| slot.interest.is_some())
    }

    /// Lets those who work on long answers know that nobody waits for them.
    pub(super) fn lose_interest(&mut self) {
        for slot in &mut self.slots {
            slot.interest = None;
        }
    }

    /// Takes the oldest request if it has its answer.
    pub(super) fn pop_ready(&mut self) -> Option<Slot> {
        if matches!(self.slots.front()?.decision, Decision::Later) {
            return None;
        }
        let slot = self.slots.pop_front();
        if self.slots.is_empty() {
            self.slots = VecDeque::new();
        }
        slot
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::Response;

    fn reply(ticket: Ticket, response: Response) -> HttpReply {
        HttpReply { ticket, response, stamps: None }
    }

    fn push(queue: &mut ReplyQueue, is_safe: bool) -> Ticket {
        let ticket = queue.issue();
        let manner = Manner::plain(false, Connection::Goes);
        let slot = Slot::new(manner, Decision::Later, Instant::now());
        queue.push(Slot { is_safe, ..slot });
        ticket
    }

    fn body(slot: Option<Slot>) -> Option<Vec<u8>> {
        match slot?.decision {
            Decision::Now(response) => Some(response.body.bytes().to_vec()),
            _ => None,
        }
    }

    #[test]
    fn replies_leave_in_request_order() {
        let mut queue = ReplyQueue::default();
        let (first, second) = (push(&mut queue, true), push(&mut queue, true));
        assert!(queue.fill(reply(second, Response::json("2"))));
        assert!(queue.pop_ready().is_none());
        assert!(queue.fill(reply(first, Response::json("1"))));
        assert_eq!(body(queue.pop_ready()).as_deref(), Some(b"1".as_slice()));
        assert_eq!(body(queue.pop_ready()).as_deref(), Some(b"2".as_slice()));
        assert!(queue.is_empty());
        assert!(queue.owns_no_heap());
    }

    #[test]
    fn a_reply_that_nobody_waits_for_is_ignored() {
        let mut queue = ReplyQueue::default();
        let spent = queue.issue();
        assert!(!queue.fill(reply(spent, Response::json("late"))));
        let open = push(&mut queue, false);
        assert!(!queue.fill(reply(spent, Response::json("late"))));
        assert!(!queue.fill(reply(Ticket(99), Response::json("never issued"))));
        assert!(queue.awaits_write());
        assert!(queue.fill(reply(open, Response::json("1"))));
        assert!(!queue.fill(reply(open, Response::json("2"))), "one request, one reply");
    }
}
