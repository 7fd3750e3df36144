//! What a write of a counter becomes in the journal.

use super::rules::{self, Row, Rules, Sums};
use crate::cluster::JournalDraft;
use crate::counter::{Action, Counter, Id, Path};
use crate::store::RequestKey;
use std::convert::Infallible;
use std::hash::{DefaultHasher, Hash, Hasher};

/// What a document does to its counter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// Adds: one increment, or the sum of those that came together.
    Added {
        /// Signed.
        delta: i64,
        /// Who asked, of a single increment.
        user: Option<Id>,
    },
    /// Counts a user, or takes one back: the `n`-th such step of this user.
    Moved {
        /// Whom.
        user: Id,
        /// From 1; odd ones count, even ones take back.
        n: u64,
    },
    /// Sets the count to the number of counted users.
    Recounted {
        /// What that adds.
        delta: i64,
        /// Why.
        reason: String,
    },
    /// Begins an epoch, in which the counter stands at 0 and counts nobody.
    Reset {
        /// What that took away, as far as could be seen: for whoever reads the journal.
        delta: i64,
        /// Why.
        reason: String,
    },
}

/// A document of the journal, before a writer takes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Draft {
    /// The document's `_id`.
    pub name: String,
    /// Whose it is: no other document of any process has it.
    pub id: i64,
    /// Which windows it counts in; microseconds.
    pub time_us: i64,
    /// Of what.
    pub counter: Counter,
    /// The turn of the newest reset that was known, 0 before the first: in the epoch of another
    /// reset it counts nothing.
    pub epoch: u64,
    /// What it does.
    pub change: Change,
    /// Of a change that cannot be made beside another such change of the same counter: the how
    /// manieth it is, from 1.
    pub turn: Option<u64>,
    /// Which call asked.
    pub path: Path,
    /// The request key, with its path before it.
    pub key: Option<String>,
}

/// What a draft is made of beside its change.
#[derive(Clone, Debug)]
pub struct Origin {
    /// See [`Draft::id`].
    pub id: i64,
    /// See [`Draft::time_us`].
    pub time_us: i64,
    /// See [`Draft::counter`].
    pub counter: Counter,
    /// See [`Draft::epoch`].
    pub epoch: u64,
    /// See [`Draft::path`].
    pub path: Path,
    /// Under which name a retry would come.
    pub key: Option<RequestKey>,
}

impl Draft {
    /// A document for `change`; `turn` makes it the only one of its counter at that turn.
    pub fn new(origin: Origin, change: Change, turn: Option<u64>) -> Self {
        let Origin { id, time_us, counter, epoch, path, key } = origin;
        let key = key.map(|key| key_name(path, &key));
        let name = match (&change, turn, &key) {
            (_, Some(turn), _) => turn_name(&counter, turn),
            (Change::Moved { user, n }, None, _) => step_name(&counter, epoch, user, *n),
            (_, None, Some(key)) => format!("counter/key/{key}"),
            (_, None, None) => format!("counter/id/{id}"),
        };
        Self { name, id, time_us, counter, epoch, change, turn, path, key }
    }

    /// What it adds to the count, as far as its epoch goes on.
    pub fn delta(&self) -> i64 {
        match &self.change {
            Change::Added { delta, .. }
            | Change::Recounted { delta, .. }
            | Change::Reset { delta, .. } => *delta,
            Change::Moved { n, .. } if n % 2 == 1 => 1,
            Change::Moved { .. } => -1,
        }
    }

    /// The how manieth step of its user it is.
    pub fn step(&self) -> Option<u64> {
        match self.change {
            Change::Moved { n, .. } => Some(n),
            _ => None,
        }
    }

    /// What a recount or reset tells its caller.
    pub fn correction(&self) -> i64 {
        match self.change {
            Change::Recounted { delta, .. } | Change::Reset { delta, .. } => delta,
            Change::Added { .. } | Change::Moved { .. } => 0,
        }
    }

