//! Calls between processes and servers in the simulation: each waits until the seed says what
//! becomes of it. It may be answered, fail and have its effect later, or arrive twice.

use crate::packet_cluster_servers::{Flaw, Mongo, Redis};
use fanfare::packet::cluster::{
    Amended, ChunkLine, Fate, Generation, Head, Known, Left, LogEnd, Pending, Place, Pool, Record,
    Seen, Serve, Served, Trouble, VersionLine, View,
};
use fanfare::rng::SplitMix;
use fanfare::store::RequestKey;
use std::cell::{Cell, RefCell};
use std::future::{Future, poll_fn};
use std::rc::Rc;
use std::task::Poll;

/// Which server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum To {
    Mongo,
    Redis,
}

/// Has an effect on the servers; is told whether the caller hears of it.
type Arrive = Box<dyn Fn(&mut Servers, bool)>;

/// A call that has not arrived.
struct Call {
    to: To,
    arrive: Arrive,
    /// Tells the caller that nothing came of it.
    fail: Box<dyn Fn()>,
    /// Nobody waits for it any more.
    is_late: bool,
}

/// Both servers.
pub(crate) struct Servers {
    pub(crate) mongo: Mongo,
    pub(crate) redis: Redis,
    pub(crate) flaw: Flaw,
}

/// What all processes share.
pub(crate) struct Net {
    pub(crate) servers: RefCell<Servers>,
    calls: RefCell<Vec<Call>>,
    pub(crate) dice: RefCell<SplitMix>,
    pub(crate) now_us: Cell<i64>,
    /// Calls fail, come late, or twice.
    pub(crate) is_rough: Cell<bool>,
    pub(crate) troubles: Cell<u64>,
}

/// One process's way to the servers.
#[derive(Clone)]
pub(crate) struct Wire(pub(crate) Rc<Net>);

impl Net {
    pub(crate) fn new(seed: u64, flaw: Flaw) -> Self {
        let servers = Servers { mongo: Mongo::default(), redis: Redis::default(), flaw };
        Self {
            servers: RefCell::new(servers),
            calls: RefCell::default(),
            dice: RefCell::new(SplitMix::new(seed)),
            now_us: Cell::new(1_000_000_000),
            is_rough: Cell::new(true),
            troubles: Cell::new(0),
        }
    }

    /// One of `1..=of` in the long run.
    pub(crate) fn chance(&self, of: i64) -> bool {
        self.dice.borrow_mut().within(1..=of) == 1
    }

    pub(crate) fn below(&self, bound: usize) -> usize {
        let bound = i64::try_from(bound).expect("small");
        usize::try_from(self.dice.borrow_mut().within(0..=bound - 1)).expect("not negative")
    }

    /// Lets one call arrive, or not; false when there is none.
    pub(crate) fn step(&self) -> bool {
        let count = self.calls.borrow().len();
        if count == 0 {
            return false;
        }
        let mut call = self.calls.borrow_mut().swap_remove(self.below(count));
        let rough = self.is_rough.get();
        if call.is_late {
            (call.arrive)(&mut self.servers.borrow_mut(), false);
        } else if rough && self.chance(25) {
            // Lost on the way, on its way back, or late.
            self.troubles.set(self.troubles.get() + 1);
            (call.fail)();
            match self.below(3) {
                0 => {}
                1 => (call.arrive)(&mut self.servers.borrow_mut(), false),
                _ => {
                    call.is_late = true;
                    self.calls.borrow_mut().push(call);
                }
            }
        } else {
            (call.arrive)(&mut self.servers.borrow_mut(), true);
            if rough && call.to == To::Redis && self.chance(40) {
                call.is_late = true;
                self.calls.borrow_mut().push(call);
            }
        }
        true
    }
}

impl Wire {
    fn call<T: 'static>(
        &self,
        to: To,
        run: impl Fn(&mut Servers) -> T + 'static,
    ) -> impl Future<Output = Result<T, Trouble>> {
        let slot: Rc<RefCell<Option<Result<T, Trouble>>>> = Rc::default();
        let (answered, failed) = (Rc::clone(&slot), Rc::clone(&slot));
        let arrive = Box::new(move |servers: &mut Servers, heard: bool| {
            let result = run(servers);
            if heard {
                *answered.borrow_mut() = Some(Ok(result));
            }
        });
        let fail = Box::new(move || *failed.borrow_mut() = Some(Err(Trouble::Away)));
        self.0.calls.borrow_mut().push(Call { to, arrive, fail, is_late: false });
        poll_fn(move |_| slot.borrow_mut().take().map_or(Poll::Pending, Poll::Ready))
    }

    fn mongo<T: 'static>(
        &self,
        run: impl Fn(&mut Mongo, Flaw) -> T + 'static,
    ) -> impl Future<Output = Result<T, Trouble>> {
        self.call(To::Mongo, move |servers| run(&mut servers.mongo, servers.flaw))
    }

    fn redis<T: 'static>(
        &self,
        run: impl Fn(&mut Redis) -> T + 'static,
    ) -> impl Future<Output = Result<T, Trouble>> {
        self.call(To::Redis, move |servers| run(&mut servers.redis))
    }
}

impl Record for Wire {
    async fn head(&self) -> Result<Option<Head>, Trouble> {
        self.mongo(|mongo, _| mongo.newest().cloned()).await
    }

    async fn has_rain(&self, id: i64) -> Result<bool, Trouble> {
        self.mongo(move |mongo, _| mongo.heads.values().any(|head| head.id == id)).await
    }

