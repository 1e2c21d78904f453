//! The internet checksum (RFC 1071), which IPv4, ICMP, UDP and TCP share.
//!
//! The bytes are read as 16-bit words and added in one's complement: a carry out of the top comes
//! back in at the bottom. The sum's complement is the checksum. A receiver adds everything, the
//! checksum included, and gets all ones unless something changed on the way.
//!
//! What it cannot see, because addition has no order: words that changed places, and two changes
//! that cancel out. A single flipped bit never cancels out.

use crate::{Addresses, Protocol};

/// A one's complement sum of bytes, added piece by piece.
///
/// ```
/// use ip_header::checksum::Sum;
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
        // Words of four bytes into a sum of eight: the carries gather in its upper half until all
        // is added (RFC 1071 §2 C and D). There is room for the carries of 16 GiB.
        let mut words = 0_u64;
        let (fours, rest) = bytes.as_chunks::<4>();
        for four in fours {
            words += u64::from(u32::from_ne_bytes(*four));
        }
        let last = match *rest {
            [a, b, c] => [a, b, c, 0],
            [a, b] => [a, b, 0, 0],
            [a] => [a, 0, 0, 0],
            _ => [0; 4],
        };
        words += u64::from(u32::from_ne_bytes(last));

        let folded = fold(words);
        let placed = if self.odd {
            folded.swap_bytes()
        } else {
            folded
        };
        Self {
            words: self.words + u64::from(placed),
            odd: self.odd ^ (bytes.len() % 2 == 1),
        }
    }
    // ANCHOR_END: sum

    /// Adds the pseudo-header, by which UDP and TCP notice a packet that went to the wrong host
    /// (RFC 768, RFC 9293 §3.1, RFC 8200 §8.1). It is never sent. `len` is that of the upper layer's
    /// header and data, in bytes.
    #[must_use]
    #[inline]
    pub fn pseudo_header(self, addresses: Addresses, protocol: Protocol, len: u32) -> Self {
        // In IPv4 the length has 16 bits. Zeros in front of it and in other places do not count.
        let sum = match addresses {
            Addresses::V4 {
                source,
                destination,
            } => self.bytes(&joined::<4, 8>(source.octets(), destination.octets())),
            Addresses::V6 {
                source,
                destination,
            } => self.bytes(&joined::<16, 32>(source.octets(), destination.octets())),
        };
        sum.bytes(&joined::<4, 8>(len.to_be_bytes(), [0, 0, 0, protocol.0]))
    }

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

/// Two pieces of `N` bytes as one of `BOTH`: one piece is summed up faster than two.
#[inline]
fn joined<const N: usize, const BOTH: usize>(first: [u8; N], second: [u8; N]) -> [u8; BOTH] {
    let mut both = [0; BOTH];
    both[..N].copy_from_slice(&first);
    both[N..].copy_from_slice(&second);
    both
}

/// Adds the upper bits to the lower ones until 16 are left: the carries of one's complement.
const fn fold(sum: u64) -> u16 {
    let sum = (sum >> 32) + (sum & 0xffff_ffff); // 33 bits at most
    let sum = (sum >> 16) + (sum & 0xffff); // 18
    let sum = (sum >> 16) + (sum & 0xffff); // 17
    let sum = (sum >> 16) + (sum & 0xffff); // 16
    sum as u16
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
