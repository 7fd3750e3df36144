//! The whole view once more, from the journal, into new keys.

use super::domain::JournalDraft;
use super::record::{Record, Stream};
use super::script::{Generation, Load, ScriptAnswer, Switch};
use super::tuning::Tuning;

/// What to do next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RebuildStep<R> {
    /// An answer is awaited.
    Nothing,
    /// Read the journal of a stream.
    Read {
        /// Whose.
        stream: Stream,
        /// Behind this batch.
        after: u64,
        /// Up to this one.
        through: u64,
    },
    /// Write a part of the new keys.
    Load(Load<R>),
    /// Make them current.
    Switch(Switch),
    /// It is done, or somebody else has done it.
    Over,
}

/// One rebuild. It holds each stream up to a batch that was resolved when it began, and says so in
/// the fences; what came later is replayed by its writer, which the new generation refuses first.
#[derive(Debug)]
pub struct Rebuild<T: JournalDraft> {
    generation: Generation,
    replaces: Generation,
    bounds: Vec<(Stream, u64)>,
    /// Streams read, and batches of the one after them.
    read: (usize, u64),
    sums: T::Sums,
    loads: Vec<Load<T::Row>>,
    loaded: usize,
    stage: Stage,
    awaiting: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Reading,
    Loading,
    Over,
}

impl<T: JournalDraft> Rebuild<T> {
    /// A generation of a random name, in place of `replaces`, with each stream up to its bound.
    pub fn new(generation: Generation, replaces: Generation, bounds: Vec<(Stream, u64)>) -> Self {
        let (sums, loads) = (T::Sums::default(), Vec::new());
        let (read, loaded, awaiting) = ((0, 0), 0, false);
        let stage = Stage::Reading;
        Self { generation, replaces, bounds, read, sums, loads, loaded, stage, awaiting }
    }

    /// Which generation it makes.
    pub fn generation(&self) -> Generation {
        self.generation
    }

    /// Batches read, and batches to read.
    pub fn progress(&self) -> (u64, u64) {
        let batches = |bounds: &[(Stream, u64)]| bounds.iter().map(|bound| bound.1).sum::<u64>();
        let (streams, part) = self.read;
        (batches(&self.bounds[..streams.min(self.bounds.len())]) + part, batches(&self.bounds))
    }

    /// What to do; afterwards an answer is awaited.
    pub fn step(&mut self, tuning: &Tuning) -> RebuildStep<T::Row> {
        if self.stage == Stage::Over {
            return RebuildStep::Over;
        }
        if self.awaiting {
            return RebuildStep::Nothing;
        }
        self.awaiting = true;
        if self.stage == Stage::Reading {
            while let Some(&(stream, through)) = self.bounds.get(self.read.0) {
                if self.read.1 < through {
                    return RebuildStep::Read { stream, after: self.read.1, through };
                }
                self.read = (self.read.0 + 1, 0);
            }
            self.loads = self.parts(tuning.load_rows_max);
            self.stage = Stage::Loading;
        }
        match self.loads.get(self.loaded) {
            Some(load) => RebuildStep::Load(load.clone()),
            None => RebuildStep::Switch(Switch {
                from: Some(self.replaces),
                to: self.generation,
                steps: self.loads.len() as u64,
            }),
        }
    }

    fn parts(&self, rows_max: usize) -> Vec<Load<T::Row>> {
        let deltas = T::rows(&self.sums);
        let rows = deltas.chunks(rows_max).map(|rows| (rows.to_vec(), Vec::new()));
        let fences = self.bounds.chunks(rows_max).map(|part| (Vec::new(), part.to_vec()));
        let parts = rows.chain(fences).zip(0..);
        parts
            .map(|((rows, fences), step): ((Vec<T::Row>, _), _)| Load {
                generation: self.generation,
                step,
                rows,
                fences,
            })
            .collect()
    }

    /// The journal's documents of the stream that was asked for, complete through that batch.
    pub fn read(&mut self, through: u64, records: &[Record<T>], rules: &T::Rules, now_s: i64) {
        self.awaiting = false;
        self.read.1 = through;
        for record in records {
            record.draft.add_to(&mut self.sums, rules, now_s);
        }
    }

    /// The journal did not answer.
    pub fn failed(&mut self) {
        self.awaiting = false;
    }

    /// Redis answered to a part or to the switch.
    pub fn answered(&mut self, answer: &ScriptAnswer<T::Subject>) {
        self.awaiting = false;
        match answer {
            ScriptAnswer::Done { .. } if self.loaded < self.loads.len() => self.loaded += 1,
            ScriptAnswer::Missing(step) => {
                self.loaded = usize::try_from(*step).unwrap_or(0).min(self.loaded);
            }
            _ => self.stage = Stage::Over,
        }
    }
}
