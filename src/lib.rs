//! Fanfare: gift boards, counters, red packets and a trading room for live events, in one process.
//!
//! Read in this order: [`limits`], [`session`] (the seam), [`http`] and [`tlv`] (protocols without
//! sockets), [`exec`] (work that may block), [`net`] (the only user of mio), then a domain:
//! [`gift`]. `app` puts them together.
//!
//! Invariants that are absences, and so cannot be seen by reading one file:
//! - nothing under `session`, `http` or `tlv` touches a socket, a thread or a clock;
//! - a loop thread never waits: no disk, no `recv`, no lock held longer than one look-up;
//! - no request crosses threads: it is decoded on the loop, and only a domain's command leaves;
//! - nothing knows `app`.

pub mod access;
pub mod app;
pub mod calendar;
pub mod cli;
pub mod client;
pub mod cluster;
pub mod config;
pub mod counter;
pub mod exec;
pub mod gift;
pub mod hello;
pub mod http;
pub mod limits;
pub mod load;
pub mod log;
pub mod meter;
pub mod net;
pub mod openapi;
pub mod ops;
pub mod order;
pub mod packet;
pub mod profile;
pub mod progress;
pub mod rng;
pub mod session;
pub mod signal;
pub mod store;
pub mod supervisor;
pub mod terminal;
pub mod tlv;
pub mod torture;
pub mod trade;
pub mod web;
