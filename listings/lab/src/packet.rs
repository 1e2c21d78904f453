//! An IP packet on its way, and what can be read from it.

use std::net::IpAddr;

use etherparse::{LaxNetSlice, LaxSlicedPacket, TransportSlice};

/// Room in front of a packet for the Ethernet header that a device wants.
pub(crate) const HEADROOM: usize = 14;

/// An IPv4 or IPv6 packet.
#[derive(Clone, PartialEq, Eq)]
pub struct Packet {
    /// [`HEADROOM`] bytes, and then the packet.
    buffer: Vec<u8>,
}

/// What a TCP segment's header says (RFC 9293, section 3.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tcp {
    /// The sender's port.
    pub source_port: u16,
    /// The receiver's port.
    pub destination_port: u16,
    /// Number of the first byte of data, or of the SYN.
    pub sequence: u32,
    /// The next byte expected, where `flags` has ACK.
    pub acknowledgment: u32,
    /// CWR, ECE, URG, ACK, PSH, RST, SYN, FIN, from the highest bit down.
    pub flags: u8,
    /// As it stands in the header, unscaled.
    pub window: u16,
    /// Bytes of data behind the header.
    pub length: usize,
}

impl Tcp {
    /// The sender is done.
    pub const FIN: u8 = 0x01;
    /// The sender asks for a connection.
    pub const SYN: u8 = 0x02;
    /// The sender wants no connection.
    pub const RST: u8 = 0x04;
    /// The data should not wait for more.
    pub const PSH: u8 = 0x08;
    /// `acknowledgment` counts.
    pub const ACK: u8 = 0x10;

    /// Whether all the given flags are set.
    #[must_use]
    pub fn has(&self, flags: u8) -> bool {
        self.flags & flags == flags
    }
}

/// What a UDP datagram's header says (RFC 768).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Udp {
    /// The sender's port.
    pub source_port: u16,
    /// The receiver's port.
    pub destination_port: u16,
    /// Bytes of data behind the header.
    pub length: usize,
}

impl Packet {
    /// A packet from the bytes of its IP header and all that follows.
    #[must_use]
    pub fn new(bytes: &[u8]) -> Self {
        let mut buffer = Vec::with_capacity(HEADROOM + bytes.len());
        buffer.resize(HEADROOM, 0);
        buffer.extend_from_slice(bytes);
        Self { buffer }
    }

    /// The IP header and all that follows.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.buffer[HEADROOM..]
    }

    /// The same, to be changed; [`repair_checksums`](Self::repair_checksums) afterwards.
    pub fn bytes_mut(&mut self) -> &mut [u8] {
        &mut self.buffer[HEADROOM..]
    }

    /// The packet with `header` in the room before it.
    pub(crate) fn framed(&mut self, header: &[u8; HEADROOM]) -> &mut [u8] {
        self.buffer[..HEADROOM].copy_from_slice(header);
        &mut self.buffer
    }

    /// Bytes from the IP header on.
    #[must_use]
    pub fn length(&self) -> usize {
        self.buffer.len() - HEADROOM
    }

    /// 4 or 6; whatever else the first four bits say if this is no IP packet.
    #[must_use]
    pub fn version(&self) -> u8 {
        self.bytes().first().map_or(0, |byte| byte >> 4)
    }

    /// The source address.
    #[must_use]
    pub fn source(&self) -> Option<IpAddr> {
        addresses(self.bytes()).map(|(source, _)| source)
    }

    /// The destination address.
    #[must_use]
    pub fn destination(&self) -> Option<IpAddr> {
        addresses(self.bytes()).map(|(_, destination)| destination)
    }

    /// The TCP header, if it is a TCP segment.
    #[must_use]
    pub fn tcp(&self) -> Option<Tcp> {
        tcp(self.bytes(), self.length())
    }

    /// The UDP header, if it is a UDP datagram.
    #[must_use]
    pub fn udp(&self) -> Option<Udp> {
        udp(self.bytes(), self.length())
    }

    /// What TCP or UDP carries; empty for any other protocol.
    #[must_use]
    pub fn payload(&self) -> &[u8] {
        match slices(self.bytes()).and_then(|slices| slices.transport) {
            Some(TransportSlice::Tcp(tcp)) => tcp.payload(),
            Some(TransportSlice::Udp(udp)) => udp.payload(),
            _ => &[],
        }
    }

    /// Sets the checksums of the IPv4 header and of TCP, UDP or ICMP to what they should be.
    ///
    /// Leaves a fragment's transport checksum alone, since it covers the other fragments, too, and
    /// a packet with IPv6 extension headers.
    pub fn repair_checksums(&mut self) {
        let bytes = self.bytes_mut();
        let Some((source, destination)) = addresses(bytes) else {
            return;
        };
        let (protocol, at) = match (source, destination) {
            (IpAddr::V4(_), _) => {
                let at = usize::from(bytes[0] & 0xf) * 4;
                if at < 20 || bytes.len() < at {
                    return;
                }
                put_checksum(bytes, 10, 0, at, 0);
                if u16::from_be_bytes([bytes[6], bytes[7]]) & 0x3fff != 0 {
                    return;
                }
                (bytes[9], at)
            }
            (IpAddr::V6(_), _) => (bytes[6], 40),
        };
        let field = at
            + match protocol {
                protocol_number::ICMP | protocol_number::ICMPV6 => 2,
                protocol_number::TCP => 16,
                protocol_number::UDP => 6,
                _ => return,
            };
        if bytes.len() < field + 2 {
            return;
        }
        // The pseudo-header (RFC 9293, 3.1; RFC 8200, 8.1); ICMP over IPv4 has none.
        let pseudo = if protocol == protocol_number::ICMP {
            0
        } else {
            let addresses = if source.is_ipv4() {
                sum(&bytes[12..20])
            } else {
                sum(&bytes[8..40])
            };
            addresses + u64::from(protocol) + (bytes.len() - at) as u64
        };
        put_checksum(bytes, field, at, bytes.len(), pseudo);
        // «No checksum» is written as zero in UDP, so a sum of zero is written as its other form.
        if protocol == protocol_number::UDP && bytes[field..field + 2] == [0, 0] {
            bytes[field..field + 2].copy_from_slice(&[0xff, 0xff]);
        }
    }
}

