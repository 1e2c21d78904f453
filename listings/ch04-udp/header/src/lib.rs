//! UDP datagrams, read and written (RFC 768).
//!
//! The shape is that of all wire formats of this book, see [`ip_header`]: [`Datagram::parse`] gives
//! a view, [`Datagram::header`] a plain struct, [`Header::emit`] writes it, and an
//! [`Error`] names field and place.
//!
//! The checksum goes over the payload too, and over the addresses of the packet that carries the
//! datagram, so both are needed to read and to write. Zero in its place means that the sender
//! computed none. IPv4 allows that, IPv6 does not (RFC 8200 §8.1), except where the receiver has
//! chosen to: for that there is [`Datagram::parse_with_optional_checksum`].
//!
//! Datagrams of more than 65,535 bytes, whose `length` is zero (RFC 2675 §4), are not read: no host
//! sends them unless its link carries IPv6 jumbograms, and here a `length` below 8 is an error.
//!
//! ```
//! use ip_header::Addresses;
//! use udp_header::{Datagram, Header};
//!
//! let addresses = Addresses::V4 {
//!     source: [192, 0, 2, 1].into(),
//!     destination: [198, 51, 100, 7].into(),
//! };
//! let header = Header { source_port: 40_000, destination_port: 53 };
//! let mut bytes = *b"........hello";
//! header.emit(&mut bytes, addresses)?; // in front of the payload
//!
//! let datagram = Datagram::parse(&bytes, addresses)?;
//! assert_eq!(datagram.header(), header);
//! assert_eq!((datagram.length(), datagram.payload()), (13, &b"hello"[..]));
//!
//! bytes[12] ^= 1; // «hello» becomes «helln»
//! let error = Datagram::parse(&bytes, addresses).unwrap_err();
//! assert_eq!(error.field, "checksum");
//! # Ok::<(), ip_header::Error>(())
//! ```

#![no_std]
#![forbid(unsafe_code)]
#![warn(missing_docs)]

use ip_header::checksum::Sum;
use ip_header::field::{put, word};
use ip_header::{Addresses, Error, Field, Protocol, Reason, ipv4};

/// The header, in bytes. It has no options.
pub const HEADER_LEN: usize = 8;

/// The longest datagram, header included, in bytes: what the 16 bits of `length` can say. Over IPv4
/// it is 20 less, for there the packet's own length has 16 bits and counts the IP header.
pub const MAX_LEN: usize = 65_535;

/// What stands in the checksum's place when there is none.
const NONE: u16 = 0;

// ANCHOR: fields
/// Where each field stands (RFC 768).
#[expect(
    missing_docs,
    reason = "the RFC's own names; `Datagram` and `Header` explain them"
)]
pub mod fields {
    use ip_header::Field;

    pub const SOURCE_PORT: Field = Field::new("source_port", 0, 16);
    pub const DESTINATION_PORT: Field = Field::new("destination_port", 16, 16);
    pub const LENGTH: Field = Field::new("length", 32, 16);
    pub const CHECKSUM: Field = Field::new("checksum", 48, 16);

    /// All of them, in their order.
    pub const ALL: [Field; 4] = [SOURCE_PORT, DESTINATION_PORT, LENGTH, CHECKSUM];
}
// ANCHOR_END: fields

use fields::{ALL, CHECKSUM, DESTINATION_PORT, LENGTH, SOURCE_PORT};

// ANCHOR: datagram
/// A datagram: bytes that [`Datagram::parse`] has checked. No getter fails or panics.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Datagram<'a> {
    bytes: &'a [u8],
    fixed: &'a [u8; HEADER_LEN],
    trailer: &'a [u8],
}
// ANCHOR_END: datagram

impl<'a> Datagram<'a> {
    // ANCHOR: parse
    /// Checks the datagram at the start of `bytes`, all that a packet between these two addresses
    /// carries. What `length` leaves over is the [`trailer`](Self::trailer).
    ///
    /// # Errors
    ///
    /// In this order: fewer bytes than a header has; a `length` below 8, beyond the bytes, or
    /// more than a packet can carry; a wrong checksum, and in IPv6 none. A receiver drops each of
    /// them and tells the sender nothing (RFC 1122 §4.1.3.4, RFC 8200 §8.1).
    #[inline]
    pub fn parse(bytes: &'a [u8], addresses: Addresses) -> Result<Self, Error> {
        let needs_one = matches!(addresses, Addresses::V6 { .. });
        Self::check(bytes, addresses, needs_one)
    }

