//! The counter store of a cluster: journal in `MongoDB`, sums and lists in Redis, shared by all loops.

use super::audit::ClusterAuditor;
use super::desk::Desk;
use super::draft::Draft;
use super::lines::Lines;
use super::looks::Looks;
use super::reads::{CounterReads, Question, Seeing};
use super::redis_view::RedisView;
use super::rules::{self, Rules};
use crate::calendar::Calendar;
use crate::cluster::{
    ClusterError, Driver, DriverOptions, Figures, Followed, Ids, JournalSums, Lanes, MongoRecord,
    Shown, Tuning, ViewReader, ViewReaderOptions, open_record,
};
use crate::counter::{COUNTER_SIGNAL, Found, Read, Store, Types, Write, Written};
use crate::exec::{Answer, Notifier, Threads};
use crate::limits::{
    COUNTER_AUDIT_PAGE_DOCUMENTS, COUNTER_CLUSTER_SLOTS, COUNTER_CLUSTER_WRITERS,
    COUNTER_READS_KNOWN_MAX, COUNTER_READS_MAX, COUNTER_WRITES_WAITING_MAX,
};
use crate::store::lane::Watch;
use crate::store::{Audit, Clock, StoreError};
use jiff::tz::TimeZone;
use mongodb::bson::{Document, doc};
use std::sync::{Arc, Mutex, OnceLock, Weak};
use std::time::{Duration, Instant};

/// Where the driver's turns find the store, which is made after the driver.
type Turns = Arc<OnceLock<Weak<Inner>>>;

/// How the store is to be run.
pub struct ClusterOptions {
    /// Whose calendar the windows follow.
    pub zone: TimeZone,
    /// How long windows take part in writes after their end.
    pub expiry_margin_s: i64,
    /// Types whose users an audit holds against their counts.
    pub types: Arc<Types>,
    /// What all keys in Redis have between braces.
    pub tag: String,
    /// The collection of the journal; the one beside it is `<journal>.cluster`.
    pub journal: String,
    /// Sizes and times, the same in all processes.
    pub tuning: Tuning,
    /// After that a request is answered, whatever becomes of it.
    pub deadline: Duration,
    /// How old a figure may be that is shown while Redis is away.
    pub stale_max: Duration,
    /// After that a command to `MongoDB` has failed.
    pub op_patience: Duration,
    /// The time of the record.
    pub clock: Arc<dyn Clock>,
    /// Learns of every change that somebody follows.
    pub notifier: Arc<Notifier>,
}

/// The counter store of a cluster.
pub struct ClusterCounters(Arc<Inner>);

struct Inner {
    desk: Arc<Desk>,
    reader: Arc<ViewReader<CounterReads, Draft>>,
    view: Arc<RedisView>,
    followed: Arc<Followed<Question, Found>>,
    zone: TimeZone,
    types: Arc<Types>,
    expiry_margin_s: i64,
    deadline: Duration,
}

impl ClusterCounters {
    /// Prepares the collections and starts the driver. Waits for `MongoDB`, not for the view.
    pub fn open(lanes: &Lanes, options: ClusterOptions) -> Result<(Self, Threads), ClusterError> {
        let record: MongoRecord<Draft> = MongoRecord::new(&options.journal);
        let (journal, state) = (Arc::clone(record.journal()), Arc::clone(record.state()));
        let takeover = options.tuning.silence_max;
        let opened = open_record::<Draft>(lanes, &journal, settings_of(&options), takeover)?;
        let ids = Arc::new(Ids::new(lanes.clone(), &state, opened.first));
        let view = Arc::new(RedisView::new(&options.tag));
        let turns = Turns::default();
        let driver = driver_options(&options, &ids, &state, &turns);
        let (driver, thread) = Driver::start(lanes, record, Arc::clone(&view) as _, driver)?;
        let driver = Arc::new(driver);
        let reads = Arc::new(CounterReads(Arc::clone(&view)));
        let reader_options = ViewReaderOptions {
            running_max: COUNTER_READS_MAX,
            known_max: COUNTER_READS_KNOWN_MAX,
            stale_max: options.stale_max,
        };
        let redis = lanes.redis.clone();
        let reader = Arc::new(ViewReader::new(reads, redis, Arc::clone(&driver), reader_options));
        let desk = Arc::new(Desk {
            lines: Mutex::new(Lines::new()),
            looks: Looks::new(Arc::clone(&reader)),
            driver,
            lanes: lanes.clone(),
            journal,
            ids,
            calendar: Calendar::new(options.zone.clone()),
            clock: options.clock,
            watch: Watch::start(options.deadline, COUNTER_WRITES_WAITING_MAX)?,
        });
        let notifier = options.notifier;
        let inner = Arc::new(Inner {
            desk,
            reader,
            view,
            followed: Arc::new(Followed::new(move || notifier.announce(COUNTER_SIGNAL))),
            zone: options.zone,
            types: options.types,
            expiry_margin_s: options.expiry_margin_s,
            deadline: options.deadline,
        });
        // It is empty: nobody else has it.
        let _ = turns.set(Arc::downgrade(&inner));
        if opened.settings_changed {
            tracing::warn!("the settings of this cluster are others now: counters are made anew");
            inner.desk.driver.rebuild();
        }
        Ok((Self(inner), Threads::new("counter", vec![thread])))
    }

