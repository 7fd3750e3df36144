//! The lane to Redis against a real server, and against what networks do.

use crate::fault_proxy::{Fault, FaultProxy};
use crate::redis_server::{RedisServer, wait_for};
use crossbeam_channel::{Receiver, unbounded};
use fanfare::store::lane::{LaneError, LaneThreads, ShedReason};
use fanfare::store::redis::{
    Answer, Away, Command, RedisJob, RedisLane, RedisOptions, Script, Value,
};
use std::collections::BTreeSet;
use std::time::Duration;

/// A lane, and the way to wait for its answers.
pub(crate) struct Rig {
    pub(crate) lane: RedisLane,
    threads: LaneThreads,
}

impl Rig {
    pub(crate) fn to(urls: &[String]) -> Self {
        Self::with(&options(urls))
    }

    fn with(options: &RedisOptions) -> Self {
        let (lane, threads) = RedisLane::open(options).expect("options that are fit");
        Self { lane, threads }
    }

    /// To one server, by one thread: what is given in order runs in order.
    fn alone(url: &str) -> Self {
        Self::with(&RedisOptions { threads: 1, ..options(&[url.to_owned()]) })
    }

    fn give(&self, pin: u64, command: Command) -> Receiver<Answer> {
        let (said, heard) = unbounded();
        let job = RedisJob::new(command, move |answer| {
            said.send(answer).expect("the test listens");
        });
        self.lane.submit_pinned(pin, job).expect("room in the queue");
        heard
    }

    #[track_caller]
    pub(crate) fn ask(&self, command: Command) -> Answer {
        self.give(0, command).recv().expect("every job is answered")
    }

    /// Asks a harmless question until it is answered.
    pub(crate) fn wait_until_back(&self) {
        wait_for("Redis to be found again", || {
            matches!(self.ask(Command::new("GET", "nothing")), Answer::Done(_))
        });
    }
}

pub(crate) fn options(urls: &[String]) -> RedisOptions {
    RedisOptions {
        urls: urls.to_vec(),
        threads: 4,
        connect_timeout: Duration::from_millis(500),
        timeout: Duration::from_millis(500),
        queue_jobs_max: 1_024,
        batch_jobs_max: 256,
    }
}

fn get(key: &str) -> Command {
    Command::new("GET", key)
}

fn increment(key: &str) -> Command {
    Command::new("INCR", key)
}

fn text(value: &str) -> Answer {
    Answer::Done(Value::BulkString(value.into()))
}

fn number(value: i64) -> Answer {
    Answer::Done(Value::Int(value))
}

const NOT_RUN: Answer = Answer::Away(Away::NotRun);
const UNKNOWN: Answer = Answer::Away(Away::Unknown);

#[test]
fn what_has_queued_goes_as_one_pipeline_and_comes_back_in_order() {
    let server = RedisServer::start(&[]);
    let proxy = FaultProxy::before(server.addr());
    let rig = Rig::alone(&format!("redis://{}", proxy.addr()));
    assert_eq!(rig.ask(increment("n")), number(1));
    // While the first answer is held back, all the others queue.
    proxy.set(Fault::Delay(Duration::from_millis(100)));
    let (before, changes) = (proxy.reads(), rig.lane.changes());
    let answers: Vec<_> = (0..200)
        .map(|turn| {
            rig.give(
                0,
                if turn % 10 == 9 { Command::new("LPUSH", "n").arg("x") } else { increment("n") },
            )
        })
        .collect();
    let mut expected = 1;
    for (turn, answer) in answers.into_iter().enumerate() {
        let answer = answer.recv().expect("answered");
        if turn % 10 == 9 {
            assert!(
                matches!(&answer, Answer::Refused(reason) if reason.starts_with("WRONGTYPE")),
                "{answer:?}"
            );
        } else {
            expected += 1;
            assert_eq!(answer, number(expected));
        }
    }
    assert!(proxy.reads() - before <= 20, "few segments for 200 commands");
    assert_eq!(rig.lane.changes(), changes);
    drop(rig.lane);
    assert_eq!(rig.threads.join(Duration::from_secs(60)), 0);
}

#[test]
fn a_pin_is_a_thread_and_a_thread_is_a_connection() {
    let server = RedisServer::start(&[]);
    let rig = Rig::to(&[server.url()]);
    let client = |pin| rig.give(pin, Command::new("CLIENT", "ID")).recv().expect("answered");
    let clients = |pin| (0..5).map(|_| format!("{:?}", client(pin))).collect::<BTreeSet<_>>();
    assert_eq!(clients(7).len(), 1);
    assert_eq!(clients(7), clients(11), "four threads");
    let all: BTreeSet<_> = (0..4).flat_map(clients).collect();
    assert_eq!(all.len(), rig.lane.threads());
}

