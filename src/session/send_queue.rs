//! Bytes on their way to one peer: small ones copied together, large ones shared without a copy.

use std::collections::VecDeque;
use std::io::IoSlice;
use std::sync::Arc;

/// Bodies up to this size are copied behind their head, so that one plain `send` carries both;
/// larger ones are shared, and a copy would cost more than a second slice.
pub(crate) const COPIED_BYTES_MAX: usize = 4 * 1024;

/// A buffer that a burst of answers grew beyond this is not kept.
const KEPT_BYTES_MAX: usize = 16 * COPIED_BYTES_MAX;

/// Bytes in order, oldest first: copied ones in one buffer, and behind it what is too large to copy.
/// An empty queue keeps the buffer, because the loop lends the same few queues to all its
/// connections; so most answers go through it alone.
///
/// Invariant: `len` is the number of unsent bytes, and no chunk is empty.
#[derive(Debug, Default)]
pub struct SendQueue {
    /// Goes out before the chunks, and is appended to while there are none.
    copied: Vec<u8>,
    chunks: VecDeque<Chunk>,
    /// Bytes of the oldest that are already sent: of `copied`, or of the first chunk without it.
    sent: usize,
    len: usize,
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
        Self { copied: Vec::new(), chunks: VecDeque::new(), sent: 0, len: 0 }
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

    /// Lets `fill` append to the bytes at the end.
    pub fn write(&mut self, fill: impl FnOnce(&mut Vec<u8>)) {
        let tail = match self.chunks.back_mut() {
            None => &mut self.copied,
            Some(Chunk::Owned(tail)) => tail,
            Some(_) => {
                let mut tail = Vec::new();
                fill(&mut tail);
                return self.push_owned(tail);
            }
        };
        let before = tail.len();
        fill(tail);
        self.len += tail.len() - before;
    }

    /// Appends bytes without copying them.
    pub fn push_owned(&mut self, bytes: Vec<u8>) {
        if !bytes.is_empty() {
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
        let copied = Some(&*self.copied).filter(|copied| !copied.is_empty());
        let mut skip = self.sent;
        let mut used = 0;
        for (slice, bytes) in
            slices.iter_mut().zip(copied.into_iter().chain(self.chunks.iter().map(Chunk::bytes)))
        {
            *slice = IoSlice::new(&bytes[skip..]);
            skip = 0;
            used += 1;
        }
        used
    }

    /// What to send first; all there is unless something large was queued.
    pub fn front(&self) -> &[u8] {
        let copied = (!self.copied.is_empty()).then_some(&*self.copied);
        let front = copied.or_else(|| self.chunks.front().map(Chunk::bytes));
        &front.unwrap_or_default()[self.sent..]
    }

    /// Drops `count` bytes from the front: they were sent.
    pub fn advance(&mut self, count: usize) {
        assert!(count <= self.len, "sent more than was queued");
        self.len -= count;
        self.sent += count;
        if self.sent < self.copied.len() {
            return;
        }
        self.sent -= self.copied.len();
        self.copied.clear();
        if self.copied.capacity() > KEPT_BYTES_MAX {
            self.copied = Vec::new();
        }
        while let Some(first) = self.chunks.front() {
            let size = first.bytes().len();
            if self.sent < size {
                return;
            }
            self.sent -= size;
            self.chunks.pop_front();
        }
        debug_assert!(self.len == 0 && self.sent == 0, "all is gone, so are all bytes");
    }

    /// Forgets everything unsent.
    pub fn clear(&mut self) {
        self.advance(self.len);
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
