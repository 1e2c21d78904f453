//! Packets in words.

use std::time::Duration;

use ip_header::{Packet, Protocol, ipv6};
use ip_icmp::{icmpv4, icmpv6};
use lab::{Capture, Crossing};
use record::{Event, Field, Sequence, What, Wire};

use crate::linux::Result;

/// The header of UDP, in bytes.
const UDP_HEADER: usize = 8;

/// What a captured packet is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A whole datagram, and whether routers may cut it.
    Whole { may_be_cut: bool },
    /// A piece of one: the bytes of its payload, and which of the whole is its first.
    Piece { from: usize, length: usize },
    /// «You may send so many bytes at most.»
    TooBig { version: u8, at_most: u32 },
    /// «I have waited for the other pieces in vain.»
    ReassemblyTimedOut,
}

// ANCHOR: kind
pub fn kind(bytes: &[u8]) -> Result<Kind> {
    let packet = Packet::parse(bytes)?;
    let upper = packet.upper_layer()?;
    if let Some(fragment) = upper.fragment {
        let (from, length) = (fragment.offset.bytes(), upper.bytes.len());
        return Ok(Kind::Piece { from, length });
    }
    Ok(match (upper.protocol, packet) {
        (Protocol::UDP, Packet::V4(packet)) => Kind::Whole {
            may_be_cut: !packet.header().flags.dont_fragment,
        },
        (Protocol::UDP, Packet::V6(_)) => Kind::Whole { may_be_cut: false },
        (Protocol::ICMP, _) => match icmpv4::Message::parse(upper.bytes)?.header() {
            icmpv4::Header::DestinationUnreachable {
                code: icmpv4::Unreachable::FRAGMENTATION_NEEDED,
                next_hop_mtu,
                ..
            } => Kind::TooBig {
                version: 4,
                at_most: next_hop_mtu.into(),
            },
            icmpv4::Header::TimeExceeded {
                code: icmpv4::TimeExceeded::REASSEMBLY,
                ..
            } => Kind::ReassemblyTimedOut,
            other => return Err(format!("ICMP that nobody sent here: {other:?}").into()),
        },
        (Protocol::ICMPV6, _) => {
            match icmpv6::Message::parse(packet.addresses(), upper.bytes)?.header() {
                icmpv6::Header::PacketTooBig { mtu } => Kind::TooBig {
                    version: 6,
                    at_most: mtu,
                },
                other => return Err(format!("ICMPv6 that nobody sent here: {other:?}").into()),
            }
        }
        (other, _) => return Err(format!("a packet that nobody sent here: {other}").into()),
    })
}
// ANCHOR_END: kind

/// What a UDP datagram carries, which is whole in one packet.
pub fn payload(bytes: &[u8]) -> Result<&[u8]> {
    let upper = Packet::parse(bytes)?.upper_layer()?;
    Ok(upper
        .bytes
        .get(UDP_HEADER..)
        .ok_or("a datagram without a header")?)
}

/// On the arrow, and below it.
fn words(packet: &Crossing) -> Result<(String, Option<&'static str>)> {
    let length = packet.length;
    Ok(match kind(&packet.bytes)? {
        Kind::Whole { may_be_cut: false } if packet.bytes[0] >> 4 == 4 => {
            (format!("`{length}` bytes, `DF`"), None)
        }
        Kind::Whole { .. } => (format!("`{length}` bytes"), None),
        Kind::Piece {
            from,
            length: payload,
        } => {
            let to = from + payload - 1;
            (format!("piece: bytes `{from}` to `{to}`"), None)
        }
        Kind::TooBig {
            version: 4,
            at_most,
        } => (
            format!("ICMP: fragmentation needed, at most `{at_most}`"),
            Some("Without this message the client would wait in vain."),
        ),
        Kind::TooBig { at_most, .. } => {
            (format!("ICMPv6: packet too big, at most `{at_most}`"), None)
        }
        Kind::ReassemblyTimedOut => (
            "ICMP: time exceeded in reassembly".to_owned(),
            Some("The first piece has come, and the rest has not."),
        ),
    })
}

/// A sequence that begins with the first packet.
fn sequence(capture: &Capture) -> (Sequence, impl Fn(Duration) -> u64 + use<>) {
    let started = capture
        .crossings()
        .first()
        .map_or(Duration::ZERO, |first| first.sent);
    let us = move |time: Duration| time.saturating_sub(started).as_micros() as u64;
    (Sequence::new(), us)
}

