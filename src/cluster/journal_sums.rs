//! The journal summed up to exactly the batches that a view holds: what an audit compares a view with.
//!
//! A part of a view is read together with the fences of the same moment; the sums are brought to just
//! these, and compared. Sums and their position are kept for the next audit, which then reads only
//! what came since.

use super::document::JournalDocument;
use super::lanes::Lanes;
use super::link::Link;
use super::mongo_record::MongoRecord;
use super::record::{Record, Stream};
use super::reply::{Fences, Seen, Unread};
use super::script::Generation;
use crate::store::mongo::Mongo;
use crate::store::redis::{Answer, Command};
use crate::store::{Check, Clock, StoreError};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// What a page of the journal may take.
const PAGE_PATIENCE: Duration = Duration::from_secs(60);

/// A view is compared again from the beginning when Redis went back behind what was compared.
const TRIES_MAX: usize = 3;

/// Why a comparison cannot go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stopped {
    /// Redis forgot something, or was rebuilt: compare again from the beginning.
    Moved,
    /// One of both does not answer.
    Away,
}

/// What is compared. Owned by the audit's thread, which may block.
pub struct JournalSums<T: JournalDocument> {
    lanes: Lanes,
    rules: T::Rules,
    link: Arc<Link>,
    clock: Arc<dyn Clock>,
    record: Arc<MongoRecord<T>>,
    /// Documents read at once; more than any batch has.
    page_documents: usize,
    sums: T::Sums,
    /// Up to where they reach.
    position: BTreeMap<Stream, u64>,
}

impl<T: JournalDocument> JournalSums<T> {
    /// Of a journal of which nothing is read yet.
    pub fn new(
        lanes: Lanes,
        (link, clock): (Arc<Link>, Arc<dyn Clock>),
        (journal, page_documents): (&str, usize),
        rules: T::Rules,
    ) -> Self {
        let (record, sums) = (Arc::new(MongoRecord::new(journal)), T::Sums::default());
        let position = BTreeMap::new();
        Self { lanes, rules, link, clock, record, page_documents, sums, position }
    }

    /// The sums, as of the last advance.
    pub fn sums(&self) -> &T::Sums {
        &self.sums
    }

    /// Has `by` forget parts of them that nobody compares any more; it is told the second on the wall.
    pub fn forget(&mut self, by: impl FnOnce(&mut T::Sums, &T::Rules, i64)) {
        let now_s = self.now_s();
        by(&mut self.sums, &self.rules, now_s);
    }

    fn now_s(&self) -> i64 {
        self.clock.now_us().div_euclid(1_000_000)
    }

    /// Has `compare` do its work, once more from the beginning where that is of use.
    pub fn settle<A>(
        auditor: &mut A,
        own: impl Fn(&mut A) -> &mut Self,
        compare: impl Fn(&mut A) -> Result<Vec<Check>, Stopped>,
    ) -> Result<Vec<Check>, StoreError> {
        for _ in 0..TRIES_MAX {
            match compare(auditor) {
                Ok(checks) => return Ok(checks),
                Err(Stopped::Moved) => {
                    let own = own(auditor);
                    (own.sums, own.position) = (T::Sums::default(), BTreeMap::new());
                }
                Err(Stopped::Away) => return Err(StoreError::Unavailable),
            }
        }
        Err(StoreError::Unavailable)
    }

    /// Brings the sums to what the current generation holds; `fences` asks for its fences.
    pub fn begin(
        &mut self,
        fences: Command,
        read: impl Fn(Answer) -> Result<Fences, Unread>,
    ) -> Result<Generation, Stopped> {
        let generation = self.link.pass().ok_or(Stopped::Away)?.generation;
        let seen = read(self.lanes.ask_redis(fences)).map_err(|_| Stopped::Away)?;
        if seen.generation != generation {
            return Err(Stopped::Moved);
        }
        self.advance(&seen.fences)?;
        Ok(generation)
    }

    /// What a generation says to a question of that audit.
    pub fn ask<S>(
        &self,
        question: Command,
        read: impl FnOnce(Answer) -> Result<Seen<S>, Unread>,
    ) -> Result<S, Stopped> {
        match read(self.lanes.ask_redis(question)) {
            Ok(Seen::Here(here)) => Ok(here),
            Ok(Seen::OtherGeneration(_)) => Err(Stopped::Moved),
            Err(_) => Err(Stopped::Away),
        }
    }

    /// Brings the sums to exactly these batches.
    pub fn advance(&mut self, fences: &BTreeMap<Stream, u64>) -> Result<(), Stopped> {
        let now_s = self.now_s();
        let gone_back = |(stream, at): (&Stream, &u64)| fences.get(stream).is_none_or(|f| f < at);
        if self.position.iter().any(gone_back) {
            return Err(Stopped::Moved);
        }
        for (&stream, &through) in fences {
            let mut after = self.position.get(&stream).copied().unwrap_or(0);
            while after < through {
                let (read, records) = self.page(stream, after, through)?;
                for record in &records {
                    record.draft.add_to(&mut self.sums, &self.rules, now_s);
                }
                after = read;
            }
            self.position.insert(stream, through);
        }
        Ok(())
    }

    fn page(
        &self,
        stream: Stream,
        after: u64,
        through: u64,
    ) -> Result<(u64, Vec<Record<T>>), Stopped> {
        let (record, limit) = (Arc::clone(&self.record), self.page_documents);
        let read = move |mongo: &Mongo| record.read(mongo, stream, (after, through), limit);
        self.lanes.ask_mongo(PAGE_PATIENCE, read).and_then(Result::ok).ok_or(Stopped::Away)
    }
}
