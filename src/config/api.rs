//! Who may call the public listener: tokens, rates, proxies and origins as the operator writes them.

use super::reader::Reader;
use ipnet::IpNet;
use serde::{Serialize, Serializer};
use std::fmt;
use std::net::IpAddr;

/// What is asked of the callers of the public listener. A rate of 0 is none.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Api {
    /// Whoever calls needs one of these; when there is none, everybody may.
    pub tokens: Vec<ApiToken>,
    /// Requests a second with one token.
    pub token_rate: usize,
    /// Requests at once with one token, after a pause.
    pub token_burst: usize,
    /// Requests a second from one address without a valid token.
    pub address_rate: usize,
    /// Requests at once from one address, after a pause.
    pub address_burst: usize,
}

/// A token by its hash, written `NAME SCOPES sha256:HEX`, the scopes joined by `+`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiToken {
    /// For people; never asked for.
    pub name: String,
    /// Calls that change nothing.
    pub may_read: bool,
    /// All others.
    pub may_write: bool,
    /// Of the whole token, as it is sent.
    pub sha256: [u8; 32],
}

/// What a token in the file looks like, for errors.
const TOKEN: &str = "tokens as `fanfare token` prints them: \"NAME read+write sha256:HEX\", each \
                     name and each hash once";

impl Api {
    pub(super) fn take(from: &mut Reader<'_>) -> Self {
        let tokens = from.list("api.tokens", TOKEN, ApiToken::parse);
        for (index, token) in tokens.iter().enumerate() {
            let same = |other: &ApiToken| other.name == token.name || other.sha256 == token.sha256;
            if tokens[..index].iter().any(same) {
                from.refuse("api.tokens", TOKEN);
            }
        }
        Self {
            tokens,
            token_rate: from.integer("api.token_rate", 0..=1_000_000),
            token_burst: from.integer("api.token_burst", 1..=1_000_000),
            address_rate: from.integer("api.address_rate", 0..=1_000_000),
            address_burst: from.integer("api.address_burst", 1..=1_000_000),
        }
    }
}

impl ApiToken {
    /// `None` for what is none.
    pub fn parse(text: &str) -> Option<Self> {
        let mut words = text.split(' ');
        let (name, scopes, hash) = (words.next()?, words.next()?, words.next()?);
        let (may_read, may_write) = match scopes {
            "read" => (true, false),
            "write" => (false, true),
            "read+write" | "write+read" => (true, true),
            _ => return None,
        };
        let is_name = (1..=64).contains(&name.len()) && name.bytes().all(|b| b.is_ascii_graphic());
        let mut sha256 = [0; 32];
        hex::decode_to_slice(hash.strip_prefix("sha256:")?, &mut sha256).ok()?;
        if words.next().is_some() || !is_name {
            return None;
        }
        Some(Self { name: name.to_owned(), may_read, may_write, sha256 })
    }
}

impl fmt::Display for ApiToken {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scopes = match (self.may_read, self.may_write) {
            (true, true) => "read+write",
            (false, true) => "write",
            _ => "read",
        };
        write!(out, "{} {scopes} sha256:{}", self.name, hex::encode(self.sha256))
    }
}

impl Serialize for ApiToken {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// A network in CIDR form, or one address.
pub(super) fn network(text: &str) -> Option<IpNet> {
    let network = text.parse().or_else(|_| text.parse::<IpAddr>().map(IpNet::from));
    network.ok().map(|network: IpNet| network.trunc())
}

/// An origin as browsers send it (RFC 6454 section 6.2), or `*` for all of them.
pub(super) fn origin(text: &str) -> Option<String> {
    let (scheme, host) = text.split_once("://").unwrap_or_default();
    let is_host =
        |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-._:[]".contains(&byte);
    let is_origin =
        matches!(scheme, "http" | "https") && !host.is_empty() && host.bytes().all(is_host);
    (text == "*" || is_origin).then(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_written_as_it_is_read() {
        let hash = "0123456789abcdef".repeat(4);
        let text = format!("overlay read+write sha256:{hash}");
        let token = ApiToken::parse(&text).expect("a token");
        assert_eq!(token.to_string(), text);
        assert_eq!((token.may_read, token.may_write, token.sha256[1]), (true, true, 0x23));
        for wrong in [
            "",
            "overlay",
            "overlay read",
            &format!("overlay admin sha256:{hash}"),
            &format!("overlay  read sha256:{hash}"),
            &format!("overlay read {hash}"),
            &format!("overlay read sha256:{hash}0"),
            &format!("overlay read sha256:{}", "0".repeat(63) + "g"),
            &format!("overlay read sha256:{hash} x"),
            &format!("\u{1b} read sha256:{hash}"),
            &format!(" read sha256:{hash}"),
        ] {
            assert_eq!(ApiToken::parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn networks_and_origins_are_told_from_other_words() {
        for (text, expected) in [
            ("10.0.0.0/8", Some("10.0.0.0/8")),
            ("10.1.2.3/8", Some("10.0.0.0/8")),
            ("192.0.2.1", Some("192.0.2.1/32")),
            ("2001:db8::/32", Some("2001:db8::/32")),
            ("proxy", None),
            ("10.0.0.0/33", None),
        ] {
            assert_eq!(network(text).map(|found| found.to_string()).as_deref(), expected, "{text}");
        }
        for text in ["*", "https://live.example", "http://localhost:3000", "http://[::1]:80"] {
            assert_eq!(origin(text).as_deref(), Some(text));
        }
        for text in ["", "live.example", "https://", "https://a/", "https://A.example", "null"] {
            assert_eq!(origin(text), None, "{text}");
        }
    }
}
