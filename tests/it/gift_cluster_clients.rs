//! The clients of a simulated cluster: what they ask, and what they may expect.

use crate::gift_cluster_world::{CHAOS_MS, PROCESSES, What, World};
use fanfare::cluster::JournalDraft;
use fanfare::gift::cluster::{Draft, Event, Outcome, Stamp, Stream, Ticket};
use fanfare::gift::{Entry, Gift};
use fanfare::store::RequestKey;
use std::collections::BTreeMap;
use std::time::Duration;

const ANCHORS: i64 = 5;

/// What a client asked, and may ask again.
#[derive(Clone)]
pub(crate) struct Ask {
    draft: Draft,
    key: Option<RequestKey>,
}

impl World {
    pub(crate) fn client(&mut self) -> Result<(), String> {
        let slot = self.any_slot();
        self.at(0, What::Ask(slot));
        for _ in 0..=self.dice.below(3) {
            let ask = self.next_ask();
            self.unique += 1;
            let ticket = self.unique;
            self.open.insert(ticket, ask.clone());
            self.asks.push(ask.clone());
            let life = self.processes[slot].life;
            self.deliver(slot, life, Event::Asked { ticket, draft: ask.draft })?;
        }
        let next = match self.now_ms.saturating_sub(CHAOS_MS) {
            0 | 9_000..20_000 => 20 + self.dice.below(400),
            0..9_000 => 1_500,
            // A last one, so that the last mode is seen to be left.
            _ => 6_000,
        };
        self.at(next, What::Client);
        Ok(())
    }

    pub(crate) fn any_slot(&mut self) -> usize {
        usize::try_from(self.dice.below(PROCESSES as u64)).expect("small")
    }

    /// A client asks a process for the board.
    pub(crate) fn ask_board(&mut self, slot: usize) {
        let process = &self.processes[slot];
        let mono = process.begun + Duration::from_millis(self.now_ms);
        let Some(node) = process.node.as_ref().filter(|_| self.now_ms >= process.paused_until)
        else {
            return;
        };
        if let Some((conn, _)) = node.view() {
            let read = What::Read { conn, stamp: node.stamp(mono), owed: self.owed.clone() };
            let delay = self.delay();
            self.at(delay, read);
        }
    }

    pub(crate) fn next_ask(&mut self) -> Ask {
        self.unique += 1;
        let id = i64::try_from(self.unique).expect("small");
        // Whole tens of seconds, so that there are ties.
        let time_us = self.wall_s() / 10 * 10_000_000;
        let older = self.dice.below(self.asks.len() as u64 + 1);
        let older = self.asks.get(usize::try_from(older).expect("small")).cloned();
        let mut gift = Gift {
            audience_id: self.dice.pick(1..=3),
            anchor_id: self.dice.pick(1..=ANCHORS),
            worth: self.dice.pick(1..=4),
        };
        let mut key = None;
        match (self.dice.below(10), older) {
            (0 | 1, Some(older)) if older.draft.entry.revokes.is_none() => {
                // The same again, or under its key something else.
                let Entry { audience_id, anchor_id, worth, .. } = older.draft.entry;
                if self.dice.below(6) > 0 {
                    gift = Gift { audience_id, anchor_id, worth };
                }
                key = older.key;
            }
            (2, _) if !self.acked.is_empty() => {
                let at = usize::try_from(self.dice.below(self.acked.len() as u64)).expect("small");
                let target = self.acked[at].clone();
                if target.revokes.is_none() {
                    return revoke(id, time_us, &target);
                }
            }
            (0..=6, _) => key = RequestKey::new(&format!("k{id}")),
            _ => {}
        }
        let Gift { audience_id, anchor_id, worth } = gift;
        let entry = Entry { id, audience_id, anchor_id, worth, time_us, revokes: None };
        Ask { draft: Draft::gift(entry, key.as_ref()), key }
    }

    pub(crate) fn answered(&mut self, ticket: Ticket, outcome: Outcome) -> Result<(), String> {
        let ask = self.open.remove(&ticket).ok_or("a request is answered twice")?;
        let name = &ask.draft.name;
        match outcome {
            Outcome::Written { draft, replayed, degraded } => {
                let entry = draft.entry;
                let record =
                    self.mongo.journal.get(name).ok_or("acknowledged without a journal")?;
                if record.draft.entry != entry {
                    return Err(format!("{name}: answered {entry:?}, the journal has {record:?}"));
                }
                if !replayed && entry.id != ask.draft.entry.id {
                    return Err(format!("{name}: somebody else's entry is called new"));
                }
                let first = self.first_answers.entry(name.clone()).or_insert(entry.clone());
                if *first != entry {
                    return Err(format!("{name}: first {first:?}, then {entry:?}"));
                }
                self.counts.acked += 1;
                self.counts.degraded += u64::from(degraded);
                self.counts.replayed += u64::from(replayed);
                let owed = self.owed.entry(record.stream).or_insert(0);
                *owed = record.seq.max(*owed);
                self.acked.push(entry);
                if self.dice.below(3) == 0 {
                    // Read your writes, and those of others, through any process.
                    let slot = self.any_slot();
                    let delay = self.dice.below(200);
                    self.at(delay, What::Ask(slot));
                }
            }
            Outcome::Conflict => {
                self.counts.conflicts += 1;
                let record = self.mongo.journal.get(name).ok_or("a conflict with nothing")?;
                if ask.draft.is_answered_by(&record.draft) {
                    return Err(format!("{name}: refused, although it is the same"));
                }
            }
            Outcome::Overflow => return Err("nothing is full".into()),
            Outcome::Unavailable => {}
        }
        Ok(())
    }

    pub(crate) fn read(
        &mut self,
        conn: u64,
        stamp: Stamp,
        owed: &BTreeMap<Stream, u64>,
    ) -> Result<(), String> {
        let open = self.conns[usize::try_from(conn).expect("small")] == self.redis.incarnation;
        if !self.redis.is_up || !open || self.now_ms < self.redis_stalled_until {
            return Ok(());
        }
        if !stamp.allows(conn, self.redis.view.current) {
            self.counts.stale_reads += 1;
            return Ok(());
        }
        self.counts.fresh_reads += 1;
        crate::gift_cluster_sim::check_read(self, owed)
    }
}

fn revoke(id: i64, time_us: i64, target: &Entry) -> Ask {
    let &Entry { audience_id, anchor_id, worth, .. } = target;
    let revokes = Some(target.id);
    let entry = Entry { id, audience_id, anchor_id, worth: -worth, time_us, revokes };
    Ask { draft: Draft::revoke(entry, target.time_us, "simulated".into()), key: None }
}
