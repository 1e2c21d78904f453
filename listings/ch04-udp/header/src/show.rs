//! A datagram and the sum over it as they are shown: lines of text, and a figure.

use ip_header::{Addresses, Protocol};
use record::{Field, Wire};
use udp_header::{Datagram, HEADER_LEN, fields};

/// How many bytes a line of text shows.
const LINE: usize = 10;

/// One part of what is summed up.
struct Part {
    name: String,
    len: usize,
    value: String,
    note: &'static str,
}

fn part(name: &str, len: usize, value: impl ToString, note: &'static str) -> Part {
    Part {
        name: name.to_owned(),
        len,
        value: value.to_string(),
        note,
    }
}

/// Prints what the checksum goes over, part by part, and gives the figure.
pub fn sum(datagram: &Datagram, addresses: Addresses) -> Wire {
    let pseudo = pseudo_header(datagram, addresses);
    let header = header(datagram);
    let mut bytes = pseudo_header_bytes(datagram, addresses);
    let pseudo_len = bytes.len();
    bytes.extend(datagram.as_bytes());

    println!("byte  bytes                          field             value");
    println!("      never sent: the pseudo-header");
    let mut at = 0;
    let pseudo = lines(&pseudo, &bytes, &mut at, 0);
    println!("      on the wire: the datagram");
    let header = lines(&header, &bytes, &mut at, pseudo_len);
    let text = datagram.payload().escape_ascii().to_string();
    let data = [part("data", datagram.payload().len(), &text, "")];
    let mut data = lines(&data, &bytes, &mut at, pseudo_len);
    data[0].name = "data".into();
    Wire {
        bytes,
        fields: vec![
            Field::bytes("pseudo-header", 0, pseudo_len)
                .note("summed up by both ends, and sent by neither")
                .fields(pseudo),
            Field::bytes("UDP header", pseudo_len, HEADER_LEN).fields(header),
            data.remove(0),
        ],
    }
}

/// Prints each part with its place, counted from byte `zero` on, and gives it as a figure's fields.
fn lines(parts: &[Part], bytes: &[u8], at: &mut usize, zero: usize) -> Vec<Field> {
    let mut fields = Vec::new();
    for Part {
        name,
        len,
        value,
        note,
    } in parts
    {
        let own = &bytes[*at..*at + len];
        let mut digits: Vec<String> = own.iter().map(|byte| format!("{byte:02x}")).collect();
        if digits.len() > LINE {
            digits.truncate(LINE - 1);
            digits.push("…".into());
        }
        let place = *at - zero;
        println!("{place:>4}  {:<29}  {name:<16}  {value}", digits.join(" "));
        let field = Field::bytes(format!("`{name}`"), *at, *len).value(format!("`{value}`"));
        fields.push(match *note {
            "" => field,
            note => field.note(note),
        });
        *at += len;
    }
    fields
}

// ANCHOR: pseudo-header
/// The pseudo-header, as RFC 768 and RFC 8200 §8.1 draw it.
fn pseudo_header_bytes(datagram: &Datagram, addresses: Addresses) -> Vec<u8> {
    let length = datagram.length();
    let protocol = Protocol::UDP.0;
    match addresses {
        Addresses::V4 {
            source,
            destination,
        } => {
            let [high, low] = length.to_be_bytes();
            [
                &source.octets()[..],
                &destination.octets(),
                &[0, protocol, high, low],
            ]
            .concat()
        }
        Addresses::V6 {
            source,
            destination,
        } => {
            let length = u32::from(length).to_be_bytes();
            [
                &source.octets()[..],
                &destination.octets(),
                &length,
                &[0, 0, 0, protocol],
            ]
            .concat()
        }
    }
}
// ANCHOR_END: pseudo-header

fn pseudo_header(datagram: &Datagram, addresses: Addresses) -> Vec<Part> {
    let length = datagram.length();
    let protocol = Protocol::UDP.0;
    let from_ip = "as in the IP header";
    let again = "the same as in the UDP header";
    let udp = "UDP, as in the IP header";
    match addresses {
        Addresses::V4 {
            source,
            destination,
        } => vec![
            part("source", 4, source, from_ip),
            part("destination", 4, destination, from_ip),
            part("zero", 1, 0, "fills up the word"),
            part("protocol", 1, protocol, udp),
            part("length", 2, length, again),
        ],
        Addresses::V6 {
            source,
            destination,
        } => vec![
            part("source", 16, source, from_ip),
            part("destination", 16, destination, from_ip),
            part("length", 4, length, again),
            part("zero", 3, 0, "fills up the word"),
            part(
                "next_header",
                1,
                protocol,
                "UDP, whatever extension headers there are",
            ),
        ],
    }
}

fn header(datagram: &Datagram) -> Vec<Part> {
    let header = datagram.header();
    let checksum = match datagram.checksum() {
        Some(checksum) => format!("{checksum:#06x}"),
        None => "none".to_owned(),
    };
    let part = |field: ip_header::Field, value: String, note| part(field.name, 2, value, note);
    vec![
        part(
            fields::SOURCE_PORT,
            header.source_port.to_string(),
            "where an answer should go",
        ),
        part(
            fields::DESTINATION_PORT,
            header.destination_port.to_string(),
            "which program is meant",
        ),
        part(
            fields::LENGTH,
            datagram.length().to_string(),
            "header and data, in bytes",
        ),
        part(
            fields::CHECKSUM,
            checksum,
            "counts as zero while the sum is made",
        ),
    ]
}
