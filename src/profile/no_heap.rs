//! Heap profiles in a build without them: refusals in the place of figures.

use std::io;

/// Refuses: there is nothing to start.
pub fn start() -> io::Result<()> {
    Err(io::Error::other("this build has no heap profiles (the feature heap-profiles)"))
}

/// Never.
pub fn is_started() -> bool {
    false
}

/// Refuses.
pub fn profile() -> io::Result<Vec<u8>> {
    start().map(|()| Vec::new())
}

/// Nothing has to stand still.
pub(super) struct Pause;

impl Pause {
    pub(super) fn begin() -> Self {
        Self
    }
}
