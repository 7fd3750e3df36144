//! The only writer of the record: decides a batch, commits it, shows it.

use super::draft::{Before, Book, Draft, Made};
use super::draws::Draws;
use super::journal::{self, Line};
use super::manage::Pace;
use super::shared::{OnStage, Shared, Stage};
use super::{Scope, Step, load};
use crate::packet::{Manage, Managed, Open, Opened, Snatch, Snatched};
use crate::store::sqlite::Writer;
use crate::store::{OpenError, Remembered, Store, StoreError};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// What can be asked of the bookkeeper.
#[derive(Debug)]
pub(super) enum Command {
    /// With a draw that won on a loop, and the rain that it was drawn for.
    Snatch(Snatch, Option<(i64, i64)>),
    Open(Open),
    Manage(Manage),
    /// Time has passed.
    Tick,
}

/// What comes back, each for its command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    Snatched(Snatched),
    Opened(Opened),
    Managed(Managed),
    Ticked,
}

/// How long things are kept.
#[derive(Clone, Copy, Debug)]
pub(super) struct Keep {
    /// Request keys, in microseconds.
    pub(super) idempotency_us: i64,
    /// Unopened packets of a rain that is over; `None` for ever.
    pub(super) expire: Option<Duration>,
}

/// Owns the writing connection, and what deciding needs beside the record.
pub(super) struct Bookkeeper {
    shared: Arc<Shared>,
    record: Writer,
    remembered: Remembered<Scope>,
    book: Book,
    pace: Pace,
    keep: Keep,
}

impl Bookkeeper {
    /// Opens the record, or makes it, and puts its newest rain on stage.
    pub(super) fn open(shared: &Arc<Shared>, keep: Keep) -> Result<Self, OpenError> {
        // Loops may still draw for a bookkeeper that panicked; its successor begins behind them.
        if let Some(rain) = &shared.stage.get().rain {
            rain.draws.close();
        }
        let path = shared.folder.file(journal::FILE);
        let record = Writer::open(&path, &journal::FORMAT, &shared.condition)?;
        let mut remembered = Remembered::new(keep.idempotency_us);
        let loaded = load::book(&path, record.connection(), keep.idempotency_us, &mut remembered)?;
        let book = loaded.book;
        let rain = book.rain.as_ref().map(|rain| {
            let draws = Draws::new(loaded.draws_reserved, loaded.draws_reserved);
            OnStage::new(rain, draws, &book.tally)
        });
        shared.stage.publish(Stage { rain });
        let pace = Pace::default();
        let opened = Self { shared: Arc::clone(shared), record, remembered, book, pace, keep };
        opened.count_keys();
        Ok(opened)
    }

    fn decide(&mut self, batch: Vec<Command>) -> rusqlite::Result<(Draft, Vec<Outcome>, Pace)> {
        let stage = self.shared.stage.get();
        let now_us = self.shared.clock.now_us().max(self.book.last_time_us);
        let before = Before {
            journal: self.record.connection(),
            remembered: &self.remembered,
            stage: stage.rain.as_ref(),
            now_us,
        };
        let mut draft = Draft::new(self.book.clone());
        draft.book.last_time_us = now_us;
        let mut pace = self.pace;
        let expire_us = self.keep.expire.map(micros);
        let decide = |command| {
            Ok(match command {
                Command::Snatch(snatch, drawn) => {
                    Outcome::Snatched(draft.snatch(&before, &snatch, drawn)?)
                }
                Command::Open(open) => Outcome::Opened(draft.open(&before, open)?),
                Command::Manage(manage) => Outcome::Managed(draft.manage(&before, manage)?),
                Command::Tick => {
                    draft.tick(&before, &mut pace, expire_us);
                    Outcome::Ticked
                }
            })
        };
        let outcomes: rusqlite::Result<Vec<_>> = batch.into_iter().map(decide).collect();
        if outcomes.is_ok() {
            draft.reserve(&before);
        }
        match outcomes {
            Ok(outcomes) => Ok((draft, outcomes, pace)),
            Err(error) => {
                self.give_back(&draft);
                Err(error)
            }
        }
    }