    /// The same, where the lack of a checksum is no error in IPv6 either. A checksum that is there
    /// must be right.
    ///
    /// Only for the ports of a tunnel that was told so: without a checksum nothing notices that the
    /// packet came to the wrong host or to the wrong port (RFC 6935 §5, RFC 6936 §4).
    ///
    /// # Errors
    ///
    /// Those of [`parse`](Self::parse), except for the last.
    #[inline]
    pub fn parse_with_optional_checksum(
        bytes: &'a [u8],
        addresses: Addresses,
    ) -> Result<Self, Error> {
        Self::check(bytes, addresses, false)
    }

    #[inline(always)] // so that the view stays in registers
    fn check(bytes: &'a [u8], addresses: Addresses, needs_checksum: bool) -> Result<Self, Error> {
        let datagram = Self::parse_without_checksum(bytes)?;
        let length = HEADER_LEN + datagram.payload().len();
        let most = max_len(addresses);
        if length > most {
            return Err(LENGTH.more_than(most, length));
        }
        let right = match datagram.checksum() {
            None => !needs_checksum,
            Some(_) => sum(addresses, length)
                .bytes(datagram.fixed)
                .bytes(datagram.payload())
                .is_valid(),
        };
        match right {
            true => Ok(datagram),
            false => Err(datagram.wrong_checksum(addresses)),
        }
    }

    /// The same for a datagram whose checksum says nothing: one that was captured on its sender,
    /// where the network card fills in the checksum after the capture (checksum offload).
    ///
    /// # Errors
    ///
    /// Those of [`parse`](Self::parse) that are about lengths, without the addresses' limit.
    #[inline]
    pub fn parse_without_checksum(bytes: &'a [u8]) -> Result<Self, Error> {
        let available = bytes.len();
        let Some((fixed, _)) = bytes.split_first_chunk::<HEADER_LEN>() else {
            return Err(Field::first_truncated(&ALL, available));
        };
        let length = usize::from(word(fixed, LENGTH));
        if length < HEADER_LEN {
            return Err(LENGTH.less_than(HEADER_LEN, length));
        }
        let Some((bytes, trailer)) = bytes.split_at_checked(length) else {
            return Err(LENGTH.more_than(available, length));
        };
        Ok(Self {
            bytes,
            fixed,
            trailer,
        })
    }
    // ANCHOR_END: parse

    #[cold]
    fn wrong_checksum(self, addresses: Addresses) -> Error {
        CHECKSUM.error(Reason::Checksum {
            computed: self.computed_checksum(addresses),
            found: word(self.fixed, CHECKSUM),
        })
    }

    /// The header's fields, as the sender chose them.
    #[must_use]
    #[inline]
    pub fn header(&self) -> Header {
        Header {
            source_port: word(self.fixed, SOURCE_PORT),
            destination_port: word(self.fixed, DESTINATION_PORT),
        }
    }

    /// Length: header and payload, in bytes, 8 at least.
    #[must_use]
    #[inline]
    pub fn length(&self) -> u16 {
        word(self.fixed, LENGTH)
    }

    /// The checksum, if the sender computed one. It is right, unless it was not asked for.
    #[must_use]
    #[inline]
    pub fn checksum(&self) -> Option<u16> {
        match word(self.fixed, CHECKSUM) {
            NONE => None,
            checksum => Some(checksum),
        }
    }

    /// What belongs there, according to the addresses and the other bytes. Never zero.
    #[must_use]
    pub fn computed_checksum(&self, addresses: Addresses) -> u16 {
        let sum = sum(addresses, self.bytes.len()).bytes(&self.bytes[..CHECKSUM.offset()]);
        on_the_wire(sum.bytes(&self.bytes[CHECKSUM.end()..]))
    }

