//! IPv4 (RFC 791).

use core::net::Ipv4Addr;

use layers_checksum::Sum;
use layers_ethernet::error::{Error, Field, Reason};

use crate::field::{
    Dscp, Ecn, FragmentOffset, Protocol, array, put, traffic_class, traffic_class_byte, word,
};
use crate::{Addresses, Fragment, UpperLayer};

/// The header without options, in bytes.
pub const HEADER_LEN: usize = 20;

/// The longest header, in bytes: `ihl` is 15 at most.
pub const MAX_HEADER_LEN: usize = 60;

/// The longest packet, in bytes: what the 16 bits of `total_len` can say.
pub const MAX_LEN: usize = 65_535;

/// The `ttl` that hosts send unless told otherwise (IANA's «IP Time to Live Parameter»).
pub const DEFAULT_TTL: u8 = 64;

// ANCHOR: fields
/// Where each field stands (RFC 791 §3.1).
#[expect(
    missing_docs,
    reason = "the RFC's own names; `Packet` and `Header` explain them"
)]
pub mod fields {
    use layers_ethernet::error::Field;

    pub const VERSION: Field = Field::new("version", 0, 4);
    pub const IHL: Field = Field::new("ihl", 4, 4);
    pub const DSCP: Field = Field::new("dscp", 8, 6);
    pub const ECN: Field = Field::new("ecn", 14, 2);
    pub const TOTAL_LEN: Field = Field::new("total_len", 16, 16);
    pub const IDENTIFICATION: Field = Field::new("identification", 32, 16);
    pub const FLAGS: Field = Field::new("flags", 48, 3);
    pub const FRAGMENT_OFFSET: Field = Field::new("fragment_offset", 51, 13);
    pub const TTL: Field = Field::new("ttl", 64, 8);
    pub const PROTOCOL: Field = Field::new("protocol", 72, 8);
    pub const HEADER_CHECKSUM: Field = Field::new("header_checksum", 80, 16);
    pub const SOURCE: Field = Field::new("source", 96, 32);
    pub const DESTINATION: Field = Field::new("destination", 128, 32);

    /// All of them, in their order. Options follow, if `ihl` is more than 5.
    pub const ALL: [Field; 13] = [
        VERSION,
        IHL,
        DSCP,
        ECN,
        TOTAL_LEN,
        IDENTIFICATION,
        FLAGS,
        FRAGMENT_OFFSET,
        TTL,
        PROTOCOL,
        HEADER_CHECKSUM,
        SOURCE,
        DESTINATION,
    ];

    /// Its place; how long it is, `ihl` says.
    pub const OPTIONS: Field = Field::new("options", 160, 0);
}
// ANCHOR_END: fields

use fields::{
    ALL, DESTINATION, DSCP, FLAGS, HEADER_CHECKSUM, IDENTIFICATION, IHL, OPTIONS, PROTOCOL, SOURCE,
    TOTAL_LEN, TTL, VERSION,
};

// ANCHOR: packet
/// A packet: bytes that [`Packet::parse`] has checked. No getter fails or panics.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Packet<'a> {
    bytes: &'a [u8],
    fixed: &'a [u8; HEADER_LEN],
    options: Options<'a>,
    payload: &'a [u8],
}
// ANCHOR_END: packet

impl<'a> Packet<'a> {
    // ANCHOR: parse
    /// Checks the packet at the start of `bytes`; what follows it, such as the padding of a short
    /// Ethernet frame, is left out.
    ///
    /// It judges what the bytes say of themselves: version, lengths, checksum. Whether an address
    /// may be used, or fragments fit together, is for those who act on it.
    ///
    /// # Errors
    ///
    /// In this order: fewer bytes than a header has; another version; an `ihl` below 5, or beyond
    /// the bytes; a `total_len` below the header's length, or beyond the bytes; a wrong checksum. A
    /// host drops each of them and says nothing (RFC 1122 §3.2.1.1 and §3.2.1.2).
    #[inline]
    pub fn parse(bytes: &'a [u8]) -> Result<Self, Error> {
        let available = bytes.len();
        let Some((fixed, _)) = bytes.split_first_chunk::<HEADER_LEN>() else {
            return Err(Field::first_truncated(&ALL, available));
        };

        let (version, ihl) = (usize::from(fixed[0] >> 4), usize::from(fixed[0] & 0x0f));
        if version != 4 {
            return Err(VERSION.not(4, version));
        }
        let header_len = ihl * 4;
        if header_len < HEADER_LEN {
            return Err(IHL.less_than(HEADER_LEN / 4, ihl));
        }
        let Some(header) = bytes.get(..header_len) else {
            return Err(OPTIONS.truncated(header_len, available));
        };

        let total_len = usize::from(word(fixed, TOTAL_LEN));
        if total_len < header_len {
            return Err(TOTAL_LEN.less_than(header_len, total_len));
        }
        let Some(bytes) = bytes.get(..total_len) else {
            return Err(TOTAL_LEN.more_than(available, total_len));
        };

        if !Sum::new()
            .bytes(fixed)
            .bytes(&header[HEADER_LEN..])
            .is_valid()
        {
            return Err(HEADER_CHECKSUM.error(Reason::Checksum {
                computed: header_checksum(header),
                found: word(fixed, HEADER_CHECKSUM),
            }));
        }
        Ok(Self {
            bytes,
            fixed,
            options: Options(&header[HEADER_LEN..]),
            payload: &bytes[header_len..],
        })
    }
    // ANCHOR_END: parse

