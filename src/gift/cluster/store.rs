//! The gift store of a cluster: journal in `MongoDB`, boards in Redis, shared by all loops.

use super::audit::ClusterAuditor;
use super::boards::{ALL, BoardReads, Boards, Question, found};
use super::lookup::{self, Lookup, Target};
use super::redis_view::RedisView;
use super::{BoardId, Draft, Outcome, Rules};
use crate::calendar::{Calendar, Keep};
use crate::cluster::{
    Begun, ClusterError, Coalescer, Driver, DriverOptions, Figures, Followed, Ids, JournalSums,
    Lanes, MongoRecord, Shown, Tuning, ViewReaderOptions, open_record,
};
use crate::exec::{Answer, Notifier, Threads};
use crate::gift::{
    Entry, Found, GIFT_SIGNAL, Gift, Period, Read, Span, Store, TopQuery, Write, Written,
};
use crate::limits::{
    GIFT_AUDIT_PAGE_DOCUMENTS, GIFT_BOARD_READS_MAX, GIFT_BOARDS_KNOWN_MAX, GIFT_CLUSTER_WRITERS,
    GIFT_LOOKUPS_WAITING_MAX,
};
use crate::store::lane::{Late, Watch};
use crate::store::mongo::Mongo;
use crate::store::{Audit, Clock, RequestKey, StoreError};
use jiff::tz::TimeZone;
use mongodb::bson::{Document, doc};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock, Weak};
use std::time::{Duration, Instant};

/// Where the driver's turns find the store, which is made after the driver.
type Turns = Arc<OnceLock<Weak<Inner>>>;

/// What a revoke needs once its target is known; nothing when it could not be looked up.
type RevokeOf = Option<(Target, String, Option<RequestKey>)>;

/// How the store is to be run.
pub struct ClusterOptions {
    /// Whose calendar the boards follow.
    pub zone: TimeZone,
    /// How long ended periods are kept.
    pub keep: Keep,
    /// How long boards take part in writes after nobody is shown them any more.
    pub expiry_margin_s: i64,
    /// What all keys in Redis have between braces.
    pub tag: String,
    /// The collection of the journal; the one beside it is `<journal>.cluster`.
    pub journal: String,
    /// Sizes and times, the same in all processes.
    pub tuning: Tuning,
    /// After that a request is answered, whatever becomes of it.
    pub deadline: Duration,
    /// How old a board may be that is shown while Redis is away.
    pub stale_max: Duration,
    /// After that a command to `MongoDB` has failed.
    pub op_patience: Duration,
    /// The time of the record.
    pub clock: Arc<dyn Clock>,
    /// Learns of every change.
    pub notifier: Arc<Notifier>,
}

/// The gift store of a cluster.
pub struct ClusterGifts(Arc<Inner>);

struct Inner {
    lanes: Lanes,
    driver: Arc<Driver<Draft>>,
    view: Arc<RedisView>,
    boards: Boards,
    lookups: Arc<Coalescer<Lookup, Result<Found, StoreError>>>,
    followed: Arc<Followed<Question, Found>>,
    ids: Arc<Ids>,
    calendar: Calendar,
    keep: Keep,
    journal: Arc<str>,
    watch: Watch,
    clock: Arc<dyn Clock>,
    deadline: Duration,
    /// No two answers are of one version: nothing may be shown again without asking.
    versions: AtomicU64,
}

