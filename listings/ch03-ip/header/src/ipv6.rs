//! IPv6 (RFC 8200).
//!
//! The header has a fixed length and no checksum. What IPv4 has as options and fragment fields
//! stands in extension headers between it and the upper layer. They are the destination's business:
//! a router forwards a packet without a look at them (RFC 8200 §4, RFC 7045 §2.1), so
//! [`Packet::parse`] does not judge them, [`Packet::upper_layer`] does.

use core::net::Ipv6Addr;

use layers_ethernet::error::{Error, Field, Reason};

use crate::field::{
    Dscp, Ecn, FlowLabel, FragmentOffset, Protocol, array, put, traffic_class, traffic_class_byte,
    word,
};
use crate::{Addresses, Fragment, UpperLayer};

/// The header, in bytes. Extension headers count as payload.
pub const HEADER_LEN: usize = 40;

/// The longest payload, in bytes: what the 16 bits of `payload_len` can say. (Jumbograms, RFC 2675,
/// are not known here: they are packets whose payload is missing.)
pub const MAX_PAYLOAD_LEN: usize = 65_535;

/// The `hop_limit` that hosts send unless told otherwise, as in IPv4.
pub const DEFAULT_HOP_LIMIT: u8 = crate::ipv4::DEFAULT_TTL;

/// How many extension headers a packet may have here. The order that RFC 8200 §4.1 recommends has
/// at most seven; a host may set a limit against those who send thousands (RFC 8504 §5.3).
pub const MAX_EXTENSIONS: usize = 16;

// ANCHOR: fields
/// Where each field stands (RFC 8200 §3).
#[expect(
    missing_docs,
    reason = "the RFC's own names; `Packet` and `Header` explain them"
)]
pub mod fields {
    use layers_ethernet::error::Field;

    pub const VERSION: Field = Field::new("version", 0, 4);
    pub const DSCP: Field = Field::new("dscp", 4, 6);
    pub const ECN: Field = Field::new("ecn", 10, 2);
    pub const FLOW_LABEL: Field = Field::new("flow_label", 12, 20);
    pub const PAYLOAD_LEN: Field = Field::new("payload_len", 32, 16);
    pub const NEXT_HEADER: Field = Field::new("next_header", 48, 8);
    pub const HOP_LIMIT: Field = Field::new("hop_limit", 56, 8);
    pub const SOURCE: Field = Field::new("source", 64, 128);
    pub const DESTINATION: Field = Field::new("destination", 192, 128);

    /// All of them, in their order.
    pub const ALL: [Field; 9] = [
        VERSION,
        DSCP,
        ECN,
        FLOW_LABEL,
        PAYLOAD_LEN,
        NEXT_HEADER,
        HOP_LIMIT,
        SOURCE,
        DESTINATION,
    ];
}
// ANCHOR_END: fields

use fields::{ALL, DESTINATION, HOP_LIMIT, NEXT_HEADER, PAYLOAD_LEN, SOURCE, VERSION};

/// A packet: bytes that [`Packet::parse`] has checked. No getter fails or panics.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Packet<'a> {
    bytes: &'a [u8],
    fixed: &'a [u8; HEADER_LEN],
    payload: &'a [u8],
}

impl<'a> Packet<'a> {
    // ANCHOR: parse
    /// Checks the packet at the start of `bytes`; what follows it is left out.
    ///
    /// # Errors
    ///
    /// In this order: fewer bytes than a header has; another version; a `payload_len` beyond the
    /// bytes. Nothing else can be wrong with the header, or nothing that shows.
    #[inline]
    pub fn parse(bytes: &'a [u8]) -> Result<Self, Error> {
        let Some((fixed, rest)) = bytes.split_first_chunk::<HEADER_LEN>() else {
            return Err(Field::first_truncated(&ALL, bytes.len()));
        };
        let version = usize::from(fixed[0] >> 4);
        if version != 6 {
            return Err(VERSION.not(6, version));
        }
        let payload_len = usize::from(word(fixed, PAYLOAD_LEN));
        let Some(payload) = rest.get(..payload_len) else {
            return Err(PAYLOAD_LEN.more_than(rest.len(), payload_len));
        };
        Ok(Self {
            bytes: &bytes[..HEADER_LEN + payload_len],
            fixed,
            payload,
        })
    }
    // ANCHOR_END: parse

    /// The header's fields, as the sender chose them.
    #[must_use]
    #[inline]
    pub fn header(&self) -> Header {
        let first = u32::from_be_bytes(array(self.fixed, VERSION));
        let (dscp, ecn) = traffic_class((first >> 20) as u8);
        Header {
            dscp,
            ecn,
            flow_label: FlowLabel::from_wire(first),
            next_header: Protocol(self.fixed[NEXT_HEADER.offset()]),
            hop_limit: self.fixed[HOP_LIMIT.offset()],
            source: array(self.fixed, SOURCE).into(),
            destination: array(self.fixed, DESTINATION).into(),
        }
    }

