//! What is in the packets: sums exact, bounds kept, and no advantage in coming early or late.

use crate::packet_rig::{deal, rain, request, terms};
use fanfare::packet::{CHUNK_PACKETS_MAX, Change, Chunk, Impossible, Sum, bounds};
use proptest::prelude::*;

fn amounts(seed: u8, total: i64, count: i64, min: i64, max: i64) -> Vec<i64> {
    deal(&mut rain(seed, &terms(total, count, min, max))).iter().map(|g| g.value_fen).collect()
}

#[track_caller]
fn check(amounts: &[i64], total: i64, count: i64, min: i64, max: i64) {
    assert_eq!(i64::try_from(amounts.len()), Ok(count));
    assert_eq!(amounts.iter().map(|&fen| i128::from(fen)).sum::<i128>(), i128::from(total));
    assert!(amounts.iter().all(|fen| (min..=max).contains(fen)), "{amounts:?}");
}

/// Count, minimum, maximum and a total that fits them, over wide ranges.
fn feasible() -> impl Strategy<Value = (i64, i64, i64, i64)> {
    let count = prop_oneof![1..5_i64, 1..200_i64, 1_000..2_000_i64];
    let fen = prop_oneof![1..10_i64, 1..10_000_i64, 1..1_000_000_000_i64];
    (count, fen.clone(), fen, 0.0..=1.0_f64).prop_map(|(count, a, b, part)| {
        let (min, max) = (a.min(b), a.max(b));
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_precision_loss,
            reason = "a test's dice"
        )]
        let share = ((max - min) as f64 * part) as i64;
        (count * (min + share), count, min, max)
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..Default::default() })]

    #[test]
    fn every_budget_is_spent_to_the_fen_within_the_bounds(
        seed in any::<u8>(), figures in feasible(), odd in 0..64_i64
    ) {
        let (total, count, min, max) = figures;
        // Not only multiples of the count.
        let total = (total + odd).min(max * count);
        check(&amounts(seed, total, count, min, max), total, count, min, max);
    }

    #[test]
    fn whatever_is_drawn_leaves_the_rest_feasible(
        figures in feasible(), odd in 0..64_i64, part in 0.0..=1.0_f64
    ) {
        let (total, count, min, max) = figures;
        let total = (total + odd).min(max * count);
        let (least, most) = bounds(total, count, &terms(total, count, min, max)).into_inner();
        prop_assert!(min <= least && least <= most && most <= max);
        #[expect(clippy::cast_possible_truncation, clippy::cast_precision_loss, reason = "a test's dice")]
        let drawn = (least + ((most - least) as f64 * part) as i64).min(most);
        let rest = total - drawn;
        prop_assert!(min * (count - 1) <= rest && rest <= max * (count - 1));
    }

    #[test]
    fn a_budget_adjusted_in_the_middle_of_fire_is_spent_to_the_fen_too(
        seed in any::<u8>(), figures in feasible(), taken in 0..100_usize,
        more_fen in 0..1_000_000_i64, more_count in 0..100_i64,
    ) {
        let (total, count, min, max) = figures;
        let mut rain = rain(seed, &terms(total, count, min, max));
        for _ in 0..taken {
            rain.grant();
            rain.refill();
        }
        let before = rain.handed_out();
        let (total, count) = (total + more_fen, count + more_count);
        let change = Change {
            total_amount_fen: Some(total), total_count: Some(count), ..Change::default()
        };
        match rain.change(&change, request(1_500, 1)) {
            Ok(()) => {
                deal(&mut rain);
                prop_assert_eq!(rain.handed_out(), Sum { count, fen: total });
            }
            Err(reason) => {
                let left = Sum { count: count - before.count, fen: total - before.fen };
                let fits = min * left.count <= left.fen && left.fen <= max * left.count;
                prop_assert!(!fits, "{}", reason);
                prop_assert_eq!(rain.handed_out(), before);
                deal(&mut rain);
            }
        }
    }
}

#[test]
fn the_rains_of_the_book_are_spent_to_the_fen() {
    for (total, count, min, max) in [
        (300_000, 300, 1, 300_000),
        (1_000, 300, 1, 1_000),
        (1, 1, 1, 1),
        (1_000_000_000_000, 1, 1, 1_000_000_000_000),
        (1_000_000_000_000, 10_000, 1, 1_000_000_000_000),
        (10_000, 10_000, 1, 1),
        (64_000, 64, 1_000, 1_000),
        (6_401, 65, 1, 6_401),
    ] {
        for seed in 0..20 {
            check(&amounts(seed, total, count, min, max), total, count, min, max);
        }
    }
}

