//! All integration tests, as one binary: it links once and runs in parallel.

mod fuzz_tlv;
mod tlv_session;
mod tlv_talk;
