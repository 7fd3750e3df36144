//! The gift rules once more, as naive as possible: a list of entries, searched at every question.

use fanfare::calendar::{Calendar, Keep};
use fanfare::exec::Answer;
use fanfare::gift::{
    Entry, Found, Gift, Period, Place, Read, Span, Standing, Store, TopQuery, Write, Written,
};
use fanfare::store::{Clock, RequestKey, StoreError};
use std::collections::HashMap;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};

/// A clock that a test sets.
#[derive(Debug)]
pub(crate) struct TestClock(AtomicI64);

impl TestClock {
    /// A clock that stands at that second.
    pub(crate) fn at(now_s: i64) -> Arc<Self> {
        Arc::new(Self(AtomicI64::new(now_s * 1_000_000)))
    }

    /// Moves on.
    pub(crate) fn advance_s(&self, seconds: i64) {
        self.0.fetch_add(seconds * 1_000_000, Ordering::SeqCst);
    }

    /// The current second.
    pub(crate) fn now_s(&self) -> i64 {
        self.now_us().div_euclid(1_000_000)
    }
}

impl Clock for TestClock {
    fn now_us(&self) -> i64 {
        self.0.load(Ordering::SeqCst)
    }
}

/// What must become of a write.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// A new entry with these contents; id and time are the store's to choose.
    New { gift: Gift, revokes: Option<i64> },
    /// This and nothing else.
    Settled(Written),
}

/// The journal, the remembered keys, and nothing derived from them.
pub(crate) struct Model {
    pub(crate) entries: Vec<Entry>,
    /// Keys are scoped to the path: true for revokes.
    keys: HashMap<(bool, RequestKey), (Write, Entry)>,
    calendar: Calendar,
    keep: Keep,
}

impl Model {
    pub(crate) fn new(calendar: Calendar, keep: Keep) -> Self {
        Self { entries: Vec::new(), keys: HashMap::new(), calendar, keep }
    }

    pub(crate) fn decide(&self, write: &Write) -> Verdict {
        if let Some((first, entry)) = key_of(write).and_then(|key| self.keys.get(&key)) {
            return Verdict::Settled(if first == write {
                Written::Done { entry: entry.clone(), replayed: true }
            } else {
                Written::KeyConflict
            });
        }
        let id = match write {
            Write::Send { gift, .. } => {
                let totals = self.entries.iter().filter(|entry| entry.anchor_id == gift.anchor_id);
                let total: i64 = totals.map(|entry| entry.worth).sum();
                return match total.checked_add(gift.worth) {
                    Some(_) => Verdict::New { gift: *gift, revokes: None },
                    None => Verdict::Settled(Written::Overflow),
                };
            }
            Write::Revoke { id, .. } => *id,
        };
        if let Some(first) = self.entries.iter().find(|entry| entry.revokes == Some(id)) {
            return Verdict::Settled(Written::Done { entry: first.clone(), replayed: true });
        }
        match self.entries.iter().find(|entry| entry.id == id) {
            None => Verdict::Settled(Written::UnknownGift),
            Some(entry) if entry.revokes.is_some() => Verdict::Settled(Written::NotAGift),
            Some(Entry { audience_id, anchor_id, worth, .. }) => Verdict::New {
                gift: Gift { audience_id: *audience_id, anchor_id: *anchor_id, worth: -worth },
                revokes: Some(id),
            },
        }
    }

    /// Takes over the entry that was made for a write.
    pub(crate) fn accept(&mut self, write: &Write, entry: Entry) {
        if let Some(key) = key_of(write) {
            self.keys.insert(key, (write.clone(), entry.clone()));
        }
        self.entries.push(entry);
    }

    pub(crate) fn read(&self, read: Read, now_us: i64) -> Found {
        let second = now_us.div_euclid(1_000_000);
        match read {
            Read::Top(query) => self.top(query, second),
            Read::Rank { anchor_id, period, around } => {
                let (places, _) = self.board(period, self.calendar.span(period, second));
                Found::Rank(standing(&places, anchor_id, around))
            }
            Read::Worth { anchor_id } => {
                let entries: Vec<_> = self.of(anchor_id).collect();
                let total = entries.iter().map(|entry| entry.worth).sum();
                Found::Worth((!entries.is_empty()).then_some(total))
            }
            Read::Journal { anchor_id, num, before } => {
                let older = |entry: &&Entry| before.is_none_or(|before| entry.id < before);
                let mut entries: Vec<_> = self.of(anchor_id).filter(older).cloned().collect();
                entries.sort_by_key(|entry| -entry.id);
                let more = entries.len() > num;
                entries.truncate(num);
                let next = entries.last().filter(|_| more).map(|entry| entry.id);
                Found::Journal { entries, next }
            }
            Read::Fans { anchor_id, num } => {
                let mut fans = places(self.of(anchor_id), |entry| entry.audience_id);
                fans.truncate(num);
                Found::Fans(fans)
            }
        }
    }

