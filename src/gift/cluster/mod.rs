//! The gift board on Redis and `MongoDB`: the protocol as state machines, without I/O.
//!
//! `MongoDB` is the record, Redis is the view. What happens comes in as an [`Event`], what is to be
//! done goes out as a [`Command`]; time and randomness are parameters. [`Node`] is one process.
//! ARCHITECTURE.md ("Cluster: the protocol") tells why each step is as it is; nothing here is served
//! by this version.

mod behind;
mod context;
mod freshness;
mod lease;
mod message;
mod node;
mod place_name;
mod rebuild;
mod record;
mod recovery;
#[cfg(feature = "cluster")]
pub mod redis_view;
mod replay;
mod rules;
mod silence;
mod tuning;
mod view;
mod writer;

pub use behind::{Behind, Mode};
pub use freshness::{Freshness, Stamp};
pub use lease::Lease;
pub use message::{
    Beat, BeatAnswer, Command, Event, LeaseDoc, Member, Newest, Now, Op, Outcome, RedisAnswer,
    RedisRequest, Ticket,
};
pub use node::Node;
pub use place_name::PlaceName;
pub use rebuild::Rebuild;
pub use record::{Draft, Fate, Record, Stream};
pub use replay::{Replay, Step};
pub use rules::{BoardId, Delta, Rules};
pub use silence::Silence;
pub use tuning::Tuning;
pub use view::{Apply, Board, Generation, Keys, Load, ScriptAnswer, Switch, View};
pub use writer::{Resolved, Writer};
