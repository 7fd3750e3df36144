//! How much of something a test does: little at every change, much in `tests/soak.sh`.

use std::str::FromStr;

/// The number that an environment variable gives.
pub(crate) fn figure<T: FromStr>(variable: &str, unless_told: T) -> T {
    match std::env::var(variable) {
        Ok(text) => text.parse().unwrap_or_else(|_| panic!("{variable} is a number: {text}")),
        Err(_) => unless_told,
    }
}
