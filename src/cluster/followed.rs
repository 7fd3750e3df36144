//! What somebody follows: each is looked at now and then, once for all its followers.

use crate::limits::TOPIC_INTERVAL;
use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

/// Looks without anybody having asked for it, after which nobody follows it any more: topics ask at
/// least once a second.
const LOOKS_UNASKED_MAX: u32 = 50;

/// Shared by loops, which ask, and the driver's turns, which look.
pub struct Followed<Q, F> {
    boards: Mutex<HashMap<Q, Board<F>>>,
    announce: Box<dyn Fn() + Send + Sync>,
}

struct Board<F> {
    found: Option<F>,
    looked_at: Option<Instant>,
    looks_unasked: u32,
}

impl<Q: Clone + Eq + Hash, F: Clone + PartialEq> Followed<Q, F> {
    /// Calls `announce` when what is followed is another.
    pub fn new(announce: impl Fn() + Send + Sync + 'static) -> Self {
        Self { boards: Mutex::default(), announce: Box::new(announce) }
    }

    /// As it was last seen; from now on it is looked at.
    pub fn shown(&self, question: Q) -> Option<F> {
        let mut boards = self.lock();
        let unseen = Board { found: None, looked_at: None, looks_unasked: 0 };
        let board = boards.entry(question).or_insert(unseen);
        board.looks_unasked = 0;
        board.found.clone()
    }

    /// Has `ask` look at all whose time has come; it tells what it saw with [`Self::saw`].
    pub fn look(self: &Arc<Self>, now: Instant, ask: impl Fn(Q, Arc<Self>)) {
        let mut due = Vec::new();
        self.lock().retain(|question, board| {
            if board.looked_at.is_none_or(|at| now >= at + TOPIC_INTERVAL) {
                board.looked_at = Some(now);
                board.looks_unasked += 1;
                due.push(question.clone());
            }
            board.looks_unasked <= LOOKS_UNASKED_MAX
        });
        for question in due {
            ask(question, Arc::clone(self));
        }
    }

    /// Followers see what can be seen: what may lack something is shown all the same, and the next
    /// look tells more.
    pub fn saw(&self, question: &Q, found: F) {
        let mut boards = self.lock();
        let Some(board) = boards.get_mut(question) else { return };
        if board.found.as_ref() == Some(&found) {
            return;
        }
        board.found = Some(found);
        drop(boards);
        (self.announce)();
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<Q, Board<F>>> {
        self.boards.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
