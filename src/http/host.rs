//! The authority of a request: `Host` and the authority of an absolute-form target.

/// True for `uri-host [":" port]` as RFC 9110 section 7.2 has it. An empty host is refused: an
/// http URI must not have one (section 4.2.1).
pub(super) fn is_valid(value: &[u8]) -> bool {
    if value.first() == Some(&b'[') {
        return is_valid_literal(value);
    }
    match name_size(value) {
        Some(size) => size > 0 && is_valid_port(&value[size..]),
        None => false,
    }
}

/// `[` IPv6 address `]`. Zone ids and future versions of IP have no place in a Host.
fn is_valid_literal(value: &[u8]) -> bool {
    let Some(end) = value.iter().position(|&byte| byte == b']') else { return false };
    let address = std::str::from_utf8(&value[1..end]);
    address.is_ok_and(|text| text.parse::<std::net::Ipv6Addr>().is_ok())
        && is_valid_port(&value[end + 1..])
}

/// Bytes before the colon of a port; `None` when one of them has no place in a name.
fn name_size(value: &[u8]) -> Option<usize> {
    let mut size = 0;
    while let Some(&byte) = value.get(size) {
        size += match byte {
            _ if NAME_BYTES[usize::from(byte)] => 1,
            b':' => break,
            b'%' if value.get(size + 1..size + 3)?.iter().all(u8::is_ascii_hexdigit) => 3,
            _ => return None,
        };
    }
    Some(size)
}

/// Unreserved characters and sub-delimiters of RFC 3986.
static NAME_BYTES: [bool; 256] = {
    let mut table = [false; 256];
    let allowed = b"-._~!$&'()*+,;=";
    let mut index = 0;
    while index < 256 {
        #[expect(clippy::cast_possible_truncation, reason = "index is below 256")]
        let byte = index as u8;
        table[index] = byte.is_ascii_alphanumeric();
        index += 1;
    }
    index = 0;
    while index < allowed.len() {
        table[allowed[index] as usize] = true;
        index += 1;
    }
    table
};

/// Nothing, a lone colon, or a colon and digits up to 65535.
fn is_valid_port(port: &[u8]) -> bool {
    let Some((&colon, digits)) = port.split_first() else { return true };
    let mut number = 0_u32;
    for &digit in digits {
        if !digit.is_ascii_digit() {
            return false;
        }
        number = number * 10 + u32::from(digit - b'0');
        if number > 65_535 {
            return false;
        }
    }
    colon == b':'
}

#[cfg(test)]
mod tests {
    use super::is_valid;

    #[test]
    fn takes_names_addresses_and_ports_in_range() {
        for good in
            ["a", "a.example:8080", "127.0.0.1", "[::1]", "[::1]:80", "a:", "a:65535", "%41"]
        {
            assert!(is_valid(good.as_bytes()), "{good}");
        }
        let bad = "a:b:c|[::1|[::1]x|[]|a:65536|a:-1|a:1a|a b|user@a|a/b|:80||%4|%zz|[v1.x]|\u{e4}";
        for bad in bad.split('|') {
            assert!(!is_valid(bad.as_bytes()), "{bad}");
        }
    }
}
