//! Brings the view's fence of one stream up to what the journal holds of it.

use super::domain::JournalDraft;
use super::record::{Record, Stream};
use super::script::{Apply, Generation, ScriptAnswer};
use super::tuning::Tuning;

/// What to do next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step<R> {
    /// All is applied, or the fence is not known, or an answer is awaited.
    Nothing,
    /// Read the batches after the one, through the other.
    Read {
        /// Not this one.
        after: u64,
        /// This one too.
        through: u64,
    },
    /// Run these scripts, in order.
    Run(Vec<Apply<R>>),
}

/// The way of one stream into the view.
#[derive(Clone, Debug)]
pub struct Replay<T> {
    stream: Stream,
    /// Batches up to here are resolved: none of their documents can come or go any more.
    bound: u64,
    /// As Redis said last; `None` after anything that may have moved it back.
    fence: Option<u64>,
    /// All documents of the batches in `kept_after + 1 ..= kept_through`.
    kept: Vec<Record<T>>,
    kept_after: u64,
    kept_through: u64,
    awaiting: bool,
}

impl<T: JournalDraft> Replay<T> {
    /// Nothing of the stream is resolved yet.
    pub fn new(stream: Stream) -> Self {
        let kept = Vec::new();
        let (bound, fence, kept_after, kept_through, awaiting) = (0, None, 0, 0, false);
        Self { stream, bound, fence, kept, kept_after, kept_through, awaiting }
    }

    /// Whose batches.
    pub fn stream(&self) -> Stream {
        self.stream
    }

    /// How far the stream is resolved.
    pub fn bound(&self) -> u64 {
        self.bound
    }

    /// Batches that are not known to be applied.
    pub fn gap(&self) -> u64 {
        self.bound - self.fence.unwrap_or(0).min(self.bound)
    }

    /// All of it is in the view, as Redis said last.
    pub fn is_level(&self) -> bool {
        self.fence.is_some_and(|fence| fence >= self.bound)
    }

    /// More is resolved: these documents are all that there are of the batches since the last bound.
    pub fn resolved(&mut self, through: u64, records: Vec<Record<T>>) {
        // What was not applied until now is read again from the journal, should it be needed: a
        // process that is behind must not keep the whole outage in memory.
        (self.kept, self.kept_after, self.kept_through) = (records, self.bound, through);
        self.bound = through;
    }

    /// Resolved that far, without the documents.
    pub fn raise(&mut self, bound: u64) {
        self.bound = self.bound.max(bound);
    }

    /// Redis tells where the fence stands, unless a script is under way that moves it.
    pub fn at(&mut self, fence: u64) {
        if !self.awaiting {
            self.fence = Some(fence);
        }
    }

    /// The connection or the generation is gone, and with it every answer that was awaited.
    pub fn forget(&mut self) {
        self.fence = None;
        self.awaiting = false;
    }

    /// What to do; afterwards an answer is awaited.
    pub fn step(
        &mut self,
        generation: Generation,
        rules: &T::Rules,
        tuning: &Tuning,
        now_s: i64,
    ) -> Step<T::Row> {
        let Some(fence) = self.fence.filter(|&fence| fence < self.bound && !self.awaiting) else {
            return Step::Nothing;
        };
        self.awaiting = true;
        if fence < self.kept_after || fence >= self.kept_through {
            return Step::Read { after: fence, through: self.bound };
        }
        let mut scripts = Vec::new();
        let mut from = fence;
        while from < self.kept_through && scripts.len() < tuning.pipeline_scripts_max {
            let apply = self.script(generation, from, rules, tuning, now_s);
            from = apply.to;
            scripts.push(apply);
        }
        Step::Run(scripts)
    }

    /// Whole batches from the fence on, as many as fit; batches without documents are stepped over.
    fn script(
        &self,
        generation: Generation,
        from: u64,
        rules: &T::Rules,
        tuning: &Tuning,
        now_s: i64,
    ) -> Apply<T::Row> {
        let mut sums = T::Sums::default();
        let (mut to, mut documents) = (from, 0);
        while to < self.kept_through {
            let start = self.kept.partition_point(|record| record.seq <= to);
            let batch = self.kept[start..].iter().take_while(|record| record.seq == to + 1);
            let count = batch.clone().count();
            if to > from && documents + count > tuning.script_documents_max {
                break;
            }
            batch.for_each(|record| record.draft.add_to(&mut sums, rules, now_s));
            (to, documents) = (to + 1, documents + count);
        }
        Apply { generation, stream: self.stream, from, to, deltas: T::rows(&sums) }
    }

    /// The journal's documents of the batches after `after`, complete through `through`, ascending.
    pub fn read(&mut self, after: u64, through: u64, records: Vec<Record<T>>) {
        self.awaiting = false;
        (self.kept, self.kept_after, self.kept_through) = (records, after, through);
    }

    /// The journal did not answer; the next step asks again.
    pub fn failed(&mut self) {
        self.awaiting = false;
    }

    /// Redis answered; how far it holds the stream now. `None` when that is not known.
    pub fn answered(
        &mut self,
        scripts: &[Apply<T::Row>],
        answers: &[ScriptAnswer<T::Subject>],
    ) -> Option<u64> {
        self.awaiting = false;
        for (script, answer) in scripts.iter().zip(answers) {
            match answer {
                ScriptAnswer::Done { .. } => {
                    self.fence = Some(self.fence.unwrap_or(0).max(script.to));
                }
                ScriptAnswer::Missing(fence) => {
                    self.fence = Some(*fence);
                    break;
                }
                ScriptAnswer::OtherGeneration(_) | ScriptAnswer::Refused => {
                    self.fence = None;
                    break;
                }
            }
        }
        self.fence
    }
}