impl std::fmt::Debug for Packet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&describe(self.bytes(), self.length()))
    }
}

/// Protocol numbers as the IP header has them.
pub(crate) mod protocol_number {
    pub(crate) const ICMP: u8 = 1;
    pub(crate) const TCP: u8 = 6;
    pub(crate) const UDP: u8 = 17;
    pub(crate) const ICMPV6: u8 = 58;
}

/// The sum of 16-bit words that a checksum is made of (RFC 1071).
fn sum(bytes: &[u8]) -> u64 {
    let words = bytes.chunks_exact(2);
    let last = match words.remainder() {
        [byte] => u64::from(*byte) << 8,
        _ => 0,
    };
    words
        .map(|word| u64::from(u16::from_be_bytes([word[0], word[1]])))
        .sum::<u64>()
        + last
}

/// Writes at `field` the checksum of `from..to`, with `initial` added in.
fn put_checksum(bytes: &mut [u8], field: usize, from: usize, to: usize, initial: u64) {
    bytes[field..field + 2].fill(0);
    let mut total = initial + sum(&bytes[from..to]);
    while total > 0xffff {
        total = (total & 0xffff) + (total >> 16);
    }
    bytes[field..field + 2].copy_from_slice(&(!(total as u16)).to_be_bytes());
}

fn slices(bytes: &[u8]) -> Option<LaxSlicedPacket<'_>> {
    LaxSlicedPacket::from_ip(bytes).ok()
}

/// Source and destination.
fn addresses(bytes: &[u8]) -> Option<(IpAddr, IpAddr)> {
    fn address<const N: usize>(bytes: &[u8], at: usize) -> Option<IpAddr>
    where
        IpAddr: From<[u8; N]>,
    {
        let octets: [u8; N] = bytes.get(at..at + N)?.try_into().ok()?;
        Some(octets.into())
    }
    match bytes.first()? >> 4 {
        4 => Some((address::<4>(bytes, 12)?, address::<4>(bytes, 16)?)),
        6 => Some((address::<16>(bytes, 8)?, address::<16>(bytes, 24)?)),
        _ => None,
    }
}

/// The TCP header in the first bytes of a packet that was `length` bytes long.
pub(crate) fn tcp(bytes: &[u8], length: usize) -> Option<Tcp> {
    let TransportSlice::Tcp(tcp) = slices(bytes)?.transport? else {
        return None;
    };
    Some(Tcp {
        source_port: tcp.source_port(),
        destination_port: tcp.destination_port(),
        sequence: tcp.sequence_number(),
        acknowledgment: tcp.acknowledgment_number(),
        flags: tcp.slice()[13],
        window: tcp.window_size(),
        // What is missing of the packet is missing of its data.
        length: tcp.payload().len() + length.saturating_sub(bytes.len()),
    })
}

/// The UDP header in the first bytes of a packet that was `length` bytes long.
pub(crate) fn udp(bytes: &[u8], length: usize) -> Option<Udp> {
    let TransportSlice::Udp(udp) = slices(bytes)?.transport? else {
        return None;
    };
    Some(Udp {
        source_port: udp.source_port(),
        destination_port: udp.destination_port(),
        length: udp.payload().len() + length.saturating_sub(bytes.len()),
    })
}

/// The flags of a TCP segment in words, such as `SYN ACK`.
pub(crate) fn flags(tcp: &Tcp) -> String {
    [
        (Tcp::SYN, "SYN"),
        (Tcp::FIN, "FIN"),
        (Tcp::RST, "RST"),
        (Tcp::PSH, "PSH"),
        (Tcp::ACK, "ACK"),
    ]
    .iter()
    .filter(|(flag, _)| tcp.has(*flag))
    .map(|(_, name)| *name)
    .collect::<Vec<_>>()
    .join(" ")
}

