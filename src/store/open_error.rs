//! Why a store did not open; each tells an operator what to look at. Nothing was changed.

use std::io;
use std::path::PathBuf;

/// A refusal at the start.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The folder or a file in it cannot be made, read or written.
    #[error("data folder {path} cannot be used: {source}", path = path.display())]
    Folder {
        /// Which.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Another process holds the lock.
    #[error("data folder {path} is in use by another process", path = path.display())]
    InUse {
        /// Which.
        path: PathBuf,
    },
    /// Not a file of this kind.
    #[error("{path} is not a file that this program made; move it away", path = path.display())]
    NotOurs {
        /// Which.
        path: PathBuf,
    },
    /// From a newer version of this program.
    #[error(
        "{path} has format {found}, but this version knows up to {known}: start the newer version",
        path = path.display()
    )]
    Newer {
        /// Which.
        path: PathBuf,
        /// Its format.
        found: i32,
        /// The newest known.
        known: i32,
    },
    /// The file breaks the rules of its format.
    #[error("{path} is damaged ({detail}): restore it from a backup", path = path.display())]
    Damaged {
        /// Which.
        path: PathBuf,
        /// What is wrong.
        detail: String,
    },
    /// The file can be read only.
    #[error("{path} is read-only", path = path.display())]
    ReadOnly {
        /// Which.
        path: PathBuf,
    },
    /// Anything else that `SQLite` says.
    #[error("{path} cannot be opened: {source}", path = path.display())]
    Sqlite {
        /// Which.
        path: PathBuf,
        /// What it said.
        source: rusqlite::Error,
    },
    /// The system gave no thread.
    #[error("cannot start a thread: {0}")]
    Thread(#[from] io::Error),
}
