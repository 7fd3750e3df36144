//! Loads that users of the server would make, measured and checked: `fanfare load …`.

mod latencies;
pub mod rain;
pub mod trade;
mod verdict;
