//! The lane to Redis against a real cluster of three: routing, slots that move, a failover.

use crate::redis_lane::{Rig, options};
use crate::redis_server::{RedisCluster, RedisServer, wait_for};
use fanfare::store::redis::{Answer, Command, Script, Value};
use std::collections::BTreeSet;

fn set(key: &str, value: &str) -> Command {
    Command::new("SET", key).arg(value)
}

fn get(key: &str) -> Command {
    Command::new("GET", key)
}

fn text(value: &str) -> Answer {
    Answer::Done(Value::BulkString(value.into()))
}

/// One test for all of it, since a cluster takes seconds to make.
#[test]
fn commands_find_their_node_wherever_it_goes() {
    let mut cluster = RedisCluster::start();
    options(&cluster.urls()).check().expect("a cluster that is fit");
    let rig = Rig::to(&cluster.urls());
    routes_by_slot(&cluster, &rig);
    scripts_go_by_hash_tag(&cluster, &rig);
    follows_a_slot_that_moves(&cluster, &rig);
    survives_a_failover(&mut cluster, &rig);
}

fn routes_by_slot(cluster: &RedisCluster, rig: &Rig) {
    let keys: Vec<String> = (0..60).map(|key| format!("key:{key}")).collect();
    let connected = rig.lane.changes();
    for key in &keys {
        assert_eq!(rig.ask(set(key, key)), Answer::Done(Value::Okay));
    }
    let nodes = u64::try_from(3 * rig.lane.threads()).expect("a few");
    assert!(rig.lane.changes() <= connected + nodes, "connections, but no detour");
    let owners: BTreeSet<usize> = keys.iter().map(|key| cluster.owner(key)).collect();
    assert_eq!(owners.len(), 3, "they are spread");
    // From one seed alone all others are found.
    let one = Rig::to(&cluster.urls()[..1]);
    for key in &keys {
        assert_eq!(one.ask(get(key)), text(key));
    }
    assert!(one.lane.changes() <= nodes);
}

fn scripts_go_by_hash_tag(cluster: &RedisCluster, rig: &Rig) {
    let both = Script::new(
        "redis.call('SET', KEYS[1], ARGV[1]) redis.call('SET', KEYS[2], ARGV[2]) return KEYS[2]",
    );
    for board in 0..20 {
        let (total, rank) = (format!("{{board:{board}}}:total"), format!("{{board:{board}}}:rank"));
        let run = Command::script(&both, &[total.as_bytes(), rank.as_bytes()]).arg("1").arg("2");
        assert_eq!(rig.ask(run), text(&rank));
        assert_eq!(cluster.owner(&total), cluster.owner(&rank));
    }
    let apart = Command::script(&both, &[b"{a}", b"{b}"]).arg("1").arg("2");
    let refused = rig.ask(apart);
    assert!(matches!(&refused, Answer::Refused(reason) if reason.contains("slot")), "{refused:?}");
}

/// A slot in mid-move answers ASK for what has gone, and MOVED once all has.
fn follows_a_slot_that_moves(cluster: &RedisCluster, rig: &Rig) {
    let key = "{moving}n";
    let from = cluster.owner(key);
    let to = cluster.owner_other_than(from);
    let slot: i64 = cluster.nodes[from].ask(&["CLUSTER", "KEYSLOT", key]);
    let slot = slot.to_string();
    let id = |node: usize| cluster.nodes[node].ask::<String>(&["CLUSTER", "MYID"]);
    let (from_id, to_id) = (id(from), id(to));
    let set_slot = |node: &RedisServer, how: &str, id: &str| {
        node.ask::<()>(&["CLUSTER", "SETSLOT", &slot, how, id]);
    };
    set_slot(&cluster.nodes[to], "IMPORTING", &from_id);
    set_slot(&cluster.nodes[from], "MIGRATING", &to_id);
    let before = rig.lane.changes();
    assert_eq!(rig.ask(set(key, "new")), Answer::Done(Value::Okay), "by ASK");
    let count = Script::new("return redis.call('APPEND', KEYS[1], ARGV[1])");
    let run = || Command::script(&count, &[key.as_bytes()]).arg("er");
    assert_eq!(rig.ask(run()), Answer::Done(Value::Int(5)), "ASK and a script to load");
    assert_eq!(rig.lane.changes(), before, "nothing has moved yet");
    set_slot(&cluster.nodes[to], "NODE", &to_id);
    set_slot(&cluster.nodes[from], "NODE", &to_id);
    assert_eq!(rig.ask(get(key)), text("newer"), "by MOVED");
    assert!(rig.lane.changes() > before, "a moved slot is told");
    assert_eq!(rig.ask(run()), Answer::Done(Value::Int(7)));
}

fn survives_a_failover(cluster: &mut RedisCluster, rig: &Rig) {
    let key = "key:7";
    let owner = cluster.owner(key);
    let other = (0..60).map(|key| format!("key:{key}")).find(|key| cluster.owner(key) != owner);
    let other = other.expect("keys are spread");
    // What the primary has told nobody dies with it: wait until its replica has it.
    assert_eq!(cluster.nodes[owner].ask::<i64>(&["WAIT", "1", "10000"]), 1);
    // A primary that dies before all have heard of a slot it took over gets no successor.
    cluster.wait_agreed();
    let before = rig.lane.changes();
    cluster.nodes[owner].kill();
    assert!(matches!(rig.ask(get(key)), Answer::Away(_)));
    assert!(rig.lane.is_away());
    wait_for("the replica to take over", || rig.ask(get(key)) == text(key));
    assert!(rig.lane.changes() > before);
    assert_eq!(rig.ask(get(&other)), text(&other));
    assert!(!rig.lane.is_away());
}
