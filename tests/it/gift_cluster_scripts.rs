//! The scripts of the view on real Redis servers, side by side with the pure view: the same answers
//! and the same boards, byte for byte.

use crate::gift_cluster_keys::{Redis, view_of};
use crate::redis_server::{RedisCluster, RedisServer};
use fanfare::gift::Period;
use fanfare::gift::board::Board as PureBoard;
use fanfare::gift::cluster::redis_view::RedisView;
use fanfare::gift::cluster::redis_view::reply::{self, Seen, TopPart, Unread};
use fanfare::gift::cluster::{
    Apply, Board, BoardId, Delta, Generation, Load, ScriptAnswer, Stream, Switch, View,
};
use fanfare::store::redis::{Away, Command};
use proptest::collection::{btree_map, vec};
use proptest::prelude::*;
use proptest::sample::select;
use proptest::test_runner::{TestCaseError, TestRunner};
use std::collections::BTreeMap;

/// Moments that no test lives to see, and one that is over.
const FAR_S: i64 = 4_000_000_000;
const PAST_S: i64 = 1_000;

const TOTAL_MAX: i64 = i64::MAX / 2;
const TAG: &str = "gift";

/// Worth and time by board and anchor.
type Rows = BTreeMap<(BoardId, i64), (i64, i64)>;

/// What is asked; resolved against the state of the view, so that most of it is right.
#[derive(Clone, Debug)]
enum Ask {
    Apply { generation: Pick, writer: u64, from: i64, batches: u64, rows: Rows, later_s: i64 },
    Load { generation: Generation, step: i64, rows: Rows, fences: Vec<(u64, u64)> },
    Switch { from: Pick, to: Generation, steps: i64 },
    Flush,
}

/// The right one, or this one.
#[derive(Clone, Copy, Debug)]
enum Pick {
    Right,
    Other(Option<Generation>),
}

impl Pick {
    fn from(self, right: Option<Generation>) -> Option<Generation> {
        match self {
            Self::Right => right,
            Self::Other(other) => other,
        }
    }
}

fn generation() -> impl Strategy<Value = Generation> {
    select(vec![0, 1, 0xfeed_0000_0000_0001, u64::MAX])
}

fn pick() -> impl Strategy<Value = Pick> {
    prop_oneof![
        6 => Just(Pick::Right),
        1 => proptest::option::of(generation()).prop_map(Pick::Other),
    ]
}

/// Mostly none.
fn off() -> impl Strategy<Value = i64> {
    prop_oneof![6 => Just(0_i64), 1 => -2..=2_i64]
}

fn rows() -> impl Strategy<Value = Rows> {
    let board = select(vec![
        BoardId { period: Period::All, from_s: 0 },
        BoardId { period: Period::Hour, from_s: 3_600 },
        BoardId { period: Period::Day, from_s: 0 },
        BoardId { period: Period::Week, from_s: -259_200 },
    ]);
    let anchor = select(vec![1, 2, 3, 9, 10, (1 << 53) + 1, i64::MAX]);
    let short = 1_000_000_000_000_000_i64;
    let worth = prop_oneof![
        6 => -9..20_i64,
        2 => select(vec![10_000_000_000, -10_000_000_000, 9_999_999_999, 1_000_000_000_000]),
        2 => select(vec![short - 1, short, -short, 1 - short, 1 << 53, -(1 << 53) - 1]),
        1 => select(vec![TOTAL_MAX - 1, TOTAL_MAX, TOTAL_MAX + 1, -TOTAL_MAX]),
        1 => select(vec![i64::MAX, i64::MAX - 1, i64::MIN, i64::MIN + 1]),
    ];
    let time = prop_oneof![6 => 0..5_i64, 1 => select(vec![1 << 53, i64::MAX])];
    btree_map((board, anchor), (worth, time), 0..12)
}

fn ask() -> impl Strategy<Value = Ask> {
    let fence = prop_oneof![6 => 0..4_u64, 1 => select(vec![(1 << 53) + 1, u64::MAX - 3])];
    prop_oneof![
        12 => (pick(), 0..3_u64, off(), 1..3_u64, rows(), 0..2_i64).prop_map(
            |(generation, writer, from, batches, rows, later_s)| {
                Ask::Apply { generation, writer, from, batches, rows, later_s }
            },
        ),
        4 => (generation(), off(), rows(), vec((0..3_u64, fence), 0..3)).prop_map(
            |(generation, step, rows, fences)| Ask::Load { generation, step, rows, fences },
        ),
        3 => (pick(), generation(), off())
            .prop_map(|(from, to, steps)| Ask::Switch { from, to, steps }),
        1 => Just(Ask::Flush),
    ]
}