    /// Compares counters and journal, on a thread of its own.
    pub fn auditor(&self) -> Box<dyn Audit> {
        let inner = &self.0;
        let rules = Rules {
            calendar: Calendar::new(inner.zone.clone()),
            expiry_margin_s: inner.expiry_margin_s,
        };
        let desk = &inner.desk;
        let (link, clock) = (Arc::clone(desk.driver.link()), Arc::clone(&desk.clock));
        let journal = (&*desk.journal, COUNTER_AUDIT_PAGE_DOCUMENTS);
        Box::new(ClusterAuditor {
            view: Arc::clone(&inner.view),
            journal: JournalSums::new(desk.lanes.clone(), (link, clock), journal, rules),
            types: Arc::clone(&inner.types),
        })
    }

    /// Whether reads can be answered unmarked; for `/readyz`.
    pub fn is_fresh(&self) -> bool {
        self.0.desk.driver.link().can_be_fresh()
    }

    /// What the driver shows of itself.
    pub fn figures(&self) -> &Arc<Figures> {
        self.0.desk.driver.figures()
    }

    /// Writes without an answer; for metrics.
    pub fn pending(&self) -> usize {
        self.0.desk.waiting() + self.0.desk.driver.pending()
    }

    /// Makes the view anew from the journal, while it serves.
    pub fn rebuild(&self) {
        self.0.desk.driver.rebuild();
    }
}

impl Store for ClusterCounters {
    fn write(&self, write: Write, then: Answer<Written>) {
        self.0.desk.write(write, then);
    }

    fn read(
        &self,
        read: &Read,
        later: &mut dyn FnMut() -> Answer<Found>,
    ) -> Option<Result<Found, StoreError>> {
        let question = self.0.question(read);
        let reader = &self.0.reader;
        let shown = reader.without_asking(&question);
        if shown.is_none() {
            let answer = later();
            reader.ask(question, move |read| answer(found(read)));
        }
        shown.map(found)
    }

    fn shown(&self, read: &Read) -> Option<Found> {
        self.0.followed.shown(self.0.question(read))
    }
}

impl Inner {
    fn question(&self, read: &Read) -> Question {
        match read {
            Read::Count(counter) => Question::Count(counter.clone()),
            Read::Counts(counters) => Question::Counts(counters.as_slice().into()),
            Read::Hot { counter_type, period, num } => {
                let (calendar, now_s) = (&self.desk.calendar, self.desk.now_s());
                let list = rules::counts(calendar, *period, counter_type, now_s);
                Question::Hot { list, num: *num }
            }
            Read::IsCounted { counter, user } => {
                Question::IsCounted { counter: counter.clone(), user: user.clone() }
            }
        }
    }

    /// What is due by the clock.
    fn turn(&self, now: Instant) {
        self.reader.expire(now, self.deadline);
        self.followed.look(now, |question, followed| {
            self.reader.ask(question.clone(), move |read| {
                if let Ok(
                    Shown::Fresh(Seeing::Found(found)) | Shown::Stale(Seeing::Found(found), _),
                ) = read
                {
                    followed.saw(&question, found);
                }
            });
        });
    }
}

/// As a store answers.
fn found(read: Result<Shown<Seeing>, StoreError>) -> Result<Found, StoreError> {
    match read? {
        Shown::Fresh(Seeing::Found(found)) => Ok(found),
        Shown::Stale(Seeing::Found(found), age) => Ok(Found::Stale { found: Box::new(found), age }),
        Shown::Fresh(Seeing::Fields(_)) | Shown::Stale(Seeing::Fields(_), _) => {
            Err(StoreError::Broken)
        }
    }
}

/// What decides which windows there are, and who counts as gone.
fn settings_of(options: &ClusterOptions) -> Document {
    let zone = options.zone.iana_name().unwrap_or("unnamed");
    let takeover_ms = i64::try_from(options.tuning.silence_max.as_millis()).unwrap_or(i64::MAX);
    doc! { "time_zone": zone, "takeover_ms": takeover_ms }
}

fn driver_options(
    options: &ClusterOptions,
    ids: &Arc<Ids>,
    state: &Arc<str>,
    turns: &Turns,
) -> DriverOptions<Draft> {
    let (zone, expiry_margin_s) = (options.zone.clone(), options.expiry_margin_s);
    let (ids, state, turns) = (Arc::clone(ids), Arc::clone(state), Arc::clone(turns));
    DriverOptions {
        name: "counter-cluster",
        tuning: Tuning { slots: COUNTER_CLUSTER_SLOTS, ..options.tuning },
        writers: COUNTER_CLUSTER_WRITERS,
        deadline: options.deadline,
        op_patience: options.op_patience,
        rules: Box::new(move || Rules { calendar: Calendar::new(zone.clone()), expiry_margin_s }),
        clock: Arc::clone(&options.clock),
        on_turn: Box::new(move |now| {
            if let Some(inner) = turns.get().and_then(Weak::upgrade) {
                inner.turn(now);
            }
        }),
        last_words: Box::new(move |mongo| Ids::note_time(mongo, &state, ids.last_us())),
    }
}
