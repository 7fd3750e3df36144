//! The view in Redis: its keys, and the scripts that do there what [`View`](super::view::View) does.
//!
//! Everything here makes commands for the lane to Redis and reads what it answers; nothing waits.
//! All keys share one hash tag, so that a script sees them all on a Redis Cluster too, and fences
//! are lost together with the boards they speak of:
//!
//! ```text
//! {gift}:current                             the generation that is shown, 16 hex digits
//! {gift}:generations                         set: this one and those being built
//! {gift}:<generation>:fences                 hash: stream -> batch, and the steps of the rebuild
//! {gift}:<generation>:boards                 set: names of the boards below
//! {gift}:<generation>:<kind>:<from>:scores   hash: inverted id -> total, inverted time; newest time
//! {gift}:<generation>:<kind>:<from>:places   sorted set, all scores 0, of place names
//! ```

pub mod reply;

use super::rules::{BoardId, Delta};
use super::{Apply, Draft, Generation, Load, ScriptAnswer, Stream, Switch};
use crate::cluster::ViewScripts;
use crate::cluster::reply::{Fences, Unread};
use crate::gift::Period;
use crate::store::redis::{Answer, Command, Script};

const ROWS: &str = include_str!("redis_view/rows.lua");
const APPLY: &str = include_str!("redis_view/apply.lua");
const LOAD: &str = include_str!("redis_view/load.lua");
const SWITCH: &str = include_str!("redis_view/switch.lua");
const FENCES: &str = include_str!("redis_view/fences.lua");
const TOP: &str = include_str!("redis_view/top.lua");
const RANK: &str = include_str!("redis_view/rank.lua");
const WORTH: &str = include_str!("redis_view/worth.lua");
const AUDIT: &str = include_str!("redis_view/audit.lua");

/// Beyond this a Lua number could not hold a sum with it exactly; it is sent as 20 digits then.
const SHORT_WORTH_MAX: u64 = 1_000_000_000_000_000;

/// Makes the commands.
#[derive(Clone, Debug)]
pub struct RedisView {
    /// What all keys begin with: the hash tag and a colon.
    prefix: String,
    total_max: String,
    apply: Script,
    load: Script,
    switch: Script,
    fences: Script,
    top: Script,
    rank: Script,
    worth: Script,
    audit: Script,
}

impl RedisView {
    /// Keys under the hash tag `tag`; at `total_max` an anchor takes no more.
    ///
    /// # Panics
    /// When `tag` is empty or holds a brace, or `total_max` is below 0.
    pub fn new(tag: &str, total_max: i64) -> Self {
        assert!(!tag.is_empty() && !tag.contains(['{', '}']), "a tag is between braces");
        assert!(total_max >= 0, "a limit below 0 would refuse every gift");
        Self {
            prefix: format!("{{{tag}}}:"),
            total_max: twenty(total_max),
            apply: Script::new(&[ROWS, APPLY].concat()),
            load: Script::new(&[ROWS, LOAD].concat()),
            switch: Script::new(SWITCH),
            fences: Script::new(FENCES),
            top: Script::new(TOP),
            rank: Script::new(RANK),
            worth: Script::new(WORTH),
            audit: Script::new(AUDIT),
        }
    }

    /// What [`View::apply`](super::view::View::apply) does; read by [`reply::script`].
    pub fn apply(&self, apply: &Apply) -> Command {
        let runs = runs(&apply.deltas);
        let keys = [self.current(), self.key(apply.generation, "fences")];
        let command = self.run(&self.apply, apply.generation, &keys, &[], &runs);
        let command = command
            .arg(generation(apply.generation))
            .arg(stream(apply.stream))
            .arg(count(apply.from))
            .arg(count(apply.to))
            .arg(&self.total_max);
        with_rows(command, &runs)
    }

    /// What [`View::load`](super::view::View::load) does; read by [`reply::script`].
    pub fn load(&self, load: &Load) -> Command {
        let runs = runs(&load.rows);
        let keys = [self.current(), self.key(load.generation, "fences")];
        let generations = [self.generations()];
        let command = self.run(&self.load, load.generation, &keys, &generations, &runs);
        let mut command = command
            .arg(generation(load.generation))
            .arg(count(load.step))
            .arg(count(load.step + 1))
            .arg(load.fences.len().to_string());
        for &(whose, fence) in &load.fences {
            command = command.arg(stream(whose)).arg(count(fence));
        }
        with_rows(command, &runs)
    }

    /// What [`View::switch`](super::view::View::switch) does; read by [`reply::script`].
    pub fn switch(&self, switch: &Switch) -> Command {
        let keys = [self.current(), self.generations(), self.key(switch.to, "fences")];
        script(&self.switch, &keys)
            .arg(switch.from.map(generation).unwrap_or_default())
            .arg(generation(switch.to))
            .arg(count(switch.steps))
            .arg(&self.prefix)
    }

    /// The current generation and its fences; read by [`reply::fences`].
    pub fn fences(&self) -> Command {
        script(&self.fences, &[self.current()]).arg(&self.prefix)
    }

