//! A preload library that makes a power cut and a full disk testable: it keeps a second copy of a
//! folder that holds only what was synced, and refuses writes when told to. Built by `build.rs` beside
//! it, and part of the binary; no dependencies.
//!
//! `kill -9` alone proves nothing about fsync: the kernel still writes what the process left in the
//! page cache. Whoever tests kills the server and then continues from the second copy.
//!
//! Environment:
//! - `SHIM_LIVE`: the folder to watch (no trailing slash).
//! - `SHIM_DURABLE`: where the copy goes: `data/<identity>` is a file's synced content, `names/<name>`
//!   holds the identity that the name durably refers to.
//! - `SHIM_FAULT`: a file, read at every sync and write: `fail` makes a sync return EIO, `hold` makes
//!   it wait until the file says something else, `full` makes a write return ENOSPC.

use std::ffi::{CStr, OsStr, c_char, c_int, c_long, c_void};
use std::fs::{self, File, Metadata};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::{Duration, UNIX_EPOCH};

#[cfg(target_arch = "x86_64")]
const SYS_FSYNC: c_long = 74;
#[cfg(target_arch = "x86_64")]
const SYS_FDATASYNC: c_long = 75;
#[cfg(target_arch = "aarch64")]
const SYS_FSYNC: c_long = 82;
#[cfg(target_arch = "aarch64")]
const SYS_FDATASYNC: c_long = 83;
#[cfg(target_arch = "x86_64")]
const SYS_WRITE: c_long = 1;
#[cfg(target_arch = "x86_64")]
const SYS_PWRITE: c_long = 18;
#[cfg(target_arch = "aarch64")]
const SYS_WRITE: c_long = 64;
#[cfg(target_arch = "aarch64")]
const SYS_PWRITE: c_long = 68;
const EIO: c_int = 5;
const ENOSPC: c_int = 28;

unsafe extern "C" {
    fn syscall(number: c_long, ...) -> c_long;
    fn getenv(name: *const c_char) -> *const c_char;
    fn __errno_location() -> *mut c_int;
}

/// One sync at a time, so that the copy never holds half of another thread's sync.
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

/// Replaces libc's `fsync`.
#[unsafe(no_mangle)]
pub extern "C" fn fsync(fd: c_int) -> c_int {
    sync(fd, SYS_FSYNC)
}

/// Replaces libc's `fdatasync`.
#[unsafe(no_mangle)]
pub extern "C" fn fdatasync(fd: c_int) -> c_int {
    sync(fd, SYS_FDATASYNC)
}

/// Replaces libc's `write`.
#[unsafe(no_mangle)]
pub extern "C" fn write(fd: c_int, bytes: *const c_void, count: usize) -> isize {
    if is_full(fd) {
        return refuse_for_space();
    }
    // SAFETY: the call that libc's own wrapper makes, with the caller's arguments.
    unsafe { syscall(SYS_WRITE, fd, bytes, count) as isize }
}

/// Replaces libc's `pwrite`.
#[unsafe(no_mangle)]
pub extern "C" fn pwrite(fd: c_int, bytes: *const c_void, count: usize, offset: i64) -> isize {
    if is_full(fd) {
        return refuse_for_space();
    }
    // SAFETY: as in `write`.
    unsafe { syscall(SYS_PWRITE, fd, bytes, count, offset) as isize }
}

/// Replaces libc's `pwrite64`.
#[unsafe(no_mangle)]
pub extern "C" fn pwrite64(fd: c_int, bytes: *const c_void, count: usize, offset: i64) -> isize {
    pwrite(fd, bytes, count, offset)
}

fn refuse_for_space() -> isize {
    // SAFETY: errno is a thread-local of libc.
    unsafe { *__errno_location() = ENOSPC };
    -1
}

/// Is there no room for a write to `fd`? What lies elsewhere (a log, a socket) has room.
fn is_full(fd: c_int) -> bool {
    watched(fd).is_some() && fault() == "full"
}

