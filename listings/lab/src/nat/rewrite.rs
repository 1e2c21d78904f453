//! Reading where a packet goes, and writing that it goes elsewhere, with checksums adjusted to it.

use std::net::{Ipv4Addr, SocketAddrV4};
use std::ops::Range;

use super::Protocol;
use crate::packet::protocol_number;

/// What tells a fragmented datagram from others: source, destination, protocol, identification.
pub(super) type Datagram = (Ipv4Addr, Ipv4Addr, u8, u16);

pub(super) const SOURCE: usize = 12;
pub(super) const DESTINATION: usize = 16;

/// What a packet, or the beginning of one, says of where it goes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Flow {
    pub(super) protocol: Protocol,
    /// Length of the IP header.
    pub(super) header: usize,
    pub(super) source: SocketAddrV4,
    pub(super) destination: SocketAddrV4,
    /// An ICMP echo reply, or a request: its identifier is the destination's, or the source's.
    pub(super) is_reply: bool,
    /// TCP's flags, as far as they are there.
    pub(super) flags: u8,
}

impl Flow {
    /// Reads the packet in `bytes`, which may be cut off behind the ports: an ICMP error quotes no
    /// more of it.
    pub(super) fn read(bytes: &[u8]) -> Option<Self> {
        let header = ip_header(bytes)?;
        if fragment_offset(bytes) > 0 {
            return None;
        }
        let number = |at: usize| {
            let at = header + at;
            Some(u16::from_be_bytes([*bytes.get(at)?, *bytes.get(at + 1)?]))
        };
        let mut is_reply = false;
        let (protocol, source_port, destination_port) = match bytes[9] {
            protocol_number::UDP => (Protocol::Udp, number(0)?, number(2)?),
            protocol_number::TCP => (Protocol::Tcp, number(0)?, number(2)?),
            protocol_number::ICMP => match bytes.get(header)? {
                8 => (Protocol::Icmp, number(4)?, 0),
                0 => {
                    is_reply = true;
                    (Protocol::Icmp, 0, number(4)?)
                }
                _ => return None,
            },
            _ => return None,
        };
        let flags = match protocol {
            Protocol::Tcp => bytes.get(header + 13).copied().unwrap_or(0),
            _ => 0,
        };
        Some(Self {
            protocol,
            header,
            source: SocketAddrV4::new(address(bytes, SOURCE), source_port),
            destination: SocketAddrV4::new(address(bytes, DESTINATION), destination_port),
            is_reply,
            flags,
        })
    }

    /// Where the port stands that belongs to the source or destination, if the packet has one.
    pub(super) fn port(&self, which: usize) -> Option<usize> {
        let offset = match (self.protocol, which) {
            (Protocol::Icmp, SOURCE) if self.is_reply => return None,
            (Protocol::Icmp, DESTINATION) if !self.is_reply => return None,
            (Protocol::Icmp, _) => 4,
            (_, SOURCE) => 0,
            _ => 2,
        };
        Some(self.header + offset)
    }

    /// Where the checksum stands that covers the ports, whether it is there or cut off.
    pub(super) fn checksum(&self) -> usize {
        self.header
            + match self.protocol {
                Protocol::Udp => 6,
                Protocol::Tcp => 16,
                Protocol::Icmp => 2,
            }
    }

