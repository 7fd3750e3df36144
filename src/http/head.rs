//! A complete head: parsed with httparse, then everything that httparse leaves to the server.

use super::options::HttpLimits;
use super::request::{Headers, Method, Request};
use super::response::Status;
use super::{Refusal, host};
use crate::limits::HEADER_SLOTS_MAX;
use httparse::Header;
use std::mem::MaybeUninit;
use std::net::IpAddr;

/// Room for parsed fields, on the stack of the caller; left uninitialised, because filling it
/// would cost more than the parse.
pub(super) type HeaderSlots<'a> = [MaybeUninit<Header<'a>>; HEADER_SLOTS_MAX];

/// How the body is delimited (RFC 9112 section 6.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Framing {
    /// So many bytes, 0 when there is no body.
    Length(usize),
    /// Chunks.
    Chunked,
}

/// What the `Connection` field of the answer says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Connection {
    /// Nothing: HTTP/1.1 goes on by itself.
    Goes,
    /// `keep-alive`: an HTTP/1.0 client asked for it.
    KeepAlive,
    /// `close`.
    Close,
}

/// A head, borrowed from the bytes it came in.
#[derive(Debug)]
pub(super) struct Head<'h, 'a> {
    pub(super) method: Method,
    pub(super) path: &'a str,
    pub(super) query: &'a str,
    pub(super) headers: &'h [Header<'a>],
    pub(super) framing: Framing,
    pub(super) connection: Connection,
    /// The client waits for `100 Continue` before it sends the body.
    pub(super) expects_continue: bool,
    /// It names a content coding, or what of the answer it has already.
    pub(super) negotiates: bool,
}

impl<'h> Head<'h, '_> {
    /// The whole request, `body` and whoever sent it being known.
    pub(super) fn request(&self, body: &'h [u8], peer: IpAddr) -> Request<'h> {
        let Self { method, path, query, .. } = *self;
        Request { method, path, query, headers: self.headers(), body, peer, params: &[] }
    }

    pub(super) fn headers(&self) -> Headers<'h> {
        Headers::new(self.headers)
    }
}

const fn bad(why: &'static str) -> Refusal {
    Refusal(Status::BAD_REQUEST, why)
}

/// Parses `bytes`, which end with the blank line.
pub(super) fn parse<'h, 'a: 'h>(
    bytes: &'a [u8],
    slots: &'h mut HeaderSlots<'a>,
    limits: &HttpLimits,
) -> Result<Head<'h, 'a>, Refusal> {
    let mut parsed = httparse::Request::new(&mut []);
    match parsed.parse_with_uninit_headers(bytes, slots) {
        Ok(httparse::Status::Complete(size)) if size == bytes.len() => {
            let words = (parsed.method, parsed.path, parsed.version);
            interpret(words, parsed.headers, limits)
        }
        Ok(_) => Err(bad("the head is malformed")),
        Err(error) => Err(refusal(error, bytes)),
    }
}

/// Parses the head at the front of `input`, if all of it is there and nothing is wrong with it; the
/// size comes with it. The usual case, in one pass: `None` leaves every other case, and the words
/// for it, to [`HeadScan`](super::head_scan::HeadScan) and [`parse`], whose verdict on a head that
/// passes here is the same.
pub(super) fn parse_at_once<'h, 'a: 'h>(
    input: &'a [u8],
    slots: &'h mut HeaderSlots<'a>,
    limits: &HttpLimits,
) -> Option<(Head<'h, 'a>, usize)> {
    let mut parsed = httparse::Request::new(&mut []);
    let Ok(httparse::Status::Complete(size)) = parsed.parse_with_uninit_headers(input, slots)
    else {
        return None;
    };
    let start = input.as_ptr().addr();
    let at = |text: &str| text.as_ptr().addr() - start;
    if at(parsed.method?) != 0 || !input[..size].ends_with(b"\r\n\r\n") {
        return None;
    }
    // Where a field begins, the line before it has ended: with CR LF, or httparse took a lone LF.
    let words = (parsed.method, parsed.path, parsed.version);
    let headers: &'h [Header<'a>] = parsed.headers;
    let begins = || headers.iter().map(|header| at(header.name));
    let fields_start = begins().next().unwrap_or(size - 2);
    if begins().any(|begin| input[begin - 2] != b'\r') {
        return None;
    }
    let fits = fields_start <= limits.request_line_bytes.saturating_add(2)
        && size - fields_start <= limits.header_bytes.saturating_add(2)
        && headers.len() <= limits.header_count;
    if !fits {
        return None;
    }
    interpret(words, headers, limits).ok().map(|head| (head, size))
}

