//! The keys that every view in Redis has, and the scripts that are the same for all of them.
//!
//! All keys share one hash tag, so that a script sees them all on a Redis Cluster too, and fences
//! are lost together with the boards they speak of:
//!
//! ```text
//! {tag}:current                       the generation that is shown, 16 hex digits
//! {tag}:generations                   set: this one and those being built
//! {tag}:<generation>:fences           hash: stream -> batch, the steps of the rebuild, and whether it
//!                                     is hollow: made by nobody, since Redis was emptied
//! {tag}:<generation>:boards           set: names of the boards below
//! {tag}:<generation>:<board>:scores   hash: what the domain keeps of each field
//! {tag}:<generation>:<board>:places   sorted set: its order, where it has one
//! ```
//!
//! What a row does to a board says the domain's own Lua: the functions `prepare`, which reads and
//! checks all rows, and `write`, which writes what `prepare` made of them and cannot fail.

use super::record::Stream;
use super::script::{Apply, Generation, Load, Switch};
use crate::store::redis::{Command, Script};

const NUMBERS: &str = include_str!("view_keys/numbers.lua");
const APPLY: &str = include_str!("view_keys/apply.lua");
const LOAD: &str = include_str!("view_keys/load.lua");
const SWITCH: &str = include_str!("view_keys/switch.lua");
const FENCES: &str = include_str!("view_keys/fences.lua");

/// Beyond this a Lua number could not hold a sum with it exactly; it is sent as 20 digits then.
const SHORT_MAX: u128 = 1_000_000_000_000_000;

/// Names the keys and makes the commands that every view has.
#[derive(Clone, Debug)]
pub struct ViewKeys {
    /// What all keys begin with: the hash tag and a colon.
    prefix: String,
    apply: Script,
    load: Script,
    switch: Script,
    fences: Script,
}

impl ViewKeys {
    /// Keys under the hash tag `tag`; `rows` is the Lua that adds rows to boards.
    ///
    /// # Panics
    /// When `tag` is empty or holds a brace.
    pub fn new(tag: &str, rows: &str) -> Self {
        assert!(!tag.is_empty() && !tag.contains(['{', '}']), "a tag is between braces");
        Self {
            prefix: format!("{{{tag}}}:"),
            apply: Script::new(&[NUMBERS, rows, APPLY].concat()),
            load: Script::new(&[NUMBERS, rows, LOAD].concat()),
            switch: Script::new(SWITCH),
            fences: Script::new(FENCES),
        }
    }

    /// Applies batches to `boards`, whose rows are to be added as further arguments; `limit` is the
    /// domain's, 20 characters.
    pub fn apply<R>(&self, apply: &Apply<R>, boards: &[String], limit: &str) -> Command {
        let keys = self.of_boards(apply.generation, &[], boards);
        script(&self.apply, &keys)
            .arg(generation(apply.generation))
            .arg(stream(apply.stream))
            .arg(count(apply.from))
            .arg(count(apply.to))
            .arg(limit)
    }

    /// A step of a rebuild into `boards`, whose rows are to be added as further arguments.
    pub fn load<R>(&self, load: &Load<R>, boards: &[String]) -> Command {
        let keys = self.of_boards(load.generation, &[self.generations()], boards);
        let mut command = script(&self.load, &keys)
            .arg(generation(load.generation))
            .arg(count(load.step))
            .arg(count(load.step + 1))
            .arg(load.fences.len().to_string());
        for &(whose, fence) in &load.fences {
            command = command.arg(stream(whose)).arg(count(fence));
        }
        command
    }

    /// The end of a rebuild.
    pub fn switch(&self, switch: &Switch) -> Command {
        let keys = [self.current(), self.generations(), self.key(switch.to, "fences")];
        script(&self.switch, &keys)
            .arg(switch.from.map(generation).unwrap_or_default())
            .arg(generation(switch.to))
            .arg(count(switch.steps))
            .arg(&self.prefix)
    }

    /// The current generation and its fences; a hollow one is made where there is none.
    pub fn fences(&self) -> Command {
        script(&self.fences, &[self.current(), self.generations()]).arg(&self.prefix)
    }

    /// The name of the current generation: what the server with these keys must answer.
    pub fn current_name(&self) -> Command {
        Command::new("GET", self.current())
    }

    /// A question to boards of one generation: the script gets the current generation as its first
    /// key, and the name of the one that is asked as its first argument.
    pub fn ask(&self, code: &Script, asked: Generation, keys: &[String]) -> Command {
        let keys = [&[self.current()], keys].concat();
        script(code, &keys).arg(generation(asked))
    }

    /// A key of a generation.
    pub fn key(&self, of: Generation, name: &str) -> String {
        format!("{}{}:{name}", self.prefix, generation(of))
    }

    /// Scores and places of a board.
    pub fn board(&self, of: Generation, name: &str) -> [String; 2] {
        ["scores", "places"].map(|part| self.key(of, &format!("{name}:{part}")))
    }

    fn current(&self) -> String {
        format!("{}current", self.prefix)
    }

    fn generations(&self) -> String {
        format!("{}generations", self.prefix)
    }

    fn of_boards(&self, of: Generation, then: &[String], boards: &[String]) -> Vec<String> {
        let mut keys = vec![self.current(), self.key(of, "fences"), self.key(of, "boards")];
        keys.extend_from_slice(then);
        keys.extend(boards.iter().flat_map(|board| self.board(of, board)));
        keys
    }
}

fn script(code: &Script, keys: &[String]) -> Command {
    let keys: Vec<&[u8]> = keys.iter().map(String::as_bytes).collect();
    Command::script(code, &keys)
}

/// What is added to a sum, as `sum` of numbers.lua reads it.
pub fn addend(number: i128) -> String {
    if number.unsigned_abs() < SHORT_MAX { number.to_string() } else { twenty(number) }
}

/// 20 characters, as `split` of numbers.lua reads them.
pub fn twenty(number: impl Into<i128>) -> String {
    format!("{:020}", number.into())
}

fn generation(generation: Generation) -> String {
    format!("{generation:016x}")
}

fn stream(stream: Stream) -> String {
    format!("{:016x}:{:04x}", stream.writer, stream.slot)
}

/// Of equal length, so that scripts compare them as text.
fn count(count: u64) -> String {
    format!("{count:020}")
}
