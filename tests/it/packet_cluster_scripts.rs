//! The scripts over a real Redis do what the simulation's Redis does: random histories against both.

use crate::packet_cluster_rig::lanes;
use crate::packet_cluster_servers::Redis;
use crate::redis_server::RedisServer;
use fanfare::packet::cluster::{
    Amended, ChunkLine, Gates, Pending, Pool, RedisView, Serve, Tried, Try, View,
};
use fanfare::packet::{Chunk, Sum};
use fanfare::rng::SplitMix;
use fanfare::store::RequestKey;
use std::future::Future;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

const STEPS: usize = 1_500;

/// What a question to the lane answers: it is there when the call returns.
fn now<T>(step: impl Future<Output = T>) -> T {
    match pin!(step).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(result) => result,
        Poll::Pending => panic!("the lane answers before it returns"),
    }
}

fn line(number: i64, left_count: i64) -> ChunkLine {
    let chunk = Chunk { number, version: 1, left_count, left_fen: left_count * 10 };
    let before = Sum { count: number * 64, fen: number * 1_000_000_000_000 };
    ChunkLine { chunk, before, first_envelope: number * 100, at_s: 1_000 }
}

/// A history: what is asked next depends on the dice and on what was answered before.
struct History {
    dice: SplitMix,
    generation: u64,
    number: i64,
    draws: i64,
    popped: Vec<Pending>,
}

impl History {
    fn within(&mut self, range: std::ops::RangeInclusive<i64>) -> i64 {
        self.dice.within(range)
    }

    fn gates(&mut self) -> Gates {
        Gates {
            starts_at: self.within(0..=20) * 100,
            ends_at: 2_000 + self.within(0..=20) * 100,
            paused: self.within(1..=12) == 1,
            max_per_user: self.within(1..=4),
        }
    }

    /// Now and then one that is not there.
    fn generation(&mut self) -> u64 {
        if self.within(1..=15) == 1 { self.generation + 7 } else { self.generation }
    }

    fn pool(&mut self) -> Pool {
        self.generation = self.dice.draw();
        self.number = self.within(1..=5);
        let size = self.within(1..=100);
        Pool {
            generation: self.generation,
            rain: 1,
            version: 3,
            terms: self.gates(),
            line: line(self.number, size),
            is_last: self.within(1..=4) == 1,
            knows_all: self.within(1..=2) == 1,
            is_frozen: false,
        }
    }

    fn serve(&mut self) -> Serve {
        let tries = (0..self.within(1..=9)).map(|_| {
            self.draws += 1;
            let key = match self.within(1..=9) {
                1 => RequestKey::new("a"),
                2 => RequestKey::new("b-2:{x}"),
                _ => None,
            };
            let known = (self.within(1..=3) > 1).then(|| self.within(0..=3));
            Try {
                uid: self.within(1..=6),
                draw: self.draws,
                wins: self.within(1..=3) > 1,
                key,
                known,
            }
        });
        let tries = tries.collect();
        let now_us = self.within(1_500..=2_800) * 1_000_000 + 17;
        Serve { generation: self.generation(), now_us, tries }
    }

    /// Notes what was popped, to be settled later, perhaps twice or not quite as it was.
    fn note(&mut self, serve: &Serve, tried: &[Tried]) {
        for (one, tried) in serve.tries.iter().zip(tried) {
            if let Tried::Popped { place, nth } = *tried {
                let Try { uid, draw, key, .. } = one.clone();
                let time_us = serve.now_us;
                self.popped.push(Pending { place, uid, nth, draw, time_us, key });
            }
        }
    }

    fn done(&mut self) -> Vec<Pending> {
        let count = self.within(0..=6);
        let done = (0..count).filter_map(|_| {
            let last = i64::try_from(self.popped.len()).ok()? - 1;
            let at = usize::try_from(self.within(0..=last.max(0))).ok()?;
            let mut one = self.popped.get(at)?.clone();
            one.draw += i64::from(self.within(1..=20) == 1);
            Some(one)
        });
        done.collect()
    }
}

