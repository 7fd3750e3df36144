//! The cluster's protocol with counters: steps of users, turns and epochs, over several slots.

use crate::cluster_sim_domain::Domain;
use crate::cluster_sim_redis::Flaw;
use crate::cluster_sim_runs::{assert_found, simulate_all, simulate_seeds};
use crate::cluster_sim_world::World;
use crate::counter_model::{counter, id};
use fanfare::calendar::{Calendar, Period};
use fanfare::cluster::Record;
use fanfare::counter::cluster::{Board, Change, Draft, Origin, Rules, Sums, Value};
use fanfare::counter::{Counter, Id, Path};
use fanfare::store::RequestKey;
use jiff::tz::TimeZone;
use std::collections::BTreeMap;

const SEEDS: u64 = 500;
const COUNTERS: [(&str, &str); 4] = [("a", "like"), ("b", "like"), ("a", "view"), ("7", "view")];
const USERS: [&str; 3] = ["1", "2", "ann"];

/// Increments, likes, and now and then an operator.
struct Counters;

/// What is to be found, by board and field.
type Expected = BTreeMap<(Board, Id), Value>;

impl Domain for Counters {
    type Draft = Draft;
    type Boards = Sums;

    fn rules() -> Rules {
        let expiry_margin_s = Rules::EXPIRY_MARGIN_S;
        Rules { calendar: Calendar::new(TimeZone::UTC), expiry_margin_s }
    }

    fn next_draft(world: &mut World<Self>) -> Draft {
        world.unique += 1;
        let id = i64::try_from(world.unique).expect("small");
        let at = usize::try_from(world.dice.below(COUNTERS.len() as u64)).expect("small");
        let counter = counter(COUNTERS[at].0, COUNTERS[at].1);
        let origin = Origin {
            id,
            time_us: world.wall_s() * 1_000_000,
            epoch: 0,
            counter,
            path: Path::Increment,
            key: None,
        };
        let kind = world.dice.below(12);
        if kind < 2
            && let Some(again) = again(world, &origin)
        {
            return again;
        }
        // Mostly what is known now; now and then what was known some time ago.
        let late = if world.dice.below(5) == 0 { world.dice.below(9) } else { 0 };
        let known =
            world.acked.len() - usize::try_from(late).expect("small").min(world.acked.len());
        let known: Vec<Draft> = world.acked[..known]
            .iter()
            .filter(|draft| draft.counter == origin.counter)
            .cloned()
            .collect();
        let newest = known.iter().filter(|draft| draft.turn.is_some()).max_by_key(|d| d.turn);
        let (turn, epoch) = newest.map_or((0, 0), |d| (d.turn.unwrap_or(0), d.epoch_after()));
        let delta = world.dice.pick(-2..=4);
        let origin = Origin { epoch, ..origin };
        match kind {
            2..=4 => {
                let key = RequestKey::new(&format!("k{id}"));
                Draft::new(Origin { key, ..origin }, Change::Added { delta, user: None }, None)
            }
            5..=7 => step(world, origin, &known),
            8 => correction(world, origin, turn + 1),
            _ => Draft::new(origin, Change::Added { delta, user: None }, None),
        }
    }

    fn check_boards(boards: &Sums, of: &[&Record<Draft>]) -> Result<(), String> {
        check(boards, &expected(of, |_, _| false), |board| {
            !matches!(
                board,
                Board::Counts { period: Period::Hour | Period::Day | Period::Week, .. }
            )
        })
    }

    fn check_end(world: &World<Self>) -> Result<(), String> {
        let keys = world.redis.view.keys().ok_or("no view at the end")?;
        let (calendar, now_s) = (Self::rules().calendar, world.wall_s());
        let journal: Vec<&Record<Draft>> = world.mongo.journal.values().collect();
        let is_current =
            |period, from_s| calendar.span(period, from_s).is_some_and(|span| now_s < span.until_s);
        check(&keys.boards, &expected(&journal, is_current), |board| match board {
            Board::Counts { period: Period::All, .. } => true,
            Board::Counts { period, from_s, .. } => is_current(*period, *from_s),
            _ => true,
        })
    }
}

/// The same again under its key, or something else.
fn again(world: &mut World<Counters>, origin: &Origin) -> Option<Draft> {
    let keyed: Vec<&Draft> = world.asks.iter().filter(|draft| draft.key.is_some()).collect();
    let older =
        (*keyed.get(usize::try_from(world.dice.below(keyed.len() as u64 + 1)).ok()?)?).clone();
    let Change::Added { delta, .. } = older.change else { return None };
    let delta = if world.dice.below(6) > 0 { delta } else { delta + 1 };
    let name = older.key.as_ref()?.strip_prefix("increment/")?;
    let origin =
        Origin { counter: older.counter.clone(), key: RequestKey::new(name), ..origin.clone() };
    Some(Draft::new(origin, Change::Added { delta, user: None }, None))
}