    async fn insert_head(&self, head: Head) -> Result<bool, Trouble> {
        self.mongo(move |mongo, _| mongo.insert_head(head.clone())).await
    }

    async fn swap_head(&self, old: Head, new: Head) -> Result<bool, Trouble> {
        self.mongo(move |mongo, flaw| mongo.swap_head(&old, &new, flaw)).await
    }

    async fn take_draws(&self, number: i64, count: i64) -> Result<Option<(i64, i64)>, Trouble> {
        self.mongo(move |mongo, flaw| mongo.take_draws(number, count, flaw)).await
    }

    async fn note_version(&self, line: VersionLine) -> Result<(), Trouble> {
        self.mongo(move |mongo, _| mongo.note_version(&line)).await
    }

    async fn asked(&self, key: String) -> Result<Option<String>, Trouble> {
        self.mongo(move |mongo, _| mongo.asked(&key)).await
    }

    async fn log_end(&self, rain: i64) -> Result<LogEnd, Trouble> {
        self.mongo(move |mongo, _| mongo.log_end(rain)).await
    }

    async fn open_chunk(&self, rain: i64, line: ChunkLine) -> Result<bool, Trouble> {
        self.mongo(move |mongo, _| mongo.open_chunk(rain, line)).await
    }

    async fn claim(&self, rain: i64, number: i64, rev: i64) -> Result<bool, Trouble> {
        self.mongo(move |mongo, _| mongo.claim(rain, number, rev)).await
    }

    async fn raise_claim(&self, rain: i64, number: i64, rev: i64) -> Result<(), Trouble> {
        self.mongo(move |mongo, _| mongo.raise_claim(rain, number, rev)).await
    }

    async fn fill_claim(&self, rain: i64, rev: i64, line: ChunkLine) -> Result<bool, Trouble> {
        self.mongo(move |mongo, _| mongo.fill_claim(rain, rev, line)).await
    }

    async fn places(&self, _: i64, line: ChunkLine) -> Result<Vec<Place>, Trouble> {
        self.mongo(move |mongo, _| mongo.places(line)).await
    }

    async fn decide(&self, places: Vec<Place>) -> Result<Vec<Fate>, Trouble> {
        // Each document for itself: some may land, others not, others later.
        let each = places
            .into_iter()
            .map(|place| self.mongo(move |mongo, flaw| mongo.decide(&place, flaw)));
        let each: Vec<_> = each.collect();
        let mut fates = Vec::new();
        for one in each {
            fates.push(one.await.unwrap_or(Fate::Unknown));
        }
        Ok(fates)
    }

    async fn raise_voids(&self, line: ChunkLine, rev: i64) -> Result<(), Trouble> {
        self.mongo(move |mongo, _| mongo.raise_voids(line, rev)).await
    }

    async fn drop_voids(&self, line: ChunkLine, rev: i64) -> Result<(), Trouble> {
        self.mongo(move |mongo, _| mongo.drop_voids(line, rev)).await
    }

    async fn holders(&self, envelopes: Vec<i64>) -> Result<Vec<Place>, Trouble> {
        self.mongo(move |mongo, _| mongo.holders(&envelopes)).await
    }

    async fn known(
        &self,
        rain: i64,
        users: Vec<(i64, Option<RequestKey>)>,
    ) -> Result<Vec<Known>, Trouble> {
        let counted = users.clone();
        let counts = self.mongo(move |mongo, _| {
            let count = |(uid, _): &(i64, Option<RequestKey>)| mongo.known(rain, *uid, None).count;
            counted.iter().map(count).collect::<Vec<i64>>()
        });
        let counts = counts.await?;
        let keyed = self.mongo(move |mongo, _| {
            let of = |(uid, key): &(i64, Option<RequestKey>)| {
                mongo.known(rain, *uid, key.as_ref()).under_key
            };
            users.iter().map(of).collect::<Vec<_>>()
        });
        let keyed = keyed.await?;
        let both = counts.into_iter().zip(keyed);
        Ok(both.map(|(count, under_key)| Known { count, under_key }).collect())
    }
}

impl View for Wire {
    async fn look(&self) -> Result<Option<(Pool, i64, Vec<Pending>)>, Trouble> {
        self.redis(|redis| redis.look()).await
    }

    async fn serve(&self, serve: Serve) -> Result<Seen<Served>, Trouble> {
        self.redis(move |redis| redis.serve(&serve)).await
    }

    async fn settle(&self, of: (i64, i64), done: Vec<Pending>) -> Result<Option<Left>, Trouble> {
        self.redis(move |redis| redis.settle(of, &done)).await
    }

    async fn refill(
        &self,
        generation: Generation,
        line: ChunkLine,
        is_last: bool,
    ) -> Result<Seen<bool>, Trouble> {
        self.redis(move |redis| redis.refill(generation, line, is_last)).await
    }

    async fn freeze(&self, generation: Generation) -> Result<Seen<()>, Trouble> {
        self.redis(move |redis| redis.freeze(generation)).await
    }

    async fn install(
        &self,
        from: Option<Generation>,
        pool: Pool,
        places: Vec<i64>,
    ) -> Result<bool, Trouble> {
        self.redis(move |redis| redis.install(from, &pool, &places)).await
    }

    async fn amend(&self, from: Generation, amended: Amended) -> Result<bool, Trouble> {
        self.redis(move |redis| redis.amend(from, amended)).await
    }
}
