//! The terms of a rain: its figures, their ranges, and which of them go together.

use serde::{Deserialize, Serialize};
use std::ops::RangeInclusive;

/// What a rain may cost, in fen. Sums of hundreds of rains stay far from the end of i64.
pub const TOTAL_AMOUNT_FEN: RangeInclusive<i64> = 1..=1_000_000_000_000_000;

/// How many packets a rain may have; bounds its proof, which is held in memory once it is over.
pub const TOTAL_COUNT: RangeInclusive<i64> = 1..=10_000_000;

/// What one packet may hold, in fen.
pub const PACKET_FEN: RangeInclusive<i64> = 1..=1_000_000_000_000;

/// Parts of a million draws that may win.
pub const WIN_PPM: RangeInclusive<i64> = 0..=1_000_000;

/// Packets that one user may get.
pub const MAX_PER_USER: RangeInclusive<i64> = 1..=1_000_000;

/// Unix seconds until the year 9999.
pub const TIME_S: RangeInclusive<i64> = 0..=253_402_300_799;

/// Bytes of the reason of a change.
pub const REASON_BYTES: RangeInclusive<usize> = 1..=200;

/// Everything that is decided about a rain. Its JSON, in this order of fields and without spaces,
/// is what commitment and hash chain are made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Terms {
    /// The budget; within [`TOTAL_AMOUNT_FEN`].
    pub total_amount_fen: i64,
    /// Packets that share it; within [`TOTAL_COUNT`].
    pub total_count: i64,
    /// The least in a packet; within [`PACKET_FEN`].
    pub min_fen: i64,
    /// The most in a packet; within [`PACKET_FEN`].
    pub max_fen: i64,
    /// Winning draws of a million; within [`WIN_PPM`]. With `pacing` the curve decides instead.
    pub win_ppm: i64,
    /// Packets for one user; within [`MAX_PER_USER`].
    pub max_per_user: i64,
    /// Unix seconds of the first moment.
    pub starts_at: i64,
    /// Unix seconds of the first moment after it.
    pub ends_at: i64,
    /// Nothing is handed out meanwhile.
    pub paused: bool,
    /// The hit rate follows the planned curve.
    pub pacing: bool,
}

/// Some new terms; what is `None` stays.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    /// See [`Terms::total_amount_fen`].
    pub total_amount_fen: Option<i64>,
    /// See [`Terms::total_count`].
    pub total_count: Option<i64>,
    /// See [`Terms::min_fen`].
    pub min_fen: Option<i64>,
    /// See [`Terms::max_fen`].
    pub max_fen: Option<i64>,
    /// See [`Terms::win_ppm`].
    pub win_ppm: Option<i64>,
    /// See [`Terms::max_per_user`].
    pub max_per_user: Option<i64>,
    /// See [`Terms::starts_at`]; a moment in the past means now.
    pub starts_at: Option<i64>,
    /// See [`Terms::ends_at`]; a moment in the past means now.
    pub ends_at: Option<i64>,
    /// See [`Terms::paused`].
    pub paused: Option<bool>,
    /// See [`Terms::pacing`].
    pub pacing: Option<bool>,
}

/// What was handed out already.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sum {
    /// Packets.
    pub count: i64,
    /// Their amounts together.
    pub fen: i64,
}

/// Why terms cannot be: each names the figures that contradict each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Impossible {
    /// `min_fen` above `max_fen`.
    #[error("min_fen {min_fen} is above max_fen {max_fen}")]
    MinAboveMax {
        /// As asked.
        min_fen: i64,
        /// As asked.
        max_fen: i64,
    },
    /// It ends before it starts, or in the very second.
    #[error("ends_at {ends_at} is not after starts_at {starts_at}")]
    NoTime {
        /// As asked.
        starts_at: i64,
        /// As asked.
        ends_at: i64,
    },
    /// The count was cut too far.
    #[error("total_count {total_count} is below the {handed_out} packets that are handed out")]
    CountBelowHandedOut {
        /// As asked.
        total_count: i64,
        /// Packets.
        handed_out: i64,
    },
    /// The budget was cut too far.
    #[error(
        "total_amount_fen {total_amount_fen} is below the {handed_out} fen that are handed out"
    )]
    AmountBelowHandedOut {
        /// As asked.
        total_amount_fen: i64,
        /// In fen.
        handed_out: i64,
    },
    /// The rest cannot give every packet its least.
    #[error("{left_fen} fen left are too little for {left_count} packets of at least {min_fen}")]
    TooLittle {
        /// In fen.
        left_fen: i64,
        /// Packets.
        left_count: i64,
        /// As asked.
        min_fen: i64,
    },
    /// The rest cannot be spent.
    #[error("{left_fen} fen left are too much for {left_count} packets of at most {max_fen}")]
    TooMuch {
        /// In fen.
        left_fen: i64,
        /// Packets.
        left_count: i64,
        /// As asked.
        max_fen: i64,
    },
    /// The start was moved after the fact.
    #[error("starts_at cannot be changed: the rain has started")]
    Started,
    /// Its seed may be known by now.
    #[error("the rain has ended")]
    Ended,
}

impl Terms {
    /// The text that is hashed.
    pub fn text(&self) -> String {
        serde_json::to_string(self).expect("numbers and flags always encode")
    }

