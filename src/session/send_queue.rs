//! Bytes on their way to one peer: small ones copied together, large ones shared without a copy.

use std::collections::VecDeque;
use std::io::IoSlice;
use std::sync::Arc;

/// Bodies up to this size are copied behind their head, so that one plain `send` carries both;
/// larger ones are shared, and a copy would cost more than a second slice.
pub(crate) const COPIED_BYTES_MAX: usize = 4 * 1024;

/// Chunks in order, oldest first. Empty queues keep one small buffer, because the loop lends the
/// same few queues to all its connections.
///
/// Invariant: `len` is the number of unsent bytes, and no chunk is empty.
#[derive(Debug, Default)]
pub struct SendQueue {
    chunks: VecDeque<Chunk>,
    /// Bytes of the first chunk that are already sent.
    sent: usize,
    len: usize,
    /// The buffer of the last owned chunk that went out, to be filled again.
    spare: Vec<u8>,
}

#[derive(Debug)]
enum Chunk {
    Owned(Vec<u8>),
    Shared(Arc<[u8]>),
    Static(&'static [u8]),
}

impl Chunk {
    fn bytes(&self) -> &[u8] {
        match self {
            Chunk::Owned(bytes) => bytes,
            Chunk::Shared(bytes) => bytes,
            Chunk::Static(bytes) => bytes,
        }
    }
}

impl SendQueue {
    /// Nothing queued, nothing allocated.
    pub const fn new() -> Self {
        Self { chunks: VecDeque::new(), sent: 0, len: 0, spare: Vec::new() }
    }

    /// Unsent bytes.
    pub fn len(&self) -> usize {
        self.len
    }

    /// True when all has been sent.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Appends a copy of `bytes`.
    pub fn extend(&mut self, bytes: &[u8]) {
        self.write(|tail| tail.extend_from_slice(bytes));
    }

    /// Lets `fill` append to the owned bytes at the end.
    pub fn write(&mut self, fill: impl FnOnce(&mut Vec<u8>)) {
        if let Some(Chunk::Owned(tail)) = self.chunks.back_mut() {
            let before = tail.len();
            fill(tail);
            self.len += tail.len() - before;
            return;
        }
        let mut tail = std::mem::take(&mut self.spare);
        fill(&mut tail);
        self.push_owned(tail);
    }

    /// Appends bytes without copying them.
    pub fn push_owned(&mut self, bytes: Vec<u8>) {
        if bytes.is_empty() {
            self.keep_spare(bytes);
        } else {
            self.len += bytes.len();
            self.chunks.push_back(Chunk::Owned(bytes));
        }
    }

    /// Appends shared bytes: by reference when large, as a copy when a copy is cheaper.
    pub fn push_shared(&mut self, bytes: &Arc<[u8]>) {
        if bytes.len() <= COPIED_BYTES_MAX {
            self.extend(bytes);
        } else {
            self.len += bytes.len();
            self.chunks.push_back(Chunk::Shared(Arc::clone(bytes)));
        }
    }

    /// Appends bytes that live as long as the program.
    pub fn push_static(&mut self, bytes: &'static [u8]) {
        if bytes.len() <= COPIED_BYTES_MAX {
            self.extend(bytes);
        } else {
            self.len += bytes.len();
            self.chunks.push_back(Chunk::Static(bytes));
        }
    }

    /// Fills `slices` from the front for one gathering write; returns how many are used.
    pub fn gather<'a>(&'a self, slices: &mut [IoSlice<'a>]) -> usize {
        let mut skip = self.sent;
        let mut used = 0;
        for (slice, chunk) in slices.iter_mut().zip(&self.chunks) {
            *slice = IoSlice::new(&chunk.bytes()[skip..]);
            skip = 0;
            used += 1;
        }
        used
    }

    /// Drops `count` bytes from the front: they were sent.
    pub fn advance(&mut self, count: usize) {
        assert!(count <= self.len, "sent more than was queued");
        self.len -= count;
        self.sent += count;
        while let Some(first) = self.chunks.front() {
            let size = first.bytes().len();
            if self.sent < size {
                return;
            }
            self.sent -= size;
            if let Some(Chunk::Owned(bytes)) = self.chunks.pop_front() {
                self.keep_spare(bytes);
            }
        }
        debug_assert!(self.len == 0 && self.sent == 0, "all chunks are gone, so are all bytes");
    }

    /// Forgets everything unsent.
    pub fn clear(&mut self) {
        self.advance(self.len);
    }

    /// Keeps a finished buffer unless it grew beyond what a common answer needs.
    fn keep_spare(&mut self, mut bytes: Vec<u8>) {
        if bytes.capacity() > self.spare.capacity() && bytes.capacity() <= 16 * COPIED_BYTES_MAX {
            bytes.clear();
            self.spare = bytes;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drain(queue: &mut SendQueue, step: usize) -> Vec<u8> {
        let mut output = Vec::new();
        while !queue.is_empty() {
            let mut slices = [IoSlice::new(&[]); 2];
            let used = queue.gather(&mut slices);
            let bytes: Vec<u8> =
                slices[..used].iter().flat_map(|slice| slice.iter().copied()).collect();
            let taken = bytes.len().min(step);
            output.extend_from_slice(&bytes[..taken]);
            queue.advance(taken);
        }
        output
    }

    #[test]
    fn bytes_leave_in_order_however_the_kernel_takes_them() {
        let large: Arc<[u8]> = (0..2_000_u32).flat_map(u32::to_be_bytes).collect();
        for step in [1, 7, 4_096, 1 << 20] {
            let mut queue = SendQueue::default();
            queue.extend(b"head ");
            queue.push_shared(&large);
            queue.push_static(b"tail");
            let expected: Vec<u8> = [b"head ".as_slice(), &large, b"tail"].concat();
            assert_eq!(queue.len(), expected.len());
            assert_eq!(drain(&mut queue, step), expected, "step {step}");
        }
    }

    #[test]
    fn small_chunks_become_one_slice() {
        let mut queue = SendQueue::default();
        queue.extend(b"a");
        queue.push_shared(&Arc::from(b"b".as_slice()));
        queue.push_static(b"c");
        let mut slices = [IoSlice::new(&[]); 4];
        assert_eq!(queue.gather(&mut slices), 1);
        assert_eq!(&*slices[0], b"abc");
    }

    #[test]
    fn clearing_a_half_sent_queue_leaves_it_usable() {
        let mut queue = SendQueue::default();
        queue.extend(b"abc");
        queue.advance(1);
        queue.clear();
        queue.extend(b"d");
        assert_eq!(drain(&mut queue, 10), b"d");
    }
}
