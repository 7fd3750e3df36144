//! Lines without orders to whoever shows them: a client's text may be logged, its escape sequences,
//! bells and marks that turn the direction of text may not.

use std::borrow::Cow;
use std::fmt::Write;

/// `line` with every hostile character as `\u….`, which in a JSON string is the same character.
/// Line ends stay; the formatter quotes those that come from values.
pub(super) fn printable(line: &[u8]) -> Cow<'_, [u8]> {
    // The usual line, in one pass over its bytes.
    if line.iter().all(|byte| matches!(byte, b' '..=b'~' | b'\n' | b'\t')) {
        return Cow::Borrowed(line);
    }
    let text = String::from_utf8_lossy(line);
    if !text.contains(is_hostile) {
        return Cow::Borrowed(line);
    }
    let mut clean = String::with_capacity(text.len() + 16);
    for char in text.chars() {
        if is_hostile(char) {
            write!(clean, "\\u{:04x}", u32::from(char)).expect("a String takes all");
        } else {
            clean.push(char);
        }
    }
    Cow::Owned(clean.into_bytes())
}

/// Controls of both sets, and the bidirectional ones.
fn is_hostile(char: char) -> bool {
    let turns =
        matches!(char, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    turns || char.is_control() && !matches!(char, '\n' | '\t')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_gives_orders_is_changed() {
        for (line, expected) in [
            ("plain\tline\n", "plain\tline\n"),
            ("grüße → 名前\n", "grüße → 名前\n"),
            ("a\u{1b}[31m\u{7}\r\u{7f}\n", "a\\u001b[31m\\u0007\\u000d\\u007f\n"),
            ("\u{9b}2J\u{202e}abc\u{2066}", "\\u009b2J\\u202eabc\\u2066"),
        ] {
            assert_eq!(&*printable(line.as_bytes()), expected.as_bytes(), "{line:?}");
        }
    }

    #[test]
    fn in_json_it_is_the_same_character() {
        let line = "{\"path\":\"\u{9b}\u{7f}\"}";
        let clean: serde_json::Value =
            serde_json::from_slice(&printable(line.as_bytes())).expect("JSON");
        assert_eq!(clean["path"], "\u{9b}\u{7f}");
    }
}
