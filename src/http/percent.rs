//! Percent-decoding of path segments, queries and forms, without a copy where nothing is encoded.

use std::borrow::Cow;

/// Decodes `%XX`. `None` for a malformed escape or bytes that are not UTF-8.
pub(super) fn decode(text: &str) -> Option<Cow<'_, str>> {
    match memchr::memchr(b'%', text.as_bytes()) {
        None => Some(Cow::Borrowed(text)),
        Some(first) => decode_from(text, first, false),
    }
}

/// As [`decode`], with `+` for a space, as forms and queries have it.
pub(super) fn decode_form(text: &str) -> Option<Cow<'_, str>> {
    match memchr::memchr2(b'%', b'+', text.as_bytes()) {
        None => Some(Cow::Borrowed(text)),
        Some(first) => decode_from(text, first, true),
    }
}

fn decode_from(text: &str, first: usize, plus_is_space: bool) -> Option<Cow<'_, str>> {
    let (plain, mut rest) = text.as_bytes().split_at(first);
    let mut decoded = plain.to_vec();
    while let Some((&byte, tail)) = rest.split_first() {
        rest = tail;
        decoded.push(match byte {
            b'%' => {
                let (&[high, low], tail) = tail.split_first_chunk()?;
                rest = tail;
                hex(high)? << 4 | hex(low)?
            }
            b'+' if plus_is_space => b' ',
            _ => byte,
        });
    }
    String::from_utf8(decoded).ok().map(Cow::Owned)
}

fn hex(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        b'A'..=b'F' => Some(digit - b'A' + 10),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decodes_once_and_refuses_what_is_malformed() {
        for (text, plain, form) in [
            ("", Some(""), Some("")),
            ("a+b", Some("a+b"), Some("a b")),
            ("%2F%2f", Some("//"), Some("//")),
            ("%252F", Some("%2F"), Some("%2F")),
            ("%E2%82%AC", Some("€"), Some("€")),
            ("€%20", Some("€ "), Some("€ ")),
            ("%", None, None),
            ("%4", None, None),
            ("%+1", None, None),
            ("%zz", None, None),
            ("%ff", None, None),
            ("%C3", None, None),
        ] {
            assert_eq!(decode(text).as_deref(), plain, "{text}");
            assert_eq!(decode_form(text).as_deref(), form, "{text}");
        }
    }
}
