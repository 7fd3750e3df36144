//! The cluster's protocol under lost messages, dying processes and a Redis that forgets.
//!
//! `FANFARE_CLUSTER_SEED=n` replays one seed, `FANFARE_CLUSTER_SEEDS=n` runs as many (2,000 unless
//! told).

use crate::gift_cluster_redis::Flaw;
use crate::gift_cluster_world::{Counts, World, rules};
use fanfare::gift::Period;
use fanfare::gift::board::Board;
use fanfare::gift::cluster::{BoardId, Record, Stream};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

const SEEDS: u64 = 2_000;
/// A planted flaw is found within so many.
const SEEDS_PER_FLAW: u64 = 200;

/// Total and time of an anchor.
type Scores = BTreeMap<i64, (i64, i64)>;

fn scores<'a>(records: impl Iterator<Item = &'a Record>) -> Scores {
    let mut scores = Scores::new();
    for Record { draft, .. } in records {
        let score = scores.entry(draft.entry.anchor_id).or_insert((0, i64::MIN));
        *score = (score.0 + draft.entry.worth, score.1.max(draft.entry.time_us));
    }
    scores
}

/// An answer that is not marked: it holds all that was acknowledged before it was asked, and is
/// exactly what its fences say.
pub(crate) fn check_read(world: &World, owed: &BTreeMap<Stream, u64>) -> Result<(), String> {
    let keys = world.redis.view.keys().ok_or("a fresh answer from an empty Redis")?;
    let all = keys.boards.get(&BoardId { period: Period::All, from_s: 0 });
    for (&stream, &seq) in owed {
        if keys.fence(stream) < seq {
            return Err(format!(
                "an unmarked answer lacks what was acknowledged: {stream:?} {seq}"
            ));
        }
    }
    let journal = world.mongo.journal.values();
    let expected = scores(journal.filter(|record| record.seq <= keys.fence(record.stream)));
    let found = all.map(|board| board.scores.clone()).unwrap_or_default();
    if expected == found {
        return Ok(());
    }
    Err(format!("an unmarked answer is {found:?}, the journal up to its fences {expected:?}"))
}

fn check_end(world: &World) -> Result<(), String> {
    let ids: BTreeSet<i64> = world.acked.iter().map(|entry| entry.id).collect();
    for id in ids {
        let count =
            world.mongo.journal.values().filter(|record| record.draft.entry.id == id).count();
        if count != 1 {
            return Err(format!("acknowledged entry {id} is {count} times in the journal"));
        }
    }
    let keys = world.redis.view.keys().ok_or("no board at the end")?;
    let (rules, now_s) = (rules(), world.wall_s());
    let mut boards: BTreeMap<BoardId, Vec<&Record>> = BTreeMap::new();
    for record in world.mongo.journal.values() {
        let at_s = record.draft.gift_time_us.div_euclid(1_000_000);
        boards.entry(BoardId { period: Period::All, from_s: 0 }).or_default().push(record);
        for period in [Period::Hour, Period::Day, Period::Week] {
            let span = rules.calendar.span(period, at_s).ok_or("within the calendar")?;
            if rules.keep.is_kept(period, span, now_s) {
                let board = BoardId { period, from_s: span.from_s };
                boards.entry(board).or_default().push(record);
            }
        }
    }
    for (id, records) in boards {
        let scores = scores(records.into_iter());
        let found = keys.boards.get(&id).ok_or_else(|| format!("no board {id:?}"))?;
        if found.scores != scores {
            return Err(format!("{id:?}: {:?} and not {scores:?}", found.scores));
        }
        let sorted: Board = scores.iter().map(|(&id, &(total, at))| (id, total, at)).collect();
        let places = sorted.top(0, usize::MAX);
        let expected: Vec<_> =
            places.iter().map(|place| (place.total_worth, place.reached_at_us, place.id)).collect();
        if found.top(usize::MAX) != expected {
            return Err(format!("{id:?}: in another order"));
        }
    }
    Ok(())
}

