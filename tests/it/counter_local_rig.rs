//! Opens, asks and restarts a local counter store on a folder of its own.

use crate::counter_model::{counter, id, write};
use crate::counter_suite::{Backend, Setup, find};
use crate::gift_model::TestClock;
use fanfare::calendar::Period;
use fanfare::counter::local::{LocalCounters, LocalOptions};
use fanfare::counter::{Action, Counter, Found, Read, Store, Types, Write, Written};
use fanfare::exec::Threads;
use fanfare::store::{Audit, Check, DataFolder, OpenError, RequestKey, StoreError};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use tempfile::TempDir;

/// 2026-11-01 12:30 UTC, a Sunday.
pub(crate) const START_S: i64 = 1_793_536_200;

/// A folder with an open store, unless it is closed. `like` is a unique type.
pub(crate) struct Rig {
    pub(crate) dir: TempDir,
    pub(crate) clock: Arc<TestClock>,
    pub(crate) options: LocalOptions,
    open: Option<(Arc<LocalCounters>, Threads)>,
}

impl Rig {
    pub(crate) fn closed() -> Self {
        let dir = tempfile::tempdir().expect("a temp folder");
        let clock = TestClock::at(START_S);
        let types = Types { unique: [id("like")].into() };
        let options = LocalOptions {
            clock: Arc::<TestClock>::clone(&clock),
            types: Arc::new(types),
            ..LocalOptions::default()
        };
        Self { dir, clock, options, open: None }
    }

    pub(crate) fn opened() -> Self {
        let mut rig = Self::closed();
        rig.open();
        rig
    }

    pub(crate) fn try_open(&mut self) -> Result<(), OpenError> {
        assert!(self.open.is_none(), "close it first");
        let folder = DataFolder::open(self.dir.path())?;
        self.open = Some(LocalCounters::open(&folder, &self.options)?);
        Ok(())
    }

    pub(crate) fn open(&mut self) {
        self.try_open().expect("the store opens");
    }

    pub(crate) fn close(&mut self) {
        if let Some((counters, threads)) = self.open.take() {
            assert_eq!(Arc::strong_count(&counters), 1, "a handle keeps the threads alive");
            drop(counters);
            threads.join();
        }
    }

    pub(crate) fn reopen(&mut self) {
        self.close();
        self.open();
    }

    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(crate) fn counters(&self) -> &Arc<LocalCounters> {
        &self.open.as_ref().expect("open").0
    }

    /// Queues a write; the outcome comes through the channel.
    pub(crate) fn start(&self, write: Write) -> Receiver<Result<Written, StoreError>> {
        let (sender, receiver) = channel();
        self.counters().write(
            write,
            Box::new(move |outcome| {
                let _ = sender.send(outcome);
            }),
        );
        receiver
    }

    pub(crate) fn write(&self, write: Write) -> Result<Written, StoreError> {
        self.start(write).recv().expect("every write is answered")
    }

    /// Adds, and expects that to take place; returns the count.
    #[track_caller]
    pub(crate) fn add(&self, counter: Counter, delta: i64) -> i64 {
        self.act(counter, Action::Add { delta, user: None })
    }

    #[track_caller]
    pub(crate) fn join(&self, resource: &str, user: &str) -> i64 {
        self.act(counter(resource, "like"), Action::Join { user: id(user) })
    }

    #[track_caller]
    pub(crate) fn act(&self, counter: Counter, action: Action) -> i64 {
        match self.write(write(counter, action)).expect("the store is well") {
            Written::Done { count: Some(count), replayed: false, .. } => count,
            other => panic!("not done: {other:?}"),
        }
    }

    pub(crate) fn count(&self, counter: Counter) -> i64 {
        match find(&**self.counters(), &Read::Count(counter)) {
            Found::Count(count) => count,
            other => panic!("no count: {other:?}"),
        }
    }

    pub(crate) fn hot(&self, counter_type: &str, period: Period) -> Vec<(String, i64)> {
        let read = Read::Hot { counter_type: id(counter_type), period, num: 1_000 };
        match find(&**self.counters(), &read) {
            Found::Hot(places) => {
                places.iter().map(|place| (place.resource.to_string(), place.count)).collect()
            }
            other => panic!("no list: {other:?}"),
        }
    }

    /// The checks of an audit that failed, with what each names.
    pub(crate) fn failed_checks(&self) -> Vec<Check> {
        let mut auditor = self.auditor();
        let checks = auditor.audit().expect("readable");
        assert_eq!(checks.len(), 4, "{checks:?}");
        checks.into_iter().filter(|check| !check.ok).collect()
    }

    pub(crate) fn auditor(&self) -> Box<dyn Audit> {
        self.counters().auditor().expect("the files are there")
    }
}

impl Drop for Rig {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            self.close();
        }
    }
}

pub(crate) fn keyed(write: Write, key: &str) -> Write {
    Write { key: Some(RequestKey::new(key).expect("a good key")), ..write }
}

/// Folds after every few entries, so that a history meets totals in every state.
pub(crate) struct Local(Rig);

impl Local {
    pub(crate) fn new(setup: Setup) -> Self {
        let mut rig = Rig::closed();
        rig.clock = Arc::clone(&setup.clock);
        rig.options.clock = setup.clock;
        rig.options.zone = setup.zone;
        rig.options.fold_every = 3;
        // The histories mix what a unique type forbids.
        rig.options.types = Arc::default();
        rig.open();
        Self(rig)
    }
}

impl Backend for Local {
    fn store(&self) -> Arc<dyn Store> {
        Arc::<LocalCounters>::clone(self.0.counters())
    }

    fn restart(&mut self) {
        self.0.reopen();
    }

    fn finish(&mut self) {
        let failed = self.0.failed_checks();
        assert!(failed.is_empty(), "{failed:#?}");
    }
}
