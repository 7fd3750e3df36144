//! API tokens: made here, shown once, and known afterwards only by their hash.
//!
//! A token is 32 random bytes, so its SHA-256 cannot be searched for, and needs neither salt nor a
//! slow hash: those are for what people choose.

use crate::config::ApiToken;
use sha2::{Digest, Sha256};

/// Lets a scanner find a token that was committed by mistake.
const PREFIX: &str = "fanfare_";

/// A new token: its text, and what the configuration keeps of it.
pub fn fresh(
    name: &str,
    may_read: bool,
    may_write: bool,
) -> Result<(String, ApiToken), getrandom::Error> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes)?;
    let text = format!("{PREFIX}{}", hex::encode(bytes));
    let sha256 = hash(text.as_bytes());
    Ok((text, ApiToken { name: name.to_owned(), may_read, may_write, sha256 }))
}

/// The hash of a token as it is sent.
pub(super) fn hash(token: &[u8]) -> [u8; 32] {
    Sha256::digest(token).into()
}

/// The token of `Authorization: Bearer <token>` (RFC 6750 section 2.1).
pub(super) fn bearer(authorization: &[u8]) -> Option<&[u8]> {
    let (scheme, token) = authorization.split_at_checked("Bearer ".len())?;
    scheme.eq_ignore_ascii_case(b"Bearer ").then(|| token.trim_ascii())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fresh_token_is_known_by_its_hash_alone() {
        let (text, kept) = fresh("overlay", true, false).expect("random bytes");
        assert_eq!(text.len(), PREFIX.len() + 64);
        assert_eq!(hash(text.as_bytes()), kept.sha256);
        assert!(!kept.to_string().contains(&text[PREFIX.len()..]));
        assert_ne!(fresh("overlay", true, false).expect("random bytes").0, text);
    }

    #[test]
    fn the_hash_is_plain_sha_256() {
        let expected = "overlay read sha256:\
                        ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        let kept = ApiToken::parse(expected).expect("a token");
        assert_eq!(kept.sha256, hash(b"abc"));
    }
}
