//! A NAT at work.

use std::collections::{BTreeMap, VecDeque};
use std::net::{IpAddr, Ipv4Addr, SocketAddrV4};
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use super::rewrite::{
    DESTINATION, Datagram, Flow, SOURCE, address, datagram, fragment_offset, ip_header, quoted,
    readdress, requote,
};
use super::table::{Connection, Entry, INSIDE, Key, OUTSIDE, Session};
use super::{MAPPINGS_AT_MOST, Nat, NatTable, Protocol, SESSIONS_AT_MOST};
use crate::node::{MORE_FRAGMENTS, Node, Out, Router};
use crate::packet::{Packet, Tcp};

/// How many fragmented datagrams a NAT remembers, so as to translate their later fragments.
const FRAGMENTED_AT_MOST: usize = 64;

/// How often at most it looks for what has expired. What it decides goes by the time itself.
const SWEEP_EVERY: Duration = Duration::from_millis(10);

/// A [`Nat`] at work: decides and translates; a [`Router`] does the rest.
pub(crate) struct Translator {
    nat: Nat,
    router: Router,
    /// The port that leads outside.
    outside: usize,
    table: NatTable,
    /// How the first fragment of a datagram was translated, by what all its fragments share. Oldest
    /// first.
    fragmented: VecDeque<(Datagram, Readdressing)>,
    /// No session expires before.
    next_expiry: Option<Duration>,
    alarm: Option<Duration>,
}

/// Where the addresses of a packet begin in its header, and what they are to be.
type Readdressing = [Option<(usize, Ipv4Addr)>; 2];

impl Translator {
    /// `outside` is the port that leads outside.
    pub(crate) fn new(nat: Nat, router: Router, outside: usize) -> Self {
        Self {
            nat,
            router,
            outside,
            table: NatTable(Arc::default()),
            fragmented: VecDeque::new(),
            next_expiry: None,
            alarm: None,
        }
    }

    pub(crate) fn table(&self) -> NatTable {
        self.table.clone()
    }

    /// Whether an address is one of its own outside.
    fn owns(&self, address: Ipv4Addr) -> bool {
        if self.nat.pool.is_empty() {
            address == self.router.v4
        } else {
            self.nat.pool.contains(&address)
        }
    }

    /// The address that takes the place of one inside.
    fn outside_address(&self, inside: Ipv4Addr) -> Ipv4Addr {
        match self.nat.pool.len() {
            0 => self.router.v4,
            length => self.nat.pool[inside.to_bits() as usize % length],
        }
    }

    /// By which port an address is reached, if it is inside.
    fn inside_port(&self, address: Ipv4Addr) -> Option<usize> {
        let port = self.router.routes.get(&IpAddr::V4(address))?;
        (*port != self.outside).then_some(*port)
    }

    /// Translates what goes out. `None` drops it.
    fn outbound(&mut self, mut packet: Packet, now: Duration) -> Option<Packet> {
        let bytes = packet.bytes();
        if fragment_offset(bytes) > 0 {
            return self.later_fragment(packet);
        }
        let before = datagram(bytes);
        if let Some(quote) = quoted(bytes) {
            return self.outbound_error(packet, quote);
        }
        let flow = Flow::read(bytes)?;
        // A reply belongs to a request, and no request comes in.
        if flow.is_reply {
            return None;
        }
        let outside = self.open(&flow, now)?;
        flow.rewrite(packet.bytes_mut(), SOURCE, outside);
        self.remember(
            before,
            packet.bytes(),
            [Some((SOURCE, *outside.ip())), None],
        );
        Some(packet)
    }

