//! Nodes without a kernel, which live in the relay: routers, and whatever an experiment makes.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use crate::packet::{Packet, protocol_number};

/// Something that takes packets and sends packets: a router, a NAT, a firewall.
///
/// Runs in the relay's thread, which everything else waits for.
pub trait Node: Send {
    /// Takes a packet that came in by a port. Ports are numbered from 0 in the order in which links
    /// were added.
    fn packet(&mut self, port: usize, packet: Packet, out: &mut Out);

    /// Is called at the time that [`Out::wake_at`] asked for.
    fn wake(&mut self, _out: &mut Out) {}
}

/// What a [`Node`] does in answer to a packet, or when it is woken.
#[derive(Debug)]
pub struct Out {
    now: Duration,
    pub(crate) packets: Vec<(usize, Packet)>,
    pub(crate) alarm: Option<Duration>,
}

impl Out {
    pub(crate) fn at(now: Duration) -> Self {
        Self {
            now,
            packets: Vec::new(),
            alarm: None,
        }
    }

    /// When the packet came in, or the alarm was due, since the lab started.
    #[must_use]
    pub fn now(&self) -> Duration {
        self.now
    }

    /// Sends a packet out of a port. What goes to a port without a link is lost.
    pub fn send(&mut self, port: usize, packet: Packet) {
        self.packets.push((port, packet));
    }

    /// Asks for [`Node::wake`] at this time, at once if it is past. A node has one alarm: this
    /// replaces what it asked for before.
    pub fn wake_at(&mut self, time: Duration) {
        self.alarm = Some(time);
    }
}

/// A router's lifetime for packets of its own: what most kernels use.
const HOPS: u8 = 64;

/// Type and code of an ICMP message, over IPv4 and over IPv6 (RFC 792, RFC 4443).
type IcmpError = [(u8, u8); 2];
const TIME_EXCEEDED: IcmpError = [(11, 0), (3, 0)];
const NO_ROUTE: IcmpError = [(3, 0), (1, 0)];
/// Fragmentation needed (RFC 1191), packet too big (RFC 4443).
const TOO_BIG: IcmpError = [(3, 4), (2, 0)];

/// Forwards packets to where their destination is, as RFC 1812 and RFC 8200 ask of a router.
#[derive(Debug)]
pub(crate) struct Router {
    pub(crate) v4: Ipv4Addr,
    pub(crate) v6: Ipv6Addr,
    /// By which port each address is reached.
    pub(crate) routes: HashMap<IpAddr, usize>,
    /// The largest packet that each port's link carries.
    pub(crate) mtus: Vec<usize>,
}

impl Node for Router {
    fn packet(&mut self, port: usize, packet: Packet, out: &mut Out) {
        let Some(destination) = packet.destination() else {
            return;
        };
        if !self.takes(port, &packet, out) {
            return;
        }
        match self.routes.get(&destination) {
            Some(&exit) if self.fits(port, exit, &packet, out) => self.pass(exit, packet, out),
            Some(_) => {}
            None => self.answer(port, &packet, NO_ROUTE, 0, out),
        }
    }
}

/// The flag in the seventh byte of an IPv4 header.
const DONT_FRAGMENT: u8 = 0x40;
/// More fragments follow: the flag beside it.
pub(crate) const MORE_FRAGMENTS: u8 = 0x20;

impl Router {
    /// Whether a packet has a header, and may be passed on once more by its time to live (RFC 791)
    /// or hop limit (RFC 8200). If not so, it is answered.
    pub(crate) fn takes(&self, port: usize, packet: &Packet, out: &mut Out) -> bool {
        let Some(&left) = lifetime(packet).and_then(|at| packet.bytes().get(at)) else {
            return false;
        };
        if left <= 1 {
            self.answer(port, packet, TIME_EXCEEDED, 0, out);
        }
        left > 1
    }

    /// Whether a port's link can carry a packet, in pieces if need be. If not so, it is answered out
    /// of the port by which it came.
    pub(crate) fn fits(&self, port: usize, exit: usize, packet: &Packet, out: &mut Out) -> bool {
        let mtu = self.mtus[exit];
        let may_be_cut = packet.version() == 4 && packet.bytes()[6] & DONT_FRAGMENT == 0;
        if packet.length() > mtu && !may_be_cut {
            self.answer(port, packet, TOO_BIG, mtu as u32, out);
            return false;
        }
        true
    }

