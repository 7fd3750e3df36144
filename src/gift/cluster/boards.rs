//! Board reads over Redis: what is asked, and how an answer is shown.

use super::redis_view::RedisView;
use super::redis_view::reply::{self, TopPart};
use super::{BoardId, Draft};
use crate::cluster::reply::{Seen, Unread};
use crate::cluster::{Generation, Questions, Shown, ViewReader};
use crate::gift::{Found, Period, Place, Span};
use crate::limits::GIFT_BOARDS_KNOWN_MAX;
use crate::store::StoreError;
use crate::store::redis::{Answer, Command};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

/// What is asked of a board.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Question {
    /// A part of it.
    Top { board: BoardId, until_s: i64, offset: usize, num: usize },
    /// An anchor's place.
    Rank { board: BoardId, anchor_id: i64, around: usize },
    /// An anchor's total of all time.
    Worth { anchor_id: i64 },
}

/// Reads boards.
pub(super) type Boards = ViewReader<BoardReads, Draft>;

/// The board of all time.
pub(super) const ALL: BoardId = BoardId { period: Period::All, from_s: 0 };

/// As a store answers.
pub(super) fn found(read: Result<Shown<Found>, StoreError>) -> Result<Found, StoreError> {
    read.map(|shown| match shown {
        Shown::Fresh(found) => found,
        Shown::Stale(found, age) => Found::Stale { found: Box::new(found), age },
    })
}

/// How boards are asked and read.
pub(super) struct BoardReads {
    view: Arc<RedisView>,
    /// The lists handed out last, by what they show: an unchanged board gives the same list.
    lists: Mutex<HashMap<Question, Arc<[Place]>>>,
}

impl Questions for BoardReads {
    type Question = Question;
    type Found = Found;

    fn command(&self, question: &Question, current: Generation) -> Command {
        match *question {
            Question::Top { board, offset, num, .. } => self.view.top(current, board, offset, num),
            Question::Rank { board, anchor_id, around } => {
                self.view.rank(current, board, anchor_id, around)
            }
            Question::Worth { anchor_id } => self.view.worth(current, ALL, anchor_id),
        }
    }

    fn read(&self, question: &Question, answer: Answer) -> Result<Seen<Found>, Unread> {
        match *question {
            Question::Top { board, until_s, offset, .. } => reply::top(answer, offset)
                .map(|seen| seen.map(|part| self.top(*question, board, until_s, part))),
            Question::Rank { around, .. } => {
                reply::rank(answer, around).map(|seen| seen.map(Found::Rank))
            }
            Question::Worth { .. } => reply::worth(answer).map(|seen| seen.map(Found::Worth)),
        }
    }
}

impl BoardReads {
    pub(super) fn new(view: Arc<RedisView>) -> Self {
        Self { view, lists: Mutex::default() }
    }

    fn top(&self, question: Question, board: BoardId, until_s: i64, part: TopPart) -> Found {
        let span = (board.period != Period::All).then_some(Span { from_s: board.from_s, until_s });
        let begun_us = span.map_or(0, |span| span.from_s.saturating_mul(1_000_000));
        let changed_us = part.newest_us.map_or(begun_us, |newest_us| newest_us.max(begun_us));
        let version = u64::try_from(changed_us).unwrap_or(0);
        Found::Top { places: self.list(question, part.places), span, version }
    }

    /// The same list again while it shows the same.
    fn list(&self, question: Question, places: Vec<Place>) -> Arc<[Place]> {
        let mut lists = self.lists.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(list) = lists.get(&question).filter(|list| ***list == *places) {
            return Arc::clone(list);
        }
        if lists.len() >= GIFT_BOARDS_KNOWN_MAX {
            lists.clear();
        }
        let list: Arc<[Place]> = places.into();
        lists.insert(question, Arc::clone(&list));
        list
    }
}
