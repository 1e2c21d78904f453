//! Packets made by hand, with whatever sender.

use std::net::SocketAddrV4;

use ip_header::{Protocol, ipv4};
use lab::Packet;

/// TCP's header without options, in bytes.
const TCP_HEADER_LEN: usize = 20;

// ANCHOR: udp
/// A datagram that says it comes from `source`. Nothing in it could show that it does not.
pub fn datagram(
    source: SocketAddrV4,
    destination: SocketAddrV4,
    data: &[u8],
) -> Result<Packet, ip_header::Error> {
    let mut bytes = vec![0; ipv4::HEADER_LEN + udp_header::HEADER_LEN + data.len()];
    let ip = ipv4::Header::new(Protocol::UDP, *source.ip(), *destination.ip());
    let udp = ip.emit(&mut bytes)?;
    udp[udp_header::HEADER_LEN..].copy_from_slice(data);
    let header = udp_header::Header {
        source_port: source.port(),
        destination_port: destination.port(),
    };
    header.emit(udp, ip.addresses())?;
    Ok(Packet::new(&bytes))
}
// ANCHOR_END: udp

// ANCHOR: tcp
/// A segment that says it comes from `source`: no data, no options.
pub fn segment(
    source: SocketAddrV4,
    destination: SocketAddrV4,
    flags: u8,
    sequence: u32,
    acknowledgement: u32,
) -> Result<Packet, ip_header::Error> {
    let mut bytes = [0; ipv4::HEADER_LEN + TCP_HEADER_LEN];
    let ip = ipv4::Header::new(Protocol::TCP, *source.ip(), *destination.ip());
    let tcp = ip.emit(&mut bytes)?;
    tcp[0..2].copy_from_slice(&source.port().to_be_bytes());
    tcp[2..4].copy_from_slice(&destination.port().to_be_bytes());
    tcp[4..8].copy_from_slice(&sequence.to_be_bytes());
    tcp[8..12].copy_from_slice(&acknowledgement.to_be_bytes());
    tcp[12] = (TCP_HEADER_LEN as u8 / 4) << 4;
    tcp[13] = flags;
    tcp[14..16].copy_from_slice(&u16::MAX.to_be_bytes()); // the window
    let mut packet = Packet::new(&bytes);
    packet.repair_checksums();
    Ok(packet)
}
// ANCHOR_END: tcp
