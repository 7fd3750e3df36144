//! Board reads over Redis: one identical question at a time, and what is shown when none can be
//! asked.

use super::redis_view::RedisView;
use super::redis_view::reply::{self, Seen, TopPart};
use super::{BoardId, Draft};
use crate::cluster::{Begun, Coalescer, Driver, LastKnown, Link};
use crate::gift::{Found, Period, Place, Span};
use crate::limits::{GIFT_BOARD_READS_MAX, GIFT_BOARDS_KNOWN_MAX};
use crate::store::StoreError;
use crate::store::redis::{Answer, RedisJob, RedisLane};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

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

/// What comes back.
pub(super) type Shown = Result<Found, StoreError>;

/// All that a question needs on its way.
pub(super) struct Boards {
    questions: Arc<Coalescer<Question, Shown>>,
    asker: Arc<Asker>,
}

struct Asker {
    view: Arc<RedisView>,
    redis: RedisLane,
    driver: Arc<Driver<Draft>>,
    known: LastKnown<Question, Found>,
    /// The lists handed out last, by what they show: an unchanged board gives the same list.
    lists: Mutex<HashMap<Question, Arc<[Place]>>>,
    stale_max: Duration,
}

impl Boards {
    pub(super) fn new(
        view: Arc<RedisView>,
        redis: RedisLane,
        driver: Arc<Driver<Draft>>,
        stale_max: Duration,
    ) -> Self {
        let known = LastKnown::new(GIFT_BOARDS_KNOWN_MAX);
        let lists = Mutex::default();
        let asker = Arc::new(Asker { view, redis, driver, known, lists, stale_max });
        let begin = Arc::clone(&asker);
        let questions = Coalescer::new(GIFT_BOARD_READS_MAX, move |begun| begin.ask(begun));
        Self { questions, asker }
    }

    /// Asks; `reader` is called on a thread of the lane. What must be known at once is returned.
    pub(super) fn ask(&self, question: Question, reader: impl FnOnce(Shown) + Send + 'static) {
        let asker = Arc::clone(&self.asker);
        // Late: the question may have an answer yet, but not for this reader.
        self.questions.ask(question, move |shown| {
            reader(shown.unwrap_or_else(|| asker.known(question)));
        });
    }

    /// What is shown without asking; `None` when Redis can be asked.
    pub(super) fn without_asking(&self, question: Question) -> Option<Shown> {
        self.asker.link().pass().is_none().then(|| self.asker.known(question))
    }

    /// See [`Coalescer::expire`].
    pub(super) fn expire(&self, now: Instant, patience: Duration) {
        self.questions.expire(now, patience);
    }
}

impl Asker {
    fn link(&self) -> &Link {
        self.driver.link()
    }

    /// The last known answer, marked, or none.
    fn known(&self, question: Question) -> Shown {
        let (found, age) =
            self.known.get(&question, self.stale_max).ok_or(StoreError::Unavailable)?;
        Ok(Found::Stale { found: Box::new(found), age })
    }

    /// Sends a question; the answer finishes it on a thread of the lane.
    fn ask(self: &Arc<Self>, begun: Begun<Question, Shown>) -> Result<(), Begun<Question, Shown>> {
        let Some(pass) = self.link().pass() else { return Err(begun) };
        let (question, current) = (begun.key(), pass.generation);
        let command = match question {
            Question::Top { board, offset, num, .. } => self.view.top(current, board, offset, num),
            Question::Rank { board, anchor_id, around } => {
                self.view.rank(current, board, anchor_id, around)
            }
            Question::Worth { anchor_id } => self.view.worth(current, ALL, anchor_id),
        };
        let asker = Arc::clone(self);
        let job = RedisJob::new(command, move |answer| {
            let shown = match asker.read(question, answer) {
                Some(found) if asker.link().is_fresh(pass) => {
                    asker.known.keep(question, found.clone());
                    Ok(found)
                }
                Some(found) => {
                    let age = asker.link().age().unwrap_or_default();
                    Ok(Found::Stale { found: Box::new(found), age })
                }
                None => asker.known(question),
            };
            begun.finish(&shown);
        });
        if let Err(shed) = self.redis.submit_apart(job) {
            shed.job.give_up();
        }
        Ok(())
    }

    /// What an answer says; `None` when it says nothing, or of another generation.
    fn read(&self, question: Question, answer: Answer) -> Option<Found> {
        let seen = match question {
            Question::Top { board, until_s, offset, .. } => reply::top(answer, offset)
                .map(|seen| map(seen, |part| self.top(question, board, until_s, part))),
            Question::Rank { around, .. } => {
                reply::rank(answer, around).map(|seen| map(seen, Found::Rank))
            }
            Question::Worth { .. } => reply::worth(answer).map(|seen| map(seen, Found::Worth)),
        };
        match seen {
            Ok(Seen::Here(found)) => Some(found),
            Ok(Seen::OtherGeneration(_)) => {
                self.driver.outdated();
                None
            }
            Err(unread) => {
                tracing::debug!(%unread, "a board could not be read");
                None
            }
        }
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

/// The board of all time.
pub(super) const ALL: BoardId = BoardId { period: Period::All, from_s: 0 };

fn map<T>(seen: Seen<T>, found: impl FnOnce(T) -> Found) -> Seen<Found> {
    match seen {
        Seen::Here(here) => Seen::Here(found(here)),
        Seen::OtherGeneration(other) => Seen::OtherGeneration(other),
    }
}
