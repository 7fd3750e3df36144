//! Fuzz target: see `tlv_connection` in `tests/it/fuzz_tlv.rs`.

#![no_main]

#[path = "../../it/fuzz_tlv.rs"]
mod fuzz_tlv;

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz_tlv::tlv_connection(data));
