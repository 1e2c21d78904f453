//! Traceroute: packets with a TTL of 1, 2, 3 and so on, and who says that it was used up.

use std::io::{self, ErrorKind};
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use ip_header::{Addresses, ipv4};
use ip_icmp::{Quoted, icmpv4, icmpv6};
use lab::Host;
use socket2::{Domain, Protocol, SockAddr, Socket, Type};

use crate::chain::{Family, Result};

/// After how many hops it gives up: as the usual programs do.
pub const MAX_HOPS: u8 = 30;

/// How many packets are sent for each hop: if one is lost, or its answer, the others tell.
pub const PROBES: usize = 3;

/// How long to wait for the answers of a hop. A silent one costs all of it; in a real network, where
/// an answer may take a second, it should be more.
const DEADLINE: Duration = Duration::from_millis(400);

/// The first of the ports that the probes go to, a new one each: nobody is expected to have them. It
/// is the one that traceroute programs have begun with since the first.
const FIRST_PORT: u16 = 33_434;

/// Room for a message that quotes as much as it may (RFC 1812 §4.3.2.3, RFC 4443 §2.4), with an IPv4
/// header.
const ROOM: usize = 1280 + ipv4::MAX_HEADER_LEN;

/// What one TTL has brought.
#[derive(Debug)]
pub struct Hop {
    pub ttl: u8,
    /// Of each probe, if it came in time.
    pub answers: [Option<Answer>; PROBES],
}

#[derive(Debug, Clone, Copy)]
pub struct Answer {
    /// Who answered.
    pub from: IpAddr,
    /// How long after the probe.
    pub after: Duration,
}

/// The way to a destination, hop by hop.
pub struct Route {
    /// Sends the probes.
    probes: Socket,
    /// Receives all ICMP messages that come to this host: a raw socket, which the standard library
    /// reads as it reads those of UDP.
    messages: UdpSocket,
    family: Family,
    source: SocketAddr,
    destination: IpAddr,
    ttl: u8,
    arrived: bool,
}

impl Route {
    // ANCHOR: sockets
    /// # Errors
    ///
    /// When the host may not have a raw socket.
    pub fn new(host: &Host, family: Family, destination: IpAddr) -> Result<Self> {
        let (domain, icmp) = match family {
            Family::V4 => (Domain::IPV4, Protocol::ICMPV4),
            Family::V6 => (Domain::IPV6, Protocol::ICMPV6),
        };
        let (probes, messages) = host.run(|| -> io::Result<_> {
            let probes = Socket::new(domain, Type::DGRAM, Some(Protocol::UDP))?;
            let messages = Socket::new(domain, Type::RAW, Some(icmp))?;
            Ok((probes, messages))
        })?;
        probes.bind(&SocketAddr::new(family.address(host), 0).into())?;
        let source = probes.local_addr()?.as_socket().ok_or("no IP address")?;
        Ok(Self {
            probes,
            messages: messages.into(),
            family,
            source,
            destination,
            ttl: 0,
            arrived: false,
        })
    }
    // ANCHOR_END: sockets

    /// Whether the destination itself has answered.
    pub fn arrived(&self) -> bool {
        self.arrived
    }

    // ANCHOR: hop
    /// Sends the probes of one hop, and collects the answers.
    fn hop(&mut self) -> Result<Hop> {
        match self.family {
            Family::V4 => self.probes.set_ttl_v4(self.ttl.into())?,
            Family::V6 => self.probes.set_unicast_hops_v6(self.ttl.into())?,
        }
        let first = FIRST_PORT + u16::from(self.ttl - 1) * PROBES as u16;
        let mut sent = [Instant::now(); PROBES];
        for (port, sent) in (first..).zip(&mut sent) {
            *sent = Instant::now();
            let to = SockAddr::from(SocketAddr::new(self.destination, port));
            self.probes.send_to(b"probe", &to)?;
        }

        let mut answers = [None; PROBES];
        let at_latest = Instant::now() + DEADLINE;
        while answers.iter().any(Option::is_none) {
            let Some(message) = self.receive(at_latest)? else {
                break;
            };
            let probe = usize::from(message.port.wrapping_sub(first));
            // One of an earlier hop comes too late, and is nobody's here.
            let Some(answer @ None) = answers.get_mut(probe) else {
                continue;
            };
            let after = sent[probe].elapsed();
            let from = message.from;
            *answer = Some(Answer { from, after });
            self.arrived |= message.is_the_end;
        }
        Ok(Hop {
            ttl: self.ttl,
            answers,
        })
    }
    // ANCHOR_END: hop

