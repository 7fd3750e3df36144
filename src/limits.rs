//! Every bound in the server, with its unit in its name and its reason beside it. The config
//! overrides those that it names; the values here are its defaults.

use std::time::Duration;

const KIB: usize = 1024;

/// Request line (api.md: 414 beyond). Browsers stay below 2 KiB.
pub const REQUEST_LINE_BYTES_MAX: usize = 8 * KIB;

/// All header fields together (api.md: 431 beyond); leaves room for cookies.
pub const HEADER_BYTES_MAX: usize = 16 * KIB;

/// Header fields (api.md: 431 beyond).
pub const HEADER_COUNT_MAX: usize = 100;

/// Places for parsed header fields on the stack; the configured count must fit (it is capped here).
pub const HEADER_SLOTS_MAX: usize = 256;

/// Request body (api.md: 413 beyond). A counter batch of 1,000 entries is about 150 KiB.
pub const BODY_BYTES_MAX: usize = KIB * KIB;

/// Request bodies that are on their way on one loop, all connections together. Beyond it an upload
/// gets 503: else ten thousand slow ones would take ten gigabytes.
pub const BODIES_BYTES_MAX: usize = 64 * BODY_BYTES_MAX;

/// Extension bytes of one chunked body in all. Nobody sends any; more is only there to cost us.
pub const CHUNK_EXTENSION_BYTES_MAX: usize = 4 * KIB;

/// Trailer bytes of one chunked body in all; we read past them and use none.
pub const TRAILER_BYTES_MAX: usize = 8 * KIB;

/// Placeholders of one route.
pub const ROUTE_PARAMS_MAX: usize = 4;

/// What one read takes from a socket at most: the loop's scratch buffer.
pub const READ_BYTES_MAX: usize = 64 * KIB;

/// Bytes read from one socket per turn, so that a loud connection cannot starve the others.
pub const READ_BYTES_PER_TURN_MAX: usize = 4 * READ_BYTES_MAX;

/// Unsent bytes of one connection beyond which its next requests wait: the high-water mark.
pub const SEND_BYTES_HIGH: usize = 256 * KIB;

/// Bodies below it are never compressed: they fit one packet either way.
pub const GZIP_BYTES_MIN: usize = 512;

/// Addresses that have a rate of their own, at 8 bytes each. Those that share a place share its
/// rate: while 10,000 are at their limit, that meets four of a hundred others.
pub const RATE_SLOTS: usize = 1 << 18;

/// Unanswered requests per connection. When reached, we stop reading that socket.
pub const PIPELINE_DEPTH_MAX: usize = 64;

/// Slices of one gathering write; Linux takes up to 1,024, more than 64 save nothing.
pub const WRITE_SLICES_MAX: usize = 64;

/// Sockets accepted per listener and turn, so that a connect storm cannot starve open connections.
pub const ACCEPTS_PER_TURN_MAX: usize = 64;

/// Connections the kernel keeps for us before we accept them (it caps it at `somaxconn`).
pub const LISTEN_BACKLOG: i32 = 4096;

/// Jobs that may wait for a worker. Beyond it we answer 503 rather than queue for seconds.
pub const QUEUE_JOBS_MAX: usize = 16 * KIB;

/// Jobs one worker takes at once: bounds the reply delay of the first job in a batch.
pub const BATCH_JOBS_MAX: usize = KIB;

/// Data of one TLV frame, either way; old clients refuse more.
pub const TLV_DATA_BYTES_MAX: usize = 4 * KIB;

/// The smallest `tlv.max_data`: a rollback with the longest reason fits it.
pub const TLV_DATA_BYTES_LEAST: usize = 512;

/// Unsent bytes of a TLV connection beyond which a push closes it: minutes of pushes, and little
/// enough that a thousand stuck readers fit in memory.
pub const TLV_QUEUE_BYTES_MAX: usize = 4 * SEND_BYTES_HIGH;