#[test]
fn a_forgotten_script_is_loaded_again_and_runs_once() {
    let server = RedisServer::start(&[]);
    let rig = Rig::alone(&server.url());
    let add = Script::new("return redis.call('INCRBY', KEYS[1], ARGV[1])");
    let run = || Command::script(&add, &[b"{b}n"]).arg("5");
    assert_eq!(rig.ask(run()), number(5));
    server.ask::<()>(&["SCRIPT", "FLUSH"]);
    let answers: Vec<_> = (0..3).map(|_| rig.give(0, run())).collect();
    let answers: Vec<_> = answers.iter().map(|answer| answer.recv().expect("answered")).collect();
    assert_eq!(answers, [number(10), number(15), number(20)]);
    let broken = Script::new("return redis.error_reply('REFUSE as it should')");
    let answer = rig.ask(Command::script(&broken, &[b"n"]));
    assert_eq!(answer, Answer::Refused("REFUSE as it should".to_owned()));
}

#[test]
fn a_server_that_may_forget_is_refused_at_the_start_and_later() {
    let server = RedisServer::start(&["--maxmemory-policy", "allkeys-lru"]);
    let refusal = options(&[server.url()]).check().expect_err("it evicts");
    assert!(matches!(refusal, LaneError::Unfit { .. }));
    assert!(refusal.to_string().contains("set it to noeviction"), "{refusal}");
    server.ask::<()>(&["CONFIG", "SET", "maxmemory-policy", "noeviction"]);
    options(&[server.url()]).check().expect("fit now");

    let rig = Rig::alone(&server.url());
    assert_eq!(rig.ask(increment("n")), number(1));
    server.ask::<()>(&["CONFIG", "SET", "maxmemory-policy", "volatile-ttl"]);
    server.ask::<i64>(&["CLIENT", "KILL", "TYPE", "normal"]);
    assert_eq!(rig.ask(increment("n")), UNKNOWN, "the connection was cut");
    wait_for("the new connection to be refused", || rig.ask(get("n")) == NOT_RUN);
    assert!(rig.lane.is_away());
    server.ask::<()>(&["CONFIG", "SET", "maxmemory-policy", "noeviction"]);
    rig.wait_until_back();
    assert!(!rig.lane.is_away());
}

#[test]
fn several_addresses_that_are_no_cluster_are_refused() {
    let servers = [RedisServer::start(&[]), RedisServer::start(&[])];
    let refusal = options(&servers.each_ref().map(RedisServer::url)).check();
    assert!(matches!(refusal, Err(LaneError::Unfit { .. })), "{refusal:?}");
}

#[test]
fn no_complaint_shows_the_password() {
    let server = RedisServer::start(&[
        "--user", "me", "on", "+@all", "~*", ">hunter2", "--user", "default", "on", "nopass",
        "+@all", "~*",
    ]);
    let with = |user: &str| options(&[format!("redis://{user}@{}", server.addr())]);
    let right = with("me:hunter2");
    right.check().expect("the right password");
    let rig = Rig::with(&right);
    assert_eq!(rig.ask(Command::new("ACL", "WHOAMI")), text("me"));
    let unclear = options(&["redis://me:hunter2@:x/y".to_owned()]);
    let nowhere = options(&["redis://me:hunter2@127.0.0.1:1".to_owned()]);
    let no_tls = options(&[format!("rediss://me:hunter2@{}", server.addr())]);
    for options in [with("me:hunter22"), unclear, nowhere, no_tls] {
        let refusal = options.check().expect_err("not usable");
        let said = format!("{refusal} {refusal:?} {options:?}");
        assert!(!said.contains("hunter2"), "{said}");
    }
}

#[test]
fn a_server_that_cannot_write_is_away_and_has_run_nothing() {
    let server = RedisServer::start(&[]);
    let rig = Rig::alone(&server.url());
    assert_eq!(rig.ask(increment("n")), number(1));
    let troubles = [("maxmemory", "1", "0"), ("min-replicas-to-write", "1", "0")];
    for (setting, bad, good) in troubles {
        server.ask::<()>(&["CONFIG", "SET", setting, bad]);
        assert_eq!(rig.ask(increment("n")), NOT_RUN, "{setting}");
        assert_eq!(rig.ask(get("n")), text("1"), "reads go on");
        server.ask::<()>(&["CONFIG", "SET", setting, good]);
    }
    server.ask::<()>(&["REPLICAOF", "127.0.0.1", "1"]);
    assert_eq!(rig.ask(increment("n")), NOT_RUN, "a replica");
    server.ask::<()>(&["REPLICAOF", "NO", "ONE"]);
    rig.wait_until_back();
    assert_eq!(rig.ask(increment("n")), number(2));
}

