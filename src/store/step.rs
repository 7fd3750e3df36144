//! Moments between the steps of a local store's threads, for simulations that stop there.

use std::sync::Arc;

/// A moment between two steps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// The batch is decided, nothing is written.
    Decided,
    /// One line was inserted into the open transaction.
    Inserted,
    /// The transaction is durable, nothing is shown.
    Committed,
    /// A handful of changes is shown.
    Published,
    /// The journal's log was moved into the file.
    LogMoved,
    /// All is done but the answers.
    Answering,
    /// What is derived from the journal is about to take in entries.
    Folding,
    /// It has taken in entries.
    Folded,
}

/// Runs on the thread that makes the step. A panic is a crash of that thread.
pub type StepHook = Arc<dyn Fn(Step) + Send + Sync>;