    /// The outside endpoint for what goes out, from the table or new in it.
    fn open(&mut self, flow: &Flow, now: Duration) -> Option<SocketAddrV4> {
        let key = Key {
            protocol: flow.protocol,
            inside: flow.source,
            scope: self.nat.mapping.scope(flow.destination),
        };
        let address = self.outside_address(*flow.source.ip());
        let own = self.nat.preserves_ports.then(|| flow.source.port());
        // A handle of its own, so that the table can be held while `self` is used.
        let handle = self.table.clone();
        let mut table = handle.table();
        if !table
            .mappings
            .get(&key)
            .is_some_and(|entry| entry.lasts(now))
        {
            table.forget(&key);
            // A connection begins with a SYN. What is in the middle of one that the NAT does not
            // know goes nowhere.
            if flow.protocol == Protocol::Tcp && flow.flags & Tcp::SYN == 0 {
                return None;
            }
            if table.mappings.len() >= MAPPINGS_AT_MOST || table.sessions >= SESSIONS_AT_MOST {
                table.refused += 1;
                return None;
            }
            let port = table.free_port(flow.protocol, address, own);
            let outside = SocketAddrV4::new(address, port);
            table.by_outside.insert((flow.protocol, outside), key);
            let sessions = BTreeMap::new();
            table.mappings.insert(key, Entry { outside, sessions });
        }
        let see = |connection| self.see(flow, INSIDE, connection, now);
        if !table.note(&key, flow.destination, now, see) {
            return None;
        }
        Some(table.mappings.get(&key)?.outside)
    }

    /// A session after one more packet, from inside or outside.
    fn see(
        &mut self,
        flow: &Flow,
        from: usize,
        connection: Option<Connection>,
        now: Duration,
    ) -> Session {
        let mut connection = connection.unwrap_or_default();
        connection.see(from, flow.flags);
        let expires = now + self.nat.lifetime(flow.protocol, connection);
        self.next_expiry = Some(self.next_expiry.map_or(expires, |next| next.min(expires)));
        Session {
            expires,
            connection,
        }
    }

    /// Translates what comes in. `None` drops it.
    fn inbound(&mut self, mut packet: Packet, now: Duration) -> Option<Packet> {
        let bytes = packet.bytes();
        if fragment_offset(bytes) > 0 {
            return self.later_fragment(packet);
        }
        let before = datagram(bytes);
        if let Some(quote) = quoted(bytes) {
            return self.inbound_error(packet, quote, now);
        }
        let flow = Flow::read(bytes)?;
        let inside = self.admit(&flow, now)?;
        flow.rewrite(packet.bytes_mut(), DESTINATION, inside);
        self.remember(
            before,
            packet.bytes(),
            [None, Some((DESTINATION, *inside.ip()))],
        );
        Some(packet)
    }

    /// The inside endpoint for what comes in, if there is a mapping, and it lets this remote in.
    fn admit(&mut self, flow: &Flow, now: Duration) -> Option<SocketAddrV4> {
        let handle = self.table.clone();
        let mut table = handle.table();
        let key = *table.by_outside.get(&(flow.protocol, flow.destination))?;
        // No request comes in, whatever its identifier.
        if flow.protocol == Protocol::Icmp && !flow.is_reply {
            return None;
        }
        let entry = table.mappings.get(&key)?;
        if !entry.admits(flow.source, self.nat.filtering, now) {
            return None;
        }
        // UDP is kept alive from inside alone: who is outside must not hold a mapping open (RFC 4787,
        // section 4.3). Of TCP, both ends count.
        let see = |connection| self.see(flow, OUTSIDE, connection, now);
        if flow.protocol == Protocol::Tcp && !table.note(&key, flow.source, now, see) {
            return None;
        }
        Some(key.inside)
    }

    /// Translates an ICMP error that comes in, about something that had gone out (RFC 5508, REQ-4).
    fn inbound_error(
        &mut self,
        mut packet: Packet,
        quote: Range<usize>,
        now: Duration,
    ) -> Option<Packet> {
        let about = Flow::read(&packet.bytes()[quote.clone()])?;
        let inside = {
            let table = self.table.table();
            let key = table.by_outside.get(&(about.protocol, about.source))?;
            let session = table.mappings.get(key)?.sessions.get(&about.destination)?;
            (session.expires > now).then_some(key.inside)?
        };
        let bytes = packet.bytes_mut();
        requote(bytes, quote, &about, SOURCE, inside);
        readdress(bytes, DESTINATION, *inside.ip());
        Some(packet)
    }

    /// Translates an ICMP error that goes out, about something that had come in (RFC 5508, REQ-5).
    fn outbound_error(&mut self, mut packet: Packet, quote: Range<usize>) -> Option<Packet> {
        let about = Flow::read(&packet.bytes()[quote.clone()])?;
        let key = Key {
            protocol: about.protocol,
            inside: about.destination,
            scope: self.nat.mapping.scope(about.source),
        };
        let outside = self.table.table().mappings.get(&key)?.outside;
        let bytes = packet.bytes_mut();
        // Who answers may be a router on the way: it has no endpoint outside but shares this one.
        requote(bytes, quote, &about, DESTINATION, outside);
        readdress(bytes, SOURCE, *outside.ip());
        Some(packet)
    }

