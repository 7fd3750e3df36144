//! The program; everything is in the library.

use std::process::ExitCode;

/// Only the program has it: tests of the library count the system's allocations.
#[cfg(feature = "heap-profiles")]
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    fanfare::cli::run(fanfare::app::serve, fanfare::app::tools::run, fanfare::app::visit::run)
}
