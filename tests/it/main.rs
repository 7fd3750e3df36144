//! The integration tests: one binary, a module per subject.

mod http_conversation;
mod http_rig;