    /// Sends a packet on, with one hop less, out of a port whose link it [fits](Self::fits).
    pub(crate) fn pass(&self, exit: usize, mut packet: Packet, out: &mut Out) {
        if let Some(at) = lifetime(&packet) {
            packet.bytes_mut()[at] -= 1;
        }
        if packet.version() == 4 {
            decrement_checksum(packet.bytes_mut());
        }
        if packet.length() <= self.mtus[exit] {
            out.send(exit, packet);
        } else {
            for fragment in fragments(&packet, self.mtus[exit]) {
                out.send(exit, fragment);
            }
        }
    }

    /// Answers a packet with an ICMP error out of the port by which it came.
    fn answer(&self, port: usize, about: &Packet, error: IcmpError, mtu: u32, out: &mut Out) {
        if let Some(message) = self.error(about, error, mtu) {
            out.send(port, message);
        }
    }

    /// The ICMP message that `about` caused. None about a message that is itself an error (RFC 1122,
    /// 3.2.2; RFC 4443, 2.4) or a later fragment.
    fn error(&self, about: &Packet, [v4, v6]: IcmpError, mtu: u32) -> Option<Packet> {
        let bytes = about.bytes();
        let mut message = Vec::new();
        match about.source()? {
            IpAddr::V4(source) => {
                let header = usize::from(bytes[0] & 0xf) * 4;
                let error = bytes[9] == protocol_number::ICMP
                    && !matches!(bytes.get(header), Some(0 | 8 | 13 | 14));
                let later = u16::from_be_bytes([bytes[6], bytes[7]]) & 0x1fff != 0;
                if error || later {
                    return None;
                }
                // As much as fits in 576 bytes (RFC 1812, 4.3.2.3).
                let quoted = &bytes[..bytes.len().min(576 - 28)];
                message.extend_from_slice(&[0x45, 0xc0]);
                message.extend_from_slice(&((28 + quoted.len()) as u16).to_be_bytes());
                message.extend_from_slice(&[0, 0, 0, 0, HOPS, protocol_number::ICMP, 0, 0]);
                message.extend_from_slice(&self.v4.octets());
                message.extend_from_slice(&source.octets());
                message.extend_from_slice(&[v4.0, v4.1, 0, 0]);
                message.extend_from_slice(&mtu.to_be_bytes());
                message.extend_from_slice(quoted);
            }
            IpAddr::V6(source) => {
                let error = bytes[6] == protocol_number::ICMPV6 && bytes.get(40)? & 0x80 == 0;
                if error {
                    return None;
                }
                // As much as fits in the smallest MTU (RFC 4443, 2.4).
                let quoted = &bytes[..bytes.len().min(1280 - 48)];
                message.extend_from_slice(&[0x60, 0, 0, 0]);
                message.extend_from_slice(&((8 + quoted.len()) as u16).to_be_bytes());
                message.extend_from_slice(&[protocol_number::ICMPV6, HOPS]);
                message.extend_from_slice(&self.v6.octets());
                message.extend_from_slice(&source.octets());
                message.extend_from_slice(&[v6.0, v6.1, 0, 0]);
                message.extend_from_slice(&mtu.to_be_bytes());
                message.extend_from_slice(quoted);
            }
        }
        let mut packet = Packet::new(&message);
        packet.repair_checksums();
        Some(packet)
    }
}

/// Where the time to live or hop limit stands, if the fixed part of the header is whole.
fn lifetime(packet: &Packet) -> Option<usize> {
    match packet.version() {
        4 if packet.length() >= 20 => Some(8),
        6 if packet.length() >= 40 => Some(7),
        _ => None,
    }
}

/// Makes up for a time to live that was reduced by one (RFC 1141). A header that came in broken
/// goes out broken.
fn decrement_checksum(header: &mut [u8]) {
    let sum = u32::from(u16::from_be_bytes([header[10], header[11]])) + 0x100;
    let sum = (sum & 0xffff) + (sum >> 16);
    header[10..12].copy_from_slice(&(sum as u16).to_be_bytes());
}

