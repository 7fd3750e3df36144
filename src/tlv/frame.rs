//! Frames: a header of two u32 in one of two layouts, then data (api.md, "Trading room").

use crate::session::SendQueue;
use serde_json::json;
use std::sync::Arc;

/// Message id and data length.
pub const HEADER_BYTES: usize = 8;

/// Message ids that the protocol itself knows; the rest belong to the service.
pub mod id {
    /// Server: a request was refused; the connection stays.
    pub const ERROR: u32 = 0;
    /// Server, on connect.
    pub const WELCOME: u32 = 1;
    /// Client, answered with the same: the other side lives.
    pub const HEARTBEAT: u32 = 99_999;

    /// The ids that a client may send, and so the first header of one begins with; another id gets
    /// an error frame, but tells no layout.
    pub const fn is_from_client(id: u32) -> bool {
        matches!(id, 2..=7 | HEARTBEAT)
    }
}

/// The two headers in the wild.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    /// Id, then length, big-endian: zinx since April 2023.
    Big,
    /// Length, then id, little-endian: zinx before.
    Little,
}

/// What comes in front of the data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// The message id.
    pub id: u32,
    /// Bytes of data that follow, as announced.
    pub length: u32,
}

/// The announced length is beyond the limit; the stream cannot be followed any further.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a frame announces more data than is allowed")]
pub struct TooLong;

impl Layout {
    /// With a limit up to this, no header fits both layouts: read in the other layout, the id of a
    /// client gives a length of at least 2 << 24.
    pub const DETECTABLE_DATA_BYTES_MAX: usize = (2 << 24) - 1;

    /// The layout of a client's first header: the one in which the id is a client's and the length
    /// within the limit; `None` when it fits neither, so that this is no client of ours.
    pub fn detect(bytes: &[u8; HEADER_BYTES], data_bytes_max: usize) -> Option<Self> {
        [Layout::Big, Layout::Little].into_iter().find(|layout| {
            let header = layout.header(bytes);
            id::is_from_client(header.id) && header.data_bytes(data_bytes_max).is_ok()
        })
    }

    /// Reads a header.
    pub fn header(self, bytes: &[u8; HEADER_BYTES]) -> Header {
        let (words, _) = bytes.as_chunks();
        let (first, second) = (words[0], words[1]);
        match self {
            Layout::Big => {
                Header { id: u32::from_be_bytes(first), length: u32::from_be_bytes(second) }
            }
            Layout::Little => {
                Header { length: u32::from_le_bytes(first), id: u32::from_le_bytes(second) }
            }
        }
    }

    /// Writes a frame.
    pub fn encode(self, id: u32, data: &[u8], out: &mut SendQueue) {
        let head = self.head(id, data);
        out.write(|tail| {
            tail.reserve(HEADER_BYTES + data.len());
            tail.extend_from_slice(&head);
            tail.extend_from_slice(data);
        });
    }

    /// A frame by itself.
    pub fn frame(self, frame: &Frame) -> Vec<u8> {
        let data = frame.data.bytes();
        [&self.head(frame.id, data), data].concat()
    }

    /// What comes in front of the data.
    pub fn head(self, id: u32, data: &[u8]) -> [u8; HEADER_BYTES] {
        let length = u32::try_from(data.len()).expect("our frames are a few kilobytes");
        let (first, second) = match self {
            Layout::Big => (id.to_be_bytes(), length.to_be_bytes()),
            Layout::Little => (length.to_le_bytes(), id.to_le_bytes()),
        };
        let mut head = [0; HEADER_BYTES];
        head[..4].copy_from_slice(&first);
        head[4..].copy_from_slice(&second);
        head
    }
}

impl Header {
    /// The announced length, checked before anything relies on it.
    pub fn data_bytes(self, data_bytes_max: usize) -> Result<usize, TooLong> {
        let length = usize::try_from(self.length).map_err(|_| TooLong)?;
        if length > data_bytes_max { Err(TooLong) } else { Ok(length) }
    }
}

/// Content of a frame.
#[derive(Clone, Debug)]
pub enum Data {
    /// Made for this frame.
    Owned(Vec<u8>),
    /// Encoded once for many connections, whatever their layouts.
    Shared(Arc<[u8]>),
    /// Part of the program.
    Static(&'static str),
}

impl Data {
    /// The content.
    pub fn bytes(&self) -> &[u8] {
        match self {
            Data::Owned(bytes) => bytes,
            Data::Shared(bytes) => bytes,
            Data::Static(text) => text.as_bytes(),
        }
    }
}

impl From<String> for Data {
    fn from(text: String) -> Self {
        Data::Owned(text.into_bytes())
    }
}

impl From<Vec<u8>> for Data {
    fn from(bytes: Vec<u8>) -> Self {
        Data::Owned(bytes)
    }
}

impl From<Arc<[u8]>> for Data {
    fn from(bytes: Arc<[u8]>) -> Self {
        Data::Shared(bytes)
    }
}

impl From<&'static str> for Data {
    fn from(text: &'static str) -> Self {
        Data::Static(text)
    }
}

