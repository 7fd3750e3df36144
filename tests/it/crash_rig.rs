//! What simulated crashes are made of: dice, a gate, and copies of folders.

use std::fs;
use std::path::Path;
use std::sync::{Condvar, Mutex};

/// Small numbers from a seed (xorshift).
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    pub(crate) fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 20) % end
    }

    pub(crate) fn pick(&mut self, range: std::ops::RangeInclusive<i64>) -> i64 {
        let end = u64::try_from(range.end() - range.start() + 1).expect("a small range");
        range.start() + i64::try_from(self.below(end)).expect("a small number")
    }
}

/// One thread at a time: a copy is made while nobody folds.
#[derive(Default)]
pub(crate) struct Gate {
    busy: Mutex<bool>,
    freed: Condvar,
}

impl Gate {
    pub(crate) fn enter(&self) {
        let busy = self.busy.lock().expect("no panic within");
        *self.freed.wait_while(busy, |busy| *busy).expect("no panic within") = true;
    }

    pub(crate) fn leave(&self) {
        *self.busy.lock().expect("no panic within") = false;
        self.freed.notify_one();
    }
}

/// Copies a folder's files, as a crash would leave them.
pub(crate) fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("a temp folder");
    for file in fs::read_dir(from).expect("readable") {
        let file = file.expect("readable");
        fs::copy(file.path(), to.join(file.file_name())).expect("copied");
    }
}
