//! What a seed does to a simulated cluster.

use crate::cluster_sim_domain::Domain;
use crate::cluster_sim_world::{PROCESSES, What, World};
use fanfare::cluster::Event;

impl<D: Domain> World<D> {
    /// No more faults; who is down comes back.
    pub(crate) fn calm(&mut self) {
        self.faults = false;
        self.mongo_down_until = 0;
        self.mongo_stalled_until = 0;
        self.redis_stalled_until = 0;
        self.redis.is_up = true;
        for delay in [10_000, 12_000] {
            let delay = delay + self.dice.below(1_000);
            self.at(delay, What::SingleFault);
        }
        for slot in 0..PROCESSES {
            self.processes[slot].paused_until = 0;
            self.processes[slot].mongo_cut_until = 0;
            if self.processes[slot].node.is_none() {
                self.at(0, What::Start(slot));
            }
        }
    }

    pub(crate) fn fault(&mut self) {
        if !self.faults {
            return;
        }
        let slot = self.any_slot();
        let (life, now_ms) = (self.processes[slot].life, self.now_ms);
        match self.dice.below(12) {
            0 | 1 => {
                self.processes[slot].node = None;
                let delay = self.dice.below(6_000);
                self.at(delay, What::Start(slot));
            }
            2 => self.processes[slot].paused_until = now_ms + self.dice.below(14_000),
            3 if self.dice.below(2) == 0 => {
                self.mongo_down_until = now_ms + self.dice.below(4_000);
            }
            3 => self.processes[slot].mongo_cut_until = now_ms + self.dice.below(9_000),
            4 => self.mongo_stalled_until = now_ms + self.dice.below(3_000),
            5 => self.redis_stalled_until = now_ms + self.dice.below(3_000),
            6 => self.redis.flush(),
            7 | 8 => {
                let writes = usize::try_from(self.dice.below(8)).expect("small");
                self.fall_back(writes);
            }
            9 => {
                let writes = usize::try_from(self.dice.below(60)).expect("small");
                self.redis.is_up = false;
                let delay = self.dice.below(5_000);
                self.at(delay, What::RedisUp);
                self.fall_back(writes);
            }
            10 => self.at(0, What::Deliver { slot, life, event: Event::RebuildAsked }),
            _ => {
                let back = self.dice.below(8_000);
                self.cut_redis(slot, back);
            }
        }
        let next = 200 + self.dice.below(2_500);
        self.at(next, What::Fault);
    }

    /// One process alone loses sight of Redis.
    pub(crate) fn cut_redis(&mut self, slot: usize, back: u64) {
        if let Some((conn, _)) = self.view_of(slot) {
            let life = self.processes[slot].life;
            self.at(0, What::Deliver { slot, life, event: Event::Disconnected { conn } });
            self.at(back, What::Connect { slot, life });
        }
    }

    /// In a cluster that is well, where answers are fresh and acknowledgements quick, so that
    /// whoever is late to notice is seen: a rebuild under load, or two processes of which one
    /// loses sight of Redis and the other of MongoDB.
    pub(crate) fn single_fault(&mut self) {
        let slot = self.any_slot();
        let other = (slot + 1) % PROCESSES;
        if self.dice.below(2) == 0 {
            let life = self.processes[slot].life;
            self.at(0, What::Deliver { slot, life, event: Event::RebuildAsked });
        } else {
            self.cut_redis(slot, 7_000);
            self.processes[other].mongo_cut_until = self.now_ms + 7_000;
        }
    }

    pub(crate) fn view_of(&self, slot: usize) -> Option<(u64, u64)> {
        self.processes[slot].node.as_ref()?.view()
    }

    pub(crate) fn fall_back(&mut self, writes: usize) {
        self.redis.fall_back(writes);
        for slot in 0..PROCESSES {
            let life = self.processes[slot].life;
            if let Some((conn, _)) = self.view_of(slot) {
                self.disconnect(slot, life, conn);
            } else {
                self.at(300, What::Connect { slot, life });
            }
        }
    }
}
