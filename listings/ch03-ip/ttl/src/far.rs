//! What becomes of single packets: how far they get, what changes in them, and who tells.

use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::thread;
use std::time::{Duration, Instant};

use ip_header::{Packet, Protocol};
use ip_icmp::{icmpv4, icmpv6};
use lab::{Capture, Crossing};
use record::{Event, Record, Sequence, What};
use socket2::Socket;

use crate::chain::{Chain, Family, ROUTERS, Result, Silence};

/// How long to wait for what should be there after some milliseconds.
const DEADLINE: Duration = Duration::from_secs(10);

/// The port that the server's program receives on.
const PORT: u16 = 7000;

/// The largest TTL that is tried: one more than there are routers, so that it arrives.
const ENOUGH: u8 = ROUTERS as u8 + 1;

/// Of which TTL the figure is.
const FIGURE: u8 = 3;

/// Sends one datagram with each TTL, and looks where it ended.
pub fn each_ttl(family: Family, record: &mut Record) -> Result<()> {
    let chain = Chain::start(Silence::Nobody)?;
    let to = SocketAddr::new(family.address(&chain.server), PORT);
    let receiver = chain.server.run(|| UdpSocket::bind(to))?;
    let from = SocketAddr::new(family.address(&chain.client), 0);
    let sender = Socket::from(chain.client.run(|| UdpSocket::bind(from))?);

    // ANCHOR: each
    for ttl in 1..=ENOUGH {
        match family {
            Family::V4 => sender.set_ttl_v4(ttl.into())?,
            Family::V6 => sender.set_unicast_hops_v6(ttl.into())?,
        }
        sender.send_to(&[ttl], &to.into())?;
    }
    let read = read_one(&receiver)?;
    // ANCHOR_END: each
    let capture = answers_came(&chain, usize::from(ENOUGH) - 1)?;
    println!("TTL  links  ends at   its answer");
    for ttl in 1..=ENOUGH {
        let way = way_of(&capture, ttl)?;
        let end = way.last().ok_or("a datagram that was not sent")?.to;
        let answer = answer_to(&capture, ttl)?;
        let answer = match answer {
            Some((kind, from)) => format!("{kind}, from {from}"),
            None => "none".to_owned(),
        };
        println!(
            "{ttl:>3}  {:>5}  {:<8}  {answer}",
            way.len(),
            capture.name(end)
        );
    }
    println!("the server's program has read the datagram with TTL {read}, and no other");

    println!("\nThat one on each link\n");
    for crossing in way_of(&capture, ENOUGH)? {
        let ends = [crossing.from, crossing.to].map(|place| capture.name(place));
        let what = match Packet::parse(&crossing.bytes)? {
            // `parse` has checked the checksum.
            Packet::V4(packet) => format!(
                "TTL {}, header checksum {:#06x}",
                packet.header().ttl,
                packet.header_checksum()
            ),
            Packet::V6(packet) => format!("hop limit {}", packet.header().hop_limit),
        };
        println!("{:<8} > {:<8}  {what}", ends[0], ends[1]);
    }
    if family == Family::V4 {
        record.add("ttl", sequence(&capture)?);
    }
    Ok(())
}

/// The one datagram that arrives.
fn read_one(receiver: &UdpSocket) -> Result<u8> {
    let mut byte = [0];
    receiver.set_read_timeout(Some(DEADLINE))?;
    receiver.recv(&mut byte)?;
    receiver.set_nonblocking(true)?;
    match receiver.recv(&mut [0]) {
        Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => Ok(byte[0]),
        other => Err(format!("more than one datagram: {other:?}").into()),
    }
}

/// The capture, as soon as so many messages have come to the client.
fn answers_came(chain: &Chain, count: usize) -> Result<Capture> {
    let at_latest = Instant::now() + DEADLINE;
    loop {
        let capture = chain.lab.capture();
        let mut came = 0;
        for crossing in capture.crossings() {
            let to_client = capture.name(crossing.to) == chain.client.name();
            came +=
                usize::from(to_client && crossing.arrived.is_some() && told(crossing)?.is_some());
        }
        if came >= count {
            return Ok(capture);
        }
        if Instant::now() > at_latest {
            return Err(format!("{came} of {count} answers came").into());
        }
        thread::sleep(Duration::from_millis(1));
    }
}

/// The TTL with which a datagram left, which it carries: its only byte.
fn left_with(bytes: &[u8]) -> Result<Option<u8>> {
    let upper = Packet::parse(bytes)?.upper_layer()?;
    Ok(match (upper.protocol, upper.bytes) {
        (Protocol::UDP, [_, _, _, _, _, _, _, _, ttl]) => Some(*ttl),
        _ => None,
    })
}

/// The datagram that left with this TTL, on each link.
fn way_of(capture: &Capture, ttl: u8) -> Result<Vec<&Crossing>> {
    let mut way = Vec::new();
    for crossing in capture.crossings() {
        if left_with(&crossing.bytes)? == Some(ttl) {
            way.push(crossing);
        }
    }
    Ok(way)
}