impl ClusterGifts {
    /// Prepares the collections and starts the driver. Waits for `MongoDB`, not for the boards.
    pub fn open(lanes: &Lanes, options: ClusterOptions) -> Result<(Self, Threads), ClusterError> {
        let record: MongoRecord<Draft> = MongoRecord::new(&options.journal);
        let (journal, state) = (Arc::clone(record.journal()), Arc::clone(record.state()));
        let (common, takeover) = (settings_of(&options), options.tuning.silence_max);
        let opened = open_record::<Draft>(lanes, &journal, common, takeover)?;
        let ids = Arc::new(Ids::new(lanes.clone(), &state, opened.first));
        let view = Arc::new(RedisView::new(&options.tag, options.tuning.total_max));
        let turns = Turns::default();
        let driver = driver_options(&options, &ids, &state, &turns);
        let (driver, thread) = Driver::start(lanes, record, Arc::clone(&view) as _, driver)?;
        let driver = Arc::new(driver);
        let redis = lanes.redis.clone();
        let reads = Arc::new(BoardReads::new(Arc::clone(&view)));
        let boards = Boards::new(reads, redis, Arc::clone(&driver), reader_options(&options));
        let notifier = options.notifier;
        let inner = Arc::new(Inner {
            lookups: lookups(lanes, &journal),
            lanes: lanes.clone(),
            driver,
            view,
            boards,
            followed: Arc::new(Followed::new(move || notifier.announce(GIFT_SIGNAL))),
            ids,
            calendar: Calendar::new(options.zone),
            keep: options.keep,
            journal,
            watch: Watch::start(options.deadline, GIFT_LOOKUPS_WAITING_MAX)?,
            clock: options.clock,
            deadline: options.deadline,
            versions: AtomicU64::new(0),
        });
        // It is empty: nobody else has it.
        let _ = turns.set(Arc::downgrade(&inner));
        if opened.settings_changed {
            tracing::warn!("the settings of this cluster are others now: the boards are made anew");
            inner.driver.rebuild();
        }
        Ok((Self(inner), Threads::new("gift", vec![thread])))
    }

    /// Compares boards and journal, on a thread of its own.
    pub fn auditor(&self) -> Box<dyn Audit> {
        let inner = &self.0;
        let rules = Rules {
            calendar: inner.calendar.apart(),
            keep: inner.keep,
            expiry_margin_s: Rules::EXPIRY_MARGIN_S,
        };
        let (link, clock) = (Arc::clone(inner.driver.link()), Arc::clone(&inner.clock));
        let journal = (&*inner.journal, GIFT_AUDIT_PAGE_DOCUMENTS);
        Box::new(ClusterAuditor {
            view: Arc::clone(&inner.view),
            journal: JournalSums::new(inner.lanes.clone(), (link, clock), journal, rules),
        })
    }

    /// Whether reads can be answered unmarked; for `/readyz`.
    pub fn is_fresh(&self) -> bool {
        self.0.driver.link().can_be_fresh()
    }

    /// What the driver shows of itself.
    pub fn figures(&self) -> &Arc<Figures> {
        self.0.driver.figures()
    }

    /// Writes without an answer; for metrics.
    pub fn pending(&self) -> usize {
        self.0.driver.pending()
    }

    /// Makes the boards anew from the journal, while they serve.
    pub fn rebuild(&self) {
        self.0.driver.rebuild();
    }
}

impl Store for ClusterGifts {
    fn write(&self, write: Write, then: Answer<Written>) {
        match write {
            Write::Send { gift, key } => self.0.send(gift, key.as_ref(), then),
            Write::Revoke { id, reason, key } => self.0.revoke(id, reason, key, then),
        }
    }

    fn read(
        &self,
        read: Read,
        later: &mut dyn FnMut() -> Answer<Found>,
    ) -> Option<Result<Found, StoreError>> {
        let inner = &self.0;
        let question = match read {
            Read::Top(query) => match inner.top(query) {
                Ok(question) => question,
                Err(found) => return Some(Ok(*found)),
            },
            Read::Rank { anchor_id, period, around } => {
                let Some((board, _)) = inner.board(period, inner.now_s()) else {
                    return Some(Ok(Found::Rank(None)));
                };
                Question::Rank { board, anchor_id, around }
            }
            Read::Worth { anchor_id } => Question::Worth { anchor_id },
            Read::Journal { anchor_id, num, before } => {
                inner.look_up(Lookup::Journal { anchor_id, num, before }, later());
                return None;
            }
            Read::Fans { anchor_id, num } => {
                inner.look_up(Lookup::Fans { anchor_id, num }, later());
                return None;
            }
        };
        let shown = inner.boards.without_asking(&question);
        if shown.is_none() {
            let answer = later();
            inner.boards.ask(question, move |read| answer(found(read)));
        }
        shown.map(found)
    }

