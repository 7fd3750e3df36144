//! Runs simulated clusters, seed by seed.
//!
//! `FANFARE_CLUSTER_SEED=n` replays one seed, `FANFARE_CLUSTER_SEEDS=n` runs as many.

use crate::cluster_sim_domain::Domain;
use crate::cluster_sim_redis::Flaw;
use crate::cluster_sim_world::{Counts, World};
use fanfare::cluster::{JournalDraft, Record, Stream};
use std::collections::BTreeMap;
use std::ops::Range;

/// A planted flaw is found within so many.
const SEEDS_PER_FLAW: u64 = 200;

/// An answer that is not marked: it holds all that was acknowledged before it was asked, and is
/// exactly what its fences say.
pub(crate) fn check_read<D: Domain>(
    world: &World<D>,
    owed: &BTreeMap<Stream, u64>,
) -> Result<(), String> {
    let keys = world.redis.view.keys().ok_or("a fresh answer from an empty Redis")?;
    for (&stream, &seq) in owed {
        if keys.fence(stream) < seq {
            return Err(format!(
                "an unmarked answer lacks what was acknowledged: {stream:?} {seq}"
            ));
        }
    }
    let journal = world.mongo.journal.values();
    let held: Vec<&Record<D::Draft>> =
        journal.filter(|record| record.seq <= keys.fence(record.stream)).collect();
    D::check_boards(&keys.boards, &held).map_err(|what| format!("an unmarked answer: {what}"))
}

/// What was acknowledged is in the journal once, and the boards are the journal.
fn check_end<D: Domain>(world: &World<D>) -> Result<(), String> {
    for acked in &world.acked {
        let journal = world.mongo.journal.values();
        let count = journal.filter(|record| record.draft.is_same(acked)).count();
        if count != 1 {
            return Err(format!("acknowledged {acked:?} is {count} times in the journal"));
        }
    }
    D::check_end(world)
}

fn simulate<D: Domain>(seed: u64, flaw: Flaw) -> Result<Counts, String> {
    let mut world = World::<D>::new(seed, flaw);
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
pub(crate) fn simulate_all<D: Domain>(seeds: Range<u64>, flaw: Flaw) -> Vec<Counts> {
    let half = seeds.start + (seeds.end - seeds.start) / 2;
    let run = |seeds: Range<u64>| seeds.map(|seed| simulate::<D>(seed, flaw)).collect::<Vec<_>>();
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

/// Each planted flaw must be found.
pub(crate) fn assert_found<D: Domain>(flaw: Flaw) {
    let found = (0..SEEDS_PER_FLAW).find_map(|seed| simulate::<D>(seed, flaw).err());
    let found = found.unwrap_or_else(|| panic!("{flaw:?} was not found in {SEEDS_PER_FLAW} seeds"));
    eprintln!("{found}");
}

/// Runs so many seeds unless told otherwise, and sees that they visit what they are for.
pub(crate) fn simulate_seeds<D: Domain>(count: u64) {
    let seeds = match number("FANFARE_CLUSTER_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..number("FANFARE_CLUSTER_SEEDS").unwrap_or(count),
    };
    let counts = simulate_all::<D>(seeds.clone(), Flaw::None);
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
