//! Up the layers: each takes off what its counterpart put on, if it is as it was sent.

use std::fmt;
use std::net::Ipv4Addr;

use layers_checksum::Sum;
use layers_ethernet::{Error, EtherType, Field, Frame, Reason, fields};

use crate::wrap::{IPV4_CHECKSUM, TCP, TCP_CHECKSUM, pseudo_header};

const VERSION: Field = Field::new("version", 0, 4);
const IHL: Field = Field::new("ihl", 4, 4);
const TOTAL_LEN: Field = Field::new("total_len", 16, 16);
const PROTOCOL: Field = Field::new("protocol", 72, 8);
const HEADER_CHECKSUM: Field = Field::new("header_checksum", IPV4_CHECKSUM * 8, 16);
/// The addresses, which end the header's fixed part.
const ADDRESSES: Field = Field::new("addresses", 96, 64);

const DATA_OFFSET: Field = Field::new("data_offset", 96, 4);
const CHECKSUM: Field = Field::new("checksum", TCP_CHECKSUM * 8, 16);
/// The last of the header's fixed part.
const URGENT_POINTER: Field = Field::new("urgent_pointer", 144, 16);

/// A layer that found something wrong, and what.
#[derive(Debug)]
pub struct Refusal {
    pub layer: &'static str,
    pub error: Error,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.layer, self.error)
    }
}

impl std::error::Error for Refusal {}

/// A frame without its wrapping.
pub struct Peeled<'a> {
    pub packet: &'a [u8],
    pub segment: &'a [u8],
    pub data: &'a [u8],
}

// ANCHOR: peel
/// Peels a whole frame. Each layer knows only its own header, and from it what comes next.
pub fn peel(frame: &[u8]) -> Result<Peeled<'_>, Refusal> {
    let by = |layer| move |error| Refusal { layer, error };
    let packet = from_ethernet(frame).map_err(by("Ethernet"))?;
    let (source, destination, segment) = from_ipv4(packet).map_err(by("IPv4"))?;
    let data = from_tcp(source, destination, segment).map_err(by("TCP"))?;
    Ok(Peeled {
        packet,
        segment,
        data,
    })
}

fn from_ethernet(frame: &[u8]) -> Result<&[u8], Error> {
    let frame = Frame::parse_with_fcs(frame)?;
    let (expected, found) = (EtherType::IPV4.0, frame.header().ether_type.0);
    if found != expected {
        return Err(fields::ETHER_TYPE.not(expected.into(), found.into()));
    }
    Ok(frame.payload())
}

fn from_ipv4(packet: &[u8]) -> Result<(Ipv4Addr, Ipv4Addr, &[u8]), Error> {
    let available = packet.len();
    let Some(fixed) = packet.first_chunk::<{ ADDRESSES.end() }>() else {
        return Err(ADDRESSES.truncated(ADDRESSES.end(), available));
    };
    let (version, ihl) = (usize::from(fixed[0] >> 4), usize::from(fixed[0] & 0x0f));
    if version != 4 {
        return Err(VERSION.not(4, version));
    }
    if ihl * 4 < ADDRESSES.end() {
        return Err(IHL.less_than(ADDRESSES.end() / 4, ihl));
    }
    // The frame may be longer than the packet: its total length says where the padding begins.
    let total_len = usize::from(u16::from_be_bytes([fixed[2], fixed[3]]));
    let Some(packet) = packet.get(..total_len) else {
        return Err(TOTAL_LEN.more_than(available, total_len));
    };
    let Some((header, segment)) = packet.split_at_checked(ihl * 4) else {
        return Err(TOTAL_LEN.less_than(ihl * 4, total_len));
    };
    checked(Sum::new(), header, HEADER_CHECKSUM)?;
    if fixed[PROTOCOL.offset()] != TCP {
        return Err(PROTOCOL.not(TCP.into(), fixed[PROTOCOL.offset()].into()));
    }
    let [.., a, b, c, d, e, f, g, h] = *fixed;
    Ok(([a, b, c, d].into(), [e, f, g, h].into(), segment))
}

fn from_tcp(source: Ipv4Addr, destination: Ipv4Addr, segment: &[u8]) -> Result<&[u8], Error> {
    let available = segment.len();
    if available < URGENT_POINTER.end() {
        return Err(URGENT_POINTER.truncated(URGENT_POINTER.end(), available));
    }
    checked(
        pseudo_header(source, destination, available),
        segment,
        CHECKSUM,
    )?;
    let words = usize::from(segment[DATA_OFFSET.offset()] >> 4);
    if words * 4 < URGENT_POINTER.end() {
        return Err(DATA_OFFSET.less_than(URGENT_POINTER.end() / 4, words));
    }
    segment
        .get(words * 4..)
        .ok_or_else(|| DATA_OFFSET.more_than(available / 4, words))
}

/// That the sum over all of `bytes`, after what `sum` has already, is what the sender made it.
fn checked(sum: Sum, bytes: &[u8], field: Field) -> Result<(), Error> {
    if sum.bytes(bytes).is_valid() {
        return Ok(());
    }
    let (before, after) = (&bytes[..field.offset()], &bytes[field.end()..]);
    Err(field.error(Reason::Checksum {
        computed: sum.bytes(before).bytes(after).checksum(),
        found: u16::from_be_bytes([bytes[field.offset()], bytes[field.offset() + 1]]),
    }))
}
// ANCHOR_END: peel
