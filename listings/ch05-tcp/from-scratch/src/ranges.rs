//! A few runs of sequence numbers, in order.

use tcp_segment::SeqNumber;

use crate::config::RANGES_AT_MOST;

/// The numbers from `left` up to, but not with, `right`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Range {
    pub(crate) left: SeqNumber,
    pub(crate) right: SeqNumber,
}

impl Range {
    pub(crate) fn len(self) -> u32 {
        self.right - self.left
    }
}

/// Runs of numbers that neither overlap nor touch, in order, [`RANGES_AT_MOST`] of them.
#[derive(Debug, Default)]
pub(crate) struct Ranges(Vec<Range>);

impl Ranges {
    pub(crate) fn as_slice(&self) -> &[Range] {
        &self.0
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Adds numbers and says how many of them are new; `None` if they make one run too many.
    pub(crate) fn insert(&mut self, new: Range) -> Option<u32> {
        let from = self.0.partition_point(|range| range.right < new.left);
        let to = self.0.partition_point(|range| range.left <= new.right);
        let known: u32 = self.0[from..to]
            .iter()
            .map(|range| Range {
                left: range.left.max(new.left),
                right: range.right.min(new.right),
            })
            .map(Range::len)
            .sum();
        if let [first, .., last] | [first @ last] = &self.0[from..to] {
            let joined = Range {
                left: first.left.min(new.left),
                right: last.right.max(new.right),
            };
            self.0[from] = joined;
            self.0.drain(from + 1..to);
        } else if self.0.len() < RANGES_AT_MOST {
            self.0.insert(from, new);
        } else {
            return None;
        }
        Some(new.len() - known)
    }

    /// Drops the numbers below.
    pub(crate) fn remove_below(&mut self, number: SeqNumber) {
        let gone = self.0.partition_point(|range| range.right <= number);
        self.0.drain(..gone);
        if let Some(first) = self.0.first_mut() {
            first.left = first.left.max(number);
        }
    }

    /// Takes away the first run if it begins at `number` or before.
    pub(crate) fn take_first_from(&mut self, number: SeqNumber) -> Option<Range> {
        let first = *self.0.first()?;
        (first.left <= number).then(|| self.0.remove(0))
    }

    pub(crate) fn clear(&mut self) {
        self.0.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn range(left: u32, right: u32) -> Range {
        // Around zero, where numbers wrap.
        Range {
            left: SeqNumber(left.wrapping_sub(100)),
            right: SeqNumber(right.wrapping_sub(100)),
        }
    }

    proptest! {
        #[test]
        fn they_are_a_set_of_numbers(
            new in proptest::collection::vec((0_u32..190, 1_u32..12), 0..40),
            below in 0_u32..200,
        ) {
            let (mut ranges, mut model) = (Ranges::default(), [false; 202]);
            for (left, len) in new {
                let places = &mut model[left as usize..(left + len) as usize];
                let known = places.iter().filter(|place| **place).count() as u32;
                prop_assert_eq!(ranges.insert(range(left, left + len)), Some(len - known));
                places.fill(true);
            }
            ranges.remove_below(range(below, below).left);
            model[..below as usize].fill(false);
            let mut found = [false; 202];
            for pair in ranges.as_slice().windows(2) {
                prop_assert!(pair[0].right < pair[1].left);
            }
            for run in ranges.as_slice() {
                let left = run.left.0.wrapping_add(100) as usize;
                found[left..left + run.len() as usize].fill(true);
            }
            prop_assert_eq!(found, model);
        }
    }

    #[test]
    fn there_are_never_more_than_there_may_be() {
        let mut ranges = Ranges::default();
        for n in 0..1000 {
            let _ = ranges.insert(range(2 * n, 2 * n + 1));
            assert!(ranges.as_slice().len() <= RANGES_AT_MOST);
        }
        // One that fills a gap between two still fits.
        assert_eq!(ranges.insert(range(1, 2)), Some(1));
        assert_eq!(ranges.as_slice().len(), RANGES_AT_MOST - 1);
    }
}