    /// Lets what one inside sends to another's outside endpoint turn round.
    fn hairpin(&mut self, packet: Packet, now: Duration) -> Option<Packet> {
        if !self.nat.hairpins {
            return None;
        }
        let original = datagram(packet.bytes());
        let is_later = fragment_offset(packet.bytes()) > 0;
        let packet = self.outbound(packet, now)?;
        if is_later {
            return Some(packet);
        }
        let source = address(packet.bytes(), SOURCE);
        let packet = self.inbound(packet, now)?;
        // What was remembered of the two steps does for one each; later fragments take both at once.
        let inside = address(packet.bytes(), DESTINATION);
        self.remember(
            original,
            packet.bytes(),
            [Some((SOURCE, source)), Some((DESTINATION, inside))],
        );
        Some(packet)
    }

    /// Remembers how the first of several fragments was translated.
    fn remember(&mut self, before: Datagram, packet: &[u8], how: Readdressing) {
        if packet[6] & MORE_FRAGMENTS == 0 {
            return;
        }
        self.fragmented.retain(|(datagram, _)| *datagram != before);
        if self.fragmented.len() == FRAGMENTED_AT_MOST {
            self.fragmented.pop_front();
        }
        self.fragmented.push_back((before, how));
    }

    /// Translates a fragment, which has no ports, as the first one was.
    fn later_fragment(&self, mut packet: Packet) -> Option<Packet> {
        let this = datagram(packet.bytes());
        let (_, how) = self
            .fragmented
            .iter()
            .find(|(datagram, _)| *datagram == this)?;
        for &(at, address) in how.iter().flatten() {
            readdress(packet.bytes_mut(), at, address);
        }
        Some(packet)
    }

    /// Asks to be woken when the next session expires, if that is before it will be woken anyway.
    fn set_alarm(&mut self, out: &mut Out) {
        if let Some(next) = self.next_expiry
            && self.alarm.is_none_or(|alarm| next < alarm)
        {
            self.alarm = Some(next);
            out.wake_at(next);
        }
    }
}

impl Node for Translator {
    fn packet(&mut self, port: usize, packet: Packet, out: &mut Out) {
        let Some(IpAddr::V4(destination)) = packet.destination() else {
            self.router.packet(port, packet, out);
            return;
        };
        if ip_header(packet.bytes()).is_none() {
            return;
        }
        let now = out.now();
        let is_ours = self.owns(destination);
        if port != self.outside && !is_ours && self.inside_port(destination).is_some() {
            self.router.packet(port, packet, out);
            return;
        }
        if !self.router.takes(port, &packet, out) {
            return;
        }
        // The translated packet says where it goes; the original is what an error is about.
        let original = packet.clone();
        let translated = if port != self.outside && !is_ours {
            self.outbound(packet, now).map(|it| (it, self.outside))
        } else {
            let translated = match port == self.outside {
                true if is_ours => self.inbound(packet, now),
                true => None,
                false => self.hairpin(packet, now),
            };
            translated.and_then(|it| {
                let exit = self.inside_port(address(it.bytes(), DESTINATION))?;
                Some((it, exit))
            })
        };
        match translated {
            Some((translated, exit)) if self.router.fits(port, exit, &original, out) => {
                self.router.pass(exit, translated, out);
            }
            None if port == self.outside => self.table.table().filtered += 1,
            Some(_) | None => {}
        }
        self.set_alarm(out);
    }

