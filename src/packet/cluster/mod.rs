//! Red packets on Redis and `MongoDB`, with any number of processes: never overspent, whatever
//! forgets, repeats or dies. ARCHITECTURE.md ("Cluster: red packets") tells why it holds.

#[cfg(feature = "cluster")]
mod audit;
#[cfg(feature = "cluster")]
mod care;
mod desk;
#[cfg(feature = "cluster")]
mod documents;
mod hands;
mod lines;
#[cfg(feature = "cluster")]
mod look_up;
#[cfg(feature = "cluster")]
mod mongo_record;
mod record;
#[cfg(feature = "cluster")]
mod redis_view;
#[cfg(feature = "cluster")]
mod shared;
mod snatching;
mod steward;
#[cfg(feature = "cluster")]
mod store;
mod view;
#[cfg(feature = "cluster")]
mod worker;

pub use desk::Desk;
pub use hands::{Hands, Stage};
pub use lines::{Asked, ChunkLine, GrantLine, Head, LogEnd, Place, SEAL};
#[cfg(feature = "cluster")]
pub use redis_view::RedisView;

pub use record::{Fate, Known, Record, Trouble, VersionLine};
pub use snatching::{Snatching, Turned};
pub use steward::{Create, New};
#[cfg(feature = "cluster")]
pub use store::{ClusterError, ClusterOptions, ClusterPackets, Figures};
pub use view::{
    Amended, Gates, Generation, Left, Pending, Pool, Seen, Serve, Served, Tried, Try, View,
};
