//! Counts the messages and pushes of one loop's connections. One writer, its loop.

use crate::meter::Counter;
use std::sync::Arc;

/// Messages by id, and pushes. Clients choose ids, so those without a handler share a place.
#[derive(Debug)]
pub struct MessageStats {
    /// By the position of their handler; the last is for all others.
    messages: Box<[Cell]>,
    pushed: Counter,
}

#[derive(Debug, Default)]
struct Cell {
    /// `None` for ids without a handler.
    id: Option<u32>,
    answered: Counter,
    refused: Counter,
}

/// What became of the messages of one id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Line {
    /// `None` for all ids without a handler.
    pub id: Option<u32>,
    /// Answered with a frame of their own.
    pub answered: u64,
    /// Answered with an error frame.
    pub refused: u64,
}

impl MessageStats {
    /// Nothing counted yet; `ids` have handlers.
    pub fn new(ids: impl IntoIterator<Item = u32>) -> Arc<Self> {
        let known = ids.into_iter().map(|id| Cell { id: Some(id), ..Cell::default() });
        let messages = known.chain([Cell::default()]).collect();
        Arc::new(Self { messages, pushed: Counter::default() })
    }

    /// Counts the answer to a message. Runs once a message.
    pub(super) fn answered(&self, id: u32, is_error: bool) {
        let last = self.messages.len() - 1;
        let at = self.messages.iter().position(|cell| cell.id == Some(id)).unwrap_or(last);
        let cell = &self.messages[at];
        let counter = if is_error { &cell.refused } else { &cell.answered };
        counter.add(1);
    }

    /// Counts a frame that nobody asked for.
    pub(super) fn pushed(&self) {
        self.pushed.add(1);
    }

    /// What was counted, by id.
    pub fn lines(&self) -> impl Iterator<Item = Line> {
        let line = |cell: &Cell| Line {
            id: cell.id,
            answered: cell.answered.get(),
            refused: cell.refused.get(),
        };
        self.messages.iter().map(line)
    }

    /// Frames that were pushed.
    pub fn pushes(&self) -> u64 {
        self.pushed.get()
    }
}
