//! Carries out what a node asks of the record; each call blocks a thread of the lane.

use super::document::{
    JournalDocument, SECOND_NAME, decode, encode, of_stream, second_name_index, stream_index,
    unsigned,
};
use super::members::{self, Members};
use super::message::{Command, Event, Newest};
use super::record::{Fate, Record, Stream};
use crate::store::mongo::{Find, Inserted, Mongo, MongoError};
use mongodb::bson::{Document, doc};
use std::collections::HashMap;
use std::marker::PhantomData;
use std::sync::{Arc, Mutex, PoisonError};

/// One domain's journal, and the collection beside it with members, lease and numbers.
#[derive(Debug)]
pub struct MongoRecord<T> {
    journal: Arc<str>,
    state: Arc<str>,
    members: Mutex<Members>,
    drafts: PhantomData<fn() -> T>,
}

impl<T: JournalDocument> MongoRecord<T> {
    /// The journal in the collection `journal`; the other one is `journal.cluster`.
    pub fn new(journal: &str) -> Self {
        let state = format!("{journal}.cluster").into();
        Self { journal: journal.into(), state, members: Mutex::default(), drafts: PhantomData }
    }

    /// The collection of the journal.
    pub fn journal(&self) -> &Arc<str> {
        &self.journal
    }

    /// The collection beside it.
    pub fn state(&self) -> &Arc<str> {
        &self.state
    }

    /// Makes the indexes that are missing.
    pub fn prepare(&self, mongo: &Mongo) -> Result<(), MongoError> {
        let own = [stream_index(), second_name_index()];
        T::indexes()
            .iter()
            .chain(&own)
            .try_for_each(|index| mongo.create_index(&self.journal, index))
    }

    /// Does what `process` asks. `may_insert` is asked right before an insert is sent.
    pub(super) fn execute(
        &self,
        mongo: &Mongo,
        process: u64,
        command: Command<T>,
        may_insert: impl FnOnce() -> bool,
    ) -> Result<Event<T>, MongoError> {
        let state = &*self.state;
        match command {
            Command::Insert { op, records, .. } if may_insert() => {
                self.insert(mongo, &records).map(|fates| Event::Inserted { op, fates })
            }
            Command::Insert { .. } => Err(MongoError::NotSent),
            Command::SendBeat { op, beat } => {
                let answer = members::beat(mongo, state, &beat)?;
                Ok(Event::BeatAnswered { op, answer })
            }
            Command::Look { op } => {
                let mut known = self.members.lock().unwrap_or_else(PoisonError::into_inner);
                let (members, lease) = known.look(mongo, state)?;
                Ok(Event::Looked { op, members, lease })
            }
            Command::ReadNewest { op, streams } => {
                let mut newest = HashMap::new();
                for stream in streams {
                    newest.extend(self.newest(mongo, stream)?.map(|newest| (stream, newest)));
                }
                Ok(Event::NewestRead { op, newest: newest.into_iter().collect() })
            }
            Command::ReadJournal { op, stream, after, through, limit } => {
                let (through, records) = self.read(mongo, stream, (after, through), limit)?;
                Ok(Event::JournalRead { op, through, records })
            }
            Command::Finish { op, process, number, finals } => {
                members::finish(mongo, state, process, Some(number), &finals)?;
                Ok(Event::Done { op })
            }
            Command::Settle { op, process } => {
                members::settle(mongo, state, process)?;
                Ok(Event::Done { op })
            }
            Command::TakeLease { op, term } => {
                let term = members::take_lease(mongo, state, term, process)?;
                Ok(Event::LeaseAnswered { op, term })
            }
            Command::Redis { .. } | Command::Answer { .. } | Command::Retire => {
                Err(MongoError::Refused("this is not for the record".to_owned()))
            }
        }
    }

    /// The last words of a process that ends in peace: it has no insert under way.
    pub(super) fn leave(
        &self,
        mongo: &Mongo,
        process: u64,
        finals: &[(Stream, u64)],
    ) -> Result<(), MongoError> {
        members::finish(mongo, &self.state, process, None, finals)
    }

