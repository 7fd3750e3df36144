//! Whether an answer holds all that was acknowledged before it was asked for.

use super::script::Generation;
use std::time::Duration;

/// What an answer must come from to be fresh; nothing is fresh enough for an empty one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp(Option<(u64, Generation)>);

impl Stamp {
    /// Whether an answer from that connection and generation, asked for under this stamp, holds
    /// everything.
    pub fn allows(self, conn: u64, generation: Option<Generation>) -> bool {
        self.0.is_some_and(|(clean, current)| clean == conn && Some(current) == generation)
    }
}

/// What is known of the view's completeness.
///
/// Redis goes back in time only when its connections break, and empties itself only together with
/// its generation. So it is enough to look once per connection and generation that it holds all the
/// journal has; from then on whoever acknowledges has seen its own script done, or is flagged.
#[derive(Clone, Debug, Default)]
pub struct Freshness {
    clean: Option<(u64, Generation)>,
    /// When the newest answered look at the members began, and whether nobody was behind in it.
    look: Option<(Duration, bool)>,
}

impl Freshness {
    /// A question is asked now.
    pub fn stamp(&self, now: Duration, look_age_max: Duration) -> Stamp {
        let open = |(began, nobody_behind)| nobody_behind && now <= began + look_age_max;
        Stamp(self.clean.filter(|_| self.look.is_some_and(open)))
    }

    /// Until when [`Self::stamp`] gives one that allows anything.
    pub fn fresh_until(&self, look_age_max: Duration) -> Option<Duration> {
        let (began, nobody_behind) = self.look.filter(|_| self.clean.is_some())?;
        nobody_behind.then(|| began + look_age_max)
    }

    /// A look at the members was answered.
    pub fn looked(&mut self, began: Duration, nobody_behind: bool) {
        if self.look.is_none_or(|(before, _)| before <= began) {
            self.look = Some((began, nobody_behind));
        }
    }

    /// The view on this connection holds all that the journal held after it was connected.
    pub fn set_clean(&mut self, conn: u64, generation: Generation) {
        self.clean = Some((conn, generation));
    }

    /// Connection or generation are others.
    pub fn forget(&mut self) {
        self.clean = None;
    }

    /// Whether a pass has been clean.
    pub fn is_clean(&self) -> bool {
        self.clean.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_fresh_only_from_a_clean_view_with_everybody_in_sight() {
        let second = Duration::from_secs;
        let mut freshness = Freshness::default();
        let allows = |freshness: &Freshness, now, conn, generation| {
            freshness.stamp(second(now), second(2)).allows(conn, generation)
        };
        assert!(!allows(&freshness, 1, 1, None));
        freshness.set_clean(1, 7);
        assert!(!allows(&freshness, 1, 1, Some(7)), "nobody looked");
        freshness.looked(second(1), true);
        assert!(allows(&freshness, 3, 1, Some(7)));
        assert!(!allows(&freshness, 3, 2, Some(7)), "another connection");
        assert!(!allows(&freshness, 3, 1, Some(8)), "another generation");
        assert!(!allows(&freshness, 3, 1, None), "an empty Redis");
        assert!(!allows(&freshness, 4, 1, Some(7)), "the look is old");
        freshness.looked(second(4), false);
        freshness.looked(second(2), true);
        assert!(!allows(&freshness, 4, 1, Some(7)), "somebody is behind");
        freshness.looked(second(5), true);
        freshness.forget();
        assert!(!allows(&freshness, 5, 1, Some(7)), "connected anew");
    }
}
