//! A captured message: its fields as lines, and as a figure.

use ip_header::{Addresses, Field, Packet, Protocol};
use ip_icmp::{HEADER_LEN, Quoted, icmpv4, icmpv6};
use record::Wire;

use crate::linux::Result;

/// How many bytes of a packet a figure shows: the headers, also those of a quoted packet, and not all
/// of the data in it.
const FIGURE: usize = 120;

/// One field: its place in the message, its value, and what the value means.
struct Row {
    field: Field,
    value: String,
    note: &'static str,
}

fn row(field: Field, value: impl ToString, note: &'static str) -> Row {
    let value = value.to_string();
    Row { field, value, note }
}

// ANCHOR: message
/// Prints a packet's message, and gives the figure of the whole packet.
pub fn message(packet: &[u8]) -> Result<Wire> {
    let parsed = Packet::parse(packet)?;
    let upper = parsed.upper_layer()?;
    let (rows, quoted) = match upper.protocol {
        Protocol::ICMPV6 => {
            let message = icmpv6::Message::parse(parsed.addresses(), upper.bytes)?;
            (rows_v6(&message), message.quoted().transpose()?)
        }
        _ => {
            let message = icmpv4::Message::parse(upper.bytes)?;
            (rows_v4(&message), message.quoted().transpose()?)
        }
    };
    // ANCHOR_END: message
    let (from, to) = ends(parsed.addresses());
    println!("from {from} to {to}, {} bytes", packet.len());
    for Row { field, value, note } in &rows {
        println!("  {:<13} {value:<10} {note}", field.name);
    }
    let data = &upper.bytes[HEADER_LEN..];
    match quoted {
        Some(quoted) => tell(&quoted),
        None => println!("  {:<13} {}", "data", data.escape_ascii()),
    }
    Ok(figure(packet, upper.offset, &rows, quoted))
}

fn ends(addresses: Addresses) -> (String, String) {
    match addresses {
        Addresses::V4 {
            source,
            destination,
        } => (source.to_string(), destination.to_string()),
        Addresses::V6 {
            source,
            destination,
        } => (source.to_string(), destination.to_string()),
    }
}

/// What the quotation says of the packet.
fn tell(quoted: &Quoted) {
    let (from, to) = ends(quoted.addresses());
    let (there, total) = (quoted.as_bytes().len(), quoted.total_len());
    println!("  it quotes     {there} of the packet's {total} bytes:");
    println!("                from {from} to {to}, TTL {}", quoted.ttl());
    if let (Some(upper), Some((source, destination))) = (quoted.upper_layer(), quoted.ports()) {
        let protocol = upper.protocol;
        println!("                {protocol}, port {source} to port {destination}");
    }
}

fn rows_v4(message: &icmpv4::Message) -> Vec<Row> {
    use icmpv4::{Header, TimeExceeded, Unreachable, fields::*};
    let header = message.header();
    let code = match header {
        Header::DestinationUnreachable { code, .. } => match code {
            Unreachable::PORT => "nobody has the port",
            Unreachable::FRAGMENTATION_NEEDED => "too big, and must not be fragmented",
            _ => "cannot be reached",
        },
        Header::TimeExceeded { code, .. } if code == TimeExceeded::IN_TRANSIT => {
            "the TTL was used up on the way"
        }
        _ => "this type has no other",
    };
    let checksum = format!("{:#06x}", message.checksum());
    let mut rows = vec![
        row(TYPE, message.kind().0, kind_v4(message.kind())),
        row(CODE, message.code(), code),
        row(CHECKSUM, checksum, "over the whole message"),
    ];
    match header {
        Header::Echo(echo) | Header::EchoReply(echo) => {
            rows.push(row(IDENTIFIER, echo.identifier, "who asks"));
            rows.push(row(SEQUENCE, echo.sequence, "which request it is"));
        }
        Header::DestinationUnreachable {
            code, next_hop_mtu, ..
        } => {
            rows.push(row(
                Field::new("unused", 32, 16),
                0,
                "zero, unless an extension follows",
            ));
            rows.push(row(
                NEXT_HOP_MTU,
                next_hop_mtu,
                match code {
                    Unreachable::FRAGMENTATION_NEEDED => "so many bytes fit",
                    _ => "means nothing with this code",
                },
            ));
        }
        _ => rows.push(row(
            Field::new("unused", 32, 32),
            0,
            "zero, unless an extension follows",
        )),
    }
    rows
}

