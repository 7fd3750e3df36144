//! What the threads of the cluster's packet store share with the loops: the rain as it was last
//! seen, the limits in front of it, and how snatches ended.

use super::hands::Stage;
use super::lines::{ChunkLine, Head};
use super::store::ClusterOptions;
use super::view::Left;
use crate::exec::Published;
use crate::packet::gate::Gate;
use crate::packet::outcomes::Outcomes;
use crate::packet::{Curve, Shown, State, curve_points};
use crate::store::Clock;
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

/// Seen by all.
pub(super) struct Shared {
    pub(super) clock: Arc<dyn Clock>,
    pub(super) stage: Published<Stage>,
    pub(super) gate: Gate,
    pub(super) outcomes: Outcomes,
    /// The newest rain was looked for.
    pub(super) is_known: AtomicBool,
    /// Pools that were made anew because what they handed out was somebody's already.
    pub(super) rebuilt: AtomicU64,
    /// How far the newest chunk is handed out.
    progress: Mutex<Progress>,
    /// When the chunks of the newest rain were opened.
    openings: Mutex<Openings>,
    /// Rings when this process wrote packets down, or opened a chunk.
    news: (Mutex<u64>, Condvar),
}

#[derive(Default)]
struct Progress {
    rain: i64,
    line: Option<ChunkLine>,
    handed_count: i64,
    /// See [`Shared::notes`].
    notes: u64,
}

#[derive(Default)]
struct Openings {
    rain: i64,
    /// The newest chunk that is in the curve.
    last: Option<ChunkLine>,
    curve: Curve,
}

impl Shared {
    pub(super) fn new(options: &ClusterOptions) -> Self {
        Self {
            clock: Arc::clone(&options.clock),
            stage: Published::default(),
            gate: Gate::new(&options.gate),
            outcomes: Outcomes::default(),
            is_known: AtomicBool::new(false),
            rebuilt: AtomicU64::new(0),
            progress: Mutex::default(),
            openings: Mutex::default(),
            news: (Mutex::new(0), Condvar::new()),
        }
    }

    pub(super) fn now_s(&self) -> i64 {
        self.clock.now_us().div_euclid(1_000_000)
    }

    /// Shows what a worker has seen, unless others have seen later things.
    pub(super) fn show(&self, stage: &Stage) {
        let shown = self.stage.get();
        let rev = |stage: &Stage| stage.head.as_ref().map(|head| (head.number, head.rev));
        let generation = |stage: &Stage| stage.pool.as_ref().map(|pool| pool.generation);
        let is_newer = rev(stage) > rev(&shown);
        if is_newer || rev(stage) == rev(&shown) && generation(stage) != generation(&shown) {
            self.stage.publish(stage.clone());
        }
    }

    /// Notes where a chunk stands. Within one chunk packets only become fewer, but for what a view
    /// forgot: so who has looked at it since `looked` ([`Shared::notes`]) is believed, unless a packet
    /// was handed out meanwhile.
    pub(super) fn note(&self, rain: i64, line: ChunkLine, left: Left, looked: Option<u64>) {
        let handed_count = line.before.count + line.chunk.count() - left.places;
        let mut progress = lock(&self.progress);
        if progress.rain == rain && progress.line.is_none() {
            return; // It is over: what the record has counts, not what a thread remembers.
        }
        let key = |line: Option<ChunkLine>| line.map(|line| line.number());
        let newest = (progress.rain, key(progress.line));
        let this = (rain, Some(line.number()));
        let anew = looked == Some(progress.notes);
        let notes = progress.notes + u64::from(looked.is_none());
        progress.notes = notes;
        if this > newest || this == newest && (anew || handed_count > progress.handed_count) {
            *progress = Progress { rain, line: Some(line), handed_count, notes };
        }
    }

    /// How often threads that hand packets out have noted where a chunk stands.
    pub(super) fn notes(&self) -> u64 {
        lock(&self.progress).notes
    }

    /// Notes what a rain has handed out that is over.
    pub(super) fn note_end(&self, rain: i64, handed_count: i64) {
        let mut progress = lock(&self.progress);
        *progress = Progress { rain, line: None, handed_count, notes: progress.notes };
    }

    /// Packets of a rain that are handed out, as of about now.
    pub(super) fn handed_count(&self, head: &Head) -> i64 {
        let progress = lock(&self.progress);
        if progress.rain == head.number { progress.handed_count } else { 0 }
    }

    /// The rain as everybody may see it.
    pub(super) fn shown(&self) -> Option<Shown> {
        let stage = self.stage.get();
        let head = stage.head.as_ref()?;
        let now_s = self.now_s();
        let handed_count = self.handed_count(head);
        Some(Shown {
            id: head.id,
            state: head.state(now_s),
            terms: *head.terms(),
            left_count: head.terms().total_count - handed_count,
            commitment: head.commitment,
            version: head.version.version,
            hash: head.hash,
            curve: curve_points(head.terms(), now_s, |at| self.granted_before(head, at)),
        })
    }

    /// Where the rain is, by the clock of this process.
    pub(super) fn state(&self) -> State {
        let stage = self.stage.get();
        stage.head.as_ref().map_or(State::Scheduled, |head| head.state(self.now_s()))
    }

    /// The newest chunk that is in the curve of a rain.
    pub(super) fn last_opening(&self, rain: i64) -> Option<ChunkLine> {
        let openings = lock(&self.openings);
        openings.last.filter(|_| openings.rain == rain)
    }

    /// Adds chunks, oldest first, to the curve of a rain.
    pub(super) fn add_openings(&self, rain: i64, lines: &[ChunkLine]) {
        let mut openings = lock(&self.openings);
        if openings.rain != rain {
            *openings = Openings { rain, ..Openings::default() };
        }
        for line in lines {
            let before = openings.last.map_or(0, |last| last.before.count);
            // What the chunk before handed out, it handed out until this one was opened.
            openings.curve.add_many(line.at_s, line.before.count - before);
            openings.last = Some(*line);
        }
    }

    /// To one chunk exactly: the record tells when chunks were opened.
    fn granted_before(&self, head: &Head, at_s: i64) -> i64 {
        let handed_count = self.handed_count(head);
        let openings = lock(&self.openings);
        match openings.last.filter(|_| openings.rain == head.number) {
            Some(last) if at_s <= last.at_s => openings.curve.before(at_s),
            Some(_) => handed_count,
            None => 0,
        }
    }

    /// Wakes those who wait for a packet to be written down, or for a chunk.
    pub(super) fn ring(&self) {
        *lock(&self.news.0) += 1;
        self.news.1.notify_all();
    }

    /// What [`Shared::wait`] begins from.
    pub(super) fn rings(&self) -> u64 {
        *lock(&self.news.0)
    }

    /// Until somebody of this process rang since `rings`, or for so long: others do not ring here.
    pub(super) fn wait(&self, rings: u64, longest: Duration) {
        let guard = lock(&self.news.0);
        let waited = self.news.1.wait_timeout_while(guard, longest, |now| *now == rings);
        drop(waited.unwrap_or_else(PoisonError::into_inner));
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
