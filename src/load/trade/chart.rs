//! A chart of times, as SVG: both axes by powers of ten.

use plotters::prelude::*;
use std::error::Error;
use std::path::Path;

const SIZE: (u32, u32) = (860, 460);

/// Mean, median and 99th percentile, of answers and of pushes, at one x.
pub(super) type Point = (f64, [f64; 3], [f64; 3]);

/// Names, and colours that are told apart by who does not see red or green.
const LINES: [(&str, RGBColor); 3] = [
    ("mean", RGBColor(0, 114, 178)),
    ("p50", RGBColor(0, 158, 115)),
    ("p99", RGBColor(213, 94, 0)),
];

/// Writes the chart.
pub(super) fn draw(
    file: &Path,
    title: &str,
    axis: &str,
    points: &[Point],
) -> Result<(), Box<dyn Error + Send + Sync>> {
    let area = SVGBackend::new(file, SIZE).into_drawing_area();
    area.fill(&WHITE)?;
    let (xs, ys) = (x_range(points), y_range(points));
    let mut chart = ChartBuilder::on(&area)
        .caption(format!("Trading room: times {title}"), ("sans-serif", 20))
        .margin(14)
        .x_label_area_size(44)
        .y_label_area_size(64)
        .build_cartesian_2d(xs.log_scale(), ys.log_scale())?;
    chart
        .configure_mesh()
        .x_desc(axis)
        .y_desc("milliseconds")
        .x_label_formatter(&|x| tick(*x))
        .y_label_formatter(&|y| tick(*y))
        .light_line_style(WHITE)
        .draw()?;
    for (of, what) in ["answer", "push"].into_iter().enumerate() {
        for (line, (name, color)) in LINES.into_iter().enumerate() {
            let at = |point: &Point| (point.0, [point.1, point.2][of][line]);
            // A step without pushes has no times of them.
            let places: Vec<_> = points.iter().map(at).filter(|(_, ms)| *ms > 0.0).collect();
            if places.is_empty() {
                continue;
            }
            // Pushes are thin lines with hollow points.
            let style = color.stroke_width(if of == 0 { 3 } else { 1 });
            let dot = if of == 0 { color.filled() } else { style };
            chart
                .draw_series(LineSeries::new(places.clone(), style))?
                .label(format!("{what} {name}"))
                .legend(move |(x, y)| PathElement::new([(x, y), (x + 18, y)], style));
            chart.draw_series(places.into_iter().map(|place| Circle::new(place, 3, dot)))?;
        }
    }
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::LowerLeft)
        .background_style(WHITE.mix(0.8))
        .draw()?;
    area.present()?;
    Ok(())
}

/// Names 1, 2 and 5 of each decade; more would run into each other.
fn tick(value: f64) -> String {
    let decade = 10_f64.powf(value.log10().floor());
    let digit = (value / decade).round();
    if [1.0, 2.0, 5.0, 10.0].contains(&digit) { format!("{value}") } else { String::new() }
}

fn x_range(points: &[Point]) -> std::ops::Range<f64> {
    let xs = || points.iter().map(|(x, ..)| *x).filter(|x| *x > 0.0);
    let (min, max) = (xs().fold(f64::INFINITY, f64::min), xs().fold(1.0, f64::max));
    min.min(max) / 1.2..max * 1.2
}

/// Whole decades around all times.
fn y_range(points: &[Point]) -> std::ops::Range<f64> {
    let times = || points.iter().flat_map(|(_, a, b)| a.iter().chain(b)).filter(|ms| **ms > 0.0);
    let (min, max) =
        (times().fold(1.0_f64, |a, b| a.min(*b)), times().fold(1.0_f64, |a, b| a.max(*b)));
    let first = min.log10().floor();
    // The lowest decade is for the names of the lines.
    10_f64.powf(first - 1.0)..10_f64.powf(max.log10().ceil().max(first + 1.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_is_drawn_and_named() {
        let folder = tempfile::tempdir().expect("a temp folder");
        let file = folder.path().join("chart.svg");
        let points =
            [(1.0, [0.2, 0.1, 0.9], [0.0; 3]), (1_000.0, [3.0, 2.0, 20.0], [4.0, 3.0, 30.0])];
        draw(&file, "by the number of clients", "clients", &points).expect("drawn");
        let svg = std::fs::read_to_string(file).expect("written");
        for word in ["answer mean", "answer p99", "push p50", "clients", "milliseconds"] {
            assert!(svg.contains(word), "{word}");
        }
    }

    #[test]
    fn few_ticks_have_names() {
        let named = [1.0, 2.0, 3.0, 5.0, 9.0, 10.0, 70.0, 500.0, 0.2].map(tick);
        assert_eq!(named, ["1", "2", "", "5", "", "10", "", "500", "0.2"]);
    }

    #[test]
    fn a_single_point_and_none_have_axes_too() {
        let folder = tempfile::tempdir().expect("a temp folder");
        let file = folder.path().join("chart.svg");
        for points in [&[(10.0, [1.0; 3], [0.0; 3])][..], &[(0.0, [0.0; 3], [0.0; 3])], &[]] {
            draw(&file, "t", "x", points).expect("drawn");
        }
    }
}
