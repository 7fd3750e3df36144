//! Makes the counters from the totals and the entries behind them.

use super::shared::Shared;
use super::state::{Counters, OfType, Window, begin, second};
use super::{journal, totals};
use crate::calendar::Calendar;
use crate::counter::sums::WINDOWS;
use crate::counter::{HotList, Id, Spread};
use crate::store::{OpenError, sqlite};
use rusqlite::Connection;
use std::collections::HashMap;

/// The counters as of the newest entry. Files that do not fit together are refused, since there is
/// nothing to make them anew from.
pub(super) fn counters(shared: &Shared, journal: &Connection) -> Result<Counters, OpenError> {
    let path = shared.folder.file(totals::FILE);
    let totals = sqlite::open_reader(&path)?;
    let refuse = |error| sqlite::refused(&path, error);
    // One snapshot: whoever folds may be at work when a bookkeeper is made anew.
    let totals = totals.unchecked_transaction().map_err(refuse)?;
    let (position, time_us) = totals::position(&totals).map_err(refuse)?;
    let taken_out = journal::taken_out(journal).map_err(refuse)?;
    if position < taken_out {
        let detail = format!(
            "it ends at entry {position}, but its journal begins behind {taken_out}: the two \
             belong to different times"
        );
        return Err(OpenError::Damaged { path, detail });
    }
    let read = || {
        let last_id = journal::last(journal)?.0.max(position);
        let mut counters = from_totals(&totals, &shared.calendar, time_us)?;
        (counters.position, counters.last_time_us) = (position, time_us);
        journal::entries(journal, position, last_id, |entry| {
            // Nobody reads yet, so nothing needs to be freed elsewhere.
            drop(counters.apply(&shared.calendar, &entry));
            Ok::<_, rusqlite::Error>(())
        })?;
        let (entries, known) = (last_id - position, counters.known);
        tracing::info!(position, entries, counters = known, "counters: totals and tail");
        Ok(counters)
    };
    read().map_err(refuse)
}

/// Sums of one type, before they are put in order.
#[derive(Default)]
struct Gathered {
    all: Spread<Id, i64>,
    windows: [Spread<Id, i64>; 3],
}

/// With the windows of `time_us`, that of the totals, and not of the clock: the entries behind them
/// then find what they found when they were new, and move the windows on.
fn from_totals(
    totals: &Connection,
    calendar: &Calendar,
    time_us: i64,
) -> rusqlite::Result<Counters> {
    let begins = WINDOWS.map(|period| begin(calendar, period, second(time_us)));
    let mut gathered: HashMap<Id, Gathered> = HashMap::new();
    let mut counters = Counters::default();
    let mut elsewhere = 0_usize;
    totals::counters(totals, |counter, total| {
        let of_type = gathered.entry(counter.counter_type).or_default();
        for (index, (from_s, sum)) in total.windows.into_iter().enumerate() {
            // What is left of a day that began elsewhere cannot be told from a sum.
            elsewhere += usize::from(sum != 0 && begin(calendar, WINDOWS[index], from_s) != from_s);
            if from_s == begins[index] && sum != 0 {
                of_type.windows[index].insert(counter.resource.clone(), sum);
            }
        }
        of_type.all.insert(counter.resource, total.count);
        counters.known += 1;
    })?;
    if elsewhere > 0 {
        tracing::warn!(
            sums = elsewhere,
            "counters: counted in another time_zone: hot lists of those hours, days and weeks begin anew"
        );
    }
    for (counter_type, Gathered { all, windows }) in gathered {
        let mut begins = begins.into_iter();
        let windows = windows.map(|sums| Window {
            from_s: begins.next().unwrap_or(i64::MIN),
            list: HotList::from_sums(sums),
        });
        let all = HotList::from_sums(all);
        counters.types.insert(counter_type, OfType { all, windows, users: Spread::default() });
    }
    totals::users(totals, |counter, user| {
        let of_type = counters.types.get_or_default(&counter.counter_type);
        let users = of_type.users.get_or_default(&counter.resource);
        counters.users += usize::from(users.insert(user, ()).is_none());
    })?;
    Ok(counters)
}
