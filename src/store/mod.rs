//! What every worker asks of storage: apply a batch of commands, get one outcome for each.

mod check;
mod clock;
mod folder;
mod health;
#[cfg(feature = "cluster")]
pub mod lane;
#[cfg(feature = "cluster")]
pub mod mongo;
mod open_error;
#[cfg(feature = "cluster")]
pub mod redis;
mod remembered;
mod request_key;
pub mod sqlite;
mod step;

pub use check::{Audit, BadId, Check};
pub use clock::{Clock, SystemClock};
pub use folder::DataFolder;
pub use health::Health;
pub use open_error::OpenError;
pub use remembered::Remembered;
pub use request_key::RequestKey;
pub use step::{Step, StepHook};

/// State that one worker thread owns, hence `&mut self` and no lock.
///
/// The batch is in the signature because a transaction or a round trip costs the same for one
/// command as for a thousand.
pub trait Store: Send + 'static {
    /// What can be asked.
    type Command: Send + 'static;
    /// What can come back, refusals such as "would overflow" included.
    type Outcome: Send + 'static;

    /// Applies all commands in order, durably; returns as many outcomes as there are commands.
    ///
    /// After an error a local store has applied nothing. A cluster store may have applied some,
    /// so what must not count twice carries an id that the store remembers.
    fn apply(&mut self, batch: Vec<Self::Command>) -> Result<Vec<Self::Outcome>, StoreError>;

    /// No more commands will come: flush what a start would otherwise have to redo.
    fn close(&mut self) {}
}

/// What a caller can do about a store that failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// Try again later: answered 503 with `Retry-After`.
    #[error("the store is unavailable")]
    Unavailable,
    /// Our bug or a broken disk: answered 500, and logged where it happened.
    #[error("the store is broken")]
    Broken,
}
