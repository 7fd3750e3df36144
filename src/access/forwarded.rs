//! Which client a request came from, where trusted proxies stand in between.

use crate::http::Headers;
use ipnet::IpNet;
use std::net::{IpAddr, SocketAddr};

/// The address that a request is counted under: `peer`, or whom the trusted proxies name with
/// `X-Forwarded-For` or `Forwarded` (RFC 7239).
///
/// Proxies append, so the list is read from its end, and only as far as trusted addresses vouch for
/// what is before them. Where both fields are there and disagree, one of them is the client's own
/// invention; nobody knows which, so neither counts.
pub(super) fn client(peer: IpAddr, headers: &Headers<'_>, trusted: &[IpNet]) -> IpAddr {
    let peer = peer.to_canonical();
    let is_trusted = |ip: IpAddr| trusted.iter().any(|network| network.contains(&ip));
    if !is_trusted(peer) {
        return peer;
    }
    let follow = |hops: Vec<Option<IpAddr>>| {
        let mut client = peer;
        for hop in hops.into_iter().rev() {
            match hop {
                Some(hop) if is_trusted(client) => client = hop,
                _ => break,
            }
        }
        client
    };
    let old: Vec<_> = elements(headers, "x-forwarded-for").map(address).collect();
    let new: Vec<_> = elements(headers, "forwarded").map(for_address).collect();
    match (old.is_empty(), new.is_empty()) {
        (true, _) => follow(new),
        (false, true) => follow(old),
        (false, false) => {
            let (old, new) = (follow(old), follow(new));
            if old == new { old } else { peer }
        }
    }
}

fn elements<'a>(headers: &Headers<'a>, name: &'static str) -> impl Iterator<Item = &'a [u8]> {
    headers.all(name).flat_map(|value| value.split(|&byte| byte == b',').map(<[u8]>::trim_ascii))
}

/// The address of an element of `Forwarded`: `for=192.0.2.1;proto=https`.
fn for_address(element: &[u8]) -> Option<IpAddr> {
    let mut pairs = element.split(|&byte| byte == b';').map(<[u8]>::trim_ascii);
    let value = pairs.find_map(|pair| {
        let (name, value) = pair.split_at_checked("for=".len())?;
        name.eq_ignore_ascii_case(b"for=").then_some(value)
    })?;
    let bare = value.strip_prefix(b"\"").and_then(|value| value.strip_suffix(b"\""));
    address(bare.unwrap_or(value))
}

/// An address, perhaps with a port, perhaps in brackets.
fn address(text: &[u8]) -> Option<IpAddr> {
    let text = std::str::from_utf8(text).ok()?;
    let with_port = || text.parse::<SocketAddr>().ok().map(|address| address.ip());
    let bare = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(text);
    bare.parse::<IpAddr>().ok().or_else(with_port).map(|ip| ip.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(peer: &str, fields: &[(&str, &str)], expected: &str) {
        let headers: Vec<_> = fields
            .iter()
            .map(|(name, value)| httparse::Header { name, value: value.as_bytes() })
            .collect();
        let trusted = ["10.0.0.0/8", "::1/128"].map(|text| text.parse().expect("a network"));
        let peer = peer.parse().expect("an address");
        let found = client(peer, &Headers::new(&headers), &trusted);
        assert_eq!(found.to_string(), expected, "{peer} {fields:?}");
    }

    #[test]
    fn only_trusted_proxies_are_believed() {
        let old = "X-Forwarded-For";
        check("192.0.2.9", &[(old, "203.0.113.1")], "192.0.2.9");
        check("10.0.0.1", &[], "10.0.0.1");
        check("::ffff:10.0.0.1", &[(old, "203.0.113.1")], "203.0.113.1");
        check("10.0.0.1", &[(old, "203.0.113.1:4711")], "203.0.113.1");
        check("10.0.0.1", &[(old, "1.1.1.1, 203.0.113.1, 10.0.0.2")], "203.0.113.1");
        check("10.0.0.1", &[(old, "1.1.1.1"), (old, "203.0.113.1")], "203.0.113.1");
        check("10.0.0.1", &[(old, "203.0.113.1, unknown")], "10.0.0.1");
        check("10.0.0.1", &[(old, "unknown, 10.0.0.2")], "10.0.0.2");
        check("10.0.0.1", &[(old, "[2001:db8::7]:80")], "2001:db8::7");
        check("::1", &[(old, "2001:db8::7")], "2001:db8::7");
    }

    #[test]
    fn the_standard_field_says_the_same() {
        let new = "Forwarded";
        check("10.0.0.1", &[(new, "for=203.0.113.1")], "203.0.113.1");
        check("10.0.0.1", &[(new, "proto=https;For=\"[2001:db8::7]:80\"")], "2001:db8::7");
        check("10.0.0.1", &[(new, "for=1.1.1.1, for=203.0.113.1, for=10.0.0.2")], "203.0.113.1");
        check("10.0.0.1", &[(new, "for=_hidden")], "10.0.0.1");
        check("10.0.0.1", &[(new, "by=10.0.0.1")], "10.0.0.1");
    }

    #[test]
    fn fields_that_disagree_are_worth_nothing() {
        let (old, new) = ("X-Forwarded-For", "Forwarded");
        check("10.0.0.1", &[(old, "203.0.113.1"), (new, "for=203.0.113.1")], "203.0.113.1");
        check("10.0.0.1", &[(old, "203.0.113.1"), (new, "for=1.1.1.1")], "10.0.0.1");
    }
}
