//! A domain on Redis and `MongoDB`: the protocol as state machines without I/O, and what runs it.
//!
//! `MongoDB` is the record, Redis is the view. What happens comes in as an [`Event`], what is to be
//! done goes out as a [`Command`]; time and randomness are parameters. [`Node`] is one process.
//! ARCHITECTURE.md ("Cluster: the protocol") tells why each step is as it is. What a domain's
//! documents and keys look like it says itself, as a [`JournalDraft`].

mod behind;
#[cfg(feature = "cluster")]
mod coalescer;
mod context;
#[cfg(feature = "cluster")]
mod document;
mod domain;
#[cfg(feature = "cluster")]
mod driver;
#[cfg(feature = "cluster")]
mod figures;
#[cfg(feature = "cluster")]
mod followed;
mod freshness;
#[cfg(feature = "cluster")]
mod ids;
#[cfg(feature = "cluster")]
mod journal_sums;
#[cfg(feature = "cluster")]
mod lanes;
#[cfg(feature = "cluster")]
mod last_known;
mod lease;
#[cfg(feature = "cluster")]
mod link;
#[cfg(feature = "cluster")]
mod members;
mod message;
#[cfg(feature = "cluster")]
mod mongo_record;
mod node;
#[cfg(feature = "cluster")]
mod opening;
mod pure_view;
mod rebuild;
mod record;
mod recovery;
mod replay;
#[cfg(feature = "cluster")]
pub mod reply;
mod script;
#[cfg(feature = "cluster")]
mod scripts;
#[cfg(feature = "cluster")]
pub mod settings;
mod silence;
mod tuning;
#[cfg(feature = "cluster")]
pub mod view_keys;
#[cfg(feature = "cluster")]
mod view_reader;
mod writer;

#[cfg(feature = "cluster")]
pub use coalescer::{Begun, Coalescer};
#[cfg(feature = "cluster")]
pub use document::JournalDocument;
#[cfg(feature = "cluster")]
pub use driver::{Answered, Driver, DriverOptions, LastWords};
#[cfg(feature = "cluster")]
pub use figures::Figures;
#[cfg(feature = "cluster")]
pub use followed::Followed;
#[cfg(feature = "cluster")]
pub use ids::Ids;
#[cfg(feature = "cluster")]
pub use journal_sums::{JournalSums, Stopped};
#[cfg(feature = "cluster")]
pub use lanes::{Lanes, LanesThreads, MongoTask};
#[cfg(feature = "cluster")]
pub use last_known::LastKnown;
#[cfg(feature = "cluster")]
pub use link::{Link, Pass};
#[cfg(feature = "cluster")]
pub use mongo_record::MongoRecord;
#[cfg(feature = "cluster")]
pub use opening::{ClusterError, Opened, open_record};
#[cfg(feature = "cluster")]
pub use scripts::ViewScripts;
#[cfg(feature = "cluster")]
pub use view_reader::{Questions, Shown, ViewReader, ViewReaderOptions};

pub use behind::{Behind, Mode};
pub use domain::JournalDraft;
pub use freshness::{Freshness, Stamp};
pub use lease::Lease;
pub use message::{
    Beat, BeatAnswer, Command, Event, LeaseDoc, Member, Newest, Now, Op, Outcome, RedisAnswer,
    RedisRequest, Ticket,
};
pub use node::Node;
pub use pure_view::{PureBoards, PureKeys, PureView};
pub use rebuild::Rebuild;
pub use record::{Fate, Record, Stream};
pub use replay::{Replay, Step};
pub use script::{Apply, Generation, Load, ScriptAnswer, Switch};
pub use silence::Silence;
pub use tuning::Tuning;
pub use writer::{Resolved, Writer};
