//! The scripts of the counters' view on a real Redis, side by side with the pure view: the same
//! answers, the same figures, the same order.

use crate::counter_model::{counter, id};
use crate::gift_cluster_keys::Redis;
use crate::redis_server::{RedisCluster, RedisServer};
use fanfare::calendar::Period;
use fanfare::cluster::reply::{Fences, Seen};
use fanfare::cluster::{
    Apply, JournalDraft, Load, PureView, ScriptAnswer, Stream, Switch, ViewScripts,
};
use fanfare::counter::cluster::redis_view::{RedisView, hot, looked};
use fanfare::counter::cluster::{Board, Draft, Row, Sums, Value};
use fanfare::counter::{Id, Place};
use proptest::collection::{btree_map, vec};
use proptest::prelude::*;
use proptest::sample::select;
use proptest::test_runner::{Config, TestRunner};
use std::collections::BTreeMap;

/// A moment that no test lives to see.
const FAR_S: i64 = 4_000_000_000;

const FIELDS: [&str; 6] = ["1", "2", "10", "a", "ab", "é"];

/// What a script adds, by board and field.
type Rows = BTreeMap<(Board, Id), Value>;

fn boards() -> Vec<Board> {
    let counter_type = id("like");
    let list = |period, from_s| Board::Counts { period, from_s, counter_type: id("like") };
    vec![
        list(Period::All, 0),
        list(Period::Hour, 3_600),
        Board::Users(counter_type.clone()),
        Board::Turns(counter_type),
        Board::Steps(counter("a", "like")),
    ]
}

fn sum() -> impl Strategy<Value = i128> {
    let large: Vec<i128> = vec![i64::MAX.into(), i64::MIN.into(), 1 << 53, -(1 << 53) - 1];
    prop_oneof![
        8 => -9..20_i128,
        2 => select(vec![9_999_999_999, 10_000_000_000, -10_000_000_000, 999_999_999_999_999]),
        1 => select(large),
    ]
}

fn rows() -> impl Strategy<Value = Rows> {
    let place = (select(boards()), select(FIELDS.to_vec()).prop_map(id));
    let value = (0..3_u64, sum(), 0..9_u64);
    btree_map(place, value, 1..12).prop_map(|rows| {
        let value = |board: &Board, (epoch, sum, n)| match board {
            Board::Counts { .. } | Board::Users(_) => Value::Sum { epoch, sum },
            Board::Turns(_) | Board::Steps(_) => Value::Mark(epoch, n),
        };
        rows.into_iter().map(|(place, parts)| (place.clone(), value(&place.0, parts))).collect()
    })
}

fn to_rows(rows: &Rows) -> Vec<Row> {
    let row = |((board, of), value): (&(Board, Id), &Value)| Row {
        board: board.clone(),
        expires_s: matches!(board, Board::Counts { period: Period::Hour, .. }).then_some(FAR_S),
        of: of.clone(),
        value: *value,
    };
    rows.iter().map(row).collect()
}

struct Rig<'a> {
    redis: &'a Redis<'a>,
    scripts: RedisView,
    view: PureView<Sums>,
}

impl<'a> Rig<'a> {
    fn new(redis: &'a Redis<'a>) -> Self {
        redis.flush();
        let mut rig = Self { redis, scripts: RedisView::new("counter"), view: PureView::default() };
        rig.switch(&Switch { from: None, to: 1, steps: 0 });
        rig
    }

    fn apply(&mut self, stream: Stream, rows: &Rows) -> ScriptAnswer<std::convert::Infallible> {
        let from = self.view.keys().map_or(0, |keys| keys.fence(stream));
        let apply = Apply { generation: 1, stream, from, to: from + 1, deltas: to_rows(rows) };
        let expected = self.view.apply(&apply, 0);
        let answer = self.redis.ask(self.scripts.apply(&apply));
        assert_eq!(self.scripts.read_script(answer), Ok(expected.clone()), "{rows:?}");
        expected
    }

    fn load(&mut self, load: &Load<Row>) {
        let expected = self.view.load(load);
        let answer = self.redis.ask(self.scripts.load(load));
        assert_eq!(self.scripts.read_script(answer), Ok(expected));
    }

    fn switch(&mut self, switch: &Switch) {
        let expected = self.view.switch(switch);
        let answer = self.redis.ask(self.scripts.switch(switch));
        assert_eq!(self.scripts.read_script(answer), Ok(expected));
    }

    /// Every field of every board, and every list from its beginning to its end.
    fn compare(&self) {
        let (current, keys) = (self.view.current.expect("one"), self.view.keys().expect("one"));
        let fields: Vec<Id> = FIELDS.map(id).into();
        let asked: Vec<_> = boards().into_iter().map(|board| (board, fields.clone())).collect();
        let answer = self.redis.ask(self.scripts.look(current, &asked));
        let expected: Vec<Option<Value>> = asked
            .iter()
            .flat_map(|(board, fields)| fields.iter().map(|of| keys.boards.of(board, of)))
            .collect();
        assert_eq!(looked(answer, &asked), Ok(Seen::Here(expected)));
        let fences = self.scripts.read_fences(self.redis.ask(self.scripts.fences()));
        let (is_hollow, of_keys) = (false, keys.fences.clone());
        assert_eq!(fences, Ok(Fences { generation: current, is_hollow, fences: of_keys }));
        for board in boards().iter().filter(|board| matches!(board, Board::Counts { .. })) {
            let mut listed: Vec<_> = keys
                .boards
                .fields(board)
                .filter_map(|(of, value)| match value {
                    Value::Sum { sum, .. } if sum > 0 => Some((-sum, of.clone())),
                    _ => None,
                })
                .collect();
            listed.sort();
            let place = |(sum, resource): (i128, Id)| Place {
                resource,
                count: i64::try_from(-sum).unwrap_or(i64::MAX),
            };
            let expected: Vec<Place> = listed.into_iter().map(place).collect();
            for num in [1, 3, 100] {
                let found = hot(self.redis.ask(self.scripts.hot(current, board, num)));
                let first = expected.iter().take(num).cloned().collect();
                assert_eq!(found, Ok(Seen::Here(first)), "{board:?}");
            }
        }
    }
}