fn compare(seed: u64, view: &RedisView, redis: &RedisServer) {
    redis.ask::<()>(&["FLUSHALL"]);
    let mut model = Redis::default();
    let dice = SplitMix::new(seed);
    let mut history = History { dice, generation: 1, number: 1, draws: 0, popped: Vec::new() };
    for step in 0..STEPS {
        let context = format!("seed {seed}, step {step}");
        match history.within(1..=100) {
            1..=2 => {
                let there = model.look().map(|(pool, _, _)| pool.generation);
                let from = if history.within(1..=6) == 1 { Some(5) } else { there };
                let pool = history.pool();
                let places: Vec<i64> = (0..pool.line.chunk.count()).skip(2).collect();
                let expected = model.install(from, &pool, &places);
                assert_eq!(now(view.install(from, pool, places)), Ok(expected), "{context}");
            }
            3..=4 => {
                let (from, generation) = (history.generation(), history.dice.draw());
                let amended = Amended { generation, version: 4, terms: history.gates() };
                let expected = model.amend(from, amended);
                assert_eq!(now(view.amend(from, amended)), Ok(expected), "{context}");
                if expected {
                    history.generation = generation;
                }
            }
            5 => {
                let generation = history.generation();
                if history.within(1..=5) == 1 {
                    let expected = model.freeze(generation);
                    assert_eq!(now(view.freeze(generation)), Ok(expected), "{context}");
                }
            }
            6..=25 => {
                let generation = history.generation();
                let size = history.within(1..=70);
                let number = history.number + history.within(0..=1);
                let (line, is_last) = (line(number, size), history.within(1..=5) == 1);
                let expected = model.refill(generation, line, is_last);
                assert_eq!(now(view.refill(generation, line, is_last)), Ok(expected), "{context}");
                history.number = model.look().map_or(1, |(pool, _, _)| pool.line.number());
            }
            26..=60 => {
                let (done, chunk) = (history.done(), history.number);
                let expected = model.settle((1, chunk), &done);
                assert_eq!(now(view.settle((1, chunk), done)), Ok(expected), "{context}");
            }
            _ => {
                let serve = history.serve();
                let expected = model.serve(&serve);
                assert_eq!(now(view.serve(serve.clone())), Ok(expected.clone()), "{context}");
                if let fanfare::packet::cluster::Seen::Here(served) = expected {
                    history.note(&serve, &served.tried);
                }
            }
        }
        let (mut expected, mut found) = (model.look(), now(view.look()).expect("it answers"));
        for look in [&mut expected, &mut found].into_iter().flatten() {
            look.2.sort_by_key(|pending| pending.place);
        }
        assert_eq!(found, expected, "{context}");
    }
}

#[test]
fn the_scripts_do_what_the_simulated_redis_does() {
    let redis = RedisServer::start(&[]);
    let (lanes, threads) = lanes("scripts_of_rains", &redis);
    let view = RedisView::new(lanes.clone(), "test:rain");
    for seed in 0..6 {
        compare(seed, &view, &redis);
    }
    drop((view, lanes));
    threads.join(std::time::Duration::from_secs(60));
}

/// What the issue of all this was about: many snatches in one script, next to nothing each.
#[test]
fn a_batch_costs_redis_little_for_each_snatch() {
    const BATCHES: i64 = 40;
    const BATCH: i64 = 64;
    let redis = RedisServer::start(&[]);
    let (lanes, threads) = lanes("cost_of_rains", &redis);
    let view = RedisView::new(lanes.clone(), "test:rain");
    let mut history =
        History { dice: SplitMix::new(1), generation: 1, number: 1, draws: 0, popped: Vec::new() };
    let gates = Gates { starts_at: 0, ends_at: 10_000, paused: false, max_per_user: 5 };
    let mut pool = Pool { terms: gates, line: line(1, 64), knows_all: true, ..history.pool() };
    pool.is_last = false;
    for batch in 0..BATCHES {
        let from = if batch == 0 { None } else { Some(pool.generation) };
        pool.generation += u64::from(batch > 0);
        let places = (0..64).collect();
        assert_eq!(now(view.install(from, pool.clone(), places)), Ok(true));
        if batch == 1 {
            redis.ask::<()>(&["CONFIG", "RESETSTAT"]);
        }
        let tries = (0..BATCH).map(|at| {
            let uid = batch * BATCH + at;
            Try { uid, draw: uid, wins: at % 3 == 0, key: None, known: None }
        });
        let serve =
            Serve { generation: pool.generation, now_us: 5_000_000_000, tries: tries.collect() };
        now(view.serve(serve)).expect("it answers");
    }
    let stats: String = redis.ask(&["INFO", "commandstats"]);
    let scripts = stats.lines().find(|line| line.starts_with("cmdstat_evalsha")).expect("scripts");
    let usec = scripts.split("usec=").nth(1).and_then(|rest| rest.split(',').next());
    let usec: f64 = usec.and_then(|usec| usec.parse().ok()).expect("a figure");
    // Settled apart; installs are within. Told, not asserted: the machine is noisy.
    #[expect(clippy::cast_precision_loss, reason = "a few thousand")]
    let each = usec / ((BATCHES - 1) * BATCH) as f64;
    eprintln!("{each:.1} µs of Redis for a snatch, in batches of {BATCH}");
    drop((view, lanes));
    threads.join(std::time::Duration::from_secs(60));
}
