//! Holds the counters against their record, on a thread of its own, while both go on changing.
//!
//! A few counters are copied under one short hold of the lock, together with the position that they
//! are of. What the totals say of each, and the entries from there to exactly that position, must
//! add up to it. The totals are read in one snapshot, so that what is folded meanwhile changes
//! nothing; and while an audit is under way no entry behind the snapshot is taken out of the
//! journal.

use super::fold::{Change, Changes, Total};
use super::shared::Shared;
use super::state::{begin, second};
use super::{LocalOptions, journal, load, totals};
use crate::calendar::Calendar;
use crate::counter::sums::WINDOWS;
use crate::counter::{Counter, Id, Spread, Sums, Types};
use crate::limits::{COUNTER_AUDIT_HOLD_COUNTERS, COUNTER_AUDIT_PAUSE};
use crate::store::sqlite::{self, Trouble};
use crate::store::{Audit, BadId, Check, DataFolder, OpenError, StoreError};
use rusqlite::{Connection, Transaction};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread;

/// Reads the files on connections of its own.
pub(super) struct Auditor {
    shared: Arc<Shared>,
    types: Arc<Types>,
    calendar: Calendar,
    journal: Connection,
    totals: Connection,
}

/// What memory says of one counter.
struct Shown {
    counter: Counter,
    sums: Sums,
    users: usize,
}

/// Two figures that must be equal, counter by counter.
#[derive(Default)]
struct Tally {
    left: i128,
    right: i128,
    bad: Option<Counter>,
}

impl Tally {
    fn compare(&mut self, counter: &Counter, left: i64, right: i64) {
        self.left += i128::from(left);
        self.right += i128::from(right);
        if left != right {
            self.blame(counter);
        }
    }

    /// The smallest is kept, so that the same fault has the same name in every audit.
    fn blame(&mut self, counter: &Counter) {
        if self.bad.as_ref().is_none_or(|bad| counter < bad) {
            self.bad = Some(counter.clone());
        }
    }

    fn check(self, name: &str) -> Check {
        let bad = self.bad.map(|bad| BadId::Text(format!("{}/{}", bad.resource, bad.counter_type)));
        let ok = self.left == self.right && bad.is_none();
        let name = format!("counter: {name}");
        Check { name, left: self.left, right: self.right, ok, first_bad: bad }
    }
}

/// The comparisons of one audit.
#[derive(Default)]
struct Comparison {
    counts: Tally,
    windows: Tally,
    users: Tally,
    likers: Tally,
}

/// Audits a folder that nobody serves; `None` where there are no counters. Changes nothing.
pub fn audit_files(
    folder: &Arc<DataFolder>,
    options: &LocalOptions,
) -> Result<Option<Vec<Check>>, OpenError> {
    let path = folder.file(journal::FILE);
    if !path.exists() {
        return Ok(None);
    }
    let journal = sqlite::open_record(&path, &journal::FORMAT)?;
    drop(sqlite::open_record(&folder.file(totals::FILE), &totals::FORMAT)?);
    let shared = Arc::new(Shared::new(folder, options));
    shared.replace(load::counters(&shared, &journal)?);
    let auditor = Auditor::open(&shared, &options.types)?;
    auditor.run().map(Some).map_err(|error| sqlite::refused(&path, error))
}

impl Auditor {
    pub(super) fn open(shared: &Arc<Shared>, types: &Arc<Types>) -> Result<Self, OpenError> {
        Ok(Self {
            shared: Arc::clone(shared),
            types: Arc::clone(types),
            calendar: shared.calendar.apart(),
            journal: sqlite::open_reader(&shared.folder.file(journal::FILE))?,
            totals: sqlite::open_reader(&shared.folder.file(totals::FILE))?,
        })
    }

    fn run(&self) -> rusqlite::Result<Vec<Check>> {
        // First the word that keeps entries, then the snapshot: what was taken out before the
        // word was heard is in the snapshot.
        self.shared.keep_after_id.store(0, Ordering::SeqCst);
        let totals = self.totals.unchecked_transaction()?;
        let (position, _) = totals::position(&totals)?;
        self.shared.keep_after_id.store(position, Ordering::SeqCst);
        let mut tail = Tail { position, changes: Changes::default() };
        let mut comparison = Comparison::default();
        let types: Vec<Id> =
            self.shared.counters().types.iter().map(|(id, _)| id.clone()).collect();
        for counter_type in &types {
            let mut part = 0;
            while let Some(resources) = self.part(counter_type, part) {
                part += 1;
                for few in resources.chunks(COUNTER_AUDIT_HOLD_COUNTERS) {
                    let (at, time_us, shown) = self.shown(counter_type, few);
                    tail.advance(&self.journal, &self.calendar, at)?;
                    for shown in &shown {
                        self.compare(&totals, &tail, shown, time_us, &mut comparison)?;
                    }
                    thread::sleep(COUNTER_AUDIT_PAUSE);
                }
            }
        }
        self.finish(&totals, &tail, comparison)
    }