#[test]
fn a_full_disk_is_away_and_heals() {
    let server = RedisServer::start(&[]);
    let rig = Rig::alone(&server.url());
    assert_eq!(rig.ask(increment("n")), number(1));
    // A dump that fails, as on a full disk, makes Redis refuse writes with MISCONF.
    server.break_dumps();
    assert_eq!(rig.ask(increment("n")), NOT_RUN);
    server.mend_dumps();
    wait_for("writes to be taken again", || rig.ask(increment("n")) == number(2));
}

#[test]
fn a_dropped_answer_is_unknown_and_never_the_answer_to_another() {
    let server = RedisServer::start(&[]);
    let proxy = FaultProxy::before(server.addr());
    let rig = Rig::alone(&format!("redis://{}", proxy.addr()));
    server.ask::<()>(&["MSET", "a", "first", "b", "second"]);
    assert_eq!(rig.ask(get("a")), text("first"));
    let faults = [
        Fault::DropAnswer,
        Fault::CutAfter(3),
        Fault::BlackHole,
        // Longer than the lane waits: the answer arrives when nobody wants it any more.
        Fault::Delay(Duration::from_millis(900)),
    ];
    for fault in faults {
        let before = rig.lane.changes();
        proxy.set(fault);
        assert_eq!(rig.ask(get("a")), UNKNOWN, "{fault:?}");
        assert!(rig.lane.changes() > before, "a lost connection is told");
        proxy.set(Fault::None);
        rig.wait_until_back();
        assert_eq!(rig.ask(get("b")), text("second"), "after {fault:?}");
    }
    // Part of a pipeline came through: that part is known.
    let before: i64 = server.ask(&["INCR", "n"]);
    proxy.set(Fault::CutAfter(4));
    let (first, second) = (rig.ask(increment("n")), rig.ask(increment("n")));
    assert_eq!((first, second), (number(before + 1), UNKNOWN), "\":2\" and its line end");
    let after: i64 = server.ask(&["GET", "n"]);
    assert!((before + 1..=before + 2).contains(&after));
}

#[test]
fn while_nobody_is_there_answers_come_at_once_and_a_restart_heals() {
    let mut server = RedisServer::start(&[]);
    let rig = Rig::to(&[server.url()]);
    for pin in 0..4 {
        assert_eq!(rig.give(pin, get("n")).recv(), Ok(Answer::Done(Value::Nil)));
    }
    let before = rig.lane.changes();
    server.kill();
    assert_eq!(rig.ask(increment("n")), UNKNOWN);
    wait_for("a pause to be kept", || rig.ask(increment("n")) == NOT_RUN);
    assert!(rig.lane.is_away());
    server.start_again();
    rig.wait_until_back();
    assert_eq!(rig.ask(increment("n")), number(1), "it came back empty");
    assert!(rig.lane.changes() > before);

    server.dump();
    assert_eq!(rig.ask(increment("n")), number(2));
    server.roll_back();
    rig.wait_until_back();
    assert_eq!(rig.ask(get("n")), text("1"), "rolled back");
    server.restart_empty();
    rig.wait_until_back();
    assert_eq!(rig.ask(get("n")), Answer::Done(Value::Nil));

    server.stop();
    assert_eq!(rig.ask(get("n")), UNKNOWN);
    server.go_on();
    rig.wait_until_back();
}

#[test]
fn a_full_queue_hands_the_job_back() {
    let server = RedisServer::start(&[]);
    let narrow = RedisOptions {
        threads: 1,
        queue_jobs_max: 1,
        batch_jobs_max: 1,
        ..options(&[server.url()])
    };
    let rig = Rig::with(&narrow);
    server.stop();
    let (said, heard) = unbounded();
    let job = || {
        let said = said.clone();
        RedisJob::new(get("n"), move |answer| said.send(answer).expect("the test listens"))
    };
    let mut given = 0;
    let shed = loop {
        match rig.lane.submit(job()) {
            Ok(()) => given += 1,
            Err(shed) => break shed,
        }
    };
    assert_eq!(shed.reason, ShedReason::Full);
    assert!((1..=2).contains(&given), "{given}: one under way, one in the queue");
    shed.job.give_up();
    assert_eq!(heard.recv(), Ok(NOT_RUN));
    server.go_on();
    for _ in 0..given {
        heard.recv().expect("answered");
    }
}