/// A packet that is neither TCP nor UDP, in few words.
pub(crate) fn other(bytes: &[u8]) -> String {
    let Some(slices) = slices(bytes) else {
        return "not IP".to_owned();
    };
    match slices.transport {
        Some(TransportSlice::Icmpv4(icmp)) => match (icmp.type_u8(), icmp.code_u8()) {
            (8, _) => "ICMP echo request".to_owned(),
            (0, _) => "ICMP echo reply".to_owned(),
            (11, _) => "ICMP time exceeded".to_owned(),
            (3, 0) => "ICMP network unreachable".to_owned(),
            (3, 4) => "ICMP fragmentation needed".to_owned(),
            (3, 3) => "ICMP port unreachable".to_owned(),
            (kind, code) => format!("ICMP type {kind} code {code}"),
        },
        Some(TransportSlice::Icmpv6(icmp)) => match (icmp.type_u8(), icmp.code_u8()) {
            (128, _) => "ICMPv6 echo request".to_owned(),
            (129, _) => "ICMPv6 echo reply".to_owned(),
            (3, _) => "ICMPv6 time exceeded".to_owned(),
            (2, _) => "ICMPv6 packet too big".to_owned(),
            (1, 0) => "ICMPv6 no route".to_owned(),
            (1, 4) => "ICMPv6 port unreachable".to_owned(),
            (kind, code) => format!("ICMPv6 type {kind} code {code}"),
        },
        _ => match slices.net {
            Some(LaxNetSlice::Ipv4(ip)) => format!("IPv4 protocol {}", ip.header().protocol().0),
            Some(LaxNetSlice::Ipv6(ip)) => {
                format!("IPv6 next header {}", ip.header().next_header().0)
            }
            _ => "not IP".to_owned(),
        },
    }
}

/// A packet in one line, with absolute numbers.
fn describe(bytes: &[u8], length: usize) -> String {
    if let Some(tcp) = tcp(bytes, length) {
        return format!(
            "TCP {} > {} {} seq={} ack={} win={} len={}",
            tcp.source_port,
            tcp.destination_port,
            flags(&tcp),
            tcp.sequence,
            tcp.acknowledgment,
            tcp.window,
            tcp.length
        );
    }
    match udp(bytes, length) {
        Some(udp) => format!(
            "UDP {} > {} len={}",
            udp.source_port, udp.destination_port, udp.length
        ),
        None => other(bytes),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use etherparse::PacketBuilder;

    fn built(v6: bool, udp: bool) -> Vec<u8> {
        let ip = if v6 {
            PacketBuilder::ipv6([1; 16], [2; 16], 64)
        } else {
            PacketBuilder::ipv4([10, 0, 0, 1], [10, 0, 0, 2], 64)
        };
        let mut bytes = Vec::new();
        if udp {
            ip.udp(40_000, 53).write(&mut bytes, b"hello").unwrap();
        } else {
            ip.tcp(40_000, 80, 7, 1000)
                .syn()
                .write(&mut bytes, b"hello")
                .unwrap();
        }
        bytes
    }

    #[test]
    fn repaired_checksums_are_those_of_another_implementation() {
        for (v6, udp) in [(false, false), (false, true), (true, false), (true, true)] {
            let right = built(v6, udp);
            let mut packet = Packet::new(&right);
            let transport = if v6 { 40 } else { 20 };
            packet.bytes_mut()[transport + if udp { 6 } else { 16 }] ^= 0x55;
            assert_ne!(packet.bytes(), right);
            packet.repair_checksums();
            assert_eq!(packet.bytes(), right, "v6: {v6}, udp: {udp}");
        }
    }

    #[test]
    fn headers_are_read_from_whole_and_from_cut_packets() {
        let bytes = built(false, false);
        let segment = Packet::new(&bytes).tcp().unwrap();
        assert!(segment.has(Tcp::SYN) && !segment.has(Tcp::ACK));
        assert_eq!(
            (segment.sequence, segment.window, segment.length),
            (7, 1000, 5)
        );
        assert_eq!(tcp(&bytes[..40], bytes.len()), Some(segment));
        assert_eq!(Packet::new(&built(true, true)).udp().unwrap().length, 5);
        assert_eq!(Packet::new(&built(true, true)).payload(), b"hello");
    }

    #[test]
    fn what_is_no_packet_is_read_as_nothing() {
        for bytes in [&[][..], &[0x45], &[0x60; 39], &[0xff; 60]] {
            let mut packet = Packet::new(bytes);
            assert_eq!(
                (packet.tcp(), packet.udp(), packet.source()),
                (None, None, None)
            );
            packet.repair_checksums();
            assert_eq!(packet.bytes(), bytes);
        }
    }
}
