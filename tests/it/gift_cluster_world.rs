//! A simulated cluster: processes, clients, a network and faults, all from one seed.

use crate::gift_cluster_mongo::SimMongo;
use crate::gift_cluster_redis::{Flaw, SimRedis};
use crate::gift_crash::Dice;
use fanfare::gift::cluster::{
    Command, Draft, Event, Mode, Node, Now, Outcome, Record, RedisRequest, Rules, Stamp, Ticket,
    Tuning,
};
use fanfare::gift::period::{Calendar, Keep};
use fanfare::gift::{Entry, Gift};
use fanfare::store::RequestKey;
use jiff::tz::TimeZone;
use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::time::Duration;

pub(crate) const PROCESSES: usize = 3;
pub(crate) const ANCHORS: i64 = 5;
/// Faults happen until then, and clients ask; milliseconds.
const CHAOS_MS: u64 = 20_000;
/// By then everything has settled.
const END_MS: u64 = 48_000;
const TICK_MS: u64 = 200;
/// A command has failed by then, at the waiting side.
const DEADLINE_MS: u64 = 400;
/// Seconds on the wall per millisecond: a run covers several hours of boards.
const WALL_MS: u64 = 1_000;
const START_S: i64 = 1_793_536_200;

/// The times of a simulated second are those of the defaults, shortened.
fn tuning(flaw: Flaw, slot: usize, slots: u16) -> Tuning {
    let second = Duration::from_secs;
    let tuning = Tuning {
        slots,
        script_gifts_max: 3,
        pipeline_scripts_max: 2,
        round_gifts_max: 7,
        queue_gifts_max: 40,
        page_records_max: 5,
        load_rows_max: 6,
        pass_every: second(1),
        patience: Duration::from_millis(600),
        look_age_max: Duration::from_millis(2_500),
        lapse: second(3),
        landing_max: second(4),
        silence_max: second(8),
        silence_gap_max: second(2),
        lease: second(3),
        total_max: i64::MAX / 2,
    };
    tuning.check();
    match flaw {
        Flaw::GoneTooEarly => Tuning { silence_max: Duration::from_millis(900), ..tuning },
        Flaw::TrustsOldLooks if slot > 0 => Tuning { look_age_max: second(9), ..tuning },
        _ => tuning,
    }
}

pub(crate) fn rules() -> Rules {
    let keep = Keep { hour_s: 2 * 3_600, ..Keep::default() };
    Rules { calendar: Calendar::new(TimeZone::UTC), keep }
}

enum What {
    Tick {
        slot: usize,
        life: u64,
    },
    Deliver {
        slot: usize,
        life: u64,
        event: Event,
    },
    Mongo {
        slot: usize,
        life: u64,
        process: u64,
        command: Command,
        answers: bool,
    },
    Land(Box<Record>),
    Redis {
        slot: usize,
        life: u64,
        conn: u64,
        op: u64,
        request: RedisRequest,
        cut: Option<usize>,
    },
    Ghost(RedisRequest),
    Read {
        conn: u64,
        stamp: Stamp,
        acked: usize,
    },
    Connect {
        slot: usize,
        life: u64,
    },
    Client,
    /// A client asks a process for the board.
    Ask(usize),
    Fault,
    SingleFault,
    Start(usize),
    RedisUp,
}

#[derive(Default)]
struct Process {
    life: u64,
    name: u64,
    node: Option<Node>,
    /// Its clock begins somewhere.
    begun: Duration,
    /// Its wall is off by that much.
    skew_s: i64,
    paused_until: u64,
    /// It alone does not reach MongoDB.
    mongo_cut_until: u64,
}

/// What a client asked, and what it may ask again.
#[derive(Clone)]
struct Ask {
    draft: Draft,
    key: Option<RequestKey>,
}

