//! TCP segments, read and written, with all their options (RFC 9293).
//!
//! The shape is that of all wire formats of this book, see [`ip_header`]: [`Segment::parse`] gives
//! a view, [`Segment::header`] a plain struct, [`Header::emit`] writes it, and an
//! [`Error`] names field and place.
//!
//! Two things are new. The checksum goes over the payload too, and over the addresses of the packet
//! that carries the segment, so both are needed to read and to write. And the options are a list of
//! their own, whose members say their kind and length: [`Options`].
//!
//! ```
//! use ip_header::Addresses;
//! use tcp_segment::{Flags, Header, Segment, SeqNumber};
//!
//! let addresses = Addresses::V4 {
//!     source: [192, 0, 2, 1].into(),
//!     destination: [198, 51, 100, 7].into(),
//! };
//! let header = Header {
//!     acknowledgment_number: SeqNumber(301),
//!     flags: Flags::PSH | Flags::ACK,
//!     ..Header::new(40_000, 80, SeqNumber(101))
//! };
//! let mut bytes = *b"....................hello";
//! header.emit(&mut bytes, addresses)?; // in front of the payload
//!
//! let segment = Segment::parse(&bytes, addresses)?;
//! assert_eq!(segment.header(), header);
//! assert_eq!((segment.payload(), segment.sequence_len()), (&b"hello"[..], 5));
//!
//! bytes[24] ^= 1; // «hello» becomes «helln»
//! let error = Segment::parse(&bytes, addresses).unwrap_err();
//! assert_eq!(error.field, "checksum");
//! # Ok::<(), ip_header::Error>(())
//! ```

#![no_std]
#![forbid(unsafe_code)]
#![warn(missing_docs)]

mod flags;
pub mod option;
mod sequence;

use ip_header::checksum::Sum;
use ip_header::field::{array, put, word};
use ip_header::{Addresses, Error, Field, Protocol, Reason, ipv4, ipv6};

pub use flags::Flags;
pub use option::{Options, TcpOption};
pub use sequence::SeqNumber;

/// The header without options, in bytes.
pub const HEADER_LEN: usize = 20;

/// The longest header, in bytes: `data_offset` is 15 at most.
pub const MAX_HEADER_LEN: usize = 60;

/// By how many bits a window can be scaled (RFC 7323 §2.3).
pub const MAX_WINDOW_SHIFT: u8 = 14;

// ANCHOR: fields
/// Where each field stands (RFC 9293 §3.1).
#[expect(
    missing_docs,
    reason = "the RFC's own names; `Segment` and `Header` explain them"
)]
pub mod fields {
    use ip_header::Field;

    pub const SOURCE_PORT: Field = Field::new("source_port", 0, 16);
    pub const DESTINATION_PORT: Field = Field::new("destination_port", 16, 16);
    pub const SEQUENCE_NUMBER: Field = Field::new("sequence_number", 32, 32);
    pub const ACKNOWLEDGMENT_NUMBER: Field = Field::new("acknowledgment_number", 64, 32);
    pub const DATA_OFFSET: Field = Field::new("data_offset", 96, 4);
    pub const RESERVED: Field = Field::new("reserved", 100, 4);
    pub const FLAGS: Field = Field::new("flags", 104, 8);
    pub const WINDOW: Field = Field::new("window", 112, 16);
    pub const CHECKSUM: Field = Field::new("checksum", 128, 16);
    pub const URGENT_POINTER: Field = Field::new("urgent_pointer", 144, 16);

    /// All of them, in their order. Options follow, if `data_offset` is more than 5.
    pub const ALL: [Field; 10] = [
        SOURCE_PORT,
        DESTINATION_PORT,
        SEQUENCE_NUMBER,
        ACKNOWLEDGMENT_NUMBER,
        DATA_OFFSET,
        RESERVED,
        FLAGS,
        WINDOW,
        CHECKSUM,
        URGENT_POINTER,
    ];

    /// Its place; how long it is, `data_offset` says.
    pub const OPTIONS: Field = Field::new("options", 160, 0);

    /// Header and data: no field of its own, for the length follows from that of the packet.
    pub const SEGMENT: Field = Field::new("segment", 0, 0);
}
// ANCHOR_END: fields

use fields::{
    ACKNOWLEDGMENT_NUMBER, ALL, CHECKSUM, DATA_OFFSET, DESTINATION_PORT, OPTIONS, SEGMENT,
    SEQUENCE_NUMBER, SOURCE_PORT, URGENT_POINTER, WINDOW,
};

// ANCHOR: segment
/// A segment: bytes that [`Segment::parse`] has checked. No getter fails or panics.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Segment<'a> {
    bytes: &'a [u8],
    fixed: &'a [u8; HEADER_LEN],
    options: Options<'a>,
    payload: &'a [u8],
}
// ANCHOR_END: segment

