//! Requests without an answer, and those who have waited too long for theirs.

use crate::cluster::document::JournalDocument;
use crate::cluster::driver::Answered;
use crate::cluster::figures::Figures;
use crate::cluster::message::{Outcome, Ticket};
use std::collections::{HashMap, VecDeque};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// Invariant: every open ticket is in `order`, the oldest first.
pub(super) struct Tickets<T: JournalDocument> {
    next: Ticket,
    open: HashMap<Ticket, Answered<T>>,
    order: VecDeque<(Instant, Ticket)>,
    pending: Arc<AtomicUsize>,
}

impl<T: JournalDocument> Tickets<T> {
    /// `pending` counts what was asked and not answered.
    pub(super) fn new(pending: Arc<AtomicUsize>) -> Self {
        Self { next: 0, open: HashMap::new(), order: VecDeque::new(), pending }
    }

    pub(super) fn open(&mut self, answered: Answered<T>, at: Instant) -> Ticket {
        self.next += 1;
        self.open.insert(self.next, answered);
        self.order.push_back((at, self.next));
        self.next
    }

    /// Nothing when its deadline was first.
    pub(super) fn answer(&mut self, ticket: Ticket, outcome: Outcome<T>) {
        let Some(answered) = self.open.remove(&ticket) else { return };
        self.pending.fetch_sub(1, Ordering::Relaxed);
        // An answer that panics is its owner's loss, not that of all who wait.
        if catch_unwind(AssertUnwindSafe(|| answered(outcome))).is_err() {
            tracing::error!("an answer panicked");
        }
    }

    /// Whoever has waited for `deadline` hears that nobody knows.
    pub(super) fn expire(&mut self, now: Instant, deadline: Duration, figures: &Figures) {
        while let Some(&(at, ticket)) = self.order.front() {
            if self.open.contains_key(&ticket) {
                if now < at + deadline {
                    return;
                }
                figures.late.add(1);
                self.answer(ticket, Outcome::Unavailable);
            }
            self.order.pop_front();
        }
    }

    pub(super) fn give_up(&mut self) {
        for ticket in self.open.keys().copied().collect::<Vec<_>>() {
            self.answer(ticket, Outcome::Unavailable);
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.open.is_empty()
    }
}
