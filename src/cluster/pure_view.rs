//! What the scripts over a view do, exactly, whatever the domain's boards are.
//!
//! The scripts proper are held against this, and simulations run on it. All keys of a view share a
//! hash tag, so that a script sees them all, and they are lost together: a fence never outlives the
//! data it speaks of.

use super::record::Stream;
use super::script::{Apply, Generation, Load, ScriptAnswer, Switch};
use std::collections::BTreeMap;
use std::fmt::Debug;

/// The boards of one generation.
pub trait PureBoards: Clone + Debug + Default + PartialEq {
    /// What is added to them.
    type Row: Clone + Debug;
    /// Who can be full.
    type Subject: PartialEq;

    /// Whether a row can be added without leaving a range.
    fn fits(&self, row: &Self::Row) -> bool;

    /// Adds a row that fits.
    fn add(&mut self, row: &Self::Row);

    /// Whom a row that was added has brought to the limit.
    fn full(&self, row: &Self::Row, total_max: i64) -> Option<Self::Subject>;

    /// What Redis does by itself with keys whose time has come.
    fn expire(&mut self, now_s: i64);
}

/// The keys of one generation.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PureKeys<B> {
    /// How far each stream is applied.
    pub fences: BTreeMap<Stream, u64>,
    /// What they hold.
    pub boards: B,
    /// Steps of the rebuild that made it, so far.
    pub steps: u64,
    /// Nobody has built it: Redis was emptied.
    pub is_hollow: bool,
}

impl<B: PureBoards> PureKeys<B> {
    /// How far a stream is applied.
    pub fn fence(&self, stream: Stream) -> u64 {
        self.fences.get(&stream).copied().unwrap_or(0)
    }

    /// Applies batches to these keys.
    pub fn apply(&mut self, apply: &Apply<B::Row>, total_max: i64) -> ScriptAnswer<B::Subject> {
        let fence = self.fence(apply.stream);
        if fence >= apply.to {
            return ScriptAnswer::Done { full: Vec::new() };
        }
        if fence != apply.from {
            return ScriptAnswer::Missing(fence);
        }
        // Scripts do not roll back: all is checked before the first write.
        if !apply.deltas.iter().all(|delta| self.boards.fits(delta)) {
            return ScriptAnswer::Refused;
        }
        let mut full = Vec::new();
        for delta in &apply.deltas {
            self.boards.add(delta);
            let subject = self.boards.full(delta, total_max);
            full.extend(subject.filter(|subject| !full.contains(subject)));
        }
        self.fences.insert(apply.stream, apply.to);
        ScriptAnswer::Done { full }
    }
}

/// All keys of one view.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PureView<B> {
    /// `None` when Redis was emptied.
    pub current: Option<Generation>,
    /// The current one and those being built.
    pub generations: BTreeMap<Generation, PureKeys<B>>,
}

impl<B: PureBoards> PureView<B> {
    /// The keys that are shown.
    pub fn keys(&self) -> Option<&PureKeys<B>> {
        self.generations.get(&self.current?)
    }

    /// The script of [`Apply`].
    pub fn apply(&mut self, apply: &Apply<B::Row>, total_max: i64) -> ScriptAnswer<B::Subject> {
        if self.current != Some(apply.generation) {
            return ScriptAnswer::OtherGeneration(self.current);
        }
        self.generations.entry(apply.generation).or_default().apply(apply, total_max)
    }

    /// The script of [`Load`].
    pub fn load(&mut self, load: &Load<B::Row>) -> ScriptAnswer<B::Subject> {
        if self.current == Some(load.generation) {
            // A late repetition: its rows would undo what was applied since.
            return ScriptAnswer::OtherGeneration(self.current);
        }
        let steps = self.generations.get(&load.generation).map_or(0, |keys| keys.steps);
        if steps > load.step {
            return ScriptAnswer::Done { full: Vec::new() };
        }
        if steps < load.step {
            return ScriptAnswer::Missing(steps);
        }
        let keys = self.generations.entry(load.generation).or_default();
        for row in &load.rows {
            keys.boards.add(row);
        }
        keys.fences.extend(load.fences.iter().copied());
        keys.steps += 1;
        ScriptAnswer::Done { full: Vec::new() }
    }

    /// The script of [`Switch`].
    pub fn switch(&mut self, switch: &Switch) -> ScriptAnswer<B::Subject> {
        if self.current == Some(switch.to) {
            return ScriptAnswer::Done { full: Vec::new() };
        }
        if self.current != switch.from {
            return ScriptAnswer::OtherGeneration(self.current);
        }
        let steps = self.generations.get(&switch.to).map_or(0, |keys| keys.steps);
        if steps != switch.steps {
            return ScriptAnswer::Missing(steps);
        }
        self.generations.retain(|&generation, _| generation == switch.to);
        // A rebuild of an empty journal took no step.
        self.generations.entry(switch.to).or_default();
        self.current = Some(switch.to);
        ScriptAnswer::Done { full: Vec::new() }
    }

    /// The script that tells the fences of the current generation. Where there is none, an empty one
    /// becomes it, named `fresh` as no other ever was: what was sent to replace an earlier one, and
    /// comes late, is not meant for it.
    pub fn fences(&mut self, fresh: Generation) -> (Generation, &PureKeys<B>) {
        let current = *self.current.get_or_insert_with(|| {
            let hollow = PureKeys { is_hollow: true, ..PureKeys::default() };
            self.generations.insert(fresh, hollow);
            fresh
        });
        (current, self.generations.entry(current).or_default())
    }

    /// What Redis does by itself with keys whose time has come.
    pub fn expire(&mut self, now_s: i64) {
        for keys in self.generations.values_mut() {
            keys.boards.expire(now_s);
        }
    }
}
