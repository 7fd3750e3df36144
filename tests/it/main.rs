//! The integration tests: one binary, a module per subject.

mod http_conversation;
mod http_head;
mod http_rig;
mod http_router;
