//! The integration tests: one binary, a module per subject.

mod gift_local;
mod gift_local_rig;
