//! Down the layers: each puts bytes of its own around what it is given.

use std::net::Ipv4Addr;

use layers_checksum::Sum;
use layers_ethernet::{Error, EtherType, FCS_LEN, Header, MacAddress, crc};

/// What the program writes.
pub const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nHost: example.com\r\n\r\n";

/// The ends, by addresses that are reserved for documentation (RFC 5737; IANA's «Ethernet Numbers»).
pub const CLIENT: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 10);
pub const SERVER: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 7);
pub const CLIENT_MAC: MacAddress = MacAddress([0x00, 0x00, 0x5e, 0x00, 0x53, 0x01]);
pub const ROUTER_MAC: MacAddress = MacAddress([0x00, 0x00, 0x5e, 0x00, 0x53, 0xfe]);
pub const CLIENT_PORT: u16 = 40_112;
pub const SERVER_PORT: u16 = 80;

/// TCP in the field `protocol` of IPv4.
pub const TCP: u8 = 6;

/// Where the checksums stand in their headers.
pub const IPV4_CHECKSUM: usize = 10;
pub const TCP_CHECKSUM: usize = 16;

// ANCHOR: tcp
/// Puts a TCP header before the data (RFC 9293 §3.1): to which program, and where in the stream.
pub fn in_tcp(data: &[u8]) -> Vec<u8> {
    const PSH_ACK: u8 = 0b0001_1000;
    const NO_OPERATION: u8 = 1;
    const TIMESTAMPS: [u8; 2] = [8, 10]; // kind and length (RFC 7323 §3.2)

    let mut segment = Vec::new();
    segment.extend(CLIENT_PORT.to_be_bytes());
    segment.extend(SERVER_PORT.to_be_bytes());
    segment.extend(2_241_659_978_u32.to_be_bytes()); // sequence number
    segment.extend(3_743_080_359_u32.to_be_bytes()); // acknowledgment number
    segment.extend([8 << 4, PSH_ACK]); // a header of eight words of four bytes
    segment.extend(502_u16.to_be_bytes()); // window
    segment.extend([0, 0]); // checksum, zero for now
    segment.extend([0, 0]); // urgent pointer
    segment.extend([NO_OPERATION, NO_OPERATION]);
    segment.extend(TIMESTAMPS);
    segment.extend(0x0a5f_3ce3_u32.to_be_bytes()); // the sender's clock
    segment.extend(0x9106_c378_u32.to_be_bytes()); // the receiver's, as last heard
    segment.extend(data);

    let sum = pseudo_header(CLIENT, SERVER, segment.len()).bytes(&segment);
    segment[TCP_CHECKSUM..][..2].copy_from_slice(&sum.checksum().to_be_bytes());
    segment
}

/// What TCP's checksum covers besides: so a segment that reaches the wrong host is noticed.
pub fn pseudo_header(source: Ipv4Addr, destination: Ipv4Addr, segment_len: usize) -> Sum {
    let addresses = Sum::new()
        .bytes(&source.octets())
        .bytes(&destination.octets());
    let segment_len = segment_len as u16; // less than a packet, whose length has 16 bits
    addresses.bytes(&[0, TCP]).bytes(&segment_len.to_be_bytes())
}
// ANCHOR_END: tcp

// ANCHOR: ipv4
/// Puts an IPv4 header before the segment (RFC 791 §3.1): to which host.
pub fn in_ipv4(segment: &[u8]) -> Vec<u8> {
    const HEADER_LEN: u8 = 20;
    const DONT_FRAGMENT: u16 = 0x4000;

    let mut packet = Vec::new();
    packet.extend([(4 << 4) | (HEADER_LEN / 4), 0]); // version and length; best effort
    packet.extend((u16::from(HEADER_LEN) + segment.len() as u16).to_be_bytes());
    packet.extend(0x1a2b_u16.to_be_bytes()); // identification
    packet.extend(DONT_FRAGMENT.to_be_bytes());
    packet.extend([64, TCP]); // time to live, protocol
    packet.extend([0, 0]); // checksum, zero for now
    packet.extend(CLIENT.octets());
    packet.extend(SERVER.octets());

    let checksum = Sum::new().bytes(&packet).checksum(); // over the header alone
    packet[IPV4_CHECKSUM..][..2].copy_from_slice(&checksum.to_be_bytes());
    packet.extend(segment);
    packet
}
// ANCHOR_END: ipv4

// ANCHOR: ethernet
/// Puts the packet into an Ethernet frame: to which machine on this link.
pub fn in_ethernet(packet: &[u8]) -> Result<Vec<u8>, Error> {
    let header = Header {
        destination: ROUTER_MAC, // the next machine, which is not the server
        source: CLIENT_MAC,
        tag: None,
        ether_type: EtherType::IPV4,
    };
    let mut frame = vec![0; header.header_len() + packet.len() + FCS_LEN];
    header.emit(&mut frame)?[..packet.len()].copy_from_slice(packet);
    crc::seal(&mut frame)?;
    Ok(frame)
}
// ANCHOR_END: ethernet
