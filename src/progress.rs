//! How far a long command is, on standard error; silent when that is not a terminal.

use indicatif::{ProgressBar, ProgressStyle};

/// A bar over bytes.
pub fn bytes(what: &'static str, length: u64) -> ProgressBar {
    bar(what, length, "{msg} {wide_bar} {bytes}/{total_bytes} {eta}")
}

/// A bar over things that are counted.
pub fn items(what: &'static str, length: u64) -> ProgressBar {
    bar(what, length, "{msg} {wide_bar} {human_pos}/{human_len} {eta}")
}

/// A bar over time; its message says what is under way, and may be changed.
pub fn seconds(what: &'static str, length: u64) -> ProgressBar {
    bar(what, length, "{msg} {wide_bar} {pos}/{len} s")
}

fn bar(what: &'static str, length: u64, template: &str) -> ProgressBar {
    let style = ProgressStyle::with_template(template).expect("our own templates are valid");
    ProgressBar::new(length).with_style(style).with_message(what)
}
