//! Runs a store on a worker thread: one batch in, one outcome for each job out, whatever protocol
//! asked.

use super::executor::{Queue, Worker};
use super::mailbox::ring_once;
use super::stamps::Stamps;
use crate::store::{Store, StoreError};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Instant;

/// Receives the outcome of one command, once, on the worker's thread. Made by whoever decoded the
/// command; dropped without a call it must answer its client by itself.
pub type Answer<O> = Box<dyn FnOnce(Result<O, StoreError>) + Send>;

/// A decoded command and the right to answer it. No request bytes cross threads.
pub struct Job<C, O> {
    command: C,
    answer: Answer<O>,
    submitted: Instant,
}

impl<C, O> Job<C, O> {
    /// Hands `command` to a worker, or answers `Unavailable` at once when the queue is full.
    pub fn submit(queue: &Queue<Self>, command: C, answer: Answer<O>) {
        let submitted = Instant::now();
        if let Err(job) = queue.submit(Self { command, answer, submitted }) {
            (job.answer)(Err(StoreError::Unavailable));
        }
    }
}

/// Applies batches to one store. After a panic the store is made anew, from what is durable.
pub struct BatchWorker<S: Store> {
    name: &'static str,
    store: Option<S>,
    reopen: Box<dyn FnMut() -> Result<S, StoreError> + Send>,
}

impl<S: Store> BatchWorker<S> {
    /// Owns `store` for the life of the thread; `reopen` makes its successor should it panic.
    pub fn new(
        name: &'static str,
        store: S,
        reopen: impl FnMut() -> Result<S, StoreError> + Send + 'static,
    ) -> Self {
        Self { name, store: Some(store), reopen: Box::new(reopen) }
    }

    fn apply(&mut self, commands: Vec<S::Command>) -> Result<Vec<S::Outcome>, StoreError> {
        let mut store = match self.store.take() {
            Some(store) => store,
            None => (self.reopen)()?,
        };
        // Unwind safety: a store that panicked is dropped, so nobody sees its broken state.
        let result = catch_unwind(AssertUnwindSafe(move || {
            let result = store.apply(commands);
            (store, result)
        }));
        let Ok((store, result)) = result else {
            tracing::error!(worker = self.name, "the store panicked; it is opened again");
            // At once, and before anybody is answered: what the store showed to readers may lag
            // behind what it had made durable. If it fails, the next batch tries again.
            self.store = (self.reopen)().ok();
            return Err(StoreError::Broken);
        };
        self.store = Some(store);
        result
    }
}

impl<S: Store> Worker<Job<S::Command, S::Outcome>> for BatchWorker<S> {
    fn run(&mut self, batch: &mut Vec<Job<S::Command, S::Outcome>>) {
        let began = Instant::now();
        let (commands, answers): (Vec<_>, Vec<_>) =
            batch.drain(..).map(|job| (job.command, (job.answer, job.submitted))).unzip();
        let result = self.apply(commands);
        let ended = Instant::now();
        let stamps = |submitted| Stamps { submitted, began, ended };
        ring_once(|| match result {
            Ok(outcomes) => {
                assert_eq!(outcomes.len(), answers.len(), "one outcome per command");
                for ((answer, submitted), outcome) in answers.into_iter().zip(outcomes) {
                    stamps(submitted).during(|| give(answer, Ok(outcome)));
                }
            }
            Err(error) => {
                for (answer, submitted) in answers {
                    stamps(submitted).during(|| give(answer, Err(error)));
                }
            }
        });
    }

    fn close(&mut self) {
        if let Some(store) = &mut self.store {
            store.close();
        }
    }
}

/// An answer that panics costs its own client a 500 (its responder is dropped), not the thread and
/// with it everybody's.
fn give<O>(answer: Answer<O>, outcome: Result<O, StoreError>) {
    // Unwind safety: the answer is consumed, nobody sees what it left.
    if catch_unwind(AssertUnwindSafe(|| answer(outcome))).is_err() {
        tracing::error!("an answer panicked");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exec::spawn;
    use crossbeam_channel::{Receiver, Sender, bounded, unbounded};

    /// Doubles numbers; 13 is bad luck. Tells when a batch begins, and ends it when allowed to.
    struct Doubler {
        begun: Sender<usize>,
        go_on: Receiver<()>,
    }

    impl Store for Doubler {
        type Command = u32;
        type Outcome = u32;

        fn apply(&mut self, batch: Vec<u32>) -> Result<Vec<u32>, StoreError> {
            let _ = self.begun.send(batch.len());
            let _ = self.go_on.recv();
            assert!(!batch.contains(&13), "bad luck");
            Ok(batch.into_iter().map(|number| number * 2).collect())
        }
    }

    type Answers = (u32, Result<u32, StoreError>);

    struct Rig {
        queue: Queue<Job<u32, u32>>,
        begun: Receiver<usize>,
        go_on: Sender<()>,
        answers: (Sender<Answers>, Receiver<Answers>),
    }

    impl Rig {
        fn new(queue_jobs_max: usize) -> Self {
            let (tell, begun) = unbounded();
            let (go_on, wait) = bounded(100);
            let open = move || Ok(Doubler { begun: tell.clone(), go_on: wait.clone() });
            let store = open().expect("always opens");
            let worker = BatchWorker::new("doubler", store, open);
            let spawned = spawn("doubler", vec![worker], queue_jobs_max, 100);
            let (queue, _) = spawned.expect("a thread starts");
            Self { queue, begun, go_on, answers: unbounded() }
        }

        fn ask(&self, number: u32) {
            let answers = self.answers.0.clone();
            let answer = move |outcome| {
                let _ = answers.send((number, outcome));
            };
            Job::submit(&self.queue, number, Box::new(answer));
        }

        fn answer(&self) -> Answers {
            self.answers.1.recv().expect("the rig keeps the other end")
        }
    }

    #[test]
    fn what_waits_becomes_one_batch_and_a_full_queue_refuses_at_once() {
        let rig = Rig::new(3);
        rig.ask(1);
        assert_eq!(rig.begun.recv(), Ok(1));
        (2..=4).for_each(|number| rig.ask(number));
        rig.ask(5);
        assert_eq!(rig.answer(), (5, Err(StoreError::Unavailable)), "while the others wait");
        rig.go_on.send(()).expect("it waits");
        assert_eq!(rig.answer(), (1, Ok(2)));
        assert_eq!(rig.begun.recv(), Ok(3), "all that waited");
        rig.go_on.send(()).expect("it waits");
        for number in 2..=4 {
            assert_eq!(rig.answer(), (number, Ok(number * 2)));
        }
    }

    #[test]
    fn a_store_or_an_answer_that_panics_does_not_end_the_worker() {
        let rig = Rig::new(10);
        (0..4).for_each(|_| rig.go_on.send(()).expect("there is room"));
        rig.ask(13);
        assert_eq!(rig.answer(), (13, Err(StoreError::Broken)));
        Job::submit(&rig.queue, 1, Box::new(|_| panic!("an answer with a bug")));
        rig.ask(2);
        assert_eq!(rig.answer(), (2, Ok(4)));
    }
}
