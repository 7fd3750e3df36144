//! A snatch on its way, and what becomes of it.

use super::lines::GrantLine;
use crate::packet::Refusal;
use crate::store::RequestKey;

/// A snatch on its way.
#[derive(Clone, Debug)]
pub struct Snatching {
    /// Who.
    pub uid: i64,
    /// Under which name a retry would come.
    pub key: Option<RequestKey>,
    /// The rain of which the record was asked for the user's packets, and how many it knew.
    pub(super) known: Option<(i64, i64)>,
    /// Rain, version and number of its draw, and whether that won.
    pub(super) drawn: Option<Drawn>,
}

/// A draw that a snatch was given.
#[derive(Clone, Copy, Debug)]
pub(super) struct Drawn {
    pub(super) rain: i64,
    pub(super) version: i64,
    pub(super) draw: i64,
    pub(super) wins: bool,
}

/// What became of it in one turn.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Turned {
    /// The packet is in the record.
    Got {
        /// It.
        line: GrantLine,
        /// An earlier request with this key got it.
        replayed: bool,
    },
    /// The draw won nothing.
    Unlucky {
        /// Its number.
        draw: i64,
    },
    /// No.
    Refused(Refusal),
    /// To be taken to another turn.
    Again,
    /// The record did not say whether it has the packet. It may have, or be given it later.
    Unknown,
}

impl Snatching {
    /// At the beginning.
    pub fn new(uid: i64, key: Option<RequestKey>) -> Self {
        Self { uid, key, known: None, drawn: None }
    }

    /// How many packets of that rain the record knew, once it was asked.
    pub(super) fn known_of(&self, rain: i64) -> Option<i64> {
        self.known.filter(|known| known.0 == rain).map(|known| known.1)
    }
}