    /// The epoch that is in force after it.
    pub fn epoch_after(&self) -> u64 {
        match self.change {
            Change::Reset { .. } => self.turn.unwrap_or(self.epoch),
            _ => self.epoch,
        }
    }

    /// Whether this is what such an action makes of that counter.
    pub fn is_of(&self, counter: &Counter, action: &Action) -> bool {
        let same = match (&self.change, action) {
            (Change::Added { delta, user }, Action::Add { delta: more, user: by }) => {
                (delta, user) == (more, by)
            }
            (Change::Moved { user, n }, Action::Join { user: of }) => user == of && n % 2 == 1,
            (Change::Moved { user, n }, Action::Leave { user: of }) => user == of && n % 2 == 0,
            (Change::Recounted { reason, .. }, Action::Recount { reason: why })
            | (Change::Reset { reason, .. }, Action::Reset { reason: why }) => reason == why,
            _ => false,
        };
        same && self.counter == *counter
    }

    /// The same command, whenever it came.
    fn is_command_of(&self, other: &Self) -> bool {
        let same = match (&self.change, &other.change) {
            (Change::Moved { user, n }, Change::Moved { user: of, n: at }) => {
                user == of && n % 2 == at % 2
            }
            (Change::Recounted { reason, .. }, Change::Recounted { reason: why, .. })
            | (Change::Reset { reason, .. }, Change::Reset { reason: why, .. }) => reason == why,
            (mine, theirs) => mine == theirs,
        };
        same && self.counter == other.counter
    }
}

/// What the key of a request is called in the journal.
pub(super) fn key_name(path: Path, key: &RequestKey) -> String {
    format!("{}/{}", path_name(path), key.as_str())
}

/// A path in names and documents.
pub(super) fn path_name(path: Path) -> &'static str {
    match path {
        Path::Increment => "increment",
        Path::Users => "users",
        Path::Recount => "recount",
        Path::Reset => "reset",
    }
}

/// The `_id` of a counter's document at that turn; those of one counter sort by turn.
pub(super) fn turn_name(counter: &Counter, turn: u64) -> String {
    format!("counter/turn/{}/{turn:020}", counter_name(counter))
}

/// The `_id` of a user's `n`-th step; those of one user sort by it.
pub(super) fn step_name(counter: &Counter, epoch: u64, user: &Id, n: u64) -> String {
    format!("counter/user/{}/{epoch:020}/{}/{n:020}", counter_name(counter), measured(user))
}

fn counter_name(counter: &Counter) -> String {
    format!("{}/{}", measured(&counter.counter_type), measured(&counter.resource))
}

/// With its length before it, so that no two names run into one another.
fn measured(id: &Id) -> String {
    let field = rules::field(id);
    format!("{}:{field}", field.len())
}

impl JournalDraft for Draft {
    type Row = Row;
    /// Nobody: whoever is about to leave the range of an i64 was asked before.
    type Subject = Infallible;
    type Rules = Rules;
    type Sums = Sums;

    fn name(&self) -> &str {
        &self.name
    }

    fn slot(&self, slots: u16) -> u16 {
        let mut hasher = DefaultHasher::new();
        self.counter.hash(&mut hasher);
        let slot = hasher.finish() % u64::from(slots);
        u16::try_from(slot).expect("less than the number of slots")
    }

    fn is_same(&self, other: &Self) -> bool {
        self.id == other.id
    }

    /// Under one key only the same command; a name that is taken otherwise is somebody's who was
    /// faster, and whoever asked looks again.
    fn is_answered_by(&self, existing: &Self) -> bool {
        self.key.is_none() || self.key != existing.key || self.is_command_of(existing)
    }

    fn grows(&self) -> Option<Infallible> {
        None
    }

    fn add_to(&self, sums: &mut Sums, rules: &Rules, now_s: i64) {
        rules.add(sums, self, now_s);
    }

    fn rows(sums: &Sums) -> Vec<Row> {
        sums.rows()
    }
}
