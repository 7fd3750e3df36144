//! The cluster's protocol with gifts, under lost messages, dying processes and a Redis that forgets.

use crate::cluster_sim_domain::Domain;
use crate::cluster_sim_redis::Flaw;
use crate::cluster_sim_runs::{assert_found, simulate_all, simulate_seeds};
use crate::cluster_sim_world::World;
use fanfare::calendar::{Calendar, Keep};
use fanfare::cluster::Record;
use fanfare::gift::board::Board;
use fanfare::gift::cluster::{BoardId, Boards, Draft, Rules};
use fanfare::gift::{Entry, Gift, Period};
use fanfare::store::RequestKey;
use jiff::tz::TimeZone;
use std::collections::BTreeMap;

const SEEDS: u64 = 2_000;
const ANCHORS: i64 = 5;

/// Total and time of an anchor.
type Scores = BTreeMap<i64, (i64, i64)>;

/// Gifts, and now and then a revoke.
struct Gifts;

impl Domain for Gifts {
    type Draft = Draft;
    type Boards = Boards;

    fn rules() -> Rules {
        let keep = Keep { hour_s: 2 * 3_600, ..Keep::default() };
        let expiry_margin_s = Rules::EXPIRY_MARGIN_S;
        Rules { calendar: Calendar::new(TimeZone::UTC), keep, expiry_margin_s }
    }

    fn next_draft(world: &mut World<Self>) -> Draft {
        world.unique += 1;
        let id = i64::try_from(world.unique).expect("small");
        // Whole tens of seconds, so that there are ties.
        let time_us = world.wall_s() / 10 * 10_000_000;
        let older = world.dice.below(world.asks.len() as u64 + 1);
        let older = world.asks.get(usize::try_from(older).expect("small")).cloned();
        let mut gift = Gift {
            audience_id: world.dice.pick(1..=3),
            anchor_id: world.dice.pick(1..=ANCHORS),
            worth: world.dice.pick(1..=4),
        };
        let mut key = None;
        match (world.dice.below(10), older) {
            (0 | 1, Some(older)) if older.entry.revokes.is_none() => {
                // The same again, or under its key something else.
                let Entry { audience_id, anchor_id, worth, .. } = older.entry;
                if world.dice.below(6) > 0 {
                    gift = Gift { audience_id, anchor_id, worth };
                }
                key = older.name.strip_prefix("gift/send/key/").and_then(RequestKey::new);
            }
            (2, _) if !world.acked.is_empty() => {
                let at =
                    usize::try_from(world.dice.below(world.acked.len() as u64)).expect("small");
                let target = world.acked[at].entry.clone();
                if target.revokes.is_none() {
                    return revoke(id, time_us, &target);
                }
            }
            (0..=6, _) => key = RequestKey::new(&format!("k{id}")),
            _ => {}
        }
        let Gift { audience_id, anchor_id, worth } = gift;
        let entry = Entry { id, audience_id, anchor_id, worth, time_us, revokes: None };
        Draft::gift(entry, key.as_ref())
    }

    fn check_boards(boards: &Boards, of: &[&Record<Draft>]) -> Result<(), String> {
        let all = boards.get(&BoardId { period: Period::All, from_s: 0 });
        let found = all.map(|board| board.scores.clone()).unwrap_or_default();
        let expected = scores(of.iter().copied());
        if expected == found {
            return Ok(());
        }
        Err(format!("{found:?}, and the journal up to its fences {expected:?}"))
    }

    fn check_end(world: &World<Self>) -> Result<(), String> {
        let keys = world.redis.view.keys().ok_or("no board at the end")?;
        let (rules, now_s) = (Self::rules(), world.wall_s());
        let mut boards: BTreeMap<BoardId, Vec<&Record<Draft>>> = BTreeMap::new();
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
            let expected: Vec<_> = places
                .iter()
                .map(|place| (place.total_worth, place.reached_at_us, place.id))
                .collect();
            if found.top(usize::MAX) != expected {
                return Err(format!("{id:?}: in another order"));
            }
        }
        Ok(())
    }
}

fn revoke(id: i64, time_us: i64, target: &Entry) -> Draft {
    let &Entry { audience_id, anchor_id, worth, .. } = target;
    let revokes = Some(target.id);
    let entry = Entry { id, audience_id, anchor_id, worth: -worth, time_us, revokes };
    Draft::revoke(entry, target.time_us, "simulated".into())
}

fn scores<'a>(records: impl Iterator<Item = &'a Record<Draft>>) -> Scores {
    let mut scores = Scores::new();
    for record in records {
        let draft = &record.draft;
        let score = scores.entry(draft.entry.anchor_id).or_insert((0, i64::MIN));
        *score = (score.0 + draft.entry.worth, score.1.max(draft.entry.time_us));
    }
    scores
}

#[test]
fn the_board_is_the_journal_after_every_seed() {
    simulate_seeds::<Gifts>(SEEDS);
}

#[test]
fn two_who_believe_to_hold_the_lease_do_no_harm() {
    simulate_all::<Gifts>(0..200, Flaw::LeaseForAll);
}

#[test]
fn a_fence_that_steps_over_gaps_is_found() {
    assert_found::<Gifts>(Flaw::SkipsOldOnly);
}

#[test]
fn a_fence_kept_apart_from_its_data_is_found() {
    assert_found::<Gifts>(Flaw::FenceApart);
}

#[test]
fn scripts_without_a_generation_check_are_found() {
    assert_found::<Gifts>(Flaw::NoGenerationCheck);
}

#[test]
fn a_rebuild_that_lets_old_scripts_run_is_found() {
    assert_found::<Gifts>(Flaw::RebuildLetsScriptsRun);
}

#[test]
fn declaring_a_process_gone_while_it_can_write_is_found() {
    assert_found::<Gifts>(Flaw::GoneTooEarly);
}

#[test]
fn trusting_an_old_look_at_the_members_is_found() {
    assert_found::<Gifts>(Flaw::TrustsOldLooks);
}
