//! Where each layer of a frame begins.

use layers_ethernet::{Error, EtherType, Field, Frame};

const IHL: Field = Field::new("ihl", 4, 4);
const TOTAL_LEN: Field = Field::new("total_len", 16, 16);
const PROTOCOL: Field = Field::new("protocol", 72, 8);
const PAYLOAD_LEN: Field = Field::new("payload_len", 32, 16);
const NEXT_HEADER: Field = Field::new("next_header", 48, 8);
const DATA_OFFSET: Field = Field::new("data_offset", 96, 4);
const UDP_LEN: Field = Field::new("length", 32, 16);

/// The fixed parts of the headers, in bytes.
const IPV4_LEN: usize = 20;
const IPV6_LEN: usize = 40;
const TCP_LEN: usize = 20;
const UDP_HEADER_LEN: usize = 8;

const TCP: u8 = 6;
const UDP: u8 = 17;

/// A frame's layers, by the places at which they begin, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Layers {
    pub packet: usize,
    pub transport: usize,
    pub data: usize,
    /// The byte after the last of the data; padding may follow.
    pub end: usize,
}

impl Layers {
    // ANCHOR: layers
    /// Each header says how long it is, and what follows it.
    pub fn of(frame: &[u8]) -> Result<Self, Error> {
        let view = Frame::parse(frame)?;
        let packet = view.header().header_len();
        let (len, header_len, protocol) = match view.header().ether_type {
            EtherType::IPV6 => ipv6(view.payload()),
            _ => ipv4(view.payload()), // and if it is no IPv4 either, that finds out
        }?;
        let transport = packet + header_len;
        let end = packet + len;
        let header_len = transport_header_len(protocol, &frame[transport..end])?;
        Ok(Self {
            packet,
            transport,
            data: transport + header_len,
            end,
        })
    }
    // ANCHOR_END: layers

    pub fn data<'a>(&self, frame: &'a [u8]) -> &'a [u8] {
        &frame[self.data..self.end]
    }

    /// How many bytes each layer has added: Ethernet, IP, transport; and the data.
    pub fn lens(&self) -> [usize; 4] {
        [
            self.packet,
            self.transport - self.packet,
            self.data - self.transport,
            self.end - self.data,
        ]
    }
}

/// The packet's length, its header's, and what it carries.
fn ipv4(packet: &[u8]) -> Result<(usize, usize, u8), Error> {
    if packet.len() < IPV4_LEN {
        return Err(PROTOCOL.truncated(IPV4_LEN, packet.len()));
    }
    if packet[0] >> 4 != 4 {
        return Err(Field::new("version", 0, 4).not(4, (packet[0] >> 4).into()));
    }
    let header_len = usize::from(packet[0] & 0x0f) * 4;
    if header_len < IPV4_LEN {
        return Err(IHL.less_than(IPV4_LEN / 4, header_len / 4));
    }
    let len = usize::from(u16::from_be_bytes([packet[2], packet[3]]));
    if len < header_len {
        return Err(TOTAL_LEN.less_than(header_len, len));
    }
    if len > packet.len() {
        return Err(TOTAL_LEN.more_than(packet.len(), len));
    }
    Ok((len, header_len, packet[PROTOCOL.offset()]))
}

/// The same of IPv6, without extension headers.
fn ipv6(packet: &[u8]) -> Result<(usize, usize, u8), Error> {
    if packet.len() < IPV6_LEN {
        return Err(NEXT_HEADER.truncated(IPV6_LEN, packet.len()));
    }
    let payload_len = usize::from(u16::from_be_bytes([packet[4], packet[5]]));
    let most = packet.len() - IPV6_LEN;
    if payload_len > most {
        return Err(PAYLOAD_LEN.more_than(most, payload_len));
    }
    Ok((
        IPV6_LEN + payload_len,
        IPV6_LEN,
        packet[NEXT_HEADER.offset()],
    ))
}

fn transport_header_len(protocol: u8, bytes: &[u8]) -> Result<usize, Error> {
    let available = bytes.len();
    match protocol {
        TCP if available < TCP_LEN => Err(DATA_OFFSET.truncated(TCP_LEN, available)),
        TCP => {
            let len = usize::from(bytes[DATA_OFFSET.offset()] >> 4) * 4;
            match len {
                0..TCP_LEN => Err(DATA_OFFSET.less_than(TCP_LEN / 4, len / 4)),
                _ if len > available => Err(DATA_OFFSET.more_than(available / 4, len / 4)),
                _ => Ok(len),
            }
        }
        UDP if available < UDP_HEADER_LEN => Err(UDP_LEN.truncated(UDP_HEADER_LEN, available)),
        UDP => Ok(UDP_HEADER_LEN),
        other => Err(PROTOCOL.not(TCP.into(), other.into())),
    }
}