    /// Whether each figure is within its own range.
    pub fn is_in_range(&self) -> bool {
        TOTAL_AMOUNT_FEN.contains(&self.total_amount_fen)
            && TOTAL_COUNT.contains(&self.total_count)
            && PACKET_FEN.contains(&self.min_fen)
            && PACKET_FEN.contains(&self.max_fen)
            && WIN_PPM.contains(&self.win_ppm)
            && MAX_PER_USER.contains(&self.max_per_user)
            && TIME_S.contains(&self.starts_at)
            && TIME_S.contains(&self.ends_at)
    }

    /// Whether the amounts of the packets to come depend on what differs.
    pub fn same_amounts(&self, other: &Terms) -> bool {
        let amounts = |t: &Terms| (t.total_amount_fen, t.total_count, t.min_fen, t.max_fen);
        amounts(self) == amounts(other)
    }

    /// Packets and fen that are left when so much is handed out.
    pub fn left(&self, handed_out: Sum) -> Sum {
        Sum {
            count: self.total_count - handed_out.count,
            fen: self.total_amount_fen - handed_out.fen,
        }
    }

    /// These terms with a change, as of `now_s`.
    #[must_use]
    pub fn with(&self, change: &Change, now_s: i64) -> Terms {
        let not_past = |at: i64| at.max(now_s);
        Terms {
            total_amount_fen: change.total_amount_fen.unwrap_or(self.total_amount_fen),
            total_count: change.total_count.unwrap_or(self.total_count),
            min_fen: change.min_fen.unwrap_or(self.min_fen),
            max_fen: change.max_fen.unwrap_or(self.max_fen),
            win_ppm: change.win_ppm.unwrap_or(self.win_ppm),
            max_per_user: change.max_per_user.unwrap_or(self.max_per_user),
            starts_at: change.starts_at.map_or(self.starts_at, not_past),
            ends_at: change.ends_at.map_or(self.ends_at, not_past),
            paused: change.paused.unwrap_or(self.paused),
            pacing: change.pacing.unwrap_or(self.pacing),
        }
    }

    /// Whether the rest of the budget can be spent to the fen on the packets that are left, each
    /// within its bounds. Each figure is within its own range already.
    pub fn check(&self, handed_out: Sum) -> Result<(), Impossible> {
        let Terms { total_amount_fen, total_count, min_fen, max_fen, starts_at, ends_at, .. } =
            *self;
        if min_fen > max_fen {
            return Err(Impossible::MinAboveMax { min_fen, max_fen });
        }
        // Equal is a rain that was ended in the second of its start.
        if ends_at < starts_at {
            return Err(Impossible::NoTime { starts_at, ends_at });
        }
        let Sum { count: left_count, fen: left_fen } = self.left(handed_out);
        if left_count < 0 {
            let handed_out = handed_out.count;
            return Err(Impossible::CountBelowHandedOut { total_count, handed_out });
        }
        if left_fen < 0 {
            let handed_out = handed_out.fen;
            return Err(Impossible::AmountBelowHandedOut { total_amount_fen, handed_out });
        }
        let times = |fen: i64| i128::from(fen) * i128::from(left_count);
        if i128::from(left_fen) < times(min_fen) {
            return Err(Impossible::TooLittle { left_fen, left_count, min_fen });
        }
        if i128::from(left_fen) > times(max_fen) {
            return Err(Impossible::TooMuch { left_fen, left_count, max_fen });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TERMS: Terms = Terms {
        total_amount_fen: 1_000,
        total_count: 10,
        min_fen: 10,
        max_fen: 500,
        win_ppm: 300_000,
        max_per_user: 5,
        starts_at: 100,
        ends_at: 200,
        paused: false,
        pacing: false,
    };

    #[test]
    fn each_impossible_combination_has_its_reason() {
        let half = Sum { count: 5, fen: 600 };
        for (change, handed_out, reason) in [
            (Change { min_fen: Some(501), ..Change::default() }, half, "above max_fen 500"),
            (Change { ends_at: Some(99), ..Change::default() }, half, "not after starts_at 100"),
            (Change { total_count: Some(4), ..Change::default() }, half, "the 5 packets"),
            (Change { total_amount_fen: Some(599), ..Change::default() }, half, "the 600 fen"),
            (Change { min_fen: Some(81), ..Change::default() }, half, "too little for 5"),
            (Change { max_fen: Some(79), ..Change::default() }, half, "too much for 5"),
            (Change { total_count: Some(5), ..Change::default() }, half, "too much for 0"),
            (Change { max_fen: Some(99), ..Change::default() }, Sum::default(), "too much"),
        ] {
            let error = TERMS.with(&change, 0).check(handed_out).expect_err(reason).to_string();
            assert!(error.contains(reason), "{error}");
        }
        assert_eq!(TERMS.check(half), Ok(()));
        let spent =
            Change { total_count: Some(5), total_amount_fen: Some(600), ..Change::default() };
        assert_eq!(TERMS.with(&spent, 0).check(half), Ok(()), "nothing is left, nothing is owed");
    }

    #[test]
    fn a_moment_in_the_past_means_now() {
        let change = Change { starts_at: Some(1), ends_at: Some(2), ..Change::default() };
        let terms = TERMS.with(&change, 50);
        assert_eq!((terms.starts_at, terms.ends_at), (50, 50));
        assert_eq!(TERMS.with(&Change::default(), 50), TERMS, "what is not named stays");
    }
}
