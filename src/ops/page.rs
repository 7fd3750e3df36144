//! A page of figures in the text format of Prometheus.

use crate::meter::Tally;
use std::fmt::{Display, Write};

/// What a figure does over time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Only grows; the name ends in `_total`.
    Counter,
    /// Goes up and down.
    Gauge,
    /// Values counted in buckets.
    Histogram,
}

impl Kind {
    fn word(self) -> &'static str {
        match self {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram => "histogram",
        }
    }
}

/// The page while it is written: one family after the other, in the order of their first mention.
#[derive(Debug, Default)]
pub struct Page {
    /// Each with its name.
    families: Vec<(String, String)>,
}

/// The figures of one name.
pub struct Family<'a> {
    name: &'a str,
    text: &'a mut String,
}

/// Names and values of labels. Values are escaped; still, what a client chose is none.
pub type Labels<'a> = &'a [(&'a str, &'a str)];

impl Page {
    /// The family `name`, in base units. Several parts of the process may add to one family, with
    /// labels that tell them apart; the first one's help stands.
    pub fn family<'a>(&'a mut self, name: &'a str, kind: Kind, help: &str) -> Family<'a> {
        debug_assert_eq!(kind == Kind::Counter, name.ends_with("_total"), "{name}");
        let known = self.families.iter().position(|(other, _)| other == name);
        let index = known.unwrap_or_else(|| {
            let help = help.replace('\\', "\\\\").replace('\n', "\\n");
            let head = format!("# HELP {name} {help}\n# TYPE {name} {}\n", kind.word());
            self.families.push((name.to_owned(), head));
            self.families.len() - 1
        });
        let text = &mut self.families[index].1;
        debug_assert!(text.contains(&format!("# TYPE {name} {}\n", kind.word())), "{name}");
        Family { name, text }
    }

    /// A family of one figure without labels.
    pub fn one(&mut self, name: &str, kind: Kind, help: &str, value: impl Display) {
        self.family(name, kind, help).value(&[], value);
    }

    /// The whole page.
    pub fn into_text(self) -> String {
        self.families.into_iter().map(|(_, text)| text).collect()
    }
}

impl Family<'_> {
    /// Adds a counter or gauge.
    pub fn value(&mut self, labels: Labels<'_>, value: impl Display) {
        self.sample("", labels, None, value);
    }

    /// Adds a histogram whose values are shown as they are.
    pub fn histogram(&mut self, labels: Labels<'_>, tally: &Tally) {
        self.buckets(labels, tally, |value| value.to_string());
    }

    /// Adds a histogram of microseconds, shown in seconds.
    pub fn durations(&mut self, labels: Labels<'_>, tally: &Tally) {
        self.buckets(labels, tally, seconds);
    }

    fn buckets(&mut self, labels: Labels<'_>, tally: &Tally, show: impl Fn(u64) -> String) {
        let mut count = 0;
        for (index, more) in tally.counts.iter().enumerate() {
            count += more;
            let bound = tally.bounds.get(index).map_or_else(|| "+Inf".to_owned(), |at| show(*at));
            self.sample("_bucket", labels, Some(&bound), count);
        }
        self.sample("_sum", labels, None, show(tally.sum));
        self.sample("_count", labels, None, count);
    }

    fn sample(&mut self, end: &str, labels: Labels<'_>, bound: Option<&str>, value: impl Display) {
        let text = &mut *self.text;
        put(text, format_args!("{}{end}", self.name));
        let labels = labels.iter().copied().chain(bound.map(|bound| ("le", bound)));
        let mut before = '{';
        for (name, value) in labels {
            text.push(before);
            put(text, format_args!("{name}=\"{}\"", escaped(value)));
            before = ',';
        }
        if before == ',' {
            text.push('}');
        }
        put(text, format_args!(" {value}\n"));
    }
}

/// Microseconds as seconds, exactly.
pub(super) fn seconds(us: u64) -> String {
    let (whole, rest) = (us / 1_000_000, us % 1_000_000);
    let text = format!("{whole}.{rest:06}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

fn escaped(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

fn put(text: &mut String, what: std::fmt::Arguments<'_>) {
    text.write_fmt(what).expect("a string takes everything");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::meter::Histogram;

    #[test]
    fn buckets_add_up_and_labels_are_escaped() {
        let histogram = Histogram::new(&[250, 1_000_000]);
        for us in [1, 250, 1_500_000] {
            histogram.record(us);
        }
        let mut page = Page::default();
        let mut family = page.family("took_seconds", Kind::Histogram, "How\nlong.");
        family.durations(&[("at", "a\"b\\c\n")], &histogram.tally());
        page.one("done_total", Kind::Counter, "Done.", 7);
        let expected = r#"# HELP took_seconds How\nlong.
# TYPE took_seconds histogram
took_seconds_bucket{at="a\"b\\c\n",le="0.00025"} 2
took_seconds_bucket{at="a\"b\\c\n",le="1"} 2
took_seconds_bucket{at="a\"b\\c\n",le="+Inf"} 3
took_seconds_sum{at="a\"b\\c\n"} 1.500251
took_seconds_count{at="a\"b\\c\n"} 3
# HELP done_total Done.
# TYPE done_total counter
done_total 7
"#;
        assert_eq!(page.into_text(), expected);
    }

    #[test]
    fn two_parts_add_to_one_family() {
        let mut page = Page::default();
        for store in ["gift", "counter"] {
            page.family("rows", Kind::Gauge, "Rows.").value(&[("store", store)], 1);
            page.one(&format!("{store}_done_total"), Kind::Counter, "Done.", 2);
        }
        let rows = "# HELP rows Rows.\n# TYPE rows gauge\nrows{store=\"gift\"} 1\n\
                    rows{store=\"counter\"} 1\n# HELP gift_done";
        let text = page.into_text();
        assert!(text.starts_with(rows), "{text}");
    }
}
