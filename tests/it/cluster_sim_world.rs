//! A simulated cluster: processes, clients, a network and faults, all from one seed.

use crate::cluster_sim_domain::Domain;
use crate::cluster_sim_mongo::SimMongo;
use crate::cluster_sim_redis::{Flaw, SimRedis};
use crate::crash_rig::Dice;
use fanfare::cluster::{
    Command, Event, Mode, Node, Now, Record, RedisRequest, Stamp, Stream, Ticket, Tuning,
};
use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, HashMap};
use std::time::Duration;

pub(crate) const PROCESSES: usize = 3;
/// Faults happen until then, and clients ask; milliseconds.
pub(crate) const CHAOS_MS: u64 = 20_000;
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
        script_documents_max: 3,
        pipeline_scripts_max: 2,
        round_documents_max: 7,
        queue_asks_max: 40,
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

pub(crate) enum What<D: Domain> {
    Tick {
        slot: usize,
        life: u64,
    },
    Deliver {
        slot: usize,
        life: u64,
        event: Event<D::Draft>,
    },
    Mongo {
        slot: usize,
        life: u64,
        process: u64,
        command: Command<D::Draft>,
        answers: bool,
    },
    Land(Box<Record<D::Draft>>),
    Redis {
        slot: usize,
        life: u64,
        conn: u64,
        op: u64,
        request: RedisRequest<D::Draft>,
        cut: Option<usize>,
    },
    Ghost(RedisRequest<D::Draft>),
    Read {
        conn: u64,
        stamp: Stamp,
        owed: BTreeMap<Stream, u64>,
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

pub(crate) struct Process<D: Domain> {
    pub(crate) life: u64,
    pub(crate) name: u64,
    pub(crate) node: Option<Node<D::Draft>>,
    /// Its clock begins somewhere.
    pub(crate) begun: Duration,
    /// Its wall is off by that much.
    pub(crate) skew_s: i64,
    pub(crate) paused_until: u64,
    /// It alone does not reach MongoDB.
    pub(crate) mongo_cut_until: u64,
}

impl<D: Domain> Process<D> {
    /// Nothing runs yet.
    fn down() -> Self {
        Self {
            life: 0,
            name: 0,
            node: None,
            begun: Duration::ZERO,
            skew_s: 0,
            paused_until: 0,
            mongo_cut_until: 0,
        }
    }
}

pub(crate) struct World<D: Domain> {
    pub(crate) dice: Dice,
    pub(crate) now_ms: u64,
    pub(crate) heap: BinaryHeap<Reverse<(u64, u64, usize)>>,
    pub(crate) whats: Vec<Option<What<D>>>,
    pub(crate) processes: Vec<Process<D>>,
    pub(crate) mongo: SimMongo<D>,
    pub(crate) mongo_down_until: u64,
    pub(crate) mongo_stalled_until: u64,
    pub(crate) redis: SimRedis<D>,
    pub(crate) redis_stalled_until: u64,
    /// The incarnation of each connection.
    pub(crate) conns: Vec<u64>,
    pub(crate) asks: Vec<D::Draft>,
    /// Tickets under way.
    pub(crate) open: HashMap<Ticket, D::Draft>,
    pub(crate) acked: Vec<D::Draft>,
    /// How far each stream is acknowledged.
    pub(crate) owed: BTreeMap<Stream, u64>,
    pub(crate) first_answers: HashMap<String, D::Draft>,
    pub(crate) unique: u64,
    pub(crate) flaw: Flaw,
    pub(crate) slots: u16,
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

impl<D: Domain> World<D> {
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
            owed: BTreeMap::new(),
            first_answers: HashMap::new(),
            unique: 0,
            flaw,
            slots,
            faults: true,
            counts: Counts::default(),
        };
        for slot in 0..PROCESSES {
            world.processes.push(Process::down());
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

    pub(crate) fn at(&mut self, delay: u64, what: What<D>) {
        let index = self.whats.len();
        self.whats.push(Some(what));
        self.heap.push(Reverse((self.now_ms + delay, index as u64, index)));
    }

    pub(crate) fn wall_s(&self) -> i64 {
        START_S + i64::try_from(self.now_ms * WALL_MS / 1_000).expect("small")
    }

    fn happen(&mut self, what: What<D>) -> Result<(), String> {
        match what {
            What::Tick { slot, life } => {
                if self.processes[slot].life == life && self.processes[slot].node.is_some() {
                    self.at(TICK_MS, What::Tick { slot, life });
                    self.deliver(slot, life, Event::Tick)?;
                }
            }
            What::Deliver { slot, life, event } => self.deliver(slot, life, event)?,
            What::Mongo { slot, life, process, command, answers } => {
                self.execute(slot, life, process, &command, answers);
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
            What::Read { conn, stamp, owed } => self.read(conn, stamp, &owed)?,
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
        let node = Some(Node::new(name, &writers, random, tuning, D::rules()));
        let begun = Duration::from_secs(self.dice.below(1_000));
        let skew_s = self.dice.pick(-900..=900);
        self.processes[slot] = Process { life, name, node, begun, skew_s, ..Process::down() };
        self.at(0, What::Tick { slot, life });
        self.at(1, What::Connect { slot, life });
    }

    pub(crate) fn connect(&mut self, slot: usize, life: u64) {
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
    pub(crate) fn disconnect(&mut self, slot: usize, life: u64, conn: u64) {
        let delay = 1 + self.dice.below(300);
        self.at(delay, What::Deliver { slot, life, event: Event::Disconnected { conn } });
        let back = delay + 1 + self.dice.below(300);
        self.at(back, What::Connect { slot, life });
    }

    pub(crate) fn deliver(
        &mut self,
        slot: usize,
        life: u64,
        event: Event<D::Draft>,
    ) -> Result<(), String> {
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

    fn obey(
        &mut self,
        slot: usize,
        life: u64,
        name: u64,
        command: Command<D::Draft>,
    ) -> Result<(), String> {
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

    pub(crate) fn chance(&mut self, percent: u64) -> bool {
        self.faults && self.dice.below(100) < percent
    }

    pub(crate) fn delay(&mut self) -> u64 {
        if self.chance(10) { self.dice.below(150) } else { self.dice.below(6) }
    }

    fn send_mongo(&mut self, slot: usize, life: u64, process: u64, command: Command<D::Draft>) {
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

    fn execute(
        &mut self,
        slot: usize,
        life: u64,
        process: u64,
        command: &Command<D::Draft>,
        answers: bool,
    ) {
        let finishes = matches!(command, Command::Finish { .. });
        let event = self.mongo.execute(process, command);
        self.counts.finished += u64::from(finishes);
        if answers {
            let delay = 1 + self.dice.below(4);
            self.at(delay, What::Deliver { slot, life, event });
        }
    }

    fn run_redis(&mut self, what: What<D>) {
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
