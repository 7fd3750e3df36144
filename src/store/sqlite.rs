//! Opens `SQLite` files so that an acknowledged commit is durable, or refuses without a trace.

mod record_file;
mod writer;

pub use record_file::{RecordError, RecordFile};
pub use writer::{Condition, Writer};

use super::{OpenError, StoreError};
use rusqlite::config::DbConfig;
use rusqlite::{Connection, ErrorCode, OpenFlags, ffi};
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How long a statement waits for a lock: an operator's shell may hold one for a moment.
const BUSY_WAIT: Duration = Duration::from_secs(5);

/// Files up to this size are read whole at the start to find damage; about a second.
const CHECKED_BYTES_MAX: u64 = 1 << 30;

/// What makes a file ours, and how it is made.
#[derive(Clone, Copy, Debug)]
pub struct Format {
    /// `PRAGMA application_id`: tells our files from any other, and from each other.
    pub application_id: i32,
    /// Script `n` brings a file from `user_version` n to n + 1. Never edited, only added to.
    pub migrations: &'static [&'static str],
    /// Questions to the newest format that an undamaged file answers with 1, for what the quick
    /// check leaves out: whether an index tells the same as its table.
    pub checks: &'static [&'static str],
}

impl Format {
    /// The `user_version` that this program writes.
    pub fn version(&self) -> i32 {
        i32::try_from(self.migrations.len()).expect("a handful of migrations")
    }
}

/// What to do about a statement that failed while writing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// Nothing was written and a later try may work: the disk is full, memory is short, a lock.
    Passing,
    /// What the file holds is unknown: stop.
    Fatal,
}

/// Sorts an error by what the writer must do.
pub fn trouble(error: &rusqlite::Error) -> Trouble {
    let Some(failure) = error.sqlite_error() else { return Trouble::Fatal };
    match failure.code {
        // SQLite reports ENOSPC of a write as FULL.
        ErrorCode::DiskFull
        | ErrorCode::DatabaseBusy
        | ErrorCode::DatabaseLocked
        | ErrorCode::OutOfMemory
        | ErrorCode::OperationInterrupted => Trouble::Passing,
        // The shared memory beside the log holds no record; a full disk cannot enlarge it.
        ErrorCode::SystemIoFailure
            if matches!(
                failure.extended_code,
                ffi::SQLITE_IOERR_SHMSIZE | ffi::SQLITE_IOERR_SHMMAP | ffi::SQLITE_IOERR_NOMEM
            ) =>
        {
            Trouble::Passing
        }
        _ => Trouble::Fatal,
    }
}

/// What an error means to those whose look-up it ended.
pub fn read_failed(error: &rusqlite::Error) -> StoreError {
    match trouble(error) {
        Trouble::Passing => StoreError::Unavailable,
        Trouble::Fatal => StoreError::Broken,
    }
}

/// Opens the only writing connection of a record, and makes or migrates the file.
///
/// A file that is refused is left as it was: it is looked at by read-only means first.
pub fn open_writer(path: &Path, format: &Format) -> Result<Connection, OpenError> {
    match length(path)? {
        // Made under this log, a fresh file would take in what belongs to another.
        None if length(&beside(path, "-wal"))?.is_some_and(|length| length > 0) => {
            return Err(damaged(path, "it is gone, but its log is there"));
        }
        None => make(path, format)?,
        // We make files whole, so an empty one has lost something.
        Some(0) => return Err(damaged(path, "it is empty")),
        Some(_) => {
            check_header(path, format)?;
            check_content(path, format)?;
        }
    }
    let open = || {
        let mut connection = connect(path)?;
        // Closed before it is done, it must not move the log: a file that is refused stays as it is.
        connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
        connection.pragma_update(None, "synchronous", "FULL")?;
        // A file that was copied with the shell may have lost this.
        connection.pragma_update_and_check(None, "journal_mode", "WAL", |_| Ok(()))?;
        // We move the log into the file ourselves, where an error is seen; SQLite would hide it.
        connection.pragma_update(None, "wal_autocheckpoint", 0)?;
        migrate(&mut connection, format)?;
        Ok(connection)
    };
    let refuse = |error| refused(path, error);
    let connection = open().map_err(refuse)?;
    if connection.is_readonly("main").map_err(refuse)? {
        return Err(OpenError::ReadOnly { path: path.to_path_buf() });
    }
    let kept = connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, false);
    kept.map_err(refuse)?;
    Ok(connection)
}

/// Opens one of many reading connections; the file must have a writer already.
pub fn open_reader(path: &Path) -> Result<Connection, OpenError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let open = || {
        let connection = Connection::open_with_flags(path, flags)?;
        connection.busy_timeout(BUSY_WAIT)?;
        connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
        Ok(connection)
    };
    open().map_err(|error| refused(path, error))
}

