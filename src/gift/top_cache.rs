//! Encoded boards that one loop keeps, so that the answer most asked for costs a comparison.

use super::decode::DEFAULT_TOP;
use super::{Place, Span, Store, TopQuery, wire};
use crate::http::Representation;
use crate::store::Clock;
use std::cell::RefCell;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

/// Boards kept at once. Events show few kinds of boards, and a search of this few is quick.
const BOARDS_MAX: usize = 32;

/// One loop's encoded boards; all of them fall with the first write that changes any board.
pub(super) struct TopCache {
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    boards: RefCell<Boards>,
}

/// Encoded boards by the very list that they show: a store that has to ask elsewhere gives the same
/// list to all who read an unchanged board, and its answers come on other threads than the loop's.
#[derive(Default)]
pub(super) struct TopBodies(Mutex<VecDeque<Encoded>>);

struct Encoded {
    /// Held, so that no other list can be in its place.
    places: Arc<[Place]>,
    span: Option<Span>,
    body: Arc<[u8]>,
}

impl TopBodies {
    /// The body for `places`, encoded once.
    pub(super) fn encode(&self, places: &Arc<[Place]>, span: Option<Span>) -> Arc<[u8]> {
        let mut bodies = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let known =
            bodies.iter().find(|known| Arc::ptr_eq(&known.places, places) && known.span == span);
        if let Some(known) = known {
            return Arc::clone(&known.body);
        }
        let body: Arc<[u8]> = wire::top(places, span).into();
        bodies.push_front(Encoded { places: Arc::clone(places), span, body: Arc::clone(&body) });
        bodies.truncate(BOARDS_MAX);
        body
    }
}

struct Boards {
    /// The version of the store under which all of them were read.
    version: u64,
    list: Vec<Board>,
}

struct Board {
    query: TopQuery,
    /// When the calendar shows it; all time has no ends.
    span: Option<Span>,
    body: Arc<Representation>,
}

impl TopCache {
    pub(super) fn new(store: Arc<dyn Store>, clock: Arc<dyn Clock>) -> Self {
        let boards = RefCell::new(Boards { version: 0, list: Vec::new() });
        Self { store, clock, boards }
    }

    /// The encoded answer, if it is still true.
    pub(super) fn get(&self, query: &TopQuery) -> Option<Arc<Representation>> {
        let boards = self.boards.borrow();
        if boards.version != self.store.version() {
            return None;
        }
        let board = boards.list.iter().find(|board| board.query == *query)?;
        // Before its beginning, too: a clock that was set back shows the board before it again.
        let holds = board.span.is_none_or(|span| span.contains(self.now_s()));
        holds.then(|| Arc::clone(&board.body))
    }

    /// Encodes a board that was read under `version` (asked for before the read: a write in between
    /// then makes it outdated, never eternal), and keeps it if it is the current one of its period.
    pub(super) fn encode(
        &self,
        version: u64,
        query: TopQuery,
        places: &[Place],
        span: Option<Span>,
    ) -> Arc<Representation> {
        let body = Arc::new(Representation::new(wire::top(places, span)));
        if query.at.is_none() {
            let board = Board { query, span, body: Arc::clone(&body) };
            self.boards.borrow_mut().keep(version, board);
        }
        body
    }

    fn now_s(&self) -> i64 {
        self.clock.now_us().div_euclid(1_000_000)
    }
}

impl Boards {
    fn keep(&mut self, version: u64, board: Board) {
        if self.version != version {
            self.version = version;
            self.list.clear();
        }
        self.list.retain(|kept| kept.query != board.query);
        if board.query == DEFAULT_TOP {
            // Where the search begins.
            self.list.insert(0, board);
        } else {
            self.list.push(board);
        }
        // When there are too many kinds, one of the oldest goes, but not the first.
        if self.list.len() > BOARDS_MAX {
            self.list.remove(1);
        }
    }
}
