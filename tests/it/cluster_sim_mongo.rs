//! A simulated MongoDB: what a command does to the record, at the moment at which it lands.

use crate::cluster_sim_domain::Domain;
use fanfare::cluster::{
    BeatAnswer, Command, Event, Fate, JournalDraft, LeaseDoc, Member, Newest, Record, Stream,
};
use std::collections::BTreeMap;

/// Durable, with unique names, each document by itself.
pub(crate) struct SimMongo<D: Domain> {
    pub(crate) journal: BTreeMap<String, Record<D::Draft>>,
    streams: BTreeMap<Stream, BTreeMap<u64, Vec<String>>>,
    members: BTreeMap<u64, Member>,
    lease: LeaseDoc,
    /// Everybody who asks gets the lease.
    lease_for_all: bool,
}

impl<D: Domain> SimMongo<D> {
    pub(crate) fn new(lease_for_all: bool) -> Self {
        Self {
            journal: BTreeMap::new(),
            streams: BTreeMap::new(),
            members: BTreeMap::new(),
            lease: LeaseDoc::default(),
            lease_for_all,
        }
    }

    /// Inserts one document, unless its name is taken.
    pub(crate) fn insert(&mut self, record: &Record<D::Draft>) -> Fate<D::Draft> {
        if let Some(found) = self.journal.get(record.draft.name()) {
            return Fate::Exists(Box::new(found.clone()));
        }
        let batches = self.streams.entry(record.stream).or_default();
        batches.entry(record.seq).or_default().push(record.draft.name().to_owned());
        self.journal.insert(record.draft.name().to_owned(), record.clone());
        Fate::Landed
    }

    /// Does what `command` of `process` asks; the answer.
    pub(crate) fn execute(&mut self, process: u64, command: &Command<D::Draft>) -> Event<D::Draft> {
        match command {
            Command::Insert { op, records, .. } => {
                let fates = records.iter().map(|record| self.insert(record)).collect();
                Event::Inserted { op: *op, fates }
            }
            Command::SendBeat { op, beat } => {
                let member = self.members.entry(beat.process);
                let member = member.or_insert_with(|| Member { beat: beat.clone(), finals: None });
                if member.finals.is_some() {
                    return Event::BeatAnswered { op: *op, answer: BeatAnswer::Finished };
                }
                if member.beat.number < beat.number {
                    member.beat = beat.clone();
                }
                Event::BeatAnswered { op: *op, answer: BeatAnswer::Taken }
            }
            Command::Look { op } => {
                let members = self.members.values().cloned().collect();
                Event::Looked { op: *op, members, lease: self.lease }
            }
            Command::ReadNewest { op, streams } => {
                let newest = streams.iter().filter_map(|&stream| self.newest(stream)).collect();
                Event::NewestRead { op: *op, newest }
            }
            Command::ReadJournal { op, stream, after, through, limit } => {
                let (through, records) = self.read(*stream, *after, *through, *limit);
                Event::JournalRead { op: *op, through, records }
            }
            Command::Finish { op, process, number, finals } => {
                let member = self.members.get_mut(process).expect("nobody finishes a stranger");
                if member.beat.number == *number && member.finals.is_none() {
                    member.finals = Some(finals.clone());
                }
                Event::Done { op: *op }
            }
            Command::Settle { op, process } => {
                let member = self.members.get_mut(process).expect("nobody settles a stranger");
                assert!(member.finals.is_some(), "only the dead are settled by others");
                member.beat.behind = false;
                Event::Done { op: *op }
            }
            Command::TakeLease { op, term } => {
                let is_free = self.lease.term == *term || self.lease_for_all;
                if is_free {
                    self.lease = LeaseDoc { term: self.lease.term + 1, holder: process };
                }
                Event::LeaseAnswered { op: *op, term: is_free.then_some(self.lease.term) }
            }
            other => panic!("not for the record: {other:?}"),
        }
    }

    fn newest(&self, stream: Stream) -> Option<(Stream, Newest)> {
        let (&seq, names) = self.streams.get(&stream)?.last_key_value()?;
        let first = self.journal[names.last()?].first;
        Some((stream, Newest { seq, first }))
    }

    fn read(
        &self,
        stream: Stream,
        after: u64,
        through: u64,
        limit: usize,
    ) -> (u64, Vec<Record<D::Draft>>) {
        let mut records = Vec::new();
        for (&seq, names) in self.streams.get(&stream).into_iter().flatten() {
            if seq <= after || seq > through {
                continue;
            }
            if records.len() >= limit {
                return (seq - 1, records);
            }
            records.extend(names.iter().map(|name| self.journal[name].clone()));
        }
        (through, records)
    }
}
