//! Calendar periods: the hour, day or ISO week around a moment, in the configured time zone.

use jiff::civil::Date;
use jiff::tz::{AmbiguousOffset, TimeZone};
use jiff::{Timestamp, ToSpan, Zoned};
use std::sync::atomic::{AtomicU64, Ordering};

/// The span that a sum covers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Period {
    /// Since the beginning.
    #[default]
    All,
    /// A calendar hour.
    Hour,
    /// A calendar day.
    Day,
    /// An ISO week, from Monday.
    Week,
}

impl Period {
    /// Every period, with its name on the wire.
    pub const NAMES: [(&'static str, Period); 4] = [
        ("all", Period::All),
        ("hour", Period::Hour),
        ("day", Period::Day),
        ("week", Period::Week),
    ];

    /// Its name on the wire.
    pub fn name(self) -> &'static str {
        match self {
            Period::All => "all",
            Period::Hour => "hour",
            Period::Day => "day",
            Period::Week => "week",
        }
    }

    /// The period of that name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::NAMES.iter().find(|(known, _)| *known == name).map(|&(_, period)| period)
    }
}

/// A span of the calendar.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// First second.
    pub from_s: i64,
    /// First second after it: the next reset.
    pub until_s: i64,
}

/// Knows where periods begin and end. The spans found last are kept, so that the time zone is
/// asked about once an hour, and an event costs one comparison per period. Shared by all threads.
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

    /// The same calendar with a memory of its own, for a thread that looks at other times.
    #[must_use]
    pub fn apart(&self) -> Self {
        Self::new(self.zone.clone())
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

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const ZONES: [&str; 14] = [
        "UTC",
        "Asia/Shanghai",
        "Asia/Kolkata",
        "Europe/Berlin",
        "Australia/Lord_Howe",
        "America/Toronto",
        "America/Havana",
        "Pacific/Apia",
        // Half hours, and changes a minute past midnight.
        "America/St_Johns",
        // Midnights that do not come.
        "America/Sao_Paulo",
        "Asia/Beirut",
        // Two hours at once.
        "Antarctica/Troll",
        // Offsets with seconds.
        "Africa/Monrovia",
        "Asia/Kathmandu",
    ];

    fn zone(name: &str) -> TimeZone {
        TimeZone::get(name).expect("the zone data is bundled")
    }

    fn second(text: &str) -> i64 {
        text.parse::<Timestamp>().expect("a moment of the table").as_second()
    }

    /// The span that holds `at`, as it reads in UTC.
    fn check(zone_name: &str, period: Period, at: &str, expected: (&str, &str)) {
        let span = Calendar::new(zone(zone_name)).span(period, second(at));
        let expected = Span { from_s: second(expected.0), until_s: second(expected.1) };
        assert_eq!(span, Some(expected), "the {period:?} of {at} in {zone_name}");
    }

    #[test]
    fn a_day_lasts_from_midnight_to_midnight_of_its_zone() {
        let at = "2026-03-29T12:00:00Z";
        check("UTC", Period::Day, at, ("2026-03-29T00:00:00Z", "2026-03-30T00:00:00Z"));
        check("Asia/Shanghai", Period::Day, at, ("2026-03-28T16:00:00Z", "2026-03-29T16:00:00Z"));
        check("Asia/Kolkata", Period::Day, at, ("2026-03-28T18:30:00Z", "2026-03-29T18:30:00Z"));
        // 23 hours, and 25 in autumn.
        check("Europe/Berlin", Period::Day, at, ("2026-03-28T23:00:00Z", "2026-03-29T22:00:00Z"));
        let autumn = "2026-10-25T12:00:00Z";
        check(
            "Europe/Berlin",
            Period::Day,
            autumn,
            ("2026-10-24T22:00:00Z", "2026-10-25T23:00:00Z"),
        );
    }

    #[test]
    fn a_week_begins_on_monday_even_across_the_year() {
        let sunday = "2027-01-03T23:59:59Z";
        check("UTC", Period::Week, sunday, ("2026-12-28T00:00:00Z", "2027-01-04T00:00:00Z"));
        let monday = "2027-01-04T00:00:00Z";
        check("UTC", Period::Week, monday, ("2027-01-04T00:00:00Z", "2027-01-11T00:00:00Z"));
        check(
            "UTC",
            Period::Week,
            "1970-01-01T00:00:00Z",
            ("1969-12-29T00:00:00Z", "1970-01-05T00:00:00Z"),
        );
        let spring = "2026-03-29T12:00:00Z";
        check(
            "Europe/Berlin",
            Period::Week,
            spring,
            ("2026-03-22T23:00:00Z", "2026-03-29T22:00:00Z"),
        );
    }

    #[test]
    fn an_hour_is_that_of_the_wall_clock() {
        let at = "2026-07-01T12:20:00Z";
        check("UTC", Period::Hour, at, ("2026-07-01T12:00:00Z", "2026-07-01T13:00:00Z"));
        check("Asia/Kolkata", Period::Hour, at, ("2026-07-01T11:30:00Z", "2026-07-01T12:30:00Z"));
        check("Asia/Kathmandu", Period::Hour, at, ("2026-07-01T12:15:00Z", "2026-07-01T13:15:00Z"));
        // The hour from 2 to 3 comes twice: two hours.
        let twice = [
            ("2026-10-25T00:30:00Z", "2026-10-25T00:00:00Z", "2026-10-25T01:00:00Z"),
            ("2026-10-25T01:30:00Z", "2026-10-25T01:00:00Z", "2026-10-25T02:00:00Z"),
        ];
        for (at, from, until) in twice {
            check("Europe/Berlin", Period::Hour, at, (from, until));
        }
        // Set back by half an hour at 2: the second half from 1:30 to 2 stands alone.
        let alone = ("2026-04-04T15:00:00Z", "2026-04-04T15:30:00Z");
        check("Australia/Lord_Howe", Period::Hour, "2026-04-04T15:10:00Z", alone);
    }

    #[test]
    fn a_midnight_that_is_skipped_or_comes_twice_has_one_day() {
        // Havana jumps from 0 to 1 in spring, and goes back from 1 to 0 in autumn.
        check(
            "America/Havana",
            Period::Day,
            "2026-03-08T12:00:00Z",
            ("2026-03-08T05:00:00Z", "2026-03-09T04:00:00Z"),
        );
        check(
            "America/Havana",
            Period::Day,
            "2026-11-01T05:30:00Z",
            ("2026-11-01T04:00:00Z", "2026-11-02T05:00:00Z"),
        );
        // Toronto went back from 0:01 to 23:01 of the day before.
        check(
            "America/Toronto",
            Period::Day,
            "2006-10-29T04:30:00Z",
            ("2006-10-29T04:00:00Z", "2006-10-30T05:00:00Z"),
        );
        // Apia left out the 30th of December 2011.
        check(
            "Pacific/Apia",
            Period::Day,
            "2011-12-30T09:59:59Z",
            ("2011-12-29T10:00:00Z", "2011-12-30T10:00:00Z"),
        );
        check(
            "Pacific/Apia",
            Period::Day,
            "2011-12-30T10:00:00Z",
            ("2011-12-30T10:00:00Z", "2011-12-31T10:00:00Z"),
        );
    }

    #[test]
    fn clocks_that_change_beside_midnight_leave_each_day_whole() {
        // St John's jumped from 0:01 to 1:01 in spring, and went back from 0:01 to 23:01 in autumn.
        let spring = ("2011-03-13T03:30:00Z", "2011-03-14T02:30:00Z");
        for at in ["2011-03-13T03:30:00Z", "2011-03-13T03:31:00Z", "2011-03-14T02:29:59Z"] {
            check("America/St_Johns", Period::Day, at, spring);
        }
        let minute = ("2011-03-13T03:30:00Z", "2011-03-13T03:31:00Z");
        check("America/St_Johns", Period::Hour, "2011-03-13T03:30:59Z", minute);
        let autumn = ("2010-11-07T02:30:00Z", "2010-11-08T03:30:00Z");
        for at in ["2010-11-07T02:30:00Z", "2010-11-07T02:31:00Z", "2010-11-07T03:29:00Z"] {
            check("America/St_Johns", Period::Day, at, autumn);
        }
        // Sao Paulo had no midnight: its day, and its week, begin at 1.
        let jump = ("2018-11-04T03:00:00Z", "2018-11-05T02:00:00Z");
        check("America/Sao_Paulo", Period::Day, "2018-11-04T03:00:00Z", jump);
        let before = ("2018-11-03T03:00:00Z", "2018-11-04T03:00:00Z");
        check("America/Sao_Paulo", Period::Day, "2018-11-04T02:59:59Z", before);
    }

    #[test]
    fn all_time_and_the_ends_of_the_calendar_have_no_span() {
        let calendar = Calendar::new(TimeZone::UTC);
        assert_eq!(calendar.span(Period::All, 0), None);
        for at_s in [i64::MIN, i64::MAX, 253_402_207_201] {
            for period in [Period::Hour, Period::Day, Period::Week] {
                assert_eq!(calendar.span(period, at_s), None, "{period:?} {at_s}");
            }
        }
    }

    proptest! {
        #[test]
        fn periods_follow_each_other_without_gap_or_overlap(
            name in proptest::sample::select(ZONES.as_slice()),
            period in proptest::sample::select([Period::Hour, Period::Day, Period::Week].as_slice()),
            at_s in 0..3_000_000_000_i64,
        ) {
            let (calendar, fresh) = (Calendar::new(zone(name)), || Calendar::new(zone(name)));
            let span = calendar.span(period, at_s).expect("within the calendar");
            prop_assert!(span.contains(at_s));
            prop_assert_eq!(fresh().span(period, span.from_s), Some(span));
            prop_assert_eq!(fresh().span(period, span.until_s - 1), Some(span));
            let next = fresh().span(period, span.until_s).expect("within the calendar");
            prop_assert_eq!(next.from_s, span.until_s);
            let before = fresh().span(period, span.from_s - 1).expect("within the calendar");
            prop_assert_eq!(before.until_s, span.from_s);
            prop_assert_eq!(calendar.span(period, at_s), Some(span), "the one found last");
        }
    }

    #[test]
    fn a_board_is_kept_until_its_end_is_that_long_ago() {
        let (keep, span) =
            (Keep { hour_s: 10, day_s: 20, week_s: 0 }, Span { from_s: 0, until_s: 100 });
        let kept = |period, now_s| keep.is_kept(period, span, now_s);
        assert!(kept(Period::Hour, 109) && !kept(Period::Hour, 110));
        assert!(kept(Period::Day, 119) && !kept(Period::Day, 120));
        assert!(kept(Period::Week, 99) && !kept(Period::Week, 100));
        assert!(kept(Period::All, i64::MAX));
    }
}
