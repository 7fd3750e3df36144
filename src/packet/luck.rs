//! Whether a draw wins: a function of the seed, the rain, the draw's number and the hit rate.

use super::uniform::Source;

/// What a hit rate is a part of.
const MILLION: u64 = 1_000_000;

/// True for `hit_ppm` of a million draws, each independent of the others.
pub fn wins(source: &Source, rain: i64, draw: i64, hit_ppm: i64) -> bool {
    let mut stream = source.stream(format_args!("draw/{rain}/{draw}"));
    i64::try_from(stream.below(MILLION)).is_ok_and(|drawn| drawn < hit_ppm)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::packet::uniform::Seed;

    #[test]
    fn as_many_win_as_the_rate_says() {
        let source = Source::new(&Seed::new([3; 32]));
        let won = |hit_ppm| (1..=20_000).filter(|&n| wins(&source, 1, n, hit_ppm)).count();
        assert_eq!((won(0), won(1_000_000)), (0, 20_000));
        // 30 % of 20,000, within one per cent of the draws (three deviations).
        assert!(won(300_000).abs_diff(6_000) <= 200, "{}", won(300_000));
    }

    #[test]
    fn a_higher_rate_wins_whatever_a_lower_one_wins() {
        let source = Source::new(&Seed::new([4; 32]));
        for draw in 1..1_000 {
            assert!(!wins(&source, 2, draw, 200_000) || wins(&source, 2, draw, 400_000));
        }
    }
}