/// A frame to send; the session adds the header in the layout of its connection.
#[derive(Clone, Debug)]
pub struct Frame {
    /// What it is.
    pub id: u32,
    /// Its content.
    pub data: Data,
}

impl Frame {
    /// A frame of any kind.
    pub fn new(id: u32, data: impl Into<Data>) -> Self {
        Self { id, data: data.into() }
    }

    /// An error frame: `request` is the id of the message that is refused, `code` one of api.md's.
    pub fn error(request: u32, code: &str, message: &str) -> Self {
        let data = json!({ "request": request, "code": code, "message": message });
        Self::new(id::ERROR, data.to_string())
    }

    /// For an id that nobody here answers.
    pub fn unknown_message(request: u32) -> Self {
        Self::error(request, "unknown_message", "no message has this id")
    }

    /// The server could not; the same again may succeed.
    pub fn busy(request: u32) -> Self {
        Self::error(request, "busy", "the request could not be finished, try again")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::TLV_DATA_BYTES_MAX;
    use proptest::prelude::*;

    #[track_caller]
    fn check(bytes: [u8; 8], expected: Option<Layout>) {
        assert_eq!(Layout::detect(&bytes, TLV_DATA_BYTES_MAX), expected, "{bytes:?}");
    }

    #[test]
    fn the_first_header_tells_the_layout() {
        check([0, 0, 0, 2, 0, 0, 0, 0], Some(Layout::Big));
        check([0, 0, 0, 7, 0, 0, 0x10, 0], Some(Layout::Big));
        check([0, 1, 0x86, 0x9f, 0, 0, 0, 2], Some(Layout::Big));
        check([0, 0, 0, 0, 2, 0, 0, 0], Some(Layout::Little));
        check([0, 0x10, 0, 0, 7, 0, 0, 0], Some(Layout::Little));
        check([2, 0, 0, 0, 0x9f, 0x86, 1, 0], Some(Layout::Little));
    }

    #[test]
    fn a_first_header_of_something_else_tells_none() {
        check([0; 8], None);
        check([0xff; 8], None);
        check(*b"GET / HT", None);
        check([0x16, 3, 1, 2, 0, 1, 0, 1], None);
        // Ids of the server, and one that nobody has.
        check([0, 0, 0, 1, 0, 0, 0, 0], None);
        check([0, 0, 0, 101, 0, 0, 0, 0], None);
        check([0, 0, 0, 0, 8, 0, 0, 0], None);
        // One byte more than allowed.
        check([0, 0, 0, 2, 0, 0, 0x10, 1], None);
        check([1, 0x10, 0, 0, 2, 0, 0, 0], None);
    }

    #[test]
    fn lengths_beyond_the_limit_are_refused() {
        for (length, ok) in [(0, true), (4_096, true), (4_097, false), (u32::MAX, false)] {
            let header = Header { id: 2, length };
            assert_eq!(header.data_bytes(TLV_DATA_BYTES_MAX).is_ok(), ok, "{length}");
        }
    }

    #[test]
    fn an_error_names_the_request_and_the_reason() {
        let frame = Frame::unknown_message(12);
        assert_eq!(frame.id, id::ERROR);
        let data: serde_json::Value =
            serde_json::from_slice(frame.data.bytes()).expect("errors are JSON");
        assert_eq!((&data["request"], &data["code"]), (&json!(12), &json!("unknown_message")));
        assert!(data["message"].is_string());
    }

    proptest! {
        #[test]
        fn no_header_fits_both_layouts(
            bytes: [u8; 8],
            client_id in prop_oneof![2..=7_u32, Just(id::HEARTBEAT)],
            length: u32,
        ) {
            let max = Layout::DETECTABLE_DATA_BYTES_MAX;
            let fits = |layout: Layout, bytes: &[u8; 8]| {
                let header = layout.header(bytes);
                id::is_from_client(header.id) && header.data_bytes(max).is_ok()
            };
            let mut big = [0; 8];
            big[..4].copy_from_slice(&client_id.to_be_bytes());
            big[4..].copy_from_slice(&length.to_be_bytes());
            for candidate in [bytes, big] {
                prop_assert!(!(fits(Layout::Big, &candidate) && fits(Layout::Little, &candidate)));
            }
        }

        #[test]
        fn what_is_written_is_read_back(
            id: u32,
            data in proptest::collection::vec(any::<u8>(), 0..50),
        ) {
            for layout in [Layout::Big, Layout::Little] {
                let mut out = SendQueue::default();
                layout.encode(id, &data, &mut out);
                let mut slices = [std::io::IoSlice::new(&[])];
                prop_assert_eq!(out.gather(&mut slices), 1);
                let (header, rest) = slices[0].split_first_chunk().expect("a header is in front");
                let header = layout.header(header);
                prop_assert_eq!((header.id, header.length as usize), (id, data.len()));
                prop_assert_eq!(rest, &data[..]);
            }
        }
    }
}
