//! What an apply costs Redis: one script a batch, however many gifts and boards. To measure, run it
//! alone: `SCRIPT_COST_ROUNDS=12 cargo test --test it gift_cluster_script_cost -- --nocapture`.

use crate::gift_cluster_keys::Redis;
use crate::redis_server::RedisServer;
use fanfare::gift::Period;
use fanfare::gift::cluster::redis_view::{RedisView, reply};
use fanfare::gift::cluster::{Apply, BoardId, Delta, ScriptAnswer, Stream, Switch};

const PERIODS: [Period; 4] = [Period::All, Period::Hour, Period::Day, Period::Week];

/// The best of so many rounds is told: in it the least else ran on the machine.
fn rounds() -> Option<i64> {
    std::env::var("SCRIPT_COST_ROUNDS").ok()?.parse().ok()
}

const SCRIPTS_A_ROUND: i64 = 100;

/// Boards with so many anchors each.
struct Bench<'a> {
    server: &'a RedisServer,
    redis: &'a Redis<'a>,
    scripts: RedisView,
    periods: &'a [Period],
    anchors: i64,
    fence: u64,
    random: u64,
}

impl Bench<'_> {
    fn fill(&mut self) {
        self.redis.flush();
        let switch = Switch { from: None, to: 1, steps: 0 };
        reply::script(self.redis.ask(self.scripts.switch(&switch))).expect("an answer");
        let anchors: Vec<i64> = (1..=self.anchors).collect();
        anchors.chunks(256).for_each(|anchors| self.apply(anchors));
    }

    fn apply(&mut self, anchors: &[i64]) {
        let row = |(&period, &anchor_id): (&Period, &i64)| Delta {
            board: BoardId { period, from_s: 0 },
            expires_s: (period != Period::All).then_some(4_000_000_000),
            anchor_id,
            worth: 1 + anchor_id % 9,
            reached_at_us: 1_700_000_000_000_000 + i64::try_from(self.fence).expect("few"),
        };
        let rows =
            self.periods.iter().flat_map(|period| anchors.iter().map(move |id| (period, id)));
        let apply = Apply {
            generation: 1,
            stream: Stream { writer: 3, slot: 0 },
            from: self.fence,
            to: self.fence + 1,
            deltas: rows.map(row).collect(),
        };
        self.fence += 1;
        let answer = reply::script(self.redis.ask(self.scripts.apply(&apply)));
        assert_eq!(answer, Ok(ScriptAnswer::Done { full: Vec::new() }));
    }

    /// A number below `end`, by xorshift.
    fn below(&mut self, end: i64) -> i64 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        i64::try_from(self.random >> 1).expect("63 bits") % end
    }

    /// Microseconds of a script, by the server's own count.
    fn round(&mut self, batch: i64) -> f64 {
        self.server.ask::<()>(&["CONFIG", "RESETSTAT"]);
        for _ in 0..SCRIPTS_A_ROUND {
            let first = self.below(self.anchors);
            // Anchors far from each other, none twice.
            let step = self.anchors / batch;
            let anchors: Vec<i64> =
                (0..batch).map(|turn| (first + turn * step) % self.anchors + 1).collect();
            self.apply(&anchors);
        }
        let info: String = self.server.ask(&["INFO", "commandstats"]);
        let line = info.lines().find(|line| line.starts_with("cmdstat_evalsha:"));
        let calls = format!("calls={SCRIPTS_A_ROUND},");
        assert!(line.is_some_and(|line| line.contains(&calls)), "{line:?}");
        let each = line.and_then(|line| line.split("usec_per_call=").nth(1)?.split(',').next());
        each.and_then(|each| each.parse().ok()).expect("Redis counts its commands")
    }
}

#[test]
fn an_apply_is_one_script_however_many_gifts_and_boards() {
    let server = RedisServer::start(&[]);
    let redis = Redis::single(&server);
    let (all, sizes) = (rounds().unwrap_or(1), [1_000, 100_000]);
    let sizes = if rounds().is_some() { &sizes[..] } else { &sizes[..1] };
    for &anchors in sizes {
        for periods in [&PERIODS[..1], &PERIODS[..]] {
            let scripts = RedisView::new("gift", i64::MAX / 2);
            let (server, redis) = (&server, &redis);
            let mut bench =
                Bench { server, redis, scripts, periods, anchors, fence: 0, random: 88_172_645 };
            bench.fill();
            for batch in [1_i64, 8, 32] {
                let rounds = (0..all).map(|_| bench.round(batch));
                let script = rounds.fold(f64::INFINITY, f64::min);
                let gift = script / f64::from(i32::try_from(batch).expect("few"));
                let boards = periods.len();
                eprintln!(
                    "{anchors} anchors, {boards} boards, {batch} gifts a script: \
                     {gift:.1} us a gift, {script:.1} us a script"
                );
            }
        }
    }
}