    fn commit(&mut self, draft: &Draft) -> Result<(), StoreError> {
        if draft.lines.is_empty() {
            return Ok(());
        }
        let shared = &self.shared;
        let inserted = || shared.step(Step::Inserted);
        let committed = self.record.commit(|batch| journal::append(batch, &draft.lines, inserted));
        if committed.is_err() {
            self.give_back(draft);
        } else {
            self.shared.step(Step::Committed);
        }
        committed
    }

    /// After a failure: loops go on drawing under the terms of before. What the batch drew was told
    /// to nobody; it is skipped all the same.
    fn give_back(&self, draft: &Draft) {
        let (Some(own), Some(rain)) = (&draft.own, &self.book.rain) else { return };
        let stage = self.shared.stage.get();
        let Some(until) = stage.rain.as_ref().map(|rain| rain.draws.until()) else { return };
        let is_same = draft.book.rain.as_ref().is_some_and(|drafted| drafted.id() == rain.id());
        // A rain that was to begin took nothing from the one before, which is over.
        let next = if is_same { own.next.min(until) } else { until };
        self.show(rain, Draws::new(next, until));
    }

    fn show(&self, rain: &crate::packet::Rain, draws: Draws) {
        let rain = Some(OnStage::new(rain, draws, &self.book.tally));
        self.shared.stage.publish(Stage { rain });
    }

    /// Takes note of what is durable now, and shows it.
    fn publish(&mut self, draft: Draft) {
        let Draft { book, lines, keys, own, more_draws, .. } = draft;
        for ((scope, key), made) in keys {
            let id = match made {
                Made::Packet { envelope_id, .. } => envelope_id,
                Made::Opening { id, .. } | Made::Terms { id, .. } => id,
            };
            self.remembered.insert(scope, key.as_str(), id, book.last_time_us);
        }
        self.count_keys();
        if lines.iter().any(|line| matches!(line, Line::Rain { .. }))
            && let (Some(rain), Some(own)) = (&book.rain, &own)
        {
            self.pace = Pace { rain: rain.id(), draw: own.next, time_us: book.last_time_us };
        }
        let before = self.shared.stage.get();
        self.book = book;
        let Some(rain) = &self.book.rain else { return };
        for line in &lines {
            match line {
                Line::Packet(packet) if packet.rain == rain.id() => {
                    let at_s = packet.time_us.div_euclid(1_000_000);
                    self.book.tally.add(packet.uid, packet.value_fen, at_s);
                }
                _ => {}
            }
            self.shared.step(Step::Published);
        }
        let shown = before.rain.as_ref();
        let draws = match (own, more_draws) {
            (Some(own), _) => Some(Draws::new(own.next, own.until)),
            (None, Some(until)) => shown.map(|shown| Draws::new(shown.draws.close(), until)),
            // Its end shows nothing new to draw from.
            (None, None) => {
                shown.filter(|shown| shown.has_ended != rain.has_ended()).map(|shown| {
                    let next = shown.draws.close();
                    Draws::new(next, shown.draws.until())
                })
            }
        };
        if let Some(draws) = draws {
            self.show(rain, draws);
        }
        if let Some(rain) = &mut self.book.rain {
            rain.refill();
        }
    }

    fn count_keys(&self) {
        self.shared.keys_held.store(self.remembered.len() as u64, Ordering::Relaxed);
    }
}

impl Store for Bookkeeper {
    type Command = Command;
    type Outcome = Outcome;

    fn apply(&mut self, batch: Vec<Command>) -> Result<Vec<Outcome>, StoreError> {
        self.record.check()?;
        let (draft, outcomes, pace) =
            self.decide(batch).map_err(|error| self.record.failed(&error))?;
        self.shared.step(Step::Decided);
        self.commit(&draft)?;
        self.pace = pace;
        self.publish(draft);
        for outcome in &outcomes {
            if let Outcome::Snatched(snatched) = outcome {
                self.shared.outcomes.count(snatched);
            }
        }
        if self.record.tidy() {
            self.shared.step(Step::LogMoved);
        }
        self.shared.step(Step::Answering);
        Ok(outcomes)
    }

    fn close(&mut self) {
        self.record.close();
    }
}

fn micros(span: Duration) -> i64 {
    i64::try_from(span.as_micros()).unwrap_or(i64::MAX)
}
