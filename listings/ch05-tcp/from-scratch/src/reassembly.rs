//! Text in the order in which it was sent, whatever the order in which it arrives (RFC 9293 §3.10.7.4,
//! seventh step).

use tcp_segment::SeqNumber;
use tcp_segment::option::{SackBlock, SackBlocks};

use crate::ranges::{Range, Ranges};
use crate::ring::Ring;

// ANCHOR: reassembly
/// The receive buffer. What arrived in order comes first and can be read; behind it, at its right
/// place already, lies what arrived beyond a gap.
#[derive(Debug, Default)]
pub(crate) struct Reassembly {
    ring: Ring,
    /// What lies beyond a gap.
    ahead: Ranges,
    /// Where text beyond a gap was last put: the first SACK block is about that (RFC 2018 §4).
    latest: SeqNumber,
}
// ANCHOR_END: reassembly

impl Reassembly {
    pub(crate) fn new(capacity: usize) -> Self {
        Self {
            ring: Ring::new(capacity),
            ..Self::default()
        }
    }

    /// Bytes that can be read.
    pub(crate) fn len(&self) -> usize {
        self.ring.len()
    }

    pub(crate) fn capacity(&self) -> usize {
        self.ring.capacity()
    }

    /// Room behind what can be read: how large the window may be.
    pub(crate) fn free(&self) -> usize {
        self.ring.free()
    }

    /// Whether text has arrived beyond a gap.
    pub(crate) fn has_gap(&self) -> bool {
        !self.ahead.is_empty()
    }

    // ANCHOR: take
    /// Takes text that begins at `seq`, not before `nxt` (RCV.NXT) and within the window, and says
    /// by how much RCV.NXT advances.
    ///
    /// Text beyond one gap too many is dropped: it will be sent again.
    pub(crate) fn take(&mut self, nxt: SeqNumber, seq: SeqNumber, text: &[u8]) -> u32 {
        let new = Range {
            left: seq,
            right: seq + text.len() as u32,
        };
        if text.is_empty() {
            return 0;
        }
        if seq != nxt {
            if self.ahead.insert(new).is_some() {
                self.ring.write((seq - nxt) as usize, text);
                self.latest = seq;
            }
            return 0;
        }
        self.ring.write(0, text);
        self.join(nxt, new.right)
    }

    /// All up to `end` is there: so is what touches it.
    fn join(&mut self, nxt: SeqNumber, mut end: SeqNumber) -> u32 {
        while let Some(next) = self.ahead.take_first_from(end) {
            end = end.max(next.right);
        }
        self.ring.grow((end - nxt) as usize);
        end - nxt
    }
    // ANCHOR_END: take

    /// Moves to the reader's part what was kept for later, and begins at `nxt`: text that came with
    /// a SYN.
    pub(crate) fn release(&mut self, nxt: SeqNumber) -> u32 {
        self.join(nxt, nxt)
    }

    /// Keeps for later text that must not be given to the user yet.
    pub(crate) fn keep(&mut self, nxt: SeqNumber, text: &[u8]) {
        let text = &text[..text.len().min(self.free())];
        let new = Range {
            left: nxt,
            right: nxt + text.len() as u32,
        };
        if !text.is_empty() && self.ahead.insert(new).is_some() {
            self.ring.write(0, text);
        }
    }

    /// Gives bytes to the reader, and says how many.
    pub(crate) fn read(&mut self, bytes: &mut [u8]) -> usize {
        let len = bytes.len().min(self.ring.len());
        self.ring.read(0, &mut bytes[..len]);
        self.ring.consume(len);
        len
    }

    // ANCHOR: sack-blocks
    /// What has arrived beyond the gap, up to `most` runs: the one that changed last comes first
    /// (RFC 2018 §4).
    pub(crate) fn sack_blocks(&self, most: usize) -> Option<SackBlocks> {
        let runs = self.ahead.as_slice();
        let latest = runs
            .iter()
            .position(|run| self.latest.is_within(run.left, run.len()))
            .unwrap_or(0);
        let others = (0..runs.len()).rev().filter(|at| *at != latest);
        let order = runs.get(latest).map(|_| latest).into_iter().chain(others);
        let mut blocks = [SackBlock::default(); SackBlocks::MAX];
        let mut count = 0;
        for (block, at) in blocks.iter_mut().take(most).zip(order) {
            (block.left, block.right) = (runs[at].left, runs[at].right);
            count += 1;
        }
        SackBlocks::new(&blocks[..count])
    }
    // ANCHOR_END: sack-blocks

    /// Gives back the memory, if nothing is left to read and nothing more will come.
    pub(crate) fn retire(&mut self) {
        if self.ring.len() == 0 {
            *self = Self::default();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// Pieces of a text in any order, overlapping, repeated: the text comes out.
        #[test]
        fn text_comes_out_in_order(
            start in any::<u32>(),
            mut pieces in proptest::collection::vec((0_usize..400, 1_usize..60), 1..200),
        ) {
            let text: Vec<u8> = (0..500).map(|at| (at * 7 + at / 256) as u8).collect();
            pieces.extend((0..50).map(|n| (n * 10, 10)));
            let mut reassembly = Reassembly::new(500);
            let start = SeqNumber(start);
            let mut nxt = start;
            for (at, len) in pieces {
                let (seq, end) = (start + at as u32, (at + len).min(500));
                // What is old has been trimmed off before.
                let skip = if seq < nxt { (nxt - seq) as usize } else { 0 };
                if at + skip < end {
                    nxt += reassembly.take(nxt, seq + skip as u32, &text[at + skip..end]);
                }
            }
            prop_assert_eq!(nxt - start, 500);
            let mut read = vec![0; 600];
            prop_assert_eq!(reassembly.read(&mut read), 500);
            prop_assert_eq!(&read[..500], &text[..]);
            prop_assert!(!reassembly.has_gap());
        }
    }

    #[test]
    fn the_first_block_is_about_the_segment_that_came_last() {
        let mut reassembly = Reassembly::new(1000);
        let nxt = SeqNumber(0);
        for at in [100, 300, 500, 700, 310] {
            reassembly.take(nxt, SeqNumber(at), &[0; 10]);
        }
        let blocks = reassembly.sack_blocks(3).unwrap();
        let lefts: Vec<u32> = blocks.as_slice().iter().map(|block| block.left.0).collect();
        assert_eq!(lefts, [300, 700, 500]);
        assert_eq!(blocks.as_slice()[0].right.0, 320);
    }
}
