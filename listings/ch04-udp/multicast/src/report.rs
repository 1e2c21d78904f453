//! Reports of IGMPv3 (RFC 9776 §4.2) and MLDv2 (RFC 9777 §5.2), which differ in the length of an
//! address and in the checksum.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ip_header::checksum::Sum;
use ip_header::{Addresses, Error, Field, Packet, Protocol, Reason};

/// IGMP's number in the IP header (RFC 9776 §4).
pub const IGMP: Protocol = Protocol(2);

/// The type of a report: of IGMPv3, and of MLDv2 among the messages of ICMPv6.
pub const V3_MEMBERSHIP_REPORT: u8 = 0x22;
/// See [`V3_MEMBERSHIP_REPORT`].
pub const V2_LISTENER_REPORT: u8 = 143;

/// What stands before the records.
pub const HEADER_LEN: usize = 8;

/// The fields before the records, by their place in the message.
pub mod fields {
    use ip_header::Field;

    /// What kind of message it is.
    pub const TYPE: Field = Field::new("type", 0, 8);
    /// Over the message; in MLD over a pseudo-header, too.
    pub const CHECKSUM: Field = Field::new("checksum", 16, 16);
    /// How many records follow.
    pub const NUMBER_OF_RECORDS: Field = Field::new("number_of_records", 48, 16);

    /// In the order in which they stand.
    pub const ALL: [Field; 5] = [
        TYPE,
        Field::new("reserved", 8, 8),
        CHECKSUM,
        Field::new("flags", 32, 16),
        NUMBER_OF_RECORDS,
    ];
}

/// A report, whose records have all been checked to be whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Report<'a> {
    family: Family,
    number_of_records: u16,
    /// The records and what may stand behind them.
    records: &'a [u8],
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Family {
    Igmp,
    Mld,
}

impl Family {
    const fn address_len(self) -> usize {
        match self {
            Self::Igmp => 4,
            Self::Mld => 16,
        }
    }
}

/// What a host says of one group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Record<'a> {
    /// What is said; `None` for a kind that nobody knows yet, to be ignored (RFC 9776 §4.2).
    pub kind: Option<Kind>,
    /// The number of the kind, known or not.
    pub record_type: u8,
    /// The group.
    pub group: IpAddr,
    /// The addresses of the sources, one behind another.
    sources: &'a [u8],
    /// Data that no version has defined yet.
    pub auxiliary: &'a [u8],
}

/// What is said of a group: from whom a host wants what is sent there (RFC 9776 §4.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Kind {
    /// In answer to a query: from these sources only.
    IsInclude = 1,
    /// In answer to a query: from all but these.
    IsExclude = 2,
    /// From now on from these sources only: to leave, from none.
    ToInclude = 3,
    /// From now on from all but these: to join, from all.
    ToExclude = 4,
    /// From these sources, too.
    Allow = 5,
    /// From these sources no longer.
    Block = 6,
}

impl Kind {
    /// By its number.
    #[must_use]
    pub fn new(number: u8) -> Option<Self> {
        [
            Self::IsInclude,
            Self::IsExclude,
            Self::ToInclude,
            Self::ToExclude,
            Self::Allow,
            Self::Block,
        ]
        .into_iter()
        .find(|kind| *kind as u8 == number)
    }
}

impl<'a> Report<'a> {
    /// The report in a packet, if there is one. Its sender is the packet's source.
    ///
    /// # Errors
    ///
    /// When the packet is broken, or the report in it. Offsets are counted from the packet's first
    /// byte, or from the report's.
    pub fn of(packet: &Packet<'a>) -> Result<Option<Self>, Error> {
        let upper = packet.upper_layer()?;
        if upper.fragment.is_some() {
            return Ok(None);
        }
        Self::parse(packet.addresses(), upper.protocol, upper.bytes)
    }

