//! What the threads of the local counter store share: the counters, and the duties around them.

use super::Step;
use super::journal::Entry;
use super::state::{Counters, Discarded};
use crate::calendar::Calendar;
use crate::counter::COUNTER_SIGNAL;
use crate::exec::Notifier;
use crate::limits::COUNTER_PUBLISH_CHANGES_MAX;
use crate::store::sqlite::Condition;
use crate::store::{Clock, DataFolder};
use std::sync::atomic::{AtomicI64, AtomicU64};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

pub(super) struct Shared {
    /// Held so that the folder stays ours until the last thread is done.
    pub(super) folder: Arc<DataFolder>,
    pub(super) calendar: Calendar,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) step: Option<super::StepHook>,
    notifier: Arc<Notifier>,
    /// Of the journal's writer.
    pub(super) condition: Arc<Condition>,
    /// The one lock that loops take too: the bookkeeper for a handful of changes at a time, a
    /// loop for one look-up.
    counters: RwLock<Counters>,
    /// The newest entry that is durable.
    pub(super) committed_id: AtomicI64,
    /// The newest entry that the totals contain, durably.
    pub(super) folded_id: AtomicI64,
    /// Entries behind this one stay in the journal, even if the totals contain them: an audit reads
    /// them.
    pub(super) keep_after_id: AtomicI64,
    /// Request keys in memory.
    pub(super) keys_held: AtomicU64,
}

impl Shared {
    pub(super) fn new(folder: &Arc<DataFolder>, options: &super::LocalOptions) -> Self {
        Self {
            folder: Arc::clone(folder),
            calendar: Calendar::new(options.zone.clone()),
            clock: Arc::clone(&options.clock),
            step: options.step.clone(),
            notifier: Arc::clone(&options.notifier),
            condition: Arc::new(Condition::new("counter")),
            counters: RwLock::default(),
            committed_id: AtomicI64::new(0),
            folded_id: AtomicI64::new(0),
            keep_after_id: AtomicI64::new(i64::MAX),
            keys_held: AtomicU64::new(0),
        }
    }

    /// The counters, for one look-up. A panic while they changed leaves them to `replace`, which
    /// the next bookkeeper calls before anything else.
    pub(super) fn counters(&self) -> RwLockReadGuard<'_, Counters> {
        self.counters.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn counters_mut(&self) -> RwLockWriteGuard<'_, Counters> {
        self.counters.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// The record's time: never behind its newest entry, whatever the machine's clock does.
    pub(super) fn now_us(&self, counters: &Counters) -> i64 {
        self.clock.now_us().max(counters.last_time_us)
    }

    /// Shows entries that are durable to every later read.
    pub(super) fn publish(&self, entries: &[Entry]) {
        // A handful at a time: a loop that wants to look something up waits for microseconds.
        for few in entries.chunks(COUNTER_PUBLISH_CHANGES_MAX) {
            let mut discarded = Discarded::default();
            let mut counters = self.counters_mut();
            for entry in few {
                discarded.join(counters.apply(&self.calendar, entry));
            }
            drop(counters);
            drop(discarded);
            self.step(Step::Published);
        }
        self.notifier.announce(COUNTER_SIGNAL);
    }

    /// Puts counters made from the files in the place of what is there.
    pub(super) fn replace(&self, fresh: Counters) {
        let stale = std::mem::replace(&mut *self.counters_mut(), fresh);
        self.counters.clear_poison();
        drop(stale);
    }

    pub(super) fn step(&self, step: Step) {
        if let Some(hook) = &self.step {
            hook(step);
        }
    }
}
