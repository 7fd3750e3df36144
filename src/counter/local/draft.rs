//! What a batch would do, decided before any of it is written: dropped when the commit fails.
//!
//! Plain increments of one counter become one entry, however many arrive together; an increment
//! with a key, and every change of a user, is an entry of its own.

use super::journal::{self, Entry, Kind};
use super::state::{Counters, second};
use crate::calendar::Calendar;
use crate::counter::{Action, Counter, Id, Path, Spread, Sums, Write, Written};
use crate::store::{Remembered, RequestKey};
use rusqlite::Connection;
use std::collections::HashMap;

/// What the journal and memory hold before the batch.
pub(super) struct Before<'a> {
    pub(super) journal: &'a Connection,
    pub(super) counters: &'a Counters,
    pub(super) calendar: &'a Calendar,
    pub(super) remembered: &'a Remembered,
    pub(super) last_id: i64,
    /// The time of the batch: never before the newest entry's.
    pub(super) now_us: i64,
    pub(super) counters_max: usize,
    pub(super) users_max: usize,
}

/// A counter as the batch leaves it.
#[derive(Clone, Copy, Debug, Default)]
struct Drafted {
    sums: Sums,
    /// Counted users.
    users: usize,
    /// Nobody wrote it before.
    is_new: bool,
    /// A reset of this batch forgot the users of before.
    is_reset: bool,
    /// What it was before the batch, or since an operator set it.
    base: Sums,
    /// What was added and taken since then, without signs.
    moved: u64,
    /// The entry that takes up its plain increments.
    open: Option<usize>,
    /// It has another entry behind that one.
    is_passed: bool,
}

impl Drafted {
    /// As it is before any command of the batch.
    fn of(sums: Sums, users: usize) -> Self {
        Self { sums, base: sums, users, ..Self::default() }
    }

    /// Whether its entries may be added up in another order than that of the commands: whatever
    /// part of them is added first, no sum leaves its range.
    fn is_free(&self, delta: i64) -> bool {
        let moved = self.moved.saturating_add(delta.unsigned_abs());
        let fits = |sum: i64| {
            let most = sum.unsigned_abs().checked_add(moved);
            most.is_some_and(|most| i64::try_from(most).is_ok())
        };
        fits(self.base.count) && self.base.windows.into_iter().all(fits)
    }
}

/// The entries to write.
#[derive(Default)]
pub(super) struct Draft {
    pub(super) entries: Vec<Entry>,
    counters: HashMap<Counter, Drafted>,
    /// Users whose state differs from that of before.
    users: HashMap<(Counter, Id), bool>,
    /// Positions in `entries`.
    keys: HashMap<(Path, RequestKey), usize>,
    /// Counters, and users counted, that there were not before.
    new_counters: usize,
    new_users: usize,
}

impl Draft {
    /// Adds what one command would do, and tells its outcome should the commit succeed.
    pub(super) fn decide(
        &mut self,
        before: &Before<'_>,
        write: Write,
    ) -> rusqlite::Result<Written> {
        if let Some(count) = self.join(&write) {
            return Ok(Written::Done { count: Some(count), correction: 0, replayed: false });
        }
        let mut counter = self.counter(before, &write.counter);
        if let Some(earlier) = self.earlier(before, &write)? {
            return Ok(if earlier.is_of(&write) {
                let correction = correction(&earlier);
                Written::Done { count: Some(counter.sums.count), correction, replayed: true }
            } else {
                Written::KeyConflict
            });
        }
        let takes_place = match &write.action {
            Action::Join { user } => !self.is_counted(before, counter, &write.counter, user),
            Action::Leave { user } => self.is_counted(before, counter, &write.counter, user),
            Action::Recount { .. } | Action::Reset { .. } if counter.is_new => {
                return Ok(Written::UnknownCounter);
            }
            Action::Add { .. } | Action::Recount { .. } | Action::Reset { .. } => true,
        };
        if !takes_place {
            let count = Some(counter.sums.count);
            return Ok(Written::Done { count, correction: 0, replayed: false });
        }
        if self.is_full(before, counter, &write.action) {
            return Ok(Written::Full);
        }
        let Some((delta, sums)) = changed(&counter, &write.action) else {
            return Ok(Written::Overflow);
        };
        counter.sums = sums;
        let correction = self.take_up(before, &mut counter, write, delta);
        Ok(Written::Done { count: Some(sums.count), correction, replayed: false })
    }

    /// Adds a plain increment to the entry of earlier ones of its counter, if there is one that can
    /// hold it: of a busy counter all but the first of a batch. Returns the count.
    fn join(&mut self, write: &Write) -> Option<i64> {
        let (Action::Add { delta, .. }, None) = (&write.action, &write.key) else { return None };
        let counter = self.counters.get_mut(&write.counter)?;
        if counter.is_passed && !counter.is_free(*delta) {
            return None;
        }
        let entry = self.entries.get_mut(counter.open?)?;
        let (sums, sum) = (counter.sums.checked_add(*delta)?, entry.delta.checked_add(*delta)?);
        (counter.sums, entry.delta) = (sums, sum);
        counter.moved = counter.moved.saturating_add(delta.unsigned_abs());
        Some(sums.count)
    }