#[test]
fn scripts_do_what_the_pure_view_does() {
    let server = RedisServer::start(&[]);
    let redis = Redis::single(&server);
    let config = Config { cases: 60, ..Config::default() };
    let batches = vec((0..2_u64, rows()), 1..12);
    let outcome = TestRunner::new(config).run(&batches, |batches| {
        let mut rig = Rig::new(&redis);
        for (writer, rows) in batches {
            let before = redis.everything();
            if rig.apply(Stream { writer, slot: 1 }, &rows) == ScriptAnswer::Refused {
                prop_assert_eq!(redis.everything(), before, "a refused batch changes nothing");
            }
            rig.compare();
        }
        // Made anew it is the same, and the old keys are gone.
        let keys = rig.view.keys().expect("current").clone();
        let fences: Vec<_> = keys.fences.iter().map(|(stream, seq)| (*stream, *seq)).collect();
        let mut steps = 0;
        for rows in Draft::rows(&keys.boards).chunks(4) {
            rig.load(&Load { generation: 2, step: steps, rows: rows.to_vec(), fences: vec![] });
            steps += 1;
        }
        rig.load(&Load { generation: 2, step: steps, rows: vec![], fences });
        rig.switch(&Switch { from: Some(1), to: 2, steps: steps + 1 });
        prop_assert_eq!(&rig.view.keys().expect("current").boards, &keys.boards);
        rig.compare();
        let old = format!("{{counter}}:{:016x}:", 1);
        prop_assert!(redis.keys().iter().all(|key| !key.starts_with(&old)));
        Ok(())
    });
    if let Err(error) = outcome {
        panic!("{error}");
    }
}

#[test]
fn a_redis_cluster_runs_them_too() {
    let cluster = RedisCluster::start();
    let redis = Redis::cluster(&cluster, "counter");
    let mut rig = Rig::new(&redis);
    let row =
        |board: &Board, of: &str, sum| ((board.clone(), id(of)), Value::Sum { epoch: 0, sum });
    let lists: Vec<Board> = boards().into_iter().take(3).collect();
    for (of, sum) in [("a", 5), ("10", 7), ("a", -9)] {
        let rows = lists.iter().map(|board| row(board, of, sum)).collect();
        let done = rig.apply(Stream { writer: 3, slot: 1 }, &rows);
        assert_eq!(done, ScriptAnswer::Done { full: vec![] });
        rig.compare();
    }
}

#[test]
fn a_sum_that_would_pass_19_digits_refuses_its_batch_whole() {
    let server = RedisServer::start(&[]);
    let redis = Redis::single(&server);
    let mut rig = Rig::new(&redis);
    let all = boards().swap_remove(0);
    let row = |of: &str, sum| ((all.clone(), id(of)), Value::Sum { epoch: 0, sum });
    let most = i128::from(i64::MAX);
    for sum in [most, 600_000_000_000_000_000] {
        let done = rig.apply(Stream { writer: 3, slot: 0 }, &[row("a", sum)].into());
        assert_eq!(done, ScriptAnswer::Done { full: vec![] }, "beyond 64 bits for a moment");
    }
    let before = redis.everything();
    let batch = [row("1", 5), row("a", most)].into();
    assert_eq!(rig.apply(Stream { writer: 3, slot: 0 }, &batch), ScriptAnswer::Refused);
    assert_eq!(redis.everything(), before);
    rig.compare();
}

#[test]
fn an_apply_costs_redis_as_many_commands_whatever_the_number_of_counters() {
    let server = RedisServer::start(&[]);
    let redis = Redis::single(&server);
    let mut rig = Rig::new(&redis);
    let commands = || -> u64 {
        let info: String = server.ask(&["INFO", "stats"]);
        let line = info.lines().find_map(|line| line.strip_prefix("total_commands_processed:"));
        line.and_then(|count| count.trim().parse().ok()).expect("a count")
    };
    let mut costs = |counters: i64| {
        let rows: Rows = (1..=counters)
            .flat_map(|n| {
                let of = Id::from_number(n).expect("above 0");
                let lists = boards().into_iter().take(2);
                lists.map(move |board| ((board, of.clone()), Value::Sum { epoch: 0, sum: 1 }))
            })
            .collect();
        rig.apply(Stream { writer: 3, slot: 0 }, &rows);
        let before = commands();
        rig.apply(Stream { writer: 3, slot: 0 }, &rows);
        commands() - before
    };
    let (one, many) = (costs(1), costs(32));
    // The script, its generation and fences, and six for each list; the last one is this question.
    assert_eq!(one, 2 + 3 + 6 * 2);
    assert_eq!(many, one);
}