    /// The header's fields, as the sender chose them.
    #[must_use]
    #[inline]
    pub fn header(&self) -> Header<'a> {
        let (dscp, ecn) = traffic_class(self.fixed[DSCP.offset()]);
        let flags_and_offset = word(self.fixed, FLAGS);
        Header {
            dscp,
            ecn,
            identification: word(self.fixed, IDENTIFICATION),
            flags: Flags::from_wire(flags_and_offset >> 13),
            fragment_offset: FragmentOffset::from_wire(flags_and_offset),
            ttl: self.fixed[TTL.offset()],
            protocol: Protocol(self.fixed[PROTOCOL.offset()]),
            source: array(self.fixed, SOURCE).into(),
            destination: array(self.fixed, DESTINATION).into(),
            options: self.options,
        }
    }

    /// Internet Header Length, in units of 4 bytes: 5 to 15.
    #[must_use]
    pub const fn ihl(&self) -> u8 {
        self.fixed[IHL.offset()] & 0x0f
    }

    /// Total Length: header and payload, in bytes.
    #[must_use]
    pub fn total_len(&self) -> u16 {
        word(self.fixed, TOTAL_LEN)
    }

    /// The checksum of the header alone. It is right.
    #[must_use]
    pub fn header_checksum(&self) -> u16 {
        word(self.fixed, HEADER_CHECKSUM)
    }

    /// What the packet carries, be it whole or a fragment.
    #[must_use]
    pub const fn payload(&self) -> &'a [u8] {
        self.payload
    }

    /// The whole packet.
    #[must_use]
    pub const fn as_bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// What the packet carries, in the form that both versions share.
    #[must_use]
    #[inline]
    pub fn upper_layer(&self) -> UpperLayer<'a> {
        let header = self.header();
        UpperLayer {
            protocol: header.protocol,
            offset: header.header_len(),
            bytes: self.payload,
            fragment: header.is_fragment().then(|| Fragment {
                identification: header.identification.into(),
                offset: header.fragment_offset,
                more_fragments: header.flags.more_fragments,
            }),
        }
    }
}

// ANCHOR: header
/// A header as a plain struct: what a sender chooses. `version`, `ihl`, `total_len` and
/// `header_checksum` follow from the rest, so they have no place to be wrong in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header<'a> {
    /// Differentiated Services Code Point (RFC 2474 §3).
    pub dscp: Dscp,
    /// Explicit Congestion Notification (RFC 3168 §5).
    pub ecn: Ecn,
    /// The same in all fragments of a packet. Without meaning in a packet that is whole and must
    /// stay so (RFC 6864 §4.1).
    pub identification: u16,
    /// Whether the packet may be fragmented, and whether fragments follow.
    pub flags: Flags,
    /// Where in the whole the payload belongs.
    pub fragment_offset: FragmentOffset,
    /// Time to Live: how many routers may still forward the packet. RFC 791 means seconds, but has
    /// each router take off one at least; so it counts hops. A host sends no packet with zero
    /// (RFC 1122 §3.2.1.7).
    pub ttl: u8,
    /// What the payload is.
    pub protocol: Protocol,
    /// Source Address.
    pub source: Ipv4Addr,
    /// Destination Address.
    pub destination: Ipv4Addr,
    /// Options with their padding.
    pub options: Options<'a>,
}
// ANCHOR_END: header

