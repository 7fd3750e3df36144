//! What the protocol asks of the record. A call may fail and have its effect all the same, at once or
//! after a while: whatever is asked here may be asked again.

use super::lines::{Asked, ChunkLine, GrantLine, Head, LogEnd, Place};
use crate::packet::{Digest, Version};
use crate::store::RequestKey;
use std::future::Future;

/// Why a step brought nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Trouble {
    /// A server does not answer, or not yet: what was asked may have been done, or be done later.
    #[error("a server does not answer")]
    Away,
    /// Others went on meanwhile: begin again with what is true now.
    #[error("others were faster too often")]
    Overtaken,
    /// What is stored is not what this version writes.
    #[error("what is stored cannot be: {0}")]
    Broken(String),
}

/// What is known of one user's packets of one rain.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Known {
    /// Packets of the newest rain; their numbers are 1 to this.
    pub count: i64,
    /// The packet that the request's key got, of whatever rain.
    pub under_key: Option<GrantLine>,
}

/// What became of one document of an insert.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It is there, and was not before.
    Done,
    /// One of its names is taken.
    Taken,
    /// Nobody knows.
    Unknown,
}

/// The record, read and written at the primary with majority.
pub trait Record {
    /// The newest rain.
    fn head(&self) -> impl Future<Output = Result<Option<Head>, Trouble>>;
    /// Whether there was a rain of this id.
    fn has_rain(&self, id: i64) -> impl Future<Output = Result<bool, Trouble>>;
    /// Makes a rain; false when its number or id is taken.
    fn insert_head(&self, head: Head) -> impl Future<Output = Result<bool, Trouble>>;
    /// Replaces a head; false when its `rev` or `draws` are not those of `old` any more.
    fn swap_head(&self, old: Head, new: Head) -> impl Future<Output = Result<bool, Trouble>>;
    /// Takes `count` draws; the first, and the version that decides them. `None` after the end.
    fn take_draws(
        &self,
        number: i64,
        count: i64,
    ) -> impl Future<Output = Result<Option<(i64, i64)>, Trouble>>;
    /// Notes a version in the journal, if it is not there.
    fn note_version(&self, line: VersionLine) -> impl Future<Output = Result<(), Trouble>>;
    /// What was asked under a key of operators, in versions before the newest.
    fn asked(&self, key: String) -> impl Future<Output = Result<Option<String>, Trouble>>;
    /// Where the log of chunks ends.
    fn log_end(&self, rain: i64) -> impl Future<Output = Result<LogEnd, Trouble>>;
    /// Appends a chunk; false when its number is taken.
    fn open_chunk(&self, rain: i64, line: ChunkLine)
    -> impl Future<Output = Result<bool, Trouble>>;
    /// Keeps everybody from opening a chunk of that number; false when it is taken.
    fn claim(
        &self,
        rain: i64,
        number: i64,
        rev: i64,
    ) -> impl Future<Output = Result<bool, Trouble>>;
    /// Raises a claim of an earlier revision to `rev`.
    fn raise_claim(
        &self,
        rain: i64,
        number: i64,
        rev: i64,
    ) -> impl Future<Output = Result<(), Trouble>>;
    /// Makes a chunk of a claim; false unless the claim is of exactly `rev`.
    fn fill_claim(
        &self,
        rain: i64,
        rev: i64,
        line: ChunkLine,
    ) -> impl Future<Output = Result<bool, Trouble>>;
    /// All places of a chunk that are decided.
    fn places(
        &self,
        rain: i64,
        line: ChunkLine,
    ) -> impl Future<Output = Result<Vec<Place>, Trouble>>;
    /// Decides places; as many fates.
    fn decide(&self, places: Vec<Place>) -> impl Future<Output = Result<Vec<Fate>, Trouble>>;
    /// Raises voids of earlier revisions in a chunk to `rev`.
    fn raise_voids(&self, line: ChunkLine, rev: i64) -> impl Future<Output = Result<(), Trouble>>;
    /// Takes voids of revisions below `rev` away.
    fn drop_voids(&self, line: ChunkLine, rev: i64) -> impl Future<Output = Result<(), Trouble>>;
    /// What has these envelopes.
    fn holders(&self, envelopes: Vec<i64>) -> impl Future<Output = Result<Vec<Place>, Trouble>>;
    /// What is known of users: first the packets are counted, then the keys are looked up.
    fn known(
        &self,
        rain: i64,
        users: Vec<(i64, Option<RequestKey>)>,
    ) -> impl Future<Output = Result<Vec<Known>, Trouble>>;
}

/// A version as the journal keeps it.
#[derive(Clone, Debug, PartialEq)]
pub struct VersionLine {
    /// Number of the rain.
    pub rain: i64,
    /// The version.
    pub version: Version,
    /// Its hash.
    pub hash: Digest,
    /// Who asked for it, where there was a key.
    pub asked: Option<Asked>,
}

impl VersionLine {
    /// The newest of a rain.
    pub fn of(head: &Head) -> Self {
        let Head { number, version, hash, asked, .. } = head.clone();
        Self { rain: number, version, hash, asked }
    }
}
