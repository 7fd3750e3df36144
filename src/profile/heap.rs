//! Heap profiles: jemalloc samples what is allocated, we encode what is still there for
//! `go tool pprof`.
//!
//! jemalloc notes on average one allocation for every 512 KiB that are allocated, with the stack
//! that asked for it, and forgets it with its release. Until [`start`] it notes nothing: an
//! allocation then costs what it costs without profiles.
//!
//! It walks stacks with libgcc, which takes locks. So while the CPU profiler interrupts threads at
//! any instruction, no stack is walked for the heap: see [`Pause`].
#![expect(unsafe_code, reason = "jemalloc is C, and calls us back to walk a stack")]

use super::heap_dump::{self, Dump};
use std::ffi::{CString, c_uint, c_void};
use std::fs;
use std::io;
use std::mem;
use std::os::unix::ffi::OsStrExt;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::thread;
use std::time::Duration;
use tikv_jemalloc_ctl::raw;

/// Read by jemalloc before `main`: profiling is possible, not under way. 2^19 bytes lie between
/// samples, as in Go. `_RJEM_MALLOC_CONF` in the environment goes before it.
#[unsafe(export_name = "_rjem_malloc_conf")]
#[used]
static MALLOC_CONF: &[u8; 46] = b"prof:true,prof_active:false,lg_prof_sample:19\0";

/// What jemalloc calls to walk a stack: fills so many of the given places.
type Backtrace = extern "C" fn(*mut *mut c_void, *mut c_uint, c_uint);

/// jemalloc's own way to walk; set before ours is.
static WALK: OnceLock<Backtrace> = OnceLock::new();

/// Threads that are walking their stacks for jemalloc.
static WALKING: AtomicUsize = AtomicUsize::new(0);

/// Nobody may begin to.
static PAUSED: AtomicBool = AtomicBool::new(false);

/// How many want that.
static PAUSES: Mutex<usize> = Mutex::new(0);

/// Sampling was asked for.
static STARTED: AtomicBool = AtomicBool::new(false);

/// Begins to sample, for the rest of the process's life. An error says what jemalloc refused.
pub fn start() -> io::Result<()> {
    // SAFETY: the names end in NUL, and the types are those of jemalloc's manual: a pointer to a
    // function of that signature. It calls ours from where it called its own.
    unsafe {
        let own: Backtrace = read(b"experimental.hooks.prof_backtrace\0")?;
        WALK.get_or_init(|| own);
        write(b"experimental.hooks.prof_backtrace\0", walk as Backtrace)?;
    }
    STARTED.store(true, Ordering::SeqCst);
    set_active(true)
}

/// True once sampling has begun.
pub fn is_started() -> bool {
    STARTED.load(Ordering::SeqCst)
}

/// What was sampled and is still allocated, for `go tool pprof`. Looks names up, so it takes time;
/// not for a loop.
pub fn profile() -> io::Result<Vec<u8>> {
    let file = tempfile::NamedTempFile::new()?;
    let path = CString::new(file.path().as_os_str().as_bytes())?;
    // SAFETY: the name ends in NUL; the path lives until jemalloc has written the file.
    unsafe { write(b"prof.dump\0", path.as_ptr())? };
    let text = fs::read_to_string(file.path())?;
    let dump = Dump::parse(&text).ok_or_else(|| io::Error::other("jemalloc wrote no profile"))?;
    Ok(heap_dump::encode(&dump))
}

/// While one lives no stack is walked for the heap, and what is allocated is not sampled.
pub(super) struct Pause;

impl Pause {
    /// Returns when nobody is walking any more. Not for a loop.
    pub(super) fn begin() -> Self {
        Self::count(|pauses| pauses + 1);
        // Whoever begins from here on sees the flag: it counts itself before it looks.
        while WALKING.load(Ordering::SeqCst) > 0 {
            thread::sleep(Duration::from_millis(1));
        }
        Self
    }

    fn count(change: impl FnOnce(usize) -> usize) {
        let mut pauses = PAUSES.lock().unwrap_or_else(PoisonError::into_inner);
        *pauses = change(*pauses);
        PAUSED.store(*pauses > 0, Ordering::SeqCst);
        // Only saves the samples without a stack.
        if is_started()
            && let Err(error) = set_active(*pauses == 0)
        {
            tracing::error!(%error, "the heap is not sampled as it should be");
        }
    }
}

impl Drop for Pause {
    fn drop(&mut self) {
        Self::count(|pauses| pauses - 1);
    }
}

/// Called within an allocation, so it must not allocate.
extern "C" fn walk(frames: *mut *mut c_void, count: *mut c_uint, max: c_uint) {
    WALKING.fetch_add(1, Ordering::SeqCst);
    if !PAUSED.load(Ordering::SeqCst)
        && let Some(walk) = WALK.get()
    {
        walk(frames, count, max);
    }
    WALKING.fetch_sub(1, Ordering::SeqCst);
}

fn set_active(active: bool) -> io::Result<()> {
    // SAFETY: the name ends in NUL, and its value is a bool.
    unsafe { write(b"prof.active\0", active) }
}

/// # Safety
/// `name` ends in NUL, and `T` is the type that jemalloc's manual gives it.
unsafe fn write<T>(name: &[u8], value: T) -> io::Result<()> {
    // SAFETY: as promised by the caller.
    unsafe { raw::write(name, value) }.map_err(|error| refused(name, error))
}

/// # Safety
/// As for [`write`].
unsafe fn read<T: Copy>(name: &[u8]) -> io::Result<T> {
    const { assert!(mem::size_of::<T>() > 0, "jemalloc tells figures") };
    // SAFETY: as promised by the caller.
    unsafe { raw::read(name) }.map_err(|error| refused(name, error))
}

fn refused(name: &[u8], error: tikv_jemalloc_ctl::Error) -> io::Error {
    let name = String::from_utf8_lossy(name.strip_suffix(b"\0").unwrap_or(name));
    io::Error::other(format!("jemalloc refuses {name}: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::ptr;

    /// The test has declared that it wants peace.
    static QUIET: AtomicBool = AtomicBool::new(false);
    static DISTURBED: AtomicBool = AtomicBool::new(false);
    static WALKS: AtomicUsize = AtomicUsize::new(0);

    /// Takes its time, as a walk does.
    extern "C" fn stroll(_: *mut *mut c_void, _: *mut c_uint, _: c_uint) {
        for _ in 0..100 {
            thread::yield_now();
            DISTURBED.fetch_or(QUIET.load(Ordering::SeqCst), Ordering::SeqCst);
        }
        WALKS.fetch_add(1, Ordering::SeqCst);
    }

    #[test]
    fn nobody_walks_during_a_pause_and_all_go_on_after_it() {
        WALK.get_or_init(|| stroll);
        let over = AtomicBool::new(false);
        let await_walks = |more: usize| {
            let before = WALKS.load(Ordering::SeqCst);
            while WALKS.load(Ordering::SeqCst) < before + more {
                thread::yield_now();
            }
        };
        thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    while !over.load(Ordering::SeqCst) {
                        walk(ptr::null_mut(), ptr::null_mut(), 0);
                    }
                });
            }
            for _ in 0..20 {
                await_walks(4);
                let pause = Pause::begin();
                QUIET.store(true, Ordering::SeqCst);
                for _ in 0..1_000 {
                    thread::yield_now();
                }
                QUIET.store(false, Ordering::SeqCst);
                drop(pause);
            }
            await_walks(1);
            over.store(true, Ordering::SeqCst);
        });
        assert!(!DISTURBED.load(Ordering::SeqCst));
    }
}
