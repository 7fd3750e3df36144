//! One writer: at most one round of documents whose fate is not known.

use super::domain::JournalDraft;
use super::message::Ticket;
use super::record::{Fate, Record, Stream};
use super::tuning::Tuning;
use std::time::Duration;

/// What became of a round.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resolved<T> {
    /// New in the journal, ascending by stream and batch.
    pub landed: Vec<(Ticket, Record<T>)>,
    /// Answered by an earlier document.
    pub replayed: Vec<(Ticket, Record<T>)>,
    /// The name belongs to another request.
    pub conflicts: Vec<Ticket>,
}

/// Invariant: `next` of each slot is one more than the last batch of it that has documents, or that
/// the round under way has.
#[derive(Clone, Debug)]
pub struct Writer<T> {
    id: u64,
    next: Vec<u64>,
    round: Option<Round<T>>,
}

#[derive(Clone, Debug)]
struct Round<T> {
    asks: Vec<(Ticket, Record<T>)>,
    /// What `next` was before.
    before: Vec<u64>,
    /// When to try again; `None` while a try is under way.
    again_at: Option<Duration>,
}

impl<T: JournalDraft> Writer<T> {
    /// The id is random: two processes, or two lives of one, never share it.
    pub fn new(id: u64, slots: u16) -> Self {
        Self { id, next: vec![1; usize::from(slots)], round: None }
    }

    /// Its name.
    pub fn id(&self) -> u64 {
        self.id
    }

    /// No fate is unknown.
    pub fn is_free(&self) -> bool {
        self.round.is_none()
    }

    /// Numbers the drafts, batch by batch; the answer is to be inserted, unordered.
    ///
    /// # Panics
    /// When a round is under way.
    pub fn begin(&mut self, asks: Vec<(Ticket, T)>, tuning: &Tuning) -> Vec<Record<T>> {
        assert!(self.round.is_none(), "a writer has one unresolved round at most");
        let before = self.next.clone();
        let mut taken = vec![0; self.next.len()];
        let mut asks: Vec<_> = asks
            .into_iter()
            .map(|(ticket, draft)| {
                let slot = draft.slot(tuning.slots);
                let (at, first) = (usize::from(slot), before[usize::from(slot)]);
                let seq = first + taken[at] / tuning.script_documents_max as u64;
                taken[at] += 1;
                self.next[at] = seq + 1;
                let stream = Stream { writer: self.id, slot };
                (ticket, Record { stream, seq, first, draft })
            })
            .collect();
        asks.sort_by_key(|(_, record)| (record.stream, record.seq));
        self.round = Some(Round { asks, before, again_at: None });
        self.records()
    }

    fn records(&self) -> Vec<Record<T>> {
        let asks = self.round.iter().flat_map(|round| &round.asks);
        asks.map(|(_, record)| record.clone()).collect()
    }

    /// Nobody knows whether any of it is in the journal: the very same documents go again.
    pub fn failed(&mut self, again_at: Duration) {
        if let Some(round) = &mut self.round {
            round.again_at = Some(again_at);
        }
    }

    /// The round once more, when it is time.
    pub fn retry(&mut self, now: Duration) -> Option<Vec<Record<T>>> {
        let round = self.round.as_mut()?;
        round.again_at.take_if(|again_at| *again_at <= now)?;
        Some(self.records())
    }

    /// The fate of each document, in the order in which they were sent. Afterwards the writer is free.
    pub fn resolve(&mut self, fates: Vec<Fate<T>>) -> Resolved<T> {
        let mut resolved =
            Resolved { landed: Vec::new(), replayed: Vec::new(), conflicts: Vec::new() };
        let Some(round) = self.round.take() else { return resolved };
        assert_eq!(fates.len(), round.asks.len(), "every document has a fate");
        self.next = round.before;
        for ((ticket, record), fate) in round.asks.into_iter().zip(fates) {
            match fate {
                Fate::Exists(found) if !is_same(&found, &record) => {
                    if record.draft.is_answered_by(&found.draft) {
                        resolved.replayed.push((ticket, *found));
                    } else {
                        resolved.conflicts.push(ticket);
                    }
                }
                _ => {
                    // Batches behind the last landed document have no document and never will:
                    // their names are taken by others. Their numbers are used again.
                    self.next[usize::from(record.stream.slot)] = record.seq + 1;
                    resolved.landed.push((ticket, record));
                }
            }
        }
        resolved
    }

