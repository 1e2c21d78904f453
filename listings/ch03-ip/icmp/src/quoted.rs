//! The packet that an ICMP error is about, as far as the error quotes it.

use ip_header::{
    Addresses, Error, Field, Fragment, FragmentOffset, Protocol, Reason, UpperLayer,
    field::{array, word},
    ipv4, ipv6,
};

/// The first bytes of a packet of either version: its whole header, and of the rest what there is.
///
/// Nothing here says that the packet is intact. Its checksums may cover bytes that are not quoted,
/// and routers have quoted headers with a lower TTL and the old checksum. So no checksum is looked
/// at; the message's own covers the quotation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quoted<'a> {
    bytes: &'a [u8],
    addresses: Addresses,
    total_len: usize,
    ttl: u8,
    /// None if it is not among the bytes.
    upper_layer: Option<UpperLayer<'a>>,
}

impl<'a> Quoted<'a> {
    // ANCHOR: parse
    /// Checks the header of the packet of which `bytes` are the first.
    ///
    /// # Errors
    ///
    /// In this order: fewer bytes than the header has; another version than 4 and 6; in IPv4, an
    /// `ihl` or `total_len` smaller than the header, and options that are cut off. Bytes that are
    /// missing behind the header are no error.
    #[inline]
    pub fn parse(bytes: &'a [u8]) -> Result<Self, Error> {
        match bytes.first().map(|first| first >> 4) {
            Some(6) => Self::parse_v6(bytes),
            _ => Self::parse_v4(bytes),
        }
    }

    #[inline]
    fn parse_v4(bytes: &'a [u8]) -> Result<Self, Error> {
        use ipv4::fields::{
            ALL, DESTINATION, FLAGS, IDENTIFICATION, IHL, OPTIONS, PROTOCOL, SOURCE, TOTAL_LEN,
            TTL, VERSION,
        };
        let Some(fixed) = bytes.first_chunk::<{ ipv4::HEADER_LEN }>() else {
            return Err(Field::first_truncated(&ALL, bytes.len()));
        };
        if fixed[0] >> 4 != 4 {
            return Err(VERSION.not(4, usize::from(fixed[0] >> 4)));
        }
        let ihl = usize::from(fixed[0] & 0x0f);
        let header_len = ihl * 4;
        if header_len < ipv4::HEADER_LEN {
            return Err(IHL.less_than(ipv4::HEADER_LEN / 4, ihl));
        }
        let total_len = usize::from(word(fixed, TOTAL_LEN));
        if total_len < header_len {
            return Err(TOTAL_LEN.less_than(header_len, total_len));
        }
        if bytes.len() < header_len {
            return Err(OPTIONS.error(Reason::Truncated {
                needed: header_len,
                available: bytes.len(),
            }));
        }
        // What fills up the quotation behind a short packet is not the packet's (RFC 4884 §4).
        let bytes = &bytes[..total_len.min(bytes.len())];
        let flags_and_offset = word(fixed, FLAGS);
        let more_fragments = flags_and_offset & 0x2000 != 0;
        let offset = fragment_offset(flags_and_offset << 3);
        let is_fragment = more_fragments || offset != FragmentOffset::ZERO;
        Ok(Self {
            bytes,
            addresses: Addresses::V4 {
                source: array(fixed, SOURCE).into(),
                destination: array(fixed, DESTINATION).into(),
            },
            total_len,
            ttl: fixed[TTL.offset()],
            upper_layer: Some(UpperLayer {
                protocol: Protocol(fixed[PROTOCOL.offset()]),
                offset: header_len,
                bytes: &bytes[header_len..],
                fragment: is_fragment.then(|| Fragment {
                    identification: word(fixed, IDENTIFICATION).into(),
                    offset,
                    more_fragments,
                }),
            }),
        })
    }
    // ANCHOR_END: parse

    #[inline]
    fn parse_v6(bytes: &'a [u8]) -> Result<Self, Error> {
        use ipv6::fields::{ALL, DESTINATION, HOP_LIMIT, NEXT_HEADER, PAYLOAD_LEN, SOURCE};
        let Some(fixed) = bytes.first_chunk::<{ ipv6::HEADER_LEN }>() else {
            return Err(Field::first_truncated(&ALL, bytes.len()));
        };
        let total_len = ipv6::HEADER_LEN + usize::from(word(fixed, PAYLOAD_LEN));
        let bytes = &bytes[..total_len.min(bytes.len())];
        Ok(Self {
            bytes,
            addresses: Addresses::V6 {
                source: array(fixed, SOURCE).into(),
                destination: array(fixed, DESTINATION).into(),
            },
            total_len,
            ttl: fixed[HOP_LIMIT.offset()],
            upper_layer: ipv6::Extensions::new(
                Protocol(fixed[NEXT_HEADER.offset()]),
                &bytes[ipv6::HEADER_LEN..],
            )
            .upper_layer()
            .ok(),
        })
    }

    /// Who sent the packet, and to whom: the receiver of the message, if it is honest, and whom it
    /// wanted to reach.
    #[must_use]
    pub const fn addresses(&self) -> Addresses {
        self.addresses
    }

    /// How long the packet was, in bytes, as its header says: mostly more than is quoted.
    #[must_use]
    pub const fn total_len(&self) -> usize {
        self.total_len
    }

    /// Whether the end of the packet is missing.
    #[must_use]
    pub const fn is_cut(&self) -> bool {
        self.bytes.len() < self.total_len
    }

    /// TTL or hop limit as it was when the packet was given up.
    #[must_use]
    pub const fn ttl(&self) -> u8 {
        self.ttl
    }

    /// The packet's bytes that are there.
    #[must_use]
    pub const fn as_bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// What the packet carried, as far as it is there. None where it cannot be found: behind
    /// extension headers that are cut off, or that [`ipv6::Extensions`] refuses.
    #[must_use]
    pub const fn upper_layer(&self) -> Option<UpperLayer<'a>> {
        self.upper_layer
    }

    // ANCHOR: ports
    /// Source and destination port of a quoted UDP datagram or TCP segment: both have them in their
    /// first four bytes, and at least eight are quoted (RFC 792). None in a later fragment.
    #[must_use]
    #[inline]
    pub fn ports(&self) -> Option<(u16, u16)> {
        let upper = self.upper_layer?;
        let is_first = upper
            .fragment
            .is_none_or(|fragment| fragment.offset == FragmentOffset::ZERO);
        if !is_first || !matches!(upper.protocol, Protocol::UDP | Protocol::TCP) {
            return None;
        }
        let [a, b, c, d] = *upper.bytes.first_chunk()?;
        Some((u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d])))
    }
    // ANCHOR_END: ports
}

/// A fragment's offset in bytes; the lowest three bits are none of its.
fn fragment_offset(bits: u16) -> FragmentOffset {
    FragmentOffset::from_bytes(u32::from(bits & !7)).unwrap_or_default()
}