impl<'a> Segment<'a> {
    // ANCHOR: parse
    /// Checks a segment, which is all of `bytes`, as it came between these two addresses.
    ///
    /// It judges what can be judged without knowing the connection: lengths and checksum. What the
    /// options say is looked at by those who read them ([`Options::iter`]).
    ///
    /// # Errors
    ///
    /// In this order: fewer bytes than a header has; a `data_offset` below 5, or beyond the bytes;
    /// more bytes than a packet can carry; a wrong checksum. A receiver drops each of them and says
    /// nothing (RFC 9293 §3.1 demands the check).
    #[inline]
    pub fn parse(bytes: &'a [u8], addresses: Addresses) -> Result<Self, Error> {
        let segment = Self::parse_without_checksum(bytes)?;
        let most = max_len(addresses);
        if bytes.len() > most {
            return Err(SEGMENT.more_than(most, bytes.len()));
        }
        if !sum(addresses, bytes.len()).bytes(bytes).is_valid() {
            return Err(CHECKSUM.error(Reason::Checksum {
                computed: segment.computed_checksum(addresses),
                found: segment.checksum(),
            }));
        }
        Ok(segment)
    }

    /// The same for a segment whose checksum says nothing: one of a capture that was cut off behind
    /// the header, or that was taken on its sender, where the network card fills in the checksum
    /// after the capture (checksum offload).
    ///
    /// # Errors
    ///
    /// Those of [`parse`](Self::parse) that are about the header's length.
    #[inline]
    pub fn parse_without_checksum(bytes: &'a [u8]) -> Result<Self, Error> {
        let available = bytes.len();
        let Some((fixed, _)) = bytes.split_first_chunk::<HEADER_LEN>() else {
            return Err(Field::first_truncated(&ALL, available));
        };
        let data_offset = usize::from(fixed[DATA_OFFSET.offset()] >> 4);
        let header_len = data_offset * 4;
        if header_len < HEADER_LEN {
            return Err(DATA_OFFSET.less_than(HEADER_LEN / 4, data_offset));
        }
        let Some((header, payload)) = bytes.split_at_checked(header_len) else {
            return Err(OPTIONS.truncated(header_len, available));
        };
        Ok(Self {
            bytes,
            fixed,
            options: Options::from_wire(&header[HEADER_LEN..]),
            payload,
        })
    }
    // ANCHOR_END: parse

    /// The header's fields, as the sender chose them.
    #[must_use]
    #[inline]
    pub fn header(&self) -> Header<'a> {
        let fixed = self.fixed;
        let number = |field| SeqNumber(u32::from_be_bytes(array(fixed, field)));
        Header {
            source_port: word(fixed, SOURCE_PORT),
            destination_port: word(fixed, DESTINATION_PORT),
            sequence_number: number(SEQUENCE_NUMBER),
            acknowledgment_number: number(ACKNOWLEDGMENT_NUMBER),
            flags: Flags::from_wire(word(fixed, DATA_OFFSET)),
            window: word(fixed, WINDOW),
            urgent_pointer: word(fixed, URGENT_POINTER),
            options: self.options,
        }
    }

    /// Data Offset: the header's length in units of 4 bytes, 5 to 15.
    #[must_use]
    pub const fn data_offset(&self) -> u8 {
        self.fixed[DATA_OFFSET.offset()] >> 4
    }

    /// The checksum. It is right, unless it was not asked for.
    #[must_use]
    pub fn checksum(&self) -> u16 {
        word(self.fixed, CHECKSUM)
    }

    /// What belongs there, according to the addresses and the other bytes.
    #[must_use]
    pub fn computed_checksum(&self, addresses: Addresses) -> u16 {
        let sum = sum(addresses, self.bytes.len()).bytes(&self.bytes[..CHECKSUM.offset()]);
        sum.bytes(&self.bytes[CHECKSUM.end()..]).checksum()
    }

    /// The data.
    #[must_use]
    pub const fn payload(&self) -> &'a [u8] {
        self.payload
    }

    /// The whole segment.
    #[must_use]
    pub const fn as_bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// SEG.LEN: how many sequence numbers the segment takes; see [`Header::sequence_len`].
    #[must_use]
    #[inline]
    pub fn sequence_len(&self) -> u32 {
        self.header().sequence_len(self.payload.len())
    }
}

// ANCHOR: header
/// A header as a plain struct: what a sender chooses. `data_offset` and `checksum` follow from the
/// rest, so they have no place to be wrong in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header<'a> {
    /// The sender's port.
    pub source_port: u16,
    /// The receiver's port.
    pub destination_port: u16,
    /// Of the first byte of data; with SYN, the initial sequence number, and the first byte of data
    /// is the next.
    pub sequence_number: SeqNumber,
    /// With ACK, the next number that the sender expects: all before it have arrived.
    pub acknowledgment_number: SeqNumber,
    /// Control bits.
    pub flags: Flags,
    /// How many bytes from `acknowledgment_number` on the sender is ready to receive, before
    /// scaling; see [`window_bytes`](Self::window_bytes).
    pub window: u16,
    /// With URG, how far behind `sequence_number` the urgent data ends. New applications should not
    /// use it (RFC 9293 §3.8.5).
    pub urgent_pointer: u16,
    /// Options with their padding.
    pub options: Options<'a>,
}
// ANCHOR_END: header

