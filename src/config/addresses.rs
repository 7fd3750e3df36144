//! Addresses of servers that may hold a user and a password: used whole, shown without those.

use serde::{Serialize, Serializer};
use std::fmt;

/// One URL, or several separated by commas.
#[derive(Clone, PartialEq, Eq)]
pub struct Addresses(String);

impl Addresses {
    /// `None` when `text` does not begin with one of `schemes`, or holds anything but visible ASCII.
    pub fn parse(text: &str, schemes: &[&str]) -> Option<Self> {
        let fits = text.split(',').next().is_some_and(|first| {
            schemes
                .iter()
                .any(|scheme| first.strip_prefix(scheme).is_some_and(|rest| !rest.is_empty()))
        });
        (fits && text.bytes().all(|byte| byte.is_ascii_graphic())).then(|| Self(text.to_owned()))
    }

    /// With user and password, for the client that connects.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Each of several, with user and password.
    pub fn expose_each(&self) -> Vec<String> {
        self.0.split(',').map(str::to_owned).collect()
    }

    /// Without user and password.
    pub fn shown(&self) -> String {
        let Some((scheme, rest)) = self.0.split_once("://") else { return "***".to_owned() };
        // What follows the host may hold an at sign too; a password with one shows nothing but more
        // stars.
        let hosts = rest.rfind('@').map_or(rest, |at| &rest[at + 1..]);
        let hidden = if hosts.len() < rest.len() { "***@" } else { "" };
        // Parameters may hold secrets of their own.
        let hosts = hosts.split('?').next().unwrap_or_default();
        format!("{scheme}://{hidden}{hosts}")
    }

    /// Each of several, without user and password.
    pub fn shown_each(&self) -> Vec<String> {
        let each = self.0.split(',').map(|one| Self(one.to_owned()).shown());
        each.collect()
    }
}

impl fmt::Debug for Addresses {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{:?}", self.shown_each().join(","))
    }
}

impl Serialize for Addresses {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.shown_each().join(","))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn user_password_and_parameters_are_not_shown() {
        let check = |text: &str, shown: &str| {
            let addresses = Addresses::parse(text, &["redis://", "mongodb://"]).expect("fits");
            assert_eq!(addresses.shown_each().join(","), shown);
            assert_eq!(format!("{addresses:?}"), format!("{shown:?}"));
        };
        check("redis://a:6379", "redis://a:6379");
        check("redis://user:pass@a:6379/1", "redis://***@a:6379/1");
        check("redis://:p@ss@a:6379,redis://:p@b:1", "redis://***@a:6379,redis://***@b:1");
        check("mongodb://u:p@h/?authSource=admin", "mongodb://***@h/");
        for wrong in ["", "http://a", "redis://", "redis://a b"] {
            assert_eq!(Addresses::parse(wrong, &["redis://", "mongodb://"]), None, "{wrong}");
        }
    }
}