    // ANCHOR: receive
    /// The next message about one of the probes, unless none comes in time.
    fn receive(&self, at_latest: Instant) -> Result<Option<Message>> {
        loop {
            let left = at_latest.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(None);
            }
            self.messages.set_read_timeout(Some(left))?;
            let mut buffer = [0; ROOM];
            let (length, from) = match self.messages.recv_from(&mut buffer) {
                Ok(received) => received,
                Err(error) if is_only_late(&error) => continue,
                Err(error) => return Err(error.into()),
            };
            if let Some(message) = self.about_a_probe(from.ip(), &buffer[..length]) {
                return Ok(Some(message));
            }
        }
    }
    // ANCHOR_END: receive

    // ANCHOR: match
    /// What a message says, if it is about a probe. Any host may send any message, so nothing that is
    /// wrong with it is an error here.
    fn about_a_probe(&self, from: IpAddr, bytes: &[u8]) -> Option<Message> {
        let (quoted, is_the_end) = match (from, self.source.ip()) {
            (IpAddr::V6(source), IpAddr::V6(destination)) => {
                let addresses = Addresses::V6 {
                    source,
                    destination,
                };
                let message = icmpv6::Message::parse(addresses, bytes).ok()?;
                let is_the_end = match message.header() {
                    icmpv6::Header::TimeExceeded { .. } => false,
                    icmpv6::Header::DestinationUnreachable { code, .. } => {
                        code == icmpv6::Unreachable::PORT
                    }
                    _ => return None,
                };
                (message.quoted()?.ok()?, is_the_end)
            }
            _ => {
                // A raw socket of IPv4 gives the whole packet.
                let packet = ipv4::Packet::parse(bytes).ok()?;
                let message = icmpv4::Message::parse(packet.payload()).ok()?;
                let is_the_end = match message.header() {
                    icmpv4::Header::TimeExceeded { .. } => false,
                    icmpv4::Header::DestinationUnreachable { code, .. } => {
                        code == icmpv4::Unreachable::PORT
                    }
                    _ => return None,
                };
                (message.quoted()?.ok()?, is_the_end)
            }
        };
        let (source_port, port) = quoted.ports()?;
        let is_ours = self.sent(&quoted) && source_port == self.source.port();
        is_ours.then_some(Message {
            from,
            port,
            is_the_end,
        })
    }
    // ANCHOR_END: match

    /// Whether the quoted packet went from here to the destination.
    fn sent(&self, quoted: &Quoted) -> bool {
        let (source, destination) = match quoted.addresses() {
            Addresses::V4 {
                source,
                destination,
            } => (IpAddr::from(source), IpAddr::from(destination)),
            Addresses::V6 {
                source,
                destination,
            } => (IpAddr::from(source), IpAddr::from(destination)),
        };
        (source, destination) == (self.source.ip(), self.destination)
    }
}

/// Whether it only says that nothing has come yet.
fn is_only_late(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted
    )
}

/// A message about a probe.
struct Message {
    from: IpAddr,
    /// Where the probe went, which tells the probes apart.
    port: u16,
    /// Whether the destination itself says so.
    is_the_end: bool,
}

/// One hop after the other, until the destination answers.
impl Iterator for &mut Route {
    type Item = Result<Hop>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.arrived || self.ttl == MAX_HOPS {
            return None;
        }
        self.ttl += 1;
        Some(self.hop())
    }
}
