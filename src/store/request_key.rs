//! The name that a client gives to one write, so that a retry counts once.

/// 1..=64 visible ASCII bytes (api.md, "Idempotency"), from the `Idempotency-Key` header or the
/// body's `request_id`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct RequestKey(Box<str>);

impl RequestKey {
    /// Longest key, in bytes.
    pub const BYTES_MAX: usize = 64;

    /// `None` when `text` is empty, too long, or holds anything but visible ASCII.
    pub fn new(text: &str) -> Option<Self> {
        let visible = text.bytes().all(|byte| byte.is_ascii_graphic());
        (visible && (1..=Self::BYTES_MAX).contains(&text.len())).then(|| Self(text.into()))
    }

    /// The key as it was given.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_visible_ascii_of_bounded_length_only() {
        for good in ["a", "!", "~", &"k".repeat(64)] {
            assert!(RequestKey::new(good).is_some(), "{good}");
        }
        for bad in ["", " ", "a b", "a\n", "ä", "\u{7f}", &"k".repeat(65)] {
            assert!(RequestKey::new(bad).is_none(), "{bad}");
        }
    }
}
