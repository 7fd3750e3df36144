//! What became of an operation, sorted by what a caller can do next.

use mongodb::error::{Error, ErrorKind, InsertManyError, WriteFailure};

/// The code of a violated unique index.
const DUPLICATE_KEY: i32 = 11_000;

/// Codes with which a server says that it, or the primary, is going, gone or too slow. The write
/// may have happened: before it stepped down, or it will be rolled back.
const AWAY: [i32; 16] =
    [6, 7, 24, 50, 64, 89, 91, 100, 189, 262, 9_001, 10_107, 11_600, 11_602, 13_435, 13_436];

/// What became of one document of an insert.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Inserted {
    /// It is in, acknowledged by a majority.
    Done,
    /// One with a key of its own is there already: our own earlier try, or somebody else's. Read
    /// it to know, and mind that it may not have reached a majority yet.
    Duplicate,
    /// Nothing was sent: it is not in, unless an earlier try brought it there.
    NotSent,
    /// Time ran out or the connection was cut; it may be in, or come in yet. Insert it again with
    /// the same `_id` until the answer is another.
    Unknown,
    /// The server will never take it.
    Refused(String),
}

/// Why an operation that is not an insert has no result.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MongoError {
    /// Nothing was sent: nothing has happened.
    #[error("MongoDB is away; nothing was sent")]
    NotSent,
    /// A write may have happened, or may happen yet.
    #[error("MongoDB did not answer in time; whether the write is done is unknown")]
    Unknown,
    /// A unique index has that key; with an upsert, somebody else was first: look again.
    #[error("a document with this key is there already")]
    Duplicate,
    /// The server refuses, whenever it is asked.
    #[error("MongoDB refuses: {0}")]
    Refused(String),
}

impl MongoError {
    /// True when asking again later may help.
    pub fn is_away(&self) -> bool {
        matches!(self, Self::NotSent | Self::Unknown)
    }
}

impl From<&Error> for MongoError {
    fn from(error: &Error) -> Self {
        match &*error.kind {
            ErrorKind::ServerSelection { .. } | ErrorKind::DnsResolve { .. } => Self::NotSent,
            ErrorKind::Command(command) => of_code(command.code, &command.message),
            ErrorKind::Write(WriteFailure::WriteError(write)) => {
                of_code(write.code, &write.message)
            }
            ErrorKind::InvalidArgument { message, .. }
            | ErrorKind::Authentication { message, .. }
            | ErrorKind::InvalidTlsConfig { message, .. }
            | ErrorKind::IncompatibleServer { message, .. } => Self::Refused(message.clone()),
            ErrorKind::BsonDeserialization(_) | ErrorKind::BsonSerialization(_) => {
                Self::Refused(error.to_string())
            }
            // A failed write concern is among these: written, but not known to be on a majority.
            _ => Self::Unknown,
        }
    }
}

fn of_code(code: i32, message: &str) -> MongoError {
    match code {
        DUPLICATE_KEY => MongoError::Duplicate,
        code if AWAY.contains(&code) => MongoError::Unknown,
        code => MongoError::Refused(format!("{message} (code {code})")),
    }
}

/// One fate for each of `count` documents, from the driver's answer to one unordered command.
pub(super) fn of_insert<T>(count: usize, result: &Result<T, Error>) -> Vec<Inserted> {
    let Err(error) = result else { return vec![Inserted::Done; count] };
    if let ErrorKind::InsertMany(failure) = &*error.kind {
        return of_documents(count, failure);
    }
    let all = match MongoError::from(error) {
        MongoError::NotSent => Inserted::NotSent,
        MongoError::Refused(reason) => Inserted::Refused(reason),
        MongoError::Unknown | MongoError::Duplicate => Inserted::Unknown,
    };
    vec![all; count]
}

fn of_documents(count: usize, failure: &InsertManyError) -> Vec<Inserted> {
    // A failed write concern says of no document that it is safe, though it be written.
    let others =
        if failure.write_concern_error.is_some() { Inserted::Unknown } else { Inserted::Done };
    let mut fates = vec![others; count];
    for error in failure.write_errors.iter().flatten() {
        if let Some(fate) = fates.get_mut(error.index) {
            *fate = match of_code(error.code, &error.message) {
                MongoError::Duplicate => Inserted::Duplicate,
                MongoError::Refused(reason) => Inserted::Refused(reason),
                MongoError::NotSent | MongoError::Unknown => Inserted::Unknown,
            };
        }
    }
    fates
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_sorted_by_what_one_can_do_next() {
        assert_eq!(of_code(11_000, "dup"), MongoError::Duplicate);
        assert_eq!(of_code(10_107, "not primary"), MongoError::Unknown);
        assert_eq!(of_code(50, "too slow"), MongoError::Unknown);
        assert!(matches!(of_code(121, "invalid"), MongoError::Refused(_)));
    }

    #[test]
    fn a_cut_connection_leaves_every_document_unknown() {
        let cut = std::io::Error::from(std::io::ErrorKind::ConnectionReset);
        let result: Result<(), Error> = Err(Error::from(ErrorKind::Io(cut.into())));
        assert_eq!(of_insert(2, &result), [Inserted::Unknown, Inserted::Unknown]);
    }
}