    /// Payload Length: all that follows the header, in bytes.
    #[must_use]
    pub fn payload_len(&self) -> u16 {
        word(self.fixed, PAYLOAD_LEN)
    }

    /// All that follows the header, extension headers included.
    #[must_use]
    pub const fn payload(&self) -> &'a [u8] {
        self.payload
    }

    /// The whole packet.
    #[must_use]
    pub const fn as_bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// The extension headers, in the order in which they stand, which is the order in which a
    /// destination must process them (RFC 8200 §4).
    #[must_use]
    pub fn extensions(&self) -> Extensions<'a> {
        Extensions::new(Protocol(self.fixed[NEXT_HEADER.offset()]), self.payload)
    }

    /// What the packet carries, behind all extension headers.
    ///
    /// # Errors
    ///
    /// When the walk through the extension headers meets one; see [`Extensions`].
    pub fn upper_layer(&self) -> Result<UpperLayer<'a>, Error> {
        self.extensions().upper_layer()
    }
}

/// A header as a plain struct: what a sender chooses. `version` and `payload_len` follow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// First part of the Traffic Class: Differentiated Services Code Point (RFC 2474 §3).
    pub dscp: Dscp,
    /// Second part of the Traffic Class: Explicit Congestion Notification (RFC 3168 §5).
    pub ecn: Ecn,
    /// The same in all packets of a flow, hard to guess; zero if the sender gives none (RFC 6437).
    pub flow_label: FlowLabel,
    /// What follows the header: an extension header or the upper layer's.
    pub next_header: Protocol,
    /// How many routers may forward the packet.
    pub hop_limit: u8,
    /// Source Address.
    pub source: Ipv6Addr,
    /// Destination Address.
    pub destination: Ipv6Addr,
}

impl Header {
    /// What a host sends if nobody wishes otherwise: best effort, without a flow label.
    #[must_use]
    pub const fn new(next_header: Protocol, source: Ipv6Addr, destination: Ipv6Addr) -> Self {
        Self {
            dscp: Dscp::BEST_EFFORT,
            ecn: Ecn::NotEct,
            flow_label: FlowLabel::NONE,
            next_header,
            hop_limit: DEFAULT_HOP_LIMIT,
            source,
            destination,
        }
    }

    /// Source and destination, as the upper layer's checksum needs them.
    #[must_use]
    pub const fn addresses(&self) -> Addresses {
        Addresses::V6 {
            source: self.source,
            destination: self.destination,
        }
    }

    /// Writes the header to the front of `packet`, which is as long as the packet shall be, and
    /// gives the part behind it, extension headers and payload, which stays as it is.
    ///
    /// # Errors
    ///
    /// When the header does not fit into `packet`, or `payload_len` cannot say how long the rest
    /// is. Then nothing has been written.
    #[inline]
    pub fn emit<'p>(&self, packet: &'p mut [u8]) -> Result<&'p mut [u8], Error> {
        let available = packet.len();
        let Some((front, payload)) = packet.split_first_chunk_mut::<HEADER_LEN>() else {
            return Err(Field::first_truncated(&ALL, available));
        };
        let Ok(payload_len) = u16::try_from(payload.len()) else {
            return Err(PAYLOAD_LEN.more_than(MAX_PAYLOAD_LEN, payload.len()));
        };

        let traffic_class = u32::from(traffic_class_byte(self.dscp, self.ecn));
        let first = 6 << 28 | traffic_class << 20 | self.flow_label.get();
        // Made beside the packet, in registers, and stored in a few large pieces.
        let fixed = &mut [0; HEADER_LEN];
        put(fixed, VERSION, first.to_be_bytes());
        put(fixed, PAYLOAD_LEN, payload_len.to_be_bytes());
        fixed[NEXT_HEADER.offset()] = self.next_header.0;
        fixed[HOP_LIMIT.offset()] = self.hop_limit;
        put(fixed, SOURCE, self.source.octets());
        put(fixed, DESTINATION, self.destination.octets());
        *front = *fixed;
        Ok(payload)
    }
}

/// One extension header, whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Extension<'a> {
    /// Which it is, as the header before it says.
    pub kind: Protocol,
    /// Its first byte, counted from the start of the packet.
    pub offset: usize,
    /// All of it. The first byte is its own Next Header.
    pub bytes: &'a [u8],
}

impl Extension<'_> {
    /// What a Fragment header says (RFC 8200 §4.5); nothing for one of another kind.
    #[must_use]
    pub fn fragment(&self) -> Option<Fragment> {
        match *self.bytes {
            [_, _, high, low, a, b, c, d] if self.kind == Protocol::FRAGMENT => {
                let offset_and_flag = u16::from_be_bytes([high, low]);
                Some(Fragment {
                    identification: u32::from_be_bytes([a, b, c, d]),
                    offset: FragmentOffset::from_wire(offset_and_flag >> 3),
                    more_fragments: offset_and_flag & 1 != 0,
                })
            }
            _ => None,
        }
    }
}

