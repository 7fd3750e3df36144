//! Runs a store on a worker thread: one batch in, one outcome for each job out, whatever protocol
//! asked.

use super::executor::{Queue, Worker};
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
        match result {
            Ok(outcomes) => {
                assert_eq!(outcomes.len(), answers.len(), "one outcome per command");
                for ((answer, submitted), outcome) in answers.into_iter().zip(outcomes) {
                    stamps(submitted).during(|| answer(Ok(outcome)));
                }
            }
            Err(error) => {
                for (answer, submitted) in answers {
                    stamps(submitted).during(|| answer(Err(error)));
                }
            }
        }
    }

    fn close(&mut self) {
        if let Some(store) = &mut self.store {
            store.close();
        }
    }
}
