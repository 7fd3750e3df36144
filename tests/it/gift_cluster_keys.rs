//! A real Redis as the tests of the scripts see it: asked through the lane, read key by key.

use crate::redis_lane::options;
use crate::redis_server::{RedisCluster, RedisServer};
use crossbeam_channel::unbounded;
use fanfare::gift::Period;
use fanfare::gift::cluster::{Board, BoardId, PlaceName, Stream, View};
use fanfare::store::lane::LaneThreads;
use fanfare::store::redis::{Answer, Command, RedisJob, RedisLane, RedisOptions, Value};
use std::collections::BTreeMap;
use std::time::Duration;

/// The server, or the node of a cluster, that holds the keys under a tag.
pub(crate) struct Redis<'a> {
    lane: RedisLane,
    holder: &'a RedisServer,
    _threads: LaneThreads,
}

impl<'a> Redis<'a> {
    pub(crate) fn single(server: &'a RedisServer) -> Self {
        Self::open(&[server.url()], server)
    }

    pub(crate) fn cluster(cluster: &'a RedisCluster, tag: &str) -> Self {
        let holder = &cluster.nodes[cluster.owner(&format!("{{{tag}}}"))];
        Self::open(&cluster.urls(), holder)
    }

    fn open(urls: &[String], holder: &'a RedisServer) -> Self {
        let patient = RedisOptions { timeout: Duration::from_secs(30), ..options(urls) };
        let (lane, threads) = RedisLane::open(&patient).expect("options that are fit");
        Self { lane, holder, _threads: threads }
    }

    #[track_caller]
    pub(crate) fn ask(&self, command: Command) -> Answer {
        let (said, heard) = unbounded();
        let job = RedisJob::new(command, move |answer| {
            said.send(answer).expect("the test listens");
        });
        self.lane.submit_pinned(0, job).expect("room in the queue");
        heard.recv().expect("every job is answered")
    }

    /// Boards and scripts.
    pub(crate) fn flush(&self) {
        self.holder.ask::<()>(&["FLUSHALL"]);
        self.holder.ask::<()>(&["SCRIPT", "FLUSH"]);
    }

    pub(crate) fn keys(&self) -> Vec<String> {
        self.holder.ask(&["KEYS", "*"])
    }

    /// Every key as Redis would dump it, which tells the smallest difference.
    pub(crate) fn everything(&self) -> BTreeMap<String, Value> {
        let keys = self.keys().into_iter();
        keys.map(|key| (key.clone(), self.holder.ask(&["DUMP", &key]))).collect()
    }

    fn words(&self, name: &str, key: &str, more: &[&str]) -> Vec<String> {
        let command = more.iter().fold(Command::new(name, key), Command::arg);
        let Answer::Done(value) = self.ask(command) else { panic!("{name} {key}") };
        redis::from_redis_value(value).expect("words")
    }

    fn pairs(&self, key: &str) -> BTreeMap<String, String> {
        let words = self.words("HGETALL", key, &[]);
        words.chunks_exact(2).map(|pair| (pair[0].clone(), pair[1].clone())).collect()
    }

    fn expires_s(&self, key: &str) -> Option<i64> {
        match self.ask(Command::new("EXPIRETIME", key)) {
            Answer::Done(Value::Int(-1)) => None,
            Answer::Done(Value::Int(second)) => Some(second),
            other => panic!("EXPIRETIME {key}: {other:?}"),
        }
    }
}

/// All that Redis holds under a tag, as the pure view. Panics over whatever has no place there.
pub(crate) fn view_of(redis: &Redis<'_>, tag: &str) -> View {
    let prefix = format!("{{{tag}}}:");
    let mut keys = redis.words("KEYS", &format!("{prefix}*"), &[]);
    // A board's scores come after its places, then.
    keys.sort();
    let mut view = View::default();
    let mut listed = Vec::new();
    for key in &keys {
        let words: Vec<&str> = key[prefix.len()..].split(':').collect();
        match words[..] {
            ["current"] => {
                let Answer::Done(Value::BulkString(name)) = redis.ask(Command::new("GET", key))
                else {
                    panic!("no current generation");
                };
                view.current = Some(hex(std::str::from_utf8(&name).expect("text")));
            }
            ["generations"] => {
                listed = redis.words("SMEMBERS", key, &[]).iter().map(|name| hex(name)).collect();
            }
            [generation, "fences"] => {
                read_fences(&mut view, hex(generation), redis.pairs(key));
            }
            [_, "boards"] => {}
            [generation, kind, from, part] => {
                let board = BoardId { period: period(kind), from_s: number(from) };
                let keys = view.generations.entry(hex(generation)).or_default();
                read_board(redis, keys.boards.entry(board).or_default(), key, part);
                let names = redis.words("SMEMBERS", &format!("{prefix}{generation}:boards"), &[]);
                assert!(names.contains(&format!("{kind}:{from}")), "{key} is not listed");
            }
            _ => panic!("{key} is nothing of ours"),
        }
    }
    for generation in view.generations.keys() {
        assert!(listed.contains(generation), "{generation:x} is not listed");
    }
    for generation in listed {
        view.generations.entry(generation).or_default();
    }
    view
}

fn read_fences(view: &mut View, generation: u64, pairs: BTreeMap<String, String>) {
    let keys = view.generations.entry(generation).or_default();
    for (name, count) in pairs {
        if name == "hollow" {
            keys.is_hollow = true;
            continue;
        }
        assert_eq!(count.len(), 20, "{name}");
        if name == "steps" {
            keys.steps = number(&count);
        } else {
            let (writer, slot) = name.split_once(':').expect("writer and slot");
            let slot = u16::try_from(hex(slot)).expect("a slot");
            keys.fences.insert(Stream { writer: hex(writer), slot }, number(&count));
        }
    }
}

fn read_board(redis: &Redis<'_>, board: &mut Board, key: &str, part: &str) {
    let expires_s = redis.expires_s(key);
    if part == "places" {
        board.expires_s = expires_s;
        let members = redis.words("ZRANGE", key, &["0", "-1", "WITHSCORES"]);
        for pair in members.chunks_exact(2) {
            assert_eq!(pair[1], "0");
            board.places.insert(PlaceName::parse(&pair[0]).expect("a name of a place"));
        }
        return;
    }
    assert_eq!(part, "scores");
    assert!(board.places.is_empty() || board.expires_s == expires_s, "{key}: they go together");
    board.expires_s = expires_s;
    let mut pairs = redis.pairs(key);
    let newest = pairs.remove("newest").expect("every board has one");
    for (field, value) in pairs {
        assert_eq!((field.len(), value.len()), (20, 40), "{field} {value}");
        let (total, time) = value.split_at(20);
        let score = (number(total), i64::MAX - number::<i64>(time));
        board.scores.insert(i64::MAX - number::<i64>(&field), score);
    }
    let newest = i64::MAX - number::<i64>(&newest);
    assert_eq!(board.scores.values().map(|score| score.1).max(), Some(newest));
}

fn hex(name: &str) -> u64 {
    u64::from_str_radix(name, 16).expect("hex digits")
}

fn number<T: std::str::FromStr>(text: &str) -> T {
    text.parse().unwrap_or_else(|_| panic!("{text} is no number"))
}

fn period(kind: &str) -> Period {
    match kind {
        "all" => Period::All,
        "hour" => Period::Hour,
        "day" => Period::Day,
        "week" => Period::Week,
        _ => panic!("no kind of board: {kind}"),
    }
}
