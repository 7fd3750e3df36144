//! Calendar periods: the hour, day or ISO week around a moment, in the configured time zone.

use super::{Period, Span};
use jiff::civil::Date;
use jiff::tz::{AmbiguousOffset, TimeZone};
use jiff::{Timestamp, ToSpan, Zoned};
use std::sync::atomic::{AtomicU64, Ordering};

/// Knows where periods begin and end. The spans found last are kept, so that the time zone is
/// asked about once an hour, and a gift costs one comparison per period. Shared by all threads.
///
/// Periods follow each other without a gap and without an overlap, whatever the clocks do: a day
/// begins with its first midnight (or the first moment after, where clocks jump over it), an hour
/// ends where the clock is set.
#[derive(Debug)]
pub struct Calendar {
    zone: TimeZone,
    /// The span found last, for hour, day and week.
    recent: [RecentSpan; 3],
}

impl Calendar {
    /// A calendar of that time zone.
    pub fn new(zone: TimeZone) -> Self {
        Self { zone, recent: Default::default() }
    }

    /// The span of `period` that contains the second `at_s`; `None` for [`Period::All`], and for
    /// what lies before or beyond the calendar (the years -9999 and 9999).
    pub fn span(&self, period: Period, at_s: i64) -> Option<Span> {
        let recent = match period {
            Period::All => return None,
            Period::Hour => &self.recent[0],
            Period::Day => &self.recent[1],
            Period::Week => &self.recent[2],
        };
        if let Some(span) = recent.get(at_s) {
            return Some(span);
        }
        let at = Timestamp::from_second(at_s).ok()?.to_zoned(self.zone.clone());
        let span = if period == Period::Hour { self.hour(&at) } else { self.days(period, &at) }?;
        recent.set(span);
        Some(span)
    }

    /// The day or the week.
    fn days(&self, period: Period, at: &Zoned) -> Option<Span> {
        let at_s = at.timestamp().as_second();
        let today = at.date();
        // Clocks set back over midnight show yesterday's date again, after today has begun: then
        // the moment belongs to the day after the one that it names.
        for date in [today, today.tomorrow().ok()?] {
            let (first, days) = match period {
                Period::Week => {
                    let since_monday = date.weekday().to_monday_zero_offset();
                    (date.checked_sub(i64::from(since_monday).days()).ok()?, 7)
                }
                _ => (date, 1),
            };
            let next = first.checked_add(days.days()).ok()?;
            let span = Span { from_s: self.begin(first)?, until_s: self.begin(next)? };
            if span.contains(at_s) {
                return Some(span);
            }
        }
        None
    }

    /// The first second of a day.
    fn begin(&self, date: Date) -> Option<i64> {
        let midnight = self.zone.to_ambiguous_zoned(date.at(0, 0, 0, 0));
        let AmbiguousOffset::Gap { after, .. } = midnight.offset() else {
            return Some(midnight.earlier().ok()?.timestamp().as_second());
        };
        // Read with the later offset, a skipped midnight lies before the jump.
        let before = after.to_timestamp(date.at(0, 0, 0, 0)).ok()?.checked_sub(1.second()).ok()?;
        Some(self.zone.following(before).next()?.timestamp().as_second())
    }

    /// The hour on the wall's clock. Where clocks are set back an hour, both hours from 2 to 3 are
    /// hours of their own; where they are set within an hour, that hour ends there.
    fn hour(&self, at: &Zoned) -> Option<Span> {
        let at_s = at.timestamp().as_second();
        let begun_s = at_s - i64::from(at.minute()) * 60 - i64::from(at.second());
        let (mut from_s, mut until_s) = (begun_s, begun_s + 3_600);
        let from = Timestamp::from_second(from_s).ok()?;
        let changes = self.zone.following(from).map(|change| change.timestamp().as_second());
        for change_s in changes.take_while(|&change_s| change_s < begun_s + 3_600) {
            if change_s <= at_s {
                from_s = change_s;
            } else {
                until_s = until_s.min(change_s);
            }
        }
        Some(Span { from_s, until_s })
    }
}

impl Span {
    /// Whether the second `at_s` lies within.
    pub fn contains(self, at_s: i64) -> bool {
        (self.from_s..self.until_s).contains(&at_s)
    }
}

/// One span in one word, so that many threads share it without a lock: 40 bits for its beginning,
/// 20 for its length in seconds. A week has about 2^19 seconds, the year 9999 ends before 2^39.
#[derive(Debug, Default)]
struct RecentSpan(AtomicU64);

impl RecentSpan {
    const LENGTH_BITS: u32 = 20;
    /// Makes every beginning positive.
    const SHIFT_S: i64 = 1 << 39;

    fn get(&self, at_s: i64) -> Option<Span> {
        // Relaxed: the word stands for itself, nothing else is published with it.
        let word = self.0.load(Ordering::Relaxed);
        let from_s = (word >> Self::LENGTH_BITS).cast_signed() - Self::SHIFT_S;
        let length_s = (word & ((1 << Self::LENGTH_BITS) - 1)).cast_signed();
        let span = Span { from_s, until_s: from_s + length_s };
        span.contains(at_s).then_some(span)
    }

    fn set(&self, span: Span) {
        let length_s = (span.until_s - span.from_s).cast_unsigned();
        let from_s = (span.from_s + Self::SHIFT_S).cast_unsigned();
        if length_s >> Self::LENGTH_BITS == 0 && from_s >> 40 == 0 {
            self.0.store(from_s << Self::LENGTH_BITS | length_s, Ordering::Relaxed);
        }
    }
}

/// How long the boards of ended periods are kept, in seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Keep {
    /// For hours.
    pub hour_s: i64,
    /// For days.
    pub day_s: i64,
    /// For weeks.
    pub week_s: i64,
}

impl Default for Keep {
    /// 48 hours, 35 days, 371 days (api.md).
    fn default() -> Self {
        const DAY_S: i64 = 24 * 3_600;
        Self { hour_s: 48 * 3_600, day_s: 35 * DAY_S, week_s: 371 * DAY_S }
    }
}

impl Keep {
    /// Whether the board of `span` is still kept: it ended less than so long ago. The board of all
    /// time always is.
    pub fn is_kept(&self, period: Period, span: Span, now_s: i64) -> bool {
        let keep_s = match period {
            Period::All => return true,
            Period::Hour => self.hour_s,
            Period::Day => self.day_s,
            Period::Week => self.week_s,
        };
        now_s.saturating_sub(span.until_s) < keep_s
    }
}
