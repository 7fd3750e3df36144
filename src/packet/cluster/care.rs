//! The one thread that cares for the rain as a whole: what operators ask, and what time brings.

use super::desk::Desk;
use super::documents;
use super::hands::Stage;
use super::lines::{Asked, Head};
use super::mongo_record::{decode, newest};
use super::record::{Record, Trouble};
use super::steward::{Create, New};
use super::view::Pending;
use super::worker::{Ways, unavailable};
use crate::limits::{RAIN_CLUSTER_DRAWS, RAIN_CLUSTER_PAGE_CHUNKS};
use crate::packet::{Author, Manage, Managed, Seed, State, hit_ppm, planned};
use crate::store::mongo::Find;
use crate::store::{Store, StoreError};
use mongodb::bson::doc;
use serde_json::json;
use std::sync::atomic::Ordering;

/// What can be asked.
#[derive(Debug)]
pub(super) enum Command {
    /// By an operator.
    Manage(Manage),
    /// Time has passed.
    Tick,
    /// Only see how the rain is.
    Look,
}

/// What comes back, each for its command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    Managed(Managed),
    Ticked,
}

/// How many draws the rain had at the last look: how fast they come is told by the next.
#[derive(Clone, Copy, Debug, Default)]
struct Pace {
    rain: i64,
    tries: i64,
    time_us: i64,
}

/// The thread's own.
pub(super) struct Care {
    ways: Ways,
    desk: Desk,
    /// Packets that were in the outbox at the last look: what still is was left by somebody.
    seen: Vec<Pending>,
    /// Looks at a pool that is frozen.
    frozen_looks: u32,
    pace: Pace,
    /// The rain whose end was looked at.
    ended: i64,
    /// After the end of a rain, until its unopened packets are returned; in microseconds.
    expire_us: Option<i64>,
}

/// Looks at a frozen pool after which whoever froze it counts as gone.
const FROZEN_LOOKS_MAX: u32 = 4;

impl Care {
    pub(super) fn new(ways: Ways, expire_us: Option<i64>) -> Self {
        let (desk, pace) = (Desk::default(), Pace::default());
        Self { ways, desk, seen: Vec::new(), frozen_looks: 0, pace, ended: 0, expire_us }
    }

    fn manage(&mut self, manage: Manage) -> Result<Managed, Trouble> {
        let managed = match manage {
            Manage::Create { id, terms, by, reason, key } => {
                let text = json!({ "id": id, "terms": terms, "reason": reason }).to_string();
                let seed = Seed::random().map_err(|error| Trouble::Broken(error.to_string()))?;
                let asked = key.map(|key| Asked { key: format!("create/{}", key.as_str()), text });
                let create = Create { id, terms, seed, by, reason };
                self.ways.run(async |hands| hands.create(&create, asked.as_ref()).await)
            }
            Manage::Change { change, reason, key } => {
                let text = json!({ "change": change, "reason": reason }).to_string();
                let asked = key.map(|key| Asked { key: format!("change/{}", key.as_str()), text });
                let by = (Author::Operator, reason.as_str());
                self.ways.run(async |hands| {
                    hands.change(&New::Change(&change), by, asked.as_ref()).await
                })
            }
        };
        // Loops see the new terms before the answer goes out. Without Redis nobody gets anything.
        if let Err(trouble) = self.look() {
            tracing::debug!(%trouble, "the pool follows later");
        }
        managed
    }

    /// Sees how the rain is, and has loops see it.
    fn look(&mut self) -> Result<(), Trouble> {
        let looked = self.ways.shared.notes();
        let desk = &mut self.desk;
        desk.forget();
        self.frozen_looks = if desk.is_frozen() { self.frozen_looks + 1 } else { 0 };
        if self.frozen_looks > FROZEN_LOOKS_MAX {
            desk.thaw();
        }
        let seen = std::mem::take(&mut self.seen);
        let outbox = self.ways.run(async |hands| {
            desk.turn(hands, &mut [], RAIN_CLUSTER_DRAWS).await?;
            desk.help(hands, |pending| seen.contains(pending)).await
        });
        self.ways.shared.show(desk.stage());
        if let (Some(pool), Some((line, left))) = (&desk.stage().pool, desk.left()) {
            self.ways.shared.note(pool.rain, line, left, Some(looked));
        }
        self.note_end()?;
        self.ways.shared.is_known.store(true, Ordering::Relaxed);
        match outbox {
            Ok(outbox) => self.seen = outbox,
            Err(trouble) => {
                // Without Redis what the record says is seen all the same.
                let head = self.ways.record.ask(newest)?;
                let pool = self.ways.shared.stage.get().pool.clone();
                self.ways.shared.show(&Stage { head, pool });
                return Err(trouble);
            }
        }
        Ok(())
    }

    /// What a rain that is over has handed out is in the record alone.
    fn note_end(&mut self) -> Result<(), Trouble> {
        let head = self.desk.stage().head.as_ref();
        let Some(head) = head.filter(|head| head.is_sealed && head.number != self.ended) else {
            return Ok(());
        };
        let handed_out = self.ways.run(async |hands| hands.handed_out(head).await)?;
        self.ways.shared.note_end(head.number, handed_out.count);
        self.ended = head.number;
        Ok(())
    }

