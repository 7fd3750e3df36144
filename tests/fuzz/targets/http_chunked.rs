//! Fuzz target: see `http_chunked` in `tests/it/fuzz_targets.rs`.

#![no_main]

#[path = "../../it/fuzz_targets.rs"]
#[expect(dead_code, reason = "one target of several")]
mod fuzz_targets;

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz_targets::http_chunked(data));