    fn insert(&self, mongo: &Mongo, records: &[Record<T>]) -> Result<Vec<Fate<T>>, MongoError> {
        let documents: Vec<Document> = records.iter().map(encode).collect();
        let fates = mongo.insert_many(&self.journal, &documents);
        let mut taken = Vec::new();
        for (record, fate) in records.iter().zip(&fates) {
            match fate {
                Inserted::Done => {}
                Inserted::Duplicate => taken.push(record),
                Inserted::NotSent => return Err(MongoError::NotSent),
                Inserted::Unknown => return Err(MongoError::Unknown),
                Inserted::Refused(why) => return Err(MongoError::Refused(why.clone())),
            }
        }
        if taken.is_empty() {
            return Ok(fates.iter().map(|_| Fate::Landed).collect());
        }
        let holders = self.holders(mongo, &taken)?;
        let fate = |(record, fate): (&Record<T>, Inserted)| match fate {
            Inserted::Duplicate => {
                let by_second = record.draft.second_name().and_then(|name| holders.1.get(name));
                let found = by_second.or_else(|| holders.0.get(record.draft.name()));
                // Not read yet by majority: to be inserted again, until it is.
                found.map(|found| Fate::Exists(Box::new(found.clone()))).ok_or(MongoError::Unknown)
            }
            _ => Ok(Fate::Landed),
        };
        records.iter().zip(fates).map(fate).collect()
    }

    /// The documents that hold names of `taken`: by first and by second names.
    #[expect(clippy::type_complexity, reason = "two maps of one kind, named where they are used")]
    fn holders(
        &self,
        mongo: &Mongo,
        taken: &[&Record<T>],
    ) -> Result<(HashMap<String, Record<T>>, HashMap<String, Record<T>>), MongoError> {
        let names: Vec<&str> = taken.iter().map(|record| record.draft.name()).collect();
        let first = self.find(mongo, doc! { "_id": { "$in": names } })?;
        let first = first.into_iter().map(|record| (record.draft.name().to_owned(), record));
        let seconds: Vec<&str> =
            taken.iter().filter_map(|record| record.draft.second_name()).collect();
        let second = if seconds.is_empty() {
            Vec::new()
        } else {
            self.find(mongo, doc! { SECOND_NAME: { "$in": seconds } })?
        };
        let second = second.into_iter().filter_map(|record| {
            let name = record.draft.second_name()?.to_owned();
            Some((name, record))
        });
        Ok((first.collect(), second.collect()))
    }

    fn find(&self, mongo: &Mongo, filter: Document) -> Result<Vec<Record<T>>, MongoError> {
        let found = mongo.find(&self.journal, &Find { filter, ..Find::default() })?;
        self.decode_all(&found)
    }

    fn decode_all(&self, documents: &[Document]) -> Result<Vec<Record<T>>, MongoError> {
        let strange = |document: &Document| {
            let name = document.get("_id").map(ToString::to_string).unwrap_or_default();
            tracing::error!(journal = &*self.journal, name, "a document is not one of ours");
            MongoError::Refused(format!("{}: {name} is not one of ours", self.journal))
        };
        documents.iter().map(|document| decode(document).ok_or_else(|| strange(document))).collect()
    }

    fn newest(&self, mongo: &Mongo, stream: Stream) -> Result<Option<Newest>, MongoError> {
        let sort = doc! { "writer": -1, "slot": -1, "seq": -1 };
        let fields = doc! { "seq": 1, "first": 1 };
        let find = Find { filter: of_stream(stream), sort, fields, limit: 1 };
        let found = mongo.find(&self.journal, &find)?;
        Ok(found.first().and_then(|found| {
            Some(Newest { seq: unsigned(found, "seq")?, first: unsigned(found, "first")? })
        }))
    }

    /// Whole batches of a stream, about `limit` documents; how far it is complete. Blocks a thread
    /// of the lane.
    pub fn read(
        &self,
        mongo: &Mongo,
        stream: Stream,
        (after, through): (u64, u64),
        limit: usize,
    ) -> Result<(u64, Vec<Record<T>>), MongoError> {
        let mut filter = of_stream(stream);
        let range = doc! { "$gt": after.cast_signed(), "$lte": through.cast_signed() };
        filter.insert("seq", range);
        let sort = doc! { "writer": 1, "slot": 1, "seq": 1 };
        // More than one batch, so that a whole one is among them.
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let find = Find { filter, sort, limit, ..Find::default() };
        let mut records = self.decode_all(&mongo.find(&self.journal, &find)?)?;
        if records.len() < usize::try_from(limit).unwrap_or(usize::MAX) {
            return Ok((through, records));
        }
        let last = records.last().map_or(through, |record| record.seq);
        // The last batch may go on behind the limit.
        records.retain(|record| record.seq < last);
        if records.is_empty() {
            return Err(MongoError::Refused("a batch is larger than a page".to_owned()));
        }
        Ok((last - 1, records))
    }
}