    /// The places `offset + 1` to `offset + num` of a board; read by [`reply::top`].
    pub fn top(&self, current: Generation, board: BoardId, offset: usize, num: usize) -> Command {
        // Redis reads -1 as the last one.
        let (first, last) = if num == 0 { (1, 0) } else { (offset, offset + num - 1) };
        let [scores, places] = self.board(current, board);
        script(&self.top, &[self.current(), scores, places])
            .arg(generation(current))
            .arg(first.to_string())
            .arg(last.to_string())
    }

    /// The place of an anchor with `around` neighbours on each side; read by [`reply::rank`].
    pub fn rank(&self, current: Generation, board: BoardId, anchor: i64, around: usize) -> Command {
        let [scores, places] = self.board(current, board);
        script(&self.rank, &[self.current(), scores, places])
            .arg(generation(current))
            .arg(field(anchor))
            // Who is ahead and who behind is always told.
            .arg(around.max(1).to_string())
    }

    /// The total of an anchor; read by [`reply::worth`].
    pub fn worth(&self, current: Generation, board: BoardId, anchor: i64) -> Command {
        let [scores, _] = self.board(current, board);
        script(&self.worth, &[self.current(), scores]).arg(generation(current)).arg(field(anchor))
    }

    /// A slice of a board of about `count` rows with the fences of the same moment, from where the
    /// last slice ended; read by [`reply::slice`].
    pub fn slice(
        &self,
        current: Generation,
        board: BoardId,
        cursor: &str,
        count: usize,
    ) -> Command {
        let [scores, places] = self.board(current, board);
        let keys = [self.current(), self.key(current, "fences"), scores, places];
        script(&self.audit, &keys).arg(generation(current)).arg(cursor).arg(count.to_string())
    }

    /// The name of the current generation: what the server with these keys must answer.
    pub fn current_name(&self) -> Command {
        Command::new("GET", self.current())
    }

    fn run(
        &self,
        code: &Script,
        generation: Generation,
        first: &[String],
        then: &[String],
        runs: &[&[Delta]],
    ) -> Command {
        let mut keys = first.to_vec();
        keys.push(self.key(generation, "boards"));
        keys.extend_from_slice(then);
        keys.extend(runs.iter().flat_map(|run| self.board(generation, run[0].board)));
        script(code, &keys)
    }

    fn current(&self) -> String {
        format!("{}current", self.prefix)
    }

    fn generations(&self) -> String {
        format!("{}generations", self.prefix)
    }

    fn key(&self, of: Generation, name: &str) -> String {
        format!("{}{}:{name}", self.prefix, generation(of))
    }

    fn board(&self, generation: Generation, board: BoardId) -> [String; 2] {
        let name = board_name(board);
        ["scores", "places"].map(|part| self.key(generation, &format!("{name}:{part}")))
    }
}

impl ViewScripts<Draft> for RedisView {
    fn apply(&self, apply: &Apply) -> Command {
        self.apply(apply)
    }

    fn load(&self, load: &Load) -> Command {
        self.load(load)
    }

    fn switch(&self, switch: &Switch) -> Command {
        self.switch(switch)
    }

    fn fences(&self) -> Command {
        self.fences()
    }

    fn ping(&self) -> Command {
        self.current_name()
    }

    fn read_script(&self, answer: Answer) -> Result<ScriptAnswer, Unread> {
        reply::script(answer)
    }

    fn read_fences(&self, answer: Answer) -> Result<Fences, Unread> {
        reply::fences(answer)
    }
}

fn script(code: &Script, keys: &[String]) -> Command {
    let keys: Vec<&[u8]> = keys.iter().map(String::as_bytes).collect();
    Command::script(code, &keys)
}

/// Rows of one board each. No two rows of a script have both board and anchor in common.
fn runs(rows: &[Delta]) -> Vec<&[Delta]> {
    rows.chunk_by(|left, right| left.board == right.board).collect()
}

fn with_rows(mut command: Command, runs: &[&[Delta]]) -> Command {
    for run in runs {
        let expires = run[0].expires_s.map(|second| second.to_string()).unwrap_or_default();
        command = command.arg(board_name(run[0].board)).arg(expires).arg(run.len().to_string());
        for row in *run {
            let time = twenty(i64::MAX - row.reached_at_us.max(0));
            command = command.arg(field(row.anchor_id)).arg(time).arg(worth(row.worth));
        }
    }
    command
}

fn worth(worth: i64) -> String {
    if worth.unsigned_abs() < SHORT_WORTH_MAX { worth.to_string() } else { twenty(worth) }
}

fn board_name(board: BoardId) -> String {
    let kind = match board.period {
        Period::All => "all",
        Period::Hour => "hour",
        Period::Day => "day",
        Period::Week => "week",
    };
    format!("{kind}:{}", board.from_s)
}

/// The end of the name of an anchor's place, which stands for the anchor.
fn field(anchor_id: i64) -> String {
    twenty(i64::MAX - anchor_id.max(0))
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

fn twenty(number: i64) -> String {
    format!("{number:020}")
}
