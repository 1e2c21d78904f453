//! The internet checksum (RFC 1071), which IPv4, ICMP, UDP and TCP share.
//!
//! The bytes are read as 16-bit words and added in one's complement: a carry out of the top comes
//! back in at the bottom. The sum's complement is the checksum. A receiver adds everything, the
//! checksum included, and gets all ones unless something changed on the way.
//!
//! What it cannot see, because addition has no order: words that changed places, and two changes
//! that cancel out. A single flipped bit never cancels out.

#![no_std]
#![forbid(unsafe_code)]
#![warn(missing_docs)]

/// A one's complement sum of bytes, added piece by piece.
///
/// ```
/// use layers_checksum::Sum;
///
/// // The example of RFC 1071 §3.
/// let bytes = [0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7];
/// assert_eq!(Sum::new().bytes(&bytes).value(), 0xddf2);
/// // Pieces of any length give the same.
/// assert_eq!(Sum::new().bytes(&bytes[..3]).bytes(&bytes[3..]).value(), 0xddf2);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Sum {
    /// The sum of the words as this machine reads them, not yet folded into 16 bits. On a
    /// little-endian machine all words, and so their sum, have their bytes swapped: swapping once
    /// at the end is enough (RFC 1071 §2 B).
    words: u64,
    /// Whether half a word has been added, so that the next piece begins in the middle of one.
    odd: bool,
}

impl Sum {
    /// The sum of nothing.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            words: 0,
            odd: false,
        }
    }

    // ANCHOR: sum
    /// Adds the bytes that follow those added so far. A last odd byte counts as the first half of
    /// a word until more bytes come.
    #[must_use]
    #[inline]
    pub fn bytes(self, bytes: &[u8]) -> Self {
        // Eight bytes are four words side by side, added as one number: the carry of one word counts
        // in the next, and only that of the last would have to come back in at the bottom (RFC 1071
        // §2 C). Looking for it after each addition is what would take time. So `sum` may lose it,
        // and `uppers` adds up the upper halves alone, with 32 bits above them for the carries of
        // 16 GiB. Take them off `sum`, and the sum of the lower halves is left; it fits, so what got
        // lost above does not matter. Nothing in the loop waits for a carry, and the compiler adds
        // several eights with one instruction.
        let (mut sum, mut uppers) = (0_u64, 0_u64);
        let (eights, rest) = bytes.as_chunks::<8>();
        for eight in eights {
            let eight = u64::from_ne_bytes(*eight);
            sum = sum.wrapping_add(eight);
            uppers += eight >> 32;
        }
        let lowers = sum.wrapping_sub(uppers << 32);

        let (fours, rest) = rest.as_chunks::<4>();
        let (twos, rest) = rest.as_chunks::<2>();
        let four = fours.first().map_or(0, |four| u32::from_ne_bytes(*four));
        let two = twos.first().map_or(0, |two| u16::from_ne_bytes(*two));
        let one = rest.first().map_or(0, |one| u16::from_ne_bytes([*one, 0]));

        let rest = u64::from(four) + u64::from(two) + u64::from(one);
        let sum = self.add(lowers + uppers + rest);
        Self {
            odd: self.odd ^ (bytes.len() % 2 == 1),
            ..sum
        }
    }

    /// Adds what follows, summed up or side by side in one number.
    #[inline]
    const fn add(self, words: u64) -> Self {
        // Half a word further on, the two bytes of each word change places (RFC 1071 §2 B).
        let placed = if self.odd {
            words.rotate_left(8)
        } else {
            words
        };
        // One's complement of 64 bits: they are four words, so its carry is worth what theirs is.
        let (sum, carry) = self.words.overflowing_add(placed);
        Self {
            words: sum + carry as u64,
            odd: self.odd,
        }
    }
    // ANCHOR_END: sum

    /// The one's complement sum itself.
    #[must_use]
    #[inline]
    pub const fn value(self) -> u16 {
        u16::from_be(fold(self.words))
    }

    /// What goes into the checksum field, which counted as zero. UDP sends 0xffff instead of zero,
    /// since there zero means that there is no checksum (RFC 768).
    #[must_use]
    #[inline]
    pub const fn checksum(self) -> u16 {
        !self.value()
    }

    /// Whether bytes that include their checksum are as they were sent. This accepts either form
    /// of zero, 0x0000 and 0xffff, in the checksum field (RFC 1624 §5).
    #[must_use]
    #[inline]
    pub const fn is_valid(self) -> bool {
        self.value() == 0xffff
    }
}

/// Adds the four words that stand side by side in `sum`, in one's complement.
///
/// Added to itself with its halves swapped, a number has in its upper half the sum of both halves;
/// and since the lower half is the same sum, it carries into the upper one what is to come back in
/// at the bottom.
const fn fold(sum: u64) -> u16 {
    let sum = (sum.wrapping_add(sum.rotate_left(32)) >> 32) as u32;
    (sum.wrapping_add(sum.rotate_left(16)) >> 16) as u16
}

// ANCHOR: update
/// The checksum after one 16-bit word under it changed from `old` to `new`, without a look at the
/// others: what a router does for every packet, whose TTL it lowers, and a NAT, which rewrites
/// addresses (RFC 1624 §3, equation 3).
#[must_use]
pub const fn update(checksum: u16, old: u16, new: u16) -> u16 {
    !fold(!checksum as u64 + !old as u64 + new as u64)
}
// ANCHOR_END: update

#[cfg(test)]
mod tests {
    use super::*;

    /// Around every place at which a carry may come out.
    const EDGES: [u64; 16] = [
        0,
        1,
        0xfffe,
        0xffff,
        0x0001_0000,
        0x0001_ffff,
        0xffff_0000,
        0xffff_0001,
        0xffff_ffff,
        0x0001_0000_0000,
        0x0001_ffff_ffff,
        0xffff_0000_ffff_0001,
        0xffff_ffff_0000_0000,
        0xffff_ffff_0001_0000,
        u64::MAX - 1,
        u64::MAX,
    ];

    /// One's complement of 16 bits counts modulo 0xffff, which is a form of zero like 0, but the one
    /// that comes of adding anything.
    fn modulo(sum: u128) -> u16 {
        match sum {
            0 => 0,
            _ => ((sum - 1) % 0xffff + 1) as u16,
        }
    }

    #[test]
    fn a_sum_folds_to_what_its_words_add_up_to() {
        for a in EDGES {
            for b in EDGES {
                let sum = a.wrapping_add(b);
                assert_eq!(fold(sum), modulo(sum.into()), "{sum:#x}");
            }
        }
    }

    #[test]
    fn a_carry_out_of_all_64_bits_comes_back_in() {
        for a in EDGES {
            for b in EDGES {
                for odd in [false, true] {
                    let sum = Sum { words: a, odd }.add(b);
                    let place = if odd { 0x100 } else { 1 };
                    let expected = modulo(u128::from(a) + u128::from(b) * place);
                    assert_eq!(fold(sum.words), expected, "{a:#x}, {b:#x}, {odd}");
                }
            }
        }
    }
}