    fn tick(&mut self) -> Result<(), Trouble> {
        let looked = self.look();
        let Some(head) = self.ways.record.ask(newest)? else { return looked };
        if !head.is_sealed && head.state(self.ways.shared.now_s()) == State::Ended {
            self.ways.run(async |hands| hands.finish(&head).await)?;
            self.look()?;
        }
        self.give_back()?;
        self.follow_openings(&head)?;
        self.follow_curve(&head)?;
        looked
    }

    /// Returns what nobody opened in time.
    fn give_back(&self) -> Result<(), Trouble> {
        let Some(expire_us) = self.expire_us else { return Ok(()) };
        let due_us = self.ways.shared.clock.now_us().saturating_sub(expire_us);
        let due = self.ways.record.ask(move |mongo, names| {
            let filter =
                doc! { "ended_us": { "$lte": due_us }, "returned_us": { "$exists": false } };
            let find = Find { filter, sort: doc! { "_id": 1 }, ..Find::default() };
            decode(&mongo.find(&names.rains, &find)?, documents::head)
        })?;
        for head in due.iter().filter(|head| head.is_sealed) {
            self.ways.run(async |hands| hands.give_back(head).await)?;
        }
        Ok(())
    }

    /// Reads when chunks were opened, for the curve that is shown.
    fn follow_openings(&self, head: &Head) -> Result<(), Trouble> {
        let rain = head.number;
        loop {
            let last = self.ways.shared.last_opening(rain).map_or(0, |line| line.number());
            let lines = self.ways.record.ask(move |mongo, names| {
                // By name: any server looks these up one by one, however long the log is.
                let numbers = last + 1..=last + RAIN_CLUSTER_PAGE_CHUNKS;
                let lines: Vec<_> =
                    numbers.map(|number| documents::log_name(rain, number)).collect();
                let find = Find {
                    filter: doc! { "_id": { "$in": lines } },
                    sort: doc! { "number": 1 },
                    ..Find::default()
                };
                let found = mongo.find(&names.chunks, &find)?;
                let found: Vec<_> =
                    found.into_iter().filter(|found| !found.contains_key("claim")).collect();
                decode(&found, documents::chunk_line)
            })?;
            self.ways.shared.add_openings(rain, &lines);
            if i64::try_from(lines.len()).is_ok_and(|lines| lines < RAIN_CLUSTER_PAGE_CHUNKS) {
                return Ok(());
            }
        }
    }

    /// Another hit rate for a paced rain, at most once a second, whichever process is first.
    fn follow_curve(&mut self, head: &Head) -> Result<(), Trouble> {
        let time_us = self.ways.shared.clock.now_us();
        let now_s = time_us.div_euclid(1_000_000);
        let terms = head.terms();
        if !terms.pacing || head.state(now_s) != State::Running {
            return Ok(());
        }
        let Some(tries) = self.ways.view.tries()? else { return Ok(()) };
        let (last, passed_us) = (self.pace, time_us - self.pace.time_us);
        if last.rain == head.number && passed_us < 1_000_000 {
            return Ok(());
        }
        self.pace = Pace { rain: head.number, tries, time_us };
        // The first look only measures, and so does one after the count began anew.
        if last.rain != head.number || tries < last.tries || head.version.at >= now_s {
            return Ok(());
        }
        let per_s = i128::from(tries - last.tries) * 1_000_000 / i128::from(passed_us);
        let per_s = i64::try_from(per_s).unwrap_or(i64::MAX);
        let granted = self.ways.run(async |hands| hands.handed_out(head).await)?.count;
        let Some(rate) = hit_ppm(terms, now_s, granted, per_s, head.version.hit_ppm) else {
            return Ok(());
        };
        let wanted = planned(terms, now_s);
        let reason = format!("planned {wanted}, granted {granted}, {per_s} draws a second");
        let new = New::Rate { hit_ppm: rate, version: head.version.version };
        self.ways.run(async |hands| hands.change(&new, (Author::Pacing, &reason), None).await)?;
        self.look()
    }
}

impl Store for Care {
    type Command = Command;
    type Outcome = Outcome;

    fn apply(&mut self, batch: Vec<Command>) -> Result<Vec<Outcome>, StoreError> {
        let mut outcomes = Vec::with_capacity(batch.len());
        for command in batch {
            outcomes.push(match command {
                Command::Manage(manage) => {
                    Outcome::Managed(self.manage(manage).map_err(|trouble| unavailable(&trouble))?)
                }
                Command::Look => {
                    self.look().map_err(|trouble| unavailable(&trouble))?;
                    Outcome::Ticked
                }
                Command::Tick => {
                    self.tick().map_err(|trouble| unavailable(&trouble))?;
                    Outcome::Ticked
                }
            });
        }
        Ok(outcomes)
    }
}

/// The record's head by the protocol's own words, for whoever reads after the end.
pub(super) fn sealed(ways: &Ways) -> Result<(), Trouble> {
    let Some(head) = ways.run(async |hands| hands.record.head().await)? else { return Ok(()) };
    if !head.is_sealed && head.state(ways.shared.now_s()) == State::Ended {
        ways.run(async |hands| hands.finish(&head).await)?;
    }
    Ok(())
}