/// Mean and deviation over many rains of the packets of a tenth.
fn spread(rains: &[Vec<i64>], tenth: usize) -> (f64, f64) {
    let (mut number, mut sum, mut squares) = (0.0, 0.0, 0.0);
    for rain in rains {
        let size = rain.len() / 10;
        for &fen in &rain[tenth * size..(tenth + 1) * size] {
            #[expect(clippy::cast_precision_loss, reason = "thousands of fen")]
            let fen = fen as f64;
            (number, sum, squares) = (number + 1.0, sum + fen, squares + fen * fen);
        }
    }
    let mean = sum / number;
    (mean, (squares / number - mean * mean).sqrt())
}

#[test]
fn the_last_tenth_has_the_mean_and_the_spread_of_the_first() {
    for count in [300, 1_000] {
        let rains: Vec<_> =
            (0..200).map(|seed| amounts(seed, count * 1_000, count, 1, count * 1_000)).collect();
        let (first, last) = (spread(&rains, 0), spread(&rains, 9));
        assert!((first.0 - last.0).abs() < 60.0, "means {first:?} {last:?}");
        assert!((first.1 / last.1 - 1.0).abs() < 0.08, "deviations {first:?} {last:?}");
        assert!((first.0 - 1_000.0).abs() < 60.0 && first.1 > 500.0, "{first:?}");
    }
}

#[test]
fn a_crash_draws_the_same_again() {
    let terms = terms(100_000, 500, 1, 5_000);
    let whole = deal(&mut rain(1, &terms));
    let again = deal(&mut rain(1, &terms));
    assert_eq!(whole, again);
    assert_ne!(whole, deal(&mut rain(2, &terms)), "another seed is another rain");
    // A chunk drawn ahead is the chunk that is drawn when it is needed.
    let mut lazy = rain(1, &terms);
    let never_refilled: Vec<_> = std::iter::from_fn(|| lazy.grant()).map(|(g, _)| g).collect();
    assert_eq!(whole, never_refilled);
}

#[test]
fn new_amounts_open_a_chunk_that_names_their_version() {
    let mut rain = rain(1, &terms(100_000, 500, 1, 5_000));
    let opened: Vec<Chunk> = (0..70).filter_map(|_| rain.grant()?.1).collect();
    assert_eq!(
        opened.iter().map(|chunk| (chunk.number, chunk.version)).collect::<Vec<_>>(),
        [(1, 1), (2, 1)]
    );
    // What does not touch the amounts keeps the chunk.
    let calm = Change { win_ppm: Some(5), ..Change::default() };
    rain.change(&calm, request(1_500, 80)).expect("possible");
    assert_eq!(rain.grant().and_then(|(_, opened)| opened), None);
    let cut = Change { total_count: Some(400), ..Change::default() };
    rain.change(&cut, request(1_500, 90)).expect("possible");
    let (_, opened) = rain.grant().expect("there are more");
    let opened = opened.expect("a new chunk");
    assert_eq!((opened.number, opened.version, opened.left_count), (3, 3, 400 - 71));
    assert!(opened.count() <= CHUNK_PACKETS_MAX);
    deal(&mut rain);
    assert_eq!(rain.handed_out(), Sum { count: 400, fen: 100_000 });
}

#[test]
fn a_cut_below_what_is_handed_out_is_refused_with_the_numbers() {
    let mut rain = rain(1, &terms(100_000, 500, 1, 5_000));
    for _ in 0..100 {
        rain.grant();
    }
    let version = rain.version().clone();
    let cut = Change { total_count: Some(99), ..Change::default() };
    let refused = rain.change(&cut, request(1_500, 1));
    assert_eq!(refused, Err(Impossible::CountBelowHandedOut { total_count: 99, handed_out: 100 }));
    assert_eq!(*rain.version(), version, "the old stays");
    let late = Change { paused: Some(true), ..Change::default() };
    assert_eq!(rain.change(&late, request(2_000, 1)), Err(Impossible::Ended));
    let moved = Change { starts_at: Some(1_600), ..Change::default() };
    assert_eq!(rain.change(&moved, request(1_500, 1)), Err(Impossible::Started));
    let same = Change { starts_at: Some(1_000), ..Change::default() };
    assert_eq!(rain.change(&same, request(1_500, 1)), Ok(()));
}
