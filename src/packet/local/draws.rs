//! Draw numbers that loops may hand out from memory: a block that is reserved on disk.

use std::sync::atomic::{AtomicI64, Ordering};

/// Where the next number is when none may be taken any more; no rain has so many draws.
const CLOSED: i64 = 1 << 62;

/// Numbers up to `until`, which is durable: after a crash the next block begins there, so that none
/// is used twice.
#[derive(Debug)]
pub(super) struct Draws {
    next: AtomicI64,
    until: i64,
}

impl Draws {
    /// The numbers from `next` to `until - 1`.
    pub(super) fn new(next: i64, until: i64) -> Self {
        Self { next: AtomicI64::new(next), until }
    }

    /// A number that nobody else gets. `None` when they are used up, or while new terms are written:
    /// then the bookkeeper draws.
    pub(super) fn take(&self) -> Option<i64> {
        let draw = self.next.fetch_add(1, Ordering::Relaxed);
        (draw < self.until).then_some(draw)
    }

    /// Ends it: from now on nobody gets a number. Returns the first that nobody has got. To be
    /// called once.
    pub(super) fn close(&self) -> i64 {
        self.next.swap(CLOSED, Ordering::Relaxed).min(self.until)
    }

    /// The first number that nobody has got, as of about now.
    pub(super) fn next(&self) -> i64 {
        self.next.load(Ordering::Relaxed).min(self.until)
    }

    /// First number behind the block.
    pub(super) fn until(&self) -> i64 {
        self.until
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Barrier;
    use std::thread;

    #[test]
    fn every_number_is_taken_once_and_none_after_the_end() {
        let draws = Draws::new(1, 10_001);
        let barrier = Barrier::new(4);
        let take = || {
            barrier.wait();
            std::iter::from_fn(|| draws.take()).collect::<Vec<_>>()
        };
        let mut taken = thread::scope(|scope| {
            let threads: Vec<_> = (0..4).map(|_| scope.spawn(take)).collect();
            let taken = threads.into_iter().map(|thread| thread.join().expect("no panic"));
            taken.collect::<Vec<_>>().concat()
        });
        taken.sort_unstable();
        assert_eq!(taken, (1..10_001).collect::<Vec<_>>());
        assert_eq!(draws.close(), 10_001);
    }

    #[test]
    fn closing_tells_exactly_where_it_ended() {
        let draws = Draws::new(5, 100);
        assert_eq!((draws.take(), draws.take(), draws.next()), (Some(5), Some(6), 7));
        assert_eq!(draws.close(), 7);
        assert_eq!(draws.take(), None);
    }
}
