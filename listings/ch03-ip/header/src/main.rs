//! Real IPv4 and IPv6 packets, taken apart field by field, built anew, and damaged bit by bit.
//!
//! ```text
//! cargo run -p ip-header
//! ```
//!
//! The program moves into a network of its own, which needs no root, and sends itself UDP datagrams
//! over each version of IP, without and with what a header may have besides. A packet socket hands it the packets as they were on the wire,
//! headers included; `lib.rs` reads and writes them.
//!
//! Look for the fields that only one version has; for what becomes of a packet in which one bit
//! flipped; and for the two numbers that change when a router forwards a packet.

#![forbid(unsafe_code)]

#[cfg(not(target_os = "linux"))]
fn main() {
    println!(
        "ip-header captures packets in a network namespace of Linux. Run it on Linux: in the book's \
         dev container, or on Windows in WSL2."
    );
}

#[cfg(target_os = "linux")]
mod capture;

#[cfg(target_os = "linux")]
fn main() -> std::process::ExitCode {
    if std::env::args().len() > 1 {
        eprintln!("usage: ip-header (it takes no arguments)");
        return std::process::ExitCode::from(2);
    }
    match linux::run() {
        Ok(()) => std::process::ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("ip-header: {error}");
            std::process::ExitCode::FAILURE
        }
    }
}

#[cfg(target_os = "linux")]
mod linux {
    use std::error::Error;

    use ip_header::{Field, Protocol, UpperLayer, checksum, ipv4, ipv6};
    use record::{Record, Wire};

    use crate::capture::{self, Packets};

    /// What the datagrams carry.
    const MESSAGE: &[u8] = b"hello, IP";

    pub fn run() -> Result<(), Box<dyn Error>> {
        let Packets {
            v4,
            v6,
            v4_with_options,
            v6_with_extension,
        } = capture::packets(MESSAGE)?;
        let mut record = Record::new();

        println!("A UDP datagram of {} bytes over IPv4\n", MESSAGE.len());
        let packet = ipv4::Packet::parse(&v4)?;
        record.add("ipv4", show(&v4, &rows_v4(&packet), packet.upper_layer()));
        same_again(&v4, ipv4::HEADER_LEN, |to| {
            packet.header().emit(to).map(drop)
        })?;

        println!("\nThe same over IPv6\n");
        let packet = ipv6::Packet::parse(&v6)?;
        record.add("ipv6", show(&v6, &rows_v6(&packet), packet.upper_layer()?));
        same_again(&v6, ipv6::HEADER_LEN, |to| {
            packet.header().emit(to).map(drop)
        })?;

        println!("\nOver IPv4 with an option\n");
        let packet = ipv4::Packet::parse(&v4_with_options)?;
        let mut rows = rows_v4(&packet);
        rows.push(options(&packet));
        record.add(
            "ipv4-options",
            show(&v4_with_options, &rows, packet.upper_layer()),
        );
        same_again(&v4_with_options, packet.header().header_len(), |to| {
            packet.header().emit(to).map(drop)
        })?;

        println!("\nOver IPv6 with an extension header\n");
        let packet = ipv6::Packet::parse(&v6_with_extension)?;
        let mut rows = rows_v6(&packet);
        for extension in packet.extensions() {
            rows.extend(extension_rows(&extension?));
        }
        record.add(
            "ipv6-extension",
            show(&v6_with_extension, &rows, packet.upper_layer()?),
        );
        same_again(&v6_with_extension, ipv6::HEADER_LEN, |to| {
            packet.header().emit(to).map(drop)
        })?;

        println!("\nOne bit flips on the way: each bit of the header in turn\n");
        flip_each("IPv4", &v4, ipv4::HEADER_LEN, |bytes| {
            ipv4::Packet::parse(bytes).map(drop)
        });
        flip_each("IPv6", &v6, ipv6::HEADER_LEN, |bytes| {
            ipv6::Packet::parse(bytes).map(drop)
        });

        println!("IPv6 leaves that to the layers above: UDP's checksum covers the addresses too.");

        println!("\nA router forwards the IPv4 packet\n");
        forward(&v4)?;
        Ok(record.save()?)
    }

    /// One field as it is shown: its place, its value, and what the value means.
    struct Row {
        field: Field,
        value: String,
        note: &'static str,
    }

    fn row(field: Field, value: impl ToString, note: &'static str) -> Row {
        let value = value.to_string();
        Row { field, value, note }
    }

