//! Tells every loop that the state behind some topics changed.

use crate::session::Signal;
use std::sync::{PoisonError, RwLock};

type Listener = Box<dyn Fn(Signal) + Send + Sync>;

/// Loops join at their start; workers announce after they published and before they answer.
#[derive(Default)]
pub struct Notifier {
    /// Written once per loop at start-up, read once per batch.
    listeners: RwLock<Vec<Listener>>,
}

impl Notifier {
    /// Adds a loop. `listener` runs on the worker's thread: it must only post, never wait.
    pub fn join(&self, listener: impl Fn(Signal) + Send + Sync + 'static) {
        let mut listeners = self.listeners.write().unwrap_or_else(PoisonError::into_inner);
        listeners.push(Box::new(listener));
    }

    /// Announces a change.
    pub fn announce(&self, signal: Signal) {
        for listener in self.listeners.read().unwrap_or_else(PoisonError::into_inner).iter() {
            listener(signal);
        }
    }
}
