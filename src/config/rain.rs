//! The rain of the configuration: its terms, the limits in front of it, how long packets are kept.

use super::moment;
use super::reader::Reader;
use super::{DAY, Moment, Span};
use serde::Serialize;
use std::time::Duration;

/// Red-packet rain. The terms are those of the rain that is made at the start, if `id` is new.
#[derive(Clone, Debug, Serialize)]
pub struct Rain {
    /// Names the rain; 0 makes none.
    pub id: usize,
    /// The budget, in fen.
    pub total_amount_fen: usize,
    /// Packets that share it.
    pub total_count: usize,
    /// The least in a packet, in fen.
    pub min_fen: usize,
    /// The most in a packet, in fen.
    pub max_fen: usize,
    /// Winning draws of a million.
    pub win_ppm: usize,
    /// Packets for one user.
    pub max_per_user: usize,
    /// When it starts; `None` is at once.
    #[serde(serialize_with = "moment::serialize")]
    pub starts_at: Option<Moment>,
    /// When it ends.
    #[serde(serialize_with = "moment::serialize")]
    pub ends_at: Option<Moment>,
    /// The hit rate follows the planned curve.
    pub pacing: bool,
    /// Snatches a second of one user.
    pub user_rate: usize,
    /// Snatches of one user at once.
    pub user_burst: usize,
    /// Snatches a second of all users.
    pub global_rate: usize,
    /// Snatches of all users at once.
    pub global_burst: usize,
    /// After the end of a rain, until its unopened packets are returned; 0 for never.
    pub expire_after: Span,
}

impl Rain {
    pub(super) fn take(from: &mut Reader<'_>) -> Self {
        // The ranges of the terms are those of the domain, where a test holds the two together.
        Self {
            id: from.integer("rain.id", 0..=usize::MAX >> 1),
            total_amount_fen: from.integer("rain.total_amount_fen", 1..=1_000_000_000_000_000),
            total_count: from.integer("rain.total_count", 1..=10_000_000),
            min_fen: from.integer("rain.min_fen", 1..=1_000_000_000_000),
            max_fen: from.integer("rain.max_fen", 1..=1_000_000_000_000),
            win_ppm: from.integer("rain.win_ppm", 0..=1_000_000),
            max_per_user: from.integer("rain.max_per_user", 1..=1_000_000),
            starts_at: from.moment("rain.starts_at"),
            ends_at: from.moment("rain.ends_at"),
            pacing: from.flag("rain.pacing"),
            user_rate: from.integer("rain.user_rate", 1..=1_000_000_000),
            user_burst: from.integer("rain.user_burst", 1..=1_000_000_000),
            global_rate: from.integer("rain.global_rate", 1..=1_000_000_000),
            global_burst: from.integer("rain.global_burst", 1..=1_000_000_000),
            expire_after: from.duration("rain.expire_after", Duration::ZERO..=3_660 * DAY),
        }
    }

    /// Rules between keys. Whether the amounts can be is for the rain to say.
    pub(super) fn check(&self, reader: &mut Reader<'_>) {
        if self.id > 0 && self.ends_at.is_none() {
            reader.refuse("rain.ends_at", "a moment, since rain.id names a rain to be made");
        }
    }
}
