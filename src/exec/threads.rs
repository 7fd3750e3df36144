//! The threads behind a store, to be waited for at the end.

use std::thread::JoinHandle;

/// Threads that end by themselves when the last handle to what they serve is dropped.
#[must_use = "what they have not written yet is lost with the process"]
pub struct Threads {
    of: &'static str,
    handles: Vec<JoinHandle<()>>,
}

impl Threads {
    /// `of` says whose they are, in the log.
    pub fn new(of: &'static str, handles: Vec<JoinHandle<()>>) -> Self {
        Self { of, handles }
    }

    /// One more of them.
    pub fn add(&mut self, handle: JoinHandle<()>) {
        self.handles.push(handle);
    }

    /// Waits until all that was queued is done and flushed. First drop every handle to what they
    /// serve: those keep the queues open.
    pub fn join(self) {
        for handle in self.handles {
            let name = handle.thread().name().unwrap_or(self.of).to_owned();
            if handle.join().is_err() {
                tracing::error!(of = self.of, thread = name, "a thread panicked");
            }
        }
    }
}
