//! `fanfare load trade`: how response times and pushes go with the number of clients and with the
//! frequency of pushes.

mod chart;
mod peer;
pub mod scenario;
mod schedule;
mod step;

use crate::cli::TradeLoad;
use crate::load::latencies::Latencies;
use crate::load::verdict::{self, Check};
use crate::progress;
use comfy_table::{CellAlignment, Table, presets};
use std::error::Error;
use std::fs;
use std::io::{self, Write};
use std::path::Path;
use step::{Figures, Plan};

/// What is varied, for the title of a table and the name of its chart.
struct Sweep {
    name: &'static str,
    title: &'static str,
    axis: &'static str,
    steps: Vec<Plan>,
}

/// Runs all steps; fails when a push was missing, or a client was lost or refused.
pub fn run(options: &TradeLoad) -> Result<(), Box<dyn Error>> {
    // A connection is a descriptor; the soft limit is often 1,024.
    let _ = rlimit::increase_nofile_limit(u64::MAX);
    let sweeps = sweeps(options);
    let steps = sweeps.iter().map(|sweep| sweep.steps.len() as u64).sum::<u64>();
    let bar = progress::seconds("trading", steps * options.duration.as_secs());
    let (mut tables, mut all) = (String::new(), Vec::new());
    for sweep in &sweeps {
        let mut figures = Vec::new();
        for plan in &sweep.steps {
            bar.set_message(format!("{} clients, {} pushes/s each", plan.clients, plan.push_rate));
            let seen = step::run(options.addr, plan, || bar.inc(1))
                .map_err(|error| format!("{} (--addr): {error}", options.addr))?;
            figures.push((plan.clone(), seen));
        }
        tables.extend([sweep.title, "\n", &table(&figures), "\n\n"]);
        if let Some(folder) = &options.charts {
            draw(folder, sweep, &figures)?;
        }
        all.extend(figures);
    }
    bar.finish_and_clear();
    let checks = checks(&all);
    writeln!(io::stdout(), "{tables}{}", verdict::table(&checks))?;
    verdict::judge(&checks)
}

/// First the number of clients, at the first frequency; then the frequencies, where there are more.
fn sweeps(options: &TradeLoad) -> Vec<Sweep> {
    let plan = |clients, push_rate| Plan {
        clients,
        push_rate,
        interval: options.interval.clone(),
        duration: options.duration,
    };
    let first_rate = options.push_rates.first().copied().unwrap_or_default();
    let mut sweeps = vec![Sweep {
        name: "trade-clients",
        title: "by the number of clients",
        axis: "clients",
        steps: options.clients.iter().map(|clients| plan(*clients, first_rate)).collect(),
    }];
    if options.push_rates.len() > 1 {
        let rates = options.push_rates.iter();
        sweeps.push(Sweep {
            name: "trade-pushes",
            title: "by the frequency of pushes",
            axis: "trades pushed to each client per second",
            steps: rates.map(|rate| plan(options.push_clients, *rate)).collect(),
        });
    }
    sweeps
}

/// What must not happen, over all steps.
fn checks(figures: &[(Plan, Figures)]) -> Vec<Check> {
    let check = |name: &str, of: fn(&Figures) -> u64| {
        let count = figures.iter().map(|(_, seen)| of(seen)).sum::<u64>();
        Check::equal(name, i64::try_from(count).unwrap_or(i64::MAX), 0)
    };
    vec![
        check("gaps in the pushes", |seen| seen.gaps),
        check("requests refused", |seen| seen.refused),
        check("connections lost", |seen| seen.lost),
        check("requests without an answer", |seen| seen.unanswered),
    ]
}

fn table(figures: &[(Plan, Figures)]) -> String {
    let mut table = Table::new();
    table.load_preset(presets::NOTHING).set_header([
        "clients",
        "pushes/s each",
        "answers",
        "mean ms",
        "p50",
        "p99",
        "pushes",
        "mean ms",
        "p50",
        "p99",
    ]);
    for column in table.column_iter_mut() {
        column.set_cell_alignment(CellAlignment::Right);
    }
    for (plan, seen) in figures {
        let mut row = vec![plan.clients.to_string(), plan.push_rate.to_string()];
        for times in [&seen.answers, &seen.pushes] {
            row.push(times.count().to_string());
            row.extend(middle_and_end(times).map(|ms| format!("{ms:.2}")));
        }
        table.add_row(row);
    }
    table.trim_fmt()
}

/// Mean, median and 99th percentile, in milliseconds.
fn middle_and_end(times: &Latencies) -> [f64; 3] {
    [times.mean_ms(), times.percentile_ms(50.0), times.percentile_ms(99.0)]
}

fn draw(folder: &Path, sweep: &Sweep, figures: &[(Plan, Figures)]) -> Result<(), Box<dyn Error>> {
    fs::create_dir_all(folder)
        .map_err(|error| format!("{} (--charts): {error}", folder.display()))?;
    let file = folder.join(format!("{}.svg", sweep.name));
    let by_rate = sweep.name == "trade-pushes";
    let points = figures.iter().map(|(plan, seen)| {
        let x = if by_rate { plan.push_rate } else { f64::from(plan.clients) };
        (x, middle_and_end(&seen.answers), middle_and_end(&seen.pushes))
    });
    chart::draw(&file, sweep.title, sweep.axis, &points.collect::<Vec<_>>())
        .map_err(|error| format!("{} (--charts): {error}", file.display()).into())
}
