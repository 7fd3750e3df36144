//! A domain on Redis and `MongoDB`: the protocol as state machines without I/O, and what runs it.
//!
//! `MongoDB` is the record, Redis is the view. What happens comes in as an [`Event`], what is to be
//! done goes out as a [`Command`]; time and randomness are parameters. [`Node`] is one process.
//! ARCHITECTURE.md ("Cluster: the protocol") tells why each step is as it is. What a domain's
//! documents and keys look like it says itself, as a [`JournalDraft`].

mod behind;
mod context;
mod domain;
mod freshness;
mod lease;
mod message;
mod node;
mod rebuild;
mod record;
mod recovery;
mod replay;
mod script;
mod silence;
mod tuning;
mod writer;

pub use behind::{Behind, Mode};
pub use domain::JournalDraft;
pub use freshness::{Freshness, Stamp};
pub use lease::Lease;
pub use message::{
    Beat, BeatAnswer, Command, Event, LeaseDoc, Member, Newest, Now, Op, Outcome, RedisAnswer,
    RedisRequest, Ticket,
};
pub use node::Node;
pub use rebuild::Rebuild;
pub use record::{Fate, Record, Stream};
pub use replay::{Replay, Step};
pub use script::{Apply, Generation, Load, ScriptAnswer, Switch};
pub use silence::Silence;
pub use tuning::Tuning;
pub use writer::{Resolved, Writer};
