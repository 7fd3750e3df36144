//! Reads of a view: one identical question at a time, and what is shown when none can be asked.

use super::coalescer::{Begun, Coalescer};
use super::document::JournalDocument;
use super::driver::Driver;
use super::last_known::LastKnown;
use super::link::Link;
use super::reply::{Seen, Unread};
use super::script::Generation;
use crate::store::StoreError;
use crate::store::redis::{Answer, Command, RedisJob, RedisLane};
use std::hash::Hash;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// What a domain asks its view.
pub trait Questions: Send + Sync + 'static {
    /// What is asked; equal ones get one answer.
    type Question: Clone + Eq + Hash + Send + Sync + 'static;
    /// What comes back.
    type Found: Clone + Send + 'static;

    /// The command that asks it of a generation.
    fn command(&self, question: &Self::Question, current: Generation) -> Command;

    /// What its answer says.
    fn read(&self, question: &Self::Question, answer: Answer) -> Result<Seen<Self::Found>, Unread>;

    /// Whether its answer is worth its memory for the time when none can be had.
    fn is_kept(&self, _question: &Self::Question) -> bool {
        true
    }
}

/// An answer, and what is known of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Shown<F> {
    /// It holds all that was acknowledged before it was asked.
    Fresh(F),
    /// For so long nobody knows whether it does.
    Stale(F, Duration),
}

/// What became of a question.
type Read<F> = Result<Shown<F>, StoreError>;

/// How a view is read.
#[derive(Clone, Copy, Debug)]
pub struct ViewReaderOptions {
    /// Questions under way at once; further ones wait.
    pub running_max: usize,
    /// Answers that are remembered.
    pub known_max: usize,
    /// How old they may be to be shown.
    pub stale_max: Duration,
}

/// All that a question needs on its way.
pub struct ViewReader<Q: Questions, T: JournalDocument> {
    questions: Arc<Coalescer<Q::Question, Read<Q::Found>>>,
    asker: Arc<Asker<Q, T>>,
}

struct Asker<Q: Questions, T: JournalDocument> {
    of: Arc<Q>,
    redis: RedisLane,
    driver: Arc<Driver<T>>,
    known: LastKnown<Q::Question, Q::Found>,
    stale_max: Duration,
}

impl<Q: Questions, T: JournalDocument> ViewReader<Q, T> {
    /// Asks over `redis`, as the driver says it may.
    pub fn new(
        of: Arc<Q>,
        redis: RedisLane,
        driver: Arc<Driver<T>>,
        options: ViewReaderOptions,
    ) -> Self {
        let ViewReaderOptions { running_max, known_max, stale_max } = options;
        let known = LastKnown::new(known_max);
        let asker = Arc::new(Asker { of, redis, driver, known, stale_max });
        let begin = Arc::clone(&asker);
        let questions = Coalescer::new(running_max, move |begun| begin.ask(begun));
        Self { questions, asker }
    }

    /// Asks; `reader` is called on a thread of the lane. What must be known at once is returned.
    pub fn ask(&self, question: Q::Question, reader: impl FnOnce(Read<Q::Found>) + Send + 'static) {
        let (asker, of) = (Arc::clone(&self.asker), question.clone());
        // Late: the question may have an answer yet, but not for this reader.
        self.questions.ask(question, move |shown| {
            reader(shown.unwrap_or_else(|| asker.known(&of)));
        });
    }

    /// Asks for oneself alone: an answer that is fresh, or none. `reader` is called on a thread of the
    /// lane, or at once when Redis is away.
    pub fn ask_fresh(
        &self,
        question: Q::Question,
        reader: impl FnOnce(Option<Q::Found>) + Send + 'static,
    ) {
        let asker = Arc::clone(&self.asker);
        let Some(pass) = asker.link().pass() else { return reader(None) };
        let command = asker.of.command(&question, pass.generation);
        let job = RedisJob::new(command, move |answer| {
            let found = asker.read(&question, answer);
            reader(found.filter(|_| asker.link().is_fresh(pass)));
        });
        if let Err(shed) = self.asker.redis.submit_apart(job) {
            shed.job.give_up();
        }
    }

    /// What is shown without asking; `None` when Redis can be asked.
    pub fn without_asking(&self, question: &Q::Question) -> Option<Read<Q::Found>> {
        self.asker.link().pass().is_none().then(|| self.asker.known(question))
    }

    /// See [`Coalescer::expire`].
    pub fn expire(&self, now: Instant, patience: Duration) {
        self.questions.expire(now, patience);
    }
}

impl<Q: Questions, T: JournalDocument> Asker<Q, T> {
    fn link(&self) -> &Link {
        self.driver.link()
    }

    /// The last known answer, marked, or none.
    fn known(&self, question: &Q::Question) -> Read<Q::Found> {
        let known = self.known.get(question, self.stale_max);
        known.map(|(found, age)| Shown::Stale(found, age)).ok_or(StoreError::Unavailable)
    }

    /// Sends a question; the answer finishes it on a thread of the lane.
    fn ask(
        self: &Arc<Self>,
        begun: Begun<Q::Question, Read<Q::Found>>,
    ) -> Result<(), Begun<Q::Question, Read<Q::Found>>> {
        let Some(pass) = self.link().pass() else { return Err(begun) };
        let command = self.of.command(begun.key(), pass.generation);
        let asker = Arc::clone(self);
        let job = RedisJob::new(command, move |answer| {
            let shown = match asker.read(begun.key(), answer) {
                Some(found) if asker.link().is_fresh(pass) => {
                    if asker.of.is_kept(begun.key()) {
                        asker.known.keep(begun.key().clone(), found.clone());
                    }
                    Ok(Shown::Fresh(found))
                }
                Some(found) => Ok(Shown::Stale(found, asker.link().age().unwrap_or_default())),
                None => asker.known(begun.key()),
            };
            begun.finish(&shown);
        });
        if let Err(shed) = self.redis.submit_apart(job) {
            shed.job.give_up();
        }
        Ok(())
    }

    /// What an answer says; `None` when it says nothing, or of another generation.
    fn read(&self, question: &Q::Question, answer: Answer) -> Option<Q::Found> {
        match self.of.read(question, answer) {
            Ok(Seen::Here(found)) => Some(found),
            Ok(Seen::OtherGeneration(_)) => {
                self.driver.outdated();
                None
            }
            Err(unread) => {
                tracing::debug!(%unread, "a view could not be read");
                None
            }
        }
    }
}
