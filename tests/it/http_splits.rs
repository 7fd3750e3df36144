//! However the stream is cut, requests and answers are the same; proptest prints the failing case
//! and its seed.

use crate::fuzz_targets::{self, converse};
use proptest::collection::vec;
use proptest::prelude::*;

/// Whole requests and the stumbling blocks between them.
const PARTS: [&str; 24] = [
    "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
    "HEAD /later HTTP/1.1\r\nHost: a\r\n\r\n",
    "GET /later HTTP/1.1\r\nHost: a\r\n\r\n",
    "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
    "GET / HTTP/1.0\r\n\r\n",
    "GET /later HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
    "POST /later HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc",
    "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nGET /",
    "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\nhello",
    "POST /later HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n2;x\r\nab\r\n0\r\nT: u\r\n\r\n",
    "GET /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nxy",
    "OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n",
    "PUT /none HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n",
    "GET http://b/echo?x HTTP/1.1\r\nHost: a\r\n\r\n",
    "\r\n",
    "\r\n\r\n",
    "\n",
    "GET /",
    "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 5000\r\n\r\n",
    "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    "GET / HTTP/1.3\r\nHost: a\r\n\r\n",
    "GET / HTTP/1.1\r\n\r\n",
    "G\u{e4}T / HTTP/1.1\r\n\r\n",
    "0\r\n\r\n",
];

fn cut<'a>(bytes: &'a [u8], sizes: &[usize]) -> Vec<&'a [u8]> {
    let (mut pieces, mut rest) = (Vec::new(), bytes);
    for &size in sizes.iter().cycle() {
        if rest.is_empty() {
            break;
        }
        let (piece, tail) = rest.split_at(size.min(rest.len()));
        pieces.push(piece);
        rest = tail;
    }
    pieces
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn cuts_do_not_change_the_answers(
        parts in vec(0..PARTS.len(), 1..12),
        sizes in vec(1_usize..80, 1..8),
    ) {
        let bytes = parts.iter().map(|&part| PARTS[part]).collect::<String>().into_bytes();
        prop_assert_eq!(converse([&bytes[..]]), converse(cut(&bytes, &sizes)));
    }

    #[test]
    fn damage_is_answered_alike_however_it_arrives(
        part in 0..PARTS.len(),
        place in any::<prop::sample::Index>(),
        byte in any::<u8>(),
        sizes in vec(1_usize..40, 1..4),
    ) {
        let mut bytes = PARTS[part].repeat(2).into_bytes();
        let place = place.index(bytes.len());
        bytes[place] = byte;
        prop_assert_eq!(converse([&bytes[..]]), converse(cut(&bytes, &sizes)));
    }

    #[test]
    fn no_bytes_panic_a_parser(data in vec(any::<u8>(), 0..200)) {
        fuzz_targets::http_head(&data);
        fuzz_targets::http_chunked(&data);
        fuzz_targets::http_json(&data);
        fuzz_targets::http_query(&data);
    }

    #[test]
    fn json_like_text_is_read_as_a_lenient_parser_reads_it(
        text in "\\{(\"[ab]\":([0-9.e-]{1,5}|\"[a\\\\u0-9]{0,8}\"|null|true|\\[\\]|\\{\\}),?){0,4}\\}",
    ) {
        fuzz_targets::http_json(text.as_bytes());
    }
}