/// What a well-formed head means; `words` are method, target and minor version.
fn interpret<'h, 'a>(
    words: (Option<&'a str>, Option<&'a str>, Option<u8>),
    headers: &'h [Header<'a>],
    limits: &HttpLimits,
) -> Result<Head<'h, 'a>, Refusal> {
    let (Some(token), Some(target), Some(minor)) = words else {
        return Err(bad("the request line is malformed"));
    };
    let method = Method::from_token(token)
        .ok_or(Refusal(Status::NOT_IMPLEMENTED, "the method is not known here"))?;
    let fields = Fields::read(headers)?;
    fields.check_host(minor)?;
    let (path, query) = split_target(method, target)?;
    Ok(Head {
        method,
        path,
        query,
        headers,
        framing: fields.framing(minor, limits)?,
        connection: fields.connection(minor),
        expects_continue: fields.expects_continue(minor)?,
        negotiates: fields.negotiates,
    })
}

/// The path of a request that is refused, as far as it can be told: whose words the answer has.
pub(super) fn path_of(head: &[u8]) -> &str {
    let line = head.split(|&byte| byte == b'\r').next().unwrap_or_default();
    let target = line.split(|&byte| byte == b' ').nth(1).unwrap_or_default();
    let path = target.split(|&byte| byte == b'?').next().unwrap_or_default();
    str::from_utf8(path).unwrap_or_default()
}

/// What went wrong, told apart by what a client can do about it.
fn refusal(error: httparse::Error, bytes: &[u8]) -> Refusal {
    match error {
        httparse::Error::TooManyHeaders => {
            Refusal(Status::HEADERS_TOO_LARGE, "too many header fields")
        }
        httparse::Error::Version if has_other_version(bytes) => {
            Refusal(Status::VERSION_NOT_SUPPORTED, "only HTTP/1.1 and HTTP/1.0 are spoken here")
        }
        httparse::Error::Version | httparse::Error::Token | httparse::Error::NewLine => {
            bad("the request line is malformed")
        }
        _ => bad("a header field is malformed"),
    }
}

/// True when the request line is three words of which the last is a well-formed version that we do
/// not speak.
fn has_other_version(bytes: &[u8]) -> bool {
    let line = bytes.split(|&byte| byte == b'\r').next().unwrap_or_default();
    let mut words = line.split(|&byte| byte == b' ');
    let version = words.nth(2).unwrap_or_default();
    let is_version = matches!(version, [b'H', b'T', b'T', b'P', b'/', major, b'.', minor]
        if major.is_ascii_digit() && minor.is_ascii_digit());
    is_version && words.next().is_none()
}

/// Splits origin-form, absolute-form or `*` into path and query (RFC 9112 section 3.2).
fn split_target(method: Method, target: &str) -> Result<(&str, &str), Refusal> {
    if target == "*" {
        let asks_server = method == Method::Options;
        return asks_server.then_some(("*", "")).ok_or(bad("only OPTIONS may ask for *"));
    }
    let local = if target.starts_with('/') { target } else { after_authority(target)? };
    // Targets are short: a plain look at each byte beats searches made for long texts.
    let mark = local.bytes().position(|byte| matches!(byte, b'?' | b'#'));
    let (path, query) = match mark {
        Some(mark) => (&local[..mark], &local[mark..]),
        None => (local, ""),
    };
    if query.contains('#') {
        return Err(bad("a target has no fragment"));
    }
    let query = query.strip_prefix('?').unwrap_or(query);
    match (path, method) {
        ("", Method::Options) if query.is_empty() => Ok(("*", "")), // RFC 9112 section 3.2.4.
        ("", _) => Ok(("/", query)),
        _ => Ok((path, query)),
    }
}

/// What follows the authority of an absolute-form target; it replaces `Host`, so it must be as
/// well-formed.
fn after_authority(target: &str) -> Result<&str, Refusal> {
    let scheme_end = target.find("://").ok_or(bad("a target begins with a slash"))?;
    let (scheme, rest) = (&target[..scheme_end], &target[scheme_end + 3..]);
    if !scheme.eq_ignore_ascii_case("http") && !scheme.eq_ignore_ascii_case("https") {
        return Err(bad("the scheme of the target is not http"));
    }
    let end = rest.find(['/', '?']).unwrap_or(rest.len());
    if !host::is_valid(&rest.as_bytes()[..end]) {
        return Err(bad("the authority of the target is malformed"));
    }
    Ok(&rest[end..])
}

/// The fields that decide about framing and connection, collected in one walk.
#[derive(Default)]
struct Fields<'a> {
    host: Option<&'a [u8]>,
    length: Option<&'a [u8]>,
    encoding: Option<&'a [u8]>,
    expect: Option<&'a [u8]>,
    asks_close: bool,
    asks_keep_alive: bool,
    negotiates: bool,
}

