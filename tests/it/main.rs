//! All integration tests, in one binary; each module is a subject.

mod cli;
mod config;
mod tidy;
//! The integration tests: one binary, a module per subject.

mod gift_model;
mod gift_suite;
mod http_conversation;
mod http_rig;
//! All integration tests, as one binary: it links once and runs in parallel.

mod fuzz_tlv;
mod tlv_session;
mod tlv_talk;
