//! Boards that somebody follows: each is looked at now and then, once for all its followers.

use super::boards::{Boards, Question, Shown};
use crate::exec::Notifier;
use crate::gift::{Found, GIFT_SIGNAL};
use crate::limits::TOPIC_INTERVAL;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

/// Looks without anybody having asked for the board, after which nobody follows it any more: topics
/// ask at least once a second.
const LOOKS_UNASKED_MAX: u32 = 50;

/// Shared by loops, which ask, and the driver's turns, which look.
pub(super) struct Followed {
    boards: Mutex<HashMap<Question, Board>>,
    notifier: Arc<Notifier>,
}

#[derive(Default)]
struct Board {
    found: Option<Found>,
    looked_at: Option<Instant>,
    looks_unasked: u32,
}

impl Followed {
    /// Tells `notifier` when a followed board is another.
    pub(super) fn new(notifier: Arc<Notifier>) -> Self {
        Self { boards: Mutex::default(), notifier }
    }

    /// The board as it was last seen; from now on it is looked at.
    pub(super) fn shown(&self, question: Question) -> Option<Found> {
        let mut boards = self.lock();
        let board = boards.entry(question).or_default();
        board.looks_unasked = 0;
        board.found.clone()
    }

    /// Looks at the boards whose time has come.
    pub(super) fn look(self: &Arc<Self>, now: Instant, boards: &Boards) {
        let mut due = Vec::new();
        self.lock().retain(|question, board| {
            if board.looked_at.is_none_or(|at| now >= at + TOPIC_INTERVAL) {
                board.looked_at = Some(now);
                board.looks_unasked += 1;
                due.push(*question);
            }
            board.looks_unasked <= LOOKS_UNASKED_MAX
        });
        for question in due {
            let followed = Arc::clone(self);
            boards.ask(question, move |shown| followed.saw(question, shown));
        }
    }

    /// Followers see what can be seen: a board that may lack something is shown all the same, and
    /// the next look tells more.
    fn saw(&self, question: Question, shown: Shown) {
        let found = match shown {
            Ok(Found::Stale { found, .. }) => *found,
            Ok(found) => found,
            Err(_) => return,
        };
        let mut boards = self.lock();
        let Some(board) = boards.get_mut(&question) else { return };
        if board.found.as_ref() == Some(&found) {
            return;
        }
        board.found = Some(found);
        drop(boards);
        self.notifier.announce(GIFT_SIGNAL);
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<Question, Board>> {
        self.boards.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
