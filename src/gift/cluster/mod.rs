//! The gift board on Redis and `MongoDB`: what its documents and keys are. The protocol that they go
//! through is [`crate::cluster`].

#[cfg(feature = "cluster")]
mod audit;
#[cfg(feature = "cluster")]
mod boards;
#[cfg(feature = "cluster")]
mod document;
mod draft;
#[cfg(feature = "cluster")]
mod lookup;
mod place_name;
#[cfg(feature = "cluster")]
pub mod redis_view;
mod rules;
#[cfg(feature = "cluster")]
mod store;
mod view;

pub use draft::Draft;
pub use place_name::PlaceName;
#[cfg(feature = "cluster")]
pub use store::{ClusterGifts, ClusterOptions};

pub use rules::{BoardId, Delta, Rules, Sums};
pub use view::{Board, Boards, Keys, View};

pub use crate::cluster::{
    BeatAnswer, Generation, LeaseDoc, Member, Mode, Newest, Now, Op, Stamp, Stream, Switch, Ticket,
    Tuning,
};

/// See [`crate::cluster::Apply`].
pub type Apply = crate::cluster::Apply<Delta>;
/// See [`crate::cluster::Command`].
pub type Command = crate::cluster::Command<Draft>;
/// See [`crate::cluster::Event`].
pub type Event = crate::cluster::Event<Draft>;
/// See [`crate::cluster::Fate`].
pub type Fate = crate::cluster::Fate<Draft>;
/// See [`crate::cluster::Load`].
pub type Load = crate::cluster::Load<Delta>;
/// See [`crate::cluster::Node`].
pub type Node = crate::cluster::Node<Draft>;
/// See [`crate::cluster::Outcome`].
pub type Outcome = crate::cluster::Outcome<Draft>;
/// See [`crate::cluster::Record`].
pub type Record = crate::cluster::Record<Draft>;
/// See [`crate::cluster::RedisAnswer`].
pub type RedisAnswer = crate::cluster::RedisAnswer<Draft>;
/// See [`crate::cluster::RedisRequest`].
pub type RedisRequest = crate::cluster::RedisRequest<Draft>;
/// See [`crate::cluster::ScriptAnswer`].
pub type ScriptAnswer = crate::cluster::ScriptAnswer<i64>;