    fn wake(&mut self, out: &mut Out) {
        self.alarm = None;
        let next = self.table.table().sweep(out.now());
        self.next_expiry = next.map(|next| next.max(out.now() + SWEEP_EVERY));
        self.set_alarm(out);
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv6Addr;

    use etherparse::PacketBuilder;
    use proptest::prelude::*;

    use super::super::{ICMP_TIMEOUT, TCP_TIMEOUT, TCP_TRANSITORY_TIMEOUT, UDP_TIMEOUT};
    use super::*;
    use crate::packet::protocol_number;

    const INSIDE_PORT: usize = 0;
    const OUTSIDE_PORT: usize = 1;
    const HOST: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);
    const NAT: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 1);
    const REMOTE: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 1);

    fn translator(nat: Nat) -> Translator {
        let router = Router {
            v4: NAT,
            v6: Ipv6Addr::LOCALHOST,
            routes: [
                (IpAddr::V4(HOST), INSIDE_PORT),
                (IpAddr::V4(REMOTE), OUTSIDE_PORT),
            ]
            .into(),
            mtus: vec![1500, 1500],
        };
        Translator::new(nat, router, OUTSIDE_PORT)
    }

    fn udp(from: (Ipv4Addr, u16), to: (Ipv4Addr, u16), payload: &[u8]) -> Packet {
        let mut bytes = Vec::new();
        PacketBuilder::ipv4(from.0.octets(), to.0.octets(), 64)
            .udp(from.1, to.1)
            .write(&mut bytes, payload)
            .unwrap();
        Packet::new(&bytes)
    }

    fn tcp(from: (Ipv4Addr, u16), to: (Ipv4Addr, u16), flags: u8) -> Packet {
        let mut bytes = Vec::new();
        PacketBuilder::ipv4(from.0.octets(), to.0.octets(), 64)
            .tcp(from.1, to.1, 7, 1000)
            .write(&mut bytes, &[])
            .unwrap();
        bytes[33] = flags;
        let mut packet = Packet::new(&bytes);
        packet.repair_checksums();
        packet
    }

    fn pass(it: &mut Translator, port: usize, packet: Packet, now: Duration) -> Vec<Packet> {
        let mut out = Out::at(now);
        it.packet(port, packet, &mut out);
        out.packets.into_iter().map(|(_, packet)| packet).collect()
    }

    #[test]
    fn the_table_is_bounded_and_what_is_in_it_goes_on() {
        let mut it = translator(Nat::symmetric());
        let send = |it: &mut Translator, n: u16| {
            let packet = udp((HOST, n), (REMOTE, 9), &[]);
            pass(it, INSIDE_PORT, packet, Duration::from_millis(n.into())).len()
        };
        let passed: usize = (0..10_000).map(|n| send(&mut it, n)).sum();
        assert_eq!(passed, MAPPINGS_AT_MOST);
        assert_eq!(it.table().mappings().len(), MAPPINGS_AT_MOST);
        assert_eq!(it.table().refused(), 10_000 - MAPPINGS_AT_MOST as u64);
        assert_eq!(send(&mut it, 0), 1);

        // One mapping, many remotes.
        let mut it = translator(Nat::full_cone());
        let passed: usize = (0..u16::MAX)
            .map(|n| udp((HOST, 1), (REMOTE, n), &[]))
            .map(|packet| pass(&mut it, INSIDE_PORT, packet, Duration::ZERO).len())
            .sum();
        assert_eq!(passed, SESSIONS_AT_MOST);
    }

    #[test]
    fn a_session_lasts_as_long_as_its_protocol_and_its_state_say() {
        let (host, nat, remote) = ((HOST, 5000), (NAT, 5000), (REMOTE, 80));
        let out = |flags| (INSIDE_PORT, tcp(host, remote, flags));
        let back = |flags| (OUTSIDE_PORT, tcp(remote, nat, flags));
        let (syn, ack, fin) = (Tcp::SYN, Tcp::ACK, Tcp::FIN | Tcp::ACK);
        let mut echo = udp(host, (REMOTE, 0), &[]).bytes().to_vec();
        (echo[9], echo[20]) = (protocol_number::ICMP, 8);
        for (packets, lifetime) in [
            (
                vec![
                    (INSIDE_PORT, udp(host, remote, b"?")),
                    (OUTSIDE_PORT, udp(remote, nat, b"!")),
                ],
                UDP_TIMEOUT,
            ),
            (vec![(INSIDE_PORT, Packet::new(&echo))], ICMP_TIMEOUT),
            (vec![out(syn)], TCP_TRANSITORY_TIMEOUT),
            (vec![out(syn), back(syn | ack), out(ack)], TCP_TIMEOUT),
            (
                vec![out(syn), back(syn | ack), back(fin), out(ack)],
                TCP_TIMEOUT,
            ),
            (
                vec![out(syn), back(syn | ack), back(fin), out(fin), back(ack)],
                TCP_TRANSITORY_TIMEOUT,
            ),
            (
                vec![out(syn), back(syn | ack), back(Tcp::RST)],
                TCP_TRANSITORY_TIMEOUT,
            ),
        ] {
            let mut it = translator(Nat::port_restricted_cone());
            let mut alarm = None;
            for (port, packet) in packets {
                let mut out = Out::at(Duration::ZERO);
                it.packet(port, packet, &mut out);
                assert_eq!(out.packets.len(), 1);
                alarm = out.alarm.or(alarm);
            }
            // Woken when it first asked to be, it asks for the rest, to the end.
            let end = loop {
                let at = alarm.expect("there is a mapping, and so an alarm");
                let mut out = Out::at(at);
                it.wake(&mut out);
                if it.table().mappings().is_empty() {
                    break at;
                }
                alarm = out.alarm;
            };
            assert_eq!(end, lifetime);
        }
    }

    #[test]
    fn what_is_in_the_middle_of_an_unknown_connection_is_dropped() {
        let mut it = translator(Nat::full_cone());
        let packet = tcp((HOST, 5000), (REMOTE, 80), Tcp::ACK);
        assert_eq!(pass(&mut it, INSIDE_PORT, packet, Duration::ZERO), []);
        assert_eq!(it.table().mappings(), []);
    }

    #[test]
    fn a_packet_that_may_not_go_on_is_answered_about_itself_and_not_its_translation() {
        let mut it = translator(Nat::symmetric());
        let mut last = udp((HOST, 5000), (REMOTE, 9), b"?");
        last.bytes_mut()[8] = 1;
        last.repair_checksums();
        let answers = pass(&mut it, INSIDE_PORT, last.clone(), Duration::ZERO);
        assert_eq!(answers[0].destination(), Some(HOST.into()));
        assert_eq!(&answers[0].bytes()[28..], last.bytes());
    }

    #[test]
    fn a_datagram_without_a_checksum_stays_without() {
        let mut it = translator(Nat::symmetric());
        let mut packet = udp((HOST, 5000), (REMOTE, 9), b"?");
        packet.bytes_mut()[26..28].fill(0);
        let passed = pass(&mut it, INSIDE_PORT, packet, Duration::ZERO);
        assert_eq!(passed[0].bytes()[26..28], [0, 0]);
    }

    proptest! {
        #[test]
        fn checksums_are_right_after_translation_if_they_were_before(
            port in 1_u16.., to in 1_u16.., payload: Vec<u8>, is_tcp: bool, breaks: bool,
        ) {
            let (from, to) = ((HOST, port), (REMOTE, to));
            let mut packet = if is_tcp {
                tcp(from, to, Tcp::SYN)
            } else {
                udp(from, to, &payload)
            };
            let checksum = if is_tcp { 36 } else { 26 };
            if breaks {
                packet.bytes_mut()[checksum] ^= 0x10;
            }
            let mut it = translator(Nat::symmetric());
            let passed = pass(&mut it, INSIDE_PORT, packet, Duration::ZERO).remove(0);
            let mut repaired = passed.clone();
            repaired.repair_checksums();
            prop_assert_eq!(passed.source(), Some(NAT.into()));
            prop_assert_eq!(passed.bytes() == repaired.bytes(), !breaks);
        }

        #[test]
        fn whatever_comes_is_translated_or_dropped(
            mut bytes in prop::collection::vec(any::<u8>(), 0..80), kind in 0_usize..4, port in 0_usize..2,
            quoted: bool,
        ) {
            // Mostly something that looks like a packet to it.
            if bytes.len() >= 20 && kind > 0 {
                bytes[0] = 0x45;
                bytes[9] = [protocol_number::UDP, protocol_number::TCP, protocol_number::ICMP][kind - 1];
                let (from, to) = if port == INSIDE_PORT { (HOST, REMOTE) } else { (REMOTE, NAT) };
                bytes[12..16].copy_from_slice(&from.octets());
                bytes[16..20].copy_from_slice(&to.octets());
                if quoted && bytes.len() > 48 {
                    bytes[20] = 3;
                    bytes[28] = 0x45;
                }
            }
            let mut it = translator(Nat::full_cone());
            let length = bytes.len();
            for packet in pass(&mut it, port, Packet::new(&bytes), Duration::ZERO) {
                let own = [IpAddr::from(NAT), Ipv6Addr::LOCALHOST.into()];
                let is_answer = packet.source().is_some_and(|source| own.contains(&source));
                prop_assert!(packet.length() == length || is_answer);
            }
        }
    }
}
