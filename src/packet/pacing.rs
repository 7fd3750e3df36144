//! The hit rate of a paced rain: so many winners a second that the pool follows a straight line from
//! the start to shortly before the end, and is empty then.

use super::terms::Terms;

const MILLION: i64 = 1_000_000;

/// Draws expected for each packet that the plan wants, until more are seen: a rush must not empty the
/// pool in the second before it is measured.
const DRAWS_PER_PACKET: i64 = 4;

/// Changes of the rate by less than one part in so many are not worth a version.
const CHANGE_PARTS: i64 = 20;

/// Seconds before the end when all that is left may go, since chance leaves a rest.
const LAST_SECONDS: i64 = 2;

/// Packets that the plan has handed out by `at_s`: the straight line that is shown.
pub fn planned(terms: &Terms, at_s: i64) -> i64 {
    line(terms, at_s, terms.ends_at - terms.starts_at)
}

/// The hit rate for the next second; `None` leaves it as it is.
///
/// `handed_out` packets are gone at `now_s`, and `draws_per_s` are asked for.
pub fn hit_ppm(
    terms: &Terms,
    now_s: i64,
    handed_out: i64,
    draws_per_s: i64,
    current_ppm: i64,
) -> Option<i64> {
    let length_s = terms.ends_at - terms.starts_at;
    let last_s = LAST_SECONDS.min(length_s / 10).max(1);
    let wanted_ppm = if now_s >= terms.ends_at - last_s {
        MILLION
    } else {
        let busy_s = (length_s - last_s).max(1);
        let wanted = (line(terms, now_s + 1, busy_s) - handed_out).max(0);
        let planned_per_s = (terms.total_count / busy_s).max(1);
        let draws = draws_per_s.max(planned_per_s.saturating_mul(DRAWS_PER_PACKET));
        // Both are packets of a rain, at most ten million.
        (wanted.saturating_mul(MILLION) / draws).min(MILLION)
    };
    let differs = (wanted_ppm - current_ppm).abs() * CHANGE_PARTS > current_ppm;
    (differs || wanted_ppm == MILLION && current_ppm != MILLION).then_some(wanted_ppm)
}

/// All packets spread over `span_s` seconds from the start.
fn line(terms: &Terms, at_s: i64, span_s: i64) -> i64 {
    let span_s = span_s.max(1);
    let passed_s = (at_s - terms.starts_at).clamp(0, span_s);
    let packets = i128::from(terms.total_count) * i128::from(passed_s) / i128::from(span_s);
    i64::try_from(packets).expect("at most all of them")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::packet::luck::wins;
    use crate::packet::uniform::{Seed, Source};

    fn terms(total_count: i64, length_s: i64) -> Terms {
        Terms {
            total_amount_fen: total_count * 10,
            total_count,
            min_fen: 1,
            max_fen: 100,
            win_ppm: 1_000_000,
            max_per_user: 1_000_000,
            starts_at: 1_000,
            ends_at: 1_000 + length_s,
            paused: false,
            pacing: true,
        }
    }

    /// Packets handed out after each second, with so many draws in it.
    fn run(terms: &Terms, draws: impl Fn(i64) -> i64) -> Vec<i64> {
        let source = Source::new(&Seed::new([9; 32]));
        let (mut handed_out, mut rate, mut draw, mut curve) = (0, 0, 0, Vec::new());
        for second in terms.starts_at..terms.ends_at {
            let asked = draws(second - terms.starts_at);
            for _ in 0..asked {
                draw += 1;
                let lucky = wins(&source, 1, draw, rate);
                handed_out += i64::from(lucky && handed_out < terms.total_count);
            }
            curve.push(handed_out);
            rate = hit_ppm(terms, second + 1, handed_out, asked, rate).unwrap_or(rate);
        }
        curve
    }

    fn check(name: &str, terms: &Terms, draws: impl Fn(i64) -> i64) {
        let curve = run(terms, draws);
        assert_eq!(curve.last(), Some(&terms.total_count), "{name}: empty at the end: {curve:?}");
        assert_eq!(curve[0], 0, "{name}: nothing in the first second");
        for (second, &granted) in (terms.starts_at + 1..).zip(&curve) {
            let off = (granted - planned(terms, second)).abs();
            assert!(
                off * 100 <= terms.total_count * 15,
                "{name}: {off} off at {second}: {curve:?}"
            );
        }
    }

    #[test]
    fn the_pool_follows_the_line_and_ends_with_the_rain() {
        check("steady", &terms(6_000, 60), |_| 2_000);
        check("a crowd", &terms(600, 60), |_| 20_000);
        check("hardly enough", &terms(6_000, 60), |_| 130);
        check("falling", &terms(6_000, 60), |second| 40_000 / (second + 1) + 300);
        check("rising", &terms(6_000, 120), |second| 200 + 50 * second);
        check("few packets", &terms(30, 60), |_| 100);
    }

    #[test]
    fn a_rush_after_silence_waits_for_the_line_after_one_second() {
        let terms = terms(6_000, 60);
        let curve = run(&terms, |second| if second < 20 { 0 } else { 3_000 });
        assert_eq!(curve[20..28], [3_000; 8], "one second of the rush, then none: {curve:?}");
        assert_eq!(curve.last(), Some(&6_000));
    }

    #[test]
    fn small_changes_are_not_made() {
        let terms = terms(6_000, 62);
        assert_eq!(hit_ppm(&terms, 1_010, 1_000, 1_000, 98_000), None);
        assert_eq!(hit_ppm(&terms, 1_010, 1_000, 1_000, 90_000), Some(100_000));
        assert_eq!(hit_ppm(&terms, 1_010, 2_000, 1_000, 90_000), Some(0));
        assert_eq!(hit_ppm(&terms, 1_060, 5_000, 1_000, 990_000), Some(1_000_000));
        assert_eq!(hit_ppm(&terms, 1_060, 5_000, 1_000, 1_000_000), None);
    }
}
