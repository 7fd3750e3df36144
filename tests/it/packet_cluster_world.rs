//! Processes, users and an operator around the simulated servers: a seed picks who does what next,
//! who dies, and what Redis forgets.

use crate::packet_cluster_calls::{Net, Wire};
use crate::packet_cluster_servers::{Flaw, Redis};
use fanfare::packet::cluster::{
    Asked, Create, Desk, GrantLine, Hands, Head, New, Pending, Snatching, Trouble, Turned,
};
use fanfare::packet::{Author, Change, Managed, Refusal, Seed, State, Sum, Terms};
use fanfare::store::RequestKey;
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Waker};

const PROCESSES: usize = 3;
/// Two workers and one who looks after what others left.
const TASKS: usize = 3;
/// Draws of one block: few, so that blocks end in the midst of things.
const BLOCK_DRAWS: i64 = 5;
/// Turns that a worker gives one snatch before its user is told to try again.
const TURNS_MAX: usize = 12;

type Task = Pin<Box<dyn Future<Output = ()>>>;

/// What users and the operator were told.
#[derive(Default)]
pub(crate) struct Told {
    pub(crate) got: Vec<(i64, GrantLine, bool)>,
    pub(crate) unlucky: BTreeSet<(i64, i64)>,
    pub(crate) refused: BTreeMap<Refusal, u64>,
    pub(crate) changed: u64,
    pub(crate) impossible: u64,
    pub(crate) complaint: Option<String>,
}

/// A snatch that waits for a worker of a process.
type Waiting = Rc<RefCell<VecDeque<Snatching>>>;

struct Process {
    tasks: Vec<Task>,
    waiting: Waiting,
}

pub(crate) struct World {
    pub(crate) net: Rc<Net>,
    processes: Vec<Process>,
    pub(crate) told: Rc<RefCell<Told>>,
    saved: Redis,
    pub(crate) kills: u64,
    pub(crate) lapses: u64,
}

pub(crate) fn terms() -> Terms {
    Terms {
        total_amount_fen: 900,
        total_count: 70,
        min_fen: 1,
        max_fen: 100,
        win_ppm: 700_000,
        max_per_user: 3,
        starts_at: 0,
        ends_at: 1_000_000,
        paused: false,
        pacing: false,
    }
}

impl World {
    pub(crate) fn new(seed: u64, flaw: Flaw) -> Self {
        let net = Rc::new(Net::new(seed, flaw));
        let mut world = Self {
            net,
            processes: Vec::new(),
            told: Rc::default(),
            saved: Redis::default(),
            kills: 0,
            lapses: 0,
        };
        for _ in 0..PROCESSES {
            let process = world.process();
            world.processes.push(process);
        }
        world
    }

    fn process(&self) -> Process {
        let waiting = Waiting::default();
        let wire = || Wire(Rc::clone(&self.net));
        let told = || Rc::clone(&self.told);
        let tasks: Vec<Task> = vec![
            Box::pin(worker(wire(), told(), Rc::clone(&waiting))),
            Box::pin(worker(wire(), told(), Rc::clone(&waiting))),
            Box::pin(janitor(wire())),
        ];
        Process { tasks, waiting }
    }

    /// Anything at all, many times.
    pub(crate) fn run(&mut self, steps: usize) {
        self.begin_rain(1);
        for _ in 0..steps {
            match self.net.below(100) {
                0..40 => drop(self.net.step()),
                40..70 => self.poll(),
                70..85 => self.user(),
                85 if self.net.chance(4) => self.operator(),
                86 if self.net.chance(4) => self.kill(),
                87 if self.net.chance(8) => self.forget(Redis::default()),
                88 if self.net.chance(3) => {
                    self.saved = self.net.servers.borrow().redis.clone();
                }
                89 if self.net.chance(8) => self.forget(self.saved.clone()),
                _ => self.net.now_us.set(self.net.now_us.get() + 1_000),
            }
        }
        // Now all goes well, and what was begun comes to its end.
        self.net.is_rough.set(false);
        self.settle();
    }

    fn forget(&mut self, to: Redis) {
        self.net.servers.borrow_mut().redis = to;
        self.lapses += 1;
    }

    fn kill(&mut self) {
        let which = self.net.below(PROCESSES);
        // What it sent goes on; nobody hears of it.
        self.processes[which] = self.process();
        self.kills += 1;
    }

    fn poll(&mut self) {
        let which = self.net.below(PROCESSES);
        let process = &mut self.processes[which];
        let at = self.net.below(process.tasks.len());
        let task = &mut process.tasks[at];
        if task.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_ready() {
            drop(process.tasks.swap_remove(at));
        }
    }

    fn user(&mut self) {
        let which = self.net.below(PROCESSES);
        let uid = self.net.dice.borrow_mut().within(1..=14);
        let key = self.net.chance(3).then(|| format!("k{}", self.net.below(3)));
        self.snatch(which, uid, key.as_deref());
    }

