//! What jemalloc writes about the heap, and the same for `go tool pprof`.

use pprof::protos::{Function, Line, Location, Message, Profile, Sample, ValueType};
use std::collections::HashMap;
use std::ptr;

/// Where an allocation begins to be the allocator's business: pprof leaves out the functions that
/// match as a whole, and what they called.
const DROPPED: &str = "_rjem_.*|.*tikv_jemallocator.*|.*__rust_(alloc|alloc_zeroed|realloc)";

/// Stacks with what they allocated and did not release.
#[derive(Debug, PartialEq)]
pub(super) struct Dump {
    /// Bytes between two samples, in the mean.
    period: u64,
    stacks: Vec<Stack>,
}

#[derive(Debug, PartialEq)]
struct Stack {
    /// Return addresses, the innermost first.
    addresses: Vec<u64>,
    /// As sampled, not as there are.
    objects: u64,
    bytes: u64,
}

impl Dump {
    /// Reads `heap_v2/<period>`, then for each stack a line `@ 0x…` and one `t*: objects: bytes […]`
    /// for all threads; other lines are about single threads, or the maps of the process.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let mut lines = text.lines();
        let period = lines.next()?.strip_prefix("heap_v2/")?.parse().ok()?;
        let mut stacks = Vec::new();
        let mut stack: Option<Vec<u64>> = None;
        for line in lines {
            if let Some(words) = line.strip_prefix("@ ") {
                stack = words.split_whitespace().map(address).collect();
            } else if let Some(figures) = line.trim_start().strip_prefix("t*: ")
                && let Some(addresses) = stack.take()
            {
                let (objects, rest) = figures.split_once(": ")?;
                let (bytes, _) = rest.split_once(' ')?;
                let (objects, bytes) = (objects.parse().ok()?, bytes.parse().ok()?);
                stacks.push(Stack { addresses, objects, bytes });
            }
        }
        Some(Self { period, stacks })
    }
}

fn address(word: &str) -> Option<u64> {
    u64::from_str_radix(word.strip_prefix("0x")?, 16).ok()
}

impl Stack {
    /// What was sampled stands for more: an allocation of `size` bytes is noted with a chance of
    /// 1 - e^(-size / period). Estimates, so floats are in place.
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        reason = "an estimate, far below 2^53"
    )]
    fn estimate(&self, period: u64) -> [i64; 2] {
        let (objects, bytes) = (self.objects as f64, self.bytes as f64);
        let mean_size = bytes / objects.max(1.0);
        let scale = 1.0 / (1.0 - (-mean_size / period.max(1) as f64).exp());
        let scale = if scale.is_finite() { scale } else { 1.0 };
        [(objects * scale).round() as i64, (bytes * scale).round() as i64]
    }
}

/// The profile, with the names of this process's functions. Takes time: the first name reads the
/// program's debug data.
pub(super) fn encode(dump: &Dump) -> Vec<u8> {
    let mut encoder = Encoder::default();
    let mut profile = Profile {
        sample_type: vec![
            encoder.value_type("inuse_objects", "count"),
            encoder.value_type("inuse_space", "bytes"),
        ],
        period_type: Some(encoder.value_type("space", "bytes")),
        period: i64::try_from(dump.period).unwrap_or(i64::MAX),
        default_sample_type: encoder.text("inuse_space"),
        drop_frames: encoder.text(DROPPED),
        ..Profile::default()
    };
    for stack in &dump.stacks {
        let location_id = stack.addresses.iter().map(|at| encoder.location(*at)).collect();
        let value = stack.estimate(dump.period).into();
        profile.sample.push(Sample { location_id, value, ..Sample::default() });
    }
    let Encoder { texts, locations, functions, .. } = encoder;
    profile.location = locations;
    profile.function = functions;
    profile.string_table = texts;
    profile.encode_to_vec()
}

/// The tables of a profile; numbers of functions and locations count from 1.
struct Encoder {
    texts: Vec<String>,
    text_at: HashMap<String, i64>,
    locations: Vec<Location>,
    location_at: HashMap<u64, u64>,
    functions: Vec<Function>,
    function_at: HashMap<(i64, i64), u64>,
}

impl Default for Encoder {
    /// The first text is the empty one, by the format.
    fn default() -> Self {
        Self {
            texts: vec![String::new()],
            text_at: HashMap::from([(String::new(), 0)]),
            locations: Vec::new(),
            location_at: HashMap::new(),
            functions: Vec::new(),
            function_at: HashMap::new(),
        }
    }
}