// ANCHOR: extensions
/// The walk from one extension header to the next (RFC 8200 §4). It ends before what is none: the
/// upper layer's header, one whose kind is unknown, an encrypted payload (ESP, RFC 4303), nothing
/// (No Next Header), and the data of a fragment that is not the first.
///
/// It gives an error, and ends, where a header is cut off by the end of the packet, where a
/// Hop-by-Hop Options header is not the first, and after [`MAX_EXTENSIONS`] headers.
#[derive(Debug, Clone)]
pub struct Extensions<'a> {
    /// What comes next, and which byte of the packet says so.
    next_header: Protocol,
    named_at: usize,
    /// Where it begins, and all there is from there on.
    offset: usize,
    rest: &'a [u8],
    count: usize,
    ended: bool,
}

impl<'a> Iterator for Extensions<'a> {
    type Item = Result<Extension<'a>, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.ended || !is_extension(self.next_header) {
            return None;
        }
        let step = self.step();
        self.ended |= step.is_err();
        Some(step)
    }
}

impl<'a> Extensions<'a> {
    fn step(&mut self) -> Result<Extension<'a>, Error> {
        let kind = self.next_header;
        let named = Field::new("next_header", self.named_at * 8, 8);
        if kind == Protocol::HOP_BY_HOP && self.count > 0 {
            return Err(named.error(Reason::Misplaced {
                found: kind.0.into(),
            }));
        }
        if self.count == MAX_EXTENSIONS {
            return Err(
                Field::new("extensions", self.offset * 8, 0).error(Reason::MoreThan {
                    most: MAX_EXTENSIONS,
                    found: MAX_EXTENSIONS + 1,
                }),
            );
        }

        let available = self.offset + self.rest.len();
        let &[next_header, len, ..] = self.rest else {
            let extension = Field::new("extension", self.offset * 8, 0);
            return Err(extension.truncated(self.offset + 2, available));
        };
        let len = match kind {
            // A fixed length, and a reserved byte where the others have theirs.
            Protocol::FRAGMENT => 8,
            // Units of 4 bytes, the first two not counted (RFC 4302 §2.2).
            Protocol::AUTHENTICATION => (usize::from(len) + 2) * 4,
            // Units of 8 bytes, the first not counted.
            _ => (usize::from(len) + 1) * 8,
        };
        let Some((bytes, rest)) = self.rest.split_at_checked(len) else {
            let extension = Field::new("extension", self.offset * 8, 0);
            return Err(extension.truncated(self.offset + len, available));
        };

        let offset = self.offset;
        let extension = Extension {
            kind,
            offset,
            bytes,
        };
        self.next_header = Protocol(next_header);
        self.named_at = offset;
        self.offset = offset + len;
        self.rest = rest;
        self.count += 1;
        // Behind a later fragment's header stands data, whatever its Next Header calls it.
        self.ended = extension
            .fragment()
            .is_some_and(|fragment| fragment.offset != FragmentOffset::ZERO);
        Ok(extension)
    }
}

/// Whether a header of this kind says what follows it, in a place that is known. IANA's «IPv6
/// Extension Header Types» also has ESP (50), which hides it, and 253 and 254, which are for
/// experiments and may be anything.
const fn is_extension(kind: Protocol) -> bool {
    const MOBILITY: u8 = 135;
    const HIP: u8 = 139;
    const SHIM6: u8 = 140;
    matches!(
        kind,
        Protocol::HOP_BY_HOP
            | Protocol::ROUTING
            | Protocol::FRAGMENT
            | Protocol::AUTHENTICATION
            | Protocol::DESTINATION_OPTIONS
            | Protocol(MOBILITY | HIP | SHIM6)
    )
}
// ANCHOR_END: extensions

impl<'a> Extensions<'a> {
    /// The walk from the end of a packet's fixed header on, which calls what follows it
    /// `next_header`. The payload may end before the packet does, as in an ICMP error that quotes it.
    #[must_use]
    pub const fn new(next_header: Protocol, payload: &'a [u8]) -> Self {
        Self {
            next_header,
            named_at: NEXT_HEADER.offset(),
            offset: HEADER_LEN,
            rest: payload,
            count: 0,
            ended: false,
        }
    }

    /// What is behind all that are left.
    ///
    /// # Errors
    ///
    /// When the walk meets one.
    #[inline]
    pub fn upper_layer(mut self) -> Result<UpperLayer<'a>, Error> {
        let mut fragment = None;
        for extension in &mut self {
            fragment = extension?.fragment().or(fragment);
        }
        Ok(UpperLayer {
            protocol: self.next_header,
            offset: self.offset,
            bytes: self.rest,
            fragment,
        })
    }
}