    /// Writes an endpoint in the place of the source or destination, and adjusts the checksums.
    pub(super) fn rewrite(&self, bytes: &mut [u8], which: usize, endpoint: SocketAddrV4) {
        let (mut old, mut new) = (Vec::with_capacity(6), Vec::with_capacity(6));
        // The addresses belong to a pseudo-header, which ICMP has none of.
        if self.protocol != Protocol::Icmp {
            old.extend(address(bytes, which).octets());
            new.extend(endpoint.ip().octets());
        }
        readdress(bytes, which, *endpoint.ip());
        if let Some(at) = self.port(which) {
            let port = &mut bytes[at..at + 2];
            old.extend_from_slice(port);
            new.extend(endpoint.port().to_be_bytes());
            port.copy_from_slice(&endpoint.port().to_be_bytes());
        }
        let Some(checksum) = bytes.get_mut(self.checksum()..self.checksum() + 2) else {
            return;
        };
        match self.protocol {
            // Zero says that there is none (RFC 768); what comes out as zero has another form.
            Protocol::Udp if checksum == [0, 0] => {}
            Protocol::Udp => {
                adjust(checksum, &old, &new);
                if checksum == [0, 0] {
                    checksum.fill(0xff);
                }
            }
            Protocol::Tcp | Protocol::Icmp => adjust(checksum, &old, &new),
        }
    }
}

/// Length of the IPv4 header at the beginning of `bytes`, if it is whole.
pub(super) fn ip_header(bytes: &[u8]) -> Option<usize> {
    let header = usize::from(bytes.first()? & 0xf) * 4;
    (bytes[0] >> 4 == 4 && header >= 20 && bytes.len() >= header).then_some(header)
}

pub(super) fn address(bytes: &[u8], at: usize) -> Ipv4Addr {
    Ipv4Addr::new(bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3])
}

/// In bytes divided by eight, as it stands in the header.
pub(super) fn fragment_offset(bytes: &[u8]) -> u16 {
    u16::from_be_bytes([bytes[6], bytes[7]]) & 0x1fff
}

pub(super) fn datagram(bytes: &[u8]) -> Datagram {
    (
        address(bytes, SOURCE),
        address(bytes, DESTINATION),
        bytes[9],
        u16::from_be_bytes([bytes[4], bytes[5]]),
    )
}

/// Writes an address into an IPv4 header and adjusts the header's checksum.
pub(super) fn readdress(bytes: &mut [u8], at: usize, new: Ipv4Addr) {
    let old = address(bytes, at);
    bytes[at..at + 4].copy_from_slice(&new.octets());
    adjust(&mut bytes[10..12], &old.octets(), &new.octets());
}

/// Adjusts a checksum to a change of what it covers, which begins at an even offset and is as long
/// as before: HC' = ~(~HC + ~m + m') (RFC 1624, section 3).
pub(super) fn adjust(checksum: &mut [u8], old: &[u8], new: &[u8]) {
    let words = |bytes: &[u8], flip: u16| -> u32 {
        bytes
            .chunks(2)
            .map(|word| u16::from_be_bytes([word[0], word.get(1).copied().unwrap_or(0)]))
            .map(|word| u32::from(word ^ flip))
            .sum()
    };
    let mut sum = words(checksum, 0xffff) + words(old, 0xffff) + words(new, 0);
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    checksum.copy_from_slice(&(!(sum as u16)).to_be_bytes());
}

/// What an ICMP error quotes: the beginning of the packet that it is about.
pub(super) fn quoted(bytes: &[u8]) -> Option<Range<usize>> {
    let header = ip_header(bytes)?;
    let is_error = bytes[9] == protocol_number::ICMP
        && fragment_offset(bytes) == 0
        && matches!(bytes.get(header)?, 3 | 11 | 12);
    (is_error && bytes.len() >= header + 8).then(|| header + 8..bytes.len())
}

/// Writes an endpoint in the place of the source or destination of what an ICMP error quotes, and
/// adjusts the error's checksum to that, and to the quoted checksums.
pub(super) fn requote(
    bytes: &mut [u8],
    quote: Range<usize>,
    about: &Flow,
    which: usize,
    endpoint: SocketAddrV4,
) {
    let checksum = quote.start - 6;
    let before = bytes[quote.clone()].to_vec();
    about.rewrite(&mut bytes[quote.clone()], which, endpoint);
    let mut sum = [bytes[checksum], bytes[checksum + 1]];
    adjust(&mut sum, &before, &bytes[quote]);
    bytes[checksum..checksum + 2].copy_from_slice(&sum);
}
