//! Opens, asks and restarts a local trade store on a folder of its own.

use crate::gift_model::TestClock;
use fanfare::exec::Threads;
use fanfare::store::{Check, DataFolder, RequestKey, StoreError};
use fanfare::trade::local::{LocalOptions, LocalTrades, StepHook};
use fanfare::trade::{
    Account, Customer, Entry, Found, Order, Past, Read, Side, Stock, Store, Watch, Write, Written,
};
use std::path::Path;
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex};

/// Keeps every line that it is told.
#[derive(Default)]
pub(crate) struct Told(pub(crate) Mutex<Vec<Entry>>);

impl Watch for Told {
    fn written(&self, entries: &[Entry]) {
        self.0.lock().expect("no panic within").extend_from_slice(entries);
    }

    fn reopened(&self) {}
}

/// An open store.
pub(crate) struct Rig {
    pub(crate) trades: Arc<LocalTrades>,
    pub(crate) told: Arc<Told>,
    threads: Threads,
}

impl Rig {
    pub(crate) fn open(dir: &Path, clock: &Arc<TestClock>, step: Option<StepHook>) -> Self {
        let folder = DataFolder::open(dir).expect("a temp folder");
        let told = Arc::<Told>::default();
        let options = LocalOptions {
            clock: Arc::clone(clock) as _,
            step,
            ..LocalOptions::new(Arc::clone(&told) as _)
        };
        let (trades, threads) = LocalTrades::open(&folder, &options).expect("the store opens");
        Self { trades, told, threads }
    }

    pub(crate) fn close(self) {
        drop(self.trades);
        self.threads.join();
    }

    /// Queues a write; the outcome comes through the channel.
    pub(crate) fn start(&self, write: Write) -> Receiver<Result<Written, StoreError>> {
        let (sender, receiver) = channel();
        let answer = move |outcome| {
            let _ = sender.send(outcome);
        };
        self.trades.write(write, Box::new(answer));
        receiver
    }

    pub(crate) fn write(&self, write: Write) -> Result<Written, StoreError> {
        self.start(write).recv().expect("every write is answered")
    }

    pub(crate) fn read(&self, read: Read) -> Found {
        let (sender, receiver) = channel();
        let mut later = move || -> fanfare::exec::Answer<Found> {
            let sender = sender.clone();
            Box::new(move |found| {
                let _ = sender.send(found);
            })
        };
        let now = self.trades.read(read, &mut later);
        now.unwrap_or_else(|| receiver.recv().expect("every read is answered")).expect("it is well")
    }

    pub(crate) fn account(&self, customer: Customer) -> Account {
        match self.read(Read::Account { customer }) {
            Found::Account(account) => account,
            other => panic!("no account: {other:?}"),
        }
    }

    pub(crate) fn history(&self, customer: Customer, num: usize) -> Vec<Past> {
        match self.read(Read::History { customer, before: None, num }) {
            Found::History { trades, .. } => trades,
            other => panic!("no history: {other:?}"),
        }
    }

    pub(crate) fn pushes(&self, customer: Customer, after: i64) -> Vec<Entry> {
        match self.read(Read::Pushes { customer, after, num: 100_000 }) {
            Found::Pushes(entries) => entries,
            other => panic!("no pushes: {other:?}"),
        }
    }

    #[track_caller]
    pub(crate) fn check_audit(&self) {
        let checks: Vec<Check> = self
            .trades
            .auditor()
            .map(|mut auditor| auditor.audit())
            .expect("it opens")
            .expect("it reads");
        assert!(checks.iter().all(|check| check.ok), "{checks:?}");
    }
}

pub(crate) fn customer(number: i64) -> Customer {
    Customer::from_number(number).expect("twelve digits")
}

pub(crate) fn stock(place: usize) -> Stock {
    Stock::at(place).expect("listed")
}

pub(crate) fn trade(number: i64, place: usize, signed: i64, key: Option<&str>) -> Write {
    let side = if signed > 0 { Side::Buy } else { Side::Sell };
    let order =
        Order { customer: customer(number), stock: stock(place), side, quantity: signed.abs() };
    Write::Trade { order, key: key.map(|key| RequestKey::new(key).expect("a key")) }
}