    // ANCHOR: rows
    fn rows_v4(packet: &ipv4::Packet) -> Vec<Row> {
        use ipv4::fields::*;
        let header = packet.header();
        let flags = match (header.flags.dont_fragment, header.flags.more_fragments) {
            (true, false) => ("DF", "no router may fragment the packet"),
            (false, false) => ("none", "routers may fragment the packet"),
            (_, true) => ("MF", "more fragments follow"),
        };
        vec![
            row(VERSION, 4, "the first four bits tell the versions apart"),
            row(IHL, packet.ihl(), "times 4 bytes: where the payload begins"),
            row(DSCP, header.dscp.get(), "best effort"),
            row(ECN, header.ecn as u8, "no congestion notification"),
            row(
                TOTAL_LEN,
                packet.total_len(),
                "header and payload, in bytes",
            ),
            row(
                IDENTIFICATION,
                format!("{:#06x}", header.identification),
                "the same in all fragments of a packet",
            ),
            row(FLAGS, flags.0, flags.1),
            row(
                FRAGMENT_OFFSET,
                header.fragment_offset.bytes(),
                "counted in units of 8 bytes",
            ),
            row(TTL, header.ttl, "how many routers may still forward it"),
            row(PROTOCOL, header.protocol.0, "the payload is UDP"),
            row(
                HEADER_CHECKSUM,
                format!("{:#06x}", packet.header_checksum()),
                "over the header alone",
            ),
            row(SOURCE, header.source, "where it comes from"),
            row(DESTINATION, header.destination, "where it goes"),
        ]
    }
    // ANCHOR_END: rows

    fn rows_v6(packet: &ipv6::Packet) -> Vec<Row> {
        use ipv6::fields::*;
        let header = packet.header();
        vec![
            row(VERSION, 6, "the first four bits tell the versions apart"),
            row(DSCP, header.dscp.get(), "best effort"),
            row(ECN, header.ecn as u8, "no congestion notification"),
            row(
                FLOW_LABEL,
                format!("{:#07x}", header.flow_label.get()),
                "the same in all packets of a flow",
            ),
            row(
                PAYLOAD_LEN,
                packet.payload_len(),
                "all that follows the header, in bytes",
            ),
            row(
                NEXT_HEADER,
                header.next_header.0,
                what_follows(header.next_header),
            ),
            row(
                HOP_LIMIT,
                header.hop_limit,
                "how many routers may still forward it",
            ),
            row(SOURCE, header.source, "where it comes from"),
            row(DESTINATION, header.destination, "where it goes"),
        ]
    }

