//! All integration tests, as one binary: it links once and runs in parallel. A module is a subject.

mod cli;
mod client;
mod config;
mod crashes;
mod fuzz_tlv;
mod gift_local;
mod gift_local_rig;
mod gift_model;
mod gift_process;
mod gift_suite;
mod fuzz_corpus;
mod fuzz_targets;
mod http_conversation;
mod http_head;
mod http_rig;
mod server;
mod server_rules;
mod tidy;
mod tlv_session;
mod tlv_talk;
mod http_router;
mod http_splits;
//! All integration tests in one binary, a module per subject.

mod net_accept;
mod net_bytes;
mod net_harness;
mod net_lifecycle;
mod net_many;
mod net_process;
mod net_signals;
mod net_topics;
