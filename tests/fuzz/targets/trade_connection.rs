//! Fuzz target: see `trade_connection` in `tests/it/fuzz_trade.rs`.

#![no_main]

#[path = "../../it/fuzz_trade.rs"]
mod fuzz_trade;

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz_trade::trade_connection(data));
