//! What a rain load measured, as text.

use super::visitor::Tally;
use super::words::code_name;
use crate::client::money::{grouped, yuan};
use crate::load::latencies::Latencies;
use comfy_table::{CellAlignment, Table, presets};
use std::fmt::Write;
use std::time::Duration;

/// Ranges into which the amounts are sorted.
const RANGES: i64 = 10;

/// The bar of the fullest range.
const BAR_WIDTH: usize = 40;

/// Figures, outcomes and amounts.
pub(super) fn text(tally: &Tally, elapsed: Duration) -> String {
    let mut out = format!("{}\n\n{}\n", figures(tally, elapsed), outcomes(tally));
    let amounts: Vec<i64> = tally.grants.iter().filter_map(|grant| grant.value_fen).collect();
    if !amounts.is_empty() {
        write!(out, "\n{}\n", distribution(&amounts)).expect("a String takes all");
    }
    out
}

fn table<const N: usize>(head: [&str; N]) -> Table {
    let mut table = Table::new();
    table.load_preset(presets::NOTHING).set_header(head);
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}

fn figures(tally: &Tally, elapsed: Duration) -> String {
    let mut table =
        table(["call", "answers", "per second", "mean ms", "p50 ms", "p99 ms", "max ms"]);
    #[expect(clippy::cast_precision_loss, reason = "counts of a run, far within 53 bits")]
    let rate = |count: u64| format!("{:.0}", count as f64 / elapsed.as_secs_f64());
    for (call, times) in &tally.times {
        table.add_row([
            call.path().to_owned(),
            grouped(times.count()),
            rate(times.count()),
            format!("{:.2}", times.mean_ms()),
            format!("{:.2}", times.percentile_ms(50.0)),
            format!("{:.2}", times.percentile_ms(99.0)),
            format!("{:.2}", times.max_ms()),
        ]);
    }
    let all: u64 = tally.times.values().map(Latencies::count).sum();
    table.add_row(["all", &grouped(all), &rate(all)]);
    table.trim_fmt()
}

fn outcomes(tally: &Tally) -> String {
    let mut table = table(["outcome", "answers"]);
    for ((call, code), count) in &tally.codes {
        let name = format!("{} {code} {}", call.path(), code_name(*code));
        table.add_row([name, grouped(*count)]);
    }
    let unknown = tally.unknown.len() as u64 + tally.unknown_opens;
    if unknown > 0 {
        table.add_row(["no answer".to_owned(), grouped(unknown)]);
    }
    table.trim_fmt()
}

/// How many packets have how much, in ranges of equal width.
fn distribution(amounts: &[i64]) -> String {
    let (min, max) = (amounts.iter().min().copied(), amounts.iter().max().copied());
    let (Some(min), Some(max)) = (min, max) else { return String::new() };
    let width = ((max - min) / RANGES + 1).max(1);
    let mut counts = Vec::new();
    for from in (min..=max).step_by(usize::try_from(width).unwrap_or(usize::MAX)) {
        let range = from..from.saturating_add(width);
        let count = amounts.iter().filter(|amount| range.contains(amount)).count();
        counts.push((from, range.end - 1, count));
    }
    let most = counts.iter().map(|(_, _, count)| *count).max().unwrap_or(1).max(1);
    let mut table = table(["amount", "packets", ""]);
    if let Some(bars) = table.column_mut(2) {
        bars.set_cell_alignment(CellAlignment::Left);
    }
    for (from, to, count) in counts {
        let bar = "█".repeat(count * BAR_WIDTH / most);
        table.add_row([format!("{} to {}", yuan(from), yuan(to)), grouped(count as u64), bar]);
    }
    let sum: i128 = amounts.iter().map(|amount| i128::from(*amount)).sum();
    let sum = i64::try_from(sum).unwrap_or(i64::MAX);
    let mean = sum / i64::try_from(amounts.len()).unwrap_or(1);
    format!("{}\n{} opened, mean {}", table.trim_fmt(), yuan(sum), yuan(mean))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_amount_is_in_one_range() {
        let shown = distribution(&[1, 1, 5, 100]);
        let counts: Vec<u64> = shown
            .lines()
            .filter_map(|line| line.split_once(" to ")?.1.split_whitespace().nth(1)?.parse().ok())
            .collect();
        assert_eq!(counts.iter().sum::<u64>(), 4, "{shown}");
        assert_eq!((counts.first(), counts.last()), (Some(&3), Some(&1)), "{shown}");
        assert!(shown.ends_with("1.07 opened, mean 0.26"), "{shown}");
        assert!(distribution(&[7]).contains("0.07 to 0.07"));
    }
}
