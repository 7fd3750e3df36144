//! The clients of a simulated cluster: what they ask, and what they may expect.

use crate::cluster_sim_domain::Domain;
use crate::cluster_sim_world::{CHAOS_MS, PROCESSES, What, World};
use fanfare::cluster::{Event, JournalDraft, Outcome, Stamp, Stream, Ticket};
use std::collections::BTreeMap;
use std::time::Duration;

impl<D: Domain> World<D> {
    pub(crate) fn client(&mut self) -> Result<(), String> {
        let slot = self.any_slot();
        self.at(0, What::Ask(slot));
        for _ in 0..=self.dice.below(3) {
            let draft = D::next_draft(self);
            self.unique += 1;
            let ticket = self.unique;
            self.open.insert(ticket, draft.clone());
            self.asks.push(draft.clone());
            let life = self.processes[slot].life;
            self.deliver(slot, life, Event::Asked { ticket, draft })?;
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

    pub(crate) fn answered(
        &mut self,
        ticket: Ticket,
        outcome: Outcome<D::Draft>,
    ) -> Result<(), String> {
        let ask = self.open.remove(&ticket).ok_or("a request is answered twice")?;
        let name = ask.name();
        match outcome {
            Outcome::Written { draft, replayed, degraded } => {
                let record =
                    self.mongo.journal.get(name).ok_or("acknowledged without a journal")?;
                if record.draft != draft {
                    return Err(format!("{name}: answered {draft:?}, the journal has {record:?}"));
                }
                if !replayed && !draft.is_same(&ask) {
                    return Err(format!("{name}: somebody else's document is called new"));
                }
                let first = self.first_answers.entry(name.to_owned()).or_insert(draft.clone());
                if *first != draft {
                    return Err(format!("{name}: first {first:?}, then {draft:?}"));
                }
                self.counts.acked += 1;
                self.counts.degraded += u64::from(degraded);
                self.counts.replayed += u64::from(replayed);
                let owed = self.owed.entry(record.stream).or_insert(0);
                *owed = record.seq.max(*owed);
                self.acked.push(draft);
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
                if ask.is_answered_by(&record.draft) {
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
        crate::cluster_sim_runs::check_read(self, owed)
    }
}
