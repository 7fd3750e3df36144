//! The data folder: writable, and ours alone while we run.

use super::OpenError;
use std::fs::{DirBuilder, File, TryLockError};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

/// The file whose lock says that a process uses the folder.
const LOCK_FILE: &str = "fanfare.lock";

/// How long a start waits for a lock that is being given up: half a second together.
const LOCK_TRIES_MAX: u32 = 50;
const LOCK_RETRY_PAUSE: Duration = Duration::from_millis(10);

/// A folder that no other process uses. Stores hold it by `Arc`, so that the lock outlives them.
#[derive(Debug)]
pub struct DataFolder {
    path: PathBuf,
    /// The kernel releases the lock when this closes, also after `kill -9`.
    _lock: File,
}

impl DataFolder {
    /// Makes the folder if need be, checks that files can be made in it, and locks it.
    pub fn open(path: &Path) -> Result<Arc<Self>, OpenError> {
        let unwritable = |source| OpenError::Folder { path: path.to_path_buf(), source };
        // Whoever can read a rain's record knows every draw of it.
        DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(unwritable)?;
        let lock_path = path.join(LOCK_FILE);
        let lock = File::options().write(true).create(true).truncate(false).open(lock_path);
        let lock = lock.map_err(unwritable)?;
        take(&lock).map_err(|error| match error {
            TryLockError::WouldBlock => OpenError::InUse { path: path.to_path_buf() },
            TryLockError::Error(source) => unwritable(source),
        })?;
        try_to_write(path).map_err(unwritable)?;
        Ok(Arc::new(Self { path: path.to_path_buf(), _lock: lock }))
    }

    /// Where a file of this folder lies.
    pub fn file(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// The folder itself.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

/// A process that is about to end still has the lock for a moment, and so has a child of whoever gave
/// it up, until it runs its own program: only who holds it for longer uses the folder.
fn take(lock: &File) -> Result<(), TryLockError> {
    for _ in 0..LOCK_TRIES_MAX {
        match lock.try_lock() {
            Err(TryLockError::WouldBlock) => thread::sleep(LOCK_RETRY_PAUSE),
            taken => return taken,
        }
    }
    lock.try_lock()
}

/// The lock file may stem from better days, so that opening it says nothing about making files,
/// and `SQLite` must make its log beside the database.
fn try_to_write(path: &Path) -> io::Result<()> {
    let probe = path.join("fanfare.probe");
    File::create(&probe)?;
    std::fs::remove_file(probe)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_has_one_user_at_a_time() {
        let dir = tempfile::tempdir().expect("a temp folder");
        let first = DataFolder::open(dir.path()).expect("a fresh folder");
        let second = DataFolder::open(dir.path()).expect_err("it is in use");
        assert!(matches!(second, OpenError::InUse { .. }), "{second}");
        assert!(second.to_string().ends_with("is in use by another process"), "{second}");
        drop(first);
        DataFolder::open(dir.path()).expect("free again");
    }

    #[test]
    fn refuses_a_folder_that_it_cannot_write() {
        // Root writes everywhere but here, so a mode would prove nothing.
        let error = DataFolder::open(Path::new("/proc/self/nowhere")).expect_err("not writable");
        assert!(matches!(error, OpenError::Folder { .. }), "{error}");
    }
}