// ANCHOR: told
/// What a packet tells the client: what has happened, to a datagram that left with which TTL, and
/// who says so.
fn told(crossing: &Crossing) -> Result<Option<(&'static str, u8, IpAddr)>> {
    let packet = Packet::parse(&crossing.bytes)?;
    let bytes = packet.upper_layer()?.bytes;
    let (exceeded, quoted, from) = match packet {
        Packet::V4(packet) if packet.header().protocol == Protocol::ICMP => {
            let message = icmpv4::Message::parse(bytes)?;
            let exceeded = message.kind() == icmpv4::Type::TIME_EXCEEDED;
            (exceeded, message.quoted(), packet.header().source.into())
        }
        Packet::V6(packet) if packet.header().next_header == Protocol::ICMPV6 => {
            let message = icmpv6::Message::parse(packet.header().addresses(), bytes)?;
            let exceeded = message.kind() == icmpv6::Type::TIME_EXCEEDED;
            (exceeded, message.quoted(), packet.header().source.into())
        }
        _ => return Ok(None),
    };
    let quoted = quoted.ok_or("a message that is not about a packet")??;
    let data = quoted.upper_layer().ok_or("only a header is quoted")?.bytes;
    let ttl = *data.get(8).ok_or("too little is quoted")?;
    let kind = if exceeded {
        "time exceeded"
    } else {
        "unreachable"
    };
    Ok(Some((kind, ttl, from)))
}
// ANCHOR_END: told

/// What has come of the datagram that left with this TTL.
fn answer_to(capture: &Capture, ttl: u8) -> Result<Option<(&'static str, IpAddr)>> {
    for crossing in capture.crossings() {
        if let Some((kind, about, from)) = told(crossing)?
            && about == ttl
        {
            return Ok(Some((kind, from)));
        }
    }
    Ok(None)
}

/// The datagram of the figure, and its answer.
fn sequence(capture: &Capture) -> Result<Sequence> {
    let mut sequence = Sequence::new();
    sequence.host("client", None);
    for router in 1..=FIGURE {
        sequence.host(format!("router `{router}`"), None);
    }
    let way = way_of(capture, FIGURE)?;
    let started = way.first().ok_or("a datagram that was not sent")?.sent;
    let us = |time: Duration| time.saturating_sub(started).as_micros() as u64;
    for crossing in capture.crossings() {
        let it = left_with(&crossing.bytes)? == Some(FIGURE);
        let about_it = told(crossing)?.is_some_and(|(_, ttl, _)| ttl == FIGURE);
        if !it && !about_it {
            continue;
        }
        let ttl = match Packet::parse(&crossing.bytes)? {
            Packet::V4(packet) => packet.header().ttl,
            Packet::V6(packet) => packet.header().hop_limit,
        };
        let (from, to) = (crossing.from, crossing.to);
        let (label, note) = match (it, from, to) {
            (true, 0, _) => (
                format!("`TTL {ttl}`"),
                Some("to the server, which is further on"),
            ),
            (true, ..) => (format!("`TTL {ttl}`"), None),
            (false, _, 0) => (
                format!("ICMP time exceeded, `TTL {ttl}`"),
                Some("It comes from router `3`, so the client knows who the third one is."),
            ),
            (false, from, _) => (
                format!("ICMP time exceeded, `TTL {ttl}`"),
                (from == usize::from(FIGURE))
                    .then_some("to the client: a packet of its own, with a TTL of its own"),
            ),
        };
        if about_it && from == usize::from(FIGURE) {
            sequence.state(
                us(crossing.sent),
                from,
                "`TTL 0`",
                Some("The packet is dropped; the server never hears of it."),
            );
        }
        sequence.events.push(Event {
            at_us: us(crossing.sent),
            what: What::Message {
                from,
                to,
                label,
                note: note.map(str::to_owned),
                arrived_us: crossing.arrived.map(us),
                fate: crossing.fate.into(),
            },
        });
    }
    Ok(sequence)
}

/// How many datagrams are sent at once, to a port each that nobody has.
const BURST: u16 = 20;

/// Milliseconds between two messages to the same host, once six have been sent at a time (icmp(7),
/// «ip-sysctl»). What Linux sets for IPv4; for IPv6 newer kernels set 100.
const LIMIT_MS: u32 = 1000;

/// The first of these ports.
const CLOSED: u16 = 33_434;

/// Sends datagrams to ports that nobody has, all at once, and counts what the server's kernel tells.
pub fn rate_limit(family: Family) -> Result<()> {
    let chain = Chain::start(Silence::Nobody)?;
    for name in ["net.ipv4.icmp_ratelimit", "net.ipv6.icmp.ratelimit"] {
        chain.server.sysctl(name, LIMIT_MS)?;
    }
    let server = family.address(&chain.server);
    // ANCHOR: rate-limit
    let open = chain.server.run(|| UdpSocket::bind((server, PORT)))?;
    let from = SocketAddr::new(family.address(&chain.client), 0);
    let sender = chain.client.run(|| UdpSocket::bind(from))?;
    for port in CLOSED..CLOSED + BURST {
        sender.send_to(&[0], (server, port))?;
    }
    // When this one is there, the server's kernel has dealt with all before it.
    sender.send_to(&[1], (server, PORT))?;
    read_one(&open)?;
    let counters = chain.server.counters();
    // ANCHOR_END: rate-limit
    let (no_port, told) = match family {
        Family::V4 => ("UdpNoPorts", "IcmpOutDestUnreachs"),
        Family::V6 => ("Udp6NoPorts", "Icmp6OutDestUnreachs"),
    };
    println!(
        "{family}: {} found no port, and the server's kernel said so {} times",
        counters[no_port], counters[told]
    );
    Ok(())
}
