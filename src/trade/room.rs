//! Joins the store to those who follow it: what is written becomes pushes, what was missed is read.

use super::activity::Activity;
use super::{Customer, Entry, Found, PUSHES_PER_LINE, Read, Store, Watch, wire};
use crate::limits::FEED_PAGE_FRAMES;
use crate::session::Group;
use crate::tlv::{Everyone, Feed, Feeds, Numbered, Record, TakePage};
use std::sync::{Arc, OnceLock, Weak};

/// Everybody who is logged in.
pub(super) const LOGGED_IN: Group = Group(u64::MAX);

/// The feeds of all customers who are here. One for the process, shared by its loops.
pub struct Room {
    pub(super) feeds: Feeds,
    pub(super) everyone: Everyone,
    archive: Arc<Archive>,
    activity: Arc<Activity>,
}

/// Reads the pushes of the past. Not strong: a store lives as long as its own threads, which tell
/// the room.
#[derive(Default)]
struct Archive(OnceLock<Weak<dyn Store>>);

impl Room {
    /// An empty room; `serve` comes before the first client.
    pub fn new() -> Arc<Self> {
        let archive = Arc::new(Archive::default());
        let record: Arc<dyn Record> = Arc::<Archive>::clone(&archive);
        Arc::new(Self {
            feeds: Feeds::new(record),
            everyone: Everyone::default(),
            archive,
            activity: Arc::default(),
        })
    }

    /// Names the store that the room is of.
    pub fn serve(&self, store: &Arc<dyn Store>) {
        let is_first = self.archive.0.set(Arc::downgrade(store)).is_ok();
        assert!(is_first, "a room is of one store");
    }

    /// The way to the connections of a loop.
    pub fn everyone(&self) -> &Everyone {
        &self.everyone
    }

    /// What is traded in it, for everybody to see.
    pub fn activity(&self) -> &Arc<Activity> {
        &self.activity
    }

    /// Customers who are logged in.
    pub fn customers(&self) -> usize {
        self.feeds.len()
    }
}

/// The numbered pushes of a line.
fn numbered(entry: &Entry) -> impl Iterator<Item = Numbered> {
    (entry.seq..).zip(wire::pushes(entry)).map(|(seq, frame)| Numbered { seq, frame })
}

impl Watch for Room {
    fn written(&self, entries: &[Entry]) {
        self.activity.count(entries);
        for of_one in entries.chunk_by(|a, b| a.order.customer == b.order.customer) {
            let Some(feed) = self.feeds.get(of_one[0].order.customer.feed_key()) else { continue };
            feed.publish(of_one.iter().flat_map(numbered));
        }
    }

    fn reopened(&self) {
        let Some(store) = self.archive.store() else { return };
        for feed in self.feeds.all() {
            if let Some(customer) = Customer::from_feed_key(feed.key()) {
                catch_up(&*store, &feed, customer);
            }
        }
    }
}

fn catch_up(store: &dyn Store, feed: &Feed, customer: Customer) {
    let read = Read::Account { customer };
    let account = store.read(read, &mut || Box::new(|_| ()));
    if let Some(Ok(Found::Account(account))) = account {
        feed.advance_to(account.seq);
    }
}

impl Archive {
    fn store(&self) -> Option<Arc<dyn Store>> {
        self.0.get().and_then(Weak::upgrade)
    }
}

impl Record for Archive {
    fn read(&self, key: u64, after: i64, then: TakePage) {
        let store = self.store();
        let (Some(store), Some(customer)) = (store, Customer::from_feed_key(key)) else {
            return then(None);
        };
        let num = FEED_PAGE_FRAMES / usize::try_from(PUSHES_PER_LINE).unwrap_or(1);
        let mut then = Some(then);
        let read = Read::Pushes { customer, after, num };
        let found = store.read(read, &mut || {
            let then = then.take().expect("a store takes one answer for one question");
            Box::new(move |found| then(found.ok().map(|found| pushes(found, after))))
        });
        if let (Some(found), Some(then)) = (found, then) {
            then(found.ok().map(|found| pushes(found, after)));
        }
    }
}

/// The first line may be one of which the client has the first push already.
fn pushes(found: Found, after: i64) -> Vec<Numbered> {
    let Found::Pushes(entries) = found else { return Vec::new() };
    entries.iter().flat_map(numbered).filter(|numbered| numbered.seq > after).collect()
}
