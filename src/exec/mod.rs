//! Work that may block: bounded queues into worker threads, replies and signals back to the loops.

mod batch_worker;
mod executor;
mod mailbox;
mod notifier;
mod published;
mod stamps;
mod threads;

pub use batch_worker::{Answer, BatchWorker, Job};
pub use executor::{Executor, Queue, Worker, spawn};
pub use mailbox::{Delivery, Mailbox, MakeReply, Outbox, mailbox, ring_once};
pub use notifier::Notifier;
pub use published::{Follower, Published};
pub use stamps::Stamps;
pub use threads::Threads;