/// Opens a record that nobody serves for reading only, after a look at its header and content.
pub fn open_record(path: &Path, format: &Format) -> Result<Connection, OpenError> {
    check_header(path, format)?;
    check_content(path, format)?;
    open_reader(path)
}

/// Opens a record for reading only, beside whoever serves it: a look at its header must do.
pub fn open_beside(path: &Path, format: &Format) -> Result<Connection, OpenError> {
    check_header(path, format)?;
    open_reader(path)
}

pub(crate) fn refused(path: &Path, source: rusqlite::Error) -> OpenError {
    let path = path.to_path_buf();
    match source.sqlite_error_code() {
        Some(ErrorCode::NotADatabase) => OpenError::NotOurs { path },
        Some(ErrorCode::DatabaseCorrupt) => OpenError::Damaged { path, detail: source.to_string() },
        Some(ErrorCode::ReadOnly) => OpenError::ReadOnly { path },
        _ => OpenError::Sqlite { path, source },
    }
}

fn length(path: &Path) -> Result<Option<u64>, OpenError> {
    match std::fs::metadata(path) {
        Ok(metadata) => Ok(Some(metadata.len())),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(OpenError::Folder { path: path.to_path_buf(), source }),
    }
}

/// The name of a file that `SQLite` keeps beside a database.
fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

/// Reads the 100 bytes that every `SQLite` file begins with (its "database header"), without
/// `SQLite`: even a read-only connection may replay a log.
fn check_header(path: &Path, format: &Format) -> Result<(), OpenError> {
    let fail = |source| OpenError::Folder { path: path.to_path_buf(), source };
    let mut head = Vec::with_capacity(100);
    let file = File::open(path).map_err(fail)?;
    file.take(100).read_to_end(&mut head).map_err(fail)?;
    if !head.starts_with(b"SQLite format 3\0") {
        return Err(OpenError::NotOurs { path: path.to_path_buf() });
    }
    if head.len() < 100 {
        return Err(damaged(path, "it ends within its header"));
    }
    // How it is read and written: 1 without a log, 2 with one. With any other number SQLite would
    // call the file read-only.
    if head[18] != head[19] || !matches!(head[18], 1 | 2) {
        return Err(damaged(path, "its header names no known way to read it"));
    }
    let word = |at: usize| i32::from_be_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]);
    check_format(path, format, word(68), word(60))
}

fn check_format(path: &Path, format: &Format, id: i32, version: i32) -> Result<(), OpenError> {
    let path = path.to_path_buf();
    if id != format.application_id {
        return Err(OpenError::NotOurs { path });
    }
    if version > format.version() {
        return Err(OpenError::Newer { path, found: version, known: format.version() });
    }
    Ok(())
}

/// Looks through the file on a read-only connection that leaves the log alone.
fn check_content(path: &Path, format: &Format) -> Result<(), OpenError> {
    let reader = open_reader(path)?;
    let look = |pragma: &str| reader.query_row(pragma, [], |row| row.get(0));
    let (id, version) = look("PRAGMA application_id")
        .and_then(|id| Ok((id, look("PRAGMA user_version")?)))
        .map_err(|error| refused(path, error))?;
    check_format(path, format, id, version)?;
    if length(path)?.is_none_or(|length| length > CHECKED_BYTES_MAX) {
        return Ok(());
    }
    let verdict = reader.query_row("PRAGMA quick_check(1)", [], |row| row.get::<_, String>(0));
    match verdict.map_err(|error| refused(path, error))?.as_str() {
        "ok" => {}
        detail => return Err(damaged(path, detail)),
    }
    // An older file answers after its migration, at the next start.
    let checks = if version == format.version() { format.checks } else { &[] };
    for check in checks {
        let holds = reader.query_row(check, [], |row| row.get::<_, bool>(0));
        if !holds.map_err(|error| refused(path, error))? {
            return Err(damaged(path, "an index does not tell what its table tells"));
        }
    }
    Ok(())
}

fn damaged(path: &Path, detail: &str) -> OpenError {
    OpenError::Damaged { path: path.to_path_buf(), detail: detail.to_owned() }
}

fn connect(path: &Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
        | OpenFlags::SQLITE_OPEN_CREATE
        | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(BUSY_WAIT)?;
    Ok(connection)
}

/// Makes a file under another name and renames it when it is complete and on the disk: whenever
/// the power fails, there is no file or a good one.
fn make(path: &Path, format: &Format) -> Result<(), OpenError> {
    let fail = |source| OpenError::Folder { path: path.to_path_buf(), source };
    let fresh = path.with_extension("new");
    remove(&fresh).map_err(fail)?;
    let fill = || {
        let mut connection = connect(&fresh)?;
        connection.pragma_update(None, "synchronous", "FULL")?;
        connection.pragma_update_and_check(None, "journal_mode", "WAL", |_| Ok(()))?;
        migrate(&mut connection, format)?;
        connection.close().map_err(|(_, error)| error)
    };
    fill().map_err(|error| refused(&fresh, error))?;
    File::open(&fresh).and_then(|file| file.sync_all()).map_err(fail)?;
    std::fs::rename(&fresh, path).map_err(fail)?;
    let folder = path.parent().unwrap_or(Path::new("."));
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(fail)
}

