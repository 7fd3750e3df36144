//! Opens, asks and restarts a local gift store on a folder of its own.

use fanfare::exec::{Notifier, Threads};
use fanfare::gift::local::{LocalGifts, LocalOptions};
use fanfare::gift::{Entry, Found, Gift, Period, Place, Read, Store, TopQuery, Write, Written};
use fanfare::store::{Clock, DataFolder, OpenError, RequestKey, StoreError};
use std::path::PathBuf;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::mpsc::channel;
use std::sync::{Arc, mpsc};
use tempfile::TempDir;

/// A clock that a test sets.
pub(crate) struct HandClock(AtomicI64);

impl HandClock {
    pub(crate) fn set_us(&self, now_us: i64) {
        self.0.store(now_us, Ordering::SeqCst);
    }
}

impl Clock for HandClock {
    fn now_us(&self) -> i64 {
        self.0.load(Ordering::SeqCst)
    }
}

/// 2026-11-01 12:30 UTC.
pub(crate) const START_US: i64 = 1_793_536_200_000_000;

/// A folder with an open store, unless it is closed.
pub(crate) struct Rig {
    pub(crate) dir: TempDir,
    pub(crate) clock: Arc<HandClock>,
    pub(crate) options: LocalOptions,
    open: Option<(Arc<LocalGifts>, Threads)>,
}

impl Rig {
    pub(crate) fn closed() -> Self {
        let dir = tempfile::tempdir().expect("a temp folder");
        let clock = Arc::new(HandClock(AtomicI64::new(START_US)));
        let mut options = LocalOptions::new(Arc::new(Notifier::default()));
        options.clock = Arc::<HandClock>::clone(&clock);
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
        self.open = Some(LocalGifts::open(&folder, &self.options)?);
        Ok(())
    }

    pub(crate) fn open(&mut self) {
        self.try_open().expect("the store opens");
    }

    pub(crate) fn close(&mut self) {
        if let Some((gifts, threads)) = self.open.take() {
            assert_eq!(Arc::strong_count(&gifts), 1, "a handle keeps the threads alive");
            drop(gifts);
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

    pub(crate) fn gifts(&self) -> &Arc<LocalGifts> {
        &self.open.as_ref().expect("open").0
    }

    /// Queues a write; the outcome comes through the channel.
    pub(crate) fn start(&self, write: Write) -> mpsc::Receiver<Result<Written, StoreError>> {
        let (sender, receiver) = channel();
        self.gifts().write(
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

    pub(crate) fn send(&self, gift: (i64, i64, i64), key: Option<&str>) -> Written {
        self.write(send(gift, key)).expect("the store is well")
    }

    /// Gives, and expects a new entry.
    pub(crate) fn give(&self, audience_id: i64, anchor_id: i64, worth: i64) -> Entry {
        match self.send((audience_id, anchor_id, worth), None) {
            Written::Done { entry, replayed: false } => entry,
            other => panic!("not given: {other:?}"),
        }
    }

    pub(crate) fn revoke(&self, id: i64, reason: &str, key: Option<&str>) -> Written {
        let key = key.map(|key| RequestKey::new(key).expect("a valid key"));
        self.write(Write::Revoke { id, reason: reason.into(), key }).expect("the store is well")
    }

    pub(crate) fn read(&self, read: Read) -> Result<Found, StoreError> {
        let (sender, receiver) = channel();
        let mut later = move || -> fanfare::exec::Answer<Found> {
            let sender = sender.clone();
            Box::new(move |found| {
                let _ = sender.send(found);
            })
        };
        let now = self.gifts().read(read, &mut later);
        now.unwrap_or_else(|| receiver.recv().expect("every read is answered"))
    }

    pub(crate) fn top(&self, period: Period) -> Vec<(i64, i64)> {
        match self.read(Read::Top(TopQuery { period, at: None, offset: 0, num: 1000 })) {
            Ok(Found::Top { places, .. }) => pairs(&places),
            other => panic!("no top: {other:?}"),
        }
    }

    pub(crate) fn worth(&self, anchor_id: i64) -> Option<i64> {
        match self.read(Read::Worth { anchor_id }) {
            Ok(Found::Worth(worth)) => worth,
            other => panic!("no worth: {other:?}"),
        }
    }

    pub(crate) fn journal(&self, anchor_id: i64) -> Vec<Entry> {
        match self.read(Read::Journal { anchor_id, num: 1000, before: None }) {
            Ok(Found::Journal { entries, next: None }) => entries,
            other => panic!("no journal: {other:?}"),
        }
    }

    pub(crate) fn fans(&self, anchor_id: i64, num: usize) -> Vec<(i64, i64)> {
        match self.read(Read::Fans { anchor_id, num }) {
            Ok(Found::Fans(places)) => pairs(&places),
            other => panic!("no fans: {other:?}"),
        }
    }
}

impl Drop for Rig {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            self.close();
        }
    }
}

pub(crate) fn send((audience_id, anchor_id, worth): (i64, i64, i64), key: Option<&str>) -> Write {
    let key = key.map(|key| RequestKey::new(key).expect("a valid key"));
    Write::Send { gift: Gift { audience_id, anchor_id, worth }, key }
}

fn pairs(places: &[Place]) -> Vec<(i64, i64)> {
    places.iter().map(|place| (place.id, place.total_worth)).collect()
}