/// The newest frames of a feed that memory holds for those who follow it: what a few trades make.
/// Who is further behind reads the record.
pub const FEED_FRAMES_MAX: usize = 64;

/// Unsent bytes of a connection that catches up with its feed beyond which it reads on only when
/// its client has: little, since a thousand may catch up at once after a restart.
pub const FEED_RESUME_BYTES: usize = 16 * KIB;

/// Frames of one look into the record for a connection that catches up.
pub const FEED_PAGE_FRAMES: usize = 128;

/// How long a TLV client may be silent before its welcome goes out in the newer layout.
pub const TLV_WELCOME_DELAY: Duration = Duration::from_millis(250);

/// Gathering writes to one socket per turn: a fast reader cannot starve the others either.
pub const WRITES_PER_TURN_MAX: usize = 16;

/// Events taken from the kernel at once.
pub const EVENTS_PER_TURN_MAX: usize = 1024;

/// Topics asked for their event in one turn: each may read and encode a thousand places, and who
/// follows four thousand different boards must not hold up those who follow none.
pub const LOOKS_PER_TURN_MAX: usize = 8;

/// Subscribers that hear of a topic in one turn; the rest follows in the next ones.
pub const PUSHES_PER_TURN_MAX: usize = 256;

/// What one group of connections is to be told on one loop and has not all heard yet. News of a feed
/// waits at most twice; this is for who comes and goes (`trade.presence`).
pub const GROUP_TELLINGS_MAX: usize = KIB;

/// Deadlines handled in one turn, should thousands of connections time out together.
pub const EXPIRIES_PER_TURN_MAX: usize = 512;

/// Send queues that a loop keeps for its next turns; each may hold a buffer of 64 KiB.
pub const SPARE_QUEUES_MAX: usize = 32;

/// No byte taken by the peer for so long ends a connection.
pub const WRITE_TIMEOUT: Duration = Duration::from_secs(30);

/// How long, and for how many bytes, we listen to a peer that sends on after our last answer.
pub const LINGER_TIME_MAX: Duration = Duration::from_secs(2);
/// See [`LINGER_TIME_MAX`].
pub const LINGER_BYTES_MAX: usize = 256 * KIB;

/// Refused connections held until their peers have read the refusal; each costs a descriptor.
pub const REFUSALS_HELD_MAX: usize = 256;

/// Between two events of one topic: at most 10 a second (api.md).
pub const TOPIC_INTERVAL: Duration = Duration::from_millis(100);

/// How often a topic is looked at although nothing was announced: a board that the clock resets.
pub const TOPIC_LOOK_INTERVAL: Duration = Duration::from_secs(1);
/// Jobs one reader of a store takes at once: few, so that the other readers get their share.
pub const READ_BATCH_JOBS_MAX: usize = 8;

/// Changes shown on the gift boards per hold of their lock: each touches four boards, about 1 µs
/// apiece, and a loop that wants to look something up waits that long.
pub const GIFT_PUBLISH_CHANGES_MAX: usize = 8;

/// Journal entries that a checkpoint may lag behind. More make the fans of an anchor slower, which
/// are summed over its part of them (1 µs a row); fewer make checkpoints cost more, since each
/// writes every board's changed anchors again: at 50,000 they halve the rate of writes to 10,000
/// anchors.
pub const GIFT_CHECKPOINT_ENTRIES: i64 = 100_000;

/// Journal entries folded into the checkpoint per transaction; bounds the memory for their sums.
pub const GIFT_FOLD_ENTRIES_MAX: i64 = 100_000;

/// Memory for the pages of the checkpoint that a fold touches. With SQLite's own 2 MB a fold of
/// 100,000 entries of 10,000 anchors wrote and read most of them several times.
pub const GIFT_FOLD_CACHE_KIB: i64 = 16 * 1024;

/// Pages of 4 KiB in the write-ahead log of a record before its writer moves them into the file.
pub const RECORD_LOG_PAGES_MAX: i32 = 4096;