    /// The report in these bytes, if they are one: what an IP packet with these addresses carries,
    /// of this protocol.
    ///
    /// # Errors
    ///
    /// When the report is cut off or changed on the way. All of it is checked here.
    pub fn parse(
        addresses: Addresses,
        protocol: Protocol,
        message: &'a [u8],
    ) -> Result<Option<Self>, Error> {
        let available = message.len();
        let (family, sum) = match (addresses, protocol, message.first()) {
            (Addresses::V4 { .. }, IGMP, Some(&V3_MEMBERSHIP_REPORT)) => (Family::Igmp, Sum::new()),
            (Addresses::V6 { .. }, Protocol::ICMPV6, Some(&V2_LISTENER_REPORT)) => (
                Family::Mld,
                addresses.pseudo_header(protocol, available as u32),
            ),
            _ => return Ok(None),
        };
        let Some((header, records)) = message.split_first_chunk::<HEADER_LEN>() else {
            return Err(Field::first_truncated(&fields::ALL, available));
        };
        let &[_, _, high, low, _, _, more, less] = header;
        if !sum.bytes(message).is_valid() {
            return Err(fields::CHECKSUM.error(Reason::Checksum {
                computed: sum
                    .bytes(&[message[0], message[1], 0, 0])
                    .bytes(&message[4..])
                    .checksum(),
                found: u16::from_be_bytes([high, low]),
            }));
        }
        let report = Self {
            family,
            number_of_records: u16::from_be_bytes([more, less]),
            records,
        };
        // A record has 8 bytes at least, so what ends this is the message's length.
        let mut rest = records;
        for _ in 0..report.number_of_records {
            (_, rest) = report.record(rest, available)?;
        }
        Ok(Some(report))
    }

    // ANCHOR: record
    /// Takes the first record off `rest`, the end of a message of `available` bytes.
    fn record(&self, rest: &'a [u8], available: usize) -> Result<(Record<'a>, &'a [u8]), Error> {
        let at = available - rest.len();
        let field = |name, byte: usize, bytes: usize| Field::new(name, (at + byte) * 8, bytes * 8);
        let address_len = self.family.address_len();
        let fixed = [
            field("record_type", 0, 1),
            field("aux_data_len", 1, 1),
            field("number_of_sources", 2, 2),
            field("multicast_address", 4, address_len),
        ];
        let Some((head, behind)) = rest.split_at_checked(4 + address_len) else {
            return Err(Field::first_truncated(&fixed, available));
        };
        let sources_len = usize::from(u16::from_be_bytes([head[2], head[3]])) * address_len;
        let Some((sources, behind)) = behind.split_at_checked(sources_len) else {
            let sources = field("source_addresses", head.len(), sources_len);
            return Err(sources.truncated(sources.end(), available));
        };
        let aux_len = usize::from(head[1]) * 4;
        let Some((auxiliary, behind)) = behind.split_at_checked(aux_len) else {
            let auxiliary = field("auxiliary_data", head.len() + sources_len, aux_len);
            return Err(auxiliary.truncated(auxiliary.end(), available));
        };
        let record = Record {
            kind: Kind::new(head[0]),
            record_type: head[0],
            group: address(&head[4..]),
            sources,
            auxiliary,
        };
        Ok((record, behind))
    }
    // ANCHOR_END: record

    /// The records, in the order in which they stand.
    pub fn records(&self) -> impl Iterator<Item = Record<'a>> {
        let report = *self;
        let (mut rest, available) = (self.records, HEADER_LEN + self.records.len());
        (0..self.number_of_records).map_while(move |_| {
            // All of them were read before, by `parse`.
            let (record, behind) = report.record(rest, available).ok()?;
            rest = behind;
            Some(record)
        })
    }
}

impl<'a> Record<'a> {
    /// The sources that it names, of the group's family.
    pub fn sources(&self) -> impl ExactSizeIterator<Item = IpAddr> + 'a {
        let len = if self.group.is_ipv4() { 4 } else { 16 };
        self.sources.chunks_exact(len).map(address)
    }
}

/// An address from its 4 or 16 bytes.
fn address(bytes: &[u8]) -> IpAddr {
    match <[u8; 4]>::try_from(bytes) {
        Ok(octets) => Ipv4Addr::from(octets).into(),
        Err(_) => {
            let mut octets = [0; 16];
            octets.copy_from_slice(bytes);
            Ipv6Addr::from(octets).into()
        }
    }
}