    /// The counter as it is after the commands so far.
    fn counter(&self, before: &Before<'_>, counter: &Counter) -> Drafted {
        if let Some(drafted) = self.counters.get(counter) {
            return *drafted;
        }
        let at_s = second(before.now_us);
        match before.counters.sums(before.calendar, counter, at_s) {
            None => Drafted { is_new: true, ..Drafted::default() },
            Some(sums) => {
                let users = before.counters.users(counter).map_or(0, Spread::len);
                Drafted::of(sums, users)
            }
        }
    }

    fn is_counted(&self, before: &Before<'_>, at: Drafted, counter: &Counter, user: &Id) -> bool {
        let drafted = self.users.get(&(counter.clone(), user.clone())).copied();
        drafted.unwrap_or_else(|| !at.is_reset && before.counters.is_counted(counter, user))
    }

    fn is_full(&self, before: &Before<'_>, counter: Drafted, action: &Action) -> bool {
        let counters = before.counters.known + self.new_counters;
        let users = before.counters.users + self.new_users;
        let makes_user = matches!(action, Action::Join { .. });
        counter.is_new && counters >= before.counters_max || makes_user && users >= before.users_max
    }

    /// The entry that an earlier request with this key made. The hash finds candidates, the entry
    /// itself decides.
    fn earlier(&self, before: &Before<'_>, write: &Write) -> rusqlite::Result<Option<Entry>> {
        let Some(key) = &write.key else { return Ok(None) };
        if let Some(&at) = self.keys.get(&(write.path, key.clone())) {
            return Ok(Some(self.entries[at].clone()));
        }
        for id in before.remembered.find(journal::number(write.path), key) {
            let Some(entry) = journal::by_id(before.journal, id)? else { continue };
            if entry.path == write.path && entry.key.as_ref() == Some(key) {
                return Ok(Some(entry));
            }
        }
        Ok(None)
    }

    /// Writes down a command that takes place; returns what an operator's call corrected.
    fn take_up(
        &mut self,
        before: &Before<'_>,
        counter: &mut Drafted,
        write: Write,
        delta: i64,
    ) -> i64 {
        let Write { counter: name, action, path, key } = write;
        self.new_counters += usize::from(std::mem::take(&mut counter.is_new));
        let (kind, user, reason) = match action {
            // Who asked tells retries apart, and nothing else.
            Action::Add { user, .. } => (Kind::Added, user.filter(|_| key.is_some()), None),
            Action::Join { user } => (Kind::Joined, Some(user), None),
            Action::Leave { user } => (Kind::Left, Some(user), None),
            Action::Recount { reason } => (Kind::Recounted, None, Some(reason)),
            Action::Reset { reason } => (Kind::Reset, None, Some(reason)),
        };
        match (kind, &user) {
            (Kind::Joined, Some(user)) => {
                self.users.insert((name.clone(), user.clone()), true);
                counter.users += 1;
                self.new_users += 1;
            }
            (Kind::Left, Some(user)) => {
                self.users.insert((name.clone(), user.clone()), false);
                counter.users -= 1;
            }
            (Kind::Recounted, _) => {
                *counter = Drafted {
                    is_reset: counter.is_reset,
                    ..Drafted::of(counter.sums, counter.users)
                };
            }
            (Kind::Reset, _) => {
                self.users.retain(|(counter, _), _| *counter != name);
                *counter = Drafted { is_reset: true, ..Drafted::default() };
            }
            _ => {}
        }
        let at = self.entries.len();
        if !matches!(kind, Kind::Recounted | Kind::Reset) {
            counter.moved = counter.moved.saturating_add(delta.unsigned_abs());
        }
        counter.is_passed = true;
        if let Some(key) = &key {
            self.keys.insert((path, key.clone()), at);
        } else if kind == Kind::Added {
            (counter.open, counter.is_passed) = (Some(at), false);
        }
        self.counters.insert(name.clone(), *counter);
        let id = before.last_id + 1 + i64::try_from(at).expect("a batch is small");
        let time_us = before.now_us;
        let entry = Entry { id, kind, path, counter: name, user, delta, time_us, key, reason };
        let correction = correction(&entry);
        self.entries.push(entry);
        correction
    }
}

/// What an action adds to the count, and the sums behind it; `None` when one would leave i64.
fn changed(counter: &Drafted, action: &Action) -> Option<(i64, Sums)> {
    let count = counter.sums.count;
    let delta = match action {
        Action::Add { delta, .. } => *delta,
        Action::Join { .. } => 1,
        Action::Leave { .. } => -1,
        Action::Recount { .. } => {
            let users = i64::try_from(counter.users).ok()?;
            let delta = users.checked_sub(count)?;
            return Some((delta, Sums { count: users, ..counter.sums }));
        }
        Action::Reset { .. } => return Some((count.checked_neg()?, Sums::default())),
    };
    Some((delta, counter.sums.checked_add(delta)?))
}

fn correction(entry: &Entry) -> i64 {
    match entry.kind {
        Kind::Recounted | Kind::Reset => entry.delta,
        Kind::Added | Kind::Joined | Kind::Left => 0,
    }
}