fn kind_v4(kind: icmpv4::Type) -> &'static str {
    match kind {
        icmpv4::Type::ECHO => "Echo",
        icmpv4::Type::ECHO_REPLY => "Echo Reply",
        icmpv4::Type::DESTINATION_UNREACHABLE => "Destination Unreachable",
        icmpv4::Type::TIME_EXCEEDED => "Time Exceeded",
        _ => "another type",
    }
}

fn rows_v6(message: &icmpv6::Message) -> Vec<Row> {
    use icmpv6::{Header, TimeExceeded, Unreachable, fields::*};
    let header = message.header();
    let code = match header {
        Header::DestinationUnreachable { code, .. } if code == Unreachable::PORT => {
            "nobody has the port"
        }
        Header::DestinationUnreachable { .. } => "cannot be reached",
        Header::TimeExceeded { code, .. } if code == TimeExceeded::IN_TRANSIT => {
            "the hop limit was used up on the way"
        }
        _ => "this type has no other",
    };
    let checksum = format!("{:#06x}", message.checksum());
    let mut rows = vec![
        row(TYPE, message.kind().0, kind_v6(message.kind())),
        row(CODE, message.code(), code),
        row(CHECKSUM, checksum, "over the message and the addresses"),
    ];
    match header {
        Header::EchoRequest(echo) | Header::EchoReply(echo) => {
            rows.push(row(IDENTIFIER, echo.identifier, "who asks"));
            rows.push(row(SEQUENCE, echo.sequence, "which request it is"));
        }
        Header::PacketTooBig { mtu } => rows.push(row(MTU, mtu, "so many bytes fit")),
        _ => rows.push(row(
            Field::new("unused", 32, 32),
            0,
            "zero, unless an extension follows",
        )),
    }
    rows
}

fn kind_v6(kind: icmpv6::Type) -> &'static str {
    match kind {
        icmpv6::Type::ECHO_REQUEST => "Echo Request",
        icmpv6::Type::ECHO_REPLY => "Echo Reply",
        icmpv6::Type::DESTINATION_UNREACHABLE => "Destination Unreachable",
        icmpv6::Type::TIME_EXCEEDED => "Time Exceeded",
        icmpv6::Type::PACKET_TOO_BIG => "Packet Too Big",
        _ => "another type",
    }
}

/// The packet's bytes, as far as a figure shows them: the IP header, the message's, and either data or
/// the quoted packet.
fn figure(packet: &[u8], at: usize, rows: &[Row], quoted: Option<Quoted>) -> Wire {
    let bytes = &packet[..packet.len().min(FIGURE)];
    let mut fields = vec![record::Field::bytes(ip_header_name(packet), 0, at)];
    fields.extend(rows.iter().map(|Row { field, value, note }| {
        record::Field::bits(format!("`{}`", field.name), at * 8 + field.bit, field.bits)
            .value(format!("`{value}`"))
            .note(*note)
    }));
    let payload = at + HEADER_LEN;
    let data = |from: usize| record::Field::bytes("data", from, bytes.len() - from);
    match quoted.and_then(|quoted| quoted.upper_layer().map(|upper| (quoted, upper))) {
        Some((quoted, upper)) => {
            let udp = payload + upper.offset;
            let inner = [
                record::Field::bytes(ip_header_name(quoted.as_bytes()), payload, upper.offset),
                record::Field::bytes("UDP header", udp, 8)
                    .note("by its ports the sender finds the socket"),
                data(udp + 8),
            ];
            let (there, total) = (quoted.as_bytes().len(), quoted.total_len());
            fields.push(
                record::Field::bytes("quoted packet", payload, bytes.len() - payload)
                    .value(format!("`{there}` of `{total}` bytes"))
                    .fields(inner),
            );
        }
        None => fields.push(data(payload).value(format!("`{}`", bytes[payload..].escape_ascii()))),
    }
    Wire {
        bytes: bytes.to_vec(),
        fields,
    }
}

fn ip_header_name(packet: &[u8]) -> &'static str {
    match packet.first().map(|first| first >> 4) {
        Some(6) => "IPv6 header",
        _ => "IPv4 header",
    }
}
