//! What a node is told and what it asks for.

use super::domain::JournalDraft;
use super::record::{Fate, Record, Stream};
use super::script::{Apply, Generation, Load, ScriptAnswer, Switch};
use std::collections::BTreeMap;
use std::time::Duration;

/// The moment of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Now {
    /// By a clock that only goes forward, of this machine.
    pub mono: Duration,
    /// The second on the wall; decides only which periods are too old to be counted in.
    pub wall_s: i64,
}

/// Names a command, so that its answer finds the question.
pub type Op = u64;

/// Names a request that awaits its outcome.
pub type Ticket = u64;

/// A sign of life, and the words that others must know of a process. In the record it replaces
/// only one with a smaller number, and none of a finished process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Beat {
    /// Random, taken afresh at each start.
    pub process: u64,
    /// Grows with every try.
    pub number: u64,
    /// It acknowledges before the view holds what it acknowledges.
    pub behind: bool,
    /// Its streams: all that it will ever write to.
    pub streams: Vec<Stream>,
}

/// What the record knows of a process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// Its newest heartbeat.
    pub beat: Beat,
    /// For a process that is gone: the last batch of each of its streams. It writes no more.
    pub finals: Option<Vec<(Stream, u64)>>,
}

/// Who repairs. A lease saves work; nothing becomes wrong when two believe to hold it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LeaseDoc {
    /// Grows with every taking.
    pub term: u64,
    /// Who took it last.
    pub holder: u64,
}

/// The newest document of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Newest {
    /// Its batch.
    pub seq: u64,
    /// The first batch of its round: what came before is resolved.
    pub first: u64,
}

/// What to do. Each has one answer, or [`Event::Failed`] at the latest when its deadline passes at
/// the waiting side; a failed one may have happened nevertheless, even later.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command<T: JournalDraft> {
    /// Insert unordered, by majority, and say of each document whether it landed or what holds its
    /// name. Not to be sent after `send_by`: others may have declared this process gone by then.
    Insert {
        /// Answered by [`Event::Inserted`].
        op: Op,
        /// The very same at every try.
        records: Vec<Record<T>>,
        /// By the clock of [`Now::mono`].
        send_by: Duration,
    },
    /// Write a heartbeat, under the condition at [`Beat`].
    SendBeat {
        /// Answered by [`Event::BeatAnswered`].
        op: Op,
        /// The words.
        beat: Beat,
    },
    /// Read all members and the lease.
    Look {
        /// Answered by [`Event::Looked`].
        op: Op,
    },
    /// Read the newest document of each stream.
    ReadNewest {
        /// Answered by [`Event::NewestRead`].
        op: Op,
        /// Which.
        streams: Vec<Stream>,
    },
    /// Read a stream's documents in order, whole batches, about `limit` documents.
    ReadJournal {
        /// Answered by [`Event::JournalRead`].
        op: Op,
        /// Whose.
        stream: Stream,
        /// Batches behind this one.
        after: u64,
        /// Up to this one.
        through: u64,
        /// Roughly.
        limit: usize,
    },
    /// Declare a process gone, if its heartbeat still has this number.
    Finish {
        /// Answered by [`Event::Done`].
        op: Op,
        /// Who.
        process: u64,
        /// The number that did not change.
        number: u64,
        /// Its last batches.
        finals: Vec<(Stream, u64)>,
    },
    /// A finished process is behind no more: all of it is in the view.
    Settle {
        /// Answered by [`Event::Done`].
        op: Op,
        /// Who.
        process: u64,
    },
    /// Take the lease, if its term is still this one; the term grows by one.
    TakeLease {
        /// Answered by [`Event::LeaseAnswered`].
        op: Op,
        /// As seen.
        term: u64,
    },
    /// Ask Redis over that connection, and over no other.
    Redis {
        /// Answered by [`Event::RedisAnswered`].
        op: Op,
        /// Which connection.
        conn: u64,
        /// What.
        request: RedisRequest<T>,
    },
    /// Answer a request.
    Answer {
        /// Which.
        ticket: Ticket,
        /// How.
        outcome: Outcome<T>,
    },
    /// Others have declared this process gone: it writes no more, and starts anew under new names.
    Retire,
}

