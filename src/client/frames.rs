//! Frames of the trading room as a client sees them: bytes in any pieces to whole frames.

use crate::limits::TLV_DATA_BYTES_MAX;
use crate::tlv::{HEADER_BYTES, Layout};
use std::io;

/// Clients of ours speak the newer layout.
const LAYOUT: Layout = Layout::Big;

/// Appends a frame to what is to be sent.
pub fn encode(id: u32, data: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(&LAYOUT.head(id, data));
    out.extend_from_slice(data);
}

/// Collects what arrives until frames are whole.
#[derive(Debug, Default)]
pub struct FrameReader {
    bytes: Vec<u8>,
    /// Where the first frame that was not taken begins.
    start: usize,
}

impl FrameReader {
    /// Takes what arrived.
    pub fn extend(&mut self, bytes: &[u8]) {
        // What was taken goes only now, so that many small frames are not moved one by one.
        self.bytes.drain(..self.start);
        self.start = 0;
        self.bytes.extend_from_slice(bytes);
    }

    /// The next whole frame: its id and its data. An error says that this is no trading room.
    pub fn next_frame(&mut self) -> io::Result<Option<(u32, &[u8])>> {
        let Some((header, rest)) = self.bytes[self.start..].split_first_chunk() else {
            return Ok(None);
        };
        let header = LAYOUT.header(header);
        let length = header
            .data_bytes(TLV_DATA_BYTES_MAX)
            .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
        if rest.len() < length {
            return Ok(None);
        }
        let data_at = self.start + HEADER_BYTES;
        self.start = data_at + length;
        Ok(Some((header.id, &self.bytes[data_at..self.start])))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_the_same_however_the_bytes_are_cut() {
        let mut bytes = Vec::new();
        let sent: Vec<(u32, Vec<u8>)> =
            [(1, b"{\"uid\":7}".to_vec()), (3, Vec::new()), (102, vec![b'x'; 4_096])].into();
        for (id, data) in &sent {
            encode(*id, data, &mut bytes);
        }
        for size in [1, 3, 8, 4_000, bytes.len()] {
            let (mut reader, mut seen) = (FrameReader::default(), Vec::new());
            for piece in bytes.chunks(size) {
                reader.extend(piece);
                while let Some((id, data)) = reader.next_frame().expect("well formed") {
                    seen.push((id, data.to_vec()));
                }
            }
            assert_eq!(seen, sent, "pieces of {size}");
        }
    }

    #[test]
    fn an_endless_frame_is_refused_before_it_is_kept() {
        let mut reader = FrameReader::default();
        reader.extend(b"HTTP/1.1 400 Bad Request");
        assert!(reader.next_frame().is_err());
    }
}