fn moved(number: u64, by: i64) -> u64 {
    number.saturating_add_signed(by)
}

fn deltas(rows: &Rows, later_s: i64) -> Vec<Delta> {
    let delta = |(&(board, anchor_id), &(worth, reached_at_us)): (&(BoardId, i64), &(i64, i64))| {
        let expires_s = match board.period {
            Period::All => None,
            Period::Week => Some(PAST_S),
            _ => Some(FAR_S + later_s),
        };
        Delta { board, expires_s, anchor_id, worth, reached_at_us }
    };
    rows.iter().map(delta).collect()
}

/// Both sides.
struct Pair<'a> {
    redis: &'a Redis<'a>,
    scripts: RedisView,
    view: View,
}

impl<'a> Pair<'a> {
    fn new(redis: &'a Redis<'a>) -> Self {
        redis.flush();
        let scripts = RedisView::new(TAG, TOTAL_MAX);
        Self { redis, scripts, view: View::default() }
    }

    fn say(&self, command: Command) -> Result<ScriptAnswer, Unread> {
        reply::script(self.redis.ask(command))
    }

    fn ask(&mut self, ask: &Ask) -> Result<(), TestCaseError> {
        let (command, expected) = match ask {
            Ask::Apply { generation, writer, from, batches, rows, later_s } => {
                let current = self.view.current;
                let stream = Stream { writer: *writer, slot: 0 };
                let fence = self.view.keys().map_or(0, |keys| keys.fence(stream));
                let from = moved(fence, *from);
                let apply = Apply {
                    generation: generation.from(current).unwrap_or(7),
                    stream,
                    from,
                    to: from.saturating_add(*batches),
                    deltas: deltas(rows, *later_s),
                };
                (self.scripts.apply(&apply), self.view.apply(&apply, TOTAL_MAX))
            }
            Ask::Load { generation, step, rows, fences } => {
                let load = self.load(*generation, *step, rows, fences);
                (self.scripts.load(&load), self.view.load(&load))
            }
            Ask::Switch { from, to, steps } => {
                let made = self.view.generations.get(to).map_or(0, |keys| keys.steps);
                let from = from.from(self.view.current);
                let switch = Switch { from, to: *to, steps: moved(made, *steps) };
                (self.scripts.switch(&switch), self.view.switch(&switch))
            }
            Ask::Flush => {
                self.redis.flush();
                self.view = View::default();
                return Ok(());
            }
        };
        prop_assert_eq!(self.say(command), Ok(expected));
        self.view.expire(FAR_S - 1);
        Ok(())
    }

    fn load(&self, generation: Generation, step: i64, rows: &Rows, fences: &[(u64, u64)]) -> Load {
        let keys = self.view.generations.get(&generation);
        // No other step has the same rows.
        let is_new = |board: &BoardId, anchor_id: &i64| {
            let board = keys.and_then(|keys| keys.boards.get(board));
            !board.is_some_and(|board| board.scores.contains_key(anchor_id))
        };
        let rows = rows.iter().filter(|((board, anchor_id), _)| is_new(board, anchor_id));
        let fences = fences.iter().map(|&(writer, fence)| (Stream { writer, slot: 0 }, fence));
        Load {
            generation,
            step: moved(keys.map_or(0, |keys| keys.steps), step),
            rows: deltas(&rows.map(|(key, row)| (*key, *row)).collect(), 0),
            fences: fences.collect(),
        }
    }

    fn compare(&mut self) -> Result<(), TestCaseError> {
        let seen = reply::fences(self.redis.ask(self.scripts.fences())).expect("an answer");
        let (generation, keys) = self.view.fences(seen.generation);
        let expected = (generation, keys.is_hollow, &keys.fences);
        prop_assert_eq!((seen.generation, seen.is_hollow, &seen.fences), expected);
        prop_assert_eq!(&view_of(self.redis, TAG), &self.view);
        let board = BoardId { period: Period::All, from_s: 0 };
        for generation in [self.view.current.unwrap_or(7), 7] {
            self.compare_reads(generation, board)?;
        }
        Ok(())
    }