/// Counters that there may be, whatever their types: about 110 bytes each for the count, and as much
/// again for each window in which they are counted.
pub const COUNTERS_MAX: usize = 10_000_000;

/// Types of counters that the configuration may name; each is a label of figures.
pub const COUNTER_TYPES_MAX: usize = 100;

/// Bytes of the name of a resource, a type or a user of counters (api.md).
pub const ID_BYTES_MAX: usize = 128;

/// Users counted by all counters together; up to 39 bytes each, so 4 GB.
pub const COUNTER_USERS_MAX: usize = 100_000_000;

/// Changes shown on the counters per hold of their lock: each touches four lists, about 1 µs
/// apiece, and a loop that wants to look something up waits that long.
pub const COUNTER_PUBLISH_CHANGES_MAX: usize = 8;

/// Journal entries that the totals may lag behind. More make the journal longer, which a start
/// replays; fewer make folds cost more, since each writes every changed counter's page again.
pub const COUNTER_FOLD_EVERY_ENTRIES: i64 = 100_000;

/// Journal entries folded into the totals per transaction; bounds the memory for their sums.
pub const COUNTER_FOLD_ENTRIES_MAX: i64 = 100_000;

/// Memory for the pages of the totals that a fold touches.
pub const COUNTER_FOLD_CACHE_KIB: i64 = 16 * 1024;

/// Journal entries taken out with one commit, once the totals contain them: more than one batch
/// brings in, so that the journal shrinks, and 2 ms at most.
pub const COUNTER_TAKE_OUT_ENTRIES: usize = 4_096;

/// Counters that an audit copies per hold of their lock, about 20 µs, and how long it then leaves
/// the core to others.
pub const COUNTER_AUDIT_HOLD_COUNTERS: usize = 64;
/// See [`COUNTER_AUDIT_HOLD_COUNTERS`].
pub const COUNTER_AUDIT_PAUSE: Duration = Duration::from_micros(200);

/// Operator calls that may wait for the thread that does them: a few people and scrapers.
pub const OPERATOR_CALLS_MAX: usize = 64;

/// Slow requests that are remembered for the operator, about 100 bytes each.
pub const SLOW_REQUESTS_MAX: usize = 256;

/// Seconds of one CPU profile that an operator may ask for.
pub const PROFILE_SECONDS_MAX: i64 = 3_600;

/// Addresses whose names are looked up in one call; each may read the program's debug data.
pub const SYMBOLS_MAX: usize = 1_000;

/// Pages of 4 KiB that a backup copies between two looks at how far it is.
pub const COPY_PAGES: i32 = 1024;

/// Bytes of one document that is imported: twice what `MongoDB` stores, as JSON takes more.
pub const IMPORT_DOCUMENT_BYTES_MAX: usize = 32 << 20;

/// Audits that may wait: all of them get one answer.
pub const AUDIT_JOBS_MAX: usize = 64;

/// Purchases that the simulator of trades has not sold again.
pub const SIM_BOUGHT_MAX: usize = 1_000;

/// Between two acts of the simulator of trades; at high rates each is many trades.
pub const SIM_TICK: Duration = Duration::from_millis(10);

/// Positions copied per hold of the lock on the book of trades, about 20 µs; and customers.
pub const TRADE_AUDIT_HOLD_POSITIONS: usize = 500;

/// What an audit's thread adds to its niceness: others get the core before it.
pub const AUDIT_NICENESS: i32 = 10;

/// Between two slices of an audit beside a server, which take about as long: half a core at most,
/// and that only for the first one.
pub const GIFT_AUDIT_PAUSE: Duration = Duration::from_millis(2);

/// Journal entries that an audit reads at once; longer snapshots would keep the log from moving.
pub const GIFT_AUDIT_SLICE_ENTRIES: i64 = 1024;

/// Journal entries that an audit reads again, to see whether one changed: about 0.2 s.
pub const GIFT_AUDIT_REREAD_ENTRIES: i64 = 200_000;

