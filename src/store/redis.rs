//! The lane to Redis: a few threads, each with connections of its own, each sending what has
//! queued for it as one pipeline.
//!
//! Commands are routed here rather than by the client's own cluster connection: that one repeats
//! by itself what may have been done, and turns one failed reply into the failure of all.

mod batch;
mod command;
mod node;
mod options;
mod router;
mod slots;
mod threads;

/// What Redis answers, typed by its protocol.
pub use ::redis::Value;
pub use command::{Answer, Away, Command, Script};
pub use options::RedisOptions;
pub use threads::{RedisJob, RedisLane};
