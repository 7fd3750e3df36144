//! Rains for tests: terms that can be kept, and whole rains dealt out.

use fanfare::packet::{Author, Grant, Rain, Request, Seed, Sum, Terms};

/// Terms of a rain that runs from 1,000 to 2,000 and lets everybody win.
pub(crate) fn terms(total_amount_fen: i64, total_count: i64, min_fen: i64, max_fen: i64) -> Terms {
    Terms {
        total_amount_fen,
        total_count,
        min_fen,
        max_fen,
        win_ppm: 1_000_000,
        max_per_user: 1_000_000,
        starts_at: 1_000,
        ends_at: 2_000,
        paused: false,
        pacing: false,
    }
}

/// An operator's word at `now_s`.
pub(crate) fn request(now_s: i64, first_draw: i64) -> Request<'static> {
    Request { by: Author::Operator, reason: "a test", now_s, first_draw }
}

/// The rain of that seed.
pub(crate) fn rain(seed: u8, terms: &Terms) -> Rain {
    Rain::new(7, Seed::new([seed; 32]), terms, request(500, 1)).expect("terms that can be kept")
}

/// Hands out what is left.
pub(crate) fn deal(rain: &mut Rain) -> Vec<Grant> {
    let mut grants = Vec::new();
    while let Some((grant, _)) = rain.grant() {
        rain.refill();
        grants.push(grant);
    }
    assert_eq!(rain.left(), Sum { count: 0, fen: 0 }, "spent to the fen");
    grants
}
