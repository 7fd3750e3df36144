//! A body that did not arrive together with its head.

use super::Refusal;
use super::chunked::ChunkDecoder;
use super::head::Framing;
use super::options::BodyRoom;
use super::options::HttpOptions;
use super::response::Status;

/// A request whose head is complete and whose body is not.
#[derive(Debug)]
pub(super) struct Incoming {
    /// The head as it came, parsed again when the body is there: a borrow cannot wait.
    pub(super) head: Vec<u8>,
    /// Decoded so far.
    pub(super) body: Vec<u8>,
    framing: Rest,
    /// Where `taken` bytes were taken from, to be given back.
    room: BodyRoom,
    taken: usize,
    body_bytes_max: usize,
}

impl Drop for Incoming {
    fn drop(&mut self) {
        self.room.give_back(self.taken);
    }
}

#[derive(Debug)]
enum Rest {
    /// So many bytes are missing.
    Length(usize),
    Chunked(ChunkDecoder),
}

impl Incoming {
    pub(super) fn new(head: &[u8], framing: Framing, options: &HttpOptions) -> Self {
        let body_bytes_max = options.limits.body_bytes;
        let framing = match framing {
            Framing::Length(missing) => Rest::Length(missing),
            Framing::Chunked => Rest::Chunked(ChunkDecoder::new(body_bytes_max)),
        };
        // The body grows with what arrives, not with what was announced: announcing is free.
        let (head, body, room) = (head.to_vec(), Vec::new(), options.room.clone());
        Self { head, body, framing, room, taken: 0, body_bytes_max }
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
        let used = match &mut self.framing {
            Rest::Length(missing) => {
                let taken = input.len().min(*missing);
                self.body.extend_from_slice(&input[..taken]);
                *missing -= taken;
                taken
            }
            Rest::Chunked(decoder) => decoder.feed(input, &mut self.body)?,
        };
        let more = self.body.len() - self.taken;
        if !self.room.take(more, self.body_bytes_max) {
            return Err(Refusal(Status::UNAVAILABLE, "too many bodies are on their way"));
        }
        self.taken += more;
        Ok(used)
    }
}
