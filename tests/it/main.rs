//! The integration tests: one binary, a module per subject.

mod gift_crash;
mod gift_local;
mod gift_local_rig;
mod gift_model;
mod gift_suite;
mod http_conversation;
mod http_rig;