pub(crate) struct World {
    pub(crate) dice: Dice,
    pub(crate) now_ms: u64,
    heap: BinaryHeap<Reverse<(u64, u64, usize)>>,
    whats: Vec<Option<What>>,
    processes: Vec<Process>,
    pub(crate) mongo: SimMongo,
    mongo_down_until: u64,
    mongo_stalled_until: u64,
    pub(crate) redis: SimRedis,
    redis_stalled_until: u64,
    /// The incarnation of each connection.
    conns: Vec<u64>,
    asks: Vec<Ask>,
    /// Tickets under way.
    open: HashMap<Ticket, Ask>,
    pub(crate) acked: Vec<Entry>,
    pub(crate) first_answers: HashMap<String, Entry>,
    unique: u64,
    flaw: Flaw,
    slots: u16,
    pub(crate) faults: bool,
    pub(crate) counts: Counts,
}

/// That the simulation visits what it is for.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Counts {
    pub(crate) acked: u64,
    pub(crate) degraded: u64,
    pub(crate) replayed: u64,
    pub(crate) conflicts: u64,
    pub(crate) fresh_reads: u64,
    pub(crate) stale_reads: u64,
    pub(crate) retired: u64,
    pub(crate) switches: u64,
    pub(crate) finished: u64,
}

impl World {
    pub(crate) fn new(seed: u64, flaw: Flaw) -> Self {
        let mut dice = Dice::new(seed);
        let slots = 1 + u16::try_from(dice.below(2)).expect("small");
        let mut world = Self {
            dice,
            now_ms: 0,
            heap: BinaryHeap::new(),
            whats: Vec::new(),
            processes: Vec::new(),
            mongo: SimMongo::new(flaw == Flaw::LeaseForAll),
            mongo_down_until: 0,
            mongo_stalled_until: 0,
            redis: SimRedis::new(flaw, tuning(flaw, 0, slots).total_max),
            redis_stalled_until: 0,
            conns: Vec::new(),
            asks: Vec::new(),
            open: HashMap::new(),
            acked: Vec::new(),
            first_answers: HashMap::new(),
            unique: 0,
            flaw,
            slots,
            faults: true,
            counts: Counts::default(),
        };
        for slot in 0..PROCESSES {
            world.processes.push(Process::default());
            let delay = world.dice.below(1_500);
            world.at(delay, What::Start(slot));
        }
        world.at(500, What::Client);
        world.at(2_000, What::Fault);
        world
    }

    /// Runs to the end; `Err` says what went wrong.
    pub(crate) fn run(&mut self) -> Result<(), String> {
        while let Some(Reverse((at, _, index))) = self.heap.pop() {
            if at > END_MS {
                break;
            }
            self.now_ms = at;
            if self.faults && at > CHAOS_MS {
                self.calm();
            }
            let what = self.whats[index].take().expect("each happens once");
            self.happen(what)?;
        }
        Ok(())
    }

    fn at(&mut self, delay: u64, what: What) {
        let index = self.whats.len();
        self.whats.push(Some(what));
        self.heap.push(Reverse((self.now_ms + delay, index as u64, index)));
    }