fn simulate(seed: u64, flaw: Flaw) -> Result<Counts, String> {
    let mut world = World::new(seed, flaw);
    world
        .run()
        .and_then(|()| check_end(&world))
        .map_err(|what| format!("seed {seed} with {flaw:?} after {} ms: {what}", world.now_ms))?;
    // A flaw is found by what is wrong, not by what takes longer.
    match world.unsettled().filter(|_| flaw == Flaw::None || flaw == Flaw::LeaseForAll) {
        Some(unsettled) => Err(format!("seed {seed} with {flaw:?} at the end: {unsettled}")),
        None => Ok(world.counts),
    }
}

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok()?.parse().ok()
}

/// Runs seeds on two threads; what they did.
fn simulate_all(seeds: Range<u64>, flaw: Flaw) -> Vec<Counts> {
    let half = seeds.start + (seeds.end - seeds.start) / 2;
    let run = |seeds: Range<u64>| seeds.map(|seed| simulate(seed, flaw)).collect::<Vec<_>>();
    let results = std::thread::scope(|scope| {
        let first = scope.spawn(|| run(seeds.start..half));
        let mut results = run(half..seeds.end);
        results.extend(first.join().expect("a node or the simulation broke a promise"));
        results
    });
    let (good, bad): (Vec<_>, Vec<_>) = results.into_iter().partition(Result::is_ok);
    let complaints: Vec<_> = bad.into_iter().filter_map(Result::err).collect();
    let first: Vec<_> = complaints.iter().take(5).cloned().collect();
    assert!(first.is_empty(), "{} seeds failed:\n{}", complaints.len(), first.join("\n"));
    good.into_iter().flatten().collect()
}

fn assert_found(flaw: Flaw) {
    let found = (0..SEEDS_PER_FLAW).find_map(|seed| simulate(seed, flaw).err());
    let found = found.unwrap_or_else(|| panic!("{flaw:?} was not found in {SEEDS_PER_FLAW} seeds"));
    eprintln!("{found}");
}

#[test]
fn the_board_is_the_journal_after_every_seed() {
    let seeds = match number("FANFARE_CLUSTER_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..number("FANFARE_CLUSTER_SEEDS").unwrap_or(SEEDS),
    };
    let counts = simulate_all(seeds.clone(), Flaw::None);
    let sum = |of: fn(&Counts) -> u64| counts.iter().map(of).sum::<u64>();
    let visited = [
        ("acknowledged", sum(|counts| counts.acked)),
        ("degraded", sum(|counts| counts.degraded)),
        ("replayed", sum(|counts| counts.replayed)),
        ("conflicts", sum(|counts| counts.conflicts)),
        ("fresh reads", sum(|counts| counts.fresh_reads)),
        ("stale reads", sum(|counts| counts.stale_reads)),
        ("processes retired", sum(|counts| counts.retired)),
        ("generations switched", sum(|counts| counts.switches)),
        ("processes finished", sum(|counts| counts.finished)),
    ];
    eprintln!("{seeds:?}: {visited:?}");
    if seeds.end - seeds.start >= 100 {
        for (what, count) in visited {
            assert!(count >= seeds.end / 20, "{what} only {count} times: the test tests little");
        }
    }
}

#[test]
fn two_who_believe_to_hold_the_lease_do_no_harm() {
    simulate_all(0..200, Flaw::LeaseForAll);
}

#[test]
fn a_fence_that_steps_over_gaps_is_found() {
    assert_found(Flaw::SkipsOldOnly);
}

#[test]
fn a_fence_kept_apart_from_its_data_is_found() {
    assert_found(Flaw::FenceApart);
}

#[test]
fn scripts_without_a_generation_check_are_found() {
    assert_found(Flaw::NoGenerationCheck);
}

#[test]
fn a_rebuild_that_lets_old_scripts_run_is_found() {
    assert_found(Flaw::RebuildLetsScriptsRun);
}

#[test]
fn declaring_a_process_gone_while_it_can_write_is_found() {
    assert_found(Flaw::GoneTooEarly);
}

#[test]
fn trusting_an_old_look_at_the_members_is_found() {
    assert_found(Flaw::TrustsOldLooks);
}
