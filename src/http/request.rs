//! A complete request, borrowed from the bytes it came in.

use std::borrow::Cow;
use std::net::IpAddr;

/// The methods of RFC 9110 and RFC 5789 that a resource can be asked with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Method {
    /// Safe; without side effects.
    Get,
    /// GET without the body of the answer.
    Head,
    /// A write.
    Post,
    /// Replaces.
    Put,
    /// Changes a part.
    Patch,
    /// Takes away.
    Delete,
    /// Asks what is allowed.
    Options,
    /// Known, never allowed here.
    Trace,
}

impl Method {
    /// The token on the wire; methods are case-sensitive. `None` for one we do not know: 501.
    pub fn from_token(token: &str) -> Option<Self> {
        Some(match token {
            "GET" => Method::Get,
            "HEAD" => Method::Head,
            "POST" => Method::Post,
            "PUT" => Method::Put,
            "PATCH" => Method::Patch,
            "DELETE" => Method::Delete,
            "OPTIONS" => Method::Options,
            "TRACE" => Method::Trace,
            _ => return None,
        })
    }

    /// The token on the wire.
    pub fn token(self) -> &'static str {
        match self {
            Method::Get => "GET",
            Method::Head => "HEAD",
            Method::Post => "POST",
            Method::Put => "PUT",
            Method::Patch => "PATCH",
            Method::Delete => "DELETE",
            Method::Options => "OPTIONS",
            Method::Trace => "TRACE",
        }
    }

    /// A request that may be repeated, and that need not wait for an earlier one's answer
    /// (RFC 9110 section 9.2.2, RFC 9112 section 9.3.2).
    pub fn is_safe(self) -> bool {
        matches!(self, Method::Get | Method::Head | Method::Options | Method::Trace)
    }
}

/// Header fields in the order they came. Values may hold any octet that RFC 9110 allows.
#[derive(Clone, Copy, Debug, Default)]
pub struct Headers<'a>(&'a [httparse::Header<'a>]);

impl<'a> Headers<'a> {
    /// Wraps parsed fields.
    pub fn new(fields: &'a [httparse::Header<'a>]) -> Self {
        Self(fields)
    }

    /// Names and values in the order they came.
    pub fn iter(&self) -> impl Iterator<Item = (&'a str, &'a [u8])> + use<'a> {
        self.0.iter().map(|field| (field.name, field.value))
    }

    /// The first field of that name, whatever its case.
    pub fn get(&self, name: &str) -> Option<&'a [u8]> {
        self.all(name).next()
    }

    /// Every field of that name.
    pub fn all<'n>(&self, name: &'n str) -> impl Iterator<Item = &'a [u8]> + use<'a, 'n> {
        let fields = self.0.iter();
        fields.filter(move |field| field.name.eq_ignore_ascii_case(name)).map(|field| field.value)
    }
}

/// A request whose head and body are complete and well-formed.
#[derive(Debug)]
pub struct Request<'a> {
    /// HEAD is passed on as it is; the session leaves the body out.
    pub method: Method,
    /// Still percent-encoded, so that an encoded slash stays inside its segment; begins with `/`,
    /// or is `*`.
    pub path: &'a str,
    /// After the `?`, still percent-encoded; empty when there is none.
    pub query: &'a str,
    /// All fields.
    pub headers: Headers<'a>,
    /// The decoded body; empty when there is none.
    pub body: &'a [u8],
    /// Who is at the other end of the connection: the client, or a proxy.
    pub peer: IpAddr,
    /// What the placeholders of the route matched, decoded, in order; filled in by the router.
    pub params: &'a [Cow<'a, str>],
}
