//! The lane to MongoDB: a few threads that share one blocking client, fed by one bounded queue.
//!
//! What the driver does not promise is made here: it has no socket time-out, so a server that
//! swallows requests holds a thread until its monitor notices (`connect_timeout` after a missed
//! heartbeat). Meanwhile those who wait are answered by their [`Watch`](super::lane::Watch), and
//! those who come are shed: the queue is bounded, and the breaker opens.

mod client;
mod fate;
mod options;
mod threads;

pub use client::{Find, Index, Mongo};
pub use fate::{Inserted, MongoError};
pub use options::MongoOptions;
pub use threads::{MongoLane, MongoWorker};