    fn version(&self) -> u64 {
        self.0.versions.fetch_add(1, Ordering::Relaxed)
    }

    fn shown(&self, query: TopQuery) -> Option<Found> {
        let question = self.0.top(query).ok()?;
        self.0.followed.shown(question)
    }
}

impl Inner {
    fn send(&self, gift: Gift, key: Option<&RequestKey>, then: Answer<Written>) {
        let Some((id, time_us)) = self.ids.next(self.clock.now_us()) else {
            return then(Err(StoreError::Unavailable));
        };
        let Gift { audience_id, anchor_id, worth } = gift;
        let entry = Entry { id, audience_id, anchor_id, worth, time_us, revokes: None };
        self.ask(Draft::gift(entry, key), then);
    }

    /// First looks what the gift was; the journal decides whether this is its one revoke.
    fn revoke(
        self: &Arc<Self>,
        id: i64,
        reason: String,
        key: Option<RequestKey>,
        then: Answer<Written>,
    ) {
        let (inner, journal) = (Arc::clone(self), Arc::clone(&self.journal));
        let awaited = self.watch.expect(move |target: Result<RevokeOf, Late>| match target {
            Ok(Some((target, reason, key))) => {
                inner.revoke_target(target, reason, key.as_ref(), then);
            }
            Ok(None) | Err(Late) => then(Err(StoreError::Unavailable)),
        });
        let task = Box::new(move |mongo: &Mongo| {
            let target = lookup::target(mongo, &journal, id, key.as_ref());
            awaited.send(target.ok().map(|target| (target, reason, key)));
        });
        // Where it does not get in, the watch answers in its time.
        if self.lanes.mongo.submit(task).is_err() {
            tracing::debug!("a revoke did not reach MongoDB");
        }
    }

    fn revoke_target(
        &self,
        target: Target,
        reason: String,
        key: Option<&RequestKey>,
        then: Answer<Written>,
    ) {
        let Target { id, entry, under_key } = target;
        if let Some((revokes, why)) = under_key
            && (revokes, why.as_deref()) != (Some(id), Some(&reason))
        {
            return then(Ok(Written::KeyConflict));
        }
        let gift = match entry {
            None => return then(Ok(Written::UnknownGift)),
            Some(entry) if entry.revokes.is_some() => return then(Ok(Written::NotAGift)),
            Some(entry) => entry,
        };
        let Some((own, time_us)) = self.ids.next(self.clock.now_us()) else {
            return then(Err(StoreError::Unavailable));
        };
        let entry = Entry { id: own, worth: -gift.worth, time_us, revokes: Some(gift.id), ..gift };
        self.ask(Draft::revoke(entry, gift.time_us, reason).under(key), then);
    }

    fn ask(&self, draft: Draft, then: Answer<Written>) {
        self.driver.ask(draft, Box::new(move |outcome| then(written(outcome))));
    }

    fn look_up(&self, lookup: Lookup, then: Answer<Found>) {
        let unavailable = || Err(StoreError::Unavailable);
        self.lookups.ask(lookup, move |found| then(found.unwrap_or_else(unavailable)));
    }

    /// Never behind the newest entry that this process made, whatever the machine's clock does.
    fn now_s(&self) -> i64 {
        self.clock.now_us().max(self.ids.last_us()).div_euclid(1_000_000)
    }

    /// The question for a part of a board, or what is known without asking.
    fn top(&self, query: TopQuery) -> Result<Question, Box<Found>> {
        let TopQuery { period, at, offset, num } = query;
        let now_s = self.now_s();
        let at_s = at.unwrap_or(now_s);
        if at_s > now_s {
            return Err(Box::new(Found::Future));
        }
        let Some((board, span)) = self.board(period, at_s) else {
            return Err(Box::new(Found::NotKept));
        };
        if span.is_some_and(|span| !self.keep.is_kept(period, span, now_s)) {
            return Err(Box::new(Found::NotKept));
        }
        let until_s = span.map_or(0, |span| span.until_s);
        Ok(Question::Top { board, until_s, offset, num })
    }

