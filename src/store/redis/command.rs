//! What can be asked of Redis, and what can come back.

use redis::{Cmd, Value};
use std::sync::Arc;

/// A script that the server keeps by its hash, and is given again when it has forgotten it.
#[derive(Clone, Debug)]
pub struct Script(Arc<Source>);

#[derive(Debug)]
struct Source {
    code: String,
    hash: String,
}

impl Script {
    /// Of Lua source. Every key that it touches must be among its keys.
    pub fn new(code: &str) -> Self {
        let hash = redis::Script::new(code).get_hash().to_owned();
        Self(Arc::new(Source { code: code.to_owned(), hash }))
    }

    pub(super) fn code(&self) -> &str {
        &self.0.code
    }
}

/// One command and the key that decides which node serves it.
#[derive(Clone, Debug)]
pub struct Command {
    /// Boxed, since commands are handed on by value.
    words: Box<Cmd>,
    key: Vec<u8>,
    script: Option<Script>,
}

impl Command {
    /// A command whose first argument is the key, such as `GET` or `ZREVRANGE`.
    pub fn new(name: &str, key: impl AsRef<[u8]>) -> Self {
        let mut words = Box::new(Cmd::new());
        words.arg(name).arg(key.as_ref());
        Self { words, key: key.as_ref().to_owned(), script: None }
    }

    /// A run of `script`. All keys must share a hash tag; the first routes it.
    pub fn script(script: &Script, keys: &[&[u8]]) -> Self {
        let first = keys.first().expect("a script without keys cannot be routed");
        let mut words = Box::new(Cmd::new());
        words.arg("EVALSHA").arg(&script.0.hash).arg(keys.len());
        for key in keys {
            words.arg(*key);
        }
        Self { words, key: first.to_vec(), script: Some(script.clone()) }
    }

    /// With one more argument.
    #[must_use]
    pub fn arg(mut self, value: impl AsRef<[u8]>) -> Self {
        self.words.arg(value.as_ref());
        self
    }

    pub(super) fn key(&self) -> &[u8] {
        &self.key
    }

    pub(super) fn script_code(&self) -> Option<&str> {
        self.script.as_ref().map(Script::code)
    }

    pub(super) fn pack_into(&self, bytes: &mut Vec<u8>) {
        bytes.extend_from_slice(&self.words.get_packed_command());
    }
}

/// What became of a command.
#[derive(Clone, Debug, PartialEq)]
pub enum Answer {
    /// It ran, and answered this.
    Done(Value),
    /// It will not run, whenever it is asked: a wrong type, or an error that the script raised.
    Refused(String),
    /// Redis is away, or cannot work at present.
    Away(Away),
}

/// Whether a command that was not answered may have run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Away {
    /// It did not, and will not.
    NotRun,
    /// It may have. Only what is fenced, or only reads, may be asked again.
    Unknown,
}
