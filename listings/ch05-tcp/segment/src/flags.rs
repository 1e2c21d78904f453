//! The control bits.

use core::fmt;
use core::ops::{BitOr, BitOrAssign};

// ANCHOR: flags
/// Control bits (RFC 9293 §3.1), with the four reserved bits before them: 12 in all.
///
/// ```
/// use tcp_segment::Flags;
///
/// let flags = Flags::SYN | Flags::ACK;
/// assert!(flags.contains(Flags::SYN) && !flags.intersects(Flags::RST | Flags::FIN));
/// assert_eq!((flags.bits(), flags.to_string().as_str()), (0x012, "SYN, ACK"));
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Flags(u16);

impl Flags {
    /// None at all.
    pub const NONE: Self = Self(0);
    /// No more data from sender: takes a sequence number of its own.
    pub const FIN: Self = Self(0x001);
    /// Synchronize sequence numbers: the first segment each way. Takes a number too.
    pub const SYN: Self = Self(0x002);
    /// Reset the connection.
    pub const RST: Self = Self(0x004);
    /// Push: the receiver shall not wait for more before it gives the data to the application.
    pub const PSH: Self = Self(0x008);
    /// Acknowledgment field is significant: in all segments but the first.
    pub const ACK: Self = Self(0x010);
    /// Urgent pointer field is significant.
    pub const URG: Self = Self(0x020);
    /// ECN-Echo (RFC 3168 §6.1): a packet arrived that a router had marked.
    pub const ECE: Self = Self(0x040);
    /// Congestion Window Reduced (RFC 3168 §6.1): the sender has slowed down, as ECE asked.
    pub const CWR: Self = Self(0x080);
    /// The last of the reserved bits, which RFC 9768 §3.1.1 has made use of: Accurate ECN.
    pub const AE: Self = Self(0x100);
    // ANCHOR_END: flags

    /// Those that have names, in the order in which they are shown.
    const NAMES: [(Self, &str); 9] = [
        (Self::SYN, "SYN"),
        (Self::FIN, "FIN"),
        (Self::RST, "RST"),
        (Self::PSH, "PSH"),
        (Self::URG, "URG"),
        (Self::ACK, "ACK"),
        (Self::ECE, "ECE"),
        (Self::CWR, "CWR"),
        (Self::AE, "AE"),
    ];

    /// The bits as in the header, if they are 12 at most.
    #[must_use]
    pub const fn from_bits(bits: u16) -> Option<Self> {
        if bits < 1 << 12 {
            Some(Self(bits))
        } else {
            None
        }
    }

    /// The lower 12 bits, as on the wire.
    pub(crate) const fn from_wire(bits: u16) -> Self {
        Self(bits & 0xfff)
    }

    /// The 12 bits as in the header: the reserved ones first, FIN last.
    #[must_use]
    pub const fn bits(self) -> u16 {
        self.0
    }

    /// The four bits that RFC 9293 reserves. They are sent as zero and not looked at by those who
    /// know no use for them (RFC 9293 §3.1); here they are kept as they came.
    #[must_use]
    pub const fn reserved(self) -> u8 {
        (self.0 >> 8) as u8
    }

    /// Whether all of `flags` are set.
    #[must_use]
    #[inline]
    pub const fn contains(self, flags: Self) -> bool {
        self.0 & flags.0 == flags.0
    }

    /// Whether any of `flags` is set.
    #[must_use]
    #[inline]
    pub const fn intersects(self, flags: Self) -> bool {
        self.0 & flags.0 != 0
    }

    /// The same without `flags`.
    #[must_use]
    #[inline]
    pub const fn without(self, flags: Self) -> Self {
        Self(self.0 & !flags.0)
    }
}

impl BitOr for Flags {
    type Output = Self;

    #[inline]
    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

impl BitOrAssign for Flags {
    #[inline]
    fn bitor_assign(&mut self, other: Self) {
        *self = *self | other;
    }
}

/// The names, as in `SYN, ACK`; bits without a name as one number; `none` where none is set.
impl fmt::Display for Flags {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut rest = *self;
        let mut between = "";
        for (flag, name) in Self::NAMES {
            if self.contains(flag) {
                write!(f, "{between}{name}")?;
                between = ", ";
                rest = rest.without(flag);
            }
        }
        match rest {
            Self::NONE if between.is_empty() => f.write_str("none"),
            Self::NONE => Ok(()),
            Self(bits) => write!(f, "{between}{bits:#05x}"),
        }
    }
}

impl fmt::Debug for Flags {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Flags({self})")
    }
}