    fn snatch(&mut self, which: usize, uid: i64, key: Option<&str>) {
        let snatching = Snatching::new(uid, key.and_then(RequestKey::new));
        self.processes[which].waiting.borrow_mut().push_back(snatching);
    }

    fn operator(&mut self) {
        let mut dice = self.net.dice.borrow_mut();
        let mut some = |range: std::ops::RangeInclusive<i64>, of: i64| {
            (dice.within(1..=of) == 1).then(|| dice.within(range))
        };
        let change = Change {
            total_amount_fen: some(300..=1_500, 2),
            total_count: some(10..=100, 2),
            min_fen: some(1..=3, 4),
            max_per_user: some(1..=5, 3),
            win_ppm: some(300_000..=1_000_000, 3),
            paused: some(0..=3, 3).map(|paused| paused == 0),
            ..Change::default()
        };
        drop(dice);
        let which = self.net.below(PROCESSES);
        let task = change_terms(Wire(Rc::clone(&self.net)), Rc::clone(&self.told), change);
        self.processes[which].tasks.push(Box::pin(task));
    }

    /// Makes a rain, whatever happens on the way.
    pub(crate) fn begin_rain(&mut self, id: i64) {
        let wire = Wire(Rc::clone(&self.net));
        let now_s = self.net.now_us.get() / 1_000_000;
        let task = async move {
            let seed = Seed::new([u8::try_from(id).expect("small"); 32]);
            let terms = Terms { starts_at: now_s, ends_at: now_s + 100_000, ..terms() };
            let (by, reason) = (Author::File, "a test".to_owned());
            let create = Create { id, terms, seed, by, reason };
            let asked = Asked { key: format!("create/{id}"), text: "a rain".to_owned() };
            loop {
                let managed =
                    with_hands(&wire, async |hands| hands.create(&create, Some(&asked)).await);
                match managed.await {
                    Err(_) => {}
                    Ok(Managed::Done { .. } | Managed::TakenId) => return,
                    Ok(other) => panic!("{other:?}"),
                }
            }
        };
        self.finish_task(Box::pin(task));
    }

    /// Runs one task to its end, and nothing but it.
    fn finish_task(&mut self, mut task: Task) {
        while task.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending() {
            assert!(self.net.step(), "a task waits for nothing");
        }
    }

    /// Until nobody has had anything to do for a while.
    pub(crate) fn settle(&mut self) {
        let mut idle = 0;
        for _ in 0..30_000 {
            self.poll();
            self.net.step();
            let is_idle = |it: &Process| it.waiting.borrow().is_empty() && it.tasks.len() == TASKS;
            let all_idle = self.processes.iter().all(is_idle) && self.outbox_is_empty();
            idle = if all_idle { idle + 1 } else { 0 };
            if idle > 150 {
                break;
            }
        }
    }

    fn outbox_is_empty(&self) -> bool {
        let servers = self.net.servers.borrow();
        servers.redis.0.as_ref().is_none_or(|state| state.outbox.is_empty())
    }

    /// The terms that let everything be snatched.
    pub(crate) fn open_wide(&mut self) {
        let change = Change {
            win_ppm: Some(1_000_000),
            max_per_user: Some(1_000),
            paused: Some(false),
            ..Change::default()
        };
        assert!(self.change(change), "terms of anybody's can be opened");
    }

    /// Other amounts, and those of before again, some of them before a chunk of the others was opened.
    pub(crate) fn change_and_change_back(&mut self) {
        let min_fen = {
            let servers = self.net.servers.borrow();
            servers.mongo.newest().expect("there is a rain").terms().min_fen
        };
        self.net.is_rough.set(true);
        for min_fen in [if min_fen > 1 { min_fen - 1 } else { 2 }, min_fen] {
            self.change(Change { min_fen: Some(min_fen), ..Change::default() });
        }
        self.net.is_rough.set(false);
        self.settle();
    }

    /// Changes the terms while nothing else happens; false when they are impossible.
    fn change(&mut self, change: Change) -> bool {
        let told: Rc<RefCell<Told>> = Rc::default();
        while told.borrow().changed + told.borrow().impossible == 0 {
            let task = change_terms(Wire(Rc::clone(&self.net)), Rc::clone(&told), change);
            self.finish_task(Box::pin(task));
        }
        told.borrow().changed > 0
    }

    /// Snatches until nothing is left; false when that does not come.
    pub(crate) fn snatch_the_rest(&mut self) -> bool {
        for _ in 0..60 {
            for uid in 100..130 {
                let which = self.net.below(PROCESSES);
                self.snatch(which, uid, None);
            }
            self.settle();
            let servers = self.net.servers.borrow();
            let head = servers.mongo.newest().expect("there is a rain");
            if head.terms().left(servers.mongo.handed_out(head.number)) == Sum::default() {
                return true;
            }
        }
        false
    }

