//! What is to be written to a connection.

use std::io::IoSlice;
use std::mem;

use crate::pattern::Body;

/// How many bytes of answers are collected before no further request of a pipeline is processed. So
/// much, and one answer more, is what a client can make a server hold that does not read.
pub const OUTPUT_LIMIT: usize = 64 * 1024;

/// What is to be written to a connection, in this order: bytes, then perhaps a part of the
/// [pattern](crate::pattern), which is not copied.
///
/// A worker has one, which it lends to the connection at hand. Only if not all of it can be written
/// does it part with it until it can be.
#[derive(Debug, Default)]
pub struct Output {
    pub(crate) bytes: Vec<u8>,
    written: usize,
    pub(crate) body: Body,
}

impl Output {
    /// Whether all is written.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.written == self.bytes.len() && self.body.len == 0
    }

    /// The bytes that are to be written first.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes[self.written..]
    }

    /// The part of the pattern that is to be written after them.
    #[must_use]
    pub fn body(&self) -> Option<Body> {
        (self.body.len > 0).then_some(self.body)
    }

    /// Both, up to the pattern's end in memory, for `writev`. Either may be empty.
    #[must_use]
    pub fn slices(&self) -> [IoSlice<'_>; 2] {
        let body = self.body().map_or(&[][..], Body::memory);
        [IoSlice::new(self.bytes()), IoSlice::new(body)]
    }

    /// So many bytes were written.
    ///
    /// # Panics
    ///
    /// When that is more than there is.
    pub fn advance(&mut self, written: usize) {
        let of_bytes = written.min(self.bytes.len() - self.written);
        self.written += of_bytes;
        self.body = self.body.after((written - of_bytes) as u64);
        if self.written == self.bytes.len() {
            self.bytes.clear();
            self.written = 0;
        }
    }

    /// What is left, in as little memory as it needs, to be kept with a connection until it can be
    /// written. Here nothing is left but the room.
    #[must_use]
    pub fn park(&mut self) -> Box<Self> {
        let parked = Self {
            bytes: self.bytes().to_vec(),
            written: 0,
            body: mem::take(&mut self.body),
        };
        self.bytes.clear();
        self.written = 0;
        Box::new(parked)
    }

    /// Whether there is enough to be written, so that no further request is to be processed.
    pub(crate) fn is_full(&self) -> bool {
        self.body.len > 0 || self.bytes.len() - self.written >= OUTPUT_LIMIT
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pattern;

    #[test]
    fn bytes_come_before_the_body_and_both_in_whatever_pieces() {
        for step in [1, 3, 7, 100] {
            let mut output = Output {
                bytes: b"head".to_vec(),
                body: Body { offset: 5, len: 20 },
                ..Output::default()
            };
            let mut seen: Vec<u8> = Vec::new();
            while !output.is_empty() {
                let all: Vec<u8> = output
                    .slices()
                    .iter()
                    .flat_map(|slice| slice.to_vec())
                    .collect();
                let n = step.min(all.len());
                seen.extend(&all[..n]);
                output.advance(n);
            }
            assert_eq!(seen, [&b"head"[..], &pattern::memory()[5..25]].concat());
            assert!(output.body().is_none());
        }
    }

    #[test]
    fn what_is_parked_takes_no_more_memory_than_it_needs() {
        let mut output = Output::default();
        output.bytes.extend([b'x'; 100_000]);
        output.body = Body { offset: 7, len: 9 };
        output.advance(99_990);
        let room = output.bytes.capacity();
        let parked = output.park();
        assert_eq!(parked.bytes(), [b'x'; 10]);
        assert!(parked.bytes.capacity() < 100);
        assert_eq!(parked.body(), Some(Body { offset: 7, len: 9 }));
        assert!(output.is_empty() && output.bytes.capacity() == room);
    }

    #[test]
    #[should_panic(expected = "more was sent than there is")]
    fn more_than_there_is_cannot_have_been_written() {
        Output::default().advance(1);
    }
}
