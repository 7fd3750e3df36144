//! Whether what a load saw adds up: named checks, as a table, and an error when one failed.

use comfy_table::{Table, presets};
use std::error::Error;

/// Two figures that were found in different ways.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Check {
    name: String,
    left: String,
    right: String,
    ok: Option<bool>,
}

impl Check {
    /// Passes when both are equal.
    pub(super) fn equal(name: &str, left: i64, right: i64) -> Self {
        Self::new(name, left.to_string(), right.to_string(), left == right)
    }

    /// Passes when left is not above right.
    pub(super) fn at_most(name: &str, left: i64, right: i64) -> Self {
        Self::new(name, left.to_string(), right.to_string(), left <= right)
    }

    /// Passes when `ok`.
    pub(super) fn new(name: &str, left: String, right: String, ok: bool) -> Self {
        Self { name: name.to_owned(), left, right, ok: Some(ok) }
    }

    /// Could not be made.
    pub(super) fn skipped(name: &str, why: String) -> Self {
        Self { name: name.to_owned(), left: String::new(), right: why, ok: None }
    }

    /// False when it was made and failed.
    pub(super) fn passed(&self) -> bool {
        self.ok != Some(false)
    }
}

/// All checks, one a line.
pub(super) fn table(checks: &[Check]) -> String {
    let mut table = Table::new();
    table.load_preset(presets::NOTHING).set_header(["check", "left", "right", ""]);
    for Check { name, left, right, ok } in checks {
        let word = match ok {
            Some(true) => "ok",
            Some(false) => "DIFFERS",
            None => "not made",
        };
        table.add_row([name, left, right, word]);
    }
    table.trim_fmt()
}

/// An error when a check failed.
pub(super) fn judge(checks: &[Check]) -> Result<(), Box<dyn Error>> {
    let failed = checks.iter().filter(|check| !check.passed()).count();
    match failed {
        0 => Ok(()),
        _ => Err(format!("{failed} of {} checks failed", checks.len()).into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_check_that_differs_fails_the_whole() {
        let mut checks =
            vec![Check::equal("a = b", 1, 1), Check::skipped("audit", "away".to_owned())];
        assert!(judge(&checks).is_ok());
        checks.push(Check::at_most("sum <= budget", 11, 10));
        let error = judge(&checks).expect_err("it differs");
        assert_eq!(error.to_string(), "1 of 3 checks failed");
        let table = table(&checks);
        assert!(table.contains("DIFFERS") && table.contains("not made"), "{table}");
    }
}