    /// What is wrong, for whoever looks for the reason.
    pub(crate) fn describe(&self) -> String {
        let servers = self.net.servers.borrow();
        let (head, end) = (servers.mongo.newest(), servers.mongo.log_end(1));
        let redis = servers.redis.0.as_ref();
        let pool = redis.map(|state| (&state.pool, &state.places, &state.outbox));
        format!("{:?} of {head:?}\n{end:?}\n{pool:?}", servers.mongo.handed_out(1))
    }

    /// Lets the rain end, and has it sealed.
    pub(crate) fn end_rain(&mut self) -> Head {
        self.net.now_us.set(self.net.now_us.get() + 200_000_000_000);
        let wire = Wire(Rc::clone(&self.net));
        let task = async move {
            with_hands(&wire, async |hands| {
                let head = fanfare::packet::cluster::Record::head(&wire).await?;
                hands.finish(&head.expect("there is a rain")).await
            })
            .await
            .expect("all goes well now");
        };
        self.finish_task(Box::pin(task));
        let head = self.net.servers.borrow().mongo.newest().cloned();
        head.expect("there is a rain")
    }
}

/// Runs a step with what it needs.
async fn with_hands<T>(
    wire: &Wire,
    step: impl AsyncFnOnce(&Hands<'_, Wire, Wire>) -> Result<T, Trouble>,
) -> Result<T, Trouble> {
    let now_us = || wire.0.now_us.get();
    let fresh = || wire.0.dice.borrow_mut().draw();
    step(&Hands { record: wire, view: wire, now_us: &now_us, fresh: &fresh }).await
}

/// As a thread of a process: takes what waits, until it is answered.
async fn worker(wire: Wire, told: Rc<RefCell<Told>>, waiting: Waiting) {
    let mut desk = Desk::default();
    let mut mine: Vec<(Snatching, usize)> = Vec::new();
    loop {
        while mine.len() < 4
            && let Some(snatching) = waiting.borrow_mut().pop_front()
        {
            mine.push((snatching, 0));
        }
        if mine.is_empty() {
            yield_once().await;
            continue;
        }
        if desk.is_frozen() && wire.0.chance(20) {
            desk.thaw();
        }
        let (mut snatches, turns): (Vec<_>, Vec<_>) = mine.drain(..).unzip();
        let turned =
            with_hands(&wire, async |hands| desk.turn(hands, &mut snatches, BLOCK_DRAWS).await);
        let turned = turned.await.unwrap_or_else(|_| vec![Turned::Again; snatches.len()]);
        for ((snatching, turns), turned) in snatches.into_iter().zip(turns).zip(turned) {
            if turned != Turned::Again {
                tell(&told, &desk, &snatching, turned);
            } else if turns < TURNS_MAX {
                mine.push((snatching, turns + 1));
            }
        }
        let _ = with_hands(&wire, async |hands| desk.tidy(hands).await).await;
    }
}

fn tell(told: &Rc<RefCell<Told>>, desk: &Desk, snatching: &Snatching, turned: Turned) {
    let mut told = told.borrow_mut();
    match turned {
        Turned::Got { line, replayed } => told.got.push((snatching.uid, line, replayed)),
        Turned::Unlucky { draw } => {
            let rain = desk.stage().head.as_ref().map_or(0, |head| head.number);
            if !told.unlucky.insert((rain, draw)) {
                told.complaint = Some(format!("draw {draw} of rain {rain} was told twice"));
            }
        }
        Turned::Refused(refusal) => *told.refused.entry(refusal).or_default() += 1,
        Turned::Unknown | Turned::Again => {}
    }
}

/// Looks after what others left, now and then.
async fn janitor(wire: Wire) {
    let mut desk = Desk::default();
    let mut seen: Vec<Pending> = Vec::new();
    loop {
        for _ in 0..3 {
            yield_once().await;
        }
        let looked = with_hands(&wire, async |hands| {
            if desk.is_frozen() && wire.0.chance(4) {
                desk.thaw();
            }
            desk.forget();
            desk.turn(hands, &mut [], BLOCK_DRAWS).await?;
            desk.help(hands, |pending| seen.contains(pending)).await
        });
        seen = looked.await.unwrap_or_default();
    }
}

async fn change_terms(wire: Wire, told: Rc<RefCell<Told>>, change: Change) {
    let managed = with_hands(&wire, async |hands| {
        hands.change(&New::Change(&change), (Author::Operator, "a test"), None).await
    });
    match managed.await {
        Ok(Managed::Done { .. }) => told.borrow_mut().changed += 1,
        Ok(Managed::Impossible(_)) => told.borrow_mut().impossible += 1,
        Ok(other) => told.borrow_mut().complaint = Some(format!("{other:?}")),
        // Not known, so not promised.
        Err(_) => {}
    }
}

async fn yield_once() {
    let mut yielded = false;
    std::future::poll_fn(move |_| {
        if std::mem::replace(&mut yielded, true) {
            std::task::Poll::Ready(())
        } else {
            std::task::Poll::Pending
        }
    })
    .await;
}

/// Whether a rain is over by its record.
pub(crate) fn is_over(head: &Head) -> bool {
    head.state(0) == State::Ended && head.is_sealed
}
