//! Whether a store may still acknowledge writes; shown by `/readyz`.

use std::sync::OnceLock;

/// Set once and never cleared: after a failed fsync nobody knows what the disk holds, and asking
/// again would answer "fine" without having written it.
#[derive(Debug, Default)]
pub struct Health {
    stopped: OnceLock<String>,
}

impl Health {
    /// Stops the store for good. The first reason is kept and logged, later ones are its echo.
    pub fn stop(&self, store: &'static str, reason: &str) {
        if self.stopped.set(reason.to_owned()).is_ok() {
            tracing::error!(
                store,
                reason,
                "STOPPED TAKING WRITES: the disk failed, and what it holds is unknown. Check it, \
                 then restart; what was acknowledged before is in the journal"
            );
        }
    }

    /// Why writes are refused until a restart; `None` while all is well.
    pub fn stopped(&self) -> Option<&str> {
        self.stopped.get().map(String::as_str)
    }
}
