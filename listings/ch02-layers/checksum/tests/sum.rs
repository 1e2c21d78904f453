//! The sum itself, against the plainest way to compute it.

use layers_checksum::{Sum, update};
use proptest::collection::vec;
use proptest::prelude::*;

#[test]
fn the_checksums_examples_in_the_rfcs_come_out() {
    // RFC 1624 §4: the sum of the header's other words is 0xcd7a, and 0x5555 becomes 0x3285.
    assert_eq!(update(0xdd2f, 0x5555, 0x3285), 0x0000);
    // RFC 1071 §3.
    let bytes = [0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7];
    assert_eq!(Sum::new().bytes(&bytes).value(), 0xddf2);
    assert_eq!(Sum::new().checksum(), 0xffff);
}

#[test]
fn a_sum_is_folded_until_no_carry_is_left() {
    // 65,537 times all ones stand at the edge of a carry at each step, and one more tips them over.
    for more in [
        0,
        1,
        0xffff,
        0x0001_0000,
        0x0001_0001,
        0xffff_0000,
        u32::MAX,
    ] {
        let mut bytes = vec![0xff; 4 * 65_537];
        bytes.extend(more.to_ne_bytes());
        assert_eq!(Sum::new().bytes(&bytes).value(), naive(&bytes), "{more:#x}");
    }
}

/// Bytes to be summed: nothing, all ones, halves of ones at odd distances, and a mixture.
fn patterns(len: usize) -> [Vec<u8>; 4] {
    let patterns: [fn(usize) -> u8; 4] = [
        |_| 0,
        |_| 0xff,
        |at| if at % 7 < 3 { 0xff } else { 0 },
        |at| (at * 31 + at / 7) as u8,
    ];
    patterns.map(|pattern| (0..len).map(pattern).collect())
}

#[test]
fn the_fast_sum_is_the_naive_one_at_every_length_and_alignment() {
    // Several times what the sum takes at once, and what the compiler makes of it.
    const LEN: usize = 300;
    const ALIGNMENTS: usize = 64;
    for bytes in patterns(ALIGNMENTS + LEN) {
        for start in 0..ALIGNMENTS {
            for len in 0..=LEN {
                let bytes = &bytes[start..start + len];
                let sum = Sum::new().bytes(bytes).value();
                assert_eq!(sum, naive(bytes), "{len} bytes from {start} on");
            }
        }
    }
}

#[test]
fn the_fast_sum_is_the_naive_one_however_the_bytes_are_cut() {
    for bytes in patterns(40) {
        let expected = naive(&bytes);
        for first in 0..=bytes.len() {
            for second in first..=bytes.len() {
                let sum = Sum::new()
                    .bytes(&bytes[..first])
                    .bytes(&bytes[first..second])
                    .bytes(&bytes[second..]);
                assert_eq!(sum.value(), expected, "cut at {first} and {second}");
            }
        }
    }
}

#[test]
fn no_carry_is_lost_between_eights_nor_between_their_halves() {
    let edges = [
        0,
        1,
        0xffff,
        0x0001_0000,
        0x7fff_ffff,
        0xffff_ffff,
        0x0001_0000_0000,
        0x8000_0000_0000_0000,
        0xffff_ffff_0000_0000,
        0xffff_ffff_0001_0000,
        u64::MAX - 1,
        u64::MAX,
    ];
    for a in edges {
        for b in edges {
            for c in edges {
                // Once, and as often as it takes to meet every other.
                let bytes = [a, b, c].map(u64::to_ne_bytes).concat();
                for bytes in [bytes.repeat(1), bytes.repeat(9)] {
                    let sum = Sum::new().bytes(&bytes).value();
                    assert_eq!(sum, naive(&bytes), "{a:#x}, {b:#x}, {c:#x}");
                }
            }
        }
    }
}

/// The checksum as RFC 1071 §1 defines it, a word at a time.
fn naive(bytes: &[u8]) -> u16 {
    let mut sum = 0_u32;
    for pair in bytes.chunks(2) {
        sum += u32::from(pair[0]) << 8 | u32::from(*pair.get(1).unwrap_or(&0));
        sum = (sum & 0xffff) + (sum >> 16);
    }
    sum as u16
}

proptest! {
    #[test]
    fn the_fast_sum_is_the_naive_one_in_pieces_of_any_length(
        bytes in vec(any::<u8>(), 0..2000), cuts in vec(0..2000_usize, 0..5),
    ) {
        let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(bytes.len())).collect();
        cuts.extend([0, bytes.len()]);
        cuts.sort_unstable();
        let pieces = cuts.windows(2).map(|cut| &bytes[cut[0]..cut[1]]);
        let sum = pieces.fold(Sum::new(), Sum::bytes);
        prop_assert_eq!(sum.value(), naive(&bytes));
    }

    #[test]
    fn a_sum_of_ones_folds_to_all_ones(len in 1..70_000_usize) {
        let sum = Sum::new().bytes(&vec![0xff; len * 2]);
        prop_assert_eq!(sum.value(), 0xffff);
    }
}
