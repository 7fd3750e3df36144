//! Which node of a Redis Cluster serves which key.

use redis::Value;
use std::collections::BTreeSet;

/// Slots of every Redis Cluster.
const SLOTS: u16 = 16_384;

/// The polynomial of the cluster specification's CRC-16 (XMODEM).
const POLYNOMIAL: u16 = 0x1021;

/// Who serves each slot, as far as is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Slots {
    nodes: Vec<String>,
    /// For each slot an index in `nodes`.
    owners: Vec<Option<u16>>,
}

impl Slots {
    /// Reads the answer to `CLUSTER SLOTS`; a node that names no host is the one asked, at `host`.
    pub(super) fn parse(answer: &Value, host: &str) -> Option<Self> {
        let Value::Array(ranges) = answer else { return None };
        let mut slots = Self { nodes: Vec::new(), owners: vec![None; usize::from(SLOTS)] };
        for range in ranges {
            let Value::Array(range) = range else { return None };
            let [Value::Int(first), Value::Int(last), Value::Array(primary), ..] = &range[..]
            else {
                return None;
            };
            let [name, Value::Int(port), ..] = &primary[..] else { return None };
            let name = match name {
                Value::BulkString(name) if !name.is_empty() => String::from_utf8_lossy(name),
                Value::SimpleString(name) if !name.is_empty() => name.as_str().into(),
                _ => host.into(),
            };
            // "?" is a node whose address nobody knows; its slots stay without an owner.
            if name == "?" {
                continue;
            }
            let owner = slots.index(&format!("{name}:{port}"));
            let (first, last) = (usize::try_from(*first).ok()?, usize::try_from(*last).ok()?);
            slots.owners.get_mut(first..=last)?.fill(Some(owner));
        }
        Some(slots)
    }

    /// Who serves `slot`.
    pub(super) fn owner(&self, slot: u16) -> Option<&str> {
        let owner = self.owners.get(usize::from(slot)).copied().flatten()?;
        self.nodes.get(usize::from(owner)).map(String::as_str)
    }

    /// A node has told us that `slot` is served at `address` now.
    pub(super) fn moved(&mut self, slot: u16, address: &str) {
        let owner = self.index(address);
        if let Some(place) = self.owners.get_mut(usize::from(slot)) {
            *place = Some(owner);
        }
    }

    /// All who serve a slot.
    pub(super) fn nodes(&self) -> BTreeSet<&str> {
        let owners = self.owners.iter().flatten().collect::<BTreeSet<_>>();
        owners.into_iter().map(|owner| self.nodes[usize::from(*owner)].as_str()).collect()
    }

    fn index(&mut self, address: &str) -> u16 {
        let known = self.nodes.iter().position(|node| node == address);
        let index = known.unwrap_or_else(|| {
            self.nodes.push(address.to_owned());
            self.nodes.len() - 1
        });
        u16::try_from(index).expect("no more nodes than slots")
    }
}

/// The slot of `key`: of what stands between its first `{` and the `}` behind, if that is not
/// empty, else of the whole.
pub(super) fn slot(key: &[u8]) -> u16 {
    let tag = key.iter().position(|byte| *byte == b'{').and_then(|open| {
        let rest = &key[open + 1..];
        let close = rest.iter().position(|byte| *byte == b'}')?;
        (close > 0).then(|| &rest[..close])
    });
    crc16(tag.unwrap_or(key)) % SLOTS
}

fn crc16(bytes: &[u8]) -> u16 {
    bytes.iter().fold(0, |crc, byte| {
        (0..8).fold(crc ^ (u16::from(*byte) << 8), |crc, _| {
            if crc & 0x8000 == 0 { crc << 1 } else { (crc << 1) ^ POLYNOMIAL }
        })
    })
}

/// The slot and the address in `MOVED 3999 127.0.0.1:6381` and `ASK …`, without the first word. A
/// missing host is that of the node which said so.
pub(super) fn redirection(details: &str, host: &str) -> Option<(u16, String)> {
    let (slot, address) = details.split_once(' ')?;
    let (name, port) = address.trim().rsplit_once(':')?;
    let name = if name.is_empty() { host } else { name };
    Some((slot.parse().ok()?, format!("{name}:{port}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_has_the_slot_that_the_specification_gives() {
        assert_eq!(crc16(b"123456789"), 0x31C3);
        assert_eq!(slot(b"foo"), 12_182);
        assert_eq!(slot(b"{user1000}.following"), slot(b"user1000"));
        assert_eq!(slot(b"foo{}{bar}"), crc16(b"foo{}{bar}") % SLOTS);
        assert_eq!(slot(b"foo{{bar}}zap"), slot(b"{bar"));
    }

    #[test]
    fn a_redirection_names_slot_and_node() {
        let expected = |address: &str| Some((3_999, address.to_owned()));
        assert_eq!(redirection("3999 10.0.0.7:6381", "here"), expected("10.0.0.7:6381"));
        assert_eq!(redirection("3999 :6381", "here"), expected("here:6381"));
        assert_eq!(redirection("3999 ::1:6381", "here"), expected("::1:6381"));
        assert_eq!(redirection("nonsense", "here"), None);
    }

    #[test]
    fn the_map_follows_what_it_is_told() {
        let node =
            |host: &str, port| Value::Array(vec![Value::BulkString(host.into()), Value::Int(port)]);
        let answer = Value::Array(vec![
            Value::Array(vec![Value::Int(0), Value::Int(99), node("a", 1), node("replica", 9)]),
            Value::Array(vec![Value::Int(100), Value::Int(16_383), node("", 2)]),
        ]);
        let mut slots = Slots::parse(&answer, "asked").expect("a map");
        assert_eq!((slots.owner(99), slots.owner(100)), (Some("a:1"), Some("asked:2")));
        slots.moved(99, "b:3");
        assert_eq!((slots.owner(98), slots.owner(99)), (Some("a:1"), Some("b:3")));
        assert_eq!(slots.nodes(), BTreeSet::from(["a:1", "asked:2", "b:3"]));
        assert_eq!(Slots::parse(&Value::Nil, "asked"), None);
    }
}