fn message(
    packet: &Crossing,
    us: impl Fn(Duration) -> u64,
    label: String,
    note: Option<&str>,
) -> Event {
    Event {
        at_us: us(packet.sent),
        what: What::Message {
            from: packet.from,
            to: packet.to,
            label,
            note: note.map(str::to_owned),
            arrived_us: packet.arrived.map(us),
            fate: packet.fate.into(),
        },
    }
}

/// The first numbered datagrams over one link, up to the number `last`.
pub fn crossings(capture: &Capture, last: u64) -> Sequence {
    let (mut sequence, us) = sequence(capture);
    sequence.host("client", None);
    sequence.host("end of the link", None);
    for packet in capture.sent_by("client") {
        let payload = payload(&packet.bytes).unwrap_or_default();
        let number = payload
            .first_chunk()
            .map_or(0, |first| u64::from_be_bytes(*first));
        if number <= last {
            sequence
                .events
                .push(message(packet, &us, format!("`{number}`"), None));
        }
    }
    sequence
}

/// Packets over two links, of which the second takes less.
pub fn path(capture: &Capture, mtus: [usize; 2]) -> Result<Sequence> {
    let (mut sequence, us) = sequence(capture);
    sequence.host("client", Some(&format!("link of `{}` bytes", mtus[0])));
    let router = sequence.host("router", Some(&format!("next link: `{}` bytes", mtus[1])));
    sequence.host("server", None);
    for packet in capture.crossings() {
        let (label, note) = words(packet)?;
        // Once is enough: a router that passes it on adds nothing.
        let passed_on = packet.from == router && kind(&packet.bytes)? == Kind::ReassemblyTimedOut;
        let note = note.filter(|_| !passed_on);
        sequence.events.push(message(packet, &us, label, note));
        let Some(arrived) = packet.arrived else {
            continue;
        };
        match kind(&packet.bytes)? {
            Kind::Whole { may_be_cut } if packet.to == router && packet.length > mtus[1] => {
                let (label, note) = match may_be_cut {
                    true => (
                        "cuts it",
                        "Each piece is a packet with a header of its own.",
                    ),
                    false => ("does not fit", "It may not be cut, so it is dropped."),
                };
                sequence.state(us(arrived), router, label, Some(note));
            }
            Kind::TooBig { at_most, .. } if packet.from == router => {
                let label = format!("path `MTU`: `{at_most}`");
                sequence.state(
                    us(arrived),
                    packet.to,
                    label,
                    Some("The kernel remembers it."),
                );
            }
            _ => {}
        }
    }
    sequence.events.sort_by_key(|event| event.at_us);
    Ok(sequence)
}

/// How much of a fragment the figure shows, in bytes.
const SHOWN: usize = 64;

/// The beginning of a fragment of IPv6, its Fragment header field by field (RFC 8200 §4.5).
pub fn fragment(bytes: &[u8]) -> Result<Wire> {
    let packet = ipv6::Packet::parse(bytes)?;
    let extension = packet.extensions().next().ok_or("no extension header")??;
    let fragment = extension.fragment().ok_or("no Fragment header")?;
    let at = extension.offset;
    let offset = fragment.offset;
    let field = |name: &str, bit: usize, bits: usize, value: String| {
        Field::bits(format!("`{name}`"), at * 8 + bit, bits).value(format!("`{value}`"))
    };
    let more = u8::from(fragment.more_fragments).to_string();
    let id = format!("{:#010x}", fragment.identification);
    Ok(Wire {
        bytes: bytes[..SHOWN.min(bytes.len())].to_vec(),
        fields: vec![
            Field::bytes("IPv6 header", 0, at)
                .value(format!("`next_header {}`", packet.header().next_header.0)),
            field("next_header", 0, 8, extension.bytes[0].to_string()).note("the whole is UDP"),
            field("reserved", 8, 8, extension.bytes[1].to_string()),
            field("fragment_offset", 16, 13, offset.units().to_string())
                .note("counted in units of 8 bytes"),
            field("reserved", 29, 2, "0".to_owned()),
            field("more_fragments", 31, 1, more).note("`0`: this is the last"),
            field("identification", 32, 32, id).note("the same in all fragments of a packet"),
            Field::bytes("data", at + 8, SHOWN.min(bytes.len()) - at - 8)
                .note("from the middle of the datagram: no ports here"),
        ],
    })
}
