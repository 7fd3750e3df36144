//! The versions of a rain's terms as a hash chain, and the commitment that it hangs on.
//!
//! The rule, for a stranger's script: the commitment is the SHA-256 of
//! `"{seed}\n{rain}\n{terms}"`, the seed in hexadecimal and the first terms as JSON. The hash of a
//! version is the SHA-256 of `"{previous}\n{version}"`: the hash before it in hexadecimal (the
//! commitment for version 1) and the version as JSON, without spaces, fields in the order below.

use super::terms::Terms;
use super::uniform::{Digest, Seed};
use serde::{Deserialize, Serialize};

/// Terms with what is journaled of their making.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Version {
    /// 1, 2, 3 … within its rain.
    pub version: i64,
    /// Unix seconds.
    pub at: i64,
    /// Who.
    pub by: Author,
    /// Why.
    pub reason: String,
    /// It decides draws from this one on.
    pub first_draw: i64,
    /// Winning draws of a million: `win_ppm`, unless the rain is paced.
    pub hit_ppm: i64,
    /// What is in effect.
    pub config: Terms,
}

/// Who changes terms.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Author {
    /// The configuration file, for the first version.
    File,
    /// A call of the operator's listener.
    Operator,
    /// The server, so that a paced rain follows its curve.
    Pacing,
}

impl Author {
    /// Its name in the journal.
    pub fn name(self) -> &'static str {
        match self {
            Author::File => "file",
            Author::Operator => "operator",
            Author::Pacing => "pacing",
        }
    }

    /// The author of that name.
    pub fn from_name(name: &str) -> Option<Self> {
        [Author::File, Author::Operator, Author::Pacing]
            .into_iter()
            .find(|author| author.name() == name)
    }
}

/// What is published before the start: it fixes the seed and the first terms without telling the seed.
pub fn commitment(seed: &Seed, rain: i64, first: &Terms) -> Digest {
    Digest::of(&format!("{}\n{rain}\n{}", seed.text(), first.text()))
}

/// The hash of `version`, which follows what hashes to `previous`.
pub fn link(previous: &Digest, version: &Version) -> Digest {
    let text = serde_json::to_string(version).expect("text and numbers always encode");
    Digest::of(&format!("{previous}\n{text}"))
}