/// Places copied per hold of the boards' lock: neighbours in memory, about 10 µs.
pub const GIFT_AUDIT_HOLD_PLACES: usize = 1000;

/// Anchors looked up one by one per hold of the boards' lock; each costs up to 1 µs.
pub const GIFT_AUDIT_HOLD_LOOK_UPS: usize = 64;

/// Anchors with new gifts whose fans an audit compares.
pub const GIFT_AUDIT_FANS_TOUCHED: usize = 64;

/// Further anchors whose fans an audit compares, in turn.
pub const GIFT_AUDIT_FANS_IN_TURN: usize = 16;

/// Journal entries read for the fans of an audit, before it leaves the rest to the next.
pub const GIFT_AUDIT_FAN_ENTRIES_MAX: i64 = 100_000;

/// Draw numbers that loops may hand out between two commits; a crash skips what was not used. Fewer
/// would have unlucky draws, which write nothing else, wait for a commit more often: at 100,000 a
/// second this is one in a third of a second.
pub const RAIN_DRAWS_RESERVED: i64 = 65_536;

/// Encoded proofs that are kept, beside the last one that was asked for: a rain of a million packets has
/// about 16 MB. Without it, whoever asks for two in turn would have both computed each time.
pub const RAIN_PROOFS_BYTES_MAX: usize = 64 << 20;

/// Parts of the maps of users that loops read, each with a lock of its own. With a million users a part
/// grows or is swept in some 50 µs, and only who looks for a user of that part waits.
pub const RAIN_USER_SHARDS: usize = 256;

/// How often a rain is looked at although nobody snatches: hit rates change at most once a second.
pub const RAIN_TICK: Duration = Duration::from_secs(1);

/// Draw numbers that a thread of a cluster takes at once. Their terms may change at any time, which
/// skips the rest; fewer would have it ask `MongoDB` more often.
pub const RAIN_CLUSTER_DRAWS: i64 = 4_096;

/// Threads that snatch in a process of a cluster: while one waits for `MongoDB`, others have Redis
/// decide.
pub const RAIN_CLUSTER_THREADS: usize = 4;

/// Snatches that Redis decides at once: it stands still for about a millisecond.
pub const RAIN_CLUSTER_BATCH: usize = 256;

/// Snatches and look-ups of rains that wait in a process of a cluster.
pub const RAIN_CLUSTER_WAITING_MAX: usize = 2 * QUEUE_JOBS_MAX;

/// How long a snatch that another process holds up waits before it looks again.
pub const RAIN_CLUSTER_WAIT: Duration = Duration::from_millis(5);

/// Looks in vain after which a thread does what another process seems to have left undone.
pub const RAIN_CLUSTER_HELP_AFTER_WAITS: u32 = 40;

/// How often a process of a cluster looks at the record for what others changed.
pub const RAIN_CLUSTER_TICK: Duration = Duration::from_millis(250);

/// Chunks that are read at once for the curve.
pub const RAIN_CLUSTER_PAGE_CHUNKS: i64 = 256;

/// Jobs that may wait for the threads that talk to `MongoDB`: each is a batch or a look-up, so these
/// are seconds of work.
pub const LANE_JOBS_MAX: usize = 256;

/// Rounds of gifts that a process has under way at once in a cluster: while one goes into the
/// journal, others go into the view.
pub const GIFT_CLUSTER_WRITERS: usize = 4;

/// Different questions about boards under way at once, each one command in some pipeline.
pub const GIFT_BOARD_READS_MAX: usize = 1024;

/// Boards, places and totals remembered for the time when Redis is away; a board of a thousand
/// places takes 32 kB.
pub const GIFT_BOARDS_KNOWN_MAX: usize = 1024;

/// Rows of a board that an audit of a cluster reads at once: Redis stands still for about 0.5 ms.
pub const GIFT_AUDIT_SLICE_ROWS: usize = 500;

