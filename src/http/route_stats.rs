//! Counts the answers of one router: by route, method and status class. One writer, its loop.

use super::request::Method;
use crate::meter::{Counter, Histogram, Tally};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

/// What a request without a route of ours is counted as: clients choose paths, so they are no label.
const UNMATCHED: &str = "unmatched";

/// Status classes, 1xx to 5xx.
const CLASSES: usize = 5;

/// Methods, and one place for requests that were refused before theirs was known.
const METHODS: [Option<Method>; 9] = [
    None,
    Some(Method::Get),
    Some(Method::Head),
    Some(Method::Post),
    Some(Method::Put),
    Some(Method::Patch),
    Some(Method::Delete),
    Some(Method::Options),
    Some(Method::Trace),
];

/// Where an answer is counted. The default is for what has neither route nor method.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Place(u16);

impl Place {
    /// The place of a request to the route with this number; 0 is none.
    pub(super) fn of(route: u16, method: Method) -> Self {
        let places = u16::try_from(METHODS.len()).expect("there are few methods");
        Self(route * places + method as u16 + 1)
    }
}

/// Answers by route, method and status class.
#[derive(Debug)]
pub struct RouteStats {
    /// By number; the first is for requests without a route.
    patterns: Vec<Box<str>>,
    cells: Box<[Cell]>,
}

#[derive(Debug, Default)]
struct Cell {
    classes: [Class; CLASSES],
    /// Answers with 503: no room for the request.
    shed: Counter,
}

#[derive(Debug, Default)]
struct Class {
    /// Answered in the turn in which they came: no time to speak of, so no bucket to look for.
    at_once: Counter,
    /// The others; made with the first of them.
    later: OnceLock<Box<Histogram>>,
}

/// The answers to one kind of request.
#[derive(Debug)]
pub struct Line<'a> {
    /// The route's pattern.
    pub route: &'a str,
    /// The method; `unknown` when the request was refused before.
    pub method: &'static str,
    /// Such as `2xx`.
    pub status: &'static str,
    /// From the request to its answer, in microseconds.
    pub durations: Tally,
    /// How many of all answers of the route and method were 503.
    pub shed: u64,
}

impl RouteStats {
    pub(super) fn new(patterns: impl IntoIterator<Item = Box<str>>) -> Arc<Self> {
        let patterns: Vec<_> = [UNMATCHED.into()].into_iter().chain(patterns).collect();
        let cells = (0..patterns.len() * METHODS.len()).map(|_| Cell::default()).collect();
        Arc::new(Self { patterns, cells })
    }

    /// Counts an answer, which `took` so long unless it came at once. Runs once a request.
    pub(super) fn count(&self, place: Place, code: u16, took: Option<Duration>) {
        let Some(cell) = self.cells.get(usize::from(place.0)) else { return };
        let Some(class) = cell.classes.get(usize::from(code / 100).wrapping_sub(1)) else { return };
        match took {
            None => class.at_once.add(1),
            Some(took) => {
                let later = class.later.get_or_init(|| Box::new(Histogram::of_durations()));
                later.record_duration(took);
            }
        }
        if code == 503 {
            cell.shed.add(1);
        }
    }

    /// Route and method of a place.
    pub(super) fn names(&self, place: Place) -> (&str, &'static str) {
        let index = usize::from(place.0);
        let route = self.patterns.get(index / METHODS.len()).map_or(UNMATCHED, |pattern| pattern);
        (route, METHODS[index % METHODS.len()].map_or("unknown", Method::token))
    }

    /// How many requests to `pattern` were answered with 2xx.
    pub fn succeeded(&self, method: Method, pattern: &str) -> u64 {
        let route = self.patterns.iter().position(|known| **known == *pattern);
        let place = route.and_then(|route| Some(Place::of(u16::try_from(route).ok()?, method)));
        let cell = place.and_then(|place| self.cells.get(usize::from(place.0)));
        cell.map_or(0, |cell| cell.classes[1].tally().count())
    }

    /// What was counted, without what never occurred.
    pub fn lines(&self) -> impl Iterator<Item = Line<'_>> {
        self.cells.iter().enumerate().flat_map(move |(index, cell)| {
            let place = Place(u16::try_from(index).expect("a program has few routes"));
            let (route, method) = self.names(place);
            let names = ["1xx", "2xx", "3xx", "4xx", "5xx"];
            cell.classes.iter().zip(names).filter_map(move |(class, status)| {
                let durations = class.tally();
                let shed = if status == "5xx" { cell.shed.get() } else { 0 };
                let line = Line { route, method, status, durations, shed };
                (line.durations.count() > 0).then_some(line)
            })
        })
    }
}

impl Class {
    fn tally(&self) -> Tally {
        let mut tally = self
            .later
            .get()
            .map_or_else(|| Tally::empty(crate::meter::DURATION_BOUNDS_US), |later| later.tally());
        tally.counts[0] += self.at_once.get();
        tally
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_method_has_its_own_place() {
        for (index, method) in METHODS.iter().enumerate().skip(1) {
            let method = method.expect("only the first is unknown");
            assert_eq!(usize::from(Place::of(0, method).0), index, "{method:?}");
        }
    }

    #[test]
    fn answers_are_counted_where_they_belong() {
        let stats = RouteStats::new(["/a".into(), "/b".into()]);
        stats.count(Place::default(), 400, None);
        stats.count(Place::of(2, Method::Post), 200, Some(Duration::from_micros(300)));
        stats.count(Place::of(2, Method::Post), 200, None);
        stats.count(Place::of(2, Method::Post), 503, None);
        stats.count(Place::of(9, Method::Get), 200, None);
        stats.count(Place::of(1, Method::Get), 999, None);
        let line = |line: Line<'_>| {
            let text = format!("{} {} {}", line.route, line.method, line.status);
            (text, line.durations.count(), line.durations.sum, line.shed)
        };
        assert_eq!(stats.succeeded(Method::Post, "/b"), 2);
        assert_eq!(stats.succeeded(Method::Post, "/c"), 0);
        let lines: Vec<_> = stats.lines().map(line).collect();
        let expected = [
            ("unmatched unknown 4xx".to_owned(), 1, 0, 0),
            ("/b POST 2xx".to_owned(), 2, 300, 0),
            ("/b POST 5xx".to_owned(), 1, 0, 1),
        ];
        assert_eq!(lines, expected);
    }
}
