//! Sequence numbers.

use core::cmp::Ordering;
use core::fmt;
use core::ops::{Add, AddAssign, Sub, SubAssign};

// ANCHOR: sequence
/// The number of a byte in one direction of a connection. Each byte of data has one, and so do the
/// SYN before the first byte and the FIN behind the last. It starts anywhere, and 0 comes after
/// 4,294,967,295: all arithmetic is modulo 2³² (RFC 9293 §3.4).
///
/// Of two numbers that one is less from which the other is reached by going on by less than 2³¹.
/// Those of one connection lie that close together, for a window is no larger than 2³⁰
/// (RFC 7323 §2.3), so comparing them is sound. Over all numbers it would be no order: going on and
/// on, one comes back. Hence there is no `Ord`, and two that lie exactly 2³¹ apart do not compare.
///
/// ```
/// use tcp_segment::SeqNumber;
///
/// let (una, nxt) = (SeqNumber(u32::MAX - 9), SeqNumber(90));
/// assert!(una < nxt); // SND.UNA < SND.NXT
/// assert_eq!(nxt - una, 100); // bytes in flight
/// assert_eq!(una + 100, nxt);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct SeqNumber(pub u32);

impl PartialOrd for SeqNumber {
    #[inline]
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        match self.0.wrapping_sub(other.0) {
            0x8000_0000 => None,
            ahead => Some((ahead as i32).cmp(&0)),
        }
    }
}

/// How many bytes further on than `earlier` it is.
impl Sub for SeqNumber {
    type Output = u32;

    #[inline]
    fn sub(self, earlier: Self) -> u32 {
        self.0.wrapping_sub(earlier.0)
    }
}
// ANCHOR_END: sequence

/// The number so many bytes further on.
impl Add<u32> for SeqNumber {
    type Output = Self;

    #[inline]
    fn add(self, bytes: u32) -> Self {
        Self(self.0.wrapping_add(bytes))
    }
}

/// The number so many bytes before.
impl Sub<u32> for SeqNumber {
    type Output = Self;

    #[inline]
    fn sub(self, bytes: u32) -> Self {
        Self(self.0.wrapping_sub(bytes))
    }
}

impl AddAssign<u32> for SeqNumber {
    #[inline]
    fn add_assign(&mut self, bytes: u32) {
        *self = *self + bytes;
    }
}

impl SubAssign<u32> for SeqNumber {
    #[inline]
    fn sub_assign(&mut self, bytes: u32) {
        *self = *self - bytes;
    }
}

impl SeqNumber {
    /// Whether it is one of the `len` numbers from `first` on, as in «RCV.NXT =< SEG.SEQ <
    /// RCV.NXT+RCV.WND» (RFC 9293 §3.4). None is, where `len` is zero.
    #[must_use]
    #[inline]
    pub const fn is_within(self, first: Self, len: u32) -> bool {
        self.0.wrapping_sub(first.0) < len
    }

    /// The later of two.
    #[must_use]
    #[inline]
    pub fn max(self, other: Self) -> Self {
        if self < other { other } else { self }
    }

    /// The earlier of two.
    #[must_use]
    #[inline]
    pub fn min(self, other: Self) -> Self {
        if other < self { other } else { self }
    }
}

impl fmt::Display for SeqNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
