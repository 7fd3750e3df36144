//! One writer: at most one round of documents whose fate is not known.

use super::message::Ticket;
use super::record::{Draft, Fate, Record, Stream};
use super::tuning::Tuning;
use std::time::Duration;

/// What became of a round.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Resolved {
    /// New in the journal, ascending by stream and batch.
    pub landed: Vec<(Ticket, Record)>,
    /// Answered by an earlier document.
    pub replayed: Vec<(Ticket, Record)>,
    /// The name belongs to another request.
    pub conflicts: Vec<Ticket>,
}

/// Invariant: `next` of each slot is one more than the last batch of it that has documents, or that
/// the round under way has.
#[derive(Clone, Debug)]
pub struct Writer {
    id: u64,
    next: Vec<u64>,
    round: Option<Round>,
}

#[derive(Clone, Debug)]
struct Round {
    asks: Vec<(Ticket, Record)>,
    /// What `next` was before.
    before: Vec<u64>,
    /// When to try again; `None` while a try is under way.
    again_at: Option<Duration>,
}

impl Writer {
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
    pub fn begin(&mut self, asks: Vec<(Ticket, Draft)>, tuning: &Tuning) -> Vec<Record> {
        assert!(self.round.is_none(), "a writer has one unresolved round at most");
        let before = self.next.clone();
        let mut taken = vec![0; self.next.len()];
        let mut asks: Vec<_> = asks
            .into_iter()
            .map(|(ticket, draft)| {
                let slot = slot_of(&draft, tuning.slots);
                let (at, first) = (usize::from(slot), before[usize::from(slot)]);
                let seq = first + taken[at] / tuning.script_gifts_max as u64;
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

    fn records(&self) -> Vec<Record> {
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
    pub fn retry(&mut self, now: Duration) -> Option<Vec<Record>> {
        let round = self.round.as_mut()?;
        round.again_at.take_if(|again_at| *again_at <= now)?;
        Some(self.records())
    }

    /// The fate of each document, in the order in which they were sent. Afterwards the writer is free.
    pub fn resolve(&mut self, fates: Vec<Fate>) -> Resolved {
        let Some(round) = self.round.take() else { return Resolved::default() };
        assert_eq!(fates.len(), round.asks.len(), "every document has a fate");
        let mut resolved = Resolved::default();
        self.next = round.before;
        for ((ticket, record), fate) in round.asks.into_iter().zip(fates) {
            match fate {
                Fate::Exists(found) if !is_same(&found, &record) => {
                    if record.draft.is_answered_by(&found) {
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

/// Our own document, landed by an earlier try. The entry's id tells two requests of one round with
/// one name apart.
fn is_same(found: &Record, sent: &Record) -> bool {
    (found.stream, found.seq, found.draft.entry.id) == (sent.stream, sent.seq, sent.draft.entry.id)
}

fn slot_of(draft: &Draft, slots: u16) -> u16 {
    let slot = draft.entry.anchor_id.cast_unsigned() % u64::from(slots);
    u16::try_from(slot).expect("less than the number of slots")
}
