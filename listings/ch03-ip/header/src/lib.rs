//! IPv4 and IPv6 headers, read and written; the internet checksum.
//!
//! This is the book's first wire format, and all later ones have its shape:
//!
//! 1. `parse` turns bytes into a **view** that borrows them. It checks once all that the format can
//!    check, and cuts the bytes into parts of fixed type, so that no getter can fail.
//! 2. `header()` copies from the view into a **plain struct**, which holds what the sender chose.
//!    What follows from the rest, lengths and checksums, the view tells; the struct has no place
//!    for it to be wrong in.
//! 3. `emit` writes the struct to the front of a buffer that is as long as the packet shall be, and
//!    gives the part behind it to the layer above.
//! 4. An [`Error`] names the field, its place, what was found and what was possible.
//!
//! Bytes in, bytes out: no allocation, no clock, no socket, no panic. What the type of a field
//! cannot hold is refused where the value is made ([`Dscp::new`], [`ipv4::Options::new`]), so `emit`
//! fails for want of room only.
//!
//! ```
//! use ip_header::{Protocol, ipv4};
//!
//! let mut bytes = [0; 20 + 5];
//! let header = ipv4::Header {
//!     ttl: 3,
//!     ..ipv4::Header::new(Protocol::UDP, [192, 0, 2, 1].into(), [198, 51, 100, 7].into())
//! };
//! header.emit(&mut bytes)?.copy_from_slice(b"hello");
//!
//! let packet = ipv4::Packet::parse(&bytes)?;
//! assert_eq!(packet.header(), header);
//! assert_eq!((packet.total_len(), packet.payload()), (25, &b"hello"[..]));
//!
//! bytes[8] = 2; // a router that forgets the checksum
//! let error = ipv4::Packet::parse(&bytes).unwrap_err();
//! assert_eq!(
//!     error.to_string(),
//!     "header_checksum at byte 10 is 0x8b98, but the bytes give 0x8c98"
//! );
//! # Ok::<(), ip_header::Error>(())
//! ```

#![no_std]
#![forbid(unsafe_code)]
#![warn(missing_docs)]

pub mod field;
pub mod ipv4;
pub mod ipv6;

use core::net::{Ipv4Addr, Ipv6Addr};

use layers_checksum::Sum;

pub use field::{Dscp, Ecn, FlowLabel, FragmentOffset, Protocol};
pub use layers_checksum as checksum;
pub use layers_ethernet::error::{self, Error, Field, Reason};

/// A packet of either version, as a network interface gives it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Packet<'a> {
    /// Version 4.
    V4(ipv4::Packet<'a>),
    /// Version 6.
    V6(ipv6::Packet<'a>),
}

impl<'a> Packet<'a> {
    /// Checks the packet at the start of `bytes`, whose first four bits say its version.
    ///
    /// # Errors
    ///
    /// Those of [`ipv4::Packet::parse`] and [`ipv6::Packet::parse`]. What is of neither version
    /// counts as a broken packet of version 4.
    #[inline]
    pub fn parse(bytes: &'a [u8]) -> Result<Self, Error> {
        match bytes.first().map(|first| first >> 4) {
            Some(6) => ipv6::Packet::parse(bytes).map(Self::V6),
            _ => ipv4::Packet::parse(bytes).map(Self::V4),
        }
    }

    /// Source and destination.
    #[must_use]
    #[inline]
    pub fn addresses(&self) -> Addresses {
        match self {
            Self::V4(packet) => packet.header().addresses(),
            Self::V6(packet) => packet.header().addresses(),
        }
    }

    /// What the packet carries: a segment, a datagram, a message, or a piece of one.
    ///
    /// # Errors
    ///
    /// Those of [`ipv6::Packet::upper_layer`].
    #[inline]
    pub fn upper_layer(&self) -> Result<UpperLayer<'a>, Error> {
        match self {
            Self::V4(packet) => Ok(packet.upper_layer()),
            Self::V6(packet) => packet.upper_layer(),
        }
    }
}

/// Source and destination, which are of one version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "the fields say all")]
pub enum Addresses {
    V4 {
        source: Ipv4Addr,
        destination: Ipv4Addr,
    },
    V6 {
        source: Ipv6Addr,
        destination: Ipv6Addr,
    },
}

impl Addresses {
    /// The sum of the pseudo-header, by which UDP, TCP and ICMPv6 notice a packet that went to the
    /// wrong host (RFC 768, RFC 9293 §3.1, RFC 8200 §8.1). It is never sent: begin with it, then add
    /// what is. `len` is that of the upper layer's header and data, in bytes.
    #[must_use]
    #[inline]
    pub fn pseudo_header(self, protocol: Protocol, len: u32) -> Sum {
        let addresses = match self {
            Self::V4 {
                source,
                destination,
            } => Sum::new()
                .bytes(&source.octets())
                .bytes(&destination.octets()),
            Self::V6 {
                source,
                destination,
            } => Sum::new()
                .bytes(&source.octets())
                .bytes(&destination.octets()),
        };
        // In IPv4 the length has 16 bits. Zeros in front of it and in other places do not count.
        addresses
            .bytes(&len.to_be_bytes())
            .bytes(&[0, 0, 0, protocol.0])
    }
}

/// What a packet carries for the layer above.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UpperLayer<'a> {
    /// What it is.
    pub protocol: Protocol,
    /// Its first byte, counted from the start of the packet.
    pub offset: usize,
    /// Its bytes.
    pub bytes: &'a [u8],
    /// If this is there, the bytes are only a piece, and unless it is the first they begin
    /// somewhere in the middle: put the whole together before you read it.
    pub fragment: Option<Fragment>,
}

/// Which piece of a whole a fragment is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fragment {
    /// The same in all fragments of one packet: 16 bits in IPv4, 32 in IPv6.
    pub identification: u32,
    /// Where in the whole it belongs.
    pub offset: FragmentOffset,
    /// Whether others follow it.
    pub more_fragments: bool,
}
