//! Profiles in the format of `go tool pprof`: of the CPU, over the whole run or some seconds of it,
//! and of the heap.

// Elsewhere samples begin with the caller of the function that was interrupted.
#[cfg(all(target_os = "linux", any(target_arch = "x86_64", target_arch = "aarch64")))]
mod innermost;

#[cfg(feature = "heap-profiles")]
pub mod heap;
#[cfg(not(feature = "heap-profiles"))]
#[path = "profile/no_heap.rs"]
pub mod heap;
#[cfg(feature = "heap-profiles")]
mod heap_dump;

use pprof::protos::Message;
use pprof::{Frames, ProfilerGuard, ProfilerGuardBuilder, Report};
use std::collections::HashMap;
use std::fmt::Write as _;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// Samples a second. Odd, so as not to beat with timers of whole milliseconds; at this rate the
/// cost cannot be told from noise.
const SAMPLES_PER_SECOND: i32 = 99;

/// Samples all threads while it lives; one at a time in a process.
pub struct Sampler {
    guard: ProfilerGuard<'static>,
    /// Let go after the guard: no stack is walked for the heap while threads are interrupted.
    _heap_stands_still: heap::Pause,
}

/// What was sampled, with the names of functions.
pub struct Samples(Report);

impl Sampler {
    /// Starts. Reads the program's own file, so not for a loop.
    pub fn start() -> Result<Self, pprof::Error> {
        let heap_stands_still = heap::Pause::begin();
        let guard = ProfilerGuardBuilder::default().frequency(SAMPLES_PER_SECOND).build()?;
        #[cfg(all(target_os = "linux", any(target_arch = "x86_64", target_arch = "aarch64")))]
        innermost::note();
        Ok(Self { guard, _heap_stands_still: heap_stands_still })
    }

    /// Ends the sampling, then looks the names up: the other order would sample the looking up.
    /// Takes time; not for a loop.
    pub fn finish(self) -> Result<Samples, pprof::Error> {
        let report = self.guard.report().build_unresolved()?;
        drop(self);
        let mut data = HashMap::new();
        for (frames, count) in report.data {
            *data.entry(Frames::from(frames)).or_insert(0) += count;
        }
        Ok(Samples(Report { data, timing: report.timing }))
    }
}

impl Samples {
    /// For `go tool pprof`.
    pub fn to_pprof(&self) -> Result<Vec<u8>, pprof::Error> {
        Ok(self.0.pprof()?.encode_to_vec())
    }

    /// A line for each stack, outermost first, with its count at the end: `thread;main;work 7`.
    pub fn stacks(&self) -> Vec<String> {
        let stack = |(frames, count): (&Frames, &isize)| {
            let mut line = frames.thread_name_or_id();
            let symbols = frames.frames.iter().rev().flat_map(|inlined| inlined.iter().rev());
            for symbol in symbols {
                line.push(';');
                line.push_str(&symbol.name().replace([';', '\n'], " "));
            }
            write!(line, " {count}").expect("a string takes everything");
            line
        };
        self.0.data.iter().map(stack).collect()
    }
}

/// A profile of the whole run, under way.
pub struct CpuProfile {
    sampler: Sampler,
    file: File,
    path: PathBuf,
}

impl CpuProfile {
    /// Starts to sample all threads. The file is opened now, so that a path that cannot be written
    /// is an error at the start and not after hours of sampling; what it holds stays until
    /// [`CpuProfile::finish`].
    pub fn start(path: &Path) -> io::Result<Self> {
        let file = OpenOptions::new().write(true).create(true).truncate(false).open(path);
        let file = file.map_err(|error| named(path, &error))?;
        let sampler = Sampler::start().map_err(|error| named(path, &error))?;
        Ok(Self { sampler, file, path: path.to_owned() })
    }

    /// Ends the sampling, looks the names up and writes the file.
    pub fn finish(mut self) -> io::Result<()> {
        let profile = self.sampler.finish().and_then(|samples| samples.to_pprof());
        let profile = profile.map_err(|error| named(&self.path, &error))?;
        let written = self
            .file
            .set_len(0)
            .and_then(|()| self.file.write_all(&profile))
            .and_then(|()| self.file.sync_all());
        written.map_err(|error| named(&self.path, &error))
    }
}

fn named(path: &Path, error: &dyn std::fmt::Display) -> io::Error {
    io::Error::other(format!("CPU profile {}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::hint::black_box;

    /// Calls nothing, so that all of its time is its own.
    #[inline(never)]
    fn spin(rounds: u64) -> u64 {
        let (mut sum, mut round) = (0, rounds);
        while round > 0 {
            sum ^= round;
            round -= 1;
        }
        sum
    }

    #[test]
    fn writes_what_pprof_reads() {
        let folder = tempfile::tempdir().expect("a temp folder");
        let path = folder.path().join("cpu.pprof");
        fs::write(&path, vec![b'x'; 1 << 20]).expect("an older, longer profile");
        let profile = CpuProfile::start(&path).expect("a writable path");
        // The function that was interrupted comes first, and not the one that called it.
        let begins_there = |at: &Frames| {
            let innermost = at.frames.first().and_then(|inlined| inlined.first());
            innermost.is_some_and(|symbol| symbol.name().contains("::spin"))
        };
        let spun = |profile: &CpuProfile| {
            let report = profile.sampler.guard.report().build();
            report.is_ok_and(|report| report.data.keys().any(begins_there))
        };
        while !spun(&profile) {
            black_box(spin(black_box(10_000_000)));
        }
        profile.finish().expect("written");
        let bytes = fs::read(&path).expect("readable");
        let profile = pprof::protos::Profile::decode(bytes.as_slice()).expect("a profile");
        assert!(!profile.sample.is_empty());
        let unit = |index: usize| {
            let name = profile.sample_type[index].unit;
            profile.string_table[usize::try_from(name).expect("an index")].clone()
        };
        assert_eq!((unit(0), unit(1)), ("count".to_owned(), "nanoseconds".to_owned()));
    }

    #[test]
    fn refuses_a_path_that_cannot_be_written_before_it_samples() {
        let error = CpuProfile::start(Path::new("no/such/folder/cpu.pprof")).err();
        let text = error.expect("no such folder").to_string();
        assert!(text.starts_with("CPU profile no/such/folder/cpu.pprof: "), "{text}");
    }
}
