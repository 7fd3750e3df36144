//! What simulated crashes are made of: dice, a gate, and copies of folders.

use fanfare::store::{Step, StepHook};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex};

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
struct Gate {
    busy: Mutex<bool>,
    freed: Condvar,
}

impl Gate {
    fn enter(&self) {
        let busy = self.busy.lock().expect("no panic within");
        *self.freed.wait_while(busy, |busy| *busy).expect("no panic within") = true;
    }

    fn leave(&self) {
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

/// What clients know, and copies of the folder with what they knew then.
pub(crate) struct Crashes<K> {
    known: Mutex<K>,
    made: Mutex<Vec<(Step, K)>>,
}

impl<K: Clone + Default + Send + 'static> Crashes<K> {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self { known: Mutex::default(), made: Mutex::default() })
    }

    /// Takes note of what a client was told.
    pub(crate) fn note(&self, learn: impl FnOnce(&mut K)) {
        learn(&mut self.known.lock().expect("no panic"));
    }

    /// Copies `from` at one in four steps, picked by the seed, to `to/0`, `to/1` …
    pub(crate) fn hook(self: &Arc<Self>, seed: u64, from: PathBuf, to: PathBuf) -> StepHook {
        let dice = Mutex::new(Dice::new(seed + 1_000_000));
        let (gate, crashes) = (Gate::default(), Arc::clone(self));
        Arc::new(move |step| match step {
            Step::Folding => gate.enter(),
            Step::Folded => gate.leave(),
            _ if dice.lock().expect("no panic").below(4) > 0 => {}
            _ => {
                gate.enter();
                // What is known before the copy must be in it.
                let known = crashes.known.lock().expect("no panic").clone();
                let mut made = crashes.made.lock().expect("no panic");
                copy(&from, &to.join(made.len().to_string()));
                made.push((step, known));
                gate.leave();
            }
        })
    }

    /// The copies, with the steps at which they were made.
    pub(crate) fn take(&self) -> Vec<(Step, K)> {
        std::mem::take(&mut *self.made.lock().expect("no panic"))
    }
}
