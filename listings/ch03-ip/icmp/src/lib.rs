//! ICMP over IPv4 (RFC 792) and over IPv6 (RFC 4443), read and written.
//!
//! A wire format in the shape of `ip_header`: `parse` checks bytes once and gives a view that borrows
//! them, `header()` copies what the sender chose into a plain enum, `emit` writes it in front of a
//! payload, and an [`Error`] names the field, its place, and what is wrong. No allocation, no panic.
//!
//! An error message quotes the packet that it is about, or as much of it as has room. [`Quoted`]
//! reads that: unlike a packet's own view it takes a packet that ends before its header says, and
//! gives what is there. Who has sent the packet finds by it which of its packets it was.
//!
//! ```
//! use ip_header::{Protocol, ipv4};
//! use ip_icmp::icmpv4::{Header, Message, Unreachable};
//!
//! // The packet: 40 bytes, of which a router quotes 28.
//! let mut packet = [0; 40];
//! let header = ipv4::Header::new(Protocol::UDP, [192, 0, 2, 1].into(), [198, 51, 100, 7].into());
//! header.emit(&mut packet)?[..4].copy_from_slice(&[0xc3, 0x50, 0x82, 0x9a]);
//!
//! let mut message = [0; 8 + 28];
//! message[8..].copy_from_slice(&packet[..28]);
//! let header = Header::DestinationUnreachable {
//!     code: Unreachable::PORT,
//!     quoted_words: 0,
//!     next_hop_mtu: 0,
//! };
//! header.emit(&mut message)?;
//!
//! let view = Message::parse(&message)?;
//! assert_eq!(view.header(), header);
//! let quoted = view.quoted().expect("an error quotes")?;
//! assert_eq!((quoted.total_len(), quoted.as_bytes().len()), (40, 28));
//! assert_eq!(quoted.ports(), Some((50_000, 33_434)));
//! # Ok::<(), ip_icmp::Error>(())
//! ```

#![no_std]
#![forbid(unsafe_code)]
#![warn(missing_docs)]

pub mod icmpv4;
pub mod icmpv6;
mod quoted;

pub use layers_ethernet::error::{Error, Field, Reason};
pub use quoted::Quoted;

/// The header of every message, in bytes: type, code, checksum, and four bytes that each type uses
/// in its own way.
pub const HEADER_LEN: usize = 8;

/// Which request an echo reply answers (RFC 792; RFC 4443 §4.1). The payload comes back, too.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Echo {
    /// Who asks: a program chooses one of its own, or the kernel for it.
    pub identifier: u16,
    /// Which of its requests it is.
    pub sequence: u16,
}

impl Echo {
    const fn from_wire([a, b, c, d]: [u8; 4]) -> Self {
        Self {
            identifier: u16::from_be_bytes([a, b]),
            sequence: u16::from_be_bytes([c, d]),
        }
    }

    const fn to_wire(self) -> [u8; 4] {
        let [a, b] = self.identifier.to_be_bytes();
        let [c, d] = self.sequence.to_be_bytes();
        [a, b, c, d]
    }
}

/// The first bytes of a payload that are the quoted packet: all, where no length says less, since
/// nothing but an extension (RFC 4884) can follow it.
fn original_datagram(payload: &[u8], length: usize) -> &[u8] {
    match length {
        0 => payload,
        length => payload.get(..length).unwrap_or(payload),
    }
}
