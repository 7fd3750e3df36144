//! What a driver shows of itself.

use crate::meter::{Counter, Histogram};
use std::sync::atomic::{AtomicBool, AtomicU64};

/// Written by the driver's thread alone; read at a scrape and by `/readyz`.
#[derive(Debug)]
pub struct Figures {
    /// From handing a command to the lane to `MongoDB` until its answer, in microseconds.
    pub mongo: Histogram,
    /// The same for Redis; a pipeline of scripts counts once.
    pub redis: Histogram,
    /// Journal documents inserted, in rounds: how large those were.
    pub rounds: Histogram,
    /// Batches that are in the journal and not known to be in the view: how far the fences lag.
    pub lag_batches: AtomicU64,
    /// Whether requests are acknowledged before the view holds them.
    pub is_behind: AtomicBool,
    /// Whether a heartbeat was taken lately, so that writers may insert.
    pub is_alive: AtomicBool,
    /// Requests acknowledged before the view held them.
    pub degraded: Counter,
    /// Requests that were not answered before their deadline.
    pub late: Counter,
    /// How often others took this process for gone.
    pub retired: Counter,
    /// Batches read and to be read by a rebuild under way, rows aside; 0 of 0 while none is.
    pub rebuild: [AtomicU64; 2],
    /// Rebuilds that this process has finished.
    pub rebuilt: Counter,
}

impl Default for Figures {
    fn default() -> Self {
        Self {
            mongo: Histogram::of_durations(),
            redis: Histogram::of_durations(),
            rounds: Histogram::new(crate::meter::BATCH_BOUNDS),
            lag_batches: AtomicU64::default(),
            is_behind: AtomicBool::default(),
            is_alive: AtomicBool::default(),
            degraded: Counter::default(),
            late: Counter::default(),
            retired: Counter::default(),
            rebuild: Default::default(),
            rebuilt: Counter::default(),
        }
    }
}
