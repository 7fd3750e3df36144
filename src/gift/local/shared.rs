//! What the threads of the local gift store share: the boards, and the duties around them.

use super::Step;
use super::journal::Change;
use super::state::{Boards, Rules};
use crate::exec::Notifier;
use crate::gift::GIFT_SIGNAL;
use crate::limits::GIFT_PUBLISH_CHANGES_MAX;
use crate::store::sqlite::Condition;
use crate::store::{Clock, DataFolder};
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

pub(super) struct Shared {
    /// Held so that the folder stays ours until the last thread is done.
    pub(super) folder: Arc<DataFolder>,
    pub(super) rules: Rules,
    /// What a checkpoint must agree with to be of use.
    pub(super) zone: String,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) notifier: Arc<Notifier>,
    pub(super) step: Option<super::StepHook>,
    /// Of the journal's writer.
    pub(super) condition: Arc<Condition>,
    /// The one lock that loops take too: the bookkeeper for a handful of changes at a time, a
    /// loop for one look-up.
    boards: RwLock<Boards>,
    version: AtomicU64,
    /// The newest entry that is durable.
    pub(super) committed_id: AtomicI64,
    /// The newest entry that the checkpoint contains.
    pub(super) folded_id: AtomicI64,
    /// Request keys in memory.
    pub(super) keys_held: AtomicU64,
    /// Set when the checkpoint file failed while we ran: it is made anew at the next start.
    pub(super) checkpoint_lost: AtomicBool,
}

impl Shared {
    pub(super) fn new(
        folder: &Arc<DataFolder>,
        rules: Rules,
        zone: String,
        options: &super::LocalOptions,
    ) -> Self {
        Self {
            folder: Arc::clone(folder),
            rules,
            zone,
            clock: Arc::clone(&options.clock),
            notifier: Arc::clone(&options.notifier),
            step: options.step.clone(),
            condition: Arc::new(Condition::new("gift")),
            boards: RwLock::default(),
            version: AtomicU64::new(0),
            committed_id: AtomicI64::new(0),
            folded_id: AtomicI64::new(0),
            keys_held: AtomicU64::new(0),
            checkpoint_lost: AtomicBool::new(false),
        }
    }

    /// The boards, for one look-up. A panic while they changed leaves them to `replace`, which
    /// the next bookkeeper calls before anything else.
    pub(super) fn boards(&self) -> RwLockReadGuard<'_, Boards> {
        self.boards.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn boards_mut(&self) -> RwLockWriteGuard<'_, Boards> {
        self.boards.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// The record's time: never behind its newest entry, whatever the machine's clock does.
    pub(super) fn now_us(&self, boards: &Boards) -> i64 {
        self.clock.now_us().max(boards.last_time_us)
    }

    /// Differs from every earlier value once a change was published.
    pub(super) fn version(&self) -> u64 {
        self.version.load(Ordering::Acquire)
    }

    /// Shows changes that are durable to every later read.
    pub(super) fn publish(&self, changes: &[Change]) {
        // A handful at a time: a loop that wants to look something up waits for microseconds.
        for few in changes.chunks(GIFT_PUBLISH_CHANGES_MAX) {
            let mut boards = self.boards_mut();
            for change in few {
                boards.add(&self.rules, change);
            }
            drop(boards);
            self.step(Step::Published);
        }
        self.announce();
    }

    /// Puts boards made from the files in the place of what is there.
    pub(super) fn replace(&self, fresh: Boards) {
        let stale = std::mem::replace(&mut *self.boards_mut(), fresh);
        self.boards.clear_poison();
        drop(stale);
        self.announce();
    }

    /// Drops the boards of spans that are no longer kept.
    pub(super) fn forget(&self, now_us: i64) {
        let expired = self.boards_mut().take_expired(&self.rules, now_us);
        // Only here, without the lock: freeing a large board takes time.
        drop(expired);
    }

    fn announce(&self) {
        // Release: who sees the new version sees the boards behind it.
        self.version.fetch_add(1, Ordering::Release);
        self.notifier.announce(GIFT_SIGNAL);
    }

    pub(super) fn step(&self, step: Step) {
        if let Some(hook) = &self.step {
            hook(step);
        }
    }
}