impl<'a> Fields<'a> {
    fn read(headers: &[Header<'a>]) -> Result<Self, Refusal> {
        let mut fields = Self::default();
        for header in headers {
            // By length first: most fields differ in it from all of ours.
            match header.name.len() {
                4 if header.name.eq_ignore_ascii_case("host") => {
                    once(&mut fields.host, header.value, "two Host fields")?;
                }
                6 if header.name.eq_ignore_ascii_case("expect") => {
                    once(&mut fields.expect, header.value, "two Expect fields")?;
                }
                10 if header.name.eq_ignore_ascii_case("connection") => {
                    fields.read_connection(header.value);
                }
                13 if header.name.eq_ignore_ascii_case("if-none-match") => {
                    fields.negotiates = true;
                }
                14 if header.name.eq_ignore_ascii_case("content-length") => {
                    once(&mut fields.length, header.value, "two Content-Length fields")?;
                }
                15 if header.name.eq_ignore_ascii_case("accept-encoding") => {
                    fields.negotiates = true;
                }
                17 if header.name.eq_ignore_ascii_case("transfer-encoding") => {
                    once(&mut fields.encoding, header.value, "two Transfer-Encoding fields")?;
                }
                _ => {}
            }
        }
        Ok(fields)
    }

    fn read_connection(&mut self, value: &[u8]) {
        for option in value.split(|&byte| byte == b',') {
            let option = option.trim_ascii();
            self.asks_close |= option.eq_ignore_ascii_case(b"close");
            self.asks_keep_alive |= option.eq_ignore_ascii_case(b"keep-alive");
        }
    }

    /// RFC 9112 section 3.2: HTTP/1.1 must name its host, once; a malformed one is never used.
    fn check_host(&self, minor: u8) -> Result<(), Refusal> {
        match self.host {
            None if minor == 1 => Err(bad("the Host field is missing")),
            Some(value) if !host::is_valid(value) => Err(bad("the Host field is malformed")),
            _ => Ok(()),
        }
    }

    /// Whatever two parsers could read in two ways is refused, never normalised: a request must
    /// end where everybody on its way thinks that it ends.
    fn framing(&self, minor: u8, limits: &HttpLimits) -> Result<Framing, Refusal> {
        match (self.length, self.encoding) {
            (None, None) => Ok(Framing::Length(0)),
            (Some(_), Some(_)) => Err(bad("Content-Length beside Transfer-Encoding")),
            (None, Some(_)) if minor == 0 => Err(bad("Transfer-Encoding in HTTP/1.0")),
            (None, Some(coding)) => chunked_only(coding),
            (Some(digits), None) => {
                let length = parse_length(digits)?;
                if length > limits.body_bytes as u64 {
                    return Err(Refusal(Status::CONTENT_TOO_LARGE, "the body is too long"));
                }
                let length = usize::try_from(length);
                Ok(Framing::Length(length.map_err(|_| bad("the length is out of range"))?))
            }
        }
    }

    fn connection(&self, minor: u8) -> Connection {
        match (self.asks_close, minor, self.asks_keep_alive) {
            (false, 1, _) => Connection::Goes,
            (false, _, true) => Connection::KeepAlive,
            _ => Connection::Close,
        }
    }

    /// RFC 9110 section 10.1.1: an HTTP/1.0 client cannot wait for 100, so it is not asked.
    fn expects_continue(&self, minor: u8) -> Result<bool, Refusal> {
        match self.expect {
            None => Ok(false),
            Some(_) if minor == 0 => Ok(false),
            Some(value) if value.trim_ascii().eq_ignore_ascii_case(b"100-continue") => Ok(true),
            Some(_) => Err(Refusal(Status::EXPECTATION_FAILED, "only 100-continue is expected")),
        }
    }
}

fn once<'a>(
    place: &mut Option<&'a [u8]>,
    value: &'a [u8],
    doubled: &'static str,
) -> Result<(), Refusal> {
    if place.replace(value).is_some() { Err(bad(doubled)) } else { Ok(()) }
}

fn chunked_only(coding: &[u8]) -> Result<Framing, Refusal> {
    let coding = coding.trim_ascii();
    if coding.eq_ignore_ascii_case(b"chunked") {
        return Ok(Framing::Chunked);
    }
    let last = coding.rsplit(|&byte| byte == b',').next().unwrap_or_default();
    if last.trim_ascii().eq_ignore_ascii_case(b"chunked") {
        return Err(Refusal(Status::NOT_IMPLEMENTED, "only the chunked coding is known here"));
    }
    Err(bad("chunked must be the last transfer coding"))
}

/// Digits only: `str::parse` would accept a leading `+`. A number beyond `u64` is still a number,
/// just too large.
fn parse_length(value: &[u8]) -> Result<u64, Refusal> {
    if value.is_empty() || !value.iter().all(u8::is_ascii_digit) {
        return Err(bad("Content-Length must be digits"));
    }
    Ok(value.iter().fold(0_u64, |number, digit| {
        number.saturating_mul(10).saturating_add(u64::from(digit - b'0'))
    }))
}
