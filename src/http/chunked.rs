//! Decodes chunked bodies (RFC 9112 section 7.1), by hand, because a lenient decoder is how
//! requests are smuggled: 1 to 16 hex digits, strict CRLF, bounded extensions and trailers.

use super::Refusal;
use super::response::Status;
use crate::limits::{CHUNK_EXTENSION_BYTES_MAX, TRAILER_BYTES_MAX};

/// Where the next byte belongs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Hex digits of a size; so many were read.
    Size { digits: u8 },
    /// Spaces between the size and the semicolon of an extension.
    SizeBlank,
    /// After the semicolon.
    Extension,
    /// The LF of a size line.
    SizeLf,
    /// So many bytes of content are missing.
    Data { missing: usize },
    /// The CR after the content.
    DataCr,
    /// The LF after the content.
    DataLf,
    /// The first byte of a trailer line, or the CR of the last line.
    TrailerStart,
    /// Within a trailer line.
    Trailer { named: bool },
    /// The LF of a trailer line.
    TrailerLf,
    /// The last LF.
    EndLf,
    /// All is read.
    Done,
}

/// Progress through one chunked body.
#[derive(Debug)]
pub(super) struct ChunkDecoder {
    state: State,
    /// Value of the size being read; at most 16 digits, so it cannot overflow.
    size: u64,
    extension_bytes: usize,
    trailer_bytes: usize,
    body_bytes_max: usize,
}

const fn bad(why: &'static str) -> Refusal {
    Refusal(Status::BAD_REQUEST, why)
}

impl ChunkDecoder {
    pub(super) fn new(body_bytes_max: usize) -> Self {
        let state = State::Size { digits: 0 };
        Self { state, size: 0, extension_bytes: 0, trailer_bytes: 0, body_bytes_max }
    }

    /// True when the last chunk and the trailers have been read.
    pub(super) fn is_done(&self) -> bool {
        self.state == State::Done
    }

    /// Decodes `input` up to the end of the body, appending content to `body`. Returns how many
    /// bytes were taken: all of them unless the body ends earlier.
    pub(super) fn feed(&mut self, input: &[u8], body: &mut Vec<u8>) -> Result<usize, Refusal> {
        let mut used = 0;
        while used < input.len() && !self.is_done() {
            if let State::Data { missing } = self.state {
                let taken = missing.min(input.len() - used);
                body.extend_from_slice(&input[used..used + taken]);
                used += taken;
                let missing = missing - taken;
                self.state = if missing == 0 { State::DataCr } else { State::Data { missing } };
            } else {
                self.state = self.step(input[used], body.len())?;
                used += 1;
            }
        }
        Ok(used)
    }

    /// Where one byte outside of the content leads.
    fn step(&mut self, byte: u8, body_bytes: usize) -> Result<State, Refusal> {
        match (self.state, byte) {
            (State::Size { digits }, _) if byte.is_ascii_hexdigit() => self.digit(digits, byte),
            (State::Size { digits: 0 }, _) => Err(bad("a chunk begins with its size")),
            (State::Size { .. } | State::SizeBlank, b';') => Ok(State::Extension),
            (State::Size { .. } | State::SizeBlank, b' ' | b'\t') => {
                // Blanks are allowed only before an extension.
                self.count_extension()?;
                Ok(State::SizeBlank)
            }
            (State::Size { .. } | State::Extension, b'\r') => Ok(State::SizeLf),
            (State::Size { .. } | State::SizeBlank, _) => Err(bad("a chunk size is hex digits")),
            (State::Extension, _) if is_field_byte(byte) => {
                self.count_extension()?;
                Ok(State::Extension)
            }
            (State::Extension, _) => Err(bad("a chunk extension holds a control byte")),
            (State::SizeLf, b'\n') => self.begin_data(body_bytes),
            (State::DataCr, b'\r') => Ok(State::DataLf),
            (State::DataLf, b'\n') => {
                self.size = 0;
                Ok(State::Size { digits: 0 })
            }
            (State::TrailerStart, b'\r') => Ok(State::EndLf),
            (State::TrailerStart | State::Trailer { .. } | State::TrailerLf, _) => {
                self.trailer(byte)
            }
            (State::EndLf, b'\n') => Ok(State::Done),
            _ => Err(bad("a chunk must end in CR LF")),
        }
    }

    fn digit(&mut self, digits: u8, byte: u8) -> Result<State, Refusal> {
        if digits == 16 {
            return Err(bad("a chunk size has at most 16 digits"));
        }
        let value = char::from(byte).to_digit(16).expect("the caller saw a hex digit");
        self.size = self.size << 4 | u64::from(value);
        Ok(State::Size { digits: digits + 1 })
    }

    fn count_extension(&mut self) -> Result<(), Refusal> {
        self.extension_bytes += 1;
        if self.extension_bytes > CHUNK_EXTENSION_BYTES_MAX {
            return Err(bad("the chunk extensions are too long"));
        }
        Ok(())
    }

    /// The size is compared with what is left of the limit, never added to anything first.
    fn begin_data(&mut self, body_bytes: usize) -> Result<State, Refusal> {
        let room = self.body_bytes_max.saturating_sub(body_bytes);
        match usize::try_from(self.size) {
            Ok(0) => Ok(State::TrailerStart),
            Ok(missing) if missing <= room => Ok(State::Data { missing }),
            _ => Err(Refusal(Status::CONTENT_TOO_LARGE, "the body is too long")),
        }
    }

    /// Trailers are read past: no field that arrives after the body may change what it means.
    fn trailer(&mut self, byte: u8) -> Result<State, Refusal> {
        self.trailer_bytes += 1;
        if self.trailer_bytes > TRAILER_BYTES_MAX {
            return Err(Refusal(Status::HEADERS_TOO_LARGE, "the trailers are too long"));
        }
        match (self.state, byte) {
            (State::TrailerStart, _) if is_name_byte(byte) => Ok(State::Trailer { named: false }),
            (State::Trailer { named: false }, b':') => Ok(State::Trailer { named: true }),
            (State::Trailer { named: false }, _) if is_name_byte(byte) => Ok(self.state),
            (State::Trailer { named: true }, b'\r') => Ok(State::TrailerLf),
            (State::Trailer { named: true }, _) if is_field_byte(byte) => Ok(self.state),
            (State::TrailerLf, b'\n') => Ok(State::TrailerStart),
            _ => Err(bad("a trailer field is malformed")),
        }
    }
}

/// Visible characters, blanks and obs-text: what a field value may hold.
fn is_field_byte(byte: u8) -> bool {
    byte == b'\t' || (byte >= b' ' && byte != 0x7f)
}

/// A token character of RFC 9110 section 5.6.2.
fn is_name_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}
