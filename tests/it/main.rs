//! The integration tests: one binary, a module per subject.

mod gift_api;
mod gift_model;
mod gift_rig;
mod gift_suite;
mod http_conversation;
mod http_rig;
