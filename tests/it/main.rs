//! All integration tests in one binary, a module per subject.

mod net_accept;
mod net_bytes;
mod net_harness;
mod net_lifecycle;
mod net_many;
mod net_process;
mod net_signals;
mod net_topics;