/// Removes a database with its log; for files that can be made anew.
pub fn remove(path: &Path) -> std::io::Result<()> {
    for suffix in ["", "-wal", "-shm", "-journal"] {
        match std::fs::remove_file(beside(path, suffix)) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    Ok(())
}

fn migrate(connection: &mut Connection, format: &Format) -> rusqlite::Result<()> {
    let found: i32 = connection.query_row("PRAGMA user_version", [], |row| row.get(0))?;
    if found == format.version() {
        return Ok(());
    }
    let step = connection.transaction()?;
    let done = usize::try_from(found).unwrap_or(0);
    for script in &format.migrations[done..] {
        step.execute_batch(script)?;
    }
    step.pragma_update(None, "application_id", format.application_id)?;
    step.pragma_update(None, "user_version", format.version())?;
    step.commit()?;
    // The header is looked at without the log, so the new version must be in the file itself.
    connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIRST: Format =
        Format { application_id: 77, migrations: &["CREATE TABLE one (a INTEGER)"], checks: &[] };
    const SECOND: Format = Format {
        application_id: 77,
        migrations: &[FIRST.migrations[0], "CREATE TABLE two (b INTEGER); DROP TABLE one"],
        ..FIRST
    };

    const WRONG: Format = Format {
        application_id: 77,
        migrations: &[FIRST.migrations[0], "DROP TABLE one; DROP TABLE nowhere"],
        ..FIRST
    };

    fn tables(connection: &Connection) -> String {
        let sql = "SELECT group_concat(name) FROM sqlite_schema";
        connection.query_row(sql, [], |row| row.get(0)).expect("readable")
    }

    #[test]
    fn a_file_is_brought_to_the_newest_format_step_by_step() {
        let dir = tempfile::tempdir().expect("a temp folder");
        let path = dir.path().join("a.db");
        assert_eq!(tables(&open_writer(&path, &FIRST).expect("made")), "one");
        assert_eq!(tables(&open_writer(&path, &SECOND).expect("migrated")), "two");
        assert_eq!(tables(&open_writer(&path, &SECOND).expect("as it is")), "two");
        let error = open_writer(&path, &FIRST).expect_err("from the future");
        assert!(matches!(error, OpenError::Newer { found: 2, known: 1, .. }), "{error}");
    }

    #[test]
    fn a_migration_that_fails_leaves_the_file_as_it_was() {
        let dir = tempfile::tempdir().expect("a temp folder");
        let path = dir.path().join("a.db");
        drop(open_writer(&path, &FIRST).expect("made"));
        open_writer(&path, &WRONG).expect_err("a wrong script");
        assert_eq!(tables(&open_writer(&path, &FIRST).expect("as it was")), "one");
    }

    #[test]
    fn a_file_that_was_not_finished_is_made_anew() {
        let dir = tempfile::tempdir().expect("a temp folder");
        std::fs::write(dir.path().join("a.new"), b"half of it").expect("written");
        let path = dir.path().join("a.db");
        assert_eq!(tables(&open_writer(&path, &FIRST).expect("made")), "one");
        assert!(!dir.path().join("a.new").exists());
    }

    #[test]
    fn commits_wait_for_the_disk() {
        let dir = tempfile::tempdir().expect("a temp folder");
        let file = open_writer(&dir.path().join("a.db"), &FIRST).expect("made");
        let ask = |pragma: &str| file.query_row(pragma, [], |row| row.get::<_, i64>(0));
        assert_eq!(ask("PRAGMA synchronous"), Ok(2), "FULL");
        let mode = file.query_row("PRAGMA journal_mode", [], |row| row.get::<_, String>(0));
        assert_eq!(mode.as_deref(), Ok("wal"));
    }

    #[test]
    fn only_what_passes_by_itself_is_tried_again() {
        let sort = |code| trouble(&rusqlite::Error::SqliteFailure(ffi::Error::new(code), None));
        for passing in [ffi::SQLITE_FULL, ffi::SQLITE_BUSY, ffi::SQLITE_IOERR_SHMSIZE] {
            assert_eq!(sort(passing), Trouble::Passing, "{passing}");
        }
        for fatal in [
            ffi::SQLITE_IOERR_FSYNC,
            ffi::SQLITE_IOERR_WRITE,
            ffi::SQLITE_IOERR_READ,
            ffi::SQLITE_CORRUPT,
            ffi::SQLITE_CONSTRAINT,
        ] {
            assert_eq!(sort(fatal), Trouble::Fatal, "{fatal}");
        }
    }
}
