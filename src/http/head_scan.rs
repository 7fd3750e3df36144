//! Finds the end of a head byte by byte received, each looked at once, so that a trickled head is
//! not parsed again and again; the limits of a head are checked here.

use super::Refusal;
use super::options::HttpLimits;
use super::response::Status;
use crate::limits::HEADER_SLOTS_MAX;

/// How far a head has been looked at. Positions count from the first byte of the request line and
/// fit `u32`, because a head beyond the limits is refused long before.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct HeadScan {
    /// Bytes already looked at.
    seen: u32,
    /// Where the unfinished line begins.
    line_start: u32,
    /// Where the header fields begin; 0 until the request line is complete.
    fields_start: u32,
    /// Complete header fields.
    fields: u32,
}

impl HeadScan {
    /// Nothing was looked at yet.
    pub(super) fn is_fresh(&self) -> bool {
        self.seen == 0
    }

    /// Looks at what is new in `bytes`, which begin with the request line. `Ok(Some(size))` once
    /// the blank line is there; size includes it. Only an unfinished look is remembered, so asking
    /// again gives the same answer.
    pub(super) fn find_end(
        &mut self,
        bytes: &[u8],
        limits: &HttpLimits,
    ) -> Result<Option<usize>, Refusal> {
        let mut from = self.seen as usize;
        let mut line_start = self.line_start as usize;
        let mut fields_start = self.fields_start as usize;
        let mut fields = self.fields;
        while let Some(found) = memchr::memchr(b'\n', &bytes[from..]) {
            let lf = from + found;
            from = lf + 1;
            check_size(lf + 1, fields_start, limits)?;
            // A lone LF ends a line for some parsers and not for others: never guess.
            if lf == line_start || bytes[lf - 1] != b'\r' {
                return Err(Refusal(Status::BAD_REQUEST, "a line must end in CR LF"));
            }
            if fields_start == 0 {
                fields_start = from;
            } else if lf - line_start == 1 {
                return Ok(Some(from));
            } else {
                fields += 1;
                if fields as usize > limits.header_count.min(HEADER_SLOTS_MAX) {
                    return Err(Refusal(Status::HEADERS_TOO_LARGE, "too many header fields"));
                }
            }
            line_start = from;
        }
        check_size(bytes.len(), fields_start, limits)?;
        self.seen = to_u32(bytes.len())?;
        self.line_start = to_u32(line_start)?;
        self.fields_start = to_u32(fields_start)?;
        self.fields = fields;
        Ok(None)
    }
}

/// Refuses when the part that ends at `end` is longer than allowed. It sees the same positions
/// however the bytes were cut, so the verdict is the same.
fn check_size(end: usize, fields_start: usize, limits: &HttpLimits) -> Result<(), Refusal> {
    if fields_start == 0 {
        // The CRLF is not part of the line, and while it is incomplete its CR is not known as such.
        if end > limits.request_line_bytes.saturating_add(2) {
            return Err(Refusal(Status::URI_TOO_LONG, "the request line is too long"));
        }
    } else if end - fields_start > limits.header_bytes.saturating_add(2) {
        return Err(Refusal(Status::HEADERS_TOO_LARGE, "the header fields are too long"));
    }
    Ok(())
}

fn to_u32(position: usize) -> Result<u32, Refusal> {
    let too_large = Refusal(Status::HEADERS_TOO_LARGE, "the head is too long");
    u32::try_from(position).map_err(|_| too_large)
}

/// How many bytes of blank lines come before the request line; old clients send them after a body
/// (RFC 9112 section 2.2). Only CR LF counts; a lone LF is refused with the head.
pub(super) fn blank_lines(bytes: &[u8]) -> usize {
    let mut size = 0;
    while bytes[size..].starts_with(b"\r\n") {
        size += 2;
    }
    size
}