impl Header<'_> {
    /// A header with ports and sequence number, and nothing else: no flags, no window, no options.
    #[must_use]
    pub const fn new(source_port: u16, destination_port: u16, sequence_number: SeqNumber) -> Self {
        Self {
            source_port,
            destination_port,
            sequence_number,
            acknowledgment_number: SeqNumber(0),
            flags: Flags::NONE,
            window: 0,
            urgent_pointer: 0,
            options: Options::NONE,
        }
    }

    /// How many bytes [`emit`](Self::emit) writes: 20 to 60.
    #[must_use]
    pub const fn header_len(&self) -> usize {
        HEADER_LEN + self.options.as_bytes().len()
    }

    // ANCHOR: sequence-len
    /// SEG.LEN of a segment with so many bytes of data: they, the SYN and the FIN take one sequence
    /// number each (RFC 9293 §3.4).
    #[must_use]
    #[inline]
    pub const fn sequence_len(&self, payload_len: usize) -> u32 {
        let syn = self.flags.contains(Flags::SYN) as u32;
        let fin = self.flags.contains(Flags::FIN) as u32;
        payload_len as u32 + syn + fin
    }

    /// SEG.WND: the window in bytes, given the shift that the header's sender announced in its SYN.
    /// In a SYN itself the window is never scaled (RFC 7323 §2.2).
    #[must_use]
    #[inline]
    pub const fn window_bytes(&self, shift: u8) -> u32 {
        if self.flags.contains(Flags::SYN) {
            return self.window as u32;
        }
        let shift = if shift < MAX_WINDOW_SHIFT {
            shift
        } else {
            MAX_WINDOW_SHIFT
        };
        (self.window as u32) << shift
    }
    // ANCHOR_END: sequence-len

    // ANCHOR: emit
    /// Writes the header to the front of `segment`, behind which the payload stands already: the
    /// checksum goes over both.
    ///
    /// # Errors
    ///
    /// When the header does not fit into `segment`, or that is longer than a packet can carry. Then
    /// nothing has been written.
    #[inline]
    pub fn emit(&self, segment: &mut [u8], addresses: Addresses) -> Result<(), Error> {
        let available = segment.len();
        let (header_len, most) = (self.header_len(), max_len(addresses));
        if available > most {
            return Err(SEGMENT.more_than(most, available));
        }
        let Some((front, rest)) = segment.split_first_chunk_mut::<HEADER_LEN>() else {
            return Err(Field::first_truncated(&ALL, available));
        };
        let Some((options, payload)) = rest.split_at_mut_checked(header_len - HEADER_LEN) else {
            return Err(OPTIONS.truncated(header_len, available));
        };

        // Made beside the segment, in registers: to read eight bytes at once that have just been
        // stored two by two, as the sum would, takes longer than to sum them up.
        let fixed = &mut [0; HEADER_LEN];
        let data_offset = header_len as u16 / 4; // 60 / 4 at most
        let offset_and_flags = data_offset << 12 | self.flags.bits();
        let number = |number: SeqNumber| number.0.to_be_bytes();
        put(fixed, SOURCE_PORT, self.source_port.to_be_bytes());
        put(fixed, DESTINATION_PORT, self.destination_port.to_be_bytes());
        put(fixed, SEQUENCE_NUMBER, number(self.sequence_number));
        put(
            fixed,
            ACKNOWLEDGMENT_NUMBER,
            number(self.acknowledgment_number),
        );
        put(fixed, DATA_OFFSET, offset_and_flags.to_be_bytes());
        put(fixed, WINDOW, self.window.to_be_bytes());
        put(fixed, URGENT_POINTER, self.urgent_pointer.to_be_bytes());

        let sum = sum(addresses, available)
            .bytes(fixed) // CHECKSUM is zero in it
            .bytes(self.options.as_bytes())
            .bytes(payload);
        put(fixed, CHECKSUM, sum.checksum().to_be_bytes());
        *front = *fixed;
        options.copy_from_slice(self.options.as_bytes());
        Ok(())
    }
    // ANCHOR_END: emit
}

/// The sum of the pseudo-header alone.
#[inline]
fn sum(addresses: Addresses, len: usize) -> Sum {
    addresses.pseudo_header(Protocol::TCP, len as u32)
}

/// The longest segment that a packet can carry, in bytes.
const fn max_len(addresses: Addresses) -> usize {
    match addresses {
        Addresses::V4 { .. } => ipv4::MAX_LEN - ipv4::HEADER_LEN,
        Addresses::V6 { .. } => ipv6::MAX_PAYLOAD_LEN,
    }
}
