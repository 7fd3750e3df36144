//! What an audit says: two figures that must be equal, and the first id where they are not.

use super::StoreError;
use serde::{Deserialize, Serialize};
use std::fmt;

/// Two figures of the same thing, found in different ways.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Check {
    /// What is compared, such as `journal = boards (all)`.
    pub name: String,
    /// The figure on the left of the name.
    pub left: i128,
    /// The figure on the right of the name.
    pub right: i128,
    /// False when any part differs, also where the figures happen to be equal.
    pub ok: bool,
    /// The smallest id with a difference.
    pub first_bad: Option<BadId>,
}

/// Who or what an audit complains of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum BadId {
    /// A number, as most ids are.
    Number(i64),
    /// The name of a resource.
    Text(String),
}

impl fmt::Display for BadId {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            BadId::Number(id) => id.fmt(out),
            BadId::Text(id) => id.fmt(out),
        }
    }
}

/// Recomputes a domain's figures from its record, on a thread that may block.
pub trait Audit: Send {
    /// The domain's checks, as of a moment after the call.
    fn audit(&mut self) -> Result<Vec<Check>, StoreError>;
}