/// The next step of a user, as far as is known.
fn step(world: &mut World<Counters>, origin: Origin, known: &[Draft]) -> Draft {
    let user = USERS[usize::try_from(world.dice.below(USERS.len() as u64)).expect("small")];
    let steps = known.iter().filter(|draft| draft.epoch == origin.epoch);
    let n = steps.filter_map(|draft| match &draft.change {
        Change::Moved { user: of, n } if *of == id(user) => Some(*n),
        _ => None,
    });
    let n = n.max().unwrap_or(0) + 1;
    Draft::new(origin, Change::Moved { user: id(user), n }, None)
}

fn correction(world: &mut World<Counters>, origin: Origin, turn: u64) -> Draft {
    let (delta, reason) = (world.dice.pick(-3..=3), "simulated".to_owned());
    let change = match world.dice.below(3) {
        0 => Change::Added { delta: delta * 1_000_000_000_000_000, user: None },
        1 => Change::Recounted { delta, reason },
        _ => Change::Reset { delta, reason },
    };
    Draft::new(origin, change, Some(turn))
}

/// What the boards should hold, as naive as possible.
fn expected(of: &[&Record<Draft>], is_current: impl Fn(Period, i64) -> bool) -> Expected {
    let calendar = Counters::rules().calendar;
    let mut by_board: BTreeMap<(Board, Id), Vec<&Draft>> = BTreeMap::new();
    for Record { draft, .. } in of {
        let Counter { counter_type, resource } = &draft.counter;
        let mut periods = vec![(Period::All, 0)];
        if !matches!(draft.change, Change::Recounted { .. }) {
            for period in [Period::Hour, Period::Day, Period::Week] {
                let at_s = draft.time_us.div_euclid(1_000_000);
                let from_s = calendar.span(period, at_s).expect("within the calendar").from_s;
                periods.extend(is_current(period, from_s).then_some((period, from_s)));
            }
        }
        let lists = periods.into_iter().map(|(period, from_s)| Board::Counts {
            period,
            from_s,
            counter_type: counter_type.clone(),
        });
        let mut places: Vec<_> = lists.map(|board| (board, resource.clone())).collect();
        match &draft.change {
            Change::Moved { user, .. } => {
                places.push((Board::Users(counter_type.clone()), resource.clone()));
                places.push((Board::Steps(draft.counter.clone()), user.clone()));
            }
            Change::Reset { .. } => {
                places.push((Board::Users(counter_type.clone()), resource.clone()));
            }
            _ => {}
        }
        if draft.turn.is_some() {
            places.push((Board::Turns(counter_type.clone()), resource.clone()));
        }
        for place in places {
            by_board.entry(place).or_default().push(draft);
        }
    }
    let value = |(place, drafts): ((Board, Id), Vec<&Draft>)| {
        let value = match &place.0 {
            Board::Turns(_) => {
                Value::Mark(0, drafts.iter().filter_map(|draft| draft.turn).max().expect("one"))
            }
            Board::Steps(_) => {
                let steps = drafts.iter().filter_map(|draft| Some((draft.epoch, draft.step()?)));
                let (epoch, n) = steps.max().expect("one");
                Value::Mark(epoch, n)
            }
            _ => {
                let epoch = drafts.iter().map(|draft| draft.epoch_after()).max().expect("one");
                let counted = drafts.iter().filter(|draft| {
                    draft.epoch == epoch && !matches!(draft.change, Change::Reset { .. })
                });
                Value::Sum { epoch, sum: counted.map(|draft| i128::from(draft.delta())).sum() }
            }
        };
        (place, value)
    };
    by_board.into_iter().map(value).collect()
}

fn check(
    boards: &Sums,
    expected: &Expected,
    is_compared: impl Fn(&Board) -> bool,
) -> Result<(), String> {
    let found: Expected = boards
        .boards()
        .filter(|board| is_compared(board))
        .flat_map(|board| {
            boards.fields(board).map(|(of, value)| ((board.clone(), of.clone()), value))
        })
        .collect();
    if found == *expected {
        return Ok(());
    }
    let wrong: Vec<_> =
        expected.iter().filter(|(place, value)| found.get(place) != Some(value)).collect();
    let spare: Vec<_> = found.keys().filter(|place| !expected.contains_key(place)).collect();
    Err(format!("{wrong:?} are not as in {found:?}, or {spare:?} too much"))
}

#[test]
fn the_view_is_the_journal_after_every_seed() {
    simulate_seeds::<Counters>(SEEDS);
}

#[test]
fn two_who_believe_to_hold_the_lease_do_no_harm() {
    simulate_all::<Counters>(0..60, Flaw::LeaseForAll);
}

#[test]
fn a_fence_that_steps_over_gaps_is_found() {
    assert_found::<Counters>(Flaw::SkipsOldOnly);
}

#[test]
fn a_rebuild_that_lets_old_scripts_run_is_found() {
    assert_found::<Counters>(Flaw::RebuildLetsScriptsRun);
}
