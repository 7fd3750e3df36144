//! The view in Redis: its keys, and the scripts that do there what [`View`](super::view::View) does.
//!
//! Everything here makes commands for the lane to Redis and reads what it answers; nothing waits.
//! Of the keys of all views (`cluster::view_keys`) this one's boards are:
//!
//! ```text
//! <kind>:<from>:scores   hash: inverted id -> total, inverted time; newest time
//! <kind>:<from>:places   sorted set, all scores 0, of place names
//! ```

pub mod reply;

use super::rules::{BoardId, Delta};
use super::{Apply, Draft, Generation, Load, ScriptAnswer, Switch};
use crate::cluster::ViewScripts;
use crate::cluster::reply::{Fences, Unread};
use crate::cluster::view_keys::{ViewKeys, addend, twenty};
use crate::gift::Period;
use crate::store::redis::{Answer, Command, Script};

const ROWS: &str = include_str!("redis_view/rows.lua");
const TOP: &str = include_str!("redis_view/top.lua");
const RANK: &str = include_str!("redis_view/rank.lua");
const WORTH: &str = include_str!("redis_view/worth.lua");
const AUDIT: &str = include_str!("redis_view/audit.lua");

/// Makes the commands.
#[derive(Clone, Debug)]
pub struct RedisView {
    keys: ViewKeys,
    total_max: String,
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
        assert!(total_max >= 0, "a limit below 0 would refuse every gift");
        Self {
            keys: ViewKeys::new(tag, ROWS),
            total_max: twenty(total_max),
            top: Script::new(TOP),
            rank: Script::new(RANK),
            worth: Script::new(WORTH),
            audit: Script::new(AUDIT),
        }
    }

    /// What [`View::apply`](super::view::View::apply) does; read by [`reply::script`].
    pub fn apply(&self, apply: &Apply) -> Command {
        let runs = runs(&apply.deltas);
        with_rows(self.keys.apply(apply, &names(&runs), &self.total_max), &runs)
    }

    /// What [`View::load`](super::view::View::load) does; read by [`reply::script`].
    pub fn load(&self, load: &Load) -> Command {
        let runs = runs(&load.rows);
        with_rows(self.keys.load(load, &names(&runs)), &runs)
    }

    /// What [`View::switch`](super::view::View::switch) does; read by [`reply::script`].
    pub fn switch(&self, switch: &Switch) -> Command {
        self.keys.switch(switch)
    }

    /// The current generation and its fences; read by [`reply::fences`].
    pub fn fences(&self) -> Command {
        self.keys.fences()
    }

    /// The places `offset + 1` to `offset + num` of a board; read by [`reply::top`].
    pub fn top(&self, current: Generation, board: BoardId, offset: usize, num: usize) -> Command {
        // Redis reads -1 as the last one.
        let (first, last) = if num == 0 { (1, 0) } else { (offset, offset + num - 1) };
        let keys = self.board(current, board);
        self.keys.ask(&self.top, current, &keys).arg(first.to_string()).arg(last.to_string())
    }

    /// The place of an anchor with `around` neighbours on each side; read by [`reply::rank`].
    pub fn rank(&self, current: Generation, board: BoardId, anchor: i64, around: usize) -> Command {
        let keys = self.board(current, board);
        self.keys
            .ask(&self.rank, current, &keys)
            .arg(field(anchor))
            // Who is ahead and who behind is always told.
            .arg(around.max(1).to_string())
    }

    /// The total of an anchor; read by [`reply::worth`].
    pub fn worth(&self, current: Generation, board: BoardId, anchor: i64) -> Command {
        let [scores, _] = self.board(current, board);
        self.keys.ask(&self.worth, current, &[scores]).arg(field(anchor))
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
        let keys = [self.keys.key(current, "fences"), scores, places];
        self.keys.ask(&self.audit, current, &keys).arg(cursor).arg(count.to_string())
    }

    /// The name of the current generation: what the server with these keys must answer.
    pub fn current_name(&self) -> Command {
        self.keys.current_name()
    }

    fn board(&self, generation: Generation, board: BoardId) -> [String; 2] {
        self.keys.board(generation, &board_name(board))
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

/// Rows of one board each. No two rows of a script have both board and anchor in common.
fn runs(rows: &[Delta]) -> Vec<&[Delta]> {
    rows.chunk_by(|left, right| left.board == right.board).collect()
}

fn names(runs: &[&[Delta]]) -> Vec<String> {
    runs.iter().map(|run| board_name(run[0].board)).collect()
}

fn with_rows(mut command: Command, runs: &[&[Delta]]) -> Command {
    for run in runs {
        let expires = run[0].expires_s.map(|second| second.to_string()).unwrap_or_default();
        command = command.arg(board_name(run[0].board)).arg(expires).arg(run.len().to_string());
        for row in *run {
            let time = twenty(i64::MAX - row.reached_at_us.max(0));
            command = command.arg(field(row.anchor_id)).arg(time).arg(addend(row.worth.into()));
        }
    }
    command
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
