//! A folder whose power can be cut: beside it lies a copy that holds only what was synced.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

/// The preload library that keeps the copy; empty where it cannot be built.
static LIBRARY: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/power_cut.so"));

/// What a disk writes at once, or not at all.
const SECTOR_BYTES: usize = 512;

/// Small numbers from a seed (xorshift), so that a run can be repeated.
#[derive(Clone, Debug)]
pub struct Dice(u64);

impl Dice {
    /// Any seed will do.
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    /// From 0 up to `bound`, which is left out.
    pub fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 20) % bound
    }
}

/// See the module documentation. The folder goes when this is dropped, unless it was kept.
pub struct Bed {
    folder: PathBuf,
    kept: std::cell::Cell<bool>,
}

impl Bed {
    /// Makes a new folder: `folder`, which must not exist, or one among the temporary ones.
    pub fn new(folder: Option<&Path>) -> io::Result<Self> {
        if LIBRARY.is_empty() {
            let why = "power cuts need a Linux with glibc, where this program was built too";
            return Err(io::Error::new(io::ErrorKind::Unsupported, why));
        }
        let folder = match folder {
            Some(folder) => std::path::absolute(folder)?,
            None => {
                std::env::temp_dir().join(format!("fanfare-torture-{:016x}", fastrand::u64(..)))
            }
        };
        let named = |error: io::Error| {
            io::Error::new(error.kind(), format!("{} (--dir): {error}", folder.display()))
        };
        fs::create_dir(&folder).map_err(named)?;
        // The library compares with the path as the kernel knows it.
        let folder = folder.canonicalize()?;
        fs::write(folder.join("power_cut.so"), LIBRARY)?;
        Ok(Self { folder, kept: std::cell::Cell::new(false) })
    }

    /// The data folder of the server.
    pub fn live(&self) -> PathBuf {
        self.folder.join("live")
    }

    fn durable(&self) -> PathBuf {
        self.folder.join("durable")
    }

    fn fault(&self) -> PathBuf {
        self.folder.join("fault")
    }

    /// What the server's environment needs.
    pub fn environment(&self) -> [(&'static str, PathBuf); 4] {
        [
            ("LD_PRELOAD", self.folder.join("power_cut.so")),
            ("SHIM_LIVE", self.live()),
            ("SHIM_DURABLE", self.durable()),
            ("SHIM_FAULT", self.fault()),
        ]
    }

    /// What the disk does from now on: `fail`, `hold`, `full`, or nothing special.
    pub fn set_fault(&self, fault: &str) -> io::Result<()> {
        // At once: a file that is read half written would name no fault.
        let next = self.folder.join("fault.next");
        fs::write(&next, fault)?;
        fs::rename(next, self.fault())
    }

    /// Keeps the folder for a look at it.
    pub fn keep(&self) -> &Path {
        self.kept.set(true);
        &self.folder
    }

    /// Leaves in the live folder what a power cut would: synced content, and of each sector that
    /// was written but not synced, either version. The server must be dead.
    pub fn cut_power(&self, dice: &mut Dice) -> io::Result<()> {
        let mut files = Vec::new();
        for entry in fs::read_dir(self.durable().join("names"))? {
            let entry = entry?;
            let identity = fs::read_to_string(entry.path())?;
            let synced = fs::read(self.durable().join("data").join(identity))?;
            let live = fs::read(self.live().join(entry.file_name())).unwrap_or_default();
            files.push((entry.file_name(), torn(synced, &live, dice)));
        }
        fs::remove_dir_all(self.live())?;
        fs::remove_dir_all(self.durable())?;
        for folder in [self.live(), self.durable().join("data"), self.durable().join("names")] {
            fs::create_dir_all(folder)?;
        }
        // What the disk holds now is durable from here on, synced again or not.
        for (name, content) in files {
            let file = self.live().join(&name);
            fs::write(&file, &content)?;
            let identity = identity(&fs::metadata(&file)?);
            fs::write(self.durable().join("data").join(&identity), content)?;
            fs::write(self.durable().join("names").join(name), identity)?;
        }
        Ok(())
    }
}

impl Drop for Bed {
    fn drop(&mut self) {
        if !self.kept.get() {
            // What cannot be removed lies among the temporary files.
            let _ = fs::remove_dir_all(&self.folder);
        }
    }
}

/// By which the library knows a file; see there.
fn identity(metadata: &fs::Metadata) -> String {
    let born = metadata.created().ok().and_then(|time| time.duration_since(UNIX_EPOCH).ok());
    format!("{}-{}", metadata.ino(), born.unwrap_or_default().as_nanos())
}

fn torn(synced: Vec<u8>, live: &[u8], dice: &mut Dice) -> Vec<u8> {
    let mut result = synced;
    // One cut in three keeps nothing of what was not synced; the others keep some sectors.
    let chance = dice.below(3);
    for start in (0..live.len()).step_by(SECTOR_BYTES) {
        if dice.below(4) >= chance {
            continue;
        }
        let end = (start + SECTOR_BYTES).min(live.len());
        if result.len() < end {
            result.resize(end, 0);
        }
        result[start..end].copy_from_slice(&live[start..end]);
    }
    result
}