/// An IPv4 packet in pieces of at most `mtu` bytes (RFC 791, 3.2). Options are copied to each.
fn fragments(packet: &Packet, mtu: usize) -> Vec<Packet> {
    let bytes = packet.bytes();
    let header = usize::from(bytes[0] & 0xf) * 4;
    if header < 20 || bytes.len() <= header {
        return Vec::new();
    }
    // Offsets count in eights.
    let step = (mtu - header) / 8 * 8;
    let before = u16::from_be_bytes([bytes[6], bytes[7]]);
    let pieces = bytes[header..].chunks(step);
    let last = pieces.len() - 1;
    pieces
        .enumerate()
        .map(|(at, piece)| {
            let mut fragment = bytes[..header].to_vec();
            fragment.extend_from_slice(piece);
            let length = fragment.len() as u16;
            fragment[2..4].copy_from_slice(&length.to_be_bytes());
            let offset = before + (at * step / 8) as u16;
            fragment[6..8].copy_from_slice(&offset.to_be_bytes());
            if at < last {
                fragment[6] |= MORE_FRAGMENTS;
            }
            let mut fragment = Packet::new(&fragment);
            fragment.repair_checksums();
            fragment
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use etherparse::{IpHeaders, PacketBuilder};

    const CLIENT: [u8; 4] = [10, 0, 0, 1];
    const SERVER: [u8; 4] = [10, 0, 0, 2];

    fn router() -> Router {
        Router {
            v4: [10, 0, 0, 9].into(),
            v6: [9; 16].into(),
            routes: [(IpAddr::from(SERVER), 1), (IpAddr::from([2; 16]), 1)].into(),
            mtus: vec![1500, 1400],
        }
    }

    fn v4(hops: u8, payload: usize) -> Packet {
        let mut bytes = Vec::new();
        PacketBuilder::ipv4(CLIENT, SERVER, hops)
            .udp(1, 2)
            .write(&mut bytes, &vec![7; payload])
            .unwrap();
        bytes[6] &= !DONT_FRAGMENT;
        let mut packet = Packet::new(&bytes);
        packet.repair_checksums();
        packet
    }

    fn v6(hops: u8, payload: usize) -> Packet {
        let mut bytes = Vec::new();
        PacketBuilder::ipv6([1; 16], [2; 16], hops)
            .udp(1, 2)
            .write(&mut bytes, &vec![7; payload])
            .unwrap();
        Packet::new(&bytes)
    }

    fn answers(packet: Packet) -> Vec<(usize, Packet)> {
        let mut out = Out::at(Duration::ZERO);
        router().packet(0, packet, &mut out);
        out.packets
    }

    #[test]
    fn a_packet_goes_on_with_one_hop_less_and_a_right_checksum() {
        let (port, packet) = &answers(v4(64, 5))[0];
        let mut repaired = packet.clone();
        repaired.repair_checksums();
        assert_eq!((*port, packet.bytes()[8]), (1, 63));
        assert_eq!(packet.bytes(), repaired.bytes());
        assert_eq!(answers(v6(2, 5))[0].1.bytes()[7], 1);
    }

    #[test]
    fn a_packet_at_its_last_hop_is_answered_with_time_exceeded() {
        for (packet, says) in [
            (v4(1, 5), "ICMP time exceeded"),
            (v6(1, 5), "ICMPv6 time exceeded"),
        ] {
            let (port, error) = &answers(packet)[0];
            assert_eq!((*port, format!("{error:?}").as_str()), (0, says));
            assert!(answers(error.clone()).iter().all(|(port, _)| *port == 0));
        }
    }

    #[test]
    fn a_packet_that_is_too_big_is_answered_with_the_mtu() {
        let mut whole = v4(64, 1450);
        whole.bytes_mut()[6] |= DONT_FRAGMENT;
        let error = &answers(whole)[0].1;
        assert_eq!(format!("{error:?}"), "ICMP fragmentation needed");
        assert_eq!(error.bytes()[26..28], 1400_u16.to_be_bytes());
        let error = &answers(v6(64, 1450))[0].1;
        assert_eq!(format!("{error:?}"), "ICMPv6 packet too big");
        assert_eq!(error.bytes()[44..48], 1400_u32.to_be_bytes());
    }

    #[test]
    fn a_packet_that_may_be_fragmented_is() {
        let pieces = answers(v4(64, 1450));
        assert_eq!(pieces.len(), 2);
        let mut data = Vec::new();
        for (_, piece) in &pieces {
            assert!(piece.length() <= 1400);
            assert!(IpHeaders::from_slice(piece.bytes()).is_ok());
            let offset = u16::from_be_bytes([piece.bytes()[6], piece.bytes()[7]]) & 0x1fff;
            assert_eq!(usize::from(offset) * 8, data.len());
            data.extend_from_slice(&piece.bytes()[20..]);
        }
        assert_eq!(data, v4(64, 1450).bytes()[20..]);
    }

    #[test]
    fn no_error_is_sent_about_an_error() {
        let mut error = answers(v4(1, 5)).remove(0).1;
        error.bytes_mut()[8] = 1;
        assert_eq!(answers(error), []);
    }
}
