//! A segment as it is shown: a line of text and a part of a figure for each field.

use ip_header::Field;
use record::Wire;
use tcp_segment::{Flags, HEADER_LEN, Segment, TcpOption, fields};

/// One field: its place, its value, what the value means, and the fields inside it.
struct Row {
    field: Field,
    value: String,
    note: String,
    inner: Vec<record::Field>,
}

fn row(field: Field, value: impl ToString, note: &str) -> Row {
    Row {
        field,
        value: value.to_string(),
        note: note.to_owned(),
        inner: Vec::new(),
    }
}

/// Prints a segment's fields, and gives its figure.
pub fn segment(segment: &Segment) -> Wire {
    let header = header_rows(segment);
    let options = option_rows(segment);
    println!("byte  bytes, or bits                 field                  value");
    for Row { field, value, .. } in header.iter().chain(&options) {
        let digits = digits(segment.as_bytes(), *field);
        let (at, name) = (field.offset(), field.name);
        println!(
            "{}",
            format!("{at:>4}  {digits:<29}  {name:<21}  {value}").trim_end()
        );
    }

    let header_len = usize::from(segment.data_offset()) * 4;
    let mut parts: Vec<record::Field> = header.into_iter().map(figure).collect();
    if !options.is_empty() {
        let len = header_len - HEADER_LEN;
        let list = record::Field::bytes("`options`", HEADER_LEN, len);
        parts.push(list.fields(options.into_iter().map(figure)));
    }
    if !segment.payload().is_empty() {
        let text = segment.payload().escape_ascii();
        let len = segment.payload().len();
        println!(
            "{header_len:>4}  {:<29}  {:<21}  {text}",
            format!("{len} bytes"),
            "data"
        );
        parts.push(record::Field::bytes("data", header_len, len).value(format!("`{text}`")));
    }
    Wire {
        bytes: segment.as_bytes().to_vec(),
        fields: parts,
    }
}

fn figure(row: Row) -> record::Field {
    let Field { name, bit, bits } = row.field;
    let mut field = record::Field::bits(format!("`{name}`"), bit, bits);
    if !row.value.is_empty() {
        field = field.value(format!("`{}`", row.value));
    }
    field.note(row.note).fields(row.inner)
}

fn header_rows(segment: &Segment) -> Vec<Row> {
    use fields::*;
    let header = segment.header();
    let has = |flag| header.flags.contains(flag);
    let number = match (has(Flags::SYN), segment.payload().is_empty()) {
        (true, _) => "the number of the `SYN`; the first byte of data has the next",
        (false, false) => "the number of the first byte of data",
        (false, true) => "the number that the next byte of data will have",
    };
    let expected = match has(Flags::ACK) {
        true => "the next byte that the sender expects",
        false => "means nothing without `ACK`",
    };
    let window = match has(Flags::SYN) {
        true => "how many bytes the sender can take; not scaled in a `SYN`",
        false => "how many bytes the sender can take, before scaling",
    };
    let urgent = match has(Flags::URG) {
        true => "where the urgent data ends",
        false => "means nothing without `URG`",
    };
    let mut rows = vec![
        row(SOURCE_PORT, header.source_port, "the sender's"),
        row(DESTINATION_PORT, header.destination_port, "the receiver's"),
        row(SEQUENCE_NUMBER, header.sequence_number, number),
        row(
            ACKNOWLEDGMENT_NUMBER,
            header.acknowledgment_number,
            expected,
        ),
        row(
            DATA_OFFSET,
            segment.data_offset(),
            "times 4 bytes: where the data begins",
        ),
        row(RESERVED, header.flags.reserved(), "sent as zero"),
        row(FLAGS, header.flags, "one bit each"),
        row(WINDOW, header.window, window),
        row(
            CHECKSUM,
            format!("{:#06x}", segment.checksum()),
            "over the addresses, the header and the data",
        ),
        row(URGENT_POINTER, header.urgent_pointer, urgent),
    ];
    // Once, in the SYN's figure, each flag has a line of its own.
    if has(Flags::SYN) {
        let place = rows.iter_mut().find(|row| row.field == FLAGS);
        place.expect("a row for the flags").inner = flags(header.flags);
    }
    rows
}

