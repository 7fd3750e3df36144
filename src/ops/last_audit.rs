//! What the last audit found, as figures: an alert on drift needs nobody to read reports.

use super::page::{Kind, Page};
use crate::store::Check;
use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

/// Written by the audit's thread, read at a scrape.
#[derive(Debug, Default)]
pub struct LastAudit(Mutex<Option<Found>>);

#[derive(Debug)]
struct Found {
    at_s: u64,
    /// Difference, and whether all was well, by the check's name.
    checks: BTreeMap<String, (u128, bool)>,
}

impl LastAudit {
    /// Remembers a report.
    pub(super) fn note(&self, checks: &[Check]) {
        let at_s = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |at| at.as_secs());
        let drift = |check: &Check| (check.left.abs_diff(check.right), check.ok);
        let checks = checks.iter().map(|check| (check.name.clone(), drift(check))).collect();
        let found = Some(Found { at_s, checks });
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = found;
    }

    /// Adds its families; without figures before the first audit.
    pub fn write(&self, page: &mut Page) {
        let found = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let help = "When the last audit ended, as unix time.";
        let mut family = page.family("fanfare_audit_timestamp_seconds", Kind::Gauge, help);
        let Some(found) = &*found else {
            return no_checks(page);
        };
        family.value(&[], found.at_s);
        let mut family = page.family("fanfare_audit_drift", Kind::Gauge, DRIFT);
        for (check, (drift, _)) in &found.checks {
            family.value(&[("check", check)], drift);
        }
        let mut family = page.family("fanfare_audit_ok", Kind::Gauge, OK);
        for (check, (_, ok)) in &found.checks {
            family.value(&[("check", check)], u8::from(*ok));
        }
    }
}

const DRIFT: &str = "Difference of the two figures that must be equal, in the last audit.";
const OK: &str = "1 when the last audit found no difference anywhere, 0 otherwise.";

/// The names are there from the start, so that dashboards know them.
fn no_checks(page: &mut Page) {
    page.family("fanfare_audit_drift", Kind::Gauge, DRIFT);
    page.family("fanfare_audit_ok", Kind::Gauge, OK);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn drift_is_the_difference_whichever_side_is_larger() {
        let check = |name: &str, left, right, ok| {
            let name = name.to_owned();
            Check { name, left, right, ok, first_bad: None }
        };
        let last = LastAudit::default();
        last.note(&[check("a = b", 3, 3, true), check("c = d", -2, 5, false)]);
        let mut page = Page::default();
        last.write(&mut page);
        let text = page.into_text();
        for line in [
            r#"fanfare_audit_drift{check="a = b"} 0"#,
            r#"fanfare_audit_drift{check="c = d"} 7"#,
            r#"fanfare_audit_ok{check="a = b"} 1"#,
            r#"fanfare_audit_ok{check="c = d"} 0"#,
        ] {
            assert!(text.lines().any(|found| found == line), "{line} is not in\n{text}");
        }
    }
}