impl Encoder {
    fn text(&mut self, text: &str) -> i64 {
        if let Some(at) = self.text_at.get(text) {
            return *at;
        }
        let at = i64::try_from(self.texts.len()).expect("texts fit into memory");
        self.texts.push(text.to_owned());
        self.text_at.insert(text.to_owned(), at);
        at
    }

    fn value_type(&mut self, of: &str, unit: &str) -> ValueType {
        ValueType { ty: self.text(of), unit: self.text(unit) }
    }

    fn location(&mut self, address: u64) -> u64 {
        if let Some(id) = self.location_at.get(&address) {
            return *id;
        }
        let id = self.locations.len() as u64 + 1;
        let line = self.lines(address);
        self.locations.push(Location { id, address, line, ..Location::default() });
        self.location_at.insert(address, id);
        id
    }

    /// A line for each function that was inlined there, the innermost first.
    fn lines(&mut self, address: u64) -> Vec<Line> {
        let mut symbols = Vec::new();
        // A return address may belong to the next line, or the next function.
        let call = usize::try_from(address.saturating_sub(1)).expect("an address of this process");
        backtrace::resolve(ptr::without_provenance_mut(call), |symbol| {
            let name = symbol.name().map(|name| format!("{name:#}"));
            let file = symbol.filename().map(|file| file.display().to_string());
            symbols.push((name, file, symbol.lineno()));
        });
        let lines = symbols.into_iter().map(|(name, file, line)| {
            let name = name.unwrap_or_else(|| format!("{address:#x}"));
            let function_id = self.function(&name, &file.unwrap_or_default());
            Line { function_id, line: line.map_or(0, i64::from) }
        });
        lines.collect()
    }

    fn function(&mut self, name: &str, file: &str) -> u64 {
        let (name, filename) = (self.text(name), self.text(file));
        let functions = &mut self.functions;
        *self.function_at.entry((name, filename)).or_insert_with(|| {
            let id = functions.len() as u64 + 1;
            let function =
                Function { id, name, system_name: name, filename, ..Function::default() };
            functions.push(function);
            id
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "heap_v2/524288
  t*: 3: 1048832 [0: 0]
  t0: 3: 1048832 [0: 0]
@ 0x10 0xff
  t*: 2: 1048576 [0: 0]
  t0: 2: 1048576 [0: 0]
@ 0x10
  t*: 1: 256 [0: 0]
  t1: 1: 256 [0: 0]

MAPPED_LIBRARIES:
55d0-55e0 r--p 00000000 fd:00 7 /bin/x
";

    #[test]
    fn stacks_are_read_with_their_sums_over_all_threads() {
        let stack = |addresses: &[u64], objects, bytes| Stack {
            addresses: addresses.into(),
            objects,
            bytes,
        };
        let stacks = vec![stack(&[0x10, 0xff], 2, 1_048_576), stack(&[0x10], 1, 256)];
        assert_eq!(Dump::parse(TEXT), Some(Dump { period: 524_288, stacks }));
        for wrong in ["", "heap profile: 1", "heap_v2/x", "heap_v2/1\n@ 0x1\n t*: 1 2\n"] {
            assert_eq!(Dump::parse(wrong), None, "{wrong:?}");
        }
    }

    #[test]
    fn a_sample_stands_for_all_that_were_not_noted() {
        let dump = Dump::parse(TEXT).expect("a dump");
        // One that is as large as the period is noted with a chance of 63 %.
        assert_eq!(dump.stacks[0].estimate(dump.period), [3, 1_658_823]);
        // A small one stands for a whole period.
        assert_eq!(dump.stacks[1].estimate(dump.period), [2_049, 524_416]);
    }

    #[test]
    fn the_profile_has_the_types_that_pprof_shows() {
        let dump = Dump::parse(TEXT).expect("a dump");
        let profile = Profile::decode(encode(&dump).as_slice()).expect("a profile");
        let text = |at: i64| &*profile.string_table[usize::try_from(at).expect("an index")];
        let types: Vec<_> =
            profile.sample_type.iter().map(|of| (text(of.ty), text(of.unit))).collect();
        assert_eq!(types, [("inuse_objects", "count"), ("inuse_space", "bytes")]);
        assert_eq!((profile.sample.len(), profile.location.len()), (2, 2));
        assert_eq!(profile.sample[0].location_id, [1, 2]);
    }
}
