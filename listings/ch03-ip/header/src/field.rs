//! Fields that both versions have, as types that hold only what fits.

use core::fmt;

pub use layers_ethernet::field::{array, put, word};

/// What the payload is: IPv4's Protocol, IPv6's Next Header. The numbers are the same (RFC 8200 §3;
/// IANA's «Protocol Numbers»).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Protocol(pub u8);

#[expect(missing_docs, reason = "IANA's own names")]
impl Protocol {
    pub const HOP_BY_HOP: Self = Self(0);
    pub const ICMP: Self = Self(1);
    pub const TCP: Self = Self(6);
    pub const UDP: Self = Self(17);
    pub const ROUTING: Self = Self(43);
    pub const FRAGMENT: Self = Self(44);
    pub const AUTHENTICATION: Self = Self(51);
    pub const ICMPV6: Self = Self(58);
    pub const NO_NEXT_HEADER: Self = Self(59);
    pub const DESTINATION_OPTIONS: Self = Self(60);
}

/// The name, or the number where it is none of those above.
impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match *self {
            Self::HOP_BY_HOP => "Hop-by-Hop Options",
            Self::ICMP => "ICMP",
            Self::TCP => "TCP",
            Self::UDP => "UDP",
            Self::ROUTING => "Routing",
            Self::FRAGMENT => "Fragment",
            Self::AUTHENTICATION => "Authentication",
            Self::ICMPV6 => "ICMPv6",
            Self::NO_NEXT_HEADER => "No Next Header",
            Self::DESTINATION_OPTIONS => "Destination Options",
            Self(number) => return number.fmt(f),
        })
    }
}

/// Differentiated Services Code Point, 6 bits: how routers shall treat the packet (RFC 2474 §3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Dscp(u8);

impl Dscp {
    /// As well as it can be done, as for all packets without a wish.
    pub const BEST_EFFORT: Self = Self(0);

    /// The code point, if it fits into 6 bits.
    #[must_use]
    pub const fn new(value: u8) -> Option<Self> {
        if value < 64 { Some(Self(value)) } else { None }
    }

    /// The 6 bits, as a number.
    #[must_use]
    pub const fn get(self) -> u8 {
        self.0
    }
}

/// Explicit Congestion Notification, 2 bits: a router marks a packet instead of dropping it
/// (RFC 3168 §5).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[repr(u8)]
pub enum Ecn {
    /// The transport does not use ECN.
    #[default]
    NotEct = 0b00,
    /// ECN-Capable Transport, second code point.
    Ect1 = 0b01,
    /// ECN-Capable Transport.
    Ect0 = 0b10,
    /// Congestion Experienced: set by a router.
    Ce = 0b11,
}

/// The byte that holds both: Traffic Class in IPv6, once Type of Service in IPv4.
pub(crate) const fn traffic_class(byte: u8) -> (Dscp, Ecn) {
    let ecn = match byte & 0b11 {
        0b00 => Ecn::NotEct,
        0b01 => Ecn::Ect1,
        0b10 => Ecn::Ect0,
        _ => Ecn::Ce,
    };
    (Dscp(byte >> 2), ecn)
}

pub(crate) const fn traffic_class_byte(dscp: Dscp, ecn: Ecn) -> u8 {
    dscp.0 << 2 | ecn as u8
}

/// Where in the whole a fragment belongs, 13 bits. On the wire it counts units of 8 bytes (RFC 791
/// §3.1, RFC 8200 §4.5); here you say which of the two you mean.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, PartialOrd, Ord)]
pub struct FragmentOffset(u16);

impl FragmentOffset {
    /// The place of a fragment that is the first, or the only one.
    pub const ZERO: Self = Self(0);

    /// An offset in bytes, if it is a multiple of 8 and below 65,536.
    #[must_use]
    pub const fn from_bytes(bytes: u32) -> Option<Self> {
        if bytes.is_multiple_of(8) && bytes < 1 << 16 {
            Some(Self((bytes / 8) as u16))
        } else {
            None
        }
    }

    /// The lower 13 bits, as on the wire.
    pub(crate) const fn from_wire(bits: u16) -> Self {
        Self(bits & 0x1fff)
    }

    /// In units of 8 bytes, as on the wire.
    #[must_use]
    pub const fn units(self) -> u16 {
        self.0
    }

    /// In bytes.
    #[must_use]
    pub const fn bytes(self) -> usize {
        self.0 as usize * 8
    }
}

/// 20 bits by which routers recognise a flow without a look at its ports (RFC 6437 §2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct FlowLabel(u32);

impl FlowLabel {
    /// No label.
    pub const NONE: Self = Self(0);

    /// The label, if it fits into 20 bits.
    #[must_use]
    pub const fn new(value: u32) -> Option<Self> {
        if value < 1 << 20 {
            Some(Self(value))
        } else {
            None
        }
    }

    /// The lower 20 bits, as on the wire.
    pub(crate) const fn from_wire(bits: u32) -> Self {
        Self(bits & 0xf_ffff)
    }

    /// The 20 bits, as a number.
    #[must_use]
    pub const fn get(self) -> u32 {
        self.0
    }
}