/// Journal documents that an audit of a cluster reads at once; more than any batch has.
pub const GIFT_AUDIT_PAGE_DOCUMENTS: usize = 10_000;

/// Revokes that may wait for their gift to be found.
pub const GIFT_LOOKUPS_WAITING_MAX: usize = 1024;

/// Rounds of changes of counters that a process has under way at once in a cluster.
pub const COUNTER_CLUSTER_WRITERS: usize = 4;

/// Streams that a writer of counters splits its documents into, by counter: after an outage each is
/// read and applied beside the other. More would make smaller batches, and so more scripts.
pub const COUNTER_CLUSTER_SLOTS: u16 = 2;

/// Writes of counters that may be without an answer at once.
pub const COUNTER_WRITES_WAITING_MAX: usize = 64 * 1024;

/// Plain increments of a counter that one document takes up; as many can be told apart again in a
/// moment.
pub const COUNTER_GROUP_ADDS_MAX: usize = 4_096;

/// Other writes of a counter that go together, a document each: about a round.
pub const COUNTER_GROUP_OTHERS_MAX: usize = 256;

/// What one document of a cluster's journal adds to a counter at most, unless it is the only one of
/// all processes that may add much. A million of them cannot pass the end of 64 bits by more than the
/// view has room for.
pub const COUNTER_DOCUMENT_MAX: i64 = 1_000_000_000_000;

/// A sum from which on every increment waits for those of other processes: a quarter of 64 bits.
pub const COUNTER_EDGE: u128 = 1 << 62;

/// How often a write of a counter looks again because somebody else was faster.
pub const COUNTER_TRIES_MAX: u32 = 64;

/// Counters that one command looks at for those who write them: Redis stands still for about 0.3 ms.
pub const COUNTER_LOOKS_MAX: usize = 128;

/// Such commands under way at once; whoever comes meanwhile goes into the next one.
pub const COUNTER_LOOKS_UNDER_WAY_MAX: usize = 2;

/// Different questions about counters under way at once, each one command in some pipeline.
pub const COUNTER_READS_MAX: usize = 1024;

/// Answers about counters remembered for the time when Redis is away.
pub const COUNTER_READS_KNOWN_MAX: usize = 8 * 1024;

/// Counters of a batch, and places of a list, that is remembered: all together at most 50 MB.
pub const COUNTER_LIST_KNOWN_MAX: usize = 100;

/// Fields that an audit of a cluster's counters reads at once: Redis stands still for about 0.5 ms.
pub const COUNTER_AUDIT_SLICE_ROWS: usize = 500;

/// Journal documents that an audit of a cluster's counters reads at once; more than any batch has.
pub const COUNTER_AUDIT_PAGE_DOCUMENTS: usize = 10_000;

const _: () = {
    assert!(GIFT_AUDIT_HOLD_PLACES > 1, "slices overlap by one place");
    assert!(TLV_QUEUE_BYTES_MAX > SEND_BYTES_HIGH, "answers alone must not make a push close");
    assert!(READ_BYTES_PER_TURN_MAX >= READ_BYTES_MAX, "a turn must be able to fill the scratch");
    assert!(BATCH_JOBS_MAX <= QUEUE_JOBS_MAX, "a full batch must fit the queue");
    assert!(GIFT_PUBLISH_CHANGES_MAX > 0, "chunks of nothing show nothing");
    assert!(GIFT_FOLD_ENTRIES_MAX > 0, "a fold must move the checkpoint");
    assert!(COUNTER_TAKE_OUT_ENTRIES > BATCH_JOBS_MAX, "the journal must shrink");
    assert!(PIPELINE_DEPTH_MAX > 0, "a connection must be able to ask");
    assert!(HEADER_COUNT_MAX <= HEADER_SLOTS_MAX, "the default count must fit the slots");
    assert!(WRITE_SLICES_MAX <= 1024, "Linux refuses more slices than UIO_MAXIOV");
};