    /// How far a slot is resolved, while no round is under way.
    pub fn resolved(&self, slot: u16) -> u64 {
        self.next[usize::from(slot)] - 1
    }

    /// Who waits for the round under way.
    pub fn tickets(&self) -> impl Iterator<Item = Ticket> {
        self.round.iter().flat_map(|round| round.asks.iter().map(|(ticket, _)| *ticket))
    }
}

/// Our own document, landed by an earlier try, and not that of another request of the round with
/// the same name.
fn is_same<T: JournalDraft>(found: &Record<T>, sent: &Record<T>) -> bool {
    (found.stream, found.seq) == (sent.stream, sent.seq) && found.draft.is_same(&sent.draft)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gift::Entry;
    use crate::gift::cluster::Draft;
    use crate::store::RequestKey;

    fn draft(id: i64, key: &str, worth: i64) -> (Ticket, Draft) {
        let entry = Entry { id, audience_id: 1, anchor_id: 2, worth, time_us: id, revokes: None };
        (id.cast_unsigned(), Draft::gift(entry, RequestKey::new(key).as_ref()))
    }

    fn tuning() -> Tuning {
        Tuning { script_documents_max: 2, ..Tuning::default() }
    }

    fn begin(writer: &mut Writer<Draft>, drafts: &[(i64, &str, i64)]) -> Vec<Record<Draft>> {
        let drafts = drafts.iter().map(|&(id, key, worth)| draft(id, key, worth)).collect();
        writer.begin(drafts, &tuning())
    }

    fn seqs(records: &[Record<Draft>]) -> Vec<(u64, u64)> {
        records.iter().map(|record| (record.first, record.seq)).collect()
    }

    #[test]
    fn the_same_documents_go_again_until_their_fate_is_known() {
        let mut writer = Writer::new(9, 1);
        let sent = begin(&mut writer, &[(1, "a", 5), (2, "b", 5), (3, "c", 5)]);
        assert_eq!(seqs(&sent), [(1, 1), (1, 1), (1, 2)]);
        writer.failed(Duration::from_secs(2));
        assert!(!writer.is_free());
        assert_eq!(writer.retry(Duration::from_secs(1)), None);
        assert_eq!(writer.retry(Duration::from_secs(2)), Some(sent.clone()));
        assert_eq!(writer.retry(Duration::from_secs(3)), None, "a try is under way");
        // The first try had landed in part.
        let fates = vec![Fate::Exists(Box::new(sent[0].clone())), Fate::Landed, Fate::Landed];
        let resolved = writer.resolve(fates);
        assert_eq!(resolved.landed.len(), 3);
        assert!(writer.is_free());
        assert_eq!(writer.resolved(0), 2);
        assert_eq!(seqs(&begin(&mut writer, &[(4, "d", 5)])), [(3, 3)]);
    }

    #[test]
    fn a_taken_name_is_a_retry_or_a_conflict() {
        let mut other = Writer::new(8, 1);
        let theirs = begin(&mut other, &[(1, "a", 5)]).remove(0);
        let mut writer = Writer::new(9, 1);
        let sent = begin(&mut writer, &[(2, "a", 5), (3, "a", 6), (4, "b", 5), (5, "b", 5)]);
        let exists = |record: &Record<Draft>| Fate::Exists(Box::new(record.clone()));
        let fates = vec![exists(&theirs), exists(&theirs), Fate::Landed, exists(&sent[2])];
        let resolved = writer.resolve(fates);
        assert_eq!(resolved.replayed, [(2, theirs), (5, sent[2].clone())]);
        assert_eq!(resolved.conflicts, [3]);
        assert_eq!(resolved.landed, [(4, sent[2].clone())]);
        assert_eq!(writer.resolved(0), 2, "the first batch stays without documents");
    }

    #[test]
    fn numbers_without_documents_at_the_end_are_used_again() {
        let mut writer = Writer::new(9, 1);
        let theirs = begin(&mut Writer::new(8, 1), &[(1, "a", 5)]).remove(0);
        begin(&mut writer, &[(2, "a", 5)]);
        writer.resolve(vec![Fate::Exists(Box::new(theirs))]);
        assert_eq!(writer.resolved(0), 0);
        assert_eq!(seqs(&begin(&mut writer, &[(3, "c", 5)])), [(1, 1)]);
    }
}