    fn top(&self, query: TopQuery, now_s: i64) -> Found {
        let at = query.at.unwrap_or(now_s);
        if at > now_s {
            return Found::Future;
        }
        let span = self.calendar.span(query.period, at);
        if span.is_some_and(|span| !self.keep.is_kept(query.period, span, now_s)) {
            return Found::NotKept;
        }
        let (places, version) = self.board(query.period, span);
        let places = places.into_iter().skip(query.offset).take(query.num).collect();
        Found::Top { places, span, version }
    }

    /// The whole board, and the time of its last change. An entry that revokes counts where its
    /// gift counted, with its own time.
    fn board(&self, period: Period, span: Option<Span>) -> (Vec<Place>, u64) {
        let gift_time_us = |entry: &Entry| match entry.revokes {
            None => entry.time_us,
            Some(id) => self.entries.iter().find(|gift| gift.id == id).expect("known").time_us,
        };
        let within = |entry: &&Entry| {
            let time_us = gift_time_us(entry);
            self.calendar.span(period, time_us.div_euclid(1_000_000)) == span
        };
        let entries = || self.entries.iter().filter(within);
        let start_us = span.map_or(0, |span| span.from_s * 1_000_000);
        let version = entries().map(|entry| entry.time_us).max().unwrap_or(start_us);
        (places(entries(), |entry| entry.anchor_id), version.max(0).cast_unsigned())
    }

    fn of(&self, anchor_id: i64) -> impl Iterator<Item = &Entry> {
        self.entries.iter().filter(move |entry| entry.anchor_id == anchor_id)
    }
}

fn key_of(write: &Write) -> Option<(bool, RequestKey)> {
    let (Write::Send { key, .. } | Write::Revoke { key, .. }) = write;
    key.clone().map(|key| (matches!(write, Write::Revoke { .. }), key))
}

/// Sums entries by whoever `id` names: total descending, then who reached it first, then id.
fn places<'a>(entries: impl Iterator<Item = &'a Entry>, id: impl Fn(&Entry) -> i64) -> Vec<Place> {
    let mut sums: HashMap<i64, (i64, i64)> = HashMap::new();
    for entry in entries {
        let (total, reached_at_us) = sums.entry(id(entry)).or_insert((0, entry.time_us));
        *total += entry.worth;
        *reached_at_us = (*reached_at_us).max(entry.time_us);
    }
    let listed = sums.into_iter().filter(|(_, (total, _))| *total > 0);
    let mut order: Vec<_> = listed.map(|(id, (total, at))| (-total, at, id)).collect();
    order.sort_unstable();
    let place = |(rank, (total, reached_at_us, id)): (usize, (i64, i64, i64))| Place {
        id,
        total_worth: -total,
        rank: rank + 1,
        reached_at_us,
    };
    order.into_iter().enumerate().map(place).collect()
}

fn standing(places: &[Place], anchor_id: i64, around: usize) -> Option<Standing> {
    let near = |place: &Place, rank: usize| place.rank.abs_diff(rank) <= around;
    let place = *places.iter().find(|place| place.id == anchor_id)?;
    let of_rank = |rank: usize| places.iter().find(|other| other.rank == rank).copied();
    Some(Standing {
        place,
        ahead: of_rank(place.rank - 1),
        behind: of_rank(place.rank + 1),
        around: places.iter().filter(|other| near(other, place.rank)).copied().collect(),
    })
}

/// The model as a store, for tests of what stands in front of one.
pub(crate) struct ModelStore {
    model: Mutex<Model>,
    clock: Arc<TestClock>,
}

impl ModelStore {
    pub(crate) fn new(model: Model, clock: Arc<TestClock>) -> Self {
        Self { model: Mutex::new(model), clock }
    }
}

impl Store for ModelStore {
    fn write(&self, write: Write, then: Answer<Written>) {
        let mut model = self.model.lock().expect("no test panics within");
        let written = match model.decide(&write) {
            Verdict::Settled(written) => written,
            Verdict::New { gift: Gift { audience_id, anchor_id, worth }, revokes } => {
                let (last_id, last_us) =
                    model.entries.last().map_or((0, 0), |last| (last.id, last.time_us));
                let time_us = self.clock.now_us().max(last_us + 1);
                let id = last_id + 1;
                let entry = Entry { id, audience_id, anchor_id, worth, time_us, revokes };
                model.accept(&write, entry.clone());
                Written::Done { entry, replayed: false }
            }
        };
        drop(model);
        then(Ok(written));
    }

    fn read(
        &self,
        read: Read,
        later: &mut dyn FnMut() -> Answer<Found>,
    ) -> Option<Result<Found, StoreError>> {
        let found =
            self.model.lock().expect("no test panics within").read(read, self.clock.now_us());
        if matches!(read, Read::Journal { .. } | Read::Fans { .. }) {
            later()(Ok(found));
            return None;
        }
        Some(Ok(found))
    }

    fn version(&self) -> u64 {
        self.model.lock().expect("no test panics within").entries.len() as u64
    }
}