/// The eight flags, as bits of their byte.
fn flags(flags: Flags) -> Vec<record::Field> {
    (0..8)
        .map(|at| {
            let flag = Flags::from_bits(0x80 >> at).expect("a bit of the lowest eight");
            let set = u8::from(flags.contains(flag));
            record::Field::bits(format!("`{flag}`"), fields::FLAGS.bit + at, 1)
                .value(format!("`{set}`"))
        })
        .collect()
}

fn option_rows(segment: &Segment) -> Vec<Row> {
    let expected = segment.header().acknowledgment_number;
    let mut at = HEADER_LEN;
    let mut rows = Vec::new();
    for option in segment.header().options {
        let option = option.expect("options that a kernel wrote");
        let field = Field::new(option.name(), at * 8, option.wire_len() * 8);
        let (value, note, data) = match option {
            TcpOption::EndOfList => (String::new(), "the rest is padding", vec![]),
            TcpOption::NoOperation => (String::new(), "fills up to a multiple of 4 bytes", vec![]),
            TcpOption::MaximumSegmentSize(size) => (
                size.to_string(),
                "the most data and options that its sender takes in one segment",
                vec![("size", 2, size.to_string())],
            ),
            TcpOption::WindowScale(shift) => (
                shift.to_string(),
                "by how many bits to shift its sender's later windows",
                vec![("shift", 1, shift.to_string())],
            ),
            TcpOption::SackPermitted => (String::new(), "its sender understands SACK", vec![]),
            TcpOption::Sack(blocks) => (
                blocks
                    .as_slice()
                    .iter()
                    .map(|block| format!("{}–{}", block.left - expected, block.right - expected))
                    .collect::<Vec<_>>()
                    .join(", "),
                "what has arrived, counted from the acknowledgment number",
                blocks
                    .as_slice()
                    .iter()
                    .flat_map(|block| {
                        [("left_edge", block.left), ("right_edge", block.right)]
                            .map(|(name, edge)| (name, 4, edge.to_string()))
                    })
                    .collect(),
            ),
            TcpOption::Timestamps { value, echo_reply } => (
                format!("{value}, {echo_reply}"),
                "the sender's clock, and the other side's as last heard",
                vec![
                    ("value", 4, value.to_string()),
                    ("echo_reply", 4, echo_reply.to_string()),
                ],
            ),
            TcpOption::UserTimeout(_) | TcpOption::FastOpen(_) | TcpOption::Other(_) => {
                (String::new(), "not asked for in this run", vec![])
            }
        };
        let inner = match option.wire_len() {
            1 => Vec::new(),
            len => inside(at, option.kind(), len, data),
        };
        rows.push(Row {
            inner,
            ..row(field, value, note)
        });
        at += option.wire_len();
    }
    rows
}

/// Kind, length, and the numbers behind them.
fn inside(at: usize, kind: u8, len: usize, data: Vec<(&str, usize, String)>) -> Vec<record::Field> {
    let mut at = at;
    let numbers = [
        ("kind", 1, kind.to_string()),
        ("length", 1, len.to_string()),
    ];
    numbers
        .into_iter()
        .chain(data)
        .map(|(name, len, value)| {
            let field = record::Field::bytes(format!("`{name}`"), at, len);
            at += len;
            field.value(format!("`{value}`"))
        })
        .collect()
}

/// A field's bytes in hexadecimal, eight at most; of a field that shares a byte, its bits.
fn digits(bytes: &[u8], field: Field) -> String {
    let bits = field.bits < 8 || field == fields::FLAGS;
    let own = field.bit..field.bit + field.bits;
    let bit = |bit: usize| match bytes[bit / 8] >> (7 - bit % 8) & 1 {
        _ if !own.contains(&bit) => '·',
        0 => '0',
        _ => '1',
    };
    let byte = |at: usize| match bits {
        true => (at * 8..at * 8 + 8).map(bit).collect(),
        false => format!("{:02x}", bytes[at]),
    };
    let mut digits: Vec<String> = (field.offset()..field.end()).map(byte).collect();
    if digits.len() > 8 {
        digits.truncate(8);
        digits.push("…".into());
    }
    digits.join(" ")
}
