//! Counters on Redis and `MongoDB`: what their documents and keys are, and how writes get there. The
//! protocol that they go through is [`crate::cluster`].

mod audit;
mod decide;
mod desk;
mod document;
mod draft;
mod lines;
mod looks;
mod lookup;
mod reads;
pub mod redis_view;
mod rules;
mod store;

pub use draft::{Change, Draft, Origin};
pub use rules::{Board, Row, Rules, Sums, Value};
pub use store::{ClusterCounters, ClusterOptions};