    /// The board of a period around a second, with its span; `None` beyond the calendar.
    fn board(&self, period: Period, at_s: i64) -> Option<(BoardId, Option<Span>)> {
        if period == Period::All {
            return Some((ALL, None));
        }
        let span = self.calendar.span(period, at_s)?;
        Some((BoardId { period, from_s: span.from_s }, Some(span)))
    }

    /// What is due by the clock.
    fn turn(&self, now: Instant) {
        self.boards.expire(now, self.deadline);
        self.lookups.expire(now, self.deadline);
        self.followed.look(now, |question, followed| {
            self.boards.ask(question, move |read| {
                if let Ok(Shown::Fresh(found) | Shown::Stale(found, _)) = read {
                    followed.saw(&question, found);
                }
            });
        });
    }
}

/// What decides which boards there are, and who counts as gone.
fn settings_of(options: &ClusterOptions) -> Document {
    let zone = options.zone.iana_name().unwrap_or("unnamed");
    let takeover_ms = i64::try_from(options.tuning.silence_max.as_millis()).unwrap_or(i64::MAX);
    let Keep { hour_s, day_s, week_s } = options.keep;
    doc! {
        "time_zone": zone, "takeover_ms": takeover_ms, "keep_hour_s": hour_s,
        "keep_day_s": day_s, "keep_week_s": week_s,
    }
}

fn reader_options(options: &ClusterOptions) -> ViewReaderOptions {
    ViewReaderOptions {
        running_max: GIFT_BOARD_READS_MAX,
        known_max: GIFT_BOARDS_KNOWN_MAX,
        stale_max: options.stale_max,
    }
}

fn driver_options(
    options: &ClusterOptions,
    ids: &Arc<Ids>,
    state: &Arc<str>,
    turns: &Turns,
) -> DriverOptions<Draft> {
    let (zone, keep, expiry_margin_s) =
        (options.zone.clone(), options.keep, options.expiry_margin_s);
    let (ids, state, turns) = (Arc::clone(ids), Arc::clone(state), Arc::clone(turns));
    DriverOptions {
        name: "gift-cluster",
        tuning: options.tuning,
        writers: GIFT_CLUSTER_WRITERS,
        deadline: options.deadline,
        op_patience: options.op_patience,
        rules: Box::new(move || Rules {
            calendar: Calendar::new(zone.clone()),
            keep,
            expiry_margin_s,
        }),
        clock: Arc::clone(&options.clock),
        on_turn: Box::new(move |now| {
            if let Some(inner) = turns.get().and_then(Weak::upgrade) {
                inner.turn(now);
            }
        }),
        last_words: Box::new(move |mongo| Ids::note_time(mongo, &state, ids.last_us())),
    }
}

/// Questions for the journal: half of the lane's threads at most, so that writes and heartbeats
/// always find one.
fn lookups(lanes: &Lanes, journal: &Arc<str>) -> Arc<Coalescer<Lookup, Result<Found, StoreError>>> {
    let running_max = (lanes.mongo.threads() / 2).max(1);
    let (lanes, journal) = (lanes.clone(), Arc::clone(journal));
    Coalescer::new(running_max, move |begun| {
        let journal = Arc::clone(&journal);
        lanes.run(begun, move |mongo, begun: Begun<_, _>| {
            let found = lookup::look_up(mongo, &journal, *begun.key());
            begun.finish(&found.map_err(|error| {
                if error.is_away() { StoreError::Unavailable } else { StoreError::Broken }
            }));
        })
    })
}

fn written(outcome: Outcome) -> Result<Written, StoreError> {
    match outcome {
        Outcome::Written { draft, replayed, degraded } => {
            let done = Written::Done { entry: draft.entry, replayed };
            Ok(if degraded { Written::Degraded(Box::new(done)) } else { done })
        }
        Outcome::Conflict => Ok(Written::KeyConflict),
        Outcome::Overflow => Ok(Written::Overflow),
        Outcome::Unavailable => Err(StoreError::Unavailable),
    }
}
