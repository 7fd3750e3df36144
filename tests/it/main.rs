//! The integration tests: one binary, a module per subject.

mod fuzz_corpus;
mod fuzz_targets;
mod gift_api;
mod gift_crash;
mod gift_local;
mod gift_local_rig;
mod gift_model;
mod gift_rig;
mod gift_suite;
mod http_conversation;
mod http_head;
mod http_rig;
mod http_router;
mod http_splits;