impl Header<'_> {
    /// What a host sends if nobody wishes otherwise: best effort, one whole packet that no router
    /// may fragment (so that `identification` means nothing and is zero, RFC 6864 §4.1), no options.
    #[must_use]
    pub const fn new(protocol: Protocol, source: Ipv4Addr, destination: Ipv4Addr) -> Self {
        Self {
            dscp: Dscp::BEST_EFFORT,
            ecn: Ecn::NotEct,
            identification: 0,
            flags: Flags {
                reserved: false,
                dont_fragment: true,
                more_fragments: false,
            },
            fragment_offset: FragmentOffset::ZERO,
            ttl: DEFAULT_TTL,
            protocol,
            source,
            destination,
            options: Options::NONE,
        }
    }

    /// How many bytes [`emit`](Self::emit) writes: 20 to 60.
    #[must_use]
    pub const fn header_len(&self) -> usize {
        HEADER_LEN + self.options.0.len()
    }

    /// Source and destination, as the upper layer's checksum needs them.
    #[must_use]
    pub const fn addresses(&self) -> Addresses {
        Addresses::V4 {
            source: self.source,
            destination: self.destination,
        }
    }

    /// Whether the payload is a piece of the whole, to be put together with others (RFC 791 §3.2).
    #[must_use]
    pub fn is_fragment(&self) -> bool {
        self.flags.more_fragments || self.fragment_offset != FragmentOffset::ZERO
    }

    // ANCHOR: emit
    /// Writes the header to the front of `packet`, which is as long as the packet shall be, and
    /// gives the part behind it, the payload, which stays as it is.
    ///
    /// # Errors
    ///
    /// When the header does not fit into `packet`, or `total_len` cannot say how long that is. Then
    /// nothing has been written.
    #[inline]
    pub fn emit<'p>(&self, packet: &'p mut [u8]) -> Result<&'p mut [u8], Error> {
        let available = packet.len();
        let header_len = self.header_len();
        let Ok(total_len) = u16::try_from(available) else {
            return Err(TOTAL_LEN.more_than(MAX_LEN, available));
        };
        let Some((front, rest)) = packet.split_first_chunk_mut::<HEADER_LEN>() else {
            return Err(Field::first_truncated(&ALL, available));
        };
        let Some((options, payload)) = rest.split_at_mut_checked(self.options.0.len()) else {
            return Err(OPTIONS.truncated(header_len, available));
        };

        // Made beside the packet, in registers: to read eight bytes at once that have just been
        // stored one by one, as the sum would, takes longer than to sum them up.
        let fixed = &mut [0; HEADER_LEN];
        let ihl = header_len as u8 / 4; // 60 / 4 at most
        let flags_and_offset = self.flags.to_wire() << 13 | self.fragment_offset.units();
        fixed[VERSION.offset()] = 4 << 4 | ihl;
        fixed[DSCP.offset()] = traffic_class_byte(self.dscp, self.ecn);
        put(fixed, TOTAL_LEN, total_len.to_be_bytes());
        put(fixed, IDENTIFICATION, self.identification.to_be_bytes());
        put(fixed, FLAGS, flags_and_offset.to_be_bytes());
        fixed[TTL.offset()] = self.ttl;
        fixed[PROTOCOL.offset()] = self.protocol.0;
        put(fixed, SOURCE, self.source.octets());
        put(fixed, DESTINATION, self.destination.octets());

        let sum = Sum::new().bytes(fixed).bytes(self.options.0);
        put(fixed, HEADER_CHECKSUM, sum.checksum().to_be_bytes());
        *front = *fixed;
        options.copy_from_slice(self.options.0);
        Ok(payload)
    }
    // ANCHOR_END: emit
}

/// Control flags, 3 bits (RFC 791 §3.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Flags {
    /// «Must be zero»; kept as it came, for it is no receiver's business.
    pub reserved: bool,
    /// DF: a router that would have to split the packet drops it and tells the sender.
    pub dont_fragment: bool,
    /// MF: this is a fragment, and not the last.
    pub more_fragments: bool,
}

impl Flags {
    const fn from_wire(bits: u16) -> Self {
        Self {
            reserved: bits & 0b100 != 0,
            dont_fragment: bits & 0b010 != 0,
            more_fragments: bits & 0b001 != 0,
        }
    }

    const fn to_wire(self) -> u16 {
        (self.reserved as u16) << 2 | (self.dont_fragment as u16) << 1 | self.more_fragments as u16
    }
}

/// Options with the padding after them: whole units of 4 bytes, 40 bytes at most. What the options
/// are (RFC 791 §3.1) is not looked into.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Options<'a>(&'a [u8]);

impl<'a> Options<'a> {
    /// No options, as in almost every packet.
    pub const NONE: Self = Self(&[]);

    /// Options that a header can hold.
    ///
    /// # Errors
    ///
    /// When there are more than 40 bytes, or no whole number of 4 bytes (pad them with zeros, «End
    /// of Option List»).
    pub const fn new(bytes: &'a [u8]) -> Result<Self, Error> {
        let (found, most) = (bytes.len(), MAX_HEADER_LEN - HEADER_LEN);
        if found > most {
            return Err(OPTIONS.more_than(most, found));
        }
        if !found.is_multiple_of(4) {
            return Err(OPTIONS.error(Reason::NotMultipleOf { unit: 4, found }));
        }
        Ok(Self(bytes))
    }

    /// The bytes.
    #[must_use]
    pub const fn as_bytes(self) -> &'a [u8] {
        self.0
    }
}

/// What belongs into `header_checksum` of this header.
fn header_checksum(header: &[u8]) -> u16 {
    let field = HEADER_CHECKSUM;
    let sum = Sum::new().bytes(&header[..field.offset()]);
    sum.bytes(&header[field.end()..]).checksum()
}
