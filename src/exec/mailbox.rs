//! Replies from many workers to one loop, with at most one wake-up per loop turn.

use crate::session::{ConnId, Group, Signal};
use crossbeam_channel::{Receiver, Sender, unbounded};
use std::cell::{Cell, RefCell};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// What reaches a loop from other threads.
pub enum Delivery<R> {
    /// The answer to one request.
    Reply {
        /// Whose it is.
        conn: ConnId,
        /// What to send.
        reply: R,
    },
    /// The state behind the topics of this signal changed.
    Changed(Signal),
    /// From now on the connection is told what its group is told.
    Join {
        /// Who.
        conn: ConnId,
        /// Where.
        group: Group,
    },
    /// No longer. Who is gone has left every group.
    Leave {
        /// Who.
        conn: ConnId,
        /// Where.
        group: Group,
    },
    /// For every member of the group; the loop takes as many turns as it needs.
    Tell {
        /// To whom.
        group: Group,
        /// Makes the reply of each.
        reply: MakeReply<R>,
    },
}

/// Makes one more copy of a reply that many connections get.
pub type MakeReply<R> = Arc<dyn Fn() -> R + Send + Sync>;

/// The loop's end.
pub struct Mailbox<R> {
    deliveries: Receiver<Delivery<R>>,
    bell: Arc<Bell>,
}

/// A worker's end; cheap to clone.
pub struct Outbox<R> {
    deliveries: Sender<Delivery<R>>,
    bell: Arc<Bell>,
}

struct Bell {
    rung: AtomicBool,
    ring: Box<dyn Fn() + Send + Sync>,
}

thread_local! {
    /// Whether this thread is within [`ring_once`], and the bells that it is to ring at the end.
    static HOLDING: Cell<bool> = const { Cell::new(false) };
    static HELD: RefCell<Vec<Arc<Bell>>> = const { RefCell::new(Vec::new()) };
}

/// Runs `work`, which answers many at once, and wakes each loop concerned when all is posted. A loop
/// that is woken by the first answer takes the core from whoever makes the others, once for each.
/// `work` must not block: what it posts is not looked at meanwhile.
pub fn ring_once<T>(work: impl FnOnce() -> T) -> T {
    /// Rings when `work` panics, too.
    struct End;
    impl Drop for End {
        fn drop(&mut self) {
            HOLDING.set(false);
            for bell in HELD.take() {
                (bell.ring)();
            }
        }
    }
    let _end = (!HOLDING.replace(true)).then(|| End);
    work()
}

/// Makes both ends. `ring` wakes the loop; it costs a system call, so it runs once per turn.
///
/// The channel is unbounded, yet what is in it is not: a reply holds a ticket, tickets are bounded
/// by connections times pipeline depth, and signals and news of groups are posted again only after
/// they were taken.
pub fn mailbox<R>(ring: impl Fn() + Send + Sync + 'static) -> (Mailbox<R>, Outbox<R>) {
    let (sender, receiver) = unbounded();
    let bell = Arc::new(Bell { rung: AtomicBool::new(false), ring: Box::new(ring) });
    let outbox = Outbox { deliveries: sender, bell: Arc::clone(&bell) };
    (Mailbox { deliveries: receiver, bell }, outbox)
}

impl<R> Mailbox<R> {
    /// Takes what has arrived. Silences the bell first: a reply posted while we drain rings again
    /// and at worst costs one empty turn; the other order could lose it.
    pub fn drain(&self) -> impl Iterator<Item = Delivery<R>> {
        self.bell.rung.swap(false, Ordering::AcqRel);
        self.deliveries.try_iter()
    }
}

impl<R> Outbox<R> {
    /// Posts. Does nothing when the loop is gone: there is nobody left to answer.
    pub fn post(&self, delivery: Delivery<R>) {
        if self.deliveries.send(delivery).is_err() {
            return;
        }
        if !self.bell.rung.swap(true, Ordering::AcqRel) {
            if HOLDING.get() {
                HELD.with_borrow_mut(|held| held.push(Arc::clone(&self.bell)));
            } else {
                (self.bell.ring)();
            }
        }
    }
}

impl<R> Outbox<R> {
    /// True when both lead to the same port of the same loop.
    pub fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.bell, &other.bell)
    }
}

impl<R> Clone for Outbox<R> {
    fn clone(&self) -> Self {
        Self { deliveries: self.deliveries.clone(), bell: Arc::clone(&self.bell) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::panic::{AssertUnwindSafe, catch_unwind};
    use std::sync::atomic::AtomicUsize;

    #[test]
    fn rings_once_until_drained() {
        let rings = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&rings);
        let (mailbox, outbox) = mailbox(move || {
            counter.fetch_add(1, Ordering::Relaxed);
        });
        let conn = ConnId { slot: 0, generation: 0 };
        for reply in 0..3 {
            outbox.post(Delivery::Reply { conn, reply });
        }
        assert_eq!(rings.load(Ordering::Relaxed), 1);
        assert_eq!(mailbox.drain().count(), 3);
        outbox.post(Delivery::Reply { conn, reply: 3 });
        assert_eq!(rings.load(Ordering::Relaxed), 2);
        mailbox.drain().for_each(drop);
        ring_once(|| {
            ring_once(|| outbox.post(Delivery::Reply { conn, reply: 4 }));
            outbox.post(Delivery::Reply { conn, reply: 5 });
            assert_eq!(rings.load(Ordering::Relaxed), 2, "not before all is posted");
        });
        assert_eq!(rings.load(Ordering::Relaxed), 3);
        assert_eq!(mailbox.drain().count(), 2);
        let panics = || {
            ring_once(|| -> () {
                outbox.post(Delivery::Reply { conn, reply: 6 });
                panic!("a bug");
            });
        };
        assert!(catch_unwind(AssertUnwindSafe(panics)).is_err());
        assert_eq!(rings.load(Ordering::Relaxed), 4, "who was answered hears of it all the same");
    }
}
