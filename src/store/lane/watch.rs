//! Answers whoever has waited too long, while the work that they waited for goes on.

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded};
use std::collections::VecDeque;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::Builder;
use std::time::{Duration, Instant};

/// How often those who were answered in time are forgotten.
const SWEEP: Duration = Duration::from_millis(50);

/// The deadline passed: whether the work was done, or will be, is not known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no answer in time")]
pub struct Late;

/// The clock of those who wait. One thread, which ends with the last clone.
///
/// The blocking clients cannot promise when a call returns (one has no socket time-out at all), so
/// the promise is kept out here: all wait equally long, hence first come, first late.
#[derive(Clone)]
pub struct Watch {
    deadline: Duration,
    waiting: Sender<Waiting>,
}

/// The right to answer one who waits. The clock holds it too; whoever comes first uses it.
pub struct Awaited<T> {
    cell: Arc<Cell<T>>,
}

type Waiting = (Instant, Arc<dyn Expire>);

type Answer<T> = Box<dyn FnOnce(Result<T, Late>) + Send>;

struct Cell<T> {
    answer: Mutex<Option<Answer<T>>>,
}

trait Expire: Send + Sync {
    fn expire(&self);
    fn is_answered(&self) -> bool;
}

impl Watch {
    /// Nobody waits longer than `deadline`, and at most `waiting_max` wait.
    pub fn start(deadline: Duration, waiting_max: usize) -> io::Result<Self> {
        assert!(waiting_max > 0, "a watch for nobody");
        let (waiting, arrivals) = bounded(waiting_max);
        let thread = Builder::new().name("watch".to_owned());
        thread.spawn(move || keep(&arrivals, waiting_max))?;
        Ok(Self { deadline, waiting })
    }

    /// Calls `answer` exactly once: with what [`Awaited::send`] is given, or [`Late`]. It runs on
    /// the thread that comes first and must not block. Too many waiting: late at once.
    pub fn expect<T: Send + 'static>(
        &self,
        answer: impl FnOnce(Result<T, Late>) + Send + 'static,
    ) -> Awaited<T> {
        let cell = Arc::new(Cell { answer: Mutex::new(Some(Box::new(answer) as Answer<T>)) });
        let due = Instant::now() + self.deadline;
        if self.waiting.try_send((due, Arc::clone(&cell) as Arc<dyn Expire>)).is_err() {
            cell.expire();
        }
        Awaited { cell }
    }

    /// How long one waits at most.
    pub fn deadline(&self) -> Duration {
        self.deadline
    }
}

impl<T> Awaited<T> {
    /// Answers; false when the deadline was first, and `value` is dropped.
    pub fn send(self, value: T) -> bool {
        self.cell.take().map(|answer| answer(Ok(value))).is_some()
    }

    /// True when nobody waits any more: what has not begun need not begin.
    pub fn is_late(&self) -> bool {
        self.cell.lock().is_none()
    }
}

impl<T> Cell<T> {
    fn take(&self) -> Option<Answer<T>> {
        self.lock().take()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<Answer<T>>> {
        // Answers run outside the lock, so it cannot be poisoned by one that panics.
        self.answer.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T> Expire for Cell<T> {
    fn expire(&self) {
        if let Some(answer) = self.take() {
            answer(Err(Late));
        }
    }

    fn is_answered(&self) -> bool {
        self.lock().is_none()
    }
}

/// Sleeps until somebody comes, then looks at the oldest until all are answered.
fn keep(arrivals: &Receiver<Waiting>, waiting_max: usize) {
    let mut queue: VecDeque<Waiting> = VecDeque::new();
    loop {
        if queue.len() >= waiting_max {
            // One who waits long must not make those behind, long answered, fill the place.
            queue.retain(|(_, entry)| !entry.is_answered());
        }
        let room = waiting_max.saturating_sub(queue.len());
        let sweep = Instant::now() + SWEEP;
        let arrived = match queue.front() {
            None => arrivals.recv().map_err(|_| RecvTimeoutError::Disconnected),
            Some((due, _)) if room > 0 => arrivals.recv_deadline((*due).min(sweep)),
            Some(_) => Err(RecvTimeoutError::Timeout),
        };
        match arrived {
            Ok(entry) => {
                queue.push_back(entry);
                queue.extend(arrivals.try_iter().take(room.saturating_sub(1)));
            }
            Err(RecvTimeoutError::Disconnected) if queue.is_empty() => return,
            // Full, or nobody can come any more: those who wait have their deadlines all the same.
            Err(RecvTimeoutError::Timeout) if room > 0 => {}
            Err(_) => std::thread::sleep(SWEEP),
        }
        let now = Instant::now();
        while let Some((due, entry)) = queue.front() {
            if !entry.is_answered() && *due > now {
                break;
            }
            // An answer that panics is its owner's loss, not that of all who wait.
            if catch_unwind(AssertUnwindSafe(|| entry.expire())).is_err() {
                tracing::error!("telling one who waited too long panicked");
            }
            queue.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crossbeam_channel::unbounded;

    #[test]
    fn answers_once_whoever_comes_first() {
        let (said, heard) = unbounded();
        let watch = Watch::start(Duration::from_millis(20), 8).expect("a thread");
        let tell = |name: &'static str| {
            let said = said.clone();
            watch.expect(move |answer: Result<u32, Late>| {
                said.send((name, answer)).expect("the test listens");
            })
        };
        let (quick, slow, dropped) = (tell("quick"), tell("slow"), tell("dropped"));
        drop(dropped);
        assert!(quick.send(7));
        assert_eq!(heard.recv(), Ok(("quick", Ok(7))));
        assert_eq!(heard.recv(), Ok(("slow", Err(Late))));
        assert!(slow.is_late());
        assert!(!slow.send(8));
        assert_eq!(heard.recv(), Ok(("dropped", Err(Late))));
        drop(watch);
        assert!(heard.try_recv().is_err());
    }

    #[test]
    fn one_too_many_is_late_at_once() {
        let (said, heard) = unbounded();
        // Without its thread, which would make room again.
        let (waiting, _arrivals) = bounded(1);
        let watch = Watch { deadline: Duration::from_secs(60), waiting };
        let tell = || {
            let said = said.clone();
            watch.expect(move |answer: Result<(), Late>| {
                said.send(answer).expect("the test listens");
            })
        };
        let first = tell();
        assert!(tell().is_late());
        assert_eq!(heard.recv(), Ok(Err(Late)));
        assert!(first.send(()));
    }
}
