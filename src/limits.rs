//! Every bound in the server, with its unit in its name and its reason beside it. The config
//! overrides those that it names; the values here are its defaults.

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

/// Pages of 4 KiB in a write-ahead log before the bookkeeper moves them into the file.
pub const GIFT_LOG_PAGES_MAX: i32 = 4096;

const _: () = {
    assert!(READ_BYTES_PER_TURN_MAX >= READ_BYTES_MAX, "a turn must be able to fill the scratch");
    assert!(BATCH_JOBS_MAX <= QUEUE_JOBS_MAX, "a full batch must fit the queue");
    assert!(GIFT_PUBLISH_CHANGES_MAX > 0, "chunks of nothing show nothing");
    assert!(GIFT_FOLD_ENTRIES_MAX > 0, "a fold must move the checkpoint");
    assert!(PIPELINE_DEPTH_MAX > 0, "a connection must be able to ask");
    assert!(HEADER_COUNT_MAX <= HEADER_SLOTS_MAX, "the default count must fit the slots");
    assert!(WRITE_SLICES_MAX <= 1024, "Linux refuses more slices than UIO_MAXIOV");
};
