//! A CPU profile of the whole run, written at its end in the format of `go tool pprof`.

use pprof::protos::Message;
use pprof::{ProfilerGuard, ProfilerGuardBuilder};
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// Samples a second. Odd, so as not to beat with timers of whole milliseconds; at this rate the
/// cost cannot be told from noise.
const SAMPLES_PER_SECOND: i32 = 99;

/// A profile under way; one at a time in a process.
pub struct CpuProfile {
    sampler: ProfilerGuard<'static>,
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
        let sampler = ProfilerGuardBuilder::default().frequency(SAMPLES_PER_SECOND).build();
        let sampler = sampler.map_err(|error| named(path, &error))?;
        Ok(Self { sampler, file, path: path.to_owned() })
    }

    /// Ends the sampling, looks the names up and writes the file.
    pub fn finish(mut self) -> io::Result<()> {
        let report = self.sampler.report().build().map_err(|error| named(&self.path, &error))?;
        drop(self.sampler);
        let profile = report.pprof().map_err(|error| named(&self.path, &error))?;
        let written = self
            .file
            .set_len(0)
            .and_then(|()| self.file.write_all(&profile.encode_to_vec()))
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

    #[inline(never)]
    fn burn(rounds: u64) -> u64 {
        (0..black_box(rounds)).fold(0, |sum, round| black_box(sum ^ round.wrapping_mul(sum | 1)))
    }

    #[test]
    fn writes_what_pprof_reads() {
        let folder = tempfile::tempdir().expect("a temp folder");
        let path = folder.path().join("cpu.pprof");
        fs::write(&path, vec![b'x'; 1 << 20]).expect("an older, longer profile");
        let profile = CpuProfile::start(&path).expect("a writable path");
        let has_samples = |profile: &CpuProfile| {
            profile.sampler.report().build().is_ok_and(|report| !report.data.is_empty())
        };
        while !has_samples(&profile) {
            black_box(burn(10_000_000));
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
