//! Has samples begin with the function that was interrupted.
//!
//! pprof walks the chain of frame pointers and notes the return addresses it finds: so the first
//! name is that of the caller, and the time of a small function goes to whoever called it. Our
//! handler of the signal puts one more link before the chain, which "returns" to the interrupted
//! instruction, and lets pprof's handler walk from there.
#![expect(unsafe_code, reason = "a signal handler reads the context that the kernel hands it")]

use libc::{c_int, c_void, siginfo_t, ucontext_t};
use std::mem;
use std::ptr;
use std::sync::atomic::{AtomicUsize, Ordering};

type Handler = extern "C" fn(c_int, *mut siginfo_t, *mut c_void);

/// pprof's handler, as an address.
static INNER: AtomicUsize = AtomicUsize::new(0);

/// What a frame pointer points to, on every machine that pprof walks.
#[repr(C)]
struct Link {
    frame_pointer: usize,
    return_address: usize,
}

/// Goes before pprof's handler. To be called after each start of the sampling, which sets that
/// one; the end of the sampling sets the signal to be ignored. Where it fails samples begin with
/// the caller.
pub(super) fn note() {
    // SAFETY: both structures are plain data, and all zeros is a value of them; `sigaction` reads
    // the one and fills the other. The handler is async-signal-safe, see there.
    unsafe {
        let mut theirs: libc::sigaction = mem::zeroed();
        if libc::sigaction(libc::SIGPROF, ptr::null(), &raw mut theirs) != 0
            || theirs.sa_flags & libc::SA_SIGINFO == 0
            || theirs.sa_sigaction == handler as *const () as usize
        {
            return;
        }
        INNER.store(theirs.sa_sigaction, Ordering::Release);
        let mut ours = theirs;
        ours.sa_sigaction = handler as *const () as usize;
        libc::sigaction(libc::SIGPROF, &raw const ours, ptr::null_mut());
    }
}

/// Async-signal-safe: it touches its own stack, the context it was given and one atomic.
extern "C" fn handler(signal: c_int, info: *mut siginfo_t, context: *mut c_void) {
    let inner = INNER.load(Ordering::Acquire);
    if inner == 0 || context.is_null() {
        return;
    }
    // SAFETY: `INNER` holds the handler that pprof registered with SA_SIGINFO. The kernel's context
    // is ours to change until we return; the frame pointer in it is put back as it was. The link
    // lives on this stack while pprof reads it, at a lower address than the chain behind it.
    unsafe {
        let inner: Handler = mem::transmute(inner);
        let (counter, pointer) = registers(context.cast());
        let before = *pointer;
        // One more, for names are looked up at the instruction before a return address.
        let link = Link { frame_pointer: before, return_address: counter.wrapping_add(1) };
        *pointer = (&raw const link).addr();
        inner(signal, info, context);
        *pointer = before;
    }
}

/// The program counter, and where the frame pointer is kept.
///
/// # Safety
/// `context` is what the kernel passed to a signal handler.
#[cfg(target_arch = "x86_64")]
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "registers are words")]
unsafe fn registers(context: *mut ucontext_t) -> (usize, *mut usize) {
    // SAFETY: as promised by the caller; a register is a word.
    unsafe {
        let registers = &raw mut (*context).uc_mcontext.gregs;
        let counter = (*registers)[libc::REG_RIP as usize] as usize;
        (counter, (&raw mut (*registers)[libc::REG_RBP as usize]).cast())
    }
}

/// As above.
///
/// # Safety
/// `context` is what the kernel passed to a signal handler.
#[cfg(target_arch = "aarch64")]
#[expect(clippy::cast_possible_truncation, reason = "registers are words")]
unsafe fn registers(context: *mut ucontext_t) -> (usize, *mut usize) {
    // SAFETY: as promised by the caller; a register is a word.
    unsafe {
        let machine = &raw mut (*context).uc_mcontext;
        ((*machine).pc as usize, (&raw mut (*machine).regs[29]).cast())
    }
}