/// What Redis is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RedisRequest<T: JournalDraft> {
    /// Scripts in one pipeline, in order.
    Apply(Vec<Apply<T::Row>>),
    /// A step of a rebuild.
    Load(Load<T::Row>),
    /// Its end.
    Switch(Switch),
    /// The current generation and all its fences.
    Fences,
}

/// What Redis answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RedisAnswer<T: JournalDraft> {
    /// One for each script.
    Scripts(Vec<ScriptAnswer<T::Subject>>),
    /// For [`RedisRequest::Fences`]; all at one moment.
    Fences {
        /// Which is current.
        generation: Generation,
        /// Redis was emptied: nobody has built it, and it holds nothing.
        is_hollow: bool,
        /// Of this generation.
        fences: BTreeMap<Stream, u64>,
    },
}

/// What became of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome<T> {
    /// It is in the journal.
    Written {
        /// As it stands there.
        draft: T,
        /// An earlier request made it.
        replayed: bool,
        /// The board does not show it yet: `X-Degraded: redis`.
        degraded: bool,
    },
    /// The key was used for another command.
    Conflict,
    /// What it would let grow takes no more.
    Overflow,
    /// Not known, or not tried: to be retried, with its key.
    Unavailable,
}

/// Whether a heartbeat counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BeatAnswer {
    /// It, or one with a greater number, stands in the record.
    Taken,
    /// This process was declared gone.
    Finished,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event<T: JournalDraft> {
    /// Time passed; several times per `pass_every`.
    Tick,
    /// A client wants this in the journal.
    Asked {
        /// Answered once by [`Command::Answer`], unless the process dies.
        ticket: Ticket,
        /// What.
        draft: T,
    },
    /// An operator wants the boards made anew from the journal.
    RebuildAsked,
    /// To [`Command::Insert`], in its order.
    Inserted {
        /// Of the command.
        op: Op,
        /// Of each document.
        fates: Vec<Fate<T>>,
    },
    /// To [`Command::SendBeat`].
    BeatAnswered {
        /// Of the command.
        op: Op,
        /// Whether it counts.
        answer: BeatAnswer,
    },
    /// To [`Command::Look`].
    Looked {
        /// Of the command.
        op: Op,
        /// All there are.
        members: Vec<Member>,
        /// As it stands.
        lease: LeaseDoc,
    },
    /// To [`Command::ReadNewest`]; streams without a document are left out.
    NewestRead {
        /// Of the command.
        op: Op,
        /// By stream.
        newest: BTreeMap<Stream, Newest>,
    },
    /// To [`Command::ReadJournal`].
    JournalRead {
        /// Of the command.
        op: Op,
        /// Complete up to this batch.
        through: u64,
        /// Ascending by batch.
        records: Vec<Record<T>>,
    },
    /// To [`Command::Finish`] and [`Command::Settle`]; the next look tells what came of it.
    Done {
        /// Of the command.
        op: Op,
    },
    /// To [`Command::TakeLease`]: the new term, if it was taken.
    LeaseAnswered {
        /// Of the command.
        op: Op,
        /// `None`: another was faster.
        term: Option<u64>,
    },
    /// To [`Command::Redis`].
    RedisAnswered {
        /// Of the command.
        op: Op,
        /// What came back.
        answer: RedisAnswer<T>,
    },
    /// `MongoDB` did not answer in time: the command may have happened, or may still happen.
    Failed {
        /// Of the command.
        op: Op,
    },
    /// A new connection to Redis; a moved slot counts as one.
    Connected {
        /// Not used before in this process.
        conn: u64,
    },
    /// A read over it was told that the generation is another than this process knows.
    Outdated {
        /// Which.
        conn: u64,
    },
    /// It erred or was too slow, and is dropped with all that was asked over it.
    Disconnected {
        /// Which.
        conn: u64,
    },
}