    fn compare_reads(&self, generation: Generation, id: BoardId) -> Result<(), TestCaseError> {
        let (board, none) =
            (self.view.keys().and_then(|keys| keys.boards.get(&id)), Board::default());
        let board = board.unwrap_or(&none);
        let pure: PureBoard =
            board.scores.iter().map(|(&id, &(total, time))| (id, total.max(0), time)).collect();
        let newest_us = board.scores.values().map(|score| score.1).max();
        for (offset, num) in [(0, 3), (1, 2), (0, 100), (2, 0)] {
            let part =
                reply::top(self.redis.ask(self.scripts.top(generation, id, offset, num)), offset);
            let part_here = TopPart { places: pure.top(offset, num), newest_us };
            prop_assert_eq!(part, Ok(self.seen(generation, part_here)));
        }
        for anchor in [1, 2, 4, i64::MAX] {
            for around in [0, 1, 2] {
                let command = self.scripts.rank(generation, id, anchor, around);
                let rank = reply::rank(self.redis.ask(command), around);
                prop_assert_eq!(rank, Ok(self.seen(generation, pure.standing(anchor, around))));
            }
            let worth = reply::worth(self.redis.ask(self.scripts.worth(generation, id, anchor)));
            let total = board.scores.get(&anchor).map(|score| score.0);
            prop_assert_eq!(worth, Ok(self.seen(generation, total)));
        }
        Ok(())
    }

    fn seen<T>(&self, generation: Generation, here: T) -> Seen<T> {
        match self.view.current {
            Some(current) if current == generation => Seen::Here(here),
            current => Seen::OtherGeneration(current),
        }
    }
}

fn side_by_side(redis: &Redis<'_>, cases: u32) {
    let config = ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() };
    // Most begin with a board to apply to.
    let asks = (prop::bool::weighted(0.8), vec(ask(), 1..24));
    let result = TestRunner::new(config).run(&asks, |(begun, asks)| {
        let mut pair = Pair::new(redis);
        if begun {
            pair.ask(&Ask::Switch { from: Pick::Right, to: 1, steps: 0 })?;
        }
        for ask in asks {
            pair.ask(&ask)?;
            pair.compare()?;
        }
        Ok(())
    });
    result.unwrap_or_else(|error| panic!("{error}"));
}

#[test]
fn scripts_do_what_the_pure_view_does() {
    let server = RedisServer::start(&[]);
    side_by_side(&Redis::single(&server), 64);
}

#[test]
fn scripts_do_what_the_pure_view_does_on_a_cluster_of_three() {
    let cluster = RedisCluster::start();
    side_by_side(&Redis::cluster(&cluster, TAG), 6);
}

fn gifts(generation: Generation, from: u64, worth: &[i64]) -> Apply {
    let all = BoardId { period: Period::All, from_s: 0 };
    let hour = BoardId { period: Period::Hour, from_s: 0 };
    let row = |(board, expires_s): (BoardId, Option<i64>)| {
        worth.iter().zip(1..).map(move |(&worth, anchor_id)| Delta {
            board,
            expires_s,
            anchor_id,
            worth,
            reached_at_us: 5,
        })
    };
    let deltas = [(all, None), (hour, Some(FAR_S))].into_iter().flat_map(row).collect();
    Apply { generation, stream: Stream { writer: 3, slot: 0 }, from, to: from + 1, deltas }
}

const DONE: ScriptAnswer = ScriptAnswer::Done { full: Vec::new() };

/// A server whose generation 1 has two anchors on two boards.
fn with_boards<'a>(redis: &'a Redis<'a>) -> Pair<'a> {
    let mut pair = Pair::new(redis);
    pair.ask(&Ask::Switch { from: Pick::Right, to: 1, steps: 0 }).expect("the same");
    let apply = gifts(1, 0, &[4, 6]);
    assert_eq!(pair.view.apply(&apply, TOTAL_MAX), DONE);
    assert_eq!(pair.say(pair.scripts.apply(&apply)), Ok(DONE));
    pair.compare().expect("the same");
    pair
}

