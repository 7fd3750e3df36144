//! A body that did not arrive together with its head.

use super::Refusal;
use super::chunked::ChunkDecoder;
use super::head::Framing;
use super::options::HttpLimits;

/// A request whose head is complete and whose body is not.
#[derive(Debug)]
pub(super) struct Incoming {
    /// The head as it came, parsed again when the body is there: a borrow cannot wait.
    pub(super) head: Vec<u8>,
    /// Decoded so far.
    pub(super) body: Vec<u8>,
    framing: Rest,
}

#[derive(Debug)]
enum Rest {
    /// So many bytes are missing.
    Length(usize),
    Chunked(ChunkDecoder),
}

impl Incoming {
    pub(super) fn new(head: &[u8], framing: Framing, limits: &HttpLimits) -> Self {
        let framing = match framing {
            Framing::Length(missing) => Rest::Length(missing),
            Framing::Chunked => Rest::Chunked(ChunkDecoder::new(limits.body_bytes)),
        };
        // The body grows with what arrives, not with what was announced: announcing is free.
        Self { head: head.to_vec(), body: Vec::new(), framing }
    }

    /// True when the body is complete.
    pub(super) fn is_done(&self) -> bool {
        match &self.framing {
            Rest::Length(missing) => *missing == 0,
            Rest::Chunked(decoder) => decoder.is_done(),
        }
    }

    /// Takes what belongs to the body from the front of `input`; returns how many bytes.
    pub(super) fn feed(&mut self, input: &[u8]) -> Result<usize, Refusal> {
        match &mut self.framing {
            Rest::Length(missing) => {
                let taken = input.len().min(*missing);
                self.body.extend_from_slice(&input[..taken]);
                *missing -= taken;
                Ok(taken)
            }
            Rest::Chunked(decoder) => decoder.feed(input, &mut self.body),
        }
    }
}