    /// No more faults; who is down comes back.
    fn calm(&mut self) {
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

    pub(crate) fn wall_s(&self) -> i64 {
        START_S + i64::try_from(self.now_ms * WALL_MS / 1_000).expect("small")
    }

    fn happen(&mut self, what: What) -> Result<(), String> {
        match what {
            What::Tick { slot, life } => {
                if self.processes[slot].life == life && self.processes[slot].node.is_some() {
                    self.at(TICK_MS, What::Tick { slot, life });
                    self.deliver(slot, life, Event::Tick)?;
                }
            }
            What::Deliver { slot, life, event } => self.deliver(slot, life, event)?,
            What::Mongo { slot, life, process, command, answers } => {
                self.execute(slot, life, process, command, answers);
            }
            What::Land(record) => {
                self.mongo.insert(&record);
            }
            What::Redis { .. } => self.run_redis(what),
            What::Ghost(request) => {
                if self.redis.is_up {
                    self.redis.run(&request, self.wall_s());
                }
            }
            What::Read { conn, stamp, acked } => self.read(conn, stamp, acked)?,
            What::Connect { slot, life } => self.connect(slot, life),
            What::Client => self.client()?,
            What::Ask(slot) => self.ask_board(slot),
            What::Fault => self.fault(),
            What::SingleFault => self.single_fault(),
            What::Start(slot) => self.start(slot),
            What::RedisUp => self.redis.is_up = true,
        }
        Ok(())
    }

    fn start(&mut self, slot: usize) {
        if self.processes[slot].node.is_some() {
            return;
        }
        self.unique += 1;
        let life = self.unique;
        let name = 1_000 + life;
        let writers = [2_000 + 2 * life, 2_001 + 2 * life];
        let tuning = tuning(self.flaw, slot, self.slots);
        let random = self.dice.below(1 << 40);
        let node = Some(Node::new(name, &writers, random, tuning, rules()));
        let begun = Duration::from_secs(self.dice.below(1_000));
        let skew_s = self.dice.pick(-900..=900);
        self.processes[slot] = Process { life, name, node, begun, skew_s, ..Process::default() };
        self.at(0, What::Tick { slot, life });
        self.at(1, What::Connect { slot, life });
    }

    fn connect(&mut self, slot: usize, life: u64) {
        if self.processes[slot].life != life || self.processes[slot].node.is_none() {
            return;
        }
        if !self.redis.is_up {
            return self.at(100, What::Connect { slot, life });
        }
        let conn = self.conns.len() as u64;
        self.conns.push(self.redis.incarnation);
        self.at(1, What::Deliver { slot, life, event: Event::Connected { conn } });
    }

    /// The process notices after a while, and connects again.
    fn disconnect(&mut self, slot: usize, life: u64, conn: u64) {
        let delay = 1 + self.dice.below(300);
        self.at(delay, What::Deliver { slot, life, event: Event::Disconnected { conn } });
        let back = delay + 1 + self.dice.below(300);
        self.at(back, What::Connect { slot, life });
    }

    fn deliver(&mut self, slot: usize, life: u64, event: Event) -> Result<(), String> {
        if self.processes[slot].life != life {
            return Ok(());
        }
        let paused_until = self.processes[slot].paused_until;
        if self.now_ms < paused_until {
            if event != Event::Tick {
                let delay = paused_until - self.now_ms;
                self.at(delay, What::Deliver { slot, life, event });
            }
            return Ok(());
        }
        let wall_s = self.wall_s() + self.processes[slot].skew_s;
        let process = &mut self.processes[slot];
        let mono = process.begun + Duration::from_millis(self.now_ms);
        let Some(node) = &mut process.node else { return Ok(()) };
        let name = process.name;
        let mut out = Vec::new();
        node.handle(Now { mono, wall_s }, event, &mut out);
        for command in out {
            self.obey(slot, life, name, command)?;
        }
        Ok(())
    }

    fn obey(&mut self, slot: usize, life: u64, name: u64, command: Command) -> Result<(), String> {
        match command {
            Command::Answer { ticket, outcome } => self.answered(ticket, outcome)?,
            Command::Retire => {
                self.counts.retired += 1;
                self.processes[slot].node = None;
                self.at(100, What::Start(slot));
            }
            Command::Redis { op, conn, request } => {
                let cut =
                    self.chance(3).then(|| usize::try_from(self.dice.below(3)).expect("small"));
                if self.chance(4) && request != RedisRequest::Fences {
                    let late = self.dice.below(15_000);
                    self.at(late, What::Ghost(request.clone()));
                }
                let delay = 1 + self.delay();
                self.at(delay, What::Redis { slot, life, conn, op, request, cut });
            }
            command => self.send_mongo(slot, life, name, command),
        }
        Ok(())
    }

    fn chance(&mut self, percent: u64) -> bool {
        self.faults && self.dice.below(100) < percent
    }

    fn delay(&mut self) -> u64 {
        if self.chance(10) { self.dice.below(150) } else { self.dice.below(6) }
    }

    fn send_mongo(&mut self, slot: usize, life: u64, process: u64, command: Command) {
        let op = match &command {
            Command::Insert { op, .. }
            | Command::SendBeat { op, .. }
            | Command::Look { op }
            | Command::ReadNewest { op, .. }
            | Command::ReadJournal { op, .. }
            | Command::Finish { op, .. }
            | Command::Settle { op, .. }
            | Command::TakeLease { op, .. } => *op,
            other => panic!("not for the record: {other:?}"),
        };
        let failed = What::Deliver { slot, life, event: Event::Failed { op } };
        if self.now_ms < self.mongo_down_until.max(self.processes[slot].mongo_cut_until) {
            return self.at(20, failed);
        }
        // What stands still takes what was sent as soon as it goes on, long after the deadline.
        let stall = self.mongo_stalled_until.saturating_sub(self.now_ms);
        let delay = 1 + self.delay() + stall;
        let lost = self.chance(6);
        let answers = !lost && delay < DEADLINE_MS;
        if !answers {
            self.at(DEADLINE_MS, failed);
        }
        if let (true, Command::Insert { records, .. }) = (lost, &command) {
            // Each document by itself, or not at all: now, or as late as it can.
            for record in records {
                if self.dice.below(3) > 0 {
                    let late = if self.dice.below(2) == 0 { 20 } else { 3_900 };
                    let landing = stall + self.dice.below(late);
                    self.at(landing, What::Land(Box::new(record.clone())));
                }
            }
        } else if !lost || self.dice.below(2) == 0 {
            let late = if lost { delay + self.dice.below(2_000) } else { delay };
            self.at(late, What::Mongo { slot, life, process, command, answers });
        }
    }

    fn execute(&mut self, slot: usize, life: u64, process: u64, command: Command, answers: bool) {
        let finishes = matches!(command, Command::Finish { .. });
        let event = self.mongo.execute(process, &command);
        self.counts.finished += u64::from(finishes);
        if answers {
            let delay = 1 + self.dice.below(4);
            self.at(delay, What::Deliver { slot, life, event });
        }
    }

    fn run_redis(&mut self, what: What) {
        let What::Redis { slot, life, conn, op, request, cut } = what else { return };
        if self.now_ms < self.redis_stalled_until {
            let delay = self.redis_stalled_until - self.now_ms;
            let late = What::Redis { slot, life, conn, op, request, cut: Some(9) };
            return self.at(delay, late);
        }
        let open = self.conns[usize::try_from(conn).expect("small")] == self.redis.incarnation;
        if !self.redis.is_up || !open {
            return self.disconnect(slot, life, conn);
        }
        let wall_s = self.wall_s();
        let Some(cut) = cut else {
            let switches = matches!(request, RedisRequest::Switch(_));
            let before = self.redis.view.current;
            let answer = self.redis.run(&request, wall_s);
            self.counts.switches += u64::from(switches && self.redis.view.current != before);
            let delay = 1 + self.delay();
            let event = Event::RedisAnswered { op, answer };
            return self.at(delay, What::Deliver { slot, life, event });
        };
        // Cut in the middle of a pipeline, or of its answer.
        let run = match request {
            RedisRequest::Apply(mut scripts) => {
                scripts.truncate(cut);
                RedisRequest::Apply(scripts)
            }
            request if cut > 0 => request,
            _ => RedisRequest::Fences,
        };
        self.redis.run(&run, wall_s);
        self.disconnect(slot, life, conn);
    }

    fn fault(&mut self) {
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
    fn cut_redis(&mut self, slot: usize, back: u64) {
        if let Some((conn, _)) = self.view_of(slot) {
            let life = self.processes[slot].life;
            self.at(0, What::Deliver { slot, life, event: Event::Disconnected { conn } });
            self.at(back, What::Connect { slot, life });
        }
    }

    /// In a cluster that is well, where answers are fresh and acknowledgements quick, so that
    /// whoever is late to notice is seen: a rebuild under load, or two processes of which one
    /// loses sight of Redis and the other of MongoDB.
    fn single_fault(&mut self) {
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

    fn view_of(&self, slot: usize) -> Option<(u64, u64)> {
        self.processes[slot].node.as_ref()?.view()
    }

    fn fall_back(&mut self, writes: usize) {
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

    fn client(&mut self) -> Result<(), String> {
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

    fn any_slot(&mut self) -> usize {
        usize::try_from(self.dice.below(PROCESSES as u64)).expect("small")
    }

    /// A client asks a process for the board.
    fn ask_board(&mut self, slot: usize) {
        let process = &self.processes[slot];
        let mono = process.begun + Duration::from_millis(self.now_ms);
        let Some(node) = process.node.as_ref().filter(|_| self.now_ms >= process.paused_until)
        else {
            return;
        };
        if let Some((conn, _)) = node.view() {
            let read = What::Read { conn, stamp: node.stamp(mono), acked: self.acked.len() };
            let delay = self.delay();
            self.at(delay, read);
        }
    }

    fn next_ask(&mut self) -> Ask {
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
                    return self.revoke(id, time_us, &target);
                }
            }
            (0..=6, _) => key = RequestKey::new(&format!("k{id}")),
            _ => {}
        }
        let Gift { audience_id, anchor_id, worth } = gift;
        let entry = Entry { id, audience_id, anchor_id, worth, time_us, revokes: None };
        Ask { draft: Draft::gift(entry, key.as_ref(), (7, self.unique)), key }
    }

    fn revoke(&self, id: i64, time_us: i64, target: &Entry) -> Ask {
        let &Entry { audience_id, anchor_id, worth, .. } = target;
        let revokes = Some(target.id);
        let entry = Entry { id, audience_id, anchor_id, worth: -worth, time_us, revokes };
        Ask { draft: Draft::revoke(entry, target.time_us, "simulated".into()), key: None }
    }

    fn answered(&mut self, ticket: Ticket, outcome: Outcome) -> Result<(), String> {
        let ask = self.open.remove(&ticket).ok_or("a request is answered twice")?;
        let name = &ask.draft.name;
        match outcome {
            Outcome::Written { entry, replayed, degraded } => {
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
                if ask.draft.is_answered_by(record) {
                    return Err(format!("{name}: refused, although it is the same"));
                }
            }
            Outcome::Overflow => return Err("nothing is full".into()),
            Outcome::Unavailable => {}
        }
        Ok(())
    }

    fn read(&mut self, conn: u64, stamp: Stamp, acked: usize) -> Result<(), String> {
        let open = self.conns[usize::try_from(conn).expect("small")] == self.redis.incarnation;
        if !self.redis.is_up || !open || self.now_ms < self.redis_stalled_until {
            return Ok(());
        }
        if !stamp.allows(conn, self.redis.view.current) {
            self.counts.stale_reads += 1;
            return Ok(());
        }
        self.counts.fresh_reads += 1;
        crate::gift_cluster_sim::check_read(self, acked)
    }

    /// How the processes stand when all is over.
    pub(crate) fn unsettled(&self) -> Option<String> {
        for process in &self.processes {
            let Some(node) = &process.node else { return Some("a process is down".into()) };
            let mono = process.begun + Duration::from_millis(self.now_ms);
            let (conn, _) = node.view().unwrap_or_default();
            if node.mode() != Mode::Together {
                return Some(format!("process {} is {:?}", process.name, node.mode()));
            }
            if !node.stamp(mono).allows(conn, self.redis.view.current) {
                return Some(format!("process {} has no fresh view", process.name));
            }
        }
        None
    }
}