#[test]
fn a_script_that_cannot_do_all_does_nothing() {
    let server = RedisServer::start(&[]);
    let redis = Redis::single(&server);
    let pair = with_boards(&redis);
    let before = redis.everything();
    // The last of the rows does not fit.
    let refused = gifts(1, 1, &[1, i64::MAX]);
    assert_eq!(pair.say(pair.scripts.apply(&refused)), Ok(ScriptAnswer::Refused));
    assert_eq!(redis.everything(), before);
    // Redis is full, and says so.
    server.ask::<()>(&["CONFIG", "SET", "maxmemory", "1"]);
    let next = gifts(1, 1, &[1, -6, 1]);
    assert_eq!(pair.say(pair.scripts.apply(&next)), Err(Unread::Away(Away::NotRun)));
    assert_eq!(redis.everything(), before);
    server.ask::<()>(&["CONFIG", "SET", "maxmemory", "0"]);
    // Another has put something else under one of the names.
    for key in redis.keys() {
        redis.flush();
        let pair = with_boards(&redis);
        server.ask::<()>(&["DEL", &key]);
        server.ask::<()>(&["XADD", &key, "1-1", "a", "b"]);
        let before = redis.everything();
        let answer = pair.say(pair.scripts.apply(&next));
        // The list of boards is looked at only when there is a new one, that of generations never.
        if !key.ends_with(":generations") && !key.ends_with(":boards") {
            assert!(matches!(answer, Err(Unread::Strange(_))), "{key}: {answer:?}");
            assert_eq!(redis.everything(), before, "{key}");
        }
    }
}

#[test]
fn totals_end_exactly_where_64_bits_do() {
    let server = RedisServer::start(&[]);
    let redis = Redis::single(&server);
    let end = 10_000_000_000_i64;
    for worths in [
        vec![i64::MAX, 1, -1, 1, 1, i64::MIN, i64::MIN],
        vec![i64::MAX - 1, 2, 1],
        vec![i64::MIN, -1, 1, -1, -1, i64::MAX, i64::MAX],
        vec![i64::MIN + 1, -2, -1],
        vec![TOTAL_MAX - 1, 1, -1, 1],
        vec![end - 1, 1, -1, -end, -end, 1, end, end - 1],
    ] {
        let mut pair = Pair::new(&redis);
        pair.ask(&Ask::Switch { from: Pick::Right, to: 1, steps: 0 }).expect("the same");
        let board = BoardId { period: Period::All, from_s: 0 };
        for worth in worths {
            let rows = Rows::from([((board, 1), (worth, 5))]);
            let generation = Pick::Right;
            let gift = Ask::Apply { generation, writer: 0, from: 0, batches: 1, rows, later_s: 0 };
            pair.ask(&gift).expect("the same");
            pair.compare().expect("the same");
        }
    }
}

#[test]
fn a_forgotten_script_is_given_again() {
    let server = RedisServer::start(&[]);
    let redis = Redis::single(&server);
    let mut pair = with_boards(&redis);
    server.ask::<()>(&["SCRIPT", "FLUSH"]);
    let apply = gifts(1, 1, &[1, -6]);
    assert_eq!(pair.say(pair.scripts.apply(&apply)), Ok(DONE));
    pair.view.apply(&apply, TOTAL_MAX);
    pair.compare().expect("the same");
    // A repetition changes nothing.
    assert_eq!(pair.say(pair.scripts.apply(&apply)), Ok(DONE));
    pair.compare().expect("the same");
}

#[test]
fn in_a_slot_that_moves_a_script_does_all_or_nothing() {
    let cluster = RedisCluster::start();
    let redis = Redis::cluster(&cluster, TAG);
    let mut pair = with_boards(&redis);
    let key = format!("{{{TAG}}}:current");
    let from = cluster.owner(&key);
    let to = cluster.owner_other_than(from);
    let slot: i64 = cluster.nodes[from].ask(&["CLUSTER", "KEYSLOT", &key]);
    let id = |node: usize| cluster.nodes[node].ask::<String>(&["CLUSTER", "MYID"]);
    let set = |node: usize, how: &str, id: &str| {
        cluster.nodes[node].ask::<()>(&["CLUSTER", "SETSLOT", &slot.to_string(), how, id]);
    };
    set(to, "IMPORTING", &id(from));
    set(from, "MIGRATING", &id(to));
    // The only places go, and others come, on the same board and in one script.
    let apply = gifts(1, 1, &[-4, -6, 1]);
    assert_eq!(pair.say(pair.scripts.apply(&apply)), Ok(DONE));
    pair.view.apply(&apply, TOTAL_MAX);
    assert_eq!(view_of(&redis, TAG), pair.view);
    // A board that is not there cannot be made until the slot has moved.
    let mut new = gifts(1, 2, &[7]);
    new.deltas[0].board = BoardId { period: Period::Day, from_s: 0 };
    assert_eq!(pair.say(pair.scripts.apply(&new)), Err(Unread::Away(Away::NotRun)));
    assert_eq!(view_of(&redis, TAG), pair.view);
}
