//! Networks in CIDR notation.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr};

use crate::canonical::Canonical;
use crate::error::{Error, Expected, Reason};
use crate::text::Cursor;

/// A network: the addresses whose first bits are these (RFC 4632 §3.1, RFC 4291 §2.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Prefix {
    network: IpAddr,
    len: u8,
}

// ANCHOR: prefix
impl Prefix {
    /// The network of `len` bits in which `address` lies; nothing, if its family has not so many.
    #[must_use]
    pub fn of(address: IpAddr, len: u8) -> Option<Self> {
        let bits = bits_of(address);
        (len <= bits.count).then(|| Self {
            network: bits.with(bits.value & bits.mask(len)),
            len,
        })
    }

    /// The first address, which names the network.
    #[must_use]
    pub const fn network(&self) -> IpAddr {
        self.network
    }

    /// How many bits all its addresses have in common.
    #[must_use]
    #[expect(
        clippy::len_without_is_empty,
        reason = "a length in bits, not a number of items"
    )]
    pub const fn len(&self) -> u8 {
        self.len
    }

    /// The last address: all bits behind the prefix are ones.
    #[must_use]
    pub fn last(&self) -> IpAddr {
        let bits = bits_of(self.network);
        bits.with(bits.value | bits.all() & !bits.mask(self.len))
    }

    /// Whether an address lies in it. One of the other family never does, be it IPv4-mapped or not.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        Self::of(address, self.len).is_some_and(|other| other == *self)
    }

    /// The address that reaches all hosts of an IPv4 network (RFC 919 §7). A network of one or two
    /// addresses has none (RFC 3021 §2.1), and neither has any of IPv6, which uses multicast
    /// instead (RFC 4291 §2).
    #[must_use]
    pub fn broadcast(&self) -> Option<Ipv4Addr> {
        match self.last() {
            IpAddr::V4(last) if self.len <= 30 => Some(last),
            _ => None,
        }
    }

    /// How many addresses it has; nothing for `::/0`, which has 2¹²⁸, one more than `u128` holds.
    #[must_use]
    pub fn size(&self) -> Option<u128> {
        1_u128.checked_shl(u32::from(bits_of(self.network).count - self.len))
    }
}
// ANCHOR_END: prefix

impl Prefix {
    /// Reads `192.0.2.0/24` or `2001:db8::/32`.
    ///
    /// # Errors
    ///
    /// The first byte at which `text` stops being a network. An address with bits behind the prefix
    /// is none: `192.0.2.1/24` says a host *and* its network, and [`Prefix::of`] makes one of it.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let mut cursor = Cursor::new(text)?;
        let ip = cursor.ip()?; // without a zone: a network is on no host's link
        if !cursor.take(b'/') {
            return Err(cursor.missing(Expected::Slash));
        }
        let at = cursor.at();
        let len = cursor.decimal(bits_of(ip).count.into())? as u8; // 128 at most
        cursor.end()?;
        match Self::of(ip, len) {
            Some(prefix) if prefix.network == ip => Ok(prefix),
            Some(network) => Err(Error {
                at,
                reason: Reason::HostBits { network },
            }),
            None => unreachable!("`decimal` has refused a length beyond the family's bits"),
        }
    }
}

impl fmt::Display for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&format!("{}/{}", Canonical(self.network), self.len))
    }
}

/// An address as a number of 32 or 128 bits.
#[derive(Clone, Copy)]
pub(crate) struct Bits {
    pub(crate) value: u128,
    pub(crate) count: u8,
}

pub(crate) fn bits_of(address: IpAddr) -> Bits {
    match address {
        IpAddr::V4(v4) => Bits {
            value: v4.to_bits().into(),
            count: 32,
        },
        IpAddr::V6(v6) => Bits {
            value: v6.to_bits(),
            count: 128,
        },
    }
}

impl Bits {
    fn all(self) -> u128 {
        u128::MAX >> (128 - self.count)
    }

    /// Ones for the first `len` bits, zeros for the rest.
    fn mask(self, len: u8) -> u128 {
        let host = u32::from(self.count - len);
        self.all() & u128::MAX.checked_shl(host).unwrap_or(0)
    }

    /// The bit that is `at` bits behind the first.
    pub(crate) fn bit(self, at: u8) -> usize {
        usize::from(self.value >> (self.count - 1 - at) & 1 == 1)
    }

    /// The address of the same family with this value.
    fn with(self, value: u128) -> IpAddr {
        match self.count {
            32 => Ipv4Addr::from_bits(value as u32).into(), // no bit beyond the family's is set
            _ => std::net::Ipv6Addr::from_bits(value).into(),
        }
    }
}