    fn what_follows(next_header: Protocol) -> &'static str {
        match next_header {
            Protocol::UDP => "the payload is UDP",
            _ => "an extension header follows",
        }
    }

    /// The options, which are a Record Route.
    fn options(packet: &ipv4::Packet) -> Row {
        let options = packet.header().options.as_bytes();
        let field = Field::new("options", ipv4::HEADER_LEN * 8, options.len() * 8);
        let value = match options {
            [7, _, _, a, b, c, d, ..] => format!("{a}.{b}.{c}.{d}"),
            _ => "unknown".to_owned(),
        };
        row(
            field,
            value,
            "Record Route: the sender has written itself in",
        )
    }

    /// An extension header: what follows it, how long it is, and the rest.
    fn extension_rows(extension: &ipv6::Extension) -> [Row; 3] {
        let bit = extension.offset * 8;
        let (next, len) = (extension.bytes[0], extension.bytes[1]);
        let rest = extension.bytes.len() - 2;
        let padding = Field::new("options", bit + 16, rest * 8);
        [
            row(
                Field::new("next_header", bit, 8),
                next,
                "behind this header comes UDP",
            ),
            row(
                Field::new("hdr_ext_len", bit + 8, 8),
                len,
                "units of 8 bytes, the first not counted",
            ),
            row(padding, "PadN", "options that say nothing"),
        ]
    }

    /// Prints the header's fields, and gives the figure of the whole packet.
    fn show(bytes: &[u8], rows: &[Row], upper: UpperLayer) -> Wire {
        println!("byte  bytes, or bits                 field            value");
        for Row { field, value, note } in rows {
            let (at, name, digits) = (field.offset(), field.name, digits(bytes, *field));
            println!("{at:>4}  {digits:<29}  {name:<15}  {value:<10}  {note}");
        }

        let figure = |Row { field, value, note }: &Row| {
            record::Field::bits(format!("`{}`", field.name), field.bit, field.bits)
                .value(format!("`{value}`"))
                .note(*note)
        };
        let message = bytes.len() - MESSAGE.len();
        let udp = record::Field::bytes("UDP header", upper.offset, message - upper.offset)
            .note("two ports, a length and a checksum of its own");
        let text = record::Field::bytes("message", message, MESSAGE.len())
            .value(format!("`{}`", MESSAGE.escape_ascii()));
        Wire {
            bytes: bytes.to_vec(),
            fields: rows.iter().map(figure).chain([udp, text]).collect(),
        }
    }

    /// A field's bytes in hexadecimal, eight at most; of a field that shares a byte, its bits.
    fn digits(bytes: &[u8], field: Field) -> String {
        let whole = field.bit.is_multiple_of(8) && field.bits.is_multiple_of(8);
        let own = field.bit..field.bit + field.bits;
        let bit = |bit: usize| match bytes[bit / 8] >> (7 - bit % 8) & 1 {
            _ if !own.contains(&bit) => '·',
            0 => '0',
            _ => '1',
        };
        let byte = |at: usize| match whole {
            true => format!("{:02x}", bytes[at]),
            false => (at * 8..at * 8 + 8).map(bit).collect(),
        };
        let mut digits: Vec<String> = (field.offset()..field.end()).map(byte).collect();
        if digits.len() > 8 {
            digits.truncate(8);
            digits.push("…".into());
        }
        digits.join(" ")
    }

    // ANCHOR: same-again
    /// Writes the header anew where only zeros stand, and compares.
    fn same_again(
        packet: &[u8],
        header_len: usize,
        emit: impl Fn(&mut [u8]) -> Result<(), ip_header::Error>,
    ) -> Result<(), Box<dyn Error>> {
        let mut anew = packet.to_vec();
        anew[..header_len].fill(0);
        emit(&mut anew)?;
        if anew != packet {
            return Err("the header that was built anew is another".into());
        }
        println!("\nBuilt anew from these values, all {header_len} bytes are the same.");
        Ok(())
    }
    // ANCHOR_END: same-again

    // ANCHOR: flip
    /// Flips every bit of the header in turn, and counts which field gives each damage away.
    fn flip_each(
        version: &str,
        packet: &[u8],
        header_len: usize,
        parse: impl Fn(&[u8]) -> Result<(), ip_header::Error>,
    ) {
        let mut caught: Vec<(&str, usize)> = Vec::new();
        for bit in 0..header_len * 8 {
            let mut damaged = packet.to_vec();
            damaged[bit / 8] ^= 0x80 >> (bit % 8);
            let Err(error) = parse(&damaged) else {
                continue;
            };
            match caught.iter_mut().find(|(field, _)| *field == error.field) {
                Some((_, times)) => *times += 1,
                None => caught.push((error.field, 1)),
            }
        }
        let all: usize = caught.iter().map(|(_, times)| times).sum();
        let by: Vec<String> = caught
            .iter()
            .map(|(field, times)| format!("{field} {times}"))
            .collect();
        let bits = header_len * 8;
        println!("{version}  {all} of {bits} noticed: {}", by.join(", "));
    }
    // ANCHOR_END: flip

    /// Takes one off the TTL, and mends the checksum without a look at the rest of the header.
    fn forward(packet: &[u8]) -> Result<(), Box<dyn Error>> {
        // ANCHOR: forward
        let before = ipv4::Packet::parse(packet)?;
        let mut bytes = packet.to_vec();
        bytes[8] -= 1;
        let [old, new] = [packet, &bytes].map(|from| u16::from_be_bytes([from[8], from[9]]));
        let mended = checksum::update(before.header_checksum(), old, new);
        bytes[10..12].copy_from_slice(&mended.to_be_bytes());
        let after = ipv4::Packet::parse(&bytes)?;
        // ANCHOR_END: forward
        let [(ttl, sum), (next_ttl, next_sum)] =
            [before, after].map(|packet| (packet.header().ttl, packet.header_checksum()));
        println!("ttl              {ttl:>6} → {next_ttl}");
        println!("header_checksum  {sum:#06x} → {next_sum:#06x}");
        println!("The checksum follows from the one word that changed; the others were not read.");
        Ok(())
    }
}