    /// The resources of one part of a type; `None` behind the last part.
    fn part(&self, counter_type: &Id, index: usize) -> Option<Vec<Id>> {
        let counters = self.shared.counters();
        let sums = counters.types.get(counter_type)?.all.sums();
        // The first part alone may become many while we look: then it is looked at once more.
        (index < sums.part_count()).then(|| sums.part(index).map(|(id, _)| id.clone()).collect())
    }

    /// What memory says of a few counters, with position and time of its newest entry.
    fn shown(&self, counter_type: &Id, resources: &[Id]) -> (i64, i64, Vec<Shown>) {
        let counters = self.shared.counters();
        let time_us = counters.last_time_us;
        let show = |resource: &Id| {
            let counter =
                Counter { counter_type: counter_type.clone(), resource: resource.clone() };
            let sums = counters.sums(&self.shared.calendar, &counter, second(time_us))?;
            let users = counters.users(&counter).map_or(0, Spread::len);
            Some(Shown { counter, sums, users })
        };
        (counters.position, time_us, resources.iter().filter_map(show).collect())
    }

    fn compare(
        &self,
        totals: &Transaction<'_>,
        tail: &Tail,
        shown: &Shown,
        time_us: i64,
        to: &mut Comparison,
    ) -> rusqlite::Result<()> {
        let Shown { counter, sums, .. } = shown;
        let total = totals::of(totals, counter)?;
        let change = tail.changes.0.get(counter);
        let before = total.unwrap_or(Total::ZERO);
        let Some(expected) = change.map_or(Some(before), |change| change.apply(before)) else {
            to.counts.blame(counter);
            return Ok(());
        };
        to.counts.compare(counter, expected.count, sums.count);
        for (index, period) in WINDOWS.into_iter().enumerate() {
            let (from_s, sum) = expected.windows[index];
            let is_current = from_s == begin(&self.calendar, period, second(time_us));
            to.windows.compare(counter, if is_current { sum } else { 0 }, sums.windows[index]);
        }
        let recorded = recorded_users(totals, counter, change)?;
        let users = i64::try_from(shown.users).unwrap_or(i64::MAX);
        to.users.compare(counter, recorded, users);
        if self.types.unique.contains(&counter.counter_type) {
            to.likers.compare(counter, users, sums.count);
        }
        Ok(())
    }

    fn finish(
        &self,
        totals: &Transaction<'_>,
        tail: &Tail,
        comparison: Comparison,
    ) -> rusqlite::Result<Vec<Check>> {
        let Comparison { mut counts, windows, users, likers } = comparison;
        // What the record knows and memory does not was not met above. A hold each: a writer that
        // waited for all of them would make the loops wait behind it.
        let mut demand = |counter: &Counter| {
            let known = self.shared.counters();
            let of_type = known.types.get(&counter.counter_type);
            if of_type.is_none_or(|of_type| of_type.all.sum(&counter.resource).is_none()) {
                counts.blame(counter);
            }
        };
        totals::counters(totals, |counter, _| demand(&counter))?;
        tail.changes.0.keys().for_each(demand);
        Ok(vec![
            counts.check("journal = counters"),
            windows.check("journal = hot lists of hour, day and week"),
            users.check("journal = counted users"),
            likers.check("likers = count"),
        ])
    }
}

impl Audit for Auditor {
    fn audit(&mut self) -> Result<Vec<Check>, StoreError> {
        let result = self.run();
        self.shared.keep_after_id.store(i64::MAX, Ordering::SeqCst);
        result.map_err(|error| {
            tracing::error!(%error, "the counters cannot be audited");
            match sqlite::trouble(&error) {
                Trouble::Passing => StoreError::Unavailable,
                Trouble::Fatal => StoreError::Broken,
            }
        })
    }
}

/// The entries behind the totals, summed up to a position that moves on with memory.
struct Tail {
    position: i64,
    changes: Changes,
}

impl Tail {
    fn advance(
        &mut self,
        journal: &Connection,
        calendar: &Calendar,
        until: i64,
    ) -> rusqlite::Result<()> {
        let changes = &mut self.changes;
        journal::entries(journal, self.position, until, |entry| {
            changes.add(calendar, entry);
            Ok::<_, rusqlite::Error>(())
        })?;
        self.position = self.position.max(until);
        Ok(())
    }
}

/// How many users the record counts.
fn recorded_users(
    totals: &Connection,
    counter: &Counter,
    change: Option<&Change>,
) -> rusqlite::Result<i64> {
    let is_reset = change.is_some_and(|change| change.is_reset);
    let mut users = if is_reset { 0 } else { totals::user_count(totals, counter)? };
    for (user, &is_counted) in change.into_iter().flat_map(|change| &change.users) {
        let was_counted = !is_reset && totals::is_counted(totals, counter, user)?;
        users += i64::from(is_counted) - i64::from(was_counted);
    }
    Ok(users)
}