fn sync(fd: c_int, number: c_long) -> c_int {
    let Some(path) = watched(fd) else { return real(fd, number) };
    while fault() == "hold" {
        std::thread::sleep(Duration::from_millis(1));
    }
    if fault() == "fail" {
        // SAFETY: errno is a thread-local of libc.
        unsafe { *__errno_location() = EIO };
        return -1;
    }
    // The content as it is now becomes durable; the real sync would only slow the test down.
    let guard = ONE_AT_A_TIME.lock();
    let copied = remember(&path);
    drop(guard);
    match copied {
        Ok(()) => 0,
        Err(error) => panic!("power-cut shim: {}: {error}", path.display()),
    }
}

fn real(fd: c_int, number: c_long) -> c_int {
    // SAFETY: the call that libc's own wrapper makes, with the caller's descriptor.
    let result = unsafe { syscall(number, fd) };
    c_int::try_from(result).unwrap_or(-1)
}

/// The path behind `fd`, when it lies in the watched folder or is the folder.
fn watched(fd: c_int) -> Option<PathBuf> {
    let live = variable(c"SHIM_LIVE")?;
    let path = fs::read_link(format!("/proc/self/fd/{fd}")).ok()?;
    path.starts_with(&live).then_some(path)
}

fn remember(path: &Path) -> std::io::Result<()> {
    let durable = variable(c"SHIM_DURABLE").expect("SHIM_DURABLE goes with SHIM_LIVE");
    fs::create_dir_all(durable.join("data"))?;
    fs::create_dir_all(durable.join("names"))?;
    let metadata = fs::metadata(path)?;
    if metadata.is_dir() {
        return remember_names(path, &durable);
    }
    let copy = data_of(&durable, &metadata);
    // Copy beside, then rename: the test may kill us in the middle of the copy.
    let half = copy.with_extension("half");
    std::io::copy(&mut File::open(path)?, &mut File::create(&half)?)?;
    fs::rename(&half, &copy)?;
    remember_name(path, &metadata, &durable)
}

/// A synced directory makes its names durable: new ones, renamed ones, and that some are gone.
fn remember_names(folder: &Path, durable: &Path) -> std::io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let metadata = entry.metadata()?;
        if metadata.is_file() && data_of(durable, &metadata).exists() {
            remember_name(&entry.path(), &metadata, durable)?;
        }
    }
    for entry in fs::read_dir(durable.join("names"))? {
        let entry = entry?;
        if !folder.join(entry.file_name()).exists() {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

fn remember_name(path: &Path, metadata: &Metadata, durable: &Path) -> std::io::Result<()> {
    let name = path.file_name().unwrap_or(OsStr::new("?"));
    let half = durable.join("name.half");
    fs::write(&half, identity(metadata))?;
    fs::rename(half, durable.join("names").join(name))
}

fn data_of(durable: &Path, metadata: &Metadata) -> PathBuf {
    durable.join("data").join(identity(metadata))
}

/// A file's inode with its birth: the number alone goes to the next file once its own is removed, and
/// with it would go the content that was synced under it. `power.rs` says the same.
fn identity(metadata: &Metadata) -> String {
    let born = metadata.created().ok().and_then(|time| time.duration_since(UNIX_EPOCH).ok());
    format!("{}-{}", metadata.ino(), born.unwrap_or_default().as_nanos())
}

/// What the test asks of the next sync.
fn fault() -> String {
    let text = variable(c"SHIM_FAULT").and_then(|file| fs::read_to_string(file).ok());
    text.unwrap_or_default().trim().to_owned()
}

/// `std::env` allocates under a lock that a fork may hold; `getenv` does not.
fn variable(name: &CStr) -> Option<PathBuf> {
    // SAFETY: `name` ends in NUL; the environment is not changed while the server runs.
    let value = unsafe { getenv(name.as_ptr()) };
    if value.is_null() {
        return None;
    }
    // SAFETY: getenv answers a string that ends in NUL and lives as long as the environment.
    let bytes = unsafe { CStr::from_ptr(value) }.to_bytes();
    Some(PathBuf::from(OsStr::from_bytes(bytes)))
}