    /// The data, which may be none.
    #[must_use]
    #[inline]
    pub const fn payload(&self) -> &'a [u8] {
        match self.bytes.split_first_chunk::<HEADER_LEN>() {
            Some((_, payload)) => payload,
            None => &[], // which `parse` has ruled out
        }
    }

    /// What the packet carries behind the datagram, since its `length` is shorter. No application
    /// sees it; RFC 9868 puts options of UDP there.
    #[must_use]
    pub const fn trailer(&self) -> &'a [u8] {
        self.trailer
    }

    /// The whole datagram, header included.
    #[must_use]
    pub const fn as_bytes(&self) -> &'a [u8] {
        self.bytes
    }
}

// ANCHOR: header
/// A header as a plain struct: what a sender chooses. `length` and `checksum` follow from the rest,
/// so they have no place to be wrong in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Header {
    /// Where an answer should go; 0 if none is wanted.
    pub source_port: u16,
    /// The receiver's port.
    pub destination_port: u16,
}
// ANCHOR_END: header

impl Header {
    // ANCHOR: emit
    /// Writes the header to the front of `datagram`, behind which the payload stands already: the
    /// checksum goes over both.
    ///
    /// # Errors
    ///
    /// When the header does not fit into `datagram`, or that is longer than a packet can carry. Then
    /// nothing has been written.
    #[inline]
    pub fn emit(&self, datagram: &mut [u8], addresses: Addresses) -> Result<(), Error> {
        let length = datagram.len();
        self.write(datagram, max_len(addresses), |fixed, payload| {
            // CHECKSUM is zero in `fixed`.
            on_the_wire(sum(addresses, length).bytes(fixed).bytes(payload))
        })
    }
    // ANCHOR_END: emit

    /// The same with no checksum, which in IPv6 only tunnels that were told so may send, and
    /// under conditions (RFC 6935 §5, RFC 6936 §5).
    ///
    /// # Errors
    ///
    /// When the header does not fit into `datagram`, or `length` cannot say how long that is. Then
    /// nothing has been written.
    #[inline]
    pub fn emit_without_checksum(&self, datagram: &mut [u8]) -> Result<(), Error> {
        self.write(datagram, MAX_LEN, |_, _| NONE)
    }

    // ANCHOR: write
    /// Writes the header with the checksum that is computed from the rest of it and the payload.
    #[inline]
    fn write(
        &self,
        datagram: &mut [u8],
        most: usize,
        checksum: impl FnOnce(&[u8; HEADER_LEN], &[u8]) -> u16,
    ) -> Result<(), Error> {
        let available = datagram.len();
        if available > most {
            return Err(LENGTH.more_than(most, available));
        }
        let Some((front, payload)) = datagram.split_first_chunk_mut::<HEADER_LEN>() else {
            return Err(Field::first_truncated(&ALL, available));
        };
        // Made beside the datagram, in registers: to read eight bytes at once that have just been
        // stored two by two, as the sum would, takes longer than to sum them up.
        let fixed = &mut [0; HEADER_LEN];
        let length = available as u16; // `most` is 65,535 at most
        put(fixed, SOURCE_PORT, self.source_port.to_be_bytes());
        put(fixed, DESTINATION_PORT, self.destination_port.to_be_bytes());
        put(fixed, LENGTH, length.to_be_bytes());
        put(fixed, CHECKSUM, checksum(fixed, payload).to_be_bytes());
        *front = *fixed;
        Ok(())
    }
    // ANCHOR_END: write
}

/// The sum of the pseudo-header alone. Its length is the datagram's, which is in the header once
/// more and so counts twice.
#[inline]
fn sum(addresses: Addresses, length: usize) -> Sum {
    addresses.pseudo_header(Protocol::UDP, length as u32)
}

// ANCHOR: zero
/// What goes into the checksum field. In one's complement zero has two forms, and of these the one
/// that looks like nothing is taken: so a checksum that comes out as zero is sent as all ones.
#[inline]
fn on_the_wire(sum: Sum) -> u16 {
    match sum.checksum() {
        NONE => 0xffff,
        checksum => checksum,
    }
}
// ANCHOR_END: zero

/// The longest datagram that a packet can carry, in bytes.
const fn max_len(addresses: Addresses) -> usize {
    match addresses {
        Addresses::V4 { .. } => ipv4::MAX_LEN - ipv4::HEADER_LEN,
        Addresses::V6 { .. } => MAX_LEN,
    }
}
