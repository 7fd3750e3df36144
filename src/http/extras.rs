//! What few requests ask for beside their answer: another coding, or nothing if they have it
//! already; and the fields that a service adds to whatever the answer is.

use super::head::Head;
use super::request::{Headers, Method};
use super::response::{Body, Response, Status};
use std::sync::Arc;

/// Made only for a request that has any of this, so that the others carry one empty pointer.
#[derive(Debug, Default)]
pub(super) struct Extras {
    accepts_gzip: bool,
    /// The values of `If-None-Match`, joined by commas; empty when there is none.
    known: Vec<u8>,
    /// Lines that begin with their CRLF.
    pub(super) fields: Option<Arc<[u8]>>,
}

impl Extras {
    /// Of a request that names a coding or what it knows, or whose answer gets `fields`.
    pub(super) fn of(head: &Head<'_, '_>, fields: Option<Arc<[u8]>>) -> Option<Box<Self>> {
        if !head.negotiates && fields.is_none() {
            return None;
        }
        let is_read = matches!(head.method, Method::Get | Method::Head);
        if !(head.negotiates && is_read) {
            return Some(Box::new(Self { fields, ..Self::default() }));
        }
        let headers = head.headers();
        Some(Box::new(Self {
            accepts_gzip: accepts_gzip(&headers),
            known: headers.all("if-none-match").collect::<Vec<_>>().join(&b','),
            fields,
        }))
    }

    /// Chooses the form of a tagged body, or 304 where the client has it (RFC 9110 section 13.1.2).
    pub(super) fn choose(&self, response: &mut Response) {
        if response.status != Status::OK {
            return;
        }
        let Body::Tagged(representation, coding) = &mut response.body else { return };
        if self.accepts_gzip {
            *coding = representation.smallest();
        }
        if knows(&self.known, representation.etag(*coding)) {
            response.status = Status::NOT_MODIFIED;
        }
    }
}

/// True when `etag` is in the list. Weak comparison: a proxy may have weakened what it passes on.
fn knows(list: &[u8], etag: &str) -> bool {
    list.split(|&byte| byte == b',').map(<[u8]>::trim_ascii).any(|known| {
        let known = known.strip_prefix(b"W/").unwrap_or(known);
        known == b"*" || known == etag.as_bytes()
    })
}

/// True when gzip is named, or covered by `*`, and not liked less than no coding at all (RFC 9110
/// section 12.5.3).
fn accepts_gzip(headers: &Headers<'_>) -> bool {
    let (mut gzip, mut any, mut identity) = (None, None, None);
    for value in headers.all("accept-encoding") {
        for item in value.split(|&byte| byte == b',') {
            let mut parts = item.split(|&byte| byte == b';').map(<[u8]>::trim_ascii);
            let name = parts.next().unwrap_or_default();
            let weight = parts.find_map(|part| part.strip_prefix(b"q=")).map_or(1_000, thousandths);
            match () {
                () if name.eq_ignore_ascii_case(b"gzip") => gzip = Some(weight),
                () if name.eq_ignore_ascii_case(b"x-gzip") => gzip = gzip.or(Some(weight)),
                () if name.eq_ignore_ascii_case(b"identity") => identity = Some(weight),
                () if name == b"*" => any = Some(weight),
                () => {}
            }
        }
    }
    let gzip = gzip.or(any).unwrap_or(0);
    gzip > 0 && gzip >= identity.unwrap_or(0)
}

/// A weight of RFC 9110 section 12.4.2; a malformed one is a refusal.
fn thousandths(weight: &[u8]) -> u16 {
    let digits = match weight {
        [b'1', rest @ ..] if rest.iter().all(|byte| matches!(byte, b'.' | b'0')) => return 1_000,
        [b'0', b'.', digits @ ..] if digits.len() <= 3 => digits,
        _ => return 0,
    };
    let digit = |at: usize| digits.get(at).map_or(0, |byte| u16::from(byte.wrapping_sub(b'0')));
    if digits.iter().all(u8::is_ascii_digit) {
        digit(0) * 100 + digit(1) * 10 + digit(2)
    } else {
        0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gzip_is_sent_to_who_likes_it_best() {
        for (accepted, expected) in [
            ("gzip", true),
            ("GZIP", true),
            ("x-gzip", true),
            ("br, gzip;q=0.8", true),
            ("deflate, gzip; q=1.000, br", true),
            ("*", true),
            ("gzip;q=0.001", true),
            ("identity;q=0.5, gzip;q=0.5", true),
            ("", false),
            ("br", false),
            ("identity", false),
            ("gzip;q=0", false),
            ("gzip;q=0.000, *", false),
            ("*;q=0", false),
            ("gzip;q=0.4, identity;q=0.5", false),
            ("gzip;q=2", false),
            ("gzip;q=x", false),
            ("gzip;q=0.x", false),
            ("gzip;q=0.0001", false),
        ] {
            let field = [httparse::Header { name: "accept-encoding", value: accepted.as_bytes() }];
            assert_eq!(accepts_gzip(&Headers::new(&field)), expected, "{accepted:?}");
        }
    }

    #[test]
    fn a_tag_is_known_by_itself_weakened_or_among_others() {
        for (list, expected) in [
            ("\"a\"", true),
            ("W/\"a\"", true),
            ("\"b\", W/\"a\" ,\"c\"", true),
            ("*", true),
            ("", false),
            ("a", false),
            ("\"a", false),
            ("w/\"a\"", false),
            ("\"ab\"", false),
        ] {
            assert_eq!(knows(list.as_bytes(), "\"a\""), expected, "{list}");
        }
    }
}
